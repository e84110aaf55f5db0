//! What the three programs share: the log, the signals, the open files, and the orderly end.

use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crossbeam_channel::{Receiver, Select, bounded};
use env_logger::Env;
use nix::sys::signal::Signal;

use crate::config::Config;
use crate::node::{BoundNode, Node};
use crate::options::OptionsError;

/// Runs the nodes that the command line describes, until Ctrl-C or SIGTERM. Prints `hint` when all of them listen.
/// `port_option` is the option that picks another port if one is taken.
///
/// Returns the code with which the program is to end: failure, after one line that says why, when a node cannot start.
pub fn run(
    configs: Result<Vec<Config>, OptionsError>,
    port_option: &str,
    hint: impl FnOnce(&[Node]) -> String,
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

fn serve(configs: Vec<Config>, port_option: &str, hint: impl FnOnce(&[Node]) -> String) -> io::Result<()> {
    let (interrupt, interrupted) = bounded(1);
    ctrlc::set_handler(move || {
        // If the channel is full, a first signal is there already, which is enough.
        let _ = interrupt.try_send(());
    })
    .map_err(io::Error::other)?;

    survive_file_limit()?;
    // All nodes listen before the first one dials its peers, so that they find each other at once.
    let bind = |config| BoundNode::bind(config).map_err(|error| explain(error, port_option));
    let bound: Vec<BoundNode> = configs.into_iter().map(bind).collect::<io::Result<_>>()?;
    let share = open_files()? / bound.len().max(1);
    let start = |node: BoundNode| node.keep_within(share)?.start();
    let nodes: Vec<Node> = bound.into_iter().map(start).collect::<io::Result<_>>()?;
    // The nodes run on if the output is closed.
    let _ = writeln!(io::stdout(), "{}", hint(&nodes)).and_then(|()| io::stdout().flush());

    let ended = wait(&interrupted, &nodes);
    std::thread::scope(|scope| {
        for node in nodes {
            scope.spawn(|| node.stop());
        }
    });
    ended
}

/// Waits for a signal, or for a node that must end by itself: the error says why.
fn wait(interrupted: &Receiver<()>, nodes: &[Node]) -> io::Result<()> {
    let mut select = Select::new();
    for node in nodes {
        select.recv(node.fatal());
    }
    let signal = select.recv(interrupted);
    let ready = select.select();
    match ready.index() {
        // An error would mean that the handler is gone. Then no signal can arrive any more.
        index if index == signal => drop(ready.recv(interrupted)),
        index => {
            let why = ready.recv(nodes[index].fatal()).map_or("a node has ended".into(), |end| end.to_string());
            return Err(io::Error::other(why));
        }
    }
    Ok(())
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
