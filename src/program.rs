//! What the three programs share: the log, the signals, the open files, the page, and the orderly end.
//!
//! SIGINT and SIGTERM end the program. SIGHUP has the files with the secrets and with the log's filter read again;
//! where there are none, it ends the program, as a terminal that is closed expects.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use log::{info, warn};
use parking_lot::Mutex;
use signal_hook::consts::{SIGHUP, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::config::{Config, Http};
use crate::http::{BoundServer, Server};
use crate::limits::HTTP_DESCRIPTORS;
use crate::logging;
use crate::node::BoundNode;
use crate::node::cluster::{Cluster, Place};
use crate::node::watch::Watch;
use crate::options::OptionsError;
use crate::secret::Secrets;

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
    match begin_log(&configs).and_then(|()| serve(configs, port_option, hint)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(mut configs: Vec<Config>, port_option: &str, hint: impl FnOnce(&[Place]) -> String) -> io::Result<()> {
    let secrets = configs.first().map(|config| Arc::clone(&config.secrets)).unwrap_or_default();
    let has_filter = configs.first().is_some_and(|config| config.log_filter.is_some());
    let interrupted = handle_signals(secrets, has_filter)?;
    survive_file_limit()?;
    let (watch, feed) = Watch::new(configs.iter().map(|config| config.name.clone()).collect());
    configs.iter_mut().for_each(|config| config.watch = Arc::clone(&watch));
    let page = configs.first().map(|config| (config.http.clone(), Arc::clone(&config.secrets)));
    // All nodes listen before the first one dials its peers, so that they find each other at once.
    let bind = |config| BoundNode::bind(config).map_err(|error| explain(error, port_option));
    let bound: Vec<BoundNode> = configs.into_iter().map(bind).collect::<io::Result<_>>()?;
    let files = open_files()?;
    let page = page.map_or(Ok(None), |(http, secrets)| bind_page(http, secrets, files))?;
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
fn bind_page(http: Http, secrets: Arc<Secrets>, files: usize) -> io::Result<Option<BoundServer>> {
    let (address, is_wanted) = match http {
        Http::Off => return Ok(None),
        Http::IfFree(_) if files < 4 * HTTP_DESCRIPTORS => {
            warn!("there is no page: this process may have {files} open files (ulimit -n); --http HOST:PORT insists");
            return Ok(None);
        }
        Http::IfFree(address) => (address, false),
        Http::At(address) => (address, true),
    };
    match BoundServer::bind(&address, secrets) {
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
    signal_hook::flag::register(SIGXFSZ, noticed).map(drop)
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

fn begin_log(configs: &[Config]) -> io::Result<()> {
    let filter = configs.first().and_then(|config| config.log_filter.clone());
    logging::init(filter)
}

/// From now on SIGINT and SIGTERM send a message, and SIGHUP has the files read again that may change meanwhile; or it
/// sends a message, too, if there are none.
fn handle_signals(secrets: Arc<Secrets>, has_filter: bool) -> io::Result<Receiver<()>> {
    let (interrupt, interrupted) = bounded(1);
    // If the channel is full, a first signal is there already, which is enough.
    let stop = move || _ = interrupt.try_send(());
    ctrlc::set_handler(stop.clone()).map_err(io::Error::other)?;
    let mut signals = Signals::new([SIGTERM, SIGHUP])?;
    let is_read_again = has_filter || secrets.are_in_files();
    let reloading = Arc::new(Mutex::new(()));
    let handle = move || {
        for signal in signals.forever() {
            if signal == SIGHUP && is_read_again {
                let (secrets, reloading) = (Arc::clone(&secrets), Arc::clone(&reloading));
                // In a thread, of which there is one at a time: a file may hang, on a dead server, say.
                let reload = move || _ = reloading.try_lock().map(|_turn| reload(&secrets, has_filter));
                if let Err(error) = thread::Builder::new().name("reload".into()).spawn(reload) {
                    warn!("SIGHUP: nothing was read again: {error}");
                }
            } else {
                stop();
            }
        }
    };
    thread::Builder::new().name("signals".into()).spawn(handle)?;
    Ok(interrupted)
}

/// Reads the secrets and the log's filter again. What cannot be read, or not be used, stays as it was.
fn reload(secrets: &Secrets, has_filter: bool) {
    match secrets.reload() {
        Ok(()) if !secrets.are_in_files() => {}
        Ok(()) => info!("SIGHUP: the secrets were read again"),
        Err(error) => warn!("SIGHUP: the secrets are what they were: {error}"),
    }
    if has_filter {
        match logging::reload() {
            Ok(()) => info!("SIGHUP: the log's filter was read again"),
            Err(error) => warn!("SIGHUP: the log tells as much as before: {error}"),
        }
    }
}
