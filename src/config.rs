//! Every option of the programs, its default, and what is traded when it is turned.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use clap::{Args, CommandFactory, FromArgMatches, Parser};

use crate::limits::{
    CLIENT_WRITE_TIMEOUT, DEFAULT_LOAD_PATIENCE, DEFAULT_MAX_CONNECTIONS, MAX_INTERVAL, MAX_PEERS, MAX_WALL_CLOCK_MS,
    MIN_INTERVAL, MIN_MAX_MEMORY, MIN_WALL_CLOCK_MS, PROPAGATION_QUEUE,
};
use crate::replication::member::check_name;
use crate::rules::{Rule, Rules};
use crate::secret::Secret;
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
    /// The other nodes: `host:port` of each.
    pub peers: Vec<String>,
    /// How often a node compares itself with its peers. Shorter: what propagation has missed is repaired sooner, and a delete is
    /// forgotten sooner. Longer: less idle traffic. A round in which nothing differs costs some 220 bytes.
    pub interval: Duration,
    /// How many clients may be connected. More: each takes a thread and some 11 KB when idle. Fewer: clients are turned
    /// away sooner. Peers are let in beyond it. The limit on open files may allow fewer: see
    /// [`BoundNode::keep_within`](crate::node::BoundNode::keep_within).
    pub max_connections: usize,
    /// What clients must say and peers must prove to be let in; `None`: everybody is.
    pub secret: Option<Secret>,
    /// Whether a node without a secret may listen on an address that others reach.
    pub insecure: bool,
    /// How many bytes keys, values and the connections' buffers may take. Beyond it clients can read and delete, but not write.
    pub max_memory: usize,
    /// How long a client may be silent before its connection is ended; `None`: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long a node that starts waits for a peer that it has reached, but that brings nothing new. Longer: a peer that hangs for a
    /// while is not missed. Shorter: clients are served sooner, without what that peer holds. An attempt that is under way is waited
    /// for in any case: up to [`PEER_IO_TIMEOUT`](crate::limits::PEER_IO_TIMEOUT).
    pub load_patience: Duration,
    /// Which rules are in force.
    pub rules: Rules,
    /// How many changed keys may wait for one peer. Only tests turn it.
    pub propagation_queue: usize,
    /// How long a client may refuse its answers. Only tests turn it.
    pub client_write_timeout: Duration,
    /// The wall clock. Only tests replace the machine's.
    pub wall_clock: SharedWallClock,
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
            secret: None,
            insecure: false,
            max_memory: default_max_memory(),
            idle_timeout: None,
            load_patience: DEFAULT_LOAD_PATIENCE,
            rules: Rules::default(),
            propagation_queue: PROPAGATION_QUEUE,
            client_write_timeout: CLIENT_WRITE_TIMEOUT,
            wall_clock: Arc::new(|| std::time::SystemTime::now().into()),
        }
    }

    /// Checks what can be checked without starting.
    ///
    /// # Errors
    /// One sentence that says what is wrong and what would be right.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |message: String| Err(ConfigError(message));
        if self.node == 0 {
            return wrong("--node 0: a node's number is from 1 to 65535".into());
        }
        if let Err(why) = check_name(&self.name) {
            return wrong(format!("--name {}: {why}", self.name));
        }
        let own = resolve(&self.listen).map_err(|why| ConfigError(format!("--listen {}: {why}", self.listen)))?;
        let reachable = own.iter().any(|own| !own.ip().is_loopback());
        if reachable && self.secret.is_none() && !self.insecure {
            return wrong(format!(
                "--listen {}: others reach this address, and everybody who does may read and write: give --secret-file, or --insecure",
                self.listen
            ));
        }
        if self.peers.len() > MAX_PEERS {
            return wrong(format!("a node has at most {MAX_PEERS} peers"));
        }
        for (index, peer) in self.peers.iter().enumerate() {
            if !peer.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
                return wrong(format!("--peer {peer}: a peer is given as host:port, such as 127.0.0.1:5009"));
            }
            if self.peers[..index].contains(peer) {
                return wrong(format!("--peer {peer} is given twice"));
            }
            // A name that cannot be resolved now may be there later: links resolve again at each attempt.
            let theirs = resolve(peer).unwrap_or_default();
            if theirs.iter().any(|&theirs| own.iter().any(|&own| is_same(own, theirs))) {
                return wrong(format!("--peer {peer} is this node itself (it listens on {})", self.listen));
            }
        }
        let now = (self.wall_clock)().millis();
        if !(MIN_WALL_CLOCK_MS..MAX_WALL_CLOCK_MS).contains(&now) {
            let now = humantime::format_rfc3339_seconds(UNIX_EPOCH + Duration::from_millis(now));
            return wrong(format!(
                "this machine's clock says {now}: set it to the present time, by NTP or by hand, and start the node again"
            ));
        }
        Ok(())
    }
}

