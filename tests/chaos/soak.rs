//! The soak: a million keys, a fifth of the writes are deletes, and a node is killed each minute. It runs long enough
//! to show whether memory or descriptors grow.

use std::fs;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use kvstore::framing::resp::{write_array, write_bulk};

use crate::cluster::{Cluster, Kept, SECRET};
use crate::common::eventually;

/// A fifth of all writes are deletes, so four fifths of the names have a value: a million, from the beginning on.
const NAMES: u64 = 1_250_000;
const KEYS: u64 = NAMES / 5 * 4;
const VALUE: &str =
    "a value of some hundred bytes, as long as a name, an address and a telephone number are together, or so";

/// How many writes there are in a second, in how many portions.
const WRITES_A_SECOND: u64 = 2_000;
const PORTIONS_A_SECOND: u64 = 10;

const SAMPLE_EVERY: Duration = Duration::from_secs(5);
const KILL_EVERY: Duration = Duration::from_secs(60);

/// How long the nodes may take to come to rest without writes. This includes the rounds that settle and forget a
/// million deletes.
const SETTLED: Duration = Duration::from_secs(120);

/// The resources that a process uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Use {
    rss_kb: u64,
    threads: usize,
    descriptors: usize,
}

pub(crate) fn run(minutes: u64) {
    let time = Duration::from_secs(60 * minutes);
    let cluster = Arc::new(Cluster::start(2, Kept::InMemory));
    settle(&cluster);
    let idle = settled_uses(&cluster);
    fill(&cluster);
    println!("soak: {KEYS} keys; {:?}", uses(&cluster));

    let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let writers: Vec<_> = cluster
        .numbers()
        .map(|number| {
            let (cluster, stop, written) = (Arc::clone(&cluster), Arc::clone(&stop), Arc::clone(&written));
            thread::spawn(move || write(&cluster, number, &stop, &written))
        })
        .collect();
    let (started, mut kills) = (Instant::now(), 0);
    // Of both nodes together, while both serve and have caught up.
    let mut samples: Vec<(Duration, u64)> = Vec::new();
    while started.elapsed() < time {
        thread::sleep(SAMPLE_EVERY);
        if started.elapsed().as_secs() / KILL_EVERY.as_secs() > kills {
            kills += 1;
            let victim = 1 + (kills % 2) as u16;
            cluster.kill(victim);
            cluster.start_node(victim);
            let caught_up = eventually("the killed node catches up", SETTLED, || {
                let keys = |number| cluster.client(number).line("DBSIZE").parse::<u64>().unwrap_or_default();
                keys(victim) * 100 >= keys(3 - victim) * 99
            });
            println!(
                "soak: {:4.0?} node {victim} was killed, and back with its data after {caught_up:.1?}",
                started.elapsed()
            );
            continue;
        }
        let (now, used) = (started.elapsed(), uses(&cluster));
        let (keys, tombstones) = (cluster.client(1).line("DBSIZE"), cluster.tombstones());
        println!("soak: {now:4.0?} {keys} keys, {tombstones} tombstones, {} written, {used:?}", written.load(Relaxed));
        samples.push((now, used.iter().map(|used| used.rss_kb).sum()));
    }
    stop.store(true, Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer does not fail"));

    let settled = settle(&cluster);
    let after = uses(&cluster);
    println!("soak: settled after {settled:.1?}: {after:?}, and {idle:?} before");
    let rest = |used: &[Use]| used.iter().map(|used| (used.threads, used.descriptors)).collect::<Vec<_>>();
    eventually("no thread or descriptor is left over", SETTLED, || rest(&uses(&cluster)) == rest(&idle));
    let later: Vec<u64> = samples.iter().filter(|(at, _)| *at >= time / 3).map(|(_, rss)| *rss).collect();
    let middle = median(&later[..later.len() / 2]);
    let end = median(&later[later.len() / 2..]);
    println!("soak: {middle} KB in the second third, {end} KB in the last, at most {:?}", later.iter().max());
    assert!(end * 100 <= middle * 105, "resident memory grew from {middle} KB to {end} KB");
}

fn median(values: &[u64]) -> u64 {
    let mut values = values.to_vec();
    values.sort_unstable();
    values[values.len() / 2]
}

/// Waits until the nodes agree, have forgotten all deletes, and have no clients.
fn settle(cluster: &Cluster) -> Duration {
    eventually("the nodes agree, without tombstones", SETTLED, || cluster.tombstones() == 0 && cluster.agrees())
        + eventually("all clients have gone", SETTLED, || {
            // The other node, and the connection of this question.
            cluster.numbers().all(|number| cluster.client(number).count("connected_clients") == 2)
        })
}

/// What the processes use when the test asks nothing: the least that is seen for a while.
fn settled_uses(cluster: &Cluster) -> Vec<Use> {
    let started = Instant::now();
    let mut least = uses(cluster);
    eventually("a while has passed", SETTLED, || {
        let used = uses(cluster);
        if used.iter().map(|used| used.threads).sum::<usize>() < least.iter().map(|used| used.threads).sum() {
            least = used;
        }
        started.elapsed() > Duration::from_secs(1)
    });
    least
}

fn uses(cluster: &Cluster) -> Vec<Use> {
    let count = |id: u32, what: &str| fs::read_dir(format!("/proc/{id}/{what}")).map_or(0, Iterator::count);
    let used = |number| {
        cluster.with_process(number, |process| Use {
            rss_kb: process.memory_kb("VmRSS"),
            threads: count(process.id(), "task"),
            descriptors: count(process.id(), "fd"),
        })
    };
    cluster.numbers().map(used).collect()
}

/// Gives four of five names a value.
fn fill(cluster: &Cluster) {
    let (address, _) = cluster.whereabouts(1).expect("the node runs");
    for portion in 0..NAMES / 10_000 {
        let mut out = Vec::new();
        let names = (0..10_000).filter(|name| name % 5 != 0);
        names.for_each(|name| set(&mut out, portion * 10_000 + name));
        send(&mut TcpStream::connect(address).expect("the node listens"), &out).expect("the node takes them");
    }
    eventually("the other node has them", SETTLED, || cluster.client(2).line("DBSIZE") == KEYS.to_string());
}

fn set(out: &mut Vec<u8>, name: u64) {
    write_array(out, 3);
    [b"SET", format!("name{name}").as_bytes(), VALUE.as_bytes()].iter().for_each(|word| write_bulk(out, word));
}

fn delete(out: &mut Vec<u8>, name: u64) {
    write_array(out, 2);
    [&b"DEL"[..], format!("name{name}").as_bytes()].iter().for_each(|word| write_bulk(out, word));
}

/// Sends requests and reads all answers.
fn send(stream: &mut TcpStream, requests: &[u8]) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(20)))?;
    thread::scope(|scope| {
        let mut reader = stream.try_clone()?;
        let reading = scope.spawn(move || std::io::copy(&mut reader, &mut std::io::sink()));
        stream.write_all(format!("AUTH {SECRET}\n").as_bytes())?;
        stream.write_all(requests)?;
        stream.shutdown(Shutdown::Write)?;
        reading.join().expect("copying does not fail")?;
        Ok(())
    })
}

/// Writes to one node until it is told to stop.
fn write(cluster: &Cluster, number: u16, stop: &AtomicBool, written: &AtomicU64) {
    let mut rng = Rng::with_seed(u64::from(number));
    let portion = WRITES_A_SECOND / PORTIONS_A_SECOND / *cluster.numbers().end() as u64;
    while !stop.load(Relaxed) {
        thread::sleep(Duration::from_millis(1000 / PORTIONS_A_SECOND));
        let mut out = Vec::new();
        for _ in 0..portion {
            let name = rng.u64(..NAMES);
            if rng.u8(..5) == 0 { delete(&mut out, name) } else { set(&mut out, name) }
        }
        // For a moment after a kill, the port is closed.
        let Some((address, _)) = cluster.whereabouts(number) else { continue };
        if TcpStream::connect(address).and_then(|mut stream| send(&mut stream, &out)).is_ok() {
            written.fetch_add(portion, Relaxed);
        }
    }
}
