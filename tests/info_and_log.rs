//! What a node tells about itself: INFO, and the log.

use std::process::Command;
use std::time::Duration;

use crate::common::{Client, Cluster, DEADLINE, Links, Mode, Process, Value, eventually, peer_words, with_word};
use kvstore::commands::glob;
use kvstore::replication::message::PROTOCOL;

// ---- INFO -----------------------------------------------------------------------------------------------------------

#[test]
fn info_has_every_field_in_the_format_of_redis() {
    let cluster = Cluster::start(2);
    let mut client = cluster.client(1);
    eventually("a first round", DEADLINE, || client.peer(1, "last_round") == "ok");
    let Value::Bulk(text) = client.resp(&["INFO"]) else { panic!("INFO is a bulk string") };
    let text = String::from_utf8(text).expect("it is text");
    assert!(text.starts_with("# Server\r\n") && text.ends_with("\r\n"));
    for line in text.split_terminator("\r\n") {
        let well_formed = line.is_empty()
            || line.starts_with("# ")
            || line.split_once(':').is_some_and(|(name, _)| !name.contains(' '));
        assert!(well_formed, "{line:?}");
    }
    let info = client.info();
    for (field, pattern) in [
        ("kvstore_version", env!("CARGO_PKG_VERSION")),
        ("redis_version", "7.2.4"),
        ("redis_mode", "standalone"),
        ("arch_bits", &usize::BITS.to_string()),
        ("node", "1"),
        ("name", "node1"),
        ("incarnation", "????????????????"),
        ("uptime_in_seconds", "*"),
        ("process_id", &std::process::id().to_string()),
        ("tcp_port", &cluster.address(1).port().to_string()),
        ("connected_clients", "*"),
        ("blocked_clients", "0"),
        ("rejected_connections", "0"),
        ("total_commands_processed", "*"),
        ("used_cpu_sys", "*.??????"),
        ("used_cpu_user", "*.??????"),
        ("keys", "0"),
        ("tombstones", "0"),
        ("root_digest", "0000000000000000"),
        ("clock_drift_rejected", "0"),
        ("propagated", "0"),
        ("rounds", "*"),
        ("rounds_failed", "*"),
        ("sync_pulled", "0"),
        ("sync_pushed", "0"),
        ("sync_bytes_sent", "*"),
        ("sync_bytes_received", "*"),
        ("db0", "keys=0,expires=0,avg_ttl=0"),
        (
            "peer1",
            "name=node2,address=127.0.0.1:*,link=up,incarnation=????????????????,queued=0,dropped=0,retries=*,*\
             last_round=ok,last_round_age_ms=*",
        ),
    ] {
        let value = info.get(field).unwrap_or_else(|| panic!("{field} is missing"));
        assert!(glob::matches(pattern.as_bytes(), value.as_bytes()), "{field}:{value}");
    }
    let server = client.lines("INFO server").join("\n");
    assert!(server.starts_with("# Server") && !server.contains("# Clients"));
    assert_eq!(client.peer(1, "incarnation"), cluster.client(2).info()["incarnation"]);
}

/// The README may explain more than this build shows.
#[test]
fn every_field_of_info_is_explained_in_the_readme() {
    let cluster = Cluster::start(2);
    let mut client = cluster.client(1);
    eventually("a first round", DEADLINE, || client.peer(1, "last_round") == "ok");
    let explained = fields_in_the_readme();
    for (field, value) in client.info() {
        let field = if field.strip_prefix("peer").is_some_and(|n| n.parse::<u16>().is_ok()) { "peerN" } else { &field };
        assert!(explained.iter().any(|known| known == field), "{field} is not explained");
        // What stands before `=` there are the names of nodes.
        let parts = if field == "tombstones_held_by" { "" } else { &value };
        for (part, _) in parts.split(',').filter_map(|part| part.split_once('=')) {
            let part = format!("{field}.{part}");
            assert!(explained.contains(&part), "{part} is not explained");
        }
    }
}

/// The fields in the table of INFO; a part of a field is written `field.part`. A row begins with "`field`, `field`", or
/// with "`field`: `part`, `part`".
fn fields_in_the_readme() -> Vec<String> {
    let readme = include_str!("../README.md");
    let (_, section) = readme.split_once("### What INFO shows").expect("the README has a section on INFO");
    let (section, _) = section.split_once("\n#").expect("another section follows");
    let mut fields = Vec::new();
    for row in section.lines().filter_map(|line| line.strip_prefix("| `")) {
        let (names, _) = row.split_once(" | ").expect("a second cell");
        let mut names = names.split('`').step_by(2).map(String::from);
        if row.split('`').nth(1).is_some_and(|after| after.starts_with(':')) {
            let field = names.next().expect("stands before the colon");
            fields.extend(names.map(|part| format!("{field}.{part}")));
            fields.push(field);
        } else {
            fields.extend(names);
        }
    }
    fields
}

