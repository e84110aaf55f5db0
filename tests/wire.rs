//! The codec of the peer protocol: what is written can be read, and what does not follow the specification is refused.
//! Every length and every count that a peer sends is tried with one too few and one too many.

use kvstore::framing::resp::{self, write_array, write_bulk, write_integer};
use kvstore::framing::{Form, RequestParser};
use kvstore::limits::{MAX_HEARD, MAX_KEY_BYTES, MAX_NAME_BYTES};
use kvstore::replication::message::{
    Confirmation, Differences, Greeting, Heard, Held, Incarnation, Listed, PROTOCOL, Reply, Request, StoreId,
};
use kvstore::replication::wire::BadMessage;
use kvstore::store::arrival::Arrival;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::digest::{Digest, FANOUT, Prefix};
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

fn record(content: Content<'_>) -> Record {
    let version = Version::new(Timestamp::from_millis(9), NodeId(2));
    Record::new(b"key", Entry { version, content })
}

fn greeting() -> Greeting {
    let greeting = Greeting::in_memory("node1", NodeId(1), Incarnation(0xfeed), Timestamp::from_millis(5));
    let heard = |store, confirmation, incarnation| Heard {
        store: StoreId(store),
        confirmation: Confirmation(confirmation),
        incarnation: Incarnation(incarnation),
    };
    let heard = vec![heard(u64::MAX, 1, 2), heard(0, u64::MAX, u64::MAX)];
    Greeting { store: StoreId(0xabc), confirmation: Confirmation(7), heard, ..greeting }
}

fn leaves(names: &[&str]) -> Vec<Prefix> {
    names.iter().map(|name| Prefix::parse(name.as_bytes()).expect(name)).collect()
}

fn held(names: &[&str], digests: &[Digest]) -> Vec<Held> {
    let held = |branch| Held { branch, newest: Timestamp::from_millis(4), digests: digests.into() };
    leaves(names).into_iter().map(held).collect()
}

fn decoded(bytes: &[u8]) -> Result<Request, BadMessage> {
    let mut parser = RequestParser::default();
    assert_eq!(parser.parse(bytes), Ok(Some((Form::Resp, bytes.len()))));
    Request::decode(parser.args(Form::Resp, bytes))
}

#[test]
fn requests_and_replies_survive_the_wire() {
    let digest = Digest::from_bits(0x0123_4567_89ab_cdef);
    let version = Version::new(Timestamp::from_millis(3), NodeId(1));
    let pairs = [
        (Request::Peer(greeting()), Reply::Peer { greeting: greeting(), arrivals: Arrival(17) }),
        (Request::Propagate(record(Content::Value(b"\r\n"))), Reply::Merged(true)),
        (Request::Propagate(record(Content::Tombstone)), Reply::Merged(false)),
        (Request::Root, Reply::Root(digest)),
        (Request::Digest(leaves(&["0", "a3"])), Reply::Children(vec![[digest; FANOUT]; 2])),
        (
            Request::Leaf(held(&["00", "a3f", "ffff"], &[digest; 2])),
            Reply::Leaf(Differences {
                covered: 2,
                news: vec![record(Content::Value(b"v")), record(Content::Tombstone)],
                listed: vec![Listed { key: b"k"[..].into(), version, check: 7, is_counted: true }],
                lacking: vec![digest],
            }),
        ),
        (
            Request::Fetch(vec![b"a"[..].into(), b""[..].into()]),
            Reply::Entries { covered: 2, records: vec![record(Content::Value(b"v")), record(Content::Tombstone)] },
        ),
        (Request::Confirm(Arrival(99), Confirmation(u64::MAX)), Reply::Ok),
        (Request::Root, Reply::Refused("revoked".into())),
        (Request::Peer(greeting()), Reply::OldCopy("move it away".into())),
    ];
    for (request, reply) in pairs {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        assert_eq!(decoded(&bytes), Ok(request.clone()));
        bytes.clear();
        reply.encode(&mut bytes);
        let mut parser = resp::Parser::default();
        let (frame, length) = parser.parse_reply(&bytes).unwrap().expect("whole");
        assert_eq!(length, bytes.len());
        assert_eq!(Reply::decode(frame, &request), Ok(reply));
    }
}

/// A request of these words.
fn request(words: &[&[u8]]) -> Result<Request, BadMessage> {
    let mut bytes = Vec::new();
    write_array(&mut bytes, words.len());
    words.iter().for_each(|word| write_bulk(&mut bytes, word));
    decoded(&bytes)
}

