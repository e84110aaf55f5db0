//! How a value lies in memory, as far as Redis' tools ask for it: OBJECT and MEMORY.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::Readonly;
use super::spec::{Flags, Keys, Spec};
use super::words::{integer, parse_number, upper};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "OBJECT",
        usage: "OBJECT ENCODING|REFCOUNT|FREQ|IDLETIME key",
        summary: "int, embstr or raw, as Redis would store it; 1; the others are not tracked",
        arity: -2,
        keys: Keys::SECOND,
        flags: Flags::of(&[Readonly]),
        group: "generic",
        since: "2.2.3",
        complexity: "O(1)",
        function: object,
    },
    Spec {
        name: "MEMORY",
        usage: "MEMORY USAGE key [SAMPLES n]",
        summary: "how many bytes of --max-memory the key and its value take",
        arity: -2,
        keys: Keys::SECOND,
        flags: Flags::of(&[Readonly]),
        group: "server",
        since: "4.0.0",
        complexity: "O(1)",
        function: memory,
    },
];

const OBJECT_HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    How Redis would store the value: int, embstr or raw.",
    "FREQ <key>",
    "    Not tracked: no key is evicted.",
    "IDLETIME <key>",
    "    Not tracked: no key is evicted.",
    "REFCOUNT <key>",
    "    1: values are not shared.",
    "HELP",
    "    Prints this help.",
];

const MEMORY_HELP: &[&str] = &[
    "MEMORY <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "USAGE <key> [SAMPLES <count>]",
    "    How many bytes of --max-memory the key and its value take. SAMPLES changes nothing.",
    "HELP",
    "    Prints this help.",
];

fn object(call: &mut Call<'_>) -> Outcome {
    let subcommand = upper(call.word(0));
    match (subcommand.as_str(), call.args.len()) {
        ("HELP", 1) => call.help(OBJECT_HELP),
        ("ENCODING" | "FREQ" | "IDLETIME" | "REFCOUNT", 2) => {
            let key = call.key(1)?;
            let Some(encoding) = call.replica.get(key, |value| value.map(encoding)) else {
                call.answer.value(None);
                return DONE;
            };
            match subcommand.as_str() {
                "ENCODING" => call.answer.texts([encoding]),
                "REFCOUNT" => call.answer.integer(1),
                "FREQ" => return Err(Failure::error(NO_FREQUENCY)),
                _ => return Err(Failure::error(NO_IDLE_TIME)),
            }
        }
        _ => return Err(call.wrong_subcommand(&["ENCODING", "FREQ", "IDLETIME", "REFCOUNT", "HELP"])),
    }
    DONE
}

/// As Redis says it, up to the full stop.
const NO_FREQUENCY: &str = "An LFU maxmemory policy is not selected, access frequency not tracked.";

const NO_IDLE_TIME: &str = "idle time not tracked: no key is evicted here, so no read is noted";

/// How Redis stores a value that comes with SET.
fn encoding(value: &[u8]) -> &'static str {
    /// A longer value does not fit into one allocation with its header.
    const EMBEDDED_BYTES: usize = 44;
    let is_integer = parse_number::<i64>(value).is_some_and(|number| number.to_string().as_bytes() == value);
    match value.len() {
        _ if is_integer => "int",
        0..=EMBEDDED_BYTES => "embstr",
        _ => "raw",
    }
}

fn memory(call: &mut Call<'_>) -> Outcome {
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("HELP", 1) => call.help(MEMORY_HELP),
        ("USAGE", 2) => return usage(call),
        ("USAGE", 4) if call.word(2).eq_ignore_ascii_case(b"SAMPLES") => {
            if integer::<i64>(call.word(3))? < 0 {
                return Err(syntax_error());
            }
            return usage(call);
        }
        ("USAGE", 3..) => return Err(syntax_error()),
        _ => return Err(call.wrong_subcommand(&["USAGE", "HELP"])),
    }
    DONE
}

fn usage(call: &mut Call<'_>) -> Outcome {
    let key = call.key(1)?;
    match call.replica.store().value_bytes(key, call.replica.wall()) {
        Some(bytes) => call.answer.integer(bytes),
        None => call.answer.value(None),
    }
    DONE
}

fn syntax_error() -> Failure {
    Failure::error("syntax error: type MEMORY USAGE key [SAMPLES n]")
}

#[cfg(test)]
mod tests {
    use super::encoding;

    #[test]
    fn a_value_has_the_encoding_that_redis_would_choose() {
        for (value, expected) in [
            ("0", "int"),
            ("-12", "int"),
            ("9223372036854775807", "int"),
            ("9223372036854775808", "embstr"),
            ("+1", "embstr"),
            ("01", "embstr"),
            ("-0", "embstr"),
            (" 1", "embstr"),
            ("", "embstr"),
            (&"x".repeat(44), "embstr"),
            (&"x".repeat(45), "raw"),
        ] {
            assert_eq!(encoding(value.as_bytes()), expected, "{value}");
        }
    }
}
