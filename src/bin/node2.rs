//! `node2`: one node, by default on port 5009 with its peer on port 5008.

use std::process::ExitCode;

use kvstore::{options, program};

fn main() -> ExitCode {
    let config = options::node("2", "127.0.0.1:5009", "127.0.0.1:5008");
    program::run(config.map(|config| vec![config]), "--listen", |nodes| nodes[0].describe())
}
