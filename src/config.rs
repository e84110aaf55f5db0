//! What a node is told when it starts: each setting, its default, and what is traded when it is turned.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::disk::SyncPolicy;
use crate::limits::{
    CLIENT_WRITE_TIMEOUT, DEFAULT_LOAD_PATIENCE, DEFAULT_MAX_CONNECTIONS, MAX_PEERS, MAX_WALL_CLOCK_MS,
    MIN_WALL_CLOCK_MS, PROPAGATION_QUEUE,
};
use crate::node::watch::Watch;
use crate::replication::member::check_name;
use crate::rules::Rules;
use crate::secret::{Role, Secrets};
use crate::store::clock::Timestamp;

/// Reads a wall clock.
pub type SharedWallClock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Everything a node is told when it starts.
#[derive(Clone)]
pub struct Config {
    /// The node's number, unique in the cluster. It decides between writes of the same instant.
    pub node: u16,
    /// The node's name, unique in the cluster.
    pub name: String,
    /// Where clients and peers connect to: `host:port`. Port 0 takes a free one.
    pub listen: String,
    /// The other nodes: `host:port` of each, or `name@host:port`. With a name, no other node is accepted there.
    pub peers: Vec<String>,
    /// How often a node compares itself with its peers. Shorter: what propagation has missed is repaired sooner, and a
    /// delete is forgotten sooner. Longer: less idle traffic. A round in which nothing differs costs some 220 bytes.
    pub interval: Duration,
    /// How many clients may be connected. More: each takes a thread and some 11 KB when idle. Fewer: clients are turned
    /// away sooner. Peers are admitted beyond it. The limit on open files may allow fewer: see
    /// [`BoundNode::keep_within`](crate::node::BoundNode::keep_within).
    pub max_connections: usize,
    /// What clients must say and peers must prove to be admitted.
    pub secrets: Arc<Secrets>,
    /// Whether a node without a secret may listen on an address that other machines reach.
    pub insecure: bool,
    /// How many bytes keys, values and the connections' buffers may take. Beyond it clients can read and delete, but
    /// not write.
    pub max_memory: usize,
    /// The directory in which the node keeps its data; `None`: in memory only.
    pub data: Option<PathBuf>,
    /// When an answered write is safe from a power cut. Always: after that no answered write is lost, but each waits
    /// for the disk. Every second: the last second may be lost here, and comes back from the peers.
    pub sync: SyncPolicy,
    /// How long a client may be silent before its connection is ended; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a node that starts waits for a peer that it has reached, but that brings nothing new. Longer: a peer
    /// that hangs for a while is not missed. Shorter: clients are served sooner, without what that peer holds. Until
    /// then no request waits longer than this for its reply, but each may take
    /// [`PEER_CONNECT_TIMEOUT`](crate::limits::PEER_CONNECT_TIMEOUT) in any case.
    pub load_patience: Duration,
    /// Which rules are in force.
    pub rules: Rules,
    /// Whether clients may ask for faults (CUT, DELAY, CLOCK, POWERCUT), to see what they do.
    pub lab: bool,
    /// How many changed keys may wait for one peer. Only tests turn it.
    pub propagation_queue: usize,
    /// How long a client may refuse its answers. Only tests turn it.
    pub client_write_timeout: Duration,
    /// The wall clock. Only tests replace the machine's.
    pub wall_clock: SharedWallClock,
    /// Where the page is served that shows the nodes of this process. The same in the configuration of each.
    pub http: Http,
    /// The file that says how much the log of this process tells; `None`: `RUST_LOG` does. The same in the
    /// configuration of each.
    pub log_filter: Option<PathBuf>,
    /// Where the node tells a page what happens.
    pub watch: Arc<Watch>,
}

/// Where the page is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Http {
    /// Nowhere.
    Off,
    /// At this address: `host:port`. Nowhere, with a warning, if another program has it.
    IfFree(String),
    /// At this address, or the program does not start.
    At(String),
}

