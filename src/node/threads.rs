//! How the threads of a node are started, woken and joined.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crossbeam_channel::{Receiver, bounded};

use super::disk::{self, Disk};
use super::shared::{Shared, TickRequest};
use super::{anti_entropy, replicator};
use crate::limits::{ACCEPT_PAUSE, SWEEP_INTERVAL};

/// Starts the threads that speak with peers: the replicators and the anti-entropy thread. Also returns a channel that
/// closes when the last of them ends.
pub(super) fn start_peer_threads(
    shared: &Arc<Shared>,
    ticks_asked: Receiver<TickRequest>,
) -> io::Result<(Vec<JoinHandle<()>>, Receiver<()>)> {
    let (alive, all_ended) = bounded::<()>(0);
    let spawn = |what: String, work: Box<dyn FnOnce(&Shared) + Send>| {
        let (shared, alive) = (Arc::clone(shared), alive.clone());
        thread::Builder::new().name(format!("{} {what}", shared.name())).spawn(move || {
            work(&shared);
            drop(alive);
        })
    };
    let mut threads = Vec::new();
    for index in 0..shared.peers.len() {
        let work = move |shared: &Shared| replicator::run(shared, &shared.peers[index]);
        threads.push(spawn(format!("replicator {}", index + 1), Box::new(work))?);
    }
    threads.push(spawn("anti-entropy".into(), Box::new(move |shared| anti_entropy::run(shared, &ticks_asked)))?);
    Ok((threads, all_ended))
}

/// Starts the threads of the disk, if the node has one: one that syncs, rewrites and heals; and with `--sync always`
/// one that sends answers.
pub(super) fn start_disk_threads(shared: &Arc<Shared>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |what: &str, work: fn(&Shared, &Disk)| {
        let node = Arc::clone(shared);
        let work = move || node.disk.iter().for_each(|disk| work(&node, disk));
        thread::Builder::new().name(format!("{} {what}", shared.name())).spawn(work)
    };
    match &shared.disk {
        None => Ok(Vec::new()),
        Some(disk) if disk.late.is_none() => Ok(vec![spawn("disk", disk::run)?]),
        Some(_) => Ok(vec![spawn("disk", disk::run)?, spawn("answers", disk::send_late)?]),
    }
}

/// Starts the thread that deletes what has expired. It also logs, from time to time, what the log has left out.
pub(super) fn start_sweeper(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let node = Arc::clone(shared);
    let work = move || {
        while !node.stop.wait(SWEEP_INTERVAL) {
            node.replica.sweep();
            node.report_left_out();
        }
    };
    thread::Builder::new().name(format!("{} sweep", shared.name())).spawn(work)
}

/// Starts the thread that notices when clients hang up while they wait.
pub(super) fn start_hang_up_thread(shared: &Arc<Shared>) -> io::Result<JoinHandle<()>> {
    let node = Arc::clone(shared);
    thread::Builder::new().name(format!("{} hang-ups", shared.name())).spawn(move || node.waiters.run())
}

/// An address of this machine at which a listener is reached that listens on all of them.
pub(crate) fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// Wakes a thread that accepts connections here, which then sees that it is to stop.
pub(crate) fn wake<T>(accept: JoinHandle<T>, address: SocketAddr) -> JoinHandle<T> {
    let address = reachable(address);
    while !accept.is_finished() {
        // An error says that the thread woke by itself, and has closed the port already.
        let _ = TcpStream::connect_timeout(&address, ACCEPT_PAUSE);
        thread::yield_now();
    }
    accept
}

/// Waits for a thread's end. A panic in it was a bug of ours, and was printed when it happened. Stopping goes on.
pub(crate) fn join<T: Default>(thread: JoinHandle<T>) -> T {
    thread.join().unwrap_or_default()
}
