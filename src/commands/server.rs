//! The node: its figures and settings, and the commands themselves.

use std::fmt::Write;

use super::answer::Answer;
use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::usage::{self, Argument};
use super::words::upper;
use super::{glob, info, shown};
use crate::framing::{Args, Form};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "INFO",
        usage: "INFO [section [section ...]]",
        summary: "the state of this node",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: info,
    },
    Spec {
        name: "HELP",
        usage: "HELP",
        summary: "this list",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "0.1.0",
        complexity: "O(1)",
        function: help,
    },
    Spec {
        name: "COMMAND",
        usage: "COMMAND [COUNT|DOCS [name [name ...]]|INFO [name [name ...]]]",
        summary: "this list, for Redis clients",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "2.8.13",
        complexity: "O(1)",
        function: command,
    },
    Spec {
        name: "CONFIG",
        usage: "CONFIG GET name [name ...]",
        summary: "a few settings, for Redis tools",
        arity: -3,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "2.0.0",
        complexity: "O(1)",
        function: config,
    },
    Spec {
        name: "BGSAVE",
        usage: "BGSAVE [SCHEDULE]",
        summary: "writes a snapshot to the disk, in the background",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::NONE,
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: bgsave,
    },
    Spec {
        name: "LASTSAVE",
        usage: "LASTSAVE",
        summary: "when the last snapshot was complete, in seconds since 1970",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "1.0.0",
        complexity: "O(1)",
        function: lastsave,
    },
    Spec {
        name: "TIME",
        usage: "TIME",
        summary: "this node's clock: seconds since 1970, and microseconds (a multiple of 1000)",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "2.6.0",
        complexity: "O(1)",
        function: time,
    },
];

fn info(call: &mut Call<'_>) -> Outcome {
    call.answer.text(&info::render(&call.host.stats(), call.args));
    DONE
}

fn help(call: &mut Call<'_>) -> Outcome {
    let mut text =
        String::from("Type a command and a newline; quote a \"key with spaces\". The commands, in any case:\n");
    for spec in shown() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<38} {}", spec.usage, spec.summary);
    }
    call.answer.text(&text);
    DONE
}

fn config(call: &mut Call<'_>) -> Outcome {
    if !call.word(0).eq_ignore_ascii_case(b"GET") {
        return Err(Failure::error("settings are given at the start, see --help: type CONFIG GET name"));
    }
    let names = call.args.from(1);
    let stats = call.host.stats();
    let (max_connections, disk) = (stats.max_connections.to_string(), stats.disk.as_ref());
    let settings = [
        ("save", ""),
        ("appendonly", if disk.is_some() { "yes" } else { "no" }),
        ("appendfsync", disk.map_or("no", |disk| if disk.syncs_always() { "always" } else { "everysec" })),
        ("dir", disk.map_or("", |disk| &disk.directory)),
        ("databases", "1"),
        ("maxclients", &max_connections),
        ("timeout", "0"),
    ];
    let asked = |name: &str| names.iter().any(|pattern| glob::matches(&pattern.to_ascii_lowercase(), name.as_bytes()));
    let found: Vec<_> = settings.into_iter().filter(|(name, _)| asked(name)).collect();
    call.answer.map(found.len());
    found.into_iter().for_each(|(name, value)| call.answer.texts([name, value]));
    call.answer.end();
    DONE
}

fn bgsave(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    if call.args.get(0).is_some_and(|word| !word.eq_ignore_ascii_case(b"SCHEDULE")) {
        return Err(Failure::error(format!("unknown option: type {}", call.spec.usage)));
    }
    if let Some(failed) = call.host.disk_failure() {
        return Err(Failure::new("MISCONF", format!("{failed}; a snapshot is tried every 5 seconds")));
    }
    if !call.host.save() {
        return Err(Failure::error("this node has no disk: start it with --data DIR"));
    }
    call.answer.status("Background saving started");
    DONE
}

