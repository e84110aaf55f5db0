//! Reads keys with their values and deadlines, many in one pipeline.
//!
//! A value and its deadline are two answers, and a client may write between them. So the deadline is read twice, around
//! the value. If the two differ, the entry is torn: what was read may never have stood there together.

use super::connection::{Connection, Reply, write_request};
use super::{Failed, unexpected};
use crate::limits::EXPORT_SCAN_COUNT;

/// What was read of one key.
pub(super) enum Entry {
    Whole {
        value: Vec<u8>,
        deadline: Option<i64>,
    },
    /// Its deadline was changed while it was read.
    Torn {
        value: Vec<u8>,
        deadline: Option<i64>,
    },
    OtherType,
    Gone,
}

/// How far apart two readings of the same deadline may be, in milliseconds: PTTL is counted from a reading of the clock
/// at the beginning of a pipeline.
const SAME_DEADLINE_MS: u64 = 1_000;

/// Reads from one server.
pub(super) struct Reader {
    node: Connection,
    deadlines: Deadlines,
    /// From when on the deadlines of the present pipeline are counted, in milliseconds since 1970.
    now: i64,
}

impl Reader {
    /// A reader on a connection that is admitted.
    pub(super) fn new(mut node: Connection) -> Result<Self, Failed> {
        let deadlines = Deadlines::of(&mut node)?;
        Ok(Self { node, deadlines, now: 0 })
    }

    /// The next keys, and the cursor behind them.
    pub(super) fn scan(&mut self, cursor: &[u8]) -> Result<(Vec<u8>, Vec<Vec<u8>>), Failed> {
        let answer = self.node.ask(&[b"SCAN", cursor, b"COUNT", EXPORT_SCAN_COUNT.to_string().as_bytes()])?;
        let Reply::Array(parts) = answer else { return Err(unexpected("SCAN", answer)) };
        let mut parts = parts.into_iter();
        let (Some(Reply::Bulk(cursor)), Some(Reply::Array(keys)), None) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(Failed::Source("the answer to SCAN is malformed".into()));
        };
        let bulk = |key| match key {
            Reply::Bulk(key) => Ok(key),
            other => Err(unexpected("SCAN", other)),
        };
        Ok((cursor, keys.into_iter().map(bulk).collect::<Result<_, _>>()?))
    }

    /// Asks for some keys. [`Reader::read_entry`] must be called once for each, in the same order.
    pub(super) fn request(&mut self, keys: &[&[u8]]) -> Result<(), Failed> {
        let mut requests = Vec::new();
        let deadline = match self.deadlines {
            Deadlines::Exactly => &b"PEXPIRETIME"[..],
            Deadlines::AsTimeLeft => b"PTTL",
        };
        if self.deadlines == Deadlines::AsTimeLeft {
            write_request(&mut requests, &[b"TIME"]);
        }
        for key in keys {
            [deadline, b"GET", deadline].iter().for_each(|command| write_request(&mut requests, &[command, key]));
        }
        self.node.send(&requests)?;
        self.now = self.read_clock()?;
        Ok(())
    }

    /// Reads the three answers about a key.
    pub(super) fn read_entry(&mut self) -> Result<Entry, Failed> {
        let now = self.now;
        let (before, value, after) = (self.node.read()?, self.node.read()?, self.node.read()?);
        let deadline = |reply| match reply {
            Reply::Integer(-2) => Ok(None),
            Reply::Integer(-1) => Ok(Some(None)),
            Reply::Integer(time) if time >= 0 => Ok(Some(Some(now.saturating_add(time)))),
            other => Err(unexpected("PEXPIRETIME or PTTL", other)),
        };
        let (before, deadline) = (deadline(before)?, deadline(after)?);
        let value = match value {
            Reply::Bulk(value) => value,
            Reply::Nil => return Ok(Entry::Gone),
            Reply::Error(why) if why.starts_with("WRONGTYPE") => return Ok(Entry::OtherType),
            other => return Err(unexpected("GET", other)),
        };
        let Some(deadline) = deadline else { return Ok(Entry::Gone) };
        let is_same = match (before, deadline) {
            (Some(Some(before)), Some(after)) => before.abs_diff(after) <= SAME_DEADLINE_MS,
            (before, after) => before == Some(after),
        };
        Ok(if is_same { Entry::Whole { value, deadline } } else { Entry::Torn { value, deadline } })
    }

    /// From when on deadlines are counted, in milliseconds since 1970.
    fn read_clock(&mut self) -> Result<i64, Failed> {
        if self.deadlines == Deadlines::Exactly {
            return Ok(0);
        }
        let answer = self.node.read()?;
        let number = |part: &Reply| match part {
            Reply::Bulk(digits) => std::str::from_utf8(digits).ok()?.parse::<i64>().ok(),
            _ => None,
        };
        match &answer {
            Reply::Array(parts) => match parts.iter().map(number).collect::<Option<Vec<i64>>>().as_deref() {
                Some(&[seconds, micros]) => Ok(seconds.saturating_mul(1000).saturating_add(micros / 1000)),
                _ => Err(Failed::Source("the answer to TIME is malformed".into())),
            },
            _ => Err(unexpected("TIME", answer)),
        }
    }
}

/// How a server tells when a key expires.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deadlines {
    /// PEXPIRETIME: exactly.
    Exactly,
    /// PTTL, beside the time of the server's own clock: to some milliseconds. Redis before 7 has nothing else.
    AsTimeLeft,
}

impl Deadlines {
    fn of(node: &mut Connection) -> Result<Self, Failed> {
        match node.ask(&[b"PEXPIRETIME", b"key"])? {
            Reply::Integer(_) => Ok(Self::Exactly),
            // A node of a Redis Cluster that has other keys. It knows the command.
            Reply::Error(why) if why.starts_with("MOVED ") => Ok(Self::Exactly),
            Reply::Error(why) if why.starts_with("ERR unknown command") => Ok(Self::AsTimeLeft),
            other => Err(unexpected("PEXPIRETIME", other)),
        }
    }
}
