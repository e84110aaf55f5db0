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

    /// The option of a GETEX.
    pub(super) fn of_getex(call: &Call<'_>) -> Result<Self, Failure> {
        let option = upper(call.word(1));
        match (call.args.len(), unit_of(&option)) {
            (1, _) => Ok(Self::Keep),
            (2, _) if option == "PERSIST" => Ok(Self::Never),
            (3, Some((unit, base))) => deadline_in(call, call.word(2), unit, base).map(Self::At),
            _ => Err(Failure::error("syntax error")),
        }
    }
}

impl<'a> StoreOptions<'a> {
    /// The options behind the key and the value of a SET.
    pub(super) fn parse(call: &Call<'a>) -> Result<Self, Failure> {
        let syntax_error = || Failure::error("syntax error");
        let (mut condition, mut expiry, mut answers_old) = (None, None, false);
        let mut index = 2;
        while index < call.args.len() {
            let (option, next) = (upper(call.word(index)), call.args.get(index + 1));
            index += 1;
            let (new_condition, new_expiry) = match (option.as_str(), next, unit_of(&option)) {
                ("GET", ..) => {
                    answers_old = true;
                    continue;
                }
                ("NX", ..) => (Some(Condition::IfAbsent), None),
                ("XX", ..) => (Some(Condition::IfPresent), None),
                ("KEEPTTL", ..) => (None, Some(Expiry::Keep)),
                ("IFEQ", Some(value), _) => (Some(Condition::IfEqual(value)), None),
                (_, Some(time), Some((unit, base))) => (None, Some(Expiry::At(deadline_in(call, time, unit, base)?))),
                _ => return Err(syntax_error()),
            };
            if matches!(new_condition, Some(Condition::IfEqual(_))) || matches!(new_expiry, Some(Expiry::At(_))) {
                index += 1;
            }
            // Of each kind one.
            if (new_condition.is_some() && condition.is_some()) || (new_expiry.is_some() && expiry.is_some()) {
                return Err(syntax_error());
            }
            (condition, expiry) = (condition.or(new_condition), expiry.or(new_expiry));
        }
        let (condition, expiry) = (condition.unwrap_or(Condition::Always), expiry.unwrap_or(Expiry::Never));
        Ok(Self { condition, expiry, answers_old })
    }
}
