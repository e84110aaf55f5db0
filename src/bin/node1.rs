//! `node1`: one node, by default on port 5008 with its peer on port 5009.

use std::process::ExitCode;

use kvstore::{options, program};

fn main() -> ExitCode {
    let config = options::node("1", "127.0.0.1:5008", "127.0.0.1:5009");
    program::run(config.map(|config| vec![config]), "--listen", |nodes| nodes[0].describe())
}
