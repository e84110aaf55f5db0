//! CONFIG: what the node was told when it started, and what may be changed while it runs.
//!
//! A setting that is changed here is not kept: after a restart what stands in the command line is in force again.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::stats::Stats;
use super::words::{parse_number, parse_pattern, upper};
use crate::framing::{Args, printable};
use crate::limits::MIN_MAX_MEMORY;

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "CONFIG",
    usage: "CONFIG GET name [name ...]|SET name value [name value ...]|RESETSTAT",
    summary: "a few settings, for Redis' tools",
    arity: -2,
    keys: Keys::NONE,
    flags: Flags::of(&[Loading]),
    group: "server",
    since: "2.0.0",
    complexity: "O(1)",
    function: config,
}];

const HELP: &[&str] = &[
    "CONFIG <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "GET <pattern>",
    "    The settings whose names match, and their values.",
    "SET <name> <value>",
    "    Changes maxmemory until the node ends. The others are given at its start, see --help.",
    "RESETSTAT",
    "    Begins to count connections, commands and expired keys anew, for INFO.",
    "HELP",
    "    Prints this help.",
];

fn config(call: &mut Call<'_>) -> Outcome {
    let rest = call.args.from(1);
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("GET", 2..) => get(call, rest)?,
        ("SET", 3..) => {
            call.for_operators()?;
            if let Some(bytes) = new_max_memory(rest, &current(&call.host.stats()))? {
                call.host.set_max_memory(bytes);
            }
            call.answer.ok();
        }
        ("RESETSTAT", 1) => {
            call.for_operators()?;
            call.host.reset_counters();
            call.answer.ok();
        }
        ("REWRITE", 1) => return Err(Failure::error("The server is running without a config file")),
        ("HELP", 1) => call.help(HELP),
        _ => return Err(call.wrong_subcommand(&["GET", "SET", "RESETSTAT", "REWRITE", "HELP"])),
    }
    DONE
}

fn get(call: &mut Call<'_>, names: Args<'_>) -> Result<(), Failure> {
    let settings = current(&call.host.stats());
    let mut asked = [false; SETTINGS];
    for word in names.iter() {
        let pattern = parse_pattern(&word.to_ascii_lowercase())?;
        for ((name, _), asked) in settings.iter().zip(&mut asked) {
            *asked |= pattern.matches(name.as_bytes());
        }
    }
    let found: Vec<_> = settings.iter().zip(asked).filter(|(_, asked)| *asked).map(|(setting, _)| setting).collect();
    call.answer.map(found.len());
    found.iter().for_each(|(name, value)| call.answer.texts([name, value.as_str()]));
    call.answer.end();
    Ok(())
}

/// How many settings CONFIG GET shows.
const SETTINGS: usize = 9;

/// Redis' names for what a node can be told, and the values in force.
fn current(stats: &Stats) -> [(&'static str, String); SETTINGS] {
    let disk = stats.disk.as_ref();
    let sync = disk.map_or("no", |disk| if disk.syncs_always() { "always" } else { "everysec" });
    [
        ("save", String::new()),
        ("appendonly", if disk.is_some() { "yes" } else { "no" }.into()),
        ("appendfsync", sync.into()),
        ("dir", disk.map(|disk| disk.directory.clone()).unwrap_or_default()),
        ("databases", "1".into()),
        ("maxclients", stats.max_connections.to_string()),
        ("maxmemory", stats.max_memory.to_string()),
        ("maxmemory-policy", "noeviction".into()),
        ("timeout", stats.idle_timeout.map_or(0, |timeout| timeout.as_millis().div_ceil(1000)).to_string()),
    ]
}

/// What the words make of `maxmemory`, the only setting that can be changed; `None` if it stays. What is in force
/// already may be set all the same: many clients make sure of a setting, whatever it is.
fn new_max_memory(words: Args<'_>, current: &[(&'static str, String)]) -> Result<Option<usize>, Failure> {
    if !words.len().is_multiple_of(2) {
        return Err(Failure::error("syntax error: type CONFIG SET name value [name value ...]"));
    }
    let (mut max_memory, mut named) = (None, Vec::new());
    for index in (0..words.len()).step_by(2) {
        let (word, value) = (words.get(index).unwrap_or_default(), words.get(index + 1).unwrap_or_default());
        let (name, present) =
            current.iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes())).ok_or_else(|| {
                let name = printable(word);
                Failure::error(format!("Unknown option or number of arguments for CONFIG SET - '{name}'"))
            })?;
        if named.contains(name) {
            return Err(Failure::error(cannot_set(name, "duplicate parameter")));
        }
        named.push(name);
        if value != present.as_bytes() {
            max_memory = Some(bytes_for(name, value).map_err(|why| Failure::error(cannot_set(name, &why)))?);
        }
    }
    Ok(max_memory)
}

/// The bytes in a value of `maxmemory`. No other setting can be changed.
fn bytes_for(name: &str, value: &[u8]) -> Result<usize, String> {
    if name != "maxmemory" {
        return Err("can't set immutable config: it is given at the start, see --help".into());
    }
    match parse_bytes(value) {
        Some(bytes) if bytes >= MIN_MAX_MEMORY => Ok(bytes),
        Some(_) => Err(format!("argument must be at least {}mb: there is always a limit", MIN_MAX_MEMORY >> 20)),
        None => Err("argument must be a memory value".into()),
    }
}

fn cannot_set(name: &str, why: &str) -> String {
    format!("CONFIG SET failed (possibly related to argument '{name}') - {why}")
}

/// A number of bytes with one of Redis' units: `k` is 1000, `kb` is 1024.
fn parse_bytes(value: &[u8]) -> Option<usize> {
    let text = upper(value);
    let digits = text.trim_end_matches(|char: char| char.is_ascii_alphabetic());
    let unit: usize = match &text[digits.len()..] {
        "" | "B" => 1,
        "K" => 1000,
        "KB" => 1 << 10,
        "M" => 1_000_000,
        "MB" => 1 << 20,
        "G" => 1_000_000_000,
        "GB" => 1 << 30,
        _ => return None,
    };
    parse_number::<usize>(digits.as_bytes())?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::parse_bytes;

    #[test]
    fn sizes_have_the_units_of_redis() {
        for (typed, bytes) in
            [("5", 5), ("5b", 5), ("1k", 1000), ("1KB", 1024), ("2mb", 2 << 20), ("1g", 1_000_000_000)]
        {
            assert_eq!(parse_bytes(typed.as_bytes()), Some(bytes), "{typed}");
        }
        for wrong in ["", "mb", "-1", "1.5gb", "1tb", "1 mb", "99999999999999999999", "18446744073709551615gb"] {
            assert_eq!(parse_bytes(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