fn resolve(address: &str) -> Result<Vec<SocketAddr>, String> {
    let addresses = address.to_socket_addrs().map_err(|why| format!("{why}; an address is given as host:port"))?;
    Ok(addresses.collect())
}

/// Whether somebody who connects to `peer` reaches the node that listens on `own`, as far as addresses tell.
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

/// The options that every program has.
#[derive(Args, Clone, Debug)]
struct CommonOptions {
    /// How often a node compares itself with its peers, such as 5s or 200ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    interval: Duration,

    /// How many clients may be connected to a node at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = parse_connections)]
    max_connections: usize,

    /// A file with the secret that clients say and nodes prove to each other; or the environment variable KVSTORE_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Listens also where others reach it, though there is no secret
    #[arg(long)]
    insecure: bool,

    /// How much keys, values and buffers may take, such as 500MB or 2GiB [default: three quarters of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_memory: Option<usize>,

    /// Ends the connection of a client that is silent for so long, such as 5m [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_idle_timeout)]
    idle_timeout: Option<Duration>,

    /// How long a node that starts waits for a peer that it has reached, but that brings nothing new
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    load_patience: Duration,

    /// Switches a rule of the protocol off, to see what it is for; may be repeated: tombstones, tie-break, hybrid-clock,
    /// stamp-bump, propagation, anti-entropy, digests, confirmation, ordered-link
    #[arg(long, value_name = "RULE")]
    without: Vec<Rule>,
}

impl CommonOptions {
    fn apply(&self, config: Config) -> Config {
        let rules = self.without.iter().fold(Rules::default(), |rules, &rule| rules.without(rule));
        let (idle_timeout, insecure) = (self.idle_timeout, self.insecure);
        let (max_memory, secret) = (self.max_memory.unwrap_or(config.max_memory), self.secret());
        let (interval, max_connections, load_patience) = (self.interval, self.max_connections, self.load_patience);
        Config { interval, max_connections, load_patience, secret, insecure, max_memory, idle_timeout, rules, ..config }
    }

    /// The secret from the file or the environment. Exits with one line if there should be one and is none.
    fn secret(&self) -> Option<Secret> {
        let (source, secret) = match (&self.secret_file, std::env::var_os("KVSTORE_SECRET")) {
            (Some(file), _) => (format!("--secret-file {}", file.display()), Secret::read(file)),
            (None, Some(secret)) => ("KVSTORE_SECRET".to_string(), Secret::new(secret.as_encoded_bytes())),
            (None, None) => return None,
        };
        let exit = |why| {
            eprintln!("error: {source}: {why}");
            std::process::exit(1)
        };
        Some(secret.unwrap_or_else(exit))
    }
}

/// A node of kvstore, a distributed key-value store. RUST_LOG sets how much it tells: error, warn, info (default) or debug.
#[derive(Parser, Debug)]
#[command(version)]
struct NodeOptions {
    /// The node's number, unique in the cluster; decides between writes of the same instant
    #[arg(long, value_name = "NUMBER", value_parser = parse_node)]
    node: u16,

    /// The node's name, unique in the cluster [default: node and the number]
    #[arg(long)]
    name: Option<String>,

    /// Where clients and peers connect to
    #[arg(long, value_name = "HOST:PORT")]
    listen: String,

    /// Another node; repeated for each
    #[arg(long = "peer", value_name = "HOST:PORT")]
    peers: Vec<String>,

    /// Has no peer, not even the default one
    #[arg(long, conflicts_with = "peers")]
    alone: bool,

    #[command(flatten)]
    common: CommonOptions,
}

/// Starts a whole cluster of kvstore nodes in one process, ready for use. RUST_LOG sets how much it tells: error, warn, info
/// (default) or debug.
#[derive(Parser, Debug)]
#[command(version)]
struct ClusterOptions {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,

    /// The port of the first node; the others take the ports after it
    #[arg(long, default_value_t = 5008)]
    port: u16,

