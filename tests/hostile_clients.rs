//! What clients may do to a node: too many of them, silent ones, malformed input, and everything beyond a limit. Other
//! clients must not notice.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use crate::common::{
    Client, Cluster, DEADLINE, Links, Mode, Process, Value, encode, eventually, peer_words, with_word,
};
use kvstore::commands::glob;
use kvstore::limits::{
    MAX_ANSWER_BYTES, MAX_ARGS, MAX_CLIENT_NAME_BYTES, MAX_FRAME_BYTES, MAX_KEY_BYTES, MAX_LINE_BYTES, MAX_SCAN_COUNT,
    MAX_VALUE_BYTES, PEER_RESERVE,
};
use kvstore::replication::message::PROTOCOL;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Socket, Type};

/// How long a well-behaved client may wait for an answer while others misbehave.
const UNDISTURBED: Duration = Duration::from_secs(2);

#[track_caller]
fn assert_matches(answer: &[u8], pattern: &str) {
    assert!(glob::matches(pattern.as_bytes(), answer), "{}\nexpected: {pattern}", answer.escape_ascii());
}

/// Checks that a well-behaved client is served as if it were alone.
#[track_caller]
fn assert_undisturbed(client: &mut Client) {
    let started = Instant::now();
    assert_eq!(client.line("SET undisturbed yes"), "OK");
    assert_eq!(client.resp(&["GET", "undisturbed"]).to_string(), "$yes");
    assert!(started.elapsed() < UNDISTURBED, "{:?}", started.elapsed());
}

/// Waits until only this client is connected: a session that panicked would stay in the count.
#[track_caller]
fn wait_until_alone(client: &mut Client) {
    eventually("all other sessions end", DEADLINE, || client.count("connected_clients") == 1);
}

/// Retries until there is a place: sessions that have just ended may still be counted.
#[track_caller]
fn client_with_a_place(cluster: &Cluster) -> Client {
    let mut client = cluster.client(1);
    eventually("a place", DEADLINE, || {
        let has_place = client.try_line("PING").is_ok_and(|answer| answer == "PONG");
        if !has_place {
            client = cluster.client(1);
        }
        has_place
    });
    client
}

// ---- many, and too many ---------------------------------------------------------------------------------------------

#[test]
fn a_thousand_clients_at_once_are_served_and_one_more_is_turned_away_with_a_reason() {
    let cluster = Cluster::start_with(1, |config| config.max_connections = 1000);
    let mut clients = vec![client_with_a_place(&cluster)];
    wait_until_alone(&mut clients[0]);
    clients.extend((1..1000).map(|_| cluster.client(1)));
    for (n, client) in clients.iter_mut().enumerate() {
        client.send(format!("SET k{n} {n}\nGET k{n}\n"));
    }
    for (n, client) in clients.iter_mut().enumerate() {
        assert_eq!((client.read_line(), client.read_line()), ("OK".into(), n.to_string()));
    }
    assert_eq!(clients[0].count("connected_clients"), 1000);
    let rejected = clients[0].count("rejected_connections");

    let mut resp = cluster.client(1);
    assert_eq!(resp.resp(&["PING"]).to_string(), "-ERR max number of clients reached");
    assert_eq!(resp.read_to_end(), b"");
    let mut plain = cluster.client(1);
    assert_eq!(plain.line("PING"), "ERROR: max number of clients reached");
    assert_eq!(plain.read_to_end(), b"");
    let mut silent = cluster.client(1);
    assert_matches(&silent.read_to_end(), "-ERR max number of clients reached*");
    eventually("all three are counted", DEADLINE, || clients[0].count("rejected_connections") == rejected + 3);

    clients.truncate(500);
    eventually("there is room again", DEADLINE, || cluster.client(1).line("PING") == "PONG");
}

/// A cluster of which node 1 holds a key and has clients in all its places, and node 2 has stopped. Node 1 cannot dial
/// node 2: if the key arrives there, node 1 has admitted node 2.
fn full_node() -> (Cluster, Vec<Client>) {
    let mut cluster = Cluster::start_with(2, |config| config.max_connections = 4);
    cluster.stop(2);
    cluster.links.between(1, 2).set(Mode::Cut);
    let mut clients: Vec<Client> = (0..4).map(|_| client_with_a_place(&cluster)).collect();
    assert_eq!(clients[0].line("SET k v"), "OK");
    (cluster, clients)
}

#[test]
fn a_peer_gets_in_when_clients_have_taken_every_place() {
    let (mut cluster, _clients) = full_node();
    cluster.start_again(2, |_| {});
    let mut other = cluster.client(2);
    other.wait_until_it_serves();
    assert_eq!(other.line("GET k"), "v");
}

