//! How the values of options are read.

use std::time::Duration;

use crate::disk::SyncPolicy;
use crate::limits::{MAX_INTERVAL, MIN_INTERVAL, MIN_MAX_MEMORY};

pub(super) fn parse_node(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|&node| node > 0).ok_or_else(|| "a node's number is from 1 to 65535".into())
}

pub(super) fn parse_sync(text: &str) -> Result<SyncPolicy, String> {
    match text {
        "1s" => Ok(SyncPolicy::EverySecond),
        "always" => Ok(SyncPolicy::Always),
        _ => Err("give 1s or always".into()),
    }
}

pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let interval = humantime::parse_duration(text)
        .map_err(|why| format!("{why}; give a number and a unit, such as 5s or 200ms"))?;
    let allowed = MIN_INTERVAL..=MAX_INTERVAL;
    if allowed.contains(&interval) {
        Ok(interval)
    } else {
        Err(format!("give a time from {MIN_INTERVAL:?} to {MAX_INTERVAL:?}"))
    }
}

pub(super) fn parse_idle_timeout(text: &str) -> Result<Duration, String> {
    let timeout =
        humantime::parse_duration(text).map_err(|why| format!("{why}; give a number and a unit, such as 5m or 30s"))?;
    if timeout.is_zero() {
        Err("give a time above 0; without the option there is no timeout".into())
    } else {
        Ok(timeout)
    }
}

/// A number of bytes, with a decimal or binary unit behind it.
pub(super) fn parse_size(text: &str) -> Result<usize, String> {
    let units: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let (digits, unit) =
        units.iter().find_map(|&(name, unit)| Some((text.strip_suffix(name)?, unit))).unwrap_or((text, 1));
    let size = digits.trim().parse::<u64>().ok().and_then(|number| usize::try_from(number.checked_mul(unit)?).ok());
    let size = size.ok_or("give a number of bytes with a unit, such as 500MB or 2GiB")?;
    if size < MIN_MAX_MEMORY { Err(format!("give at least {}MiB", MIN_MAX_MEMORY >> 20)) } else { Ok(size) }
}

pub(super) fn parse_connections(text: &str) -> Result<usize, String> {
    const MOST: usize = 1_000_000;
    text.parse()
        .ok()
        .filter(|count| (1..=MOST).contains(count))
        .ok_or_else(|| format!("give a number from 1 to {MOST}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_units_and_bounds() {
        assert_eq!(parse_interval("200ms"), Ok(Duration::from_millis(200)));
        for bad in ["5", "0s", "2h", "soon"] {
            assert!(parse_interval(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_have_units() {
        assert_eq!(parse_size("500MB"), Ok(500_000_000));
        assert_eq!(parse_size("2GiB"), Ok(2 << 30));
        assert_eq!(parse_size("3TB"), Ok(3_000_000_000_000));
        assert_eq!(parse_size("3TiB"), Ok(3 << 40));
        assert_eq!(parse_size("33554432"), Ok(MIN_MAX_MEMORY));
        for bad in ["", "0", "many", "-1MB", "99999999999GiB", "33554431", "1PB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
    }
}
