//! How long other clients wait while somebody attacks a node.
//!
//! ```text
//! cargo build --release --bins --example attacks
//! target/release/examples/attacks target/release/node1 [SECONDS [ATTACK…]]
//! ```
//!
//! The node is named by its program, so that an old build can be measured with the same tool. For each attack a node
//! starts, with a secret. One client writes a key every millisecond: a command that holds a lock for long stops
//! readers only once a writer waits for it. Another client asks for keys, one after the other, and its waits are
//! what is printed: the median, the 99th of 100, and the longest, in milliseconds. After `SECONDS` (5) the node is told
//! to end with SIGTERM, while the attack goes on; how long that takes is printed, too. What has not ended then stands
//! with a `>`. Needs Linux.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long a node may take to end before it is killed.
const END_PATIENCE: Duration = Duration::from_secs(10);

/// How often another client writes a key.
const WRITE_EVERY: Duration = Duration::from_millis(1);

/// How many keys other clients read and write.
const KEYS: usize = 1000;

/// What is written and asked for.
const VALUE: [u8; 100] = [b'x'; 100];

const SECRET: &str = "a-secret-that-is-long-enough-for-a-measurement";

struct Attack {
    name: &'static str,
    /// What is there before it begins.
    prepare: fn(&Target) -> Result<()>,
    /// How many threads attack.
    threads: usize,
    /// What each does until the end, over and over.
    act: fn(&Target) -> Result<()>,
}

const ATTACKS: &[Attack] = &[
    Attack { name: "nothing", prepare: |_| Ok(()), threads: 0, act: |_| Ok(()) },
    Attack { name: "a thread that only computes, for each core", prepare: |_| Ok(()), threads: 2, act: compute },
    Attack { name: "KEYS, a pattern of 8 MB", prepare: one_long_key, threads: 1, act: keys_of_a_long_set },
    Attack { name: "KEYS, a pattern of 1 KB, 2,000 long keys", prepare: long_keys, threads: 1, act: keys_of_long_keys },
    Attack { name: "SCAN MATCH, a pattern of 1 KB, 2,000 long keys", prepare: long_keys, threads: 1, act: scan },
    Attack { name: "INFO, 1,000,000 tombstones, 3 peers away", prepare: tombstones, threads: 2, act: info },
    Attack { name: "300 silent connections", prepare: |_| Ok(()), threads: 1, act: silent },
    Attack { name: "wrong secrets from 20 connections", prepare: |_| Ok(()), threads: 20, act: wrong_secret },
    Attack { name: "CLIENT LIST of 2,500 from 20 connections", prepare: |_| Ok(()), threads: 20, act: client_list },
    Attack { name: "17 clients that do not read long answers", prepare: long_values, threads: 17, act: slow_reader },
    Attack { name: "bad requests before AUTH from 20 connections", prepare: |_| Ok(()), threads: 20, act: rubbish },
];

/// The node, and when the attack on it ends.
struct Target {
    address: SocketAddr,
    over: AtomicBool,
    /// How long there may be no answer.
    patience: Duration,
}

fn main() -> Result<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some((program, rest)) = words.split_first() else {
        return Err("usage: attacks PROGRAM [SECONDS [ATTACK…]]".into());
    };
    let seconds = rest.first().map_or(Ok(5), |seconds| seconds.parse())?;
    let named = rest.get(1..).unwrap_or_default();
    rlimit::increase_nofile_limit(u64::MAX)?;
    println!("| attack | p50 | p99 | longest | GETs a second | end after |\n|---|---|---|---|---|---|");
    for attack in
        ATTACKS.iter().filter(|attack| named.is_empty() || named.iter().any(|name| attack.name.contains(name)))
    {
        measure(program, attack, Duration::from_secs(seconds))?;
    }
    Ok(())
}

