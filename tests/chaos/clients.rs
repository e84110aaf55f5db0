//! The clients: each writes, deletes and reads, and records the answers.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use fastrand::Rng;

use crate::cluster::{Cluster, SECRET};

const CLIENTS: u16 = 20;

/// How long a client waits between two operations: 1,000 a second together.
const PAUSE: Duration = Duration::from_millis(20);

/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_millis(1000);

/// How many keys a client has to itself, and how many there are for all.
const OWN_KEYS: u32 = 40;
const SHARED_KEYS: u32 = 100;

/// A version, as VERSION shows it: milliseconds, counter, node.
pub(crate) type Stamp = (u64, u32, u16);

/// What a node said about a key right after it had taken a write of it: the version, and whether it is a delete.
pub(crate) type Seen = (Stamp, bool);

/// One write.
#[derive(Clone, Debug)]
pub(crate) struct Wrote {
    pub(crate) key: String,
    /// The value; `None` is a delete. No two writes have the same value.
    pub(crate) value: Option<String>,
    /// Which node it was sent to.
    pub(crate) node: u16,
    pub(crate) from: Instant,
    pub(crate) until: Instant,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It was acknowledged; with the version of the key after it, if the node lived long enough to say it.
    Done(Option<Seen>),
    /// It may have happened, or may happen yet.
    Unknown,
    /// It has not happened.
    Refused,
}

/// What all clients have recorded.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) writes: Vec<Wrote>,
    /// The values that reads returned.
    pub(crate) reads: Vec<(String, String)>,
    /// How many reads were compared with what their client had written.
    own_reads: u64,
    /// Reads that did not return it.
    pub(crate) stale: Vec<String>,
}

impl History {
    pub(crate) fn describe(&self) -> String {
        let count = |wanted: fn(&Outcome) -> bool| self.writes.iter().filter(|write| wanted(&write.outcome)).count();
        format!(
            "{} writes acknowledged ({} deletes), {} unknown, {} refused; {} reads, {} of them of own writes",
            count(|outcome| matches!(outcome, Outcome::Done(_))),
            self.writes.iter().filter(|write| write.value.is_none() && write.outcome != Outcome::Refused).count(),
            count(|outcome| *outcome == Outcome::Unknown),
            count(|outcome| *outcome == Outcome::Refused),
            self.reads.len(),
            self.own_reads,
        )
    }
}

pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<History>>,
}

impl Clients {
    pub(crate) fn start(cluster: &Arc<Cluster>, seed: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let start = |number| {
            let client = Client::new(Arc::clone(cluster), number, seed);
            let stop = Arc::clone(&stop);
            thread::spawn(move || client.run(&stop))
        };
        let threads = (0..CLIENTS).map(start).collect();
        Self { stop, threads }
    }

    pub(crate) fn stop(self) -> History {
        self.stop.store(true, Relaxed);
        let mut all = History::default();
        for thread in self.threads {
            let one = thread.join().expect("a client does not fail");
            all.writes.extend(one.writes);
            all.reads.extend(one.reads);
            all.stale.extend(one.stale);
            all.own_reads += one.own_reads;
        }
        all
    }
}

struct Client {
    cluster: Arc<Cluster>,
    number: u16,
    rng: Rng,
    node: u16,
    /// Whether it waits for its node when that is down, instead of using another.
    stays: bool,
    connection: Option<Connection>,
    /// The life of the node to which `own` applies.
    life: u32,
    /// What the node may hold under this client's own keys.
    own: HashMap<String, Expected>,
    written: u32,
    history: History,
}

/// What a read may return.
#[derive(Default)]
struct Expected {
    /// The last acknowledged write; `None` if there was none since the node's memory was lost.
    last: Option<Option<String>>,
    /// Writes that were not answered. A node that was stopped may carry them out late.
    maybe: Vec<Option<String>>,
}

impl Client {
    fn new(cluster: Arc<Cluster>, number: u16, seed: u64) -> Self {
        let rng = Rng::with_seed(seed ^ (u64::from(number) << 32));
        let node = 1 + number % *cluster.numbers().end();
        let (connection, life, stays) = (None, 0, !number.is_multiple_of(3));
        let (own, written, history) = (HashMap::new(), 0, History::default());
        Self { cluster, number, rng, node, stays, connection, life, own, written, history }
    }

    fn run(mut self, stop: &AtomicBool) -> History {
        let mut next = Instant::now();
        while !stop.load(Relaxed) {
            next = (next + PAUSE).max(Instant::now() - 10 * PAUSE);
            thread::sleep(next.saturating_duration_since(Instant::now()));
            self.step();
        }
        self.history
    }

    fn step(&mut self) {
        let number = self.number;
        let own = format!("own{number}-{}", self.rng.u32(..OWN_KEYS));
        let shared = format!("shared{}", self.rng.u32(..SHARED_KEYS));
        let unique = format!("unique{number}-{}", self.written);
        let earlier = format!("unique{number}-{}", self.rng.u32(..=self.written));
        match self.rng.u8(0..100) {
            0..32 => self.set(unique),
            32..40 => self.write(earlier, None),
            40..60 => self.set(own),
            60..68 => self.write(own, None),
            68..78 => self.set(shared),
            78..84 => self.write(shared, None),
            84..95 => self.read(own),
            _ => self.read(shared),
        }
    }

