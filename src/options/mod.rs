//! The command line: the options of the programs, and the configuration that they make.

mod values;

use std::env;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser};

use crate::config::{Config, Http};
use crate::disk::SyncPolicy;
use crate::export::Source;
use crate::limits::DEFAULT_MAX_CONNECTIONS;
use crate::rules::{Rule, Rules};
use crate::secret::{self, Kind, Place, Secret, Secrets, SourceError};
use values::{parse_connections, parse_idle_timeout, parse_interval, parse_node, parse_size, parse_sync};

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
    Ok(options.common.apply(&options.common.secrets()?, config))
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
            let secret = secret_of_source(secret_file.as_deref())?;
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
    let secrets = options.common.secrets()?;
    let address = |port: u16| format!("127.0.0.1:{port}");
    let ports = options.port..=last_port;
    let config = |(port, node): (u16, u16)| {
        let peers = ports.clone().filter(|&other| other != port).map(address).collect();
        let mut config = options.common.apply(&secrets, Config::new(node, address(port), peers));
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
    Secret(SourceError),
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
            Self::Secret(error) => {
                eprintln!("error: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

impl From<SourceError> for OptionsError {
    fn from(error: SourceError) -> Self {
        Self::Secret(error)
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

    /// A file with the secret that clients say and nodes prove to each other, and in a second line another one that is
    /// accepted too; or the environment variable KVSTORE_SECRET. SIGHUP has the files read again
    #[arg(long, value_name = "FILE")]
    secret_file: Option<PathBuf>,

    /// A file with the secret that nodes prove to each other, so that clients do not know it; or the environment
    /// variable KVSTORE_PEER_SECRET [default: that of clients]
    #[arg(long, value_name = "FILE")]
    peer_secret_file: Option<PathBuf>,

    /// A file with the secret of those who may use FORGET, SYNC, KEYS, FLUSHALL, FLUSHDB, BGSAVE, CONFIG SET and
    /// RESETSTAT, CLIENT KILL, CONFLICTS RESET, the faults of --lab, and the page's buttons; or the environment
    /// variable KVSTORE_OPERATOR_SECRET [default: every client may]
    #[arg(long, value_name = "FILE")]
    operator_secret_file: Option<PathBuf>,

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

    /// A file that says how much the log tells, in the words of RUST_LOG; SIGHUP has it read again [default: RUST_LOG
    /// says it]
    #[arg(long, value_name = "FILE")]
    log_filter_file: Option<PathBuf>,

    /// Switches a rule of the protocol off, to see what it is for; may be repeated: tombstones, tie-break,
    /// hybrid-clock, stamp-bump, propagation, anti-entropy, digests, confirmation, ordered-link, durable-confirm,
    /// stale-disk, version-vectors, shares
    #[arg(long, value_name = "RULE")]
    without: Vec<Rule>,
}

impl CommonOptions {
    /// `config` with what these options say, and with what [`CommonOptions::secrets`] has read.
    fn apply(&self, secrets: &Arc<Secrets>, config: Config) -> Config {
        Config {
            interval: self.interval,
            max_connections: self.max_connections,
            secrets: Arc::clone(secrets),
            insecure: self.insecure,
            max_memory: self.max_memory.unwrap_or(config.max_memory),
            data: self.data.clone(),
            sync: self.sync,
            idle_timeout: self.idle_timeout,
            load_patience: self.load_patience,
            log_filter: self.log_filter_file.clone(),
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

    /// The secrets from their files or the environment.
    fn secrets(&self) -> Result<Arc<Secrets>, OptionsError> {
        let sources = [
            (Kind::Client, "--secret-file", &self.secret_file, CLIENT_VARIABLE),
            (Kind::Peer, "--peer-secret-file", &self.peer_secret_file, "KVSTORE_PEER_SECRET"),
            (Kind::Operator, "--operator-secret-file", &self.operator_secret_file, "KVSTORE_OPERATOR_SECRET"),
        ];
        let source = |(kind, option, file, variable): (Kind, _, &Option<PathBuf>, _)| {
            let place = match file {
                Some(file) => Place::File(option, file.clone()),
                None => env::var_os(variable).map(|_| Place::Variable(variable))?,
            };
            Some(secret::Source { kind, place })
        };
        Ok(Secrets::read(sources.into_iter().filter_map(source).collect())?)
    }
}

/// Where the secret that clients say stands, if no file has it.
const CLIENT_VARIABLE: &str = "KVSTORE_SECRET";

/// What an exported server wants to hear, from this file, or else from the environment; `None` if neither is given.
fn secret_of_source(file: Option<&Path>) -> Result<Option<Secret>, OptionsError> {
    let place = match (file, env::var_os(CLIENT_VARIABLE)) {
        (Some(file), _) => Place::File("--secret-file", file.to_path_buf()),
        (None, Some(_)) => Place::Variable(CLIENT_VARIABLE),
        (None, None) => return Ok(None),
    };
    let secret = place.bytes().and_then(|bytes| Secret::of_another_server(&bytes));
    Ok(Some(secret.map_err(|why| SourceError { place: place.to_string(), why })?))
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

    /// Another node; repeated for each. With its name, no other node is accepted there
    #[arg(long = "peer", value_name = "[NAME@]HOST:PORT")]
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_options_are_well_formed() {
        NodeOptions::command().debug_assert();
        ClusterOptions::command().debug_assert();
    }
}
