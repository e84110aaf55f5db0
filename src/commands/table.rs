//! The table of commands, as people and Redis clients read it: HELP and COMMAND.

use std::fmt::Write;

use super::answer::Answer;
use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::glob::Pattern;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::usage::{self, Argument};
use super::words::{parse_pattern, upper};
use super::{find, shown, too_long};
use crate::framing::{Args, Form};

/// The family's part of the table.
pub(super) const COMMANDS: &[Spec] = &[
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
        usage: "COMMAND [COUNT|LIST [FILTERBY PATTERN pattern]|GETKEYS word|DOCS [name [name ...]]|\
                INFO [name [name ...]]]",
        summary: "the same, for clients",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Loading]),
        group: "server",
        since: "2.8.13",
        complexity: "O(1)",
        function: command,
    },
];

fn help(call: &mut Call<'_>) -> Outcome {
    let mut text =
        String::from("Type a command and a newline; quote a \"key with spaces\". The commands, in any case:\n");
    for spec in shown(call.host.lab().is_some()) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {:<38} {}", spec.usage, spec.summary);
    }
    call.answer.text(&text);
    DONE
}

const COMMAND_HELP: &[&str] = &[
    "COMMAND <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "(no subcommand)",
    "    Name, arity, flags and places of the keys of every command.",
    "COUNT",
    "    How many commands there are.",
    "LIST [FILTERBY PATTERN <pattern>]",
    "    The names of all commands, or of those that match.",
    "INFO [<command-name> ...]",
    "    The same as without a subcommand, of these commands.",
    "DOCS [<command-name> ...]",
    "    What all commands, or these, are for, and their arguments.",
    "GETKEYS <full-command>",
    "    The keys in a full command.",
    "HELP",
    "    Prints this help.",
];

fn command(call: &mut Call<'_>) -> Outcome {
    let (rest, lab) = (call.args.from(1), call.host.lab().is_some());
    match (upper(call.word(0)).as_str(), call.args.len()) {
        ("COUNT", 1) => call.answer.integer(shown(lab).count()),
        ("DOCS", _) => write_docs(&named(rest, lab).into_iter().flatten().collect::<Vec<_>>(), &mut call.answer),
        ("" | "INFO", _) => write_specs(&named(rest, lab), &mut call.answer),
        ("LIST", _) => write_names(&Listed::parse(rest)?, lab, &mut call.answer),
        ("GETKEYS", 2..) => return getkeys(call, rest),
        ("HELP", 1) => call.help(COMMAND_HELP),
        _ => return Err(call.wrong_subcommand(&["COUNT", "GETKEYS", "HELP"])),
    }
    DONE
}

/// Which commands COMMAND LIST shows.
enum Listed {
    All,
    /// Those whose names match, in small letters.
    Matching(Pattern),
    /// None: there are no modules that could have some.
    Nothing,
}

impl Listed {
    fn parse(filter: Args<'_>) -> Result<Self, Failure> {
        let word = |index| filter.get(index).unwrap_or_default();
        match (upper(word(0)).as_str(), upper(word(1)).as_str(), filter.len()) {
            ("", _, 0) => Ok(Self::All),
            ("FILTERBY", "PATTERN", 3) => Ok(Self::Matching(parse_pattern(&word(2).to_ascii_lowercase())?)),
            ("FILTERBY", "MODULE", 3) => Ok(Self::Nothing),
            ("FILTERBY", "ACLCAT", 3) => Err(Failure::error(NO_CATEGORIES)),
            _ => Err(Failure::error("syntax error: type COMMAND LIST [FILTERBY PATTERN pattern]")),
        }
    }

    fn shows(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Matching(pattern) => pattern.matches(name.as_bytes()),
            Self::Nothing => false,
        }
    }
}

const NO_CATEGORIES: &str = "commands have no ACL categories: type COMMAND LIST FILTERBY PATTERN pattern";

fn write_names(listed: &Listed, lab: bool, answer: &mut Answer<'_>) {
    let names: Vec<String> = shown(lab).map(|spec| spec.name.to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| listed.shows(name)).collect();
    answer.list(names.len());
    answer.texts(names);
    answer.end();
}

/// The keys in a request.
fn getkeys(call: &mut Call<'_>, request: Args<'_>) -> Outcome {
    let spec = find(request.get(0).unwrap_or_default());
    let spec = spec.ok_or_else(|| Failure::error("Invalid command specified"))?;
    if !spec.takes(request.len()) {
        return Err(Failure::error("Invalid number of arguments specified for command"));
    }
    let keys: Vec<&[u8]> = spec.keys.of(request).collect();
    if keys.is_empty() {
        return Err(Failure::error("The command has no key arguments"));
    }
    call.answer.list(keys.len());
    for key in keys {
        if !call.add_value(Some(key)) {
            return call.no_room("ERR", too_long("COMMAND GETKEYS with fewer keys"));
        }
    }
    call.answer.end();
    DONE
}

/// The commands with these names, `None` for a name that no command has; all commands if there are no names.
fn named(names: Args<'_>, lab: bool) -> Vec<Option<&'static Spec>> {
    match names.is_empty() {
        true => shown(lab).map(Some).collect(),
        false => names.iter().map(|name| shown(lab).find(|spec| spec.is_named(name))).collect(),
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
