//! Keys, whatever stands under them: deleting, counting and listing them.

use super::call::{Call, DONE, Outcome};
use super::failure::{Failure, NO_MEMORY_TO_DELETE};
use super::glob::Pattern;
use super::spec::Flag::{Operator, Readonly, Write};
use super::spec::{Flags, Keys, Spec};
use super::too_long;
use super::words::{parse_number, parse_pattern, upper};
use crate::framing::{Args, Form};
use crate::limits::{MAX_SCAN_COUNT, WALK_ENTRIES};
use crate::store::KeyValueStore;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "DEL",
        usage: "DEL key [key ...]",
        summary: "deletes; OK if there was a value (for several keys: how many had one)",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[Write]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys",
        function: del,
    },
    Spec {
        name: "UNLINK",
        usage: "UNLINK key [key ...]",
        summary: "the same as DEL",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[Write]),
        group: "generic",
        since: "4.0.0",
        complexity: "O(N) where N is the number of keys",
        function: del,
    },
    Spec {
        name: "EXISTS",
        usage: "EXISTS key [key ...]",
        summary: "how many of the keys have a value",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys",
        function: exists,
    },
    Spec {
        name: "TOUCH",
        usage: "TOUCH key [key ...]",
        summary: "the same as EXISTS: nothing here depends on when a key was last used",
        arity: -2,
        keys: Keys::ALL,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "3.2.1",
        complexity: "O(N) where N is the number of keys",
        function: exists,
    },
    Spec {
        name: "TYPE",
        usage: "TYPE key",
        summary: "string, or none if there is no value",
        arity: 2,
        keys: Keys::ONE,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(1)",
        function: kind,
    },
    Spec {
        name: "KEYS",
        usage: "KEYS pattern",
        summary: "the keys that match, such as KEYS user:*",
        arity: 2,
        keys: Keys::NONE,
        flags: Flags::of(&[Readonly, Operator]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(N) where N is the number of keys in the store",
        function: keys,
    },
    Spec {
        name: "SCAN",
        usage: "SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]",
        summary: "some keys and the cursor to go on with; begins and ends with 0",
        arity: -2,
        keys: Keys::NONE,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "2.8.0",
        complexity: "O(1) for every call",
        function: scan,
    },
    Spec {
        name: "RANDOMKEY",
        usage: "RANDOMKEY",
        summary: "any key that has a value",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "1.0.0",
        complexity: "O(1) unless most keys were deleted just now",
        function: randomkey,
    },
    Spec {
        name: "DBSIZE",
        usage: "DBSIZE",
        summary: "how many keys have a value; one that has expired may count for a second",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Readonly]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: dbsize,
    },
];

fn del(call: &mut Call<'_>) -> Outcome {
    let keys = call.keys()?;
    if !call.host.may_delete(keys) {
        return Err(Failure::new("OOM", NO_MEMORY_TO_DELETE));
    }
    let held = keys.iter().filter(|key| call.delete(key)).count();
    match (call.answer.form(), keys.len(), held) {
        (Form::Plain, 1, 0) => call.answer.value(None),
        (Form::Plain, 1, _) => call.answer.ok(),
        _ => call.answer.integer(held),
    }
    DONE
}

fn exists(call: &mut Call<'_>) -> Outcome {
    let held = call.keys()?.iter().filter(|key| call.replica.get(key, |value| value.is_some())).count();
    call.answer.integer(held);
    DONE
}

fn kind(call: &mut Call<'_>) -> Outcome {
    let has_value = call.replica.get(call.key(0)?, |value| value.is_some());
    call.answer.status(if has_value { "string" } else { "none" });
    DONE
}

fn keys(call: &mut Call<'_>) -> Outcome {
    let pattern = parse_pattern(call.word(0))?;
    let (mut keys, mut bytes, mut cursor) = (Vec::new(), 0, 0);
    loop {
        call.begin_part()?;
        let (next, found) = call.replica.store().scan(call.replica.wall(), cursor, WALK_ENTRIES);
        for key in found.into_iter().filter(|key| pattern.matches(key)) {
            bytes += key.len() + RESP_BYTES_A_KEY;
            keys.push(key);
        }
        if !call.has_room_for(bytes) {
            return call.no_room("ERR", too_long("SCAN 0 MATCH pattern"));
        }
        if next == 0 {
            break;
        }
        cursor = next;
    }
    write_keys(&keys, call);
    DONE
}

fn scan(call: &mut Call<'_>) -> Outcome {
    let Scan { cursor, pattern, count, strings } = Scan::parse(call.args)?;
    call.begin_part()?;
    let (next, mut keys) = call.replica.store().scan(call.replica.wall(), cursor, count);
    keys.retain(|key| strings && pattern.as_ref().is_none_or(|pattern| pattern.matches(key)));
    let bytes: usize = keys.iter().map(|key| key.len() + RESP_BYTES_A_KEY).sum();
    if !call.has_room_for(bytes) {
        return call.no_room("ERR", too_long("SCAN with a smaller COUNT"));
    }
    call.answer.list(2);
    call.answer.value(Some(next.to_string().as_bytes()));
    write_keys(&keys, call);
    DONE
}

/// The words of a SCAN.
struct Scan {
    cursor: u64,
    pattern: Option<Pattern>,
    count: usize,
    /// Whether it asks for strings, among other types. All that is here are strings.
    strings: bool,
}