#[test]
fn what_info_counts_moves_with_what_it_counts() {
    // A round comes only when one is asked for.
    let cluster = Cluster::start_with(2, |config| config.interval = Duration::from_secs(3600));
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    one.lines("SYNC");
    let before = one.info();
    let number = |info: &std::collections::HashMap<String, String>, field: &str| -> u64 {
        info[field].parse().expect("a number")
    };

    assert_eq!(one.line("MSET a 1 b 2 c 3"), "OK");
    assert_eq!(one.line("DEL c"), "OK");
    eventually("the writes arrive", DEADLINE, || two.line("EXISTS a b c") == "2" && two.count("tombstones") == 1);
    eventually("they are counted", DEADLINE, || one.count("propagated") >= 3 && one.peer(1, "queued") == "0");
    let after = one.info();
    assert_eq!((number(&after, "keys"), number(&after, "tombstones")), (2, 1));
    assert_eq!(after["db0"], "keys=2,expires=0,avg_ttl=0");
    assert_eq!(after["root_digest"], one.line("DIGEST"));
    assert_eq!(after["root_digest"], two.info()["root_digest"]);
    assert_ne!(after["root_digest"], before["root_digest"]);
    assert!(number(&after, "total_commands_processed") >= number(&before, "total_commands_processed") + 2);

    let more = [cluster.client(1), cluster.client(1)];
    eventually("they are counted", DEADLINE, || {
        one.count("connected_clients") == number(&after, "connected_clients") + 2
    });
    let received = number(&one.info(), "total_connections_received");
    assert!(received >= number(&after, "total_connections_received") + 2);
    drop(more);
    eventually("they are gone", DEADLINE, || one.count("connected_clients") == number(&after, "connected_clients"));

    one.lines("SYNC");
    let synced = one.info();
    assert!(number(&synced, "rounds") > number(&after, "rounds"));
    assert!(number(&synced, "sync_bytes_sent") > number(&after, "sync_bytes_sent"));
    assert!(number(&synced, "sync_bytes_received") > number(&after, "sync_bytes_received"));
    let age: u64 = one.peer(1, "last_round_age_ms").parse().expect("a number");
    assert!(age < 10_000, "{age}");
    eventually("the round grows older", DEADLINE, || {
        one.peer(1, "last_round_age_ms").parse::<u64>().is_ok_and(|now| now > age)
    });
    let cpu = |one: &mut Client| one.info()["used_cpu_user"].parse::<f64>().expect("a number of seconds");
    let before = cpu(&mut one);
    eventually("the time that it has computed grows", DEADLINE, || cpu(&mut one) > before);
    eventually("the node too", DEADLINE, || one.count("uptime_in_seconds") >= 1);
}

#[test]
fn info_tells_how_a_link_is() {
    let mut cluster = Cluster::start_with(2, |config| config.propagation_queue = 4);
    let (mut one, mut two) = (cluster.client(1), cluster.client(2));
    eventually("the link is up", DEADLINE, || one.peer(1, "link") == "up");
    let incarnation = one.peer(1, "incarnation");

    cluster.links.set(Mode::Cut);
    eventually("the link is down", DEADLINE, || one.peer(1, "link") == "down");
    for n in 0..100 {
        assert_eq!(one.line(format!("SET k{n} v")), "OK");
    }
    assert_eq!(one.peer(1, "queued"), "4");
    assert!(one.peer(1, "dropped").parse::<u64>().is_ok_and(|dropped| dropped >= 90));
    eventually("it tries again and again", DEADLINE, || {
        one.peer(1, "retries").parse::<u64>().is_ok_and(|times| times > 2)
    });
    eventually("the rounds fail", DEADLINE, || one.peer(1, "last_round") == "failed" && one.count("rounds_failed") > 0);
    assert_eq!(two.line("SET here x"), "OK");

    cluster.links.heal();
    eventually("the link is up again", DEADLINE, || one.peer(1, "link") == "up" && one.peer(1, "last_round") == "ok");
    cluster.wait_until_it_agrees();
    eventually("the queue is empty", DEADLINE, || one.peer(1, "queued") == "0");
    let repaired = one.count("sync_pushed") + two.count("sync_pulled");
    assert!(repaired >= 90, "{repaired}");
    assert_eq!(one.peer(1, "incarnation"), incarnation);

    cluster.stop(2);
    cluster.start_again(2, |_| {});
    eventually("its memory is gone, and node 1 knows", DEADLINE, || one.peer(1, "incarnation") != incarnation);
}