/// Ends the crowds when it is dropped, also by a test that fails.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Keeps this many connections to a node open until `done`. Opens a new one as soon as the node ends one.
fn crowd(address: SocketAddr, size: usize, done: &AtomicBool) {
    let mut clients: Vec<Client> = Vec::new();
    while !done.load(Relaxed) {
        clients.extend((clients.len()..size).filter_map(|_| Client::try_connect(address).ok()));
        let mut ready: Vec<PollFd> =
            clients.iter().map(|client| PollFd::new(client.stream().as_fd(), PollFlags::POLLIN)).collect();
        poll(&mut ready, PollTimeout::from(10_u8)).expect("sockets can be waited for");
        let mut ended = ready.iter().map(|client| client.any() != Some(false)).collect::<Vec<_>>().into_iter();
        clients.retain(|_| ended.next() == Some(false));
    }
}

#[test]
fn a_peer_gets_in_although_many_clients_connect_again_as_soon_as_they_are_turned_away() {
    let (mut cluster, mut clients) = full_node();
    let first = &mut clients[0];
    let (address, done) = (cluster.address(1), AtomicBool::new(false));
    thread::scope(|scope| {
        let _done = Done(&done);
        for _ in 0..4 {
            scope.spawn(|| crowd(address, 150, &done));
        }
        eventually("all places are taken", DEADLINE, || first.count("rejected_connections") > 10_000);
        cluster.start_again(2, |_| {});
        let mut other = cluster.client(2);
        let took = eventually("the peer gets in", DEADLINE, || other.line("GET k") == "v");
        println!("the peer was admitted after {took:?}; {} were turned away", first.count("rejected_connections"));
        assert_undisturbed(first);
    });
}

#[test]
fn silent_connections_in_the_places_for_peers_make_room_for_a_peer_at_once() {
    let (mut cluster, mut clients) = full_node();
    let first = &mut clients[0];
    let silent: Vec<Client> = (0..PEER_RESERVE).map(|_| cluster.client(1)).collect();
    eventually("all places are taken", DEADLINE, || first.count("connected_clients") == 4 + PEER_RESERVE as u64);
    cluster.start_again(2, |_| {});
    let mut other = cluster.client(2);
    other.wait_until_it_serves();
    assert_eq!(other.line("GET k"), "v", "the first attempt has reached node 1");
    assert!(first.count("rejected_connections") >= 1, "the oldest was turned away");
    drop(silent);
}

#[test]
fn far_too_many_connections_are_turned_away_at_once() {
    let cluster = Cluster::start_with(1, |config| config.max_connections = 1);
    let mut first = client_with_a_place(&cluster);
    let many: Vec<Client> = (0..2 * PEER_RESERVE).map(|_| cluster.client(1)).collect();
    for mut client in many {
        assert_matches(&client.read_to_end(), "-ERR max number of clients reached*");
    }
    assert_undisturbed(&mut first);
}

// ---- silence --------------------------------------------------------------------------------------------------------

#[test]
fn half_a_command_and_then_silence_disturbs_no_other_client() {
    let cluster = Cluster::start(1);
    let mut good = cluster.client(1);
    let halves = [
        "GE",
        "SET key ",
        "*",
        "*2\r\n$3\r\nGET\r\n",
        "*2\r\n$3\r\nGET\r\n$1000\r\nabc",
        "*3\r\n$3\r\nSET\r\n$1\r\nk\r",
    ];
    let mut silent: Vec<Client> = Vec::new();
    for half in halves.iter().cycle().take(60) {
        let mut client = cluster.client(1);
        client.send(half);
        silent.push(client);
    }
    eventually("all are connected", DEADLINE, || good.count("connected_clients") == 61);
    assert_undisturbed(&mut good);
    drop(silent);
    wait_until_alone(&mut good);
    assert_eq!(good.line("GET key"), "", "what ended without its newline was carried out: a line ends with the input");
}

#[test]
fn a_client_that_does_not_read_its_answers_is_cut_off_and_disturbs_no_other_client() {
    let cluster = Cluster::start_with(1, |config| config.client_write_timeout = Duration::from_millis(300));
    let mut good = cluster.client(1);
    let value = vec![b'x'; 4 * 1024 * 1024];
    assert_eq!(good.resp(&[b"SET", &b"large"[..], &value]), Value::Simple("OK".into()));
    let mut deaf: Vec<Client> = (0..4).map(|_| cluster.client(1)).collect();
    for client in &mut deaf {
        client.send(encode(&["GET", "large"]).repeat(10));
        assert_eq!(client.stream().peek(&mut [0]).expect("the first byte comes"), 1);
    }
    assert_undisturbed(&mut good);
    wait_until_alone(&mut good);
    for client in &mut deaf {
        let mut left = Vec::new();
        let _ = client.stream().read_to_end(&mut left);
        assert!(left.len() < 10 * value.len(), "it was cut off before the end");
    }
}

#[test]
fn a_client_that_reads_slowly_gets_all_of_its_answer() {
    let cluster = Cluster::start_with(1, |config| config.client_write_timeout = Duration::from_millis(300));
    let mut client = cluster.client(1);
    let value: Vec<u8> = (0..8 * 1024 * 1024).map(|n| (n % 251) as u8).collect();
    assert_eq!(client.resp(&[b"SET", &b"large"[..], &value]), Value::Simple("OK".into()));
    client.send(encode(&["GET", "large"]));
    assert_eq!(client.read_line(), format!("${}", value.len()));
    let mut got = vec![0; value.len()];
    // In all it takes longer than the timeout, but it always reads something within the timeout.
    for piece in got.chunks_mut(64 * 1024) {
        let mut waited = false;
        eventually("a pause", DEADLINE, || std::mem::replace(&mut waited, true));
        client.read_exact(piece);
    }
    assert!(got == value);
}

