//! A real redis-server, for tests that compare with it.

use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use super::{Client, DEADLINE, eventually};

/// A redis-server of its own, which ends with this.
pub(crate) struct Redis {
    server: Child,
    pub(crate) address: SocketAddr,
}

impl Redis {
    /// `None`, with a word on it, if there is none on this machine.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&[])
    }

    /// The same, with more options.
    pub(crate) fn start_with(options: &[&str]) -> Option<Self> {
        let free = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("it is bound");
        drop(free);
        let port = address.port().to_string();
        let mut command = Command::new("redis-server");
        command.args(["--port", &port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]).args(options);
        let Ok(server) = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn() else {
            println!("skipped: redis-server is not installed");
            return None;
        };
        let redis = Self { server, address };
        eventually("redis-server listens", DEADLINE, || Client::try_connect(address).is_ok());
        Some(redis)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}