/// Whether a request of these words is accepted.
#[track_caller]
fn check(words: &[&[u8]], is_good: bool) {
    let result = request(words);
    assert_eq!(
        result.is_ok(),
        is_good,
        "{:?}: {result:?}",
        words.iter().map(|word| word.escape_ascii().to_string()).collect::<Vec<_>>()
    );
}

#[test]
fn a_greeting_has_five_or_eight_words_within_their_ranges() {
    let protocol = PROTOCOL.to_string();
    let (longest, too_long) = ("n".repeat(MAX_NAME_BYTES), "n".repeat(MAX_NAME_BYTES + 1));
    let good: [&[u8]; 9] = [b"PEER", protocol.as_bytes(), b"node1", b"1", b"feed", &[0; 8], b"abc", b"0", b""];
    check(&good, true);
    check(&good[..6], true);
    [5, 7, 8].into_iter().for_each(|words| check(&good[..words], false));
    check(&[&good[..], &[b"more"]].concat(), false);
    let latest = (Timestamp::YEAR_2200.to_bits() - 1).to_be_bytes();
    let too_late = Timestamp::YEAR_2200.to_bits().to_be_bytes();
    let (other_protocols, huge) =
        ([PROTOCOL - 1, PROTOCOL + 1].map(|version| version.to_string()), u64::MAX.to_string());
    let (most_heard, too_much_heard) = (vec![1; 24 * MAX_HEARD], vec![1; 24 * (MAX_HEARD + 1)]);
    let words: [(usize, &[u8], bool); 33] = [
        (1, other_protocols[0].as_bytes(), false),
        (1, other_protocols[1].as_bytes(), false),
        (2, b"no spaces", false),
        (2, b"", false),
        (2, longest.as_bytes(), true),
        (2, too_long.as_bytes(), false),
        (3, b"0", false),
        (3, b"65535", true),
        (3, b"65536", false),
        (3, huge.as_bytes(), false),
        (4, b"0", false),
        (4, b"", false),
        (4, b"ffffffffffffffff", true),
        (4, b"10000000000000000", false),
        (5, &[0; 7], false),
        (5, &[0; 9], false),
        (5, &latest, true),
        (5, &too_late, false),
        (5, &[255; 8], false),
        (6, b"0", true),
        (6, b"", false),
        (6, b"xyz", false),
        (6, b"ffffffffffffffff", true),
        (6, b"10000000000000000", false),
        (7, b"", false),
        (7, b"-1", false),
        (7, huge.as_bytes(), true),
        (7, b"18446744073709551616", false),
        (8, &[1; 23], false),
        (8, &[1; 24], true),
        (8, &[1; 25], false),
        (8, &most_heard, true),
        (8, &too_much_heard, false),
    ];
    for (index, word, is_good) in words {
        let mut changed = good;
        changed[index] = word;
        check(&changed, is_good);
    }
}

#[test]
fn an_entry_travels_whole_or_not_at_all() {
    for content in [Content::Value(b"value"), Content::Tombstone] {
        let entry = record(content).encode().to_vec();
        check(&[b"PROPAGATE", &entry], true);
        check(&[b"PROPAGATE"], false);
        check(&[b"PROPAGATE", &entry, &entry], false);
        check(&[b"PROPAGATE", &entry[..Record::HEADER_BYTES - 1]], false);
        check(&[b"PROPAGATE", &entry[..Record::HEADER_BYTES + 2]], false);
        let mut of_no_node = entry.clone();
        of_no_node[8..10].fill(0);
        check(&[b"PROPAGATE", &of_no_node], false);
        let mut too_late = entry.clone();
        too_late[..8].copy_from_slice(&Timestamp::YEAR_2200.to_bits().to_be_bytes());
        check(&[b"PROPAGATE", &too_late], false);
        let mut with_an_unknown_part = entry;
        with_an_unknown_part[12] |= 2;
        check(&[b"PROPAGATE", &with_an_unknown_part], false);
    }
}

#[test]
fn branches_have_the_right_depth_and_order() {
    check(&[b"DIGEST"], true);
    check(&[b"DIGEST", b""], true);
    check(&[b"DIGEST", b"abc", b"abd"], true);
    check(&[b"DIGEST", b"abcd"], false);
    check(&[b"DIGEST", b"", b"a3"], false);
    check(&[b"DIGEST", b"a3", b"a3"], false);
    check(&[b"DIGEST", b"b", b"a"], false);
    let none: &[u8] = &[0; 8];
    check(&[b"LEAF", b"aa", none, b"ab", none], true);
    check(&[b"LEAF", b"abcd", none], true);
    check(&[b"LEAF", b"a", none], false);
    check(&[b"LEAF", b"abcde", none, b"abcdf01234567890", none], true);
    check(&[b"LEAF", b"abcde012345678901", none], false);
    check(&[b"LEAF", b"bb", none, b"aa", none], false);
    check(&[b"LEAF", b"aaaa", none, b"aaaa", none], false);
    check(&[b"LEAF", b"aa", none, b"aab0", none], false);
    check(&[b"LEAF"], false);
    check(&[b"LEAF", b"aaaa"], false);
    check(&[b"LEAF", b"aaaa", none, b"bbbb"], false);
}