/// A pipeline whose first answer is read only after all of it is sent.
const LARGE_PIPELINE: usize = 400_000;

/// Sends a GET of a value of 100 bytes so often, and then reads all answers.
#[track_caller]
fn assert_large_pipeline_is_answered(client: &mut Client, before_reading: impl FnOnce()) {
    assert_eq!(client.line(format!("SET key:000000000001 {}", "v".repeat(100))), "OK");
    client.send(encode(&["GET", "key:000000000001"]).repeat(LARGE_PIPELINE));
    before_reading();
    let answer = [&b"$100\r\n"[..], &[b'v'; 100], b"\r\n"].concat();
    let mut answers = vec![0; answer.len() * LARGE_PIPELINE];
    client.read_exact(&mut answers);
    assert!(answers.chunks(answer.len()).all(|found| found == answer));
    assert_eq!(client.line("PING"), "PONG");
}

#[test]
fn a_large_pipeline_is_answered_whole_although_nothing_is_read_before_its_end() {
    let cluster = Cluster::start_with(1, |config| config.client_write_timeout = Duration::from_secs(2));
    let mut other = cluster.client(1);
    assert_large_pipeline_is_answered(&mut cluster.client(1), || assert_undisturbed(&mut other));
    eventually("the memory is given back", DEADLINE, || other.count("used_memory") < MAX_VALUE_BYTES as u64);
}

#[test]
fn beyond_the_bound_for_waiting_answers_the_node_reads_no_more_and_goes_on_when_they_are_read() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 64 * 1024 * 1024);
    let mut watcher = cluster.client(1);
    let mut client = cluster.client(1);
    let mut sender = client.stream().try_clone().expect("another handle");
    let requests = encode(&["ECHO", &"v".repeat(1000)]).repeat(100_000);
    std::thread::scope(|scope| {
        scope.spawn(move || sender.write_all(&requests).expect("the node reads on at last"));
        // All answers may take two of the largest values; those that wait to be read, half of that.
        let (bound, slack) = (MAX_VALUE_BYTES as u64, 512 * 1024);
        eventually("answers wait", DEADLINE, || watcher.count("used_memory") > bound - slack);
        for _ in 0..100 {
            assert_undisturbed(&mut watcher);
            assert!(watcher.count("used_memory") < bound + slack);
        }
        for _ in 0..100_000 {
            assert_eq!(client.read_value(), Value::Bulk(vec![b'v'; 1000]));
        }
    });
}

#[test]
fn no_answer_is_refused_for_want_of_the_room_that_earlier_answers_to_the_same_client_take() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 32 * 1024 * 1024);
    let (mut client, mut watcher) = (cluster.client(1), cluster.client(1));
    let (half, small) = (vec![b'v'; MAX_VALUE_BYTES / 2], vec![b'v'; MAX_VALUE_BYTES / 16]);
    assert_eq!(client.resp(&[b"MSET", &b"half"[..], &half, b"small", &small]).to_string(), "+OK");
    let (stored, mut sent) = ((half.len() + small.len() + 64 * 1024) as u64, 0);
    eventually("the buffer of the request is given back", DEADLINE, || watcher.count("used_memory") < stored);
    let get = encode(&["GET", "small"]);
    eventually("the connection takes no more", DEADLINE, || {
        client.send(&get);
        sent += 1;
        watcher.count("used_memory") > stored + MAX_VALUE_BYTES as u64 / 8
    });
    // All answers together may take two of the largest values. Alone, this MGET fits; beside these GETs it does not.
    client.send([get.repeat(9), encode(&["MGET", "half", "half", "half"]), encode(&["ECHO", "done"])].concat());
    sent += 9;
    eventually("they wait", DEADLINE, || watcher.count("used_memory") > stored + MAX_VALUE_BYTES as u64 * 5 / 8);
    let (small, half) = (Value::Bulk(small), Value::Bulk(half));
    (0..sent).for_each(|_| assert!(client.read_value() == small));
    assert!(client.read_value() == Value::Array(vec![half; 3]));
    assert_eq!(client.read_value().to_string(), "$done");
}

#[test]
fn a_client_that_takes_nothing_is_cut_off_after_the_write_timeout_whatever_else_it_sends() {
    let timeout = Duration::from_secs(2);
    let cluster = Cluster::start_with(1, |config| config.client_write_timeout = timeout);
    let mut good = cluster.client(1);
    let value = vec![b'v'; MAX_VALUE_BYTES];
    assert_eq!(good.resp(&[b"SET", &b"large"[..], &value]).to_string(), "+OK");
    for goes_on_sending in [false, true] {
        let deaf = cluster.client(1);
        let started = Instant::now();
        deaf.stream().write_all(&encode(&["GET", "large"]).repeat(2)).expect("the node reads");
        eventually("it is connected", DEADLINE, || good.count("connected_clients") == 2);
        eventually("it is cut off", DEADLINE, || {
            if goes_on_sending {
                let _ = deaf.stream().write_all(b"PING\n");
            }
            good.count("connected_clients") == 1
        });
        let took = started.elapsed();
        assert!(
            (timeout..timeout + UNDISTURBED).contains(&took),
            "{took:?}, and it goes on sending: {goes_on_sending}"
        );
    }
}

