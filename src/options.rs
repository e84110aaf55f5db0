//! The command line: the options of the programs, and the configuration that they make.

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser};

use crate::config::{Config, Http};
use crate::disk::SyncPolicy;
use crate::export::Source;
use crate::limits::{DEFAULT_MAX_CONNECTIONS, MAX_INTERVAL, MIN_INTERVAL, MIN_MAX_MEMORY};
use crate::rules::{Rule, Rules};
use crate::secret::Secret;

/// Where the page of a whole cluster is served unless the command line says something else.
const DEFAULT_PAGE: &str = "127.0.0.1:5080";

/// The configuration of a single node from the command line, with these defaults.
///
/// # Errors
/// When the command line gives no configuration: it is wrong, or asks for help.
pub fn node(number: &'static str, listen: &'static str, peer: &'static str) -> Result<Config, OptionsError> {
    let defaults = [("node", number), ("listen", listen), ("peers", peer)];
    let command = defaults.into_iter().fold(NodeOptions::command(), |command, (option, default)| {
        command.mut_arg(option, |arg| arg.default_value(default).required(false))
    });
    let options = NodeOptions::from_arg_matches(&command.try_get_matches()?)?;
    let peers = if options.alone { Vec::new() } else { options.peers };
    let mut config = Config::new(options.node, options.listen, peers);
    config.name = options.name.unwrap_or(config.name);
    config.lab = options.lab;
    config.http = options.common.http(None);
    Ok(options.common.apply(options.common.secret()?, config))
}

/// What the program `kvstore` is told to do.
#[derive(Debug)]
pub enum Task {
    /// To run the nodes of a cluster with these configurations.
    Cluster(Vec<Config>),
    /// To write all keys of a node to the standard output.
    Export(Source),
}

/// The task of `kvstore` from the command line: without a subcommand it is a cluster.
///
/// # Errors
/// As [`node`].
pub fn kvstore() -> Result<Task, OptionsError> {
    let options = ClusterOptions::try_parse()?;
    match options.task {
        None => cluster(&options).map(Task::Cluster),
        Some(Subcommand::Export { address, secret_file }) => {
            let secret = read_secret(secret_file.as_deref())?;
            Ok(Task::Export(Source { address, secret }))
        }
    }
}

/// The configurations of a whole cluster, each node with all others for peers.
fn cluster(options: &ClusterOptions) -> Result<Vec<Config>, OptionsError> {
    let Some(last_port) = options.port.checked_add(options.nodes - 1) else {
        let message = format!("--port {}: there are not {} ports from there on", options.port, options.nodes);
        return Err(ClusterOptions::command().error(ErrorKind::ValueValidation, message).into());
    };
    let secret = options.common.secret()?;
    let address = |port: u16| format!("127.0.0.1:{port}");
    let ports = options.port..=last_port;
    let config = |(port, node): (u16, u16)| {
        let peers = ports.clone().filter(|&other| other != port).map(address).collect();
        let mut config = options.common.apply(secret.clone(), Config::new(node, address(port), peers));
        config.lab = !options.no_lab;
        config.http = options.common.http(Some(DEFAULT_PAGE));
        // Each node has a directory of its own.
        config.data = config.data.map(|data| data.join(&config.name));
        config
    };
    Ok(ports.clone().zip(1..).map(config).collect())
}

/// Why the command line gives no configuration.
#[derive(Debug)]
pub enum OptionsError {
    /// The command line is wrong, or asks for help or the version, which clap treats alike.
    CommandLine(clap::Error),
    /// There should be a secret, and there is none that can be used.
    Secret {
        /// The option or variable that names it.
        source: String,
        /// What is wrong with it.
        why: String,
    },
}

impl OptionsError {
    /// Prints the error, or the help that was asked for. Returns the code with which the program is to end.
    pub fn report(&self) -> ExitCode {
        match self {
            Self::CommandLine(error) => {
                // Whether the text can be printed does not change how the program ends.
                let _ = error.print();
                u8::try_from(error.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from)
            }
            Self::Secret { source, why } => {
                eprintln!("error: {source}: {why}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<clap::Error> for OptionsError {
    fn from(error: clap::Error) -> Self {
        Self::CommandLine(error)
    }
}

/// The options that every program has.
#[derive(Args, Clone, Debug)]
struct CommonOptions {
    /// How often a node compares itself with its peers, such as 5s or 200ms
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = parse_interval)]
    interval: Duration,

    /// How many clients may be connected to a node at once
    #[arg(long, value_name = "N", default_value_t = DEFAULT_MAX_CONNECTIONS, value_parser = parse_connections)]
    max_connections: usize,

    /// A file with the secret that clients say and nodes prove to each other; or the environment variable
    /// KVSTORE_SECRET
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// Listens also where others reach it, though there is no secret
    #[arg(long)]
    insecure: bool,

    /// How much keys, values and buffers may take, such as 500MB or 2GiB [default: three quarters of the machine's]
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    max_memory: Option<usize>,

    /// A directory in which the data is kept over restarts [default: in memory only]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// When what is written is safe from a power cut: after a second at most, or always before it is answered
    #[arg(long, value_name = "1s|always", default_value = "1s", value_parser = parse_sync, requires = "data")]
    sync: SyncPolicy,

    /// Ends the connection of a client that is silent for so long, such as 5m [default: never]
    #[arg(long, value_name = "TIME", value_parser = parse_idle_timeout)]
    idle_timeout: Option<Duration>,

    /// How long a node that starts waits for a peer that it has reached, but that brings nothing new
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = humantime::parse_duration)]
    load_patience: Duration,