#[test]
fn what_is_held_below_a_branch_is_a_timestamp_and_whole_digests() {
    for (bytes, is_good) in [(7, false), (8, true), (9, false), (15, false), (16, true), (17, false), (24, true)] {
        check(&[b"LEAF", b"aaaa", &vec![0; bytes]], is_good);
    }
}

#[test]
fn keys_and_numbers_are_within_their_ranges() {
    check(&[b"FETCH"], false);
    check(&[b"FETCH", b""], true);
    check(&[b"FETCH", &vec![b'k'; MAX_KEY_BYTES]], true);
    check(&[b"FETCH", &vec![b'k'; MAX_KEY_BYTES + 1]], false);
    check(&[b"CONFIRM"], false);
    check(&[b"CONFIRM", b"1"], true);
    check(&[b"CONFIRM", b"1", b"2"], true);
    check(&[b"CONFIRM", b"1", b""], false);
    check(&[b"CONFIRM", b"1", b"2", b"3"], false);
    for (number, is_good) in
        [("0", true), ("18446744073709551615", true), ("18446744073709551616", false), ("-1", false), ("", false)]
    {
        check(&[b"CONFIRM", number.as_bytes(), b"1"], is_good);
        check(&[b"CONFIRM", b"1", number.as_bytes()], is_good);
    }
    check(&[b"GET", b"k"], false);
}

/// The reply to `request` in these bytes.
fn reply(bytes: &[u8], request: &Request) -> Result<Reply, BadMessage> {
    let mut parser = resp::Parser::default();
    let (frame, length) = parser.parse_reply(bytes).expect("well-formed").expect("whole");
    assert_eq!(length, bytes.len());
    Reply::decode(frame, request)
}

/// Whether a reply of these items is accepted.
#[track_caller]
fn check_reply(request: &Request, items: &[&[u8]], is_good: bool) {
    let mut bytes = Vec::new();
    write_array(&mut bytes, items.len());
    items.iter().for_each(|item| write_bulk(&mut bytes, item));
    let result = reply(&bytes, request);
    assert_eq!(result.is_ok(), is_good, "{}: {result:?}", bytes.escape_ascii());
}

#[test]
fn a_reply_of_another_kind_is_refused() {
    let requests = [
        Request::Peer(greeting()),
        Request::Propagate(record(Content::Tombstone)),
        Request::Root,
        Request::Digest(leaves(&["a"])),
        Request::Leaf(held(&["aaaa"], &[])),
        Request::Fetch(vec![b"k"[..].into()]),
        Request::Confirm(Arrival(1), Confirmation::NONE),
    ];
    for request in &requests {
        for bytes in [&b"+PONG\r\n"[..], b":2\r\n", b"$3\r\nabc\r\n", b"*0\r\n", b"*1\r\n$1\r\n1\r\n"] {
            let is_empty_entries = bytes == b"*1\r\n$1\r\n1\r\n" && matches!(request, Request::Fetch(_));
            assert_eq!(reply(bytes, request).is_ok(), is_empty_entries, "{request:?}: {}", bytes.escape_ascii());
        }
        assert_eq!(reply(b"-REFUSED go away\r\n", request), Ok(Reply::Refused("go away".into())));
        // Only PEER is answered so: a node does not stop because of any other reply.
        let is_stopped = reply(b"-OLDCOPY move it\r\n", request) == Ok(Reply::OldCopy("move it".into()));
        assert_eq!(is_stopped, matches!(request, Request::Peer(_)), "{request:?}");
    }
    for number in [0, 1] {
        let mut bytes = Vec::new();
        write_integer(&mut bytes, number);
        assert_eq!(reply(&bytes, &requests[1]), Ok(Reply::Merged(number == 1)));
    }
}

#[test]
fn digests_come_whole_and_for_each_branch() {
    for len in [7, 8, 9] {
        let mut bytes = Vec::new();
        write_bulk(&mut bytes, &vec![0; len]);
        assert_eq!(reply(&bytes, &Request::Root).is_ok(), len == 8);
    }
    let request = Request::Digest(leaves(&["a", "b"]));
    let children: &[u8] = &[0; 8 * FANOUT];
    check_reply(&request, &[children], false);
    check_reply(&request, &[children, children], true);
    check_reply(&request, &[children, children, children], false);
    for len in [8 * (FANOUT - 1), 8 * FANOUT - 1, 8 * FANOUT + 1, 8 * (FANOUT + 1)] {
        check_reply(&request, &[children, &vec![0; len]], false);
    }
}

