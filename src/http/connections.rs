//! The open sockets of the page's address, so that all of them can be ended at once.

use std::collections::HashMap;
use std::io;
use std::net::{Shutdown, TcpStream};

use parking_lot::Mutex;

/// The sockets on which some thread may wait.
#[derive(Default)]
pub(super) struct Connections(Mutex<Open>);

#[derive(Default)]
struct Open {
    next: u64,
    /// Another handle of each socket, by its number.
    sockets: HashMap<u64, TcpStream>,
    /// Whether all were ended, and each new one is to be.
    is_over: bool,
}

impl Connections {
    /// Has a socket shut down by [`Connections::end`], until the guard is dropped.
    pub(super) fn watch(&self, stream: &TcpStream) -> io::Result<Watched<'_>> {
        let (socket, mut open) = (stream.try_clone()?, self.0.lock());
        if open.is_over {
            return Err(io::Error::other("the program is stopping"));
        }
        open.next += 1;
        let number = open.next;
        open.sockets.insert(number, socket);
        Ok(Watched { connections: self, number })
    }

    /// Shuts all sockets down, which wakes the threads that wait for one.
    pub(super) fn end(&self) {
        let mut open = self.0.lock();
        open.is_over = true;
        open.sockets.values().for_each(|socket| {
            // An error says that the socket has ended already.
            let _ = socket.shutdown(Shutdown::Both);
        });
    }
}

/// A socket that is ended with all others.
pub(super) struct Watched<'a> {
    connections: &'a Connections,
    number: u64,
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.connections.0.lock().sockets.remove(&self.number);
    }
}
