//! The clients: they fill a server, wait for what arrives, and measure what redis-benchmark cannot.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::Result;

/// How long a client waits for a server's reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many requests are sent ahead of their replies.
const PIPELINE: usize = 500;

/// How many keys are checked to see whether all have arrived.
const SAMPLE: usize = 1000;

/// How long to wait before a server is asked again whether something has arrived: short beside what is measured, and
/// long enough to leave the processor to the server.
const POLL: Duration = Duration::from_millis(2);

/// The pause between two timed writes, so that the nodes are at rest before each.
const PAUSE: Duration = Duration::from_millis(1);

/// Some keys and their values, which look random, so that no compression helps: Redis compresses what it sends whole.
#[derive(Clone, Copy)]
pub(crate) struct Keys {
    first: usize,
    count: usize,
    bytes: usize,
    seed: u64,
}

impl Keys {
    pub(crate) fn parse(words: &[&str]) -> Result<Self> {
        let [first, count, bytes, seed] = words else { return Err("keys are FIRST COUNT BYTES SEED".into()) };
        Ok(Self { first: first.parse()?, count: count.parse()?, bytes: bytes.parse()?, seed: seed.parse()? })
    }

    fn name(number: usize) -> String {
        format!("key:{number:012}")
    }

    fn value(self, number: usize) -> String {
        let mut random = fastrand::Rng::with_seed((self.seed << 48) ^ number as u64);
        (0..self.bytes).map(|_| random.alphanumeric()).collect()
    }

    /// The numbers of some of the keys, evenly spread, the last among them.
    fn sample(self) -> impl Iterator<Item = usize> {
        let (first, count, taken) = (self.first, self.count, self.count.min(SAMPLE));
        (1..=taken).map(move |nth| first + count * nth / taken - 1)
    }
}

/// Sends one command; fails if the server does not reply, or replies with an error.
pub(crate) fn ask(port: u16, words: &[&str]) -> Result<()> {
    match Client::connect(port)?.ask(words)? {
        Reply::Line(line) if line.starts_with('-') => Err(line.into()),
        _ => Ok(()),
    }
}

/// Sets the keys.
pub(crate) fn load(port: u16, keys: Keys) -> Result<()> {
    let mut client = Client::connect(port)?;
    let end = keys.first + keys.count;
    for start in (keys.first..end).step_by(PIPELINE) {
        let batch = start..end.min(start + PIPELINE);
        let set = |number| request(&["SET", &Keys::name(number), &keys.value(number)]);
        let requests: String = batch.clone().map(set).collect();
        client.send(&requests)?;
        for _ in batch {
            client.expect_ok()?;
        }
    }
    Ok(())
}

/// Waits until the server has the keys. It retries while the server is away or not ready.
pub(crate) fn arrived(port: u16, keys: Keys, deadline: Duration) -> Result<()> {
    let started = Instant::now();
    let mut client = None;
    for (key, value) in keys.sample().map(|number| (Keys::name(number), keys.value(number))) {
        while !is_there(&mut client, port, &key, &value) {
            if started.elapsed() > deadline {
                return Err(format!("{key} was not there within {deadline:?}").into());
            }
            sleep(POLL);
        }
    }
    Ok(())
}

fn is_there(client: &mut Option<Client>, port: u16, key: &str, value: &str) -> bool {
    if client.is_none() {
        *client = Client::connect(port).ok();
    }
    let Some(connected) = client else { return false };
    match connected.ask(&["GET", key]) {
        Ok(Reply::Value(found)) => found == value.as_bytes(),
        Ok(_) => false,
        Err(_) => {
            *client = None;
            false
        }
    }
}

/// Prints how long it takes from the sending of a SET until a GET on another node shows it: p50, p99 and the most, in
/// milliseconds. The other node is asked over and over without a pause.
pub(crate) fn visible(port: u16, other: u16, writes: usize) -> Result<()> {
    let (mut writer, mut reader) = (Client::connect(port)?, Client::connect(other)?);
    let mut times_ms = Vec::with_capacity(writes);
    for key in (0..writes).map(|number| format!("visible:{number}")) {
        sleep(PAUSE);
        let started = Instant::now();
        writer.send(&request(&["SET", &key, "x"]))?;
        writer.expect_ok()?;
        while !matches!(reader.ask(&["GET", &key])?, Reply::Value(_)) {
            if started.elapsed() > PATIENCE {
                return Err(format!("{key} was not visible within {PATIENCE:?}").into());
            }
        }
        times_ms.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times_ms.sort_by(f64::total_cmp);
    let quantile = |percent: usize| times_ms.get((writes * percent / 100).min(writes - 1)).ok_or("no writes");
    println!("{:.3} {:.3} {:.3}", quantile(50)?, quantile(99)?, quantile(100)?);
    Ok(())
}

/// Sets keys of the first million, one after the other, for this long. Prints the median of the waits for the answers,
/// and the 999th of 1,000, in milliseconds.
pub(crate) fn paused(port: u16, time: Duration) -> Result<()> {
    let (mut client, begun, mut times_ms) = (Client::connect(port)?, Instant::now(), Vec::new());
    while begun.elapsed() < time {
        // A prime: the keys are far apart.
        let key = Keys::name(times_ms.len() * 7919 % 1_000_000);
        let started = Instant::now();
        client.send(&request(&["SET", &key, "paused"]))?;
        client.expect_ok()?;
        times_ms.push(started.elapsed().as_secs_f64() * 1000.0);
    }
    times_ms.sort_by(f64::total_cmp);
    println!("{:.3} {:.3}", times_ms[times_ms.len() / 2], times_ms[times_ms.len() * 999 / 1000]);
    Ok(())
}

/// Connects clients, waits for one reply to each, prints `ready`, and keeps them for a minute.
pub(crate) fn idle(port: u16, count: usize) -> Result<()> {
    let connect = |_| -> io::Result<Client> {
        let mut client = Client::connect(port)?;
        client.ask(&["PING"])?;
        Ok(client)
    };
    let clients: Vec<Client> = (0..count).map(connect).collect::<io::Result<_>>()?;
    println!("ready");
    sleep(Duration::from_secs(60));
    drop(clients);
    Ok(())
}

// ---- the smallest Redis client --------------------------------------------------------------------------------------

enum Reply {
    Value(Vec<u8>),
    Nil,
    /// A status, a number or an error: the line as it came.
    Line(String),
}

struct Client {
    input: BufReader<TcpStream>,
}

impl Client {
    fn connect(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { input: BufReader::new(stream) })
    }

    fn send(&mut self, requests: &str) -> io::Result<()> {
        self.input.get_mut().write_all(requests.as_bytes())
    }

    fn ask(&mut self, words: &[&str]) -> io::Result<Reply> {
        self.send(&request(words))?;
        self.reply()
    }

    fn expect_ok(&mut self) -> Result<()> {
        match self.reply()? {
            Reply::Line(line) if line == "+OK" => Ok(()),
            Reply::Line(line) => Err(format!("the server says {line}").into()),
            Reply::Value(_) | Reply::Nil => Err("the server answers a SET with a value".into()),
        }
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        let Some(length) = line.strip_prefix('$') else { return Ok(Reply::Line(line.into())) };
        let Ok(length) = length.parse::<usize>() else { return Ok(Reply::Nil) };
        let mut value = vec![0; length + 2];
        self.input.read_exact(&mut value)?;
        value.truncate(length);
        Ok(Reply::Value(value))
    }
}

fn request(words: &[&str]) -> String {
    let bulk = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    format!("*{}\r\n", words.len()) + &words.iter().map(bulk).collect::<String>()
}