    #[command(flatten)]
    common: CommonOptions,
}

/// The configuration of a single node from the command line, with these defaults. Prints help or an error, and exits, where the
/// command line says so.
pub fn node_from_command_line(number: &'static str, listen: &'static str, peer: &'static str) -> Config {
    let defaults = [("node", number), ("listen", listen), ("peers", peer)];
    let command = defaults.into_iter().fold(NodeOptions::command(), |command, (option, default)| {
        command.mut_arg(option, |arg| arg.default_value(default).required(false))
    });
    let options = NodeOptions::from_arg_matches(&command.get_matches()).unwrap_or_else(|error| error.exit());
    let peers = if options.alone { Vec::new() } else { options.peers };
    let mut config = Config::new(options.node, options.listen, peers);
    config.name = options.name.unwrap_or(config.name);
    options.common.apply(config)
}

/// The configurations of a whole cluster from the command line, each node with all others for peers.
pub fn cluster_from_command_line() -> Vec<Config> {
    let options = ClusterOptions::parse();
    let Some(last_port) = options.port.checked_add(options.nodes - 1) else {
        let message = format!("--port {}: there are not {} ports from there on", options.port, options.nodes);
        ClusterOptions::command().error(clap::error::ErrorKind::ValueValidation, message).exit();
    };
    let address = |port: u16| format!("127.0.0.1:{port}");
    let ports = options.port..=last_port;
    let config = |(port, node): (u16, u16)| {
        let peers = ports.clone().filter(|&other| other != port).map(address).collect();
        options.common.apply(Config::new(node, address(port), peers))
    };
    ports.clone().zip(1..).map(config).collect()
}

fn parse_node(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&node| node > 0).ok_or_else(|| "a node's number is from 1 to 65535".into())
}

fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text)
        .map_err(|why| format!("{why}; give a number and a unit, such as 5s or 200ms"))?;
    let allowed = MIN_INTERVAL..=MAX_INTERVAL;
    if allowed.contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("give a time from {MIN_INTERVAL:?} to {MAX_INTERVAL:?}"))
    }
}

fn parse_idle_timeout(text: &str) -> Result<Duration, String> {
    let timeout =
        humantime::parse_duration(text).map_err(|why| format!("{why}; give a number and a unit, such as 5m or 30s"))?;
    if timeout.is_zero() {
        Err("give a time above 0; without the option there is no timeout".into())
    } else {
        Ok(timeout)
    }
}

/// The default of `--max-memory`: three quarters of the machine's memory, or of what the control group allows, whichever is less.
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

/// A number of bytes, with a decimal or binary unit behind it.
fn parse_size(text: &str) -> Result<usize, String> {
    let units: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let (digits, unit) =
        units.iter().find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit))).unwrap_or((text, 1));
    let size = digits.trim().parse::<u64>().ok().and_then(|number| usize::try_from(number.checked_mul(unit)?).ok());
    let size = size.ok_or("give a number of bytes with a unit, such as 500MB or 2GiB")?;
    if size < MIN_MAX_MEMORY { Err(format!("give at least {}MiB", MIN_MAX_MEMORY >> 20)) } else { Ok(size) }
}

fn parse_connections(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    text.parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| format!("give a number from 1 to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let twice = Config { peers: vec!["a:1".into(), "a:1".into()], ..good.clone() };
        assert_eq!(error(&twice), "--peer a:1 is given twice");
        assert!(error(&Config { node: 0, ..good.clone() }).contains("from 1 to 65535"));
        assert!(error(&Config { name: "two words".into(), ..good.clone() }).contains("--name two words"));
        assert!(error(&Config { listen: "nowhere".into(), ..good }).contains("host:port"));
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
    fn intervals_have_units_and_bounds() {
        assert_eq!(parse_interval("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["5", "0s", "2h", "soon"] {
            assert!(parse_interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert!(default_max_memory() > 1 << 20);
        assert_eq!(parse_size("500MB"), Ok(500_000_000));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("3TB"), Ok(3_000_000_000_000));
        assert_eq!(parse_size("3TiB"), Ok(3 << 40));
        assert_eq!(parse_size("33554432"), Ok(MIN_MAX_MEMORY));
        for bad in ["", "0", "many", "-1MB", "99999999999GiB", "33554431", "1PB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_options_are_well_formed() {
        NodeOptions::command().debug_assert();
        ClusterOptions::command().debug_assert();
    }
}