/// A client that asks for something and takes as little of the answer as the kernel allows.
fn deaf(address: SocketAddr, request: &[u8]) -> Socket {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    socket.connect(&address.into()).expect("the node listens");
    (&socket).write_all(request).expect("the node reads");
    socket
}

#[test]
fn clients_that_do_not_read_leave_room_for_the_answers_of_others_and_go_when_it_is_needed() {
    let cluster = Cluster::start_with(1, |config| {
        config.max_memory = 64 * 1024 * 1024;
        config.client_write_timeout = Duration::from_secs(30);
    });
    let mut good = cluster.client(1);
    let [huge, large, small] = [7 * 1024 * 1024, 2 * 1024 * 1024, 64 * 1024].map(|bytes| vec![b'v'; bytes]);
    let words = [b"MSET", &b"huge"[..], &huge, b"large", &large, b"small", &small];
    assert_eq!(good.resp(&words).to_string(), "+OK");
    // All answers together may take two of the largest values. The kernel takes less than half of a huge one.
    let (stored, budget) = (9 * 1024 * 1024 + small.len() as u64, 2 * MAX_VALUE_BYTES as u64);
    let many: Vec<Socket> = (0..24).map(|_| deaf(cluster.address(1), &encode(&["GET", "huge"]))).collect();
    eventually("the room is taken", DEADLINE, || good.count("used_memory") > stored + budget * 3 / 4);
    for _ in 0..10 {
        assert!(good.resp(&["GET", "small"]) == Value::Bulk(small.clone()), "there is always room for this");
    }
    let mut refused = 0;
    let took = eventually("there is room for a large answer", DEADLINE, || {
        let answer = good.resp(&["GET", "large"]);
        let is_whole = answer == Value::Bulk(large.clone());
        assert!(is_whole || matches!(&answer, Value::Error(why) if why.starts_with("OOM ")));
        refused += u64::from(!is_whole);
        is_whole
    });
    assert!(refused > 0, "the test shows something");
    assert!(took < Duration::from_secs(10), "{took:?}: they are ended long before they would be in calm times");
    drop(many);
}

#[test]
fn a_list_of_all_connections_counts_as_a_large_answer_does() {
    let cluster = Cluster::start_with(1, |config| config.max_memory = 32 * 1024 * 1024);
    let name = "n".repeat(MAX_CLIENT_NAME_BYTES);
    let mut named: Vec<Client> = (0..300).map(|_| cluster.client(1)).collect();
    named.iter_mut().for_each(|client| assert_eq!(client.line(format!("CLIENT SETNAME {name}")), "OK"));
    let mut client = cluster.client(1);
    assert_eq!(client.lines("CLIENT LIST").len(), 301, "more than are looked at at once");
    // Each list takes 100 KB; all answers together may take 16 MiB.
    const LISTS: usize = 200;
    client.send([encode(&["MULTI"]), encode(&["CLIENT", "LIST"]).repeat(LISTS), encode(&["EXEC"])].concat());
    (0..=LISTS).for_each(|_| assert!(matches!(client.read_value(), Value::Simple(_))));
    let Value::Array(lists) = client.read_value() else { panic!("no array") };
    let refused = lists.iter().filter(|list| matches!(list, Value::Error(why) if why.starts_with("OOM "))).count();
    assert!((1..LISTS / 2).contains(&refused), "{refused} of {LISTS} were refused");
    assert_eq!(client.line("PING"), "PONG");
    let local = named[0].stream().local_addr().expect("is connected");
    assert_eq!(client.line(format!("CLIENT KILL {local}")), "OK");
    eventually("it has ended", DEADLINE, || client.lines("CLIENT LIST").len() == 300);
    assert_eq!(client.line("CLIENT KILL TYPE normal"), "299");
}

#[test]
fn a_client_that_is_not_admitted_has_no_answers_collected() {
    let cluster = Cluster::start_with(1, |config| {
        config.secrets = kvstore::secret::Secrets::of(
            kvstore::secret::Secret::new(b"open-sesame-open-sesame").expect("a good secret"),
        );
        config.client_write_timeout = Duration::from_millis(500);
    });
    let mut good = cluster.client(1);
    assert_eq!(good.line("AUTH open-sesame-open-sesame"), "OK");
    let stranger = cluster.client(1);
    stranger.stream().set_nonblocking(true).expect("is connected");
    // Their length divides that of any buffer, so none is ever begun and not whole, which would end the connection by
    // itself.
    let requests = b"GET key\n".repeat(8192);
    let mut most = 0;
    eventually("it is cut off", DEADLINE, || {
        most = most.max(good.count("used_memory"));
        matches!(stranger.stream().write(&requests), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock)
    });
    assert!(most < 1024 * 1024, "{most} bytes are counted");
}