    /// Where a page shows in a browser what the nodes do, such as 127.0.0.1:5080; or off [default: 127.0.0.1:5080 for
    /// kvstore, off for a node of its own]
    #[arg(long, value_name = "HOST:PORT|off")]
    http: Option<String>,

    /// Switches a rule of the protocol off, to see what it is for; may be repeated: tombstones, tie-break,
    /// hybrid-clock, stamp-bump, propagation, anti-entropy, digests, confirmation, ordered-link, durable-confirm,
    /// stale-disk, version-vectors, shares
    #[arg(long, value_name = "RULE")]
    without: Vec<Rule>,
}

impl CommonOptions {
    /// `config` with what these options say, and with the secret that [`CommonOptions::secret`] has read.
    fn apply(&self, secret: Option<Secret>, config: Config) -> Config {
        Config {
            interval: self.interval,
            max_connections: self.max_connections,
            secret,
            insecure: self.insecure,
            max_memory: self.max_memory.unwrap_or(config.max_memory),
            data: self.data.clone(),
            sync: self.sync,
            idle_timeout: self.idle_timeout,
            load_patience: self.load_patience,
            rules: self.without.iter().fold(Rules::default(), |rules, &rule| rules.without(rule)),
            ..config
        }
    }

    /// Where the page is served. `default` is where it may be if nothing else is said.
    fn http(&self, default: Option<&str>) -> Http {
        match (self.http.as_deref(), default) {
            (Some("off"), _) | (None, None) => Http::Off,
            (Some(address), _) => Http::At(address.into()),
            (None, Some(default)) => Http::IfFree(default.into()),
        }
    }

    /// The secret from the file or the environment; `None` if neither is given.
    fn secret(&self) -> Result<Option<Secret>, OptionsError> {
        read_secret(self.secret_file.as_deref())
    }
}

/// The secret from this file, or else from the environment; `None` if neither is given.
fn read_secret(file: Option<&Path>) -> Result<Option<Secret>, OptionsError> {
    let (source, secret) = match (file, env::var_os("KVSTORE_SECRET")) {
        (Some(file), _) => (format!("--secret-file {}", file.display()), Secret::read(file)),
        (None, Some(secret)) => ("KVSTORE_SECRET".to_string(), Secret::new(secret.as_encoded_bytes())),
        (None, None) => return Ok(None),
    };
    secret.map(Some).map_err(|why| OptionsError::Secret { source, why })
}

/// A node of kvstore, a distributed key-value store. RUST_LOG sets how much it tells: error, warn, info (default),
/// debug, or trace: every message between nodes.
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

    /// Lets clients ask for faults, to see what they do: CUT, MEND, DELAY, CLOCK, POWERCUT. For learning, not for data
    #[arg(long)]
    lab: bool,

    /// Has no peer, not even the default one
    #[arg(long, conflicts_with = "peers")]
    alone: bool,

    #[command(flatten)]
    common: CommonOptions,
}

/// Starts a whole cluster of kvstore nodes in one process, ready for use. RUST_LOG sets how much it tells: error, warn,
/// info (default), debug, or trace: every message between nodes.
#[derive(Parser, Debug)]
#[command(version, args_conflicts_with_subcommands = true)]
struct ClusterOptions {
    #[command(subcommand)]
    task: Option<Subcommand>,

    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..=16))]
    nodes: u16,

    /// The port of the first node; the others take the ports after it
    #[arg(long, default_value_t = 5008)]
    port: u16,

    /// Refuses the commands that make faults (CUT, MEND, DELAY, CLOCK, POWERCUT), which these nodes offer otherwise
    #[arg(long)]
    no_lab: bool,

    #[command(flatten)]
    common: CommonOptions,
}

/// What `kvstore` does instead of running nodes.
#[derive(clap::Subcommand, Debug)]
enum Subcommand {
    /// Writes all keys of a node, or of Redis or Valkey, as commands for `redis-cli --pipe`
    Export {
        /// The node that is read
        #[arg(value_name = "HOST:PORT")]
        address: String,

        /// A file with the secret that the node wants to hear; or the environment variable KVSTORE_SECRET
        #[arg(long, value_name = "FILE")]
        secret_file: Option<PathBuf>,
    },
}

fn parse_node(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&node| node > 0).ok_or_else(|| "a node's number is from 1 to 65535".into())
}

fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "1s" => Ok(SyncPolicy::EverySecond),
        "always" => Ok(SyncPolicy::Always),
        _ => Err("give 1s or always".into()),
    }
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

    #[test]
    fn intervals_have_units_and_bounds() {
        assert_eq!(parse_interval("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["5", "0s", "2h", "soon"] {
            assert!(parse_interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
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
