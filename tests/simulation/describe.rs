//! Versions and messages in words, as the traces show them: with times of the day, and small numbers for incarnations.

use kvstore::replication::describe::without_day;
use kvstore::replication::message::Reply;
use kvstore::store::clock::Timestamp;
use kvstore::store::deadline::Deadline;
use kvstore::store::version::Version;

use super::node::START_MS;

/// A reply in words; of an old copy, without what to do about it.
pub(crate) fn describe_reply(reply: &Reply) -> String {
    let text = reply.to_string();
    shorten(if matches!(reply, Reply::OldCopy(_)) { what_is_wrong(&text) } else { &text })
}

/// The first part of a message, without what to do about it.
pub(crate) fn what_is_wrong(why: &str) -> &str {
    why.split(';').next().unwrap_or_default()
}

/// A version as the traces show it.
pub(crate) fn in_words(version: Version) -> String {
    shorten(&version.to_string())
}

/// A deadline as the traces show it.
pub(crate) fn deadline_in_words(deadline: Deadline) -> String {
    shorten(&deadline.to_string())
}

/// A message without what is the same in every run: the day, and the digits of simulated incarnations and stores. The
/// high half of these is the node's number, the low half counts the node's lives; a store has the number of the life
/// that made it.
pub(crate) fn shorten(text: &str) -> String {
    let text = without_day(text, Timestamp::from_millis(START_MS));
    let mut shortened = String::new();
    for word in text.split_inclusive([' ', ',']) {
        let digits = word.trim_end_matches([' ', ',']);
        let number = u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
        let number = match number {
            Some(number) if shortened.ends_with("incarnation ") => (number as u32).to_string(),
            Some(number) if shortened.ends_with(" of ") => format!("{}.{}", number >> 32, number as u32),
            _ => digits.into(),
        };
        shortened += &number;
        shortened += &word[digits.len()..];
    }
    shortened
}