impl Config {
    /// The configuration of a node with all defaults.
    pub fn new(node: u16, listen: impl Into<String>, peers: Vec<String>) -> Self {
        Self {
            node,
            name: format!("node{node}"),
            listen: listen.into(),
            peers,
            interval: Duration::from_secs(5),
            max_connections: DEFAULT_MAX_CONNECTIONS,
            secrets: Secrets::none(),
            insecure: false,
            max_memory: default_max_memory(),
            data: None,
            sync: SyncPolicy::default(),
            idle_timeout: None,
            load_patience: DEFAULT_LOAD_PATIENCE,
            rules: Rules::default(),
            lab: false,
            propagation_queue: PROPAGATION_QUEUE,
            client_write_timeout: CLIENT_WRITE_TIMEOUT,
            wall_clock: Arc::new(|| SystemTime::now().into()),
            http: Http::Off,
            log_filter: None,
            watch: Watch::off(),
        }
    }

    /// Checks what can be checked without starting.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        if self.node == 0 {
            return wrong("--node 0: a node's number is from 1 to 65535".into());
        }
        if let Err(why) = check_name(&self.name) {
            return wrong(format!("--name {}: {why}", self.name));
        }
        let own = resolve(&self.listen).map_err(|why| ConfigError(format!("--listen {}: {why}", self.listen)))?;
        let reachable = own.iter().any(|own| !own.ip().is_loopback());
        if reachable && self.is_open_to_strangers() && !self.insecure {
            return wrong(format!(
                "--listen {}: others reach this address, and everybody who does may read and write: give \
                 --secret-file, or --insecure",
                self.listen
            ));
        }
        self.check_http()?;
        self.check_peers(&own)?;
        self.check_wall_clock()
    }

    /// Whether there is no secret of clients.
    fn is_open_to_strangers(&self) -> bool {
        self.secrets.role_of_strangers() > Role::Stranger
    }

    /// Checks where the page is served. Who reaches it can stop nodes, so `--insecure` does not do here.
    fn check_http(&self) -> Result<(), ConfigError> {
        let (Http::At(address) | Http::IfFree(address)) = &self.http else { return Ok(()) };
        let own = resolve(address).map_err(|why| ConfigError(format!("--http {address}: {why}")))?;
        let reachable = own.iter().any(|own| !own.ip().is_loopback());
        if reachable && self.is_open_to_strangers() {
            return wrong(format!(
                "--http {address}: others reach this address, and everybody who does may stop the nodes: give \
                 --secret-file, or --http 127.0.0.1:{}",
                address.rsplit(':').next().unwrap_or_default()
            ));
        }
        Ok(())
    }

    /// Checks the peers of a node that listens on the addresses `own`.
    fn check_peers(&self, own: &[SocketAddr]) -> Result<(), ConfigError> {
        if self.peers.len() > MAX_PEERS {
            return wrong(format!("a node has at most {MAX_PEERS} peers"));
        }
        for (index, peer) in self.peers.iter().enumerate() {
            let (name, address) = parse_peer(peer);
            if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                return wrong(format!("--peer {peer}: a peer is given as host:port, such as 127.0.0.1:5009"));
            }
            if address.contains('@') {
                return wrong(format!("--peer {peer}: a peer is given as name@host:port, with one @"));
            }
            if let Some(Err(why)) = name.map(check_name) {
                return wrong(format!("--peer {peer}: {why}"));
            }
            if name == Some(&self.name) {
                return wrong(format!("--peer {peer}: {} is the name of this node itself", self.name));
            }
            if self.peers[..index].iter().any(|other| parse_peer(other).1 == address) {
                return wrong(format!("--peer {peer} is given twice"));
            }
            // A name that cannot be resolved now may be known later: links resolve it again at each attempt.
            let theirs = resolve(address).unwrap_or_default();
            if theirs.iter().any(|&theirs| own.iter().any(|&own| is_same(own, theirs))) {
                return wrong(format!("--peer {peer} is this node itself (it listens on {})", self.listen));
            }
        }
        Ok(())
    }

    fn check_wall_clock(&self) -> Result<(), ConfigError> {
        let now = (self.wall_clock)().millis();
        if (MIN_WALL_CLOCK_MS..MAX_WALL_CLOCK_MS).contains(&now) {
            return Ok(());
        }
        let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(now));
        wrong(format!(
            "this machine's clock says {now}: set it to the present time, by NTP or by hand, and start the node again"
        ))
    }
}