fn measure(program: &str, attack: &Attack, time: Duration) -> Result<()> {
    let mut node = Node::start(program)?;
    let target = &Target { address: node.address, over: AtomicBool::new(false), patience: time };
    let mut client = Client::admitted(target)?;
    (0..KEYS).try_for_each(|number| client.ask(&[b"SET", key(number).as_bytes(), &VALUE]).map(drop))?;
    (attack.prepare)(target)?;
    thread::scope(|scope| {
        for _ in 0..attack.threads {
            scope.spawn(|| {
                while !target.over.load(Relaxed) {
                    // It has ended the connection, or is not there any more.
                    if (attack.act)(target).is_err() {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
            });
        }
        scope.spawn(|| -> Result<()> {
            let mut writer = Client::admitted(target)?;
            while !target.over.load(Relaxed) {
                writer.ask(&[b"SET", key(fastrand::usize(..KEYS)).as_bytes(), &VALUE])?;
                thread::sleep(WRITE_EVERY);
            }
            Ok(())
        });
        let (begun, mut waits, mut stuck) = (Instant::now(), Vec::new(), "");
        while begun.elapsed() < time && stuck.is_empty() {
            let asked = Instant::now();
            if client.ask(&[b"GET", key(fastrand::usize(..KEYS)).as_bytes()]).is_err() {
                stuck = "> ";
            }
            waits.push(asked.elapsed());
        }
        waits.sort_unstable();
        let quantile = |of_1000: usize| waits[(waits.len() * of_1000 / 1000).min(waits.len() - 1)].as_secs_f64() * 1e3;
        let (p50, p99, longest) = (quantile(500), quantile(990), quantile(1000));
        let (rate, name) = (waits.len() as f64 / begun.elapsed().as_secs_f64(), attack.name);
        let (ended, took) = node.end()?;
        target.over.store(true, Relaxed);
        println!("| {name} | {p50:.3} | {p99:.3} | {stuck}{longest:.1} | {rate:.0} | {}{took:.1} s |", ended);
        Ok(())
    })
}

fn key(number: usize) -> String {
    format!("key:{number:012}")
}

// ---- the attacks ----------------------------------------------------------------------------------------------------

fn compute(target: &Target) -> Result<()> {
    while !target.over.load(Relaxed) {
        std::hint::black_box((0..10_000u64).fold(0, |sum, number| std::hint::black_box(sum ^ number)));
    }
    Ok(())
}

fn one_long_key(target: &Target) -> Result<()> {
    Client::admitted(target)?.ask(&[b"SET", &[b'a'; 65_535], b"v"])
}

fn keys_of_a_long_set(target: &Target) -> Result<()> {
    let pattern = [b"*[", &vec![b'b'; 8 * 1024 * 1024 - 2][..]].concat();
    Client::admitted(target)?.ask(&[b"KEYS", &pattern])
}

fn long_keys(target: &Target) -> Result<()> {
    let mut client = Client::admitted(target)?;
    (0..2000).try_for_each(|number| client.ask(&[b"SET", format!("{number:a>65535}").as_bytes(), b"v"]))
}

/// The longest pattern that is taken, and takes longest.
fn long_pattern() -> Vec<u8> {
    [b"*", &[b'?'; 1000][..], b"z"].concat()
}

fn keys_of_long_keys(target: &Target) -> Result<()> {
    Client::admitted(target)?.ask(&[b"KEYS", &long_pattern()])
}

fn scan(target: &Target) -> Result<()> {
    let mut client = Client::admitted(target)?;
    while !target.over.load(Relaxed) {
        client.ask(&[b"SCAN", b"0", b"MATCH", &long_pattern(), b"COUNT", b"10000"])?;
    }
    Ok(())
}

fn tombstones(target: &Target) -> Result<()> {
    let mut client = Client::admitted(target)?;
    for batch in 0..1000 {
        let request = |number: usize| encode(&[b"DEL", format!("gone:{number}").as_bytes()]);
        client.send(&(batch * 1000..(batch + 1) * 1000).flat_map(request).collect::<Vec<u8>>())?;
        (0..1000).try_for_each(|_| client.answer())?;
    }
    Ok(())
}

fn info(target: &Target) -> Result<()> {
    let mut client = Client::admitted(target)?;
    while !target.over.load(Relaxed) {
        client.ask(&[b"INFO", b"server"])?;
    }
    Ok(())
}

fn silent(target: &Target) -> Result<()> {
    let mut streams: Vec<TcpStream> =
        (0..300).map(|_| TcpStream::connect(target.address)).collect::<io::Result<_>>()?;
    while !target.over.load(Relaxed) {
        for stream in &mut streams {
            stream.set_nonblocking(true)?;
            if stream.read(&mut [0; 64]).is_ok() {
                *stream = TcpStream::connect(target.address)?;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn wrong_secret(target: &Target) -> Result<()> {
    Client::connect(target)?.ask(&[b"AUTH", b"wrong"])
}

fn client_list(target: &Target) -> Result<()> {
    // Each of the threads has its part of the clients.
    let mut clients: Vec<Client> = (0..125).map(|_| Client::admitted(target)).collect::<Result<_>>()?;
    while !target.over.load(Relaxed) {
        clients[0].ask(&[b"CLIENT", b"LIST"])?;
    }
    Ok(())
}

fn long_values(target: &Target) -> Result<()> {
    Client::admitted(target)?.ask(&[b"SET", b"long", &vec![b'v'; 1024 * 1024]])
}

fn slow_reader(target: &Target) -> Result<()> {
    let mut client = Client::admitted(target)?;
    let requests = encode(&[b"GET", b"long"]).repeat(1000);
    client.send(&requests)?;
    let mut some = [0; 64 * 1024];
    while !target.over.load(Relaxed) {
        client.input.read_exact(&mut some)?;
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn rubbish(target: &Target) -> Result<()> {
    let mut client = Client::connect(target)?;
    client.send(&[&encode(&[b"PEER", b"x"])[..], &encode(&[b"GET", b"k"]), b"*1\r\n$x\r\n"].concat())?;
    (0..3).try_for_each(|_| client.answer())
}

// ---- the node, and the smallest client ------------------------------------------------------------------------------

struct Node {
    child: Child,
    address: SocketAddr,
}

impl Node {
    /// Starts a node with a secret and three peers that are not there, so that its tombstones wait.
    fn start(program: &str) -> Result<Self> {
        let mut command = Command::new(program);
        command.args(["--listen", "127.0.0.1:0", "--max-memory", "2GiB"]).env("KVSTORE_SECRET", SECRET);
        for port in 1..=3 {
            command.args(["--peer", &format!("127.0.0.1:{port}")]);
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        // What it logs must be taken, but takes no time here.
        let mut log = child.stderr.take().ok_or("no standard error")?;
        thread::spawn(move || io::copy(&mut log, &mut io::sink()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no standard output")?).read_line(&mut line)?;
        let address = line.trim().rsplit(' ').next().and_then(|address| address.parse().ok());
        Ok(Self { child, address: address.ok_or("the node did not say where it listens")? })
    }

    /// Ends it. Returns how long that took, and `> ` if it had to be killed.
    fn end(&mut self) -> Result<(&'static str, f64)> {
        let begun = Instant::now();
        Command::new("kill").arg(self.child.id().to_string()).status()?;
        while self.child.try_wait()?.is_none() {
            if begun.elapsed() > END_PATIENCE {
                self.child.kill()?;
                self.child.wait()?;
                return Ok(("> ", begun.elapsed().as_secs_f64()));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(("", begun.elapsed().as_secs_f64()))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = (self.child.kill(), self.child.wait());
    }
}

struct Client {
    input: BufReader<TcpStream>,
}

impl Client {
    fn connect(target: &Target) -> Result<Self> {
        let stream = TcpStream::connect(target.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(target.patience))?;
        stream.set_write_timeout(Some(target.patience))?;
        Ok(Self { input: BufReader::new(stream) })
    }

    fn admitted(target: &Target) -> Result<Self> {
        let mut client = Self::connect(target)?;
        client.ask(&[b"AUTH", SECRET.as_bytes()])?;
        Ok(client)
    }

    fn ask(&mut self, words: &[&[u8]]) -> Result<()> {
        self.send(&encode(words))?;
        self.answer()
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        Ok(self.input.get_mut().write_all(bytes)?)
    }

    /// Reads an answer, whatever it says.
    fn answer(&mut self) -> Result<()> {
        let mut line = String::new();
        if self.input.read_line(&mut line)? == 0 {
            return Err("the node has closed the connection".into());
        }
        let line = line.trim_end();
        if let Some(length) = line.strip_prefix('$').and_then(|length| length.parse::<u64>().ok()) {
            io::copy(&mut self.input.by_ref().take(length + 2), &mut io::sink())?;
        } else if let Some(count) = line.strip_prefix('*').and_then(|count| count.parse::<usize>().ok()) {
            (0..count).try_for_each(|_| self.answer())?;
        }
        Ok(())
    }
}

fn encode(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend([word, &b"\r\n"[..]].concat());
    }
    bytes
}