// ---- malformed input ------------------------------------------------------------------------------------------------

#[test]
fn what_cannot_be_framed_is_answered_in_its_own_form_and_ends_the_session() {
    let cluster = Cluster::start(1);
    let mut good = cluster.client(1);
    for (sent, answer) in [
        ("*-x\r\n", "-ERR Protocol error: invalid array length*"),
        ("*-\r\n", "-ERR Protocol error: invalid array length*"),
        ("*1000000000\r\n", "-ERR Protocol error: invalid array length*"),
        ("*99999999999999999999999999\r\n", "-ERR Protocol error: invalid array length*"),
        ("*x\r\n", "-ERR Protocol error: invalid array length*"),
        ("*\r\n", "-ERR Protocol error: invalid array length*"),
        ("*1 \r\n", "-ERR Protocol error: invalid array length*"),
        ("*1\r\n$-1\r\n", "-ERR Protocol error: invalid bulk length*"),
        ("*1\r\n$99999999999\r\n", "-ERR Protocol error: invalid bulk length*"),
        ("*2\r\n$3\r\nGET\r\n$abc\r\n", "-ERR Protocol error: invalid bulk length*"),
        ("*1\r\n*1\r\n$4\r\nPING\r\n", "-ERR Protocol error: expected a bulk string ('$'), got '?'*"),
        ("*1\r\n:1\r\n", "-ERR Protocol error: expected a bulk string ('$'), got ':'*"),
        ("*1\r\n$3\r\nPING\r\n", "-ERR Protocol error: expected the end of a bulk string, got 'G'*"),
        ("*1\r\n$5\r\nPING\r\n\r\n", "-ERR Protocol error: expected the end of a bulk string*"),
        ("*1\rx", "-ERR Protocol error: *"),
        ("*1\n$4\nPING\n*************************", "-ERR Protocol error: *"),
    ] {
        let mut client = cluster.client(1);
        client.send("PING\n");
        client.send(sent);
        client.send("SET slipped in\n");
        let said = client.read_to_end();
        assert_matches(&said, &format!("PONG\n{answer}\r\n"));
        assert_eq!(said.iter().filter(|&&byte| byte == b'\n').count(), 2, "one error, and the end");
        assert_undisturbed(&mut good);
    }
    assert_eq!(good.line("GET slipped"), "Key not found");
    wait_until_alone(&mut good);
}

#[test]
fn lines_of_rubbish_are_answered_one_by_one_and_the_session_goes_on() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for (rubbish, is_quoted) in [
        (&b"\xff\xfe\x80"[..], false),
        (b"? \x1b[31m", false),
        (b"$5", false),
        (b"+OK", false),
        (b"-ERR", false),
        (b":1", false),
        (b"\xc3\x28 \x80", false),
        (b"{\"a\":1}", true),
        (b"'", true),
        (b"\\", false),
    ] {
        let answer = client.line(rubbish);
        let expected = if is_quoted { "unbalanced quotes: *" } else { "unknown command '*': type HELP for the list" };
        assert_matches(answer.as_bytes(), &format!("ERROR: {expected}"));
        assert!(answer.is_ascii() && !answer.contains(char::is_control), "{answer:?}");
    }
    client.send("\n   \n\r\n");
    assert_undisturbed(&mut client);
}

#[test]
fn random_bytes_never_end_more_than_their_own_session() {
    // Its peer never connects.
    let node = Process::start(&Links::new(2), 1, "200ms");
    let mut good = node.client();
    good.wait_until_it_serves();
    let seed = 7;
    let mut random = fastrand::Rng::with_seed(seed);
    let fragments: &[&[u8]] =
        &[b"*1\r\n", b"*3\r\n$3\r\n", b"SET", b"\r\n", b"$4\r\n", b"PING", b"\n", b" ", b"GET a", b"\0", b"*0\r\n"];
    for _ in 0..300 {
        let mut client = node.client();
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..60) {
            match random.bool() {
                true => bytes.extend_from_slice(fragments[random.usize(..fragments.len())]),
                false => bytes.extend((0..random.usize(..20)).map(|_| random.u8(..))),
            }
        }
        // The node may have ended the session before it has read everything.
        let _ = client.stream().write_all(&bytes);
        let _ = client.stream().shutdown(std::net::Shutdown::Write);
        client.read_to_end();
    }
    assert_undisturbed(&mut good);
    wait_until_alone(&mut good);
    assert_eq!(node.told("panicked"), 0, "seed {seed}: {:?}", node.log());
}

