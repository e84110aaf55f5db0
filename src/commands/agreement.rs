//! How the nodes agree: versions, digests, rounds, and nodes that are gone.

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::redis_replica::NO_MASTER;
use super::spec::Flag::{NoMulti, Operator, Readonly, Write};
use super::spec::{Flags, Keys, Spec};
use super::stats::{Moved, RoundSummary};
use super::words::token;
use crate::replication::message::Incarnation;
use crate::store::content::Content;
use crate::store::counter::Share;
use crate::store::digest::{FANOUT, Prefix};
use crate::store::record::Record;
use crate::store::version::Version;

/// The family's part of the table. Redis has none of these.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "VERSION",
        usage: "VERSION key",
        summary: "when and by which node the key was written or deleted",
        arity: 2,
        keys: Keys::ONE,
        flags: Flags::of(&[Readonly]),
        group: "agreement",
        since: "0.1.0",
        complexity: "O(1)",
        function: version,
    },
    Spec {
        name: "DIGEST",
        usage: "DIGEST [prefix|*]",
        summary: "a hash of all that is stored, or of its 16 parts; equal on nodes that agree",
        arity: -1,
        keys: Keys::NONE,
        flags: Flags::of(&[Readonly]),
        group: "agreement",
        since: "0.1.0",
        complexity: "O(1)",
        function: digest,
    },
    Spec {
        name: "SYNC",
        usage: "SYNC",
        summary: "compares this node with its peers now, and says what it did",
        arity: 1,
        keys: Keys::NONE,
        flags: Flags::of(&[NoMulti, Operator]),
        group: "agreement",
        since: "0.1.0",
        complexity: "O(N) where N is how many keys differ",
        function: sync,
    },
    Spec {
        name: "FORGET",
        usage: "FORGET name|host:port",
        summary: "no longer waits for a node that will never return",
        arity: 2,
        keys: Keys::NONE,
        flags: Flags::of(&[Write, NoMulti, Operator]),
        group: "agreement",
        since: "0.1.0",
        complexity: "O(1)",
        function: forget,
    },
];

fn version(call: &mut Call<'_>) -> Outcome {
    let record = call.replica.store().record(call.key(0)?);
    let described = record.map(|record| {
        let version = record.version();
        let (content, written_by) = match record.content() {
            Content::Value(value) | Content::Expiring(value, _) => {
                (format!("value of {} bytes", value.len()), "written by")
            }
            Content::Tombstone => ("deleted".into(), "by"),
        };
        let seen: Vec<String> =
            record.seen().map(|seen| format!("node {} up to {}", seen.node, seen.timestamp)).collect();
        let seen = match seen.is_empty() {
            true => String::new(),
            false => format!(" {written_by} node {}, which had seen {}", version.node, seen.join(", ")),
        };
        match version {
            Version::NEVER => format!("never written{}", counted(&record)),
            version => format!("{} {content}{seen}{}", token(version), counted(&record)),
        }
    });
    call.answer.value(described.as_deref().map(str::as_bytes));
    DONE
}

/// What was counted upon what was written: each share with its writer.
fn counted(record: &Record) -> String {
    let share = |Share { writer, counted, seen }: Share| {
        let seen = if seen.sum == 0 { String::new() } else { format!(" (of which {:+} was seen)", seen.sum) };
        format!(
            "{:+}{seen} by life {} since {}, last {}",
            counted.sum,
            Incarnation(writer.life),
            writer.began,
            counted.at
        )
    };
    let shares: Vec<String> = record.shares().map(share).collect();
    if shares.is_empty() { String::new() } else { format!(" counted {}", shares.join("; ")) }
}

fn digest(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    let store = call.replica.store();
    let prefix = match call.args.get(0) {
        None => {
            call.answer.value(Some(store.root().to_string().as_bytes()));
            return DONE;
        }
        Some(b"*") => Some(Prefix::ROOT),
        Some(prefix) => Prefix::parse(prefix),
    };
    let why = "a prefix is up to 4 hex digits: type DIGEST, DIGEST *, or DIGEST a3";
    let prefix = prefix.ok_or_else(|| Failure::error(why))?;
    if prefix.is_leaf() {
        call.answer.value(Some(store.digest(prefix).to_string().as_bytes()));
        return DONE;
    }
    call.answer.list(FANOUT);
    for digest in store.children(prefix) {
        call.answer.value(Some(digest.to_string().as_bytes()));
    }
    call.answer.end();
    DONE
}

fn sync(call: &mut Call<'_>) -> Outcome {
    if call.conversation.is_redis_replica {
        return Err(Failure::error(NO_MASTER));
    }
    call.host.let_go();
    let rounds = call.host.sync().map_err(Failure::error)?;
    let lines: Vec<String> = rounds.iter().map(describe_round).collect();
    call.answer.text(&lines.join("\n"));
    DONE
}

fn describe_round(round: &RoundSummary) -> String {
    let RoundSummary { peer, took, result } = round;
    match result {
        Ok(Moved { pulled, pushed }) => format!("{peer}: pulled {pulled}, pushed {pushed} in {took:.1?}"),
        Err(error) => format!("{peer}: failed: {error}"),
    }
}

fn forget(call: &mut Call<'_>) -> Outcome {
    let who = String::from_utf8_lossy(call.word(0));
    // It is written to the disk.
    call.host.let_go();
    call.host.forget(&who).map_err(|known| {
        Failure::error(format!("no such member or peer: type FORGET and one of [{}]", known.join(", ")))
    })?;
    call.answer.ok();
    DONE
}
