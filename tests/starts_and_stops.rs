//! A node leaves nothing behind. Alone in its file: it counts the descriptors of the whole process.

mod common;

use std::fs;
use std::net::TcpListener;

use common::{Client, DEADLINE, eventually};
use kvstore::config::Config;
use kvstore::node::{BoundNode, Node};

const CYCLES: usize = 100;

/// The threads of this process whose names begin with a node's.
fn threads_of(node: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has /proc").flatten();
    let names = tasks.filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.filter(|name| name.starts_with(node)).count()
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("Linux has /proc").count()
}

fn start(number: u16, name: &str, listen: &str, peer: &str) -> Node {
    let mut config = Config::new(number, listen, vec![peer.into()]);
    config.name = name.into();
    BoundNode::bind(config).expect("the port is free again").start().expect("a node starts")
}

#[test]
fn a_hundred_starts_and_stops_leave_no_thread_socket_or_port_behind() {
    let free_address = || {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("it is bound").to_string()
    };
    let (left_at, right_at) = (free_address(), free_address());
    let before = descriptors();
    for cycle in 0..CYCLES {
        let left = start(1, "left", &left_at, &right_at);
        let right = start(2, "right", &right_at, &left_at);
        let mut clients: Vec<Client> = [&left, &right].iter().map(|node| Client::connect(node.address())).collect();
        clients.iter_mut().for_each(Client::wait_until_it_serves);
        assert_eq!(clients[0].line(format!("SET cycle {cycle}")), "OK");
        eventually("the write arrives", DEADLINE, || clients[1].line("GET cycle") == cycle.to_string());
        assert!(threads_of("left") >= 4 && threads_of("right") >= 4, "accept, session, replicator, anti-entropy");
        assert!(descriptors() > before);
        if cycle % 2 == 0 {
            drop(clients);
            left.stop();
            right.stop();
        } else {
            right.stop();
            left.stop();
            clients.iter_mut().for_each(|client| assert_eq!(client.read_to_end(), b""));
        }
        eventually("all threads have ended", DEADLINE, || threads_of("left") + threads_of("right") == 0);
    }
    eventually("all sockets are closed", DEADLINE, || descriptors() <= before);
    for address in [left_at, right_at] {
        TcpListener::bind(&address).expect("the port is free again");
    }
}