#[test]
fn a_node_that_has_never_had_a_round_says_so() {
    let mut cluster = Cluster::start(2);
    cluster.stop(2);
    cluster.links.set(Mode::Stalled);
    cluster.start_again(2, |_| {});
    let mut client = cluster.client(2);
    assert_eq!(client.peer(1, "last_round"), "never");
    assert_eq!((client.peer(1, "name"), client.peer(1, "link")), ("?".into(), "down".into()));
    cluster.links.heal();
    eventually("the first round", DEADLINE, || client.peer(1, "last_round") == "ok");
}

// ---- STATUS ---------------------------------------------------------------------------------------------------------

#[test]
fn status_fits_on_a_screen_and_tells_how_the_peers_are() {
    let mut cluster = Cluster::start(3);
    let mut client = cluster.client(1);
    assert_eq!(client.line("MSET a 1 b 2"), "OK");
    let screen = |client: &mut Client| client.lines("STATUS");
    eventually("both peers are well", DEADLINE, || {
        let rows = screen(&mut client);
        let is_well = |row: &&String| glob::matches(b"node? 127.0.0.1:* up ?s * ok ?s ago", row.as_bytes());
        rows.iter().filter(is_well).count() == 2 && rows.iter().any(|row| row.starts_with("peers: 2 of 2 up "))
    });
    let rows = screen(&mut client);
    assert!(rows.len() <= 21 && rows.iter().all(|row| row.chars().count() <= 80), "{rows:#?}");
    let address = format!("address     {}, number 1, incarnation *", cluster.address(1));
    for pattern in
        ["node        node1", &address, "state       serves clients", "keys        2, *", "disk        none*"]
    {
        assert!(rows.iter().any(|row| glob::matches(pattern.as_bytes(), row.as_bytes())), "{pattern}: {rows:#?}");
    }
    let Value::Bulk(text) = client.resp(&["STATUS", "color"]) else { panic!("a bulk string") };
    assert!(String::from_utf8_lossy(&text).contains("\u{1b}[32mup "), "{}", text.escape_ascii());

    cluster.stop(3);
    eventually("a peer is down", DEADLINE, || {
        let rows = screen(&mut client);
        let is_down = |row: &String| glob::matches(b"node3 127.0.0.1:* down ?s * failed ?s ago", row.as_bytes());
        rows.iter().any(is_down) && rows.iter().any(|row| row == "held up by  node3 away")
    });
}

// ---- the log --------------------------------------------------------------------------------------------------------

/// How many rounds are waited for to see that nothing is said about them.
const QUIET_ROUNDS: u64 = 5;

#[track_caller]
fn rounds_pass(client: &mut Client) {
    let before = client.count("rounds");
    eventually("some rounds", DEADLINE, || client.count("rounds") >= before + QUIET_ROUNDS);
}

/// Waits until the node has told all of these, each once, in this order.
#[track_caller]
fn tells(node: &Process, story: &[&str]) {
    let matching = |line: &&String| story.iter().any(|event| glob::matches(event.as_bytes(), line.as_bytes()));
    eventually("the whole story", DEADLINE, || node.log().iter().filter(matching).count() >= story.len());
    let log = node.log();
    let told: Vec<&String> = log.iter().filter(matching).collect();
    let log = log.join("\n");
    assert_eq!(told.len(), story.len(), "each event once:\n{log}");
    for (line, event) in told.iter().zip(story) {
        assert!(glob::matches(event.as_bytes(), line.as_bytes()), "{event} is not next:\n{log}");
    }
}