#[test]
fn nothing_is_allocated_for_a_length_that_was_merely_claimed() {
    // Its peer never connects.
    let node = Process::start(&Links::new(2), 1, "200ms");
    let mut good = node.client();
    good.wait_until_it_serves();
    let before_kb = node.memory_kb("VmRSS");
    let claims = [format!("*{MAX_ARGS}\r\n"), format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${MAX_VALUE_BYTES}\r\n")];
    let mut liars: Vec<Client> = Vec::new();
    for claim in claims.iter().cycle().take(100) {
        let mut client = node.client();
        client.send(claim);
        liars.push(client);
    }
    eventually("all are connected", DEADLINE, || good.count("connected_clients") == 101);
    assert_undisturbed(&mut good);
    let grown_kb = node.memory_kb("VmHWM") - before_kb;
    assert!(grown_kb < 100 * 100, "{grown_kb} KB for 100 connections");
}

// ---- browsers -------------------------------------------------------------------------------------------------------

#[test]
fn a_web_page_cannot_slip_commands_in() {
    let cluster = Cluster::start(1);
    let mut good = cluster.client(1);
    let body = "SET evil 1\r\nDEL good\r\n";
    for head in [
        "POST / HTTP/1.1\r\nHost: localhost:5008\r\nContent-Type: text/plain\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: localhost:5008\r\n\r\n",
        "GET /a HTTP/1.0\r\n\r\n",
        "PUT /a HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\n\r\n",
        "DELETE /good HTTP/1.1\r\n\r\n",
        "HEAD / HTTP/1.1\r\n\r\n",
        "CONNECT localhost:5008 HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "post /lower case\r\n",
        "POST\r\n",
        "host: localhost\r\n",
        "X-Header: 1\r\nHost: localhost\r\n\r\n",
        "SET /x HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "FLUSHALL / HTTP/1.1\r\n\r\n",
        "ECHO / HTTP/1.0\r\n\r\n",
        "DEL good HTTP/1.1\r\n\r\n",
    ] {
        assert_eq!(good.line("SET good 1"), "OK");
        let mut browser = cluster.client(1);
        let _ = browser.stream().write_all(format!("{head}{body}").as_bytes());
        let said = browser.read_to_end();
        assert_matches(&said, "*ERROR: this is not a web server; type HELP with a newline, or use a Redis client *\n");
        assert!(!said.windows(2).any(|pair| pair == b"OK"), "{head}: {}", said.escape_ascii());
    }
    assert_eq!(good.lines("MGET evil good"), ["Key not found", "1"]);
    wait_until_alone(&mut good);
}

#[test]
fn a_client_that_speaks_tls_or_sends_control_bytes_cannot_slip_commands_in() {
    let cluster = Cluster::start(1);
    let mut good = cluster.client(1);
    for (head, why) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00"[..], "this port does not speak TLS"),
        (b"\x16", "this port does not speak TLS"),
        (b"\x01\x02\r\n", "Protocol error: expected a command's name, got '\\x01'"),
        (b"GET\x00 a\n", "Protocol error: expected a command's name, got '\\x00'"),
    ] {
        assert_eq!(good.line("SET good 1"), "OK");
        let mut other = cluster.client(1);
        let _ = other.stream().write_all(&[head, b"\nSET evil 1\nDEL good\n"].concat());
        let said = other.read_to_end().escape_ascii().to_string().replace("\\\\", "\\").replace("\\'", "'");
        assert!(said.starts_with(&format!("ERROR: {why}")) && said.matches("\\n").count() == 1, "{said}");
    }
    assert_eq!(good.lines("MGET evil good"), ["Key not found", "1"]);
}

#[test]
fn a_value_may_look_like_http() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET request \"GET / HTTP/1.1\""), "OK");
    assert_eq!(client.line("SET version HTTP/1.1, or so"), "OK");
    assert_eq!(client.resp(&["SET", "plain", "GET / HTTP/1.1"]).to_string(), "+OK");
    assert_eq!(client.line("SET Host: x"), "OK");
    assert_eq!(client.resp(&["SET", "POST", "HTTP/1.1"]).to_string(), "+OK");
    assert_eq!(client.line("GET request"), "GET / HTTP/1.1");
}

// ---- limits ---------------------------------------------------------------------------------------------------------

#[test]
fn a_key_may_be_as_long_as_the_limit_and_no_longer() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let longest = "k".repeat(MAX_KEY_BYTES);
    let refused = format!("a key has at most {MAX_KEY_BYTES} bytes, this one has {}", MAX_KEY_BYTES + 1);
    assert_eq!(client.line(format!("SET {longest} v")), "OK");
    assert_eq!(client.resp(&["GET", &longest]).to_string(), "$v");
    for verb in ["GET", "DEL", "EXISTS", "MGET", "VERSION"] {
        assert_eq!(client.line(format!("{verb} {longest}k")), format!("ERROR: {refused}"), "{verb}");
        assert_eq!(client.resp(&[verb, &format!("{longest}k")]).to_string(), format!("-ERR {refused}"), "{verb}");
    }
    for verb in ["SET", "MSET"] {
        assert_eq!(client.resp(&[verb, &format!("{longest}k"), "v"]).to_string(), format!("-ERR {refused}"), "{verb}");
    }
    assert_undisturbed(&mut client);
}

