//! `kvstore`: all nodes of a cluster in one process, started with one command. With a subcommand: what it says instead.

use std::process::ExitCode;

use kvstore::options::Task;
use kvstore::{export, options, program};

fn main() -> ExitCode {
    let configs = match options::kvstore() {
        Ok(Task::Export(source)) => return export::run(&source),
        Ok(Task::Cluster(configs)) => Ok(configs),
        Err(error) => Err(error),
    };
    program::run(configs, "--port", |nodes| {
        let mut text = String::new();
        for node in nodes {
            text += &format!("{}\n", node.describe());
        }
        let port = |index: usize| nodes[index].address().port();
        text += "\nTry, in another terminal:\n";
        text += &format!("  printf 'SET greeting hello world\\nQUIT\\n' | nc 127.0.0.1 {}\n", port(0));
        text += &format!("  printf 'GET greeting\\nQUIT\\n' | nc 127.0.0.1 {}\n", port(nodes.len() - 1));
        text += &format!("  redis-cli -p {}\n", port(0));
        text + "HELP lists the commands. Ctrl-C stops the nodes."
    })
}