#[test]
fn a_greeting_in_a_reply_has_one_word_more() {
    let (protocol, request) = (PROTOCOL.to_string(), Request::Peer(greeting()));
    let good: [&[u8]; 9] = [protocol.as_bytes(), b"node2", b"2", b"feed", &[0; 8], b"abc", b"3", &[1; 48], b"17"];
    check_reply(&request, &good, true);
    check_reply(&request, &[&good[..5], &[b"17"]].concat(), true);
    [0, 1, 5, 7, 8].into_iter().for_each(|words| check_reply(&request, &good[..words], false));
    check_reply(&request, &[&good[..], &[b"1"]].concat(), false);
}

#[test]
fn a_reply_to_fetch_covers_some_of_the_keys_and_has_at_most_an_entry_for_each() {
    let request = Request::Fetch(vec![b"a"[..].into(), b"b"[..].into()]);
    let entry = record(Content::Value(b"v")).encode().to_vec();
    check_reply(&request, &[b"0"], false);
    check_reply(&request, &[b"1"], true);
    check_reply(&request, &[b"2"], true);
    check_reply(&request, &[b"3"], false);
    check_reply(&request, &[b"1", &entry], true);
    check_reply(&request, &[b"1", &entry, &entry], false);
    check_reply(&request, &[b"2", &entry, &entry], true);
    check_reply(&request, &[b"2", &entry, &entry, &entry], false);
    check_reply(&request, &[b"1", &entry[..Record::HEADER_BYTES - 1]], false);
}

#[test]
fn a_reply_to_leaf_has_as_many_parts_as_it_says() {
    let request = Request::Leaf(held(&["aaaa", "bbbb"], &[]));
    let (entry, digest) = (record(Content::Value(b"v")).encode().to_vec(), [0; 8]);
    let listed = |len: usize| {
        let version = Version::new(Timestamp::from_millis(3), NodeId(1)).encode();
        [&version[..], &[9; 4], &[1], &vec![b'k'; len]].concat()
    };
    // Covered, lacking, how many entries, entries, listed keys.
    check_reply(&request, &[b"2", b"", b"0"], true);
    check_reply(&request, &[b"3", b"", b"0"], false);
    check_reply(&request, &[b"1", b""], false);
    check_reply(&request, &[b"0", b"", b"0"], false);
    check_reply(&request, &[b"0", b"", b"1", &entry], true);
    check_reply(&request, &[b"0", b"", b"0", &listed(3)], true);
    for (len, is_good) in [(0, true), (7, false), (8, true), (9, false), (16, true)] {
        check_reply(&request, &[b"1", &[digest, digest].concat()[..].repeat(2)[..len], b"0"], is_good);
    }
    check_reply(&request, &[b"1", b"", b"1"], false);
    check_reply(&request, &[b"1", b"", b"1", &entry], true);
    check_reply(&request, &[b"1", b"", b"2", &entry], false);
    check_reply(&request, &[b"1", b"", b"2", &entry, &listed(3)], false);
    check_reply(&request, &[b"1", b"", b"1", &entry, &listed(3)], true);
    check_reply(&request, &[b"1", b"", b"18446744073709551615", &entry], false);
    check_reply(&request, &[b"1", b"", b"0", &listed(0)], true);
    check_reply(&request, &[b"1", b"", b"0", &listed(0)[..14]], false);
    check_reply(&request, &[b"1", b"", b"0", &[&listed(0)[..14], &[2]].concat()], false);
    check_reply(&request, &[b"1", b"", b"0", &listed(0)[..9]], false);
    check_reply(&request, &[b"1", b"", b"0", &listed(MAX_KEY_BYTES)], true);
    check_reply(&request, &[b"1", b"", b"0", &listed(MAX_KEY_BYTES + 1)], false);
}

#[test]
fn a_connection_becomes_a_peers_with_peer_in_any_case() {
    for (word, is_greeting) in [("PEER", true), ("peer", true), ("PEERS", false), ("PING", false)] {
        let mut bytes = Vec::new();
        write_array(&mut bytes, 1);
        write_bulk(&mut bytes, word.as_bytes());
        let mut parser = RequestParser::default();
        assert!(parser.parse(&bytes).is_ok_and(|parsed| parsed.is_some()));
        assert_eq!(Request::is_greeting(parser.args(Form::Resp, &bytes)), is_greeting, "{word}");
    }
}