#[test]
fn a_value_may_be_as_long_as_the_limit_and_no_longer() {
    let cluster = Cluster::start(2);
    let (mut client, mut other) = (cluster.client(1), cluster.client(2));
    let value = vec![b'v'; MAX_VALUE_BYTES + 1];
    let longest = Value::Bulk(value[..MAX_VALUE_BYTES].to_vec());
    assert_eq!(client.resp(&[b"SET", &b"k"[..], &value[..MAX_VALUE_BYTES]]).to_string(), "+OK");
    assert!(client.resp(&["GET", "k"]) == longest);
    let refused = format!("-ERR a value has at most {MAX_VALUE_BYTES} bytes, this one has {}", MAX_VALUE_BYTES + 1);
    assert_eq!(client.resp(&[b"SET", &b"k"[..], &value]).to_string(), refused);
    assert_eq!(client.resp(&[b"MSET", &b"a"[..], b"1", b"k", &value]).to_string(), refused);
    assert_eq!(client.line("GET a"), "Key not found", "nothing of a refused MSET is stored");
    eventually("the longest value reaches the peer", DEADLINE, || other.resp(&["GET", "k"]) == longest);
    assert_undisturbed(&mut client);
}

#[test]
fn the_longest_key_with_the_longest_value_passes_between_nodes_by_a_round_too() {
    let cluster = Cluster::start_with(2, |config| {
        config.rules = config.rules.without(kvstore::rules::Rule::Propagation);
    });
    let (key, value) = (vec![b'k'; MAX_KEY_BYTES], vec![b'v'; MAX_VALUE_BYTES]);
    for number in [1, 2] {
        let key = [&key[..MAX_KEY_BYTES - 1], &[number as u8]].concat();
        assert_eq!(cluster.client(number).resp(&[b"SET", &key[..], &value]).to_string(), "+OK");
    }
    cluster.wait_until_it_agrees();
    assert_eq!(cluster.client(1).line("DBSIZE"), "2");
}

#[test]
fn a_line_may_be_as_long_as_the_limit_and_no_longer() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let value = "v".repeat(MAX_LINE_BYTES - "SET k ".len());
    assert_eq!(client.line(format!("SET k {value}")), "OK");
    assert_eq!(client.line("GET k").len(), value.len());
    let _ = client.stream().write_all(format!("SET k {value}v\nSET slipped in\n").as_bytes());
    let said = client.read_to_end();
    assert_matches(&said, "ERROR: a line has at most * bytes; use a Redis client for longer values\n");
    let mut good = cluster.client(1);
    assert_eq!(good.line("GET slipped"), "Key not found");
    let mut endless = cluster.client(1);
    let _ = endless.stream().write_all(&vec![b'x'; MAX_LINE_BYTES + 1]);
    assert_matches(&endless.read_to_end(), "ERROR: a line has at most *\n");
}

#[test]
fn a_request_may_have_as_many_words_as_the_limit_and_no_more() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET a 1"), "OK");
    let words: Vec<&str> = std::iter::once("EXISTS").chain(std::iter::repeat_n("a", MAX_ARGS - 1)).collect();
    let answer = client.resp(&words);
    assert_eq!(answer, Value::Integer(MAX_ARGS as i64 - 1));
    client.send(format!("*{}\r\n", MAX_ARGS + 1));
    assert_matches(&client.read_to_end(), "-ERR Protocol error: invalid array length*");
}

#[test]
fn a_request_of_allowed_parts_is_refused_when_they_are_too_long_together() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let half = vec![b'v'; MAX_FRAME_BYTES / 2 - 100];
    assert_eq!(client.resp(&[b"MSET", &b"a"[..], &half, b"b", &half]).to_string(), "+OK");
    let _ = client.stream().write_all(&encode(&[b"MSET", &b"c"[..], &half, b"d", &half, b"e", &half]));
    assert_matches(&client.read_to_end(), "-ERR Protocol error: a request has at most *\r\n");
    assert_eq!(cluster.client(1).line("DBSIZE"), "2");
}

#[test]
fn a_word_of_a_request_beyond_what_any_command_takes_ends_the_session() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    client.send(format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n", 2 * MAX_VALUE_BYTES));
    assert_matches(&client.read_to_end(), "-ERR Protocol error: invalid bulk length, expected a number from 0 to *");
}

#[test]
fn a_client_may_have_a_name_as_long_as_the_limit_of_printable_characters() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let name = "n".repeat(MAX_CLIENT_NAME_BYTES);
    assert_eq!(client.resp(&["CLIENT", "SETNAME", &name]).to_string(), "+OK");
    assert_eq!(client.line("CLIENT GETNAME"), name);
    for bad in [&format!("{name}n"), "two words", "new\nline", "bell\u{7}"] {
        assert_matches(client.resp(&["CLIENT", "SETNAME", bad]).to_string().as_bytes(), "-ERR Client names cannot *");
        assert_matches(client.resp(&["HELLO", "2", "SETNAME", bad]).to_string().as_bytes(), "-ERR Client names *");
    }
    assert_eq!(client.line("CLIENT GETNAME"), name);
}

