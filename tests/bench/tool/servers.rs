//! The two servers: the floor, and the relay.

use std::io::{self, BufRead, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};

use crate::Result;

/// A thousand clients connect at once; std's backlog of 128 would make most of them wait a second for their next
/// attempt.
const BACKLOG: i32 = 1024;

const BUFFER_BYTES: usize = 64 * 1024;

const ANSWER: &[u8] = b"+OK\r\n";

fn listen(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

// ---- the floor ------------------------------------------------------------------------------------------------------

/// What threads and system calls cost by themselves: a thread for each connection, which counts the commands in what it
/// reads and answers `+OK` to each, whatever they say. No store with such threads can be faster.
pub(crate) fn floor(port: u16) -> io::Result<()> {
    let answers: Arc<[u8]> = ANSWER.repeat(BUFFER_BYTES).into();
    for stream in listen(port)?.incoming() {
        let (stream, answers) = (stream?, Arc::clone(&answers));
        // An error means that the client has ended the connection.
        thread::spawn(move || answer_all(&stream, &answers));
    }
    Ok(())
}

fn answer_all(mut stream: &TcpStream, answers: &[u8]) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        // Each command begins with an asterisk, and redis-benchmark puts none anywhere else.
        let commands = buffer[..count].iter().filter(|&&byte| byte == b'*').count();
        stream.write_all(&answers[..commands * ANSWER.len()])?;
    }
}

// ---- the relay ------------------------------------------------------------------------------------------------------

/// Carries connections from each PORT to its TARGET. Lines on stdin: `cut` ends all connections, and new ones at once;
/// `heal` carries again, and counts from 0; `bytes` prints how many bytes were carried since then, and when the first
/// was, in microseconds since the epoch (0: none was). The relay ends with its stdin.
pub(crate) fn relay(routes: &[&str]) -> Result<()> {
    let wire = Arc::new(Wire::default());
    for route in routes {
        let (port, target) = route.split_once(':').ok_or("a route is PORT:TARGET")?;
        let (listener, target) = (listen(port.parse()?)?, target.parse()?);
        let wire = Arc::clone(&wire);
        thread::spawn(move || listener.incoming().flatten().for_each(|near| wire.connect(near, target)));
    }
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "cut" => wire.cut(),
            "heal" => wire.heal(),
            "bytes" => {}
            other => return Err(format!("no such command: {other}").into()),
        }
        println!("{} {}", wire.bytes.load(Relaxed), wire.first_byte_us.load(Relaxed));
    }
    Ok(())
}

#[derive(Default)]
struct Wire {
    state: Mutex<State>,
    /// Carried since the last `heal`, in all directions together.
    bytes: AtomicU64,
    /// When the first of them was carried; 0 until then.
    first_byte_us: AtomicU64,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    /// The ends of the open connections.
    ends: Vec<TcpStream>,
}

impl Wire {
    fn connect(self: &Arc<Self>, near: TcpStream, target: u16) {
        let mut state = self.state.lock();
        let far = if state.is_cut { None } else { TcpStream::connect((Ipv4Addr::LOCALHOST, target)).ok() };
        // Without a far end, the near one is closed, so the node that opened it notices.
        let Some(far) = far else { return };
        for (from, to) in [(&near, &far), (&far, &near)] {
            let (Ok(from), Ok(to), wire) = (from.try_clone(), to.try_clone(), Arc::clone(self)) else { return };
            thread::spawn(move || wire.carry(&from, &to));
        }
        state.ends.extend([near, far]);
    }

    fn carry(&self, mut from: &TcpStream, mut to: &TcpStream) {
        let _ = to.set_nodelay(true);
        let mut buffer = vec![0; BUFFER_BYTES];
        while let Ok(count @ 1..) = from.read(&mut buffer) {
            if self.bytes.fetch_add(count as u64, Relaxed) == 0 {
                let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                self.first_byte_us.store(since_epoch.as_micros() as u64, Relaxed);
            }
            if to.write_all(&buffer[..count]).is_err() {
                break;
            }
        }
        // An error means that it is closed already.
        let _ = (to.shutdown(Shutdown::Both), from.shutdown(Shutdown::Both));
    }

    fn cut(&self) {
        let mut state = self.state.lock();
        state.is_cut = true;
        for end in state.ends.drain(..) {
            let _ = end.shutdown(Shutdown::Both);
        }
    }

    fn heal(&self) {
        // In this order: the next byte after the second line is the first.
        self.first_byte_us.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.state.lock().is_cut = false;
    }
}