impl Scan {
    fn parse(args: Args<'_>) -> Result<Self, Failure> {
        let usage = || Failure::error("syntax error: type SCAN cursor [MATCH pattern] [COUNT n] [TYPE type]");
        let cursor = args.get(0).and_then(parse_number);
        let cursor = cursor.ok_or_else(|| Failure::error("invalid cursor: begin with SCAN 0"))?;
        let (mut pattern, mut count, mut strings) = (None, 10, true);
        let mut options = args.from(1).iter();
        while let Some(option) = options.next() {
            let value = options.next().ok_or_else(usage)?;
            match upper(option).as_str() {
                "MATCH" => pattern = Some(parse_pattern(value)?),
                "COUNT" => count = parse_number(value).filter(|&count| count > 0).ok_or_else(usage)?,
                "TYPE" => strings = value.eq_ignore_ascii_case(b"string"),
                _ => return Err(usage()),
            }
        }
        Ok(Self { cursor, pattern, count: count.min(MAX_SCAN_COUNT), strings })
    }
}

fn randomkey(call: &mut Call<'_>) -> Outcome {
    match fastrand::choice(some_keys(call, RANDOM_KEYS)?) {
        Some(key) => call.answer.value(Some(&key)),
        None => call.answer.absent("There are no keys"),
    }
    DONE
}

/// About so many keys that follow any cursor, with those at the beginning of a scan behind those at its end; all keys
/// if there are not so many.
fn some_keys(call: &mut Call<'_>, count: usize) -> Result<Vec<Box<[u8]>>, Failure> {
    let first = fastrand::u64(..KeyValueStore::CURSORS);
    let (mut keys, mut cursor, mut is_second_time) = (Vec::new(), first, false);
    loop {
        call.begin_part()?;
        let (next, found) = call.replica.store().scan(call.replica.wall(), cursor, count - keys.len());
        keys.extend(found);
        is_second_time |= next == 0;
        if keys.len() >= count || (is_second_time && next >= first) || (cursor == 0 && next == 0) {
            break;
        }
        cursor = next;
    }
    keys.sort_unstable();
    keys.dedup();
    Ok(keys)
}

fn dbsize(call: &mut Call<'_>) -> Outcome {
    call.answer.integer(call.replica.store().counts().keys);
    DONE
}

/// Among how many neighbours RANDOMKEY chooses. With fewer, a key after a wide gap would come up more often than
/// others.
const RANDOM_KEYS: usize = 16;

/// About what a key takes in an answer and in the list before it, beside its own bytes.
const RESP_BYTES_A_KEY: usize = 32;

fn write_keys(keys: &[Box<[u8]>], call: &mut Call<'_>) {
    call.answer.list(keys.len());
    keys.iter().for_each(|key| call.answer.value(Some(key)));
    call.answer.end();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::commands::bare::Bare;
    use crate::framing::RequestParser;
    use crate::limits::{MAX_ANSWER_BYTES, MAX_KEY_BYTES};
    use crate::replication::message::Incarnation;
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::Rules;
    use crate::store::clock::Timestamp;
    use crate::store::placement::Placement;
    use crate::store::version::NodeId;

    /// A client of a replica that holds these keys.
    fn client(keys: impl Iterator<Item = Vec<u8>>) -> Bare {
        let identity = Identity::in_memory("node1", NodeId(1), Incarnation(9));
        let replica = Replica::new(identity, Rules::default(), Box::new(|| Timestamp::from_millis(1_700_000_000_000)));
        keys.for_each(|key| replica.set(&key, b"v"));
        Bare::new(replica)
    }

    fn long_keys(count: u32) -> impl Iterator<Item = Vec<u8>> {
        (0..count).map(|number| [&number.to_be_bytes()[..], &[b'k'; MAX_KEY_BYTES - 4]].concat())
    }

    fn ask(client: &mut Bare, line: &str) -> Vec<u8> {
        let (bytes, mut parser, mut out) = (format!("{line}\n"), RequestParser::default(), Vec::new());
        assert_eq!(parser.parse(bytes.as_bytes()), Ok(Some((Form::Plain, bytes.len()))));
        client.execute(Form::Resp, parser.args(Form::Plain, bytes.as_bytes()), &mut out);
        out
    }

    #[test]
    fn keys_collects_no_more_than_an_answer_holds() {
        // Alone they would fit. What each takes beside counts, too.
        let too_many = (MAX_ANSWER_BYTES / MAX_KEY_BYTES) as u32;
        let mut client = client(long_keys(too_many));
        let refused = ask(&mut client, "KEYS *");
        assert!(refused.starts_with(b"-ERR the answer would be longer than"), "{} bytes", refused.len());
        assert!(long_keys(1).all(|key| client.replica().delete(&key)));
        let answer = ask(&mut client, "KEYS *");
        assert!(answer.len() <= MAX_ANSWER_BYTES && answer.len() > MAX_ANSWER_BYTES / 100 * 99);
    }

    #[test]
    fn any_key_may_be_the_random_one_also_the_only_one_and_none_is_preferred() {
        let keys = |count: u32| (0..count).map(|number| number.to_string().into_bytes());
        assert_eq!(ask(&mut client(keys(0)), "RANDOMKEY"), b"$-1\r\n");
        let mut alone = client(keys(1));
        (0..100).for_each(|_| assert_eq!(ask(&mut alone, "RANDOMKEY"), b"$1\r\n0\r\n"));
        // One at the beginning of a scan and one at its end: the second comes behind nearly every cursor.
        let sixteenth = |key: &Vec<u8>| Placement::default().hash(key) >> 60;
        let at = |place: u64| keys(1000).find(|key| sixteenth(key) == place).expect("one in sixteen");
        let mut two = client([at(0), at(15)].into_iter());
        let mut seen = BTreeMap::<Vec<u8>, usize>::new();
        (0..4000).for_each(|_| *seen.entry(ask(&mut two, "RANDOMKEY")).or_default() += 1);
        // Half of them each; 250 are eight standard deviations.
        assert!(seen.len() == 2 && seen.values().all(|times| (1750..=2250).contains(times)), "{seen:?}");
    }
}