/// The name that a configured peer must have, if it is given, and its address.
pub(crate) fn parse_peer(peer: &str) -> (Option<&str>, &str) {
    peer.split_once('@').map_or((None, peer), |(name, address)| (Some(name), address))
}

fn wrong(message: String) -> Result<(), ConfigError> {
    Err(ConfigError(message))
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let addresses = address.to_socket_addrs().map_err(|why| format!("{why}; an address is given as host:port"))?;
    Ok(addresses.collect())
}

/// Whether a connection to `peer` reaches the node that listens on `own`, as far as addresses tell.
fn is_same(own: SocketAddr, peer: SocketAddr) -> bool {
    let same_host = own.ip() == peer.ip() || (own.ip().is_unspecified() && is_local(peer.ip()));
    same_host && own.port() == peer.port() && own.port() != 0
}

fn is_local(address: IpAddr) -> bool {
    address.is_loopback() || address.is_unspecified()
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, name, listen, peers, interval, max_connections, .. } = self;
        write!(
            f,
            "{name} (number {node}) on {listen}, peers {peers:?}, every {interval:?}, {max_connections} connections"
        )
    }
}

/// A configuration that cannot work: the operator's fault. The message is one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(pub String);

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConfigError {}

/// The default of `--max-memory`: three quarters of the machine's memory, or of what the control group allows,
/// whichever is less.
fn default_max_memory() -> usize {
    const FALLBACK: usize = 4 << 30;
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("MemTotal:"))?;
        line.split_whitespace().nth(1)?.parse::<usize>().ok().map(|kilobytes| kilobytes * 1024)
    });
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok().and_then(|text| text.trim().parse::<usize>().ok());
    let available = machine.unwrap_or(FALLBACK).min(group.unwrap_or(usize::MAX));
    available / 4 * 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Kind, Place, Secret, Source};
    use std::os::unix::fs::PermissionsExt;

    fn error(config: &Config) -> String {
        config.check().expect_err("should be refused").to_string()
    }

    #[test]
    fn a_wrong_configuration_is_explained_in_one_line() {
        let good = Config::new(1, "127.0.0.1:5008", vec!["127.0.0.1:5009".into()]);
        assert_eq!(good.check(), Ok(()));
        let with_peer = |peer: &str| Config { peers: vec![peer.into()], ..good.clone() };
        assert_eq!(
            error(&with_peer("127.0.0.1:5008")),
            "--peer 127.0.0.1:5008 is this node itself (it listens on 127.0.0.1:5008)"
        );
        assert!(error(&with_peer("5009")).contains("such as 127.0.0.1:5009"));
        let everywhere = Config { listen: "0.0.0.0:5008".into(), ..with_peer("127.0.0.1:5008") };
        assert!(error(&everywhere).contains("give --secret-file, or --insecure"));
        let everywhere = Config { insecure: true, ..everywhere };
        assert!(error(&everywhere).contains("this node itself"));
        let page = |address: &str| Config { http: Http::At(address.into()), ..good.clone() };
        assert_eq!(page("127.0.0.1:5080").check(), Ok(()));
        assert!(error(&Config { insecure: true, ..page("0.0.0.0:5080") }).contains("or --http 127.0.0.1:5080"));
        let secrets = Secrets::of(Secret::new(b"open-sesame-open-sesame").expect("it is one"));
        assert_eq!(Config { secrets, ..page("0.0.0.0:5080") }.check(), Ok(()));
        assert!(error(&page("5080")).contains("--http 5080"));
        let twice = Config { peers: vec!["a:1".into(), "a:1".into()], ..good.clone() };
        assert_eq!(error(&twice), "--peer a:1 is given twice");
        assert_eq!(
            error(&with_peer("node1@127.0.0.1:5009")),
            "--peer node1@127.0.0.1:5009: node1 is the name of this node itself"
        );
        assert!(error(&with_peer("two words@127.0.0.1:5009")).starts_with("--peer two words@127.0.0.1:5009: "));
        assert_eq!(with_peer("node2@127.0.0.1:5009").check(), Ok(()));
        assert!(error(&Config { node: 0, ..good.clone() }).contains("from 1 to 65535"));
        assert!(error(&Config { name: "two words".into(), ..good.clone() }).contains("--name two words"));
        assert!(error(&Config { listen: "nowhere".into(), ..good }).contains("host:port"));
    }

    #[test]
    fn a_peer_is_told_apart_by_its_address_alone() {
        assert_eq!(parse_peer("127.0.0.1:5009"), (None, "127.0.0.1:5009"));
        assert_eq!(parse_peer("node2@127.0.0.1:5009"), (Some("node2"), "127.0.0.1:5009"));
        let with_peers = |listen: &str, peers: &[&str]| {
            let peers = peers.iter().map(|&peer| peer.into()).collect();
            Config { insecure: true, ..Config::new(1, listen, peers) }
        };
        let own = "127.0.0.1:5008";
        let twice = with_peers(own, &["node2@a:1", "node3@a:1"]);
        assert_eq!(error(&twice), "--peer node3@a:1 is given twice");
        assert!(error(&with_peers(own, &["node2@node3@a:1"])).contains("with one @"));
        for bad in ["node2@:1", ":1", "a:", "a:65536", "a", ""] {
            assert!(error(&with_peers(own, &[bad])).contains("a peer is given as host:port"), "{bad}");
        }
        let most: Vec<String> = (1..=MAX_PEERS + 1).map(|port| format!("127.0.0.2:{port}")).collect();
        let most: Vec<&str> = most.iter().map(String::as_str).collect();
        assert_eq!(with_peers(own, &most[1..]).check(), Ok(()));
        assert_eq!(error(&with_peers(own, &most)), format!("a node has at most {MAX_PEERS} peers"));
        assert_eq!(with_peers("127.0.0.1:0", &["127.0.0.1:0"]).check(), Ok(()), "the machine chooses another port");
        assert_eq!(with_peers("0.0.0.0:5008", &["127.0.0.1:5009", "192.0.2.1:5008"]).check(), Ok(()));
        assert!(error(&with_peers("0.0.0.0:5008", &["node2@127.0.0.9:5008"])).contains("is this node itself"));
    }

    #[test]
    fn a_secret_of_operators_alone_leaves_a_node_open_to_strangers() {
        let reachable = |kind| {
            let path = std::env::temp_dir().join(format!("kvstore-config-{}-{kind:?}", std::process::id()));
            fs::write(&path, "open-sesame-open-sesame").expect("room on the disk");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("it is ours");
            let place = Place::File("--a-secret-file", path.clone());
            let secrets = Secrets::read(vec![Source { kind, place }]).expect("a good secret");
            fs::remove_file(&path).expect("it is ours");
            Config { secrets, ..Config::new(1, "192.0.2.1:5008", Vec::new()) }.check()
        };
        assert_eq!(reachable(Kind::Client), Ok(()));
        assert!(reachable(Kind::Operator).unwrap_err().0.contains("give --secret-file, or --insecure"));
    }

    #[test]
    fn a_clock_that_cannot_be_right_is_named() {
        let at = |time: &str| {
            let time = Timestamp::from(humantime::parse_rfc3339(time).expect("a time"));
            Config { wall_clock: Arc::new(move || time), ..Config::new(1, "127.0.0.1:0", Vec::new()) }
        };
        for good in ["2020-01-01T00:00:00Z", "2189-12-31T23:59:59Z"] {
            assert_eq!(at(good).check(), Ok(()));
        }
        for bad in ["1970-01-01T00:00:00Z", "2019-12-31T23:59:59Z", "2190-01-01T00:00:00Z", "3000-01-01T00:00:00Z"] {
            let said = error(&at(bad));
            assert!(said.starts_with(&format!("this machine's clock says {bad}: ")), "{said}");
            assert!(
                said.ends_with("set it to the present time, by NTP or by hand, and start the node again"),
                "{said}"
            );
        }
    }

    #[test]
    fn the_default_for_the_memory_is_worked_out_from_the_machine() {
        assert!(default_max_memory() > 1 << 20);
    }
}