#[test]
fn the_log_tells_a_fault_with_a_line_for_each_event_and_is_silent_otherwise() {
    let links = Links::new(2);
    let first = Process::start(&links, 1, "50ms");
    let second = Process::start(&links, 2, "50ms");
    let mut client = first.client();
    client.wait_until_it_serves();
    second.client().wait_until_it_serves();
    eventually("both links are up", DEADLINE, || {
        client.peer(1, "link") == "up" && second.client().peer(1, "link") == "up"
    });
    rounds_pass(&mut client);
    let quiet = (first.log(), second.log());
    rounds_pass(&mut client);
    assert_eq!((first.log(), second.log()), quiet, "rounds in which nothing differs are not told");

    // What node 1 sends at once shall not come before node 2 asks for it.
    links.between(1, 2).set(Mode::Cut);
    second.kill();
    eventually("the link is down", DEADLINE, || client.peer(1, "link") == "down");
    for n in 0..100 {
        assert_eq!(client.line(format!("SET k{n} v")), "OK");
    }
    rounds_pass(&mut client);
    let second = Process::start(&links, 2, "50ms");
    second.client().wait_until_it_serves();
    links.heal();
    eventually("the link is up", DEADLINE, || client.peer(1, "link") == "up");
    rounds_pass(&mut client);

    tells(
        &first,
        &[
            "* WARN *node1: link to node2 (127.0.0.1:*) lost: *; retrying in *",
            "* INFO *node1: node2 has started again without its data",
            "* INFO *node1: link to node2 (127.0.0.1:*) is back after *s",
        ],
    );
    tells(
        &second,
        &[
            "* INFO *node2: link to node1 (127.0.0.1:*) is up",
            "* INFO *node2: round with node1 (127.0.0.1:*): pulled 100, pushed 0 in *s",
            "* INFO *node2: serves clients on 127.0.0.1:* (100 keys)",
        ],
    );
    let quiet = (first.log(), second.log());
    rounds_pass(&mut client);
    assert_eq!((first.log(), second.log()), quiet, "afterwards there is nothing to tell");
    assert!(quiet.0.len() < 12, "{:#?}", quiet.0);
}

#[test]
fn a_node_that_stops_says_no_more_than_that() {
    let links = Links::new(2);
    let (mut first, second) = (Process::start(&links, 1, "200ms"), Process::start(&links, 2, "200ms"));
    first.client().wait_until_it_serves();
    second.client().wait_until_it_serves();
    eventually("the link is up", DEADLINE, || first.client().peer(1, "link") == "up");
    let before = first.log().len();
    first.signal("TERM");
    first.wait();
    eventually("it says so", DEADLINE, || first.told("node1: stopped") == 1);
    assert_eq!(first.log().len(), before + 1, "{:#?}", first.log());
}

#[test]
fn a_peer_whose_clock_is_far_ahead_is_reported_once() {
    // A peer of our own making says so on every connection.
    let links = Links::new(2);
    let node = Process::start(&links, 1, "200ms");
    node.client().wait_until_it_serves();
    let ahead = kvstore::store::clock::Timestamp::from_millis(4_000_000_000_000).to_bits().to_be_bytes();
    for _ in 0..3 {
        let mut peer = node.client();
        let answer = peer.resp(&with_word(peer_words(b"fast", b"9", b"00000000000000aa"), 5, &ahead));
        assert!(matches!(answer, Value::Array(_)), "{answer}");
    }
    eventually("it is reported", DEADLINE, || node.told("fast sent something from") > 0);
    assert_eq!(node.told("fast sent something from"), 1);
    assert_eq!(node.client().count("clock_drift_rejected"), 3);
}

#[test]
fn a_peer_that_is_refused_again_and_again_is_named_once_in_a_while() {
    let links = Links::new(2);
    let node = Process::start(&links, 1, "200ms");
    node.client().wait_until_it_serves();
    let refused = |protocol: &str, name: &str| {
        let answer = node.client().resp(&with_word(peer_words(name.as_bytes(), b"9", b"aa"), 1, protocol.as_bytes()));
        assert!(answer.to_string().starts_with("-REFUSED "), "{answer}");
    };
    (0..5).for_each(|_| refused("99", "old"));
    eventually("it is named", DEADLINE, || node.told("refused the peer old (127.0.0.1): this node speaks") > 0);
    refused(&PROTOCOL.to_string(), "node1");
    eventually("so is another", DEADLINE, || node.told("refused the peer node1 (127.0.0.1): ") == 1);
    assert_eq!(node.told("refused the peer old "), 1, "{:?}", node.log());
    assert_eq!(node.client().count("peers_refused"), 6);
    // A stranger with ever new names.
    (0..200).for_each(|n| refused("99", &format!("name{n}")));
    eventually("all are counted", DEADLINE, || node.client().count("peers_refused") == 206);
    assert!(node.told("refused the peer ") < 100, "the log does not fill up");
}

#[test]
fn the_log_says_once_in_a_while_that_all_places_are_taken() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node1"));
    let node = Process::run(command.args(["--listen", "127.0.0.1:0", "--alone", "--max-connections", "1"]));
    let mut first = node.client();
    first.wait_until_it_serves();
    for _ in 0..3 {
        assert!(node.client().line("PING").contains("max number of clients reached"));
    }
    eventually("it is told", DEADLINE, || node.told("all 1 places for connections are taken (--max-connections)") > 0);
    assert_eq!(node.told("places for connections"), 1);
}
