//! What the words of a request may be.

use std::str::FromStr;
use std::time::UNIX_EPOCH;

use super::failure::Failure;
use super::glob::Pattern;
use crate::limits::{MAX_CLIENT_NAME_BYTES, MAX_KEY_BYTES, MAX_PATTERN_BYTES, MAX_VALUE_BYTES};
use crate::store::clock::Timestamp;
use crate::store::version::{NodeId, Version};

pub(super) fn check_key(key: &[u8]) -> Result<&[u8], Failure> {
    check_length("key", key, MAX_KEY_BYTES)
}

pub(super) fn check_value(value: &[u8]) -> Result<&[u8], Failure> {
    check_length("value", value, MAX_VALUE_BYTES)
}

/// The pattern that stands in a word.
pub(super) fn parse_pattern(word: &[u8]) -> Result<Pattern, Failure> {
    check_length("pattern", word, MAX_PATTERN_BYTES).map(Pattern::new)
}

fn check_length<'a>(what: &str, word: &'a [u8], most: usize) -> Result<&'a [u8], Failure> {
    if word.len() > most {
        return Err(Failure::error(format!("a {what} has at most {most} bytes, this one has {}", word.len())));
    }
    Ok(word)
}

pub(super) fn check_client_name(name: &[u8]) -> Result<&[u8], Failure> {
    if name.len() > MAX_CLIENT_NAME_BYTES || !name.iter().all(u8::is_ascii_graphic) {
        return Err(Failure::error(format!(
            "Client names cannot contain spaces, newlines or special characters, \
             nor more than {MAX_CLIENT_NAME_BYTES} bytes"
        )));
    }
    Ok(name)
}

/// Refuses a database other than the one that there is.
pub(super) fn check_database(number: &[u8]) -> Result<(), Failure> {
    match integer::<i64>(number)? {
        0 => Ok(()),
        _ => Err(Failure::error("DB index is out of range: type SELECT 0")),
    }
}

pub(super) fn parse_number<T: FromStr>(word: &[u8]) -> Option<T> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// A whole number.
pub(super) fn integer<T: FromStr>(word: &[u8]) -> Result<T, Failure> {
    parse_number(word).ok_or_else(|| Failure::error("value is not an integer or out of range"))
}

/// A version as VERSION shows it, and WAITFOR takes it.
pub(super) fn token(version: Version) -> String {
    format!("{} node {}", version.timestamp, version.node)
}

/// The version at the beginning of what VERSION has answered.
pub(super) fn parse_token(word: &[u8]) -> Option<Version> {
    let mut words = std::str::from_utf8(word).ok()?.split(' ');
    let (time, counter) = words.next()?.split_once('+')?;
    let millis = humantime::parse_rfc3339(time).ok()?.duration_since(UNIX_EPOCH).ok()?.as_millis();
    let bits = u64::try_from(millis).ok()?.checked_mul(1 << 16)? + u64::from(counter.parse::<u16>().ok()?);
    let node = words.next().filter(|word| *word == "node").and(words.next())?.parse().ok()?;
    Version::decode(&Version::new(Timestamp::from_bits(bits), NodeId(node)).encode())
}

/// A word that may be typed in any case, such as the name of an option.
pub(super) fn upper(word: &[u8]) -> String {
    String::from_utf8_lossy(word).to_ascii_uppercase()
}
