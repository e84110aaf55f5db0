//! `kvstore`: all nodes of a cluster in one process, started with one command.

use std::process::ExitCode;

use kvstore::{options, program};

fn main() -> ExitCode {
    program::run(options::cluster(), "--port", |nodes| {
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
