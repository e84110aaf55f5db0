//! One entry of the table of commands.

use super::call::{Call, Outcome};
use crate::framing::{Args, Form};

/// A command: what HELP and COMMAND say about it, what is checked before it, and the function that carries it out.
#[derive(Debug)]
pub struct Spec {
    /// The first word of its requests, in capitals.
    pub name: &'static str,
    /// What to type.
    pub usage: &'static str,
    /// What it does, in half a line.
    pub summary: &'static str,
    /// How many words it has, the name included; negative: at least as many. As in Redis' COMMAND.
    pub arity: i32,
    /// Which of its words are keys.
    pub keys: Keys,
    /// The rules that apply to it.
    pub flags: Flags,
    /// The group in which `redis-cli help` shows it.
    pub group: &'static str,
    /// The version of Redis that first had it; the version of this store, if Redis has no such command.
    pub since: &'static str,
    /// How its cost grows.
    pub complexity: &'static str,
    /// Carries it out and writes the answer. The number of words has been checked against `arity`.
    pub function: fn(&mut Call<'_>) -> Outcome,
}

impl Spec {
    /// Whether this is the command's name, in any case.
    pub fn is_named(&self, name: &[u8]) -> bool {
        is_name(self.name, name)
    }

    /// Whether a request may have this many words, the name included.
    pub fn takes(&self, words: usize) -> bool {
        let least = self.arity.unsigned_abs() as usize;
        words == least || (self.arity < 0 && words > least)
    }

    /// After how many words the rest of a plain line is one text, if it is.
    pub fn words_before_text(&self) -> Option<usize> {
        self.flags.has(Flag::RestIsText).then(|| self.arity.unsigned_abs() as usize - 1)
    }

    /// How it is typed. Behind the text of a plain line nothing follows: options would be a part of it.
    pub fn usage_in(&self, form: Form) -> &'static str {
        let words = self.words_before_text().filter(|_| form == Form::Plain);
        let text_ends = words.and_then(|words| self.usage.match_indices(' ').nth(words));
        text_ends.map_or(self.usage, |(end, _)| &self.usage[..end])
    }
}

/// Whether a word is this name, in any case.
pub(super) fn is_name(name: &str, word: &[u8]) -> bool {
    name.as_bytes().eq_ignore_ascii_case(word)
}

/// Which words of a request are keys, in the numbers of Redis' COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keys {
    /// The first key, counted from 0, the name; 0 if there are no keys.
    pub first: i32,
    /// The last key; negative: counted from the end.
    pub last: i32,
    /// From one key to the next.
    pub step: i32,
}

impl Keys {
    /// There are no keys, or only a pattern for some.
    pub const NONE: Self = Self { first: 0, last: 0, step: 0 };
    /// The word behind the name.
    pub const ONE: Self = Self { first: 1, last: 1, step: 1 };
    /// The first two words behind the name.
    pub const TWO: Self = Self { first: 1, last: 2, step: 1 };
    /// The second word behind the name; the first says what is asked.
    pub const SECOND: Self = Self { first: 2, last: 2, step: 1 };
    /// All words behind the name.
    pub const ALL: Self = Self { first: 1, last: -1, step: 1 };
    /// Keys and values in turn.
    pub const PAIRS: Self = Self { first: 1, last: -1, step: 2 };

    /// The keys in a request, the name included.
    pub fn of<'a>(self, request: Args<'a>) -> impl Iterator<Item = &'a [u8]> {
        let last = if self.last < 0 { request.len() as i32 + self.last } else { self.last };
        let places = (self.first..=last).step_by(self.step.max(1) as usize);
        places.filter(|&place| place > 0).filter_map(move |place| request.get(place as usize))
    }
}

/// A rule for a command. The first six mean what they mean in Redis, and COMMAND INFO shows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flag {
    /// It may change the data.
    Write,
    /// It reads the data.
    Readonly,
    /// It is refused when the memory is full.
    DenyOom,
    /// It is answered before the client has said the secret.
    NoAuth,
    /// It is answered while the node still takes over what its peers hold.
    Loading,
    /// It is refused between MULTI and EXEC: it would wait while nobody else can go on, or it changes the connection.
    NoMulti,
    /// It is carried out at once between MULTI and EXEC, instead of being queued.
    NeverQueued,
    /// HELP and COMMAND do not show it.
    Hidden,
    /// It is there only in a node that was started with `--lab`.
    Lab,
    /// It burdens or changes the whole node: where operators have a secret, only they have it.
    Operator,
    /// In a plain line, its last word is the rest of the line as it stands.
    RestIsText,
}

/// A set of [`Flag`]s.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flags(u16);

impl Flags {
    /// No rule.
    pub const NONE: Self = Self::of(&[]);

    /// The set of these.
    pub const fn of(flags: &[Flag]) -> Self {
        let (mut bits, mut index) = (0, 0);
        // A loop over an iterator cannot run in a constant.
        while index < flags.len() {
            bits |= 1 << flags[index] as u16;
            index += 1;
        }
        Self(bits)
    }

    /// Whether the set has this one.
    pub const fn has(self, flag: Flag) -> bool {
        self.0 & (1 << flag as u16) != 0
    }

    /// Redis' names for those that Redis has.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        let names = [
            (Flag::Write, "write"),
            (Flag::Readonly, "readonly"),
            (Flag::DenyOom, "denyoom"),
            (Flag::NoAuth, "no_auth"),
            (Flag::Loading, "loading"),
            (Flag::NoMulti, "no_multi"),
        ];
        names.into_iter().filter(move |(flag, _)| self.has(*flag)).map(|(_, name)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_has_the_flags_that_it_was_made_of_and_shows_those_of_redis() {
        let flags = Flags::of(&[Flag::Hidden, Flag::DenyOom, Flag::Write]);
        assert!(flags.has(Flag::Hidden) && flags.has(Flag::Write) && flags.has(Flag::DenyOom));
        assert!(!flags.has(Flag::Readonly) && !Flags::NONE.has(Flag::Write));
        assert_eq!(flags.names().collect::<Vec<_>>(), ["write", "denyoom"]);
    }
}
