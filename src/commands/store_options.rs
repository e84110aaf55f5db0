//! The options of SET and GETEX: under which condition a value is stored, and when it expires.

use super::call::Call;
use super::expiry::{deadline_in, same_value, unit_of};
use super::failure::Failure;
use super::words::upper;
use crate::store::Change;
use crate::store::clock::Timestamp;
use crate::store::content::Content;
use crate::store::deadline::Deadline;

/// How SET stores.
pub(super) struct StoreOptions<'a> {
    pub(super) condition: Condition<'a>,
    pub(super) expiry: Expiry,
    /// GET: the answer is the value before, not whether it was stored.
    pub(super) answers_old: bool,
}

/// When SET stores: judged by what this node holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Condition<'a> {
    Always,
    /// NX
    IfAbsent,
    /// XX
    IfPresent,
    /// IFEQ
    IfEqual(&'a [u8]),
}

/// When a value expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    Never,
    /// KEEPTTL, and GETEX without an option: as before.
    Keep,
    At(Deadline),
}

impl Condition<'_> {
    pub(super) fn holds(self, content: Option<Content<'_>>) -> bool {
        match self {
            Self::Always => true,
            Self::IfAbsent => content.is_none(),
            Self::IfPresent => content.is_some(),
            Self::IfEqual(value) => content.and_then(Content::value) == Some(value),
        }
    }
}

impl Expiry {
    /// The deadline of what replaces `content`.
    pub(super) fn deadline(self, content: Option<Content<'_>>) -> Option<Deadline> {
        match self {
            Self::Never => None,
            Self::Keep => content.and_then(Content::deadline),
            Self::At(deadline) => Some(deadline),
        }
    }

    /// What GETEX makes of a key with this content.
    pub(super) fn change(self, content: Content<'_>, now: Timestamp) -> Change<'static> {
        match self {
            Self::Keep => Change::Nothing,
            Self::Never if content.deadline().is_none() => Change::Nothing,
            Self::Never => same_value(content, None),
            Self::At(deadline) if deadline.is_past(now) => Change::Delete,
            Self::At(deadline) => same_value(content, Some(deadline)),
        }
    }

    /// The option of a GETEX for a key that has a value, or for one that has none: then the time is not looked at.
    pub(super) fn of_getex(call: &Call<'_>, is_present: bool) -> Result<Self, Failure> {
        let option = upper(call.word(1));
        match (call.args.len(), unit_of(&option)) {
            (1, _) => Ok(Self::Keep),
            (2, _) if option == "PERSIST" => Ok(Self::Never),
            (3, Some(_)) if !is_present => Ok(Self::Keep),
            (3, Some((unit, base))) => deadline_in(call, call.word(2), unit, base).map(Self::At),
            _ => Err(Failure::error("syntax error")),
        }
    }
}

impl<'a> StoreOptions<'a> {
    /// The options behind the key and the value of a SET.
    pub(super) fn parse(call: &Call<'a>) -> Result<Self, Failure> {
        let (mut condition, mut keeps, mut time, mut answers_old) = (None, false, None, false);
        let mut index = 2;
        while index < call.args.len() {
            let (option, next) = (upper(call.word(index)), call.args.get(index + 1));
            let is_first = condition.is_none();
            let has_other_time = keeps || time.is_some_and(|(_, unit)| Some(unit) != unit_of(&option));
            match (option.as_str(), next, unit_of(&option)) {
                ("GET", ..) => answers_old = true,
                ("NX", ..) if is_first || condition == Some(Condition::IfAbsent) => {
                    condition = Some(Condition::IfAbsent)
                }
                ("XX", ..) if is_first || condition == Some(Condition::IfPresent) => {
                    condition = Some(Condition::IfPresent);
                }
                ("IFEQ", Some(value), _) if is_first => condition = Some(Condition::IfEqual(value)),
                ("KEEPTTL", ..) if time.is_none() => keeps = true,
                (_, Some(word), Some(unit)) if !has_other_time => time = Some((word, unit)),
                _ => return Err(Failure::error("syntax error")),
            }
            let takes_word = matches!(option.as_str(), "IFEQ" | "EX" | "PX" | "EXAT" | "PXAT");
            index += if takes_word { 2 } else { 1 };
        }
        // The time is looked at when all else is right, as Redis does it.
        let expiry = match time {
            None if keeps => Expiry::Keep,
            None => Expiry::Never,
            Some((word, (unit, base))) => Expiry::At(deadline_in(call, word, unit, base)?),
        };
        Ok(Self { condition: condition.unwrap_or(Condition::Always), expiry, answers_old })
    }
}
