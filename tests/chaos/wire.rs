//! The wire between two nodes: a proxy for the connections that one opens to the other, with the faults of a network.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};
use socket2::SockRef;

/// Which of the two streams of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Requests,
    Answers,
}

/// How much a slow wire forwards at once, and how long it then pauses: 50 KB a second.
const SLOW_BYTES: usize = 512;
const SLOW_REST: Duration = Duration::from_millis(10);

/// A wire. Each fault has the time at which it ends; a time in the past means no fault.
pub(crate) struct Wire {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    accept: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    target: Option<SocketAddr>,
    cut_until: Instant,
    stalled_until: [Instant; 2],
    slow_until: Instant,
    /// The next piece in this direction is forwarded in part, and then the connection is reset.
    truncate: Option<Way>,
    open: Vec<Arc<TcpStream>>,
    ending: bool,
}

impl Wire {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let now = Instant::now();
        let state = State {
            target: None,
            cut_until: now,
            stalled_until: [now; 2],
            slow_until: now,
            truncate: None,
            open: Vec::new(),
            ending: false,
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let served = Arc::clone(&shared);
        Self { address, shared, accept: Some(thread::spawn(move || served.accept(&listener))) }
    }

    /// The address that the wire leads to; none while the node there is dead.
    pub(crate) fn lead_to(&self, target: Option<SocketAddr>) {
        self.shared.state.lock().target = target;
    }

    /// Resets the connections, and all new ones until then.
    pub(crate) fn cut(&self, until: Instant) {
        let mut state = self.shared.state.lock();
        state.cut_until = state.cut_until.max(until);
        state.open.drain(..).for_each(|stream| reset(&stream));
        self.shared.changed.notify_all();
    }

    /// Forwards nothing until then.
    pub(crate) fn stall(&self, way: Way, until: Instant) {
        let mut state = self.shared.state.lock();
        let stalled_until = &mut state.stalled_until[way as usize];
        *stalled_until = (*stalled_until).max(until);
    }

    /// Forwards slowly until then.
    pub(crate) fn slow(&self, until: Instant) {
        let mut state = self.shared.state.lock();
        state.slow_until = state.slow_until.max(until);
    }

    /// Resets the connection in the middle of the next piece in this direction.
    pub(crate) fn truncate(&self, way: Way) {
        self.shared.state.lock().truncate = Some(way);
    }

    pub(crate) fn heal(&self) {
        let (mut state, now) = (self.shared.state.lock(), Instant::now());
        (state.cut_until, state.stalled_until, state.slow_until, state.truncate) = (now, [now; 2], now, None);
        self.shared.changed.notify_all();
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.shared.state.lock().ending = true;
        self.heal();
        self.cut(Instant::now());
        // Wakes the accept thread.
        let _ = TcpStream::connect(self.address);
        let _ = self.accept.take().map(JoinHandle::join);
    }
}

impl Shared {
    fn accept(self: &Arc<Self>, listener: &TcpListener) {
        while let Ok((near, _)) = listener.accept() {
            let mut state = self.state.lock();
            if state.ending {
                return;
            }
            let target = state.target.filter(|_| state.cut_until <= Instant::now());
            let Some(far) = target.and_then(|target| TcpStream::connect(target).ok()) else {
                reset(&near);
                continue;
            };
            let _ = (near.set_nodelay(true), far.set_nodelay(true));
            let (near, far) = (Arc::new(near), Arc::new(far));
            for (from, to, way) in [(&near, &far, Way::Requests), (&far, &near, Way::Answers)] {
                let (shared, from, to) = (Arc::clone(self), Arc::clone(from), Arc::clone(to));
                thread::spawn(move || {
                    shared.carry(&from, &to, way);
                    let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
                });
            }
            state.open.retain(|stream| Arc::strong_count(stream) > 1);
            state.open.extend([near, far]);
        }
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream, way: Way) {
        let mut buffer = vec![0; 64 * 1024];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            let mut rest = &buffer[..count];
            while !rest.is_empty() {
                let (slow, truncated) = self.wait(way);
                let (now, later) = rest.split_at(if slow { rest.len().min(SLOW_BYTES) } else { rest.len() });
                if truncated {
                    let _ = to.write_all(&now[..now.len() / 2]);
                    // The bytes must leave before the reset does.
                    thread::sleep(Duration::from_millis(1));
                    reset(from);
                    reset(to);
                    return;
                }
                if to.write_all(now).is_err() {
                    return;
                }
                rest = later;
                if slow {
                    thread::sleep(SLOW_REST);
                }
            }
        }
        self.wait(way);
    }

    /// Waits while this direction is stalled. Returns whether the wire is slow, and whether the next piece is the last.
    fn wait(&self, way: Way) -> (bool, bool) {
        let mut state = self.state.lock();
        while state.stalled_until[way as usize] > Instant::now() {
            let until = state.stalled_until[way as usize];
            self.changed.wait_until(&mut state, until);
        }
        let truncated = state.truncate == Some(way);
        if truncated {
            state.truncate = None;
        }
        (state.slow_until > Instant::now(), truncated)
    }
}

fn reset(stream: &TcpStream) {
    // With no time to linger, closing sends RST.
    let _ = (SockRef::from(stream).set_linger(Some(Duration::ZERO)), stream.shutdown(Shutdown::Both));
}
