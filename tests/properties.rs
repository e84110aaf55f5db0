//! Any bytes at all, against everything that reads bytes: the entry points of the fuzz targets in `tests/fuzz/`, driven
//! by proptest, so that they run with every `cargo test`. The bytes are made of what the protocols are made of, in any
//! order.

#[allow(unreachable_pub, reason = "public in the crate of the fuzz targets")]
#[path = "fuzz/src/entry_points.rs"]
mod entry_points;

use proptest::collection::vec;
use proptest::prelude::*;

/// Bytes that look like a request until one looks closer.
fn pieces(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        2 => vec(any::<u8>(), 0..12),
        // A whole array, sometimes with a wrong count or length.
        4 => (vec(bulk(words), 0..6), -1..2_i32).prop_map(|(items, off)| {
            [format!("*{}\r\n", items.len() as i32 + off).into_bytes(), items.concat()].concat()
        }),
    ];
    vec(piece, 0..20).prop_map(|pieces| pieces.concat())
}

fn bulk(words: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    let content = prop_oneof![
        3 => proptest::sample::select(words).prop_map(|word| word.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..12),
        1 => Just(vec![0, 0, 1, 0x8b, 0xcf, 0xe5, 0x68, 0]),
        // A value and a tombstone of key `k`, as they travel.
        1 => Just(b"\0\0\x01\x8b\xcf\xe5\x68\0\0\x02\0\x01\0kvalue".to_vec()),
        1 => Just(b"\0\0\x01\x8b\xcf\xe5\x68\0\0\x02\0\x01\x01k".to_vec()),
    ];
    (content, prop_oneof![20 => Just(0), 1 => -2..2_i32]).prop_map(|(content, off)| {
        [format!("${}\r\n", content.len() as i32 + off).into_bytes(), content, b"\r\n".to_vec()].concat()
    })
}

const COMMANDS: &[&str] = &[
    " ",
    "\n",
    "\r\n",
    "SET",
    "get",
    "DEL",
    "MGET",
    "MSET",
    "EXISTS",
    "SCAN",
    "0",
    "MATCH",
    "COUNT",
    "KEYS",
    "*",
    "k",
    "key",
    "VERSION",
    "DIGEST",
    "a3",
    "INFO",
    "CLIENT",
    "SETNAME",
    "LIST",
    "CONFIG",
    "HELLO",
    "3",
    "2",
    "COMMAND",
    "DOCS",
    "PING",
    "ECHO",
    "QUIT",
    "RESET",
    "SELECT",
    "HELP",
    "SYNC",
    "DBSIZE",
    "STRLEN",
    "MULTI",
    "EXEC",
    "DISCARD",
    "WATCH",
    "UNWATCH",
    "REPLCONF",
    "FORGET",
    "AUTH",
    "\"",
    "'",
    "\\x4",
    "\t",
    "[a-",
    "HTTP/1.1",
    "POST",
    "SET k v\n",
    "GET k\n",
    "KEYS *\n",
];

const RESP: &[&str] = &[
    "*1\r\n",
    "*2\r\n",
    "*",
    "$",
    "$3\r\n",
    "$0\r\n\r\n",
    "$-1\r\n",
    "\r",
    "\n",
    "\r\n",
    ":7\r\n",
    "+OK\r\n",
    "-ERR no\r\n",
    "GET",
    "k",
    "99999999999999999999",
    "-",
];

const PEER: &[&str] = &[
    "PEER",
    "PROPAGATE",
    "SET",
    "DEL",
    "DIGEST",
    "LEAF",
    "FETCH",
    "CONFIRM",
    "1",
    "2",
    "0",
    "17",
    "node2",
    "00000000000000aa",
    "k",
    "gone",
    "",
    "a",
    "a3",
    "a3f",
    "ffff",
    "AUTH",
    "PROVE",
    "+OK\r\n",
    ":1\r\n",
    "-REFUSED no\r\n",
    "-OLDCOPY no\r\n",
    "$8\r\n12345678\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn plain_lines_mean_the_same_however_they_arrive(bytes in pieces(COMMANDS)) {
        entry_points::line(&bytes);
    }

    #[test]
    fn resp_means_the_same_however_it_arrives(bytes in pieces(RESP)) {
        entry_points::resp(&bytes);
    }

    #[test]
    fn whatever_a_peer_says_is_understood_or_refused(bytes in pieces(PEER)) {
        entry_points::peer(&bytes);
    }
}

#[test]
fn whatever_a_stranger_says_the_session_ends_and_others_are_served() {
    let mut target = entry_points::Target::default();
    let strangers = prop_oneof![
        pieces(COMMANDS),
        pieces(PEER),
        pieces(PEER).prop_map(|bytes| [GREETING, &bytes].concat()),
        vec(any::<u8>(), 0..2000)
    ];
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(2000));
    let target = std::cell::RefCell::new(&mut target);
    runner
        .run(&strangers, |bytes| {
            target.borrow_mut().session(&bytes);
            Ok(())
        })
        .expect("any bytes are survived");
}

/// What opens a connection of peers.
const GREETING: &[u8] = b"*9\r\n$4\r\nPEER\r\n$1\r\n5\r\n$5\r\nnode2\r\n$1\r\n2\r\n$16\r\n00000000000000aa\r\n\
    $8\r\n\0\0\x01\x8b\xcf\xe5\x68\0\r\n$2\r\nfe\r\n$1\r\n0\r\n$0\r\n\r\n";

#[test]
fn the_seeds_of_the_peer_protocol_are_understood() {
    use kvstore::framing::{Form, RequestParser};
    use kvstore::replication::message::Request;
    for seed in ["peer/greeting", "peer/propagate", "peer/round", "session/peer"] {
        let path = format!("{}/tests/fuzz/seeds/{seed}", env!("CARGO_MANIFEST_DIR"));
        let bytes = std::fs::read(&path).expect("a seed is a file");
        let (mut parser, mut rest) = (RequestParser::default(), bytes.as_slice());
        while let Ok(Some((form, length))) = parser.parse(rest) {
            assert_eq!(form, Form::Resp);
            Request::decode(parser.args(form, rest)).unwrap_or_else(|bad| panic!("{seed}: {bad}"));
            rest = &rest[length..];
        }
        assert!(rest.is_empty(), "{seed}: what is left over is no request");
    }
}