    fn set(&mut self, key: String) {
        self.written += 1;
        // Long enough, now and then, to travel in pieces.
        let padding = if self.rng.u8(..) == 0 { self.rng.usize(1000..100_000) } else { 0 };
        let value = format!("{}-{}.", self.number, self.written);
        self.send(key, Some(value), padding);
    }

    fn write(&mut self, key: String, value: Option<String>) {
        self.send(key, value, 0);
    }

    fn send(&mut self, key: String, value: Option<String>, padding: usize) {
        let from = Instant::now();
        let request = match &value {
            Some(value) => format!("SET {key} {value}{}\nVERSION {key}\n", "x".repeat(padding)),
            None => format!("DEL {key}\nVERSION {key}\n"),
        };
        let outcome = match self.connect() {
            Err(_) => Outcome::Refused,
            Ok(connection) => match connection.ask(&request) {
                Err(_) => Outcome::Unknown,
                Ok(answer) if answer.starts_with("ERROR: loading") => {
                    self.connection = None;
                    Outcome::Refused
                }
                // It stands in the node's memory, perhaps on its disk, and perhaps on other nodes already.
                Ok(answer) if answer.starts_with("ERROR: the disk has failed") => Outcome::Unknown,
                Ok(answer) => {
                    assert!(answer == "OK" || (value.is_none() && answer == "Key not found"), "{request}: {answer}");
                    Outcome::Done(connection.read_line().ok().and_then(|line| parse_version(&line)))
                }
            },
        };
        if matches!(outcome, Outcome::Unknown | Outcome::Done(None)) {
            self.connection = None;
        }
        if self.stays && key.starts_with("own") {
            let expected = self.own.entry(key.clone()).or_default();
            match outcome {
                Outcome::Done(_) => expected.last = Some(value.clone()),
                Outcome::Unknown => expected.maybe.push(value.clone()),
                Outcome::Refused => {}
            }
        }
        let (node, until) = (self.node, Instant::now());
        if outcome != Outcome::Done(None) && self.connection.is_none() {
            self.move_on();
        }
        self.history.writes.push(Wrote { key, value, node, from, until, outcome });
    }

    fn read(&mut self, key: String) {
        let Ok(connection) = self.connect() else { return self.move_on() };
        let Ok(answer) = connection.ask(&format!("GET {key}\n")) else {
            self.connection = None;
            return self.move_on();
        };
        if answer.starts_with("ERROR: loading") {
            return;
        }
        let shown = (answer != "Key not found").then(|| tag(&answer));
        if let Some(expected) = self.own.get(&key).filter(|_| self.stays)
            && let Some(last) = &expected.last
        {
            self.history.own_reads += 1;
            if shown != *last && !expected.maybe.contains(&shown) {
                self.history.stale.push(format!("{key} on node {}: {shown:?}, not {last:?}", self.node));
            }
        }
        self.history.reads.extend(shown.map(|shown| (key, shown)));
    }

    fn connect(&mut self) -> io::Result<&mut Connection> {
        if self.connection.is_none() {
            let (address, life) =
                self.cluster.whereabouts(self.node).ok_or_else(|| io::Error::other("it does not run"))?;
            let connection = Connection::open(address)?;
            if life != self.life {
                // The node has lost its memory: it holds what the other nodes held.
                self.own.clear();
                self.life = life;
            }
            self.connection = Some(connection);
        }
        Ok(self.connection.as_mut().expect("was opened just now"))
    }

    fn move_on(&mut self) {
        if !self.stays {
            self.node = self.node % *self.cluster.numbers().end() + 1;
        }
    }
}

/// A connection that returns its errors to the client.
pub(crate) struct Connection(BufReader<TcpStream>);

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let mut connection = Self(BufReader::new(stream));
        match connection.ask(&format!("AUTH {SECRET}\n"))?.as_str() {
            "OK" => Ok(connection),
            other => panic!("the node does not take its own secret: {other:?}"),
        }
    }

    /// Sends requests; returns the first line of the answer.
    pub(crate) fn ask(&mut self, requests: &str) -> io::Result<String> {
        self.0.get_ref().write_all(requests.as_bytes())?;
        self.read_line()
    }

    pub(crate) fn read_line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(_) if line.ends_with('\n') => Ok(line.trim_end().to_string()),
            Ok(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Err(error) => Err(error),
        }
    }
}

/// A value without its padding.
pub(crate) fn tag(value: &str) -> String {
    value.trim_end_matches('x').to_string()
}

/// `2026-11-22T12:00:00.123Z+7 node 1 value of 3 bytes`; `None` if the key is not known.
pub(crate) fn parse_version(line: &str) -> Option<Seen> {
    let mut words = line.split(' ');
    let (time, counter) = words.next()?.split_once('+')?;
    let since = humantime::parse_rfc3339(time).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let node = words.nth(1)?.parse().ok()?;
    Some(((since.as_millis() as u64, counter.parse().ok()?, node), words.next() == Some("deleted")))
}

/// By key, all that was ever written to it.
pub(crate) fn by_key(writes: &[Wrote]) -> BTreeMap<&str, Vec<&Wrote>> {
    let mut keys: BTreeMap<&str, Vec<&Wrote>> = BTreeMap::new();
    writes.iter().for_each(|write| keys.entry(&write.key).or_default().push(write));
    keys
}

impl fmt::Display for Wrote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, value, node, outcome, .. } = self;
        match value {
            Some(value) => write!(f, "SET {key} {value} on node {node}: {outcome:?}"),
            None => write!(f, "DEL {key} on node {node}: {outcome:?}"),
        }
    }
}
