//! What the three programs share: the log, the signals, the open files, the page, and the orderly end.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::bounded;
use env_logger::Env;
use log::warn;
use nix::sys::signal::Signal;

use crate::config::{Config, Http};
use crate::http::{BoundServer, Server};
use crate::limits::HTTP_DESCRIPTORS;
use crate::node::BoundNode;
use crate::node::cluster::{Cluster, Place};
use crate::node::watch::Watch;
use crate::options::OptionsError;
use crate::secret::Secret;

/// Runs the nodes that the command line describes, until Ctrl-C or SIGTERM. Prints `hint` when all of them listen.
/// `port_option` is the option that picks another port if one is taken.
///
/// Returns the code with which the program is to end: failure, after one line that says why, when a node cannot start.
pub fn run(
    configs: Result<Vec<Config>, OptionsError>,
    port_option: &str,
    hint: impl FnOnce(&[Place]) -> String,
) -> ExitCode {
    let configs = match configs {
        Ok(configs) => configs,
        Err(error) => return error.report(),
    };
    init_log();
    match serve(configs, port_option, hint) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mut configs: Vec<Config>, port_option: &str, hint: impl FnOnce(&[Place]) -> String) -> io::Result<()> {
    let (interrupt, interrupted) = bounded(1);
    ctrlc::set_handler(move || {
        // If the channel is full, a first signal is there already, which is enough.
        let _ = interrupt.try_send(());
    })
    .map_err(io::Error::other)?;

    survive_file_limit()?;
    let (watch, feed) = Watch::new(configs.iter().map(|config| config.name.clone()).collect());
    configs.iter_mut().for_each(|config| config.watch = Arc::clone(&watch));
    let page = configs.first().map(|config| (config.http.clone(), config.secret.clone()));
    // All nodes listen before the first one dials its peers, so that they find each other at once.
    let bind = |config| BoundNode::bind(config).map_err(|error| explain(error, port_option));
    let bound: Vec<BoundNode> = configs.into_iter().map(bind).collect::<io::Result<_>>()?;
    let files = open_files()?;
    let page = page.map_or(Ok(None), |(http, secret)| bind_page(http, secret, files))?;
    let share = files.saturating_sub(page.iter().len() * HTTP_DESCRIPTORS) / bound.len().max(1);
    let cluster = Arc::new(Cluster::start(bound, share)?);
    let page = page.map(|page| page.start(Arc::clone(&cluster), watch, feed)).transpose()?;
    let shown = page.iter().map(|page| format!("\nThe page shows what the nodes do: http://{}/", page.address()));
    let hint = hint(cluster.places()) + &shown.collect::<String>();
    // The nodes run on if the output is closed.
    let _ = writeln!(io::stdout(), "{hint}").and_then(|()| io::stdout().flush());

    let ended = cluster.wait(&interrupted);
    // First, so that nobody starts a node again.
    page.into_iter().for_each(Server::stop);
    cluster.stop();
    ended
}

/// Listens for the page, if there is to be one. One that nobody has asked for takes no more than a quarter of the
/// `files` that the process may open.
fn bind_page(http: Http, secret: Option<Secret>, files: usize) -> io::Result<Option<BoundServer>> {
    let (address, is_wanted) = match http {
        Http::Off => return Ok(None),
        Http::IfFree(_) if files < 4 * HTTP_DESCRIPTORS => {
            warn!("there is no page: this process may have {files} open files (ulimit -n); --http HOST:PORT insists");
            return Ok(None);
        }
        Http::IfFree(address) => (address, false),
        Http::At(address) => (address, true),
    };
    match BoundServer::bind(&address, secret) {
        Ok(server) => Ok(Some(server)),
        Err(error) if is_wanted => {
            let error = io::Error::new(error.kind(), format!("the page cannot listen on {address}: {error}"));
            Err(explain(error, "--http HOST:PORT"))
        }
        Err(error) => {
            warn!("there is no page: {address}: {error}; --http HOST:PORT chooses another address, --http off none");
            Ok(None)
        }
    }
}

/// A file that has grown to its limit (`ulimit -f`) must be an error like a full disk, not the end of the process.
fn survive_file_limit() -> io::Result<()> {
    let noticed = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::SIGXFSZ as i32, noticed).map(drop)
}

/// Why a node cannot listen, with what to do about it.
fn explain(error: io::Error, port_option: &str) -> io::Error {
    match error.kind() {
        ErrorKind::AddrInUse => io::Error::other(format!("{error}; choose another port with {port_option}")),
        _ => error,
    }
}

/// How many files and sockets this process may open: as many as the system lets it have.
fn open_files() -> io::Result<usize> {
    let raised = rlimit::increase_nofile_limit(u64::MAX).or_else(|_| rlimit::Resource::NOFILE.get_soft())?;
    Ok(usize::try_from(raised).unwrap_or(usize::MAX))
}

/// Log lines go to stderr: time, level, and what happened to which node.
fn init_log() {
    let mut builder = env_logger::Builder::from_env(Env::default().default_filter_or("info"));
    builder.format_target(false).format_timestamp_millis().init();
}