#[test]
fn a_scan_copies_a_bounded_number_of_keys() {
    let cluster = Cluster::start(1);
    for n in 0..MAX_SCAN_COUNT * 6 / 5 {
        cluster.node(1).replica().set(n.to_string().as_bytes(), b"v");
    }
    let mut client = cluster.client(1);
    let Value::Array(parts) = client.resp(&["SCAN", "0", "COUNT", "1000000000"]) else { panic!("no array") };
    let [_, Value::Array(keys)] = &parts[..] else { panic!("a cursor and keys") };
    assert!((MAX_SCAN_COUNT..MAX_SCAN_COUNT + 10).contains(&keys.len()), "{}", keys.len());
}

#[test]
fn an_answer_has_a_bound_although_a_short_request_may_ask_for_more() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.resp(&[b"SET", &b"k"[..], &vec![b'v'; MAX_VALUE_BYTES]]).to_string(), "+OK");
    let request = format!("MGET{}", " k".repeat(MAX_ANSWER_BYTES / MAX_VALUE_BYTES + 1));
    let refused = format!("the answer would be longer than {MAX_ANSWER_BYTES} bytes");
    assert!(client.line(&request).starts_with(&format!("ERROR: {refused}")));
    let words: Vec<&str> = request.split(' ').collect();
    assert!(client.resp(&words).to_string().starts_with(&format!("-ERR {refused}")));
    assert_undisturbed(&mut client);
}

#[test]
fn an_error_shows_a_long_word_in_part_only() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let answer = client.resp(&["X".repeat(100_000)]).to_string();
    assert!(answer.len() < 200, "{} bytes", answer.len());
    assert_eq!(client.line("PING"), "PONG");
}

// ---- clients that claim to be peers ---------------------------------------------------------------------------------

#[test]
fn what_does_not_follow_the_peer_protocol_is_refused_and_ends_the_session() {
    let cluster = Cluster::start(1);
    let mut good = cluster.client(1);
    let peer = |name: &[u8], node: &[u8]| peer_words(name, node, b"00000000000000aa");
    let with = |index: usize, word: &[u8]| encode(&with_word(peer(b"other", b"9"), index, word));
    let hello = encode(&peer(b"other", b"9"));
    let other_protocol = format!("-REFUSED this node speaks version {PROTOCOL} of the peer protocol, not 1");
    for (sent, answer) in [
        (encode(&["PEER"]), "-REFUSED *"),
        (with(1, b"1"), &other_protocol),
        (encode(&peer(b"node1", b"9")), "-REFUSED * has the name or the number *"),
        (encode(&peer(b"other", b"1")), "-REFUSED * has the name or the number *"),
        (encode(&peer(b"two words", b"9")), "-REFUSED a name has *"),
        (encode(&peer(b"other", b"0")), "-REFUSED a node's number *"),
        (with(5, &[0xff; 8]), "-REFUSED a clock before the year 2200*"),
        (with(6, b"no number"), "-REFUSED a store's number is a hex number*"),
        (with(7, b"-1"), "-REFUSED a number is missing*"),
        (with(8, &[0; 23]), "-REFUSED stores, confirmations and incarnations have 8 bytes each*"),
        ([&hello[..], &encode(&["SET", "k", "v"])].concat(), "*-REFUSED no request of the peer protocol: SET*"),
        ([&hello[..], &encode(&["PROPAGATE", "short"])].concat(), "*-REFUSED malformed entry*"),
        ([&hello[..], &encode(&["CONFIRM", "99", "0"])].concat(), "*-REFUSED other confirms 99 entries*"),
        ([&hello[..], &encode(&["LEAF", "ffff", "00000000", "0000", "00000000"])].concat(), "*-REFUSED prefixes *"),
        ([&hello[..], &encode(&["LEAF", "ffff", "0000000"])].concat(), "*-REFUSED each branch *"),
        ([&hello[..], &encode(&["LEAF", "ffff"])].concat(), "*-REFUSED each branch *"),
        ([&hello[..], &encode(&["LEAF", "f"])].concat(), "*-REFUSED prefixes *"),
        ([&hello[..], &b"PING\n"[..]].concat(), "*-REFUSED *"),
    ] {
        let mut client = cluster.client(1);
        client.send(&sent);
        assert_matches(&client.read_to_end(), &format!("{answer}\r\n"));
        assert_undisturbed(&mut good);
    }
    assert_eq!(good.line("GET k"), "Key not found");
    assert_matches(good.line("PROPAGATE SET k v").as_bytes(), "ERROR: unknown command *");
    wait_until_alone(&mut good);
}

#[test]
fn one_too_many_who_drips_is_ended_as_soon_as_one_who_is_silent() {
    let cluster = Cluster::start_with(1, |config| config.max_connections = 1);
    let mut first = cluster.client(1);
    eventually("the only place is free, and taken", DEADLINE, || {
        first.line("PING") == "PONG" || {
            first = cluster.client(1);
            false
        }
    });
    let mut dripping = std::net::TcpStream::connect(cluster.address(1)).expect("connects");
    // Never a whole request, and never silent for long.
    eventually("it is ended", Duration::from_secs(10), || dripping.write_all(b"x").is_err());
}
