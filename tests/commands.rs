//! Every command, in both forms, as clients see it.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use crate::common::{Client, Cluster, DEADLINE, Value, encode, eventually};
use kvstore::commands::{self, glob};

/// A conversation: requests, the plain answer and the RESP answer (as [`Value`] prints it). A `*` stands for any text,
/// a `?` for any character. Each half is held on a node of its own, in this order.
const CONVERSATION: &[(&str, &str, &str)] = &[
    ("PING", "PONG", "+PONG"),
    ("ping hello", "hello", "$hello"),
    ("ECHO hello", "hello", "$hello"),
    ("GET k", "Key not found", "nil"),
    ("VERSION k", "Key not found", "nil"),
    ("SET k v", "OK", "+OK"),
    ("Get k", "v", "$v"),
    ("STRLEN k", "1", ":1"),
    ("STRLEN nothing", "0", ":0"),
    ("VERSION k", "20??-??-??T*Z+* node 1 value of 1 bytes", "$20??-??-??T*Z+* node 1 value of 1 bytes"),
    ("EXISTS k none k", "2", ":2"),
    ("DEL k", "OK", ":1"),
    ("GET k", "Key not found", "nil"),
    ("VERSION k", "20*Z+* node 1 deleted", "$20*Z+* node 1 deleted"),
    // Conditions and deadlines. A plain SET takes no options: they belong to its value.
    ("MSETNX n 1 nn 2", "1", ":1"),
    ("MSETNX nnn 1 nn 2", "0", ":0"),
    ("DEL n nn nnn", "2", ":2"),
    ("INCR counter", "1", ":1"),
    ("INCRBY counter 41", "42", ":42"),
    ("DECR counter", "41", ":41"),
    ("DECRBY counter 1", "40", ":40"),
    ("GET counter", "40", "$40"),
    ("STRLEN counter", "2", ":2"),
    ("DEL counter", "OK", ":1"),
    ("SETNX n 1", "1", ":1"),
    ("SETNX n 2", "0", ":0"),
    ("GETSET n 3", "1", "$1"),
    ("APPEND n 45", "3", ":3"),
    ("SETRANGE n 1 xy", "3", ":3"),
    ("GETRANGE n 0 -2", "3x", "$3x"),
    ("SUBSTR n -1 -1", "y", "$y"),
    ("DELIFEQ n wrong", "0", ":0"),
    ("DELIFEQ n 3xy", "1", ":1"),
    ("GETDEL n", "Key not found", "nil"),
    ("SETEX e 100 v", "OK", "+OK"),
    ("TTL e", "100", ":100"),
    ("PSETEX e 99999 v", "OK", "+OK"),
    ("PTTL e", "9????", ":9????"),
    ("EXPIRE e 200 LT", "0", ":0"),
    ("EXPIRE e 200 GT", "1", ":1"),
    ("PEXPIRE e 300000 XX", "1", ":1"),
    ("EXPIREAT e 9999999999", "1", ":1"),
    ("EXPIRETIME e", "9999999999", ":9999999999"),
    ("PEXPIREAT e 9999999999999 GT", "1", ":1"),
    ("PEXPIRETIME e", "9999999999999", ":9999999999999"),
    ("GETEX e PERSIST", "v", "$v"),
    ("PERSIST e", "0", ":0"),
    ("TTL e", "-1", ":-1"),
    ("EXPIRE e -1", "1", ":1"),
    ("TTL e", "-2", ":-2"),
    ("CONFLICTS", "END", "()"),
    ("CONFLICTS -1", "END", "()"),
    ("CONFLICTS KEY k", "END", "()"),
    ("CONFLICTS LEN", "0", ":0"),
    ("CONFLICTS RESET", "OK", "+OK"),
    // There is no peer that could hold anything.
    ("WAIT 0 0", "0", ":0"),
    ("WAIT 1 1", "0", ":0"),
    ("WAITAOF 0 1 1", "0\n0\nEND", "(:0, :0)"),
    ("DEL k", "Key not found", ":0"),
    ("DEL never", "Key not found", ":0"),
    ("MSET a 1 b 2", "OK", "+OK"),
    ("MGET a none b", "1\nKey not found\n2\nEND", "($1, nil, $2)"),
    ("DBSIZE", "2", ":2"),
    ("KEYS a*", "a\nEND", "($a)"),
    ("KEYS x*", "END", "()"),
    ("SCAN 0 MATCH b COUNT 100", "0\nb\nEND", "($0, ($b))"),
    ("scan 0 count 100 match none", "0\nEND", "($0, ())"),
    ("EXISTS a", "1", ":1"),
    ("DEL a b none", "2", ":2"),
    ("DBSIZE", "0", ":0"),
    ("RANDOMKEY", "There are no keys", "nil"),
    ("SET k a", "OK", "+OK"),
    ("RANDOMKEY", "k", "$k"),
    ("TYPE k", "string", "+string"),
    ("TYPE none", "none", "+none"),
    ("TOUCH k none k", "2", ":2"),
    ("RENAME k l", "OK", "+OK"),
    ("GET k", "Key not found", "nil"),
    ("RENAME l l", "OK", "+OK"),
    ("RENAME none k", "ERROR: no such key", "-ERR no such key"),
    ("RENAMENX none k", "ERROR: no such key", "-ERR no such key"),
    ("RENAMENX l l", "0", ":0"),
    ("COPY l k", "1", ":1"),
    ("COPY l k", "0", ":0"),
    ("COPY none k", "0", ":0"),
    ("COPY l k DB 0 REPLACE", "1", ":1"),
    ("RENAMENX l k", "0", ":0"),
    ("RENAMENX l m", "1", ":1"),
    ("SCAN 0 TYPE string COUNT 100 MATCH k", "0\nk\nEND", "($0, ($k))"),
    ("SCAN 0 TYPE hash", "0\nEND", "($0, ())"),
    ("OBJECT ENCODING k", "embstr", "$embstr"),
    ("OBJECT ENCODING none", "Key not found", "nil"),
    ("OBJECT REFCOUNT k", "1", ":1"),
    ("OBJECT FREQ k", "ERROR: An LFU maxmemory policy is not selected, *", "-ERR An LFU maxmemory policy is not *"),
    ("OBJECT IDLETIME k", "ERROR: idle time not tracked: *", "-ERR idle time not tracked: *"),
    ("OBJECT HELP", "OBJECT <subcommand> *END", "(+OBJECT <subcommand> *)"),
    ("MEMORY USAGE k", "?*", ":?*"),
    ("MEMORY USAGE k SAMPLES 5", "?*", ":?*"),
    ("MEMORY USAGE none", "Key not found", "nil"),
    ("MEMORY HELP", "MEMORY <subcommand> *END", "(+MEMORY <subcommand> *)"),
    ("TIME", "??????????\n*000\nEND", "($??????????, $*000)"),
    ("UNLINK k", "OK", ":1"),
    ("UNLINK k", "Key not found", ":0"),
    ("FLUSHDB", "OK", "+OK"),
    ("FLUSHALL async", "OK", "+OK"),
    ("DBSIZE", "0", ":0"),
    ("DIGEST", "????????????????", "$????????????????"),
    ("DIGEST *", "????????????????\n*\nEND", "($????????????????, *)"),
    ("DIGEST a3", "????????????????\n*\nEND", "($????????????????, *)"),
    ("DIGEST A3B", "????????????????\n*\nEND", "($????????????????, *)"),
    ("DIGEST a3b4", "????????????????", "$????????????????"),
    ("SYNC", "END", "$"),
    ("INFO clients", "# Clients\nconnected_clients:1\n*\nEND", "$# Clients*connected_clients:1*"),
    (
        "INFO keyspace clients",
        "# Clients\nconnected_clients:1\n*\n# Keyspace\ndb0:*\nEND",
        "$# Clients*connected_clients:1*# Keyspace*",
    ),
    ("STATUS", "node *\nmemory *\npeers *\nEND", "$node *"),
    ("STATUS COLOR", "node *\u{1b}?32mserves clients\u{1b}?0m*END", "$node *"),
    ("STATUS WIDE", "ERROR: unknown option: type STATUS *", "-ERR unknown option: type STATUS *"),
    ("FORGET nobody", "ERROR: no such member or peer*", "-ERR no such member or peer*"),
    ("INFO none", "END", "$"),
    ("HELP", "Type a command*\n  GET key *\nEND", "$Type a command*"),
    (
        "HELLO",
        "server\nkvstore\nversion\n7.2.4\n*\nrole\nmaster\nEND",
        "($server, $kvstore, $version, $7.2.4, $proto, :2, *)",
    ),
    ("CLIENT GETNAME", "", "nil"),
    ("HELLO 2 SETNAME me", "server\n*\nEND", "($server, *)"),
    ("CLIENT GETNAME", "me", "$me"),
    ("CLIENT SETNAME you", "OK", "+OK"),
    ("client getname", "you", "$you"),
    ("CLIENT SETINFO LIB-NAME test", "OK", "+OK"),
    ("CLIENT ID", "*", ":*"),
    ("CLIENT LIST", "id=* addr=127.0.0.1:* laddr=127.0.0.1:* name=you age=* flags=N db=0\nEND", "$id=* name=you *"),
    ("CLIENT LIST TYPE Normal", "id=* name=you *\nEND", "$id=* name=you *"),
    ("CLIENT LIST TYPE replica", "END", "$"),
    ("CLIENT INFO", "id=* name=you *\nEND", "$id=* name=you *"),
    ("CLIENT KILL 127.0.0.1:1", "ERROR: No such client", "-ERR No such client"),
    ("CLIENT KILL ID 999 SKIPME no", "0", ":0"),
    ("CLIENT NO-EVICT on", "OK", "+OK"),
    ("CLIENT NO-TOUCH OFF", "OK", "+OK"),
    ("CLIENT REPLY ON", "OK", "+OK"),
    ("CLIENT HELP", "CLIENT <subcommand> *END", "(+CLIENT <subcommand> *)"),
    ("CLIENT LIST ID 0 99999", "END", "$"),
    ("SELECT 0", "OK", "+OK"),
    ("COMMAND COUNT", "??", ":??"),
    ("COMMAND INFO nosuch get", "no such command\nGET key\nEND", "(nil, ($get, :2, (+readonly), :1, :1, :1))"),
    ("COMMAND INFO ping help", "PING ?text?\nHELP\nEND", "(($ping, :-1, (+no_auth), *), ($help, :1, (+loading), *))"),
    (
        "COMMAND DOCS get nosuch",
        "get\nsummary\n*\nsince\n1.0.0\ngroup\nstring\ncomplexity\nO(1)\narguments\nGET key\nEND",
        "($get, ($summary, $*, $since, $1.0.0, $group, $string, $complexity, $O(1), $arguments, (*$name, $key, *)))",
    ),
    ("COMMAND DOCS nosuch", "END", "()"),
    ("COMMAND LIST", "get\nset\n*END", "($get, $set, *)"),
    ("COMMAND LIST FILTERBY PATTERN RENAME*", "rename\nrenamenx\nEND", "($rename, $renamenx)"),
    ("COMMAND LIST FILTERBY MODULE json", "END", "()"),
    ("COMMAND GETKEYS MSET a 1 b 2", "a\nb\nEND", "($a, $b)"),
    ("COMMAND HELP", "COMMAND <subcommand> *END", "(+COMMAND <subcommand> *)"),
    ("COMMAND DOCS", "get\nsummary\n*\nEND", "($get, ($summary, $*), *)"),
    ("COMMAND", "GET key\n*\nEND", "(($get, :2, (+readonly), :1, :1, :1), ($set, :-3, (+write, +denyoom), *), *)"),
    ("CONFIG GET save", "save\n\nEND", "($save, $)"),
    ("CONFIG GET appendonly", "appendonly\nno\nEND", "($appendonly, $no)"),
    ("LASTSAVE", "0", ":0"),
    ("BGSAVE", "ERROR: this node has no disk: start it with --data DIR", "-ERR this node has no disk: *"),
    ("INFO persistence", "# Persistence\nloading:0\naof_enabled:0\nEND", "$# Persistence*aof_enabled:0*"),
    (
        "CONFIG GET max*",
        "maxclients\n10000\nmaxmemory\n*\nmaxmemory-policy\nnoeviction\nEND",
        "($maxclients, $10000, $maxmemory, $*, $maxmemory-policy, $noeviction)",
    ),
    ("CONFIG SET maxmemory 100mb timeout 0", "OK", "+OK"),
    ("CONFIG GET maxmemory", "maxmemory\n104857600\nEND", "($maxmemory, $104857600)"),
    ("CONFIG RESETSTAT", "OK", "+OK"),
    ("CONFIG HELP", "CONFIG <subcommand> *END", "(+CONFIG <subcommand> *)"),
    // Several commands in one step.
    ("WATCH key", "OK", "+OK"),
    ("UNWATCH", "OK", "+OK"),
    ("MULTI", "OK", "+OK"),
    ("GET nothing", "QUEUED", "+QUEUED"),
    ("PING", "QUEUED", "+QUEUED"),
    ("EXEC", "Key not found\nPONG\nEND", "(nil, +PONG)"),
    ("MULTI", "OK", "+OK"),
    ("DISCARD", "OK", "+OK"),
    ("EXEC", "ERROR: EXEC without MULTI", "-ERR EXEC without MULTI"),
    // RESP3 has maps, and a nothing of its own.
    ("HELLO 3", "server\n*\nEND", "{$server: $kvstore, *, $proto: :3, *}"),
    ("GET nothing", "Key not found", "nil"),
    ("MGET nothing", "Key not found\nEND", "(nil)"),
    ("CONFIG GET databases", "databases\n1\nEND", "{$databases: $1}"),
    ("HELLO", "server\n*\nEND", "{$server: $kvstore, *, $proto: :3, *}"),
    ("HELLO 2", "server\n*\nEND", "($server, *, $proto, :2, *)"),
    ("CONFIG GET databases", "databases\n1\nEND", "($databases, $1)"),
    ("RESET", "RESET", "+RESET"),
    // What is wrong is said, and what to type instead; and the session goes on.
    ("FROB x", "ERROR: unknown command 'FROB': type HELP*", "-ERR unknown command 'FROB': type HELP*"),
    ("GET", "ERROR: wrong number * type GET key", "-ERR wrong number of arguments for 'get' command*"),
    ("GET a b", "ERROR: wrong number * type GET key", "-ERR wrong number of arguments for 'get' command*"),
    ("SET k", "ERROR: wrong number * type SET key value", "-ERR wrong number * type SET key value [[]NX|*"),
    ("DEL", "ERROR: wrong number *", "-ERR wrong number *"),
    ("EXISTS", "ERROR: wrong number *", "-ERR wrong number *"),
    ("MGET", "ERROR: wrong number *", "-ERR wrong number *"),
    ("MSET a", "ERROR: wrong number *", "-ERR wrong number *"),
    ("STRLEN", "ERROR: wrong number *", "-ERR wrong number *"),
    ("WAIT 1", "ERROR: wrong number * type WAIT numreplicas timeout", "-ERR wrong number *"),
    ("WAIT x 1", "ERROR: value is not an integer or out of range", "-ERR value is not an integer or out of range"),
    ("WAIT 1 x", "ERROR: timeout is not an integer or out of range", "-ERR timeout is not an integer or out of range"),
    ("WAIT 1 -1", "ERROR: timeout is negative", "-ERR timeout is negative"),
    ("WAITAOF 2 0 1", "ERROR: value is out of range, must be between 0 and 1", "-ERR value is out of range*"),
    ("WAITAOF 1 0 1", "ERROR: WAITAOF cannot be used when *", "-ERR WAITAOF cannot be used when numlocal is set *"),
    ("WAITFOR k 1 1", "ERROR: a version is what VERSION answers*", "-ERR a version is what VERSION answers*"),
    ("CONFLICTS many", "ERROR: type CONFLICTS, CONFLICTS 20*", "-ERR type CONFLICTS, CONFLICTS 20*"),
    ("CONFLICTS KEY", "ERROR: type CONFLICTS, CONFLICTS 20*", "-ERR type CONFLICTS, CONFLICTS 20*"),
    ("STRLEN a b", "ERROR: wrong number * type STRLEN key", "-ERR wrong number of arguments for 'strlen' command*"),
    ("MSET a 1 b", "ERROR: wrong number * type MSET key value *", "-ERR wrong number *"),
    ("KEYS", "ERROR: wrong number *", "-ERR wrong number *"),
    ("SCAN", "ERROR: wrong number *", "-ERR wrong number *"),
    ("SCAN x", "ERROR: invalid cursor: *", "-ERR invalid cursor*"),
    ("SCAN -1", "ERROR: invalid cursor: *", "-ERR invalid cursor*"),
    ("SCAN 0 COUNT 0", "ERROR: syntax error: type SCAN *", "-ERR syntax error*"),
    ("SCAN 0 MATCH", "ERROR: syntax error: type SCAN *", "-ERR syntax error*"),
    ("DBSIZE x", "ERROR: wrong number *", "-ERR wrong number *"),
    ("VERSION", "ERROR: wrong number *", "-ERR wrong number *"),
    ("DIGEST xyz", "ERROR: a prefix is up to 4 hex digits: *", "-ERR a prefix *"),
    ("DIGEST 12345", "ERROR: a prefix is up to 4 hex digits: *", "-ERR a prefix *"),
    ("DIGEST a b", "ERROR: wrong number *", "-ERR wrong number *"),
    ("SYNC now", "ERROR: wrong number *", "-ERR wrong number *"),
    ("ECHO", "ERROR: wrong number *", "-ERR wrong number *"),
    ("HELLO 4", "ERROR: unsupported protocol version*", "-NOPROTO unsupported protocol version*"),
    ("HELLO 2 AUTH a b", "ERROR: AUTH called without any secret *", "-ERR AUTH called without any secret *"),
    ("HELLO 2 AUTH default b", "server\n*\nEND", "($server, *)"),
    ("HELLO 2 FROB", "ERROR: syntax error in HELLO*", "-ERR syntax error in HELLO*"),
    ("AUTH a", "ERROR: AUTH called without any secret *", "-ERR AUTH called without any secret *"),
    ("AUTH a b", "ERROR: AUTH called without any secret *", "-ERR AUTH called without any secret *"),
    ("AUTH default b", "OK", "+OK"),
    ("SELECT 1", "ERROR: DB index is out of range*", "-ERR DB index is out of range*"),
    ("CLIENT", "ERROR: wrong number *", "-ERR wrong number *"),
    ("SELECT x", "ERROR: value is not an integer or out of range", "-ERR value is not an integer or out of range"),
    (
        "CLIENT FROB",
        "ERROR: unknown subcommand 'FROB'. Try CLIENT HELP.",
        "-ERR unknown subcommand 'FROB'. Try CLIENT *",
    ),
    (
        "CLIENT KILL",
        "ERROR: wrong number * 'client|kill' command: type *",
        "-ERR wrong number * 'client|kill' command*",
    ),
    ("CLIENT KILL ID 0", "ERROR: client-id should be greater than 0", "-ERR client-id should be greater than 0"),
    ("CLIENT KILL ID 1 FROB x", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("CLIENT KILL USER frob", "ERROR: No such user 'frob'", "-ERR No such user 'frob'"),
    ("CLIENT REPLY frob", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("CLIENT NO-EVICT frob", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("CLIENT LIST TYPE frob", "ERROR: Unknown client type 'frob'*", "-ERR Unknown client type 'frob'*"),
    ("CLIENT LIST ID x", "ERROR: Invalid client ID*", "-ERR Invalid client ID*"),
    ("CLIENT LIST ID", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("COMMAND FROB", "ERROR: unknown subcommand 'FROB'. Try *", "-ERR unknown subcommand 'FROB'. Try COMMAND HELP."),
    ("COMMAND LIST FILTERBY", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("COMMAND LIST FILTERBY ACLCAT read", "ERROR: commands have no ACL *", "-ERR commands have no ACL *"),
    ("COMMAND GETKEYS FROB x", "ERROR: Invalid command specified", "-ERR Invalid command specified"),
    ("COMMAND GETKEYS GET a b", "ERROR: Invalid number of arguments *", "-ERR Invalid number of arguments *"),
    ("COMMAND GETKEYS OBJECT HELP", "ERROR: The command has no key *", "-ERR The command has no key arguments"),
    ("CONFIG FROB", "ERROR: unknown subcommand 'FROB'. Try *", "-ERR unknown subcommand 'FROB'. Try CONFIG HELP."),
    ("CONFIG SET save x", "ERROR: CONFIG SET failed * 'save') - can't set immutable *", "-ERR CONFIG SET failed *"),
    ("CONFIG SET maxmemory 0", "ERROR: CONFIG SET failed * at least 32mb*", "-ERR CONFIG SET failed *"),
    ("CONFIG SET maxmemory x", "ERROR: CONFIG SET failed * be a memory value", "-ERR CONFIG SET failed *"),
    ("CONFIG SET frob x", "ERROR: Unknown option * - 'frob'", "-ERR Unknown option or number of arguments for *"),
    ("CONFIG SET save", "ERROR: wrong number * 'config|set' *", "-ERR wrong number of arguments for 'config|set' *"),
    ("CONFIG REWRITE", "ERROR: The server is running without a *", "-ERR The server is running without a config file"),
    ("COPY a a", "ERROR: source and destination objects are the same", "-ERR source and destination objects are the *"),
    ("COPY a b DB 1", "ERROR: DB index is out of range*", "-ERR DB index is out of range*"),
    ("COPY a b DB", "ERROR: syntax error: type COPY *", "-ERR syntax error*"),
    ("FLUSHALL NOW", "ERROR: syntax error: type FLUSHALL *", "-ERR syntax error*"),
    ("OBJECT FROB k", "ERROR: unknown subcommand 'FROB'. Try *", "-ERR unknown subcommand 'FROB'. Try OBJECT HELP."),
    ("OBJECT ENCODING", "ERROR: wrong number * 'object|encoding' *", "-ERR wrong number * 'object|encoding' command*"),
    ("MEMORY USAGE k SAMPLES x", "ERROR: value is not an integer or *", "-ERR value is not an integer or out of range"),
    ("MEMORY USAGE k FROB 1", "ERROR: syntax error: *", "-ERR syntax error*"),
    ("LPUSH k v", "ERROR: LPUSH is not offered: *", "-ERR LPUSH is not offered: *"),
    ("eval x 0", "ERROR: EVAL is not offered: *", "-ERR EVAL is not offered: *"),
    ("BGSAVE NOW", "ERROR: unknown option: type BGSAVE *", "-ERR unknown option: *"),
    ("BGSAVE SCHEDULE NOW", "ERROR: wrong number *", "-ERR wrong number *"),
    ("LASTSAVE x", "ERROR: wrong number *", "-ERR wrong number *"),
    ("CONFIG GET", "ERROR: wrong number *", "-ERR wrong number *"),
    ("QUIT", "OK", "+OK"),
];

#[test]
fn every_command_has_its_plain_answer() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    // Others that have just left.
    eventually("one client", DEADLINE, || cluster.node(1).replica().members().is_empty() && only_client(&mut client));
    for (request, expected, _) in CONVERSATION {
        let answer = if expected.ends_with("END") {
            client.send(format!("{request}\n"));
            let mut lines = client.read_until_end();
            lines.push("END".into());
            lines.join("\n")
        } else {
            client.line(request)
        };
        assert!(glob::matches(expected.as_bytes(), answer.as_bytes()), "{request}: {answer}\nexpected: {expected}");
    }
    assert_eq!(client.read_to_end(), b"", "QUIT ends the connection, and nothing was said beside the answers");
}

#[test]
fn every_command_has_its_resp_answer() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    eventually("one client", DEADLINE, || only_client(&mut client));
    for (request, _, expected) in CONVERSATION {
        let words: Vec<&str> = request.split(' ').collect();
        let answer = client.resp(&words).to_string();
        assert!(glob::matches(expected.as_bytes(), answer.as_bytes()), "{request}: {answer}\nexpected: {expected}");
    }
    assert_eq!(client.read_to_end(), b"", "QUIT ends the connection, and nothing was said beside the answers");
}

fn only_client(client: &mut Client) -> bool {
    client.info()["connected_clients"] == "1"
}

#[test]
fn the_conversation_and_help_leave_no_command_out() {
    let cluster = Cluster::start(1);
    let help = cluster.client(1).lines("HELP").join("\n");
    for spec in commands::shown(false) {
        let spoken = |request: &str| request.to_ascii_uppercase().split(' ').next() == Some(spec.name);
        assert!(CONVERSATION.iter().any(|(request, ..)| spoken(request)), "{} is not tested", spec.name);
        assert!(help.contains(spec.usage), "{} is not in HELP", spec.name);
    }
}

#[test]
fn a_plain_value_is_the_rest_of_its_line_and_a_resp_value_any_bytes() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line("SET greeting hello  world "), "OK");
    assert_eq!(client.line("GET greeting"), "hello  world ");
    assert_eq!(client.line("set empty "), "OK");
    assert_eq!(client.line("GET empty"), "");
    let every_byte: Vec<u8> = (0..=255).collect();
    assert_eq!(client.resp(&[b"SET", &every_byte[..], &every_byte]), Value::Simple("OK".into()));
    assert_eq!(client.resp(&[b"GET", &every_byte[..]]), Value::Bulk(every_byte.clone()));
    let Value::Array(keys) = client.resp(&["KEYS", "*"]) else { panic!("KEYS is answered by an array") };
    assert!(keys.contains(&Value::Bulk(every_byte)));
    assert_eq!(client.resp(&["SET", "", "under the empty key"]), Value::Simple("OK".into()));
    assert_eq!(client.resp(&["GET", ""]).to_string(), "$under the empty key");
}

#[test]
fn a_word_of_a_plain_line_may_be_quoted_as_in_redis() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert_eq!(client.line(r#"SET "a b" 1"#), "OK");
    assert_eq!(client.resp(&["GET", "a b"]).to_string(), "$1");
    assert_eq!(client.line("GET 'a b'"), "1");
    assert_eq!(client.line(r#"MSET "tab\tand \x41\xff" 'it\'s' "" empty"#), "OK");
    assert_eq!(client.resp(&[&b"GET"[..], b"tab\tand A\xff"]).to_string(), "$it\\'s");
    assert_eq!(client.line("GET\t\"\""), "empty", "tabs separate words, and a word may be empty");
    assert_eq!(client.lines(r#"MGET "a b" none ''"#), ["1", "Key not found", "empty"]);
    assert_eq!(client.line(r#"ECHO "two  words""#), "two  words");
}

#[test]
fn a_plain_value_that_is_one_quoted_string_loses_its_quotes_and_any_other_keeps_them() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for (typed, stored) in [
        (r#""hello world""#, "hello world"),
        (r#" 'hello  world' "#, "hello  world"),
        (r#""say \"hi\"""#, r#"say "hi""#),
        (r#""""#, ""),
        ("v EX 60", "v EX 60"),
        (r#"say "hi""#, r#"say "hi""#),
        (r#""a" and "b""#, r#""a" and "b""#),
        (r#"{"a": 1}"#, r#"{"a": 1}"#),
        (r#""not closed"#, r#""not closed"#),
        ("it's", "it's"),
    ] {
        assert_eq!(client.line(format!("SET k {typed}")), "OK");
        assert_eq!(client.line("GET k"), stored, "{typed}");
    }
}

#[test]
fn unbalanced_quotes_are_an_error_and_the_next_line_is_read() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for line in [r#"GET "a b"#, "GET it's", r#"SET "a"b c"#, r#"SET 'a b" c"#, r#"MGET a "b"#] {
        let answer = client.line(line);
        assert!(answer.starts_with("ERROR: unbalanced quotes: "), "{line}: {answer}");
    }
    assert_eq!(client.line("DBSIZE"), "0");
    client.send("GET \"a");
    client.finish();
    assert!(
        client.read_line().starts_with("ERROR: unbalanced quotes: "),
        "also in a line that the input's end has ended"
    );
}

#[test]
fn nul_and_invalid_utf8_are_kept_in_keys_and_values_on_both_nodes() {
    let cluster = Cluster::start(2);
    let mut client = cluster.client(1);
    assert_eq!(client.line(b"SET k\x00\xff v\x00\xfe\xc3("), "OK");
    assert_eq!(client.resp(&[&b"GET"[..], b"k\x00\xff"]), Value::Bulk(b"v\x00\xfe\xc3(".to_vec()));
    let mut other = cluster.client(2);
    let arrived = Value::Bulk(b"v\x00\xfe\xc3(".to_vec());
    eventually("it arrives unchanged", DEADLINE, || other.resp(&[&b"GET"[..], b"k\x00\xff"]) == arrived);
}

#[test]
fn pipelined_requests_of_both_forms_are_answered_in_their_order() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let mixed =
        [&b"SET a 1\r\nGET a\n"[..], &encode(&["GET", "a"]), b"\n\r\n*0\r\n*-1\r\nGET none\n", &encode(&["PING"])];
    client.send(mixed.concat());
    client.finish();
    assert_eq!(client.read_to_end().escape_ascii().to_string(), r"OK\n1\n$1\r\n1\r\nKey not found\n+PONG\r\n");
}

#[test]
fn ten_thousand_pipelined_requests_are_all_answered() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let requests: Vec<u8> = (0..10_000).flat_map(|n| encode(&["ECHO", &n.to_string()])).collect();
    let mut writer = client.stream().try_clone().expect("another handle");
    let sending = thread::spawn(move || std::io::Write::write_all(&mut writer, &requests));
    for n in 0..10_000 {
        assert_eq!(client.read_value(), Value::Bulk(n.to_string().into_bytes()));
    }
    sending.join().expect("does not panic").expect("the node reads");
}

#[test]
fn a_request_may_arrive_byte_by_byte() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for byte in [&b"SET k a value\r\n"[..], &encode(&["GET", "k"])].concat() {
        client.send([byte]);
    }
    assert_eq!(client.read_line(), "OK");
    assert_eq!(client.read_value().to_string(), "$a value");
}

#[test]
fn the_end_of_the_input_ends_the_last_line() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    client.send("SET k v\nGET k");
    client.finish();
    assert_eq!(client.read_to_end(), b"OK\nv\n");
}

#[test]
fn keys_takes_the_patterns_of_redis() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for key in ["user:1", "user:2", "user:10", "User:1", "a*b", "a[b", "hello", "hallo", "hxllo", "h^llo"] {
        assert_eq!(client.resp(&["SET", key, "v"]), Value::Simple("OK".into()));
    }
    for (pattern, expected) in [
        ("user:*", &["user:1", "user:10", "user:2"][..]),
        ("user:?", &["user:1", "user:2"]),
        ("[uU]ser:1", &["User:1", "user:1"]),
        ("h[ae]llo", &["hallo", "hello"]),
        ("h[^e]llo", &["h^llo", "hallo", "hxllo"]),
        ("h[a-e]llo", &["hallo", "hello"]),
        (r"a\*b", &["a*b"]),
        (r"a\[b", &["a[b"]),
        ("*l*o", &["h^llo", "hallo", "hello", "hxllo"]),
        ("hello", &["hello"]),
        ("", &[]),
        ("nothing*", &[]),
    ] {
        let Value::Array(keys) = client.resp(&["KEYS", pattern]) else { panic!("{pattern}: no array") };
        let found: BTreeSet<String> = keys.iter().map(|key| key.to_string()[1..].to_string()).collect();
        assert_eq!(found, expected.iter().map(|key| key.to_string()).collect(), "{pattern}");
    }
}

#[test]
fn a_scan_shows_every_key_that_stays_exactly_once_whatever_is_written_meanwhile() {
    const STAYING: usize = 5000;
    let cluster = Cluster::start(1);
    for n in 0..STAYING {
        cluster.node(1).replica().set(format!("stays:{n}").as_bytes(), b"v");
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = cluster.client(1);
            for n in 0.. {
                if done.load(Relaxed) {
                    return;
                }
                writer.line(format!("SET comes:{n} v"));
                writer.line(format!("SET stays:{} changed", n % STAYING));
                writer.line(format!("DEL comes:{}", n / 2));
            }
        });
        let mut client = cluster.client(1);
        for count in ["1000", "77", "10"] {
            let mut seen: HashMap<String, usize> = HashMap::new();
            let mut cursor = "0".to_string();
            loop {
                let answer = client.resp(&["SCAN", &cursor, "COUNT", count]);
                let Value::Array(parts) = answer else { panic!("{answer}") };
                let [Value::Bulk(next), Value::Array(keys)] = &parts[..] else { panic!("{parts:?}") };
                keys.iter().for_each(|key| *seen.entry(key.to_string()).or_default() += 1);
                cursor = String::from_utf8_lossy(next).into_owned();
                if cursor == "0" {
                    break;
                }
            }
            let staying = seen.iter().filter(|(key, _)| key.starts_with("$stays:"));
            assert_eq!(staying.clone().count(), STAYING);
            assert!(staying.clone().all(|(_, times)| *times == 1), "a key was shown twice");
        }
        done.store(true, Relaxed);
    });
}

#[test]
fn a_scan_with_a_pattern_shows_what_matches() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    for n in 0..100 {
        cluster.node(1).replica().set(format!("k{n}").as_bytes(), b"v");
    }
    let (mut cursor, mut found) = ("0".to_string(), BTreeSet::new());
    loop {
        let mut lines = client.lines(format!("SCAN {cursor} MATCH k?5")).into_iter();
        cursor = lines.next().expect("the cursor");
        found.extend(lines);
        if cursor == "0" {
            break;
        }
    }
    assert_eq!(found, (1..10).map(|n| format!("k{n}5")).collect());
}

#[test]
fn sync_says_what_it_did_with_each_peer() {
    let cluster = Cluster::start(3);
    let lines = cluster.client(1).lines("SYNC");
    assert_eq!(lines.len(), 2);
    for (line, peer) in lines.iter().zip(["node2", "node3"]) {
        let expected = format!("{peer} (127.0.0.1:*): pulled 0, pushed 0 in *s");
        assert!(glob::matches(expected.as_bytes(), line.as_bytes()), "{line}");
    }
    cluster.links.set(crate::common::Mode::Cut);
    assert!(cluster.client(1).lines("SYNC")[0].contains("failed: "));
}

#[test]
fn version_names_the_node_that_wrote() {
    let cluster = Cluster::start(2);
    assert_eq!(cluster.client(2).line("SET k v"), "OK");
    let mut client = cluster.client(1);
    eventually("node 1 knows who wrote", DEADLINE, || client.line("VERSION k").contains(" node 2 value of 1 bytes"));
    assert_eq!(client.line("DEL k"), "OK");
    let line = client.line("VERSION k");
    assert!(
        glob::matches(b"* node 1 deleted by node 1, which had seen node 2 up to 20*Z+*", line.as_bytes()),
        "{line}"
    );
    assert_eq!(client.line("SET own v"), "OK");
    assert!(client.line("VERSION own").ends_with(" node 1 value of 1 bytes"), "nobody else has written it");
}

#[test]
fn the_digest_can_be_walked_down_to_the_leaf_of_a_key() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    let empty = client.line("DIGEST");
    assert_eq!(client.line("SET k v"), "OK");
    let root = client.line("DIGEST");
    assert_ne!(root, empty);
    let mut prefix = String::new();
    while prefix.len() < 4 {
        let children = client.lines(format!("DIGEST {}", if prefix.is_empty() { "*" } else { &prefix }));
        assert_eq!(children.len(), 16);
        let digit = children.iter().position(|child| *child == root).expect("one child holds the key");
        assert!(children.iter().enumerate().all(|(other, child)| other == digit || *child == empty));
        prefix += &format!("{digit:x}");
    }
    assert_eq!(client.line(format!("DIGEST {prefix}")), root);
    assert_eq!(client.line("DEL k"), "OK");
    assert_ne!(client.line("DIGEST"), empty, "a tombstone counts until every peer holds it");
}

#[test]
fn reset_takes_back_what_the_connection_was_told() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    client.resp(&["HELLO", "3", "SETNAME", "me"]);
    assert_eq!(client.resp(&["RESET"]).to_string(), "+RESET");
    assert_eq!(client.resp(&["CONFIG", "GET", "save"]).to_string(), "($save, $)", "RESP2 again");
    assert_eq!(client.line("CLIENT GETNAME"), "");
}

#[test]
fn the_clients_can_be_listed_by_number_and_by_kind() {
    let cluster = Cluster::start(2);
    let (mut one, mut two) = (cluster.client(1), cluster.client(1));
    let ids = [one.line("CLIENT ID"), two.line("CLIENT ID")];
    let listed = |client: &mut Client, filter: &str| -> BTreeSet<String> {
        let lines = client.lines(format!("CLIENT LIST {filter}"));
        lines.iter().filter_map(|line| line.strip_prefix("id=")?.split(' ').next().map(str::to_string)).collect()
    };
    assert_eq!(listed(&mut one, &format!("ID {} {} {0}", ids[1], ids[0])), BTreeSet::from(ids.clone()));
    assert_eq!(listed(&mut one, &format!("id {}", ids[1])), BTreeSet::from([ids[1].clone()]));
    eventually("the peer's connection is told from clients'", DEADLINE, || {
        let (peers, clients) = (listed(&mut one, "TYPE replica"), listed(&mut one, "type normal"));
        assert!(clients.is_superset(&BTreeSet::from(ids.clone())));
        peers.len() == 1 && peers.is_disjoint(&clients)
    });
}

// ---- what a Redis replica says --------------------------------------------------------------------------------------

#[test]
fn a_redis_replica_is_told_that_it_gets_nothing_here() {
    let cluster = Cluster::start(1);
    let mut client = cluster.client(1);
    assert!(client.resp(&["PSYNC", "?", "-1"]).to_string().starts_with("-ERR this is no Redis master"));
    assert_eq!(client.lines("SYNC"), [""; 0], "our own SYNC, before it says that it is a replica");
    assert!(client.resp(&["REPLCONF", "rdb-only", "1"]).to_string().starts_with("-ERR this is no Redis master"));
    for handshake in ["SYNC\r\n", "PSYNC ? -1\r\n"] {
        client.send(handshake);
        assert!(client.read_value().to_string().starts_with("-ERR this is no Redis master"), "{handshake}");
    }
}