fn lastsave(call: &mut Call<'_>) -> Outcome {
    let disk = call.host.stats().disk;
    call.answer.integer(disk.map_or(0, |disk| disk.saved_at as usize));
    DONE
}

fn time(call: &mut Call<'_>) -> Outcome {
    let millis = call.replica.wall().millis();
    call.answer.list(2);
    call.answer.texts([&*(millis / 1000).to_string(), &*(millis % 1000 * 1000).to_string()]);
    call.answer.end();
    DONE
}

// ---- COMMAND --------------------------------------------------------------------------------------------------------

fn command(call: &mut Call<'_>) -> Outcome {
    let names = call.args.from(1);
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("COUNT", 1) => call.answer.integer(shown().count()),
        ("DOCS", _) => write_docs(&named(names).into_iter().flatten().collect::<Vec<_>>(), &mut call.answer),
        ("" | "INFO", _) => write_specs(&named(names), &mut call.answer),
        _ => return Err(Failure::error(format!("unknown COMMAND subcommand: type {}", call.spec.usage))),
    }
    DONE
}

/// The commands with these names, `None` for a name that no command has; all commands if there are no names.
fn named(names: Args<'_>) -> Vec<Option<&'static Spec>> {
    match names.is_empty() {
        true => shown().map(Some).collect(),
        false => names.iter().map(|name| shown().find(|spec| spec.is_named(name))).collect(),
    }
}

/// Name, arity, flags, and where the keys stand.
fn write_specs(specs: &[Option<&Spec>], answer: &mut Answer<'_>) {
    answer.list(specs.len());
    for spec in specs {
        match spec {
            None => answer.absent("no such command"),
            Some(spec) if answer.form() == Form::Plain => answer.value(Some(spec.usage.as_bytes())),
            Some(spec) => {
                let Keys { first, last, step } = spec.keys;
                answer.list(6);
                answer.texts([&*spec.name.to_ascii_lowercase()]);
                answer.signed(spec.arity);
                answer.list(spec.flags.names().count());
                spec.flags.names().for_each(|name| answer.status(name));
                [first, last, step].into_iter().for_each(|number| answer.signed(number));
            }
        }
    }
    answer.end();
}

fn write_docs(specs: &[&Spec], answer: &mut Answer<'_>) {
    answer.map(specs.len());
    for spec in specs {
        let Spec { summary, since, group, complexity, .. } = spec;
        answer.texts([&*spec.name.to_ascii_lowercase()]);
        answer.map(5);
        answer.texts(["summary", summary, "since", since, "group", group, "complexity", complexity, "arguments"]);
        match answer.form() {
            Form::Plain => answer.texts([spec.usage]),
            Form::Resp | Form::Resp3 => write_arguments(&usage::arguments(spec.usage), answer),
        }
    }
    answer.end();
}

/// Arguments in the words of Redis' COMMAND DOCS.
fn write_arguments(arguments: &[Argument], answer: &mut Answer<'_>) {
    answer.list(arguments.len());
    for argument in arguments {
        let mut texts = vec!["name", argument.name.as_str(), "type", argument.kind.name()];
        texts.extend(argument.token.as_deref().into_iter().flat_map(|token| ["token", token]));
        let flags = [argument.is_optional.then_some("optional"), argument.is_multiple.then_some("multiple")];
        let flags: Vec<&str> = flags.into_iter().flatten().collect();
        let parts = argument.kind.parts();
        answer.map(texts.len() / 2 + usize::from(!flags.is_empty()) + usize::from(parts.is_some()));
        answer.texts(texts);
        if !flags.is_empty() {
            answer.texts(["flags"]);
            answer.list(flags.len());
            flags.into_iter().for_each(|flag| answer.status(flag));
        }
        if let Some(parts) = parts {
            answer.texts(["arguments"]);
            write_arguments(parts, answer);
        }
    }
}
