//! The words of each command of a story: how many there must be, and what each may be.
//!
//! One function per row of the table in `script.rs`. It gets what follows the command's name, and the number of nodes
//! in the cluster.

use kvstore::limits::MAX_WALL_CLOCK_MS;
use kvstore::replication::message::Request;
use kvstore::rules::Rules;

use super::cluster::Fate;
use super::script::{ALONE, Action, AtDisk, Change, Mistake, When, parse_words};

/// The most nodes in a cluster. Each has a store of its own, and every pair of them a round in every tick.
const MAX_NODES: usize = 9;

/// The most ticks that one command runs.
const MAX_TICKS: usize = 1_000;

/// The most keys that one command fills a cluster with. A million take some seconds.
const MAX_KEYS: usize = 1_000_000;

pub(crate) fn cluster(words: &[&str], _nodes: usize) -> Result<Action, Mistake> {
    let (count, rest) = words.split_first().ok_or(Mistake::Words)?;
    let (has_disks, rest) = match rest {
        ["with", "disks", rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    let off = match rest {
        [] => &[][..],
        ["without", rules @ ..] if !rules.is_empty() => rules,
        _ => return Err(Mistake::Words),
    };
    let nodes = number(count, "nodes", MAX_NODES)?;
    let rules = off.iter().try_fold(Rules::default(), |rules, rule| rule.parse().map(|rule| rules.without(rule)))?;
    Ok(Action::Cluster { nodes, has_disks, rules })
}

pub(crate) fn cost(words: &[&str], _nodes: usize) -> Result<Action, Mistake> {
    match words {
        [keys] => Ok(Action::Cost { keys: number(keys, "keys", MAX_KEYS)?, with_digests: true }),
        [keys, "without", "digests"] => Ok(Action::Cost { keys: number(keys, "keys", MAX_KEYS)?, with_digests: false }),
        _ => Err(Mistake::Words),
    }
}

pub(crate) fn set(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let (at, key, value, millis) = match words {
        [at, key, value] => (at, key, value, None),
        [at, key, value, "for", time] => (at, key, value, Some(time_of(time)?)),
        _ => return Err(Mistake::Words),
    };
    Ok(Action::Set { node: node(at, nodes)?, key: key.to_string(), value: value.to_string(), millis })
}

pub(crate) fn del(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at, key] = exactly(words)?;
    Ok(Action::Del { node: node(at, nodes)?, key: key.into() })
}

pub(crate) fn count(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at, key, by] = exactly(words)?;
    let by = by.parse().ok().filter(|_| by.starts_with(['+', '-']));
    let by = by.ok_or_else(|| Mistake::Says("give a number with its sign, such as `+3`".into()))?;
    Ok(Action::Count { node: node(at, nodes)?, key: key.into(), by })
}

pub(crate) fn expire(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at, key, time] = exactly(words)?;
    Ok(Action::Expire { node: node(at, nodes)?, key: key.into(), millis: Some(time_of(time)?) })
}

pub(crate) fn persist(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at, key] = exactly(words)?;
    Ok(Action::Expire { node: node(at, nodes)?, key: key.into(), millis: None })
}

pub(crate) fn sweep(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at] = exactly(words)?;
    Ok(Action::Sweep { node: node(at, nodes)? })
}

pub(crate) fn propagate(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    match words {
        [from] => Ok(Action::Propagate { from: node(from, nodes)?, to: None }),
        [from, to] => pair(from, to, nodes).map(|(from, to)| Action::Propagate { from, to: Some(to) }),
        _ => Err(Mistake::Words),
    }
}

pub(crate) fn tick(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    match words {
        ["all", times] => Ok(Action::TickAll { times: number(times, "ticks", MAX_TICKS)? }),
        [at] if *at != "all" => Ok(Action::Tick { node: node(at, nodes)? }),
        _ => Err(Mistake::Words),
    }
}

pub(crate) fn show(words: &[&str], _nodes: usize) -> Result<Action, Mistake> {
    if words.is_empty() {
        return Err(Mistake::Words);
    }
    Ok(Action::Show { keys: words.iter().map(|key| key.to_string()).collect() })
}

pub(crate) fn conflicts(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at] = exactly(words)?;
    Ok(Action::Conflicts { node: node(at, nodes)? })
}

pub(crate) fn pass(words: &[&str], _nodes: usize) -> Result<Action, Mistake> {
    let [time] = exactly(words)?;
    Ok(Action::Pass { millis: time_of(time)? })
}

pub(crate) fn clock(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at, how] = exactly(words)?;
    let node_at = node(at, nodes)?;
    if let Some(other) = how.strip_prefix('=') {
        return Ok(Action::Clock { node: node_at, change: Change::Like { node: node(other, nodes)? } });
    }
    let ahead = how.strip_prefix('+').and_then(duration).map(|millis| Change::Ahead { millis });
    let change = ahead.or_else(|| how.strip_prefix('-').and_then(duration).map(|millis| Change::Back { millis }));
    let change = change.ok_or_else(|| "give a time like +1h, -5s or =node2".to_string())?;
    Ok(Action::Clock { node: node_at, change })
}

pub(crate) fn cut(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let (a, b, both_ways) = match words {
        [a, "->", b] => (a, b, false),
        [a, b] => (a, b, true),
        _ => return Err(Mistake::Words),
    };
    let (from, to) = pair(a, b, nodes)?;
    Ok(Action::Cut { from, to, both_ways })
}

pub(crate) fn mend(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [a, b] = exactly(words)?;
    pair(a, b, nodes).map(|(from, to)| Action::Mend { from, to })
}

pub(crate) fn restart(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [at] = exactly(words)?;
    Ok(Action::Restart { node: node(at, nodes)? })
}

pub(crate) fn kill(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::Kill)
}

pub(crate) fn power_cut(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::PowerCut)
}

pub(crate) fn sync(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::Sync)
}

pub(crate) fn save(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::Save)
}

pub(crate) fn back_up(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::BackUp)
}

pub(crate) fn put_back(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    at_disk(words, nodes, AtDisk::PutBack)
}

fn at_disk(words: &[&str], nodes: usize, what: AtDisk) -> Result<Action, Mistake> {
    let [at] = exactly(words)?;
    Ok(Action::AtDisk { node: node(at, nodes)?, what })
}

pub(crate) fn dismiss(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [peer, "on", on] = words else { return Err(Mistake::Words) };
    pair(peer, on, nodes).map(|(peer, on)| Action::Dismiss { peer, on })
}

pub(crate) fn next(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [request, from, to, fate] = exactly(words)?;
    let fate = match fate {
        "lost" => Fate::Lost,
        "delayed" => Fate::Late,
        "reply-lost" => Fate::ReplyLost,
        "twice" => Fate::Repeated,
        _ => return Err("give one of lost, delayed, reply-lost, twice".to_string().into()),
    };
    Ok(Action::Next { when: when(request, from, to, nodes)?, fate })
}

pub(crate) fn before(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [request, from, to, command @ ..] = words else { return Err(Mistake::Words) };
    let when = when(request, from, to, nodes)?;
    Ok(Action::Before { when, command: command.join(" "), action: inner(command, nodes)? })
}

pub(crate) fn arrive(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    let [from, to] = exactly(words)?;
    pair(from, to, nodes).map(|(from, to)| Action::Arrive { from, to })
}

pub(crate) fn fill(words: &[&str], _nodes: usize) -> Result<Action, Mistake> {
    let [keys] = exactly(words)?;
    Ok(Action::Fill { keys: number(keys, "keys", MAX_KEYS)? })
}

pub(crate) fn quietly(words: &[&str], nodes: usize) -> Result<Action, Mistake> {
    Ok(Action::Quietly(inner(words, nodes)?))
}

/// A command inside another.
fn inner(words: &[&str], nodes: usize) -> Result<Box<Action>, Mistake> {
    match words {
        [] => Err(Mistake::Words),
        [name, ..] if ALONE.contains(name) => Err(format!("`{name}` stands on a line of its own").into()),
        _ => Ok(Box::new(parse_words(words, Some(nodes))?)),
    }
}

// ---- single words ---------------------------------------------------------------------------------------------------

/// So many words as the command has.
fn exactly<'w, const N: usize>(words: &[&'w str]) -> Result<[&'w str; N], Mistake> {
    words.try_into().map_err(|_| Mistake::Words)
}

/// A command without further words.
pub(crate) fn alone(words: &[&str], action: Action) -> Result<Action, Mistake> {
    if words.is_empty() { Ok(action) } else { Err(Mistake::Words) }
}

fn node(name: &str, nodes: usize) -> Result<usize, Mistake> {
    let found = (0..nodes).find(|node| name == format!("node{}", node + 1));
    Ok(found.ok_or_else(|| format!("no node is called {name}; the cluster has node1 to node{nodes}"))?)
}

fn pair(one: &str, other: &str, nodes: usize) -> Result<(usize, usize), Mistake> {
    let pair = (node(one, nodes)?, node(other, nodes)?);
    if pair.0 == pair.1 { Err("give two different nodes".to_string().into()) } else { Ok(pair) }
}

fn when(request: &str, from: &str, to: &str, nodes: usize) -> Result<When, Mistake> {
    let known = Request::NAMES.into_iter().find(|known| *known == request);
    let request =
        known.ok_or_else(|| format!("no request is called {request}; give one of {}", Request::NAMES.join(", ")))?;
    let (from, to) = pair(from, to, nodes)?;
    Ok(When { request, from, to })
}

fn number(text: &str, of: &str, most: usize) -> Result<usize, Mistake> {
    let number = text.parse().ok().filter(|number| (1..=most).contains(number));
    Ok(number.ok_or_else(|| format!("give a number of {of} from 1 to {most}"))?)
}

fn time_of(text: &str) -> Result<u64, Mistake> {
    Ok(duration(text).ok_or_else(|| "give a time like 5s, 10ms, 2m or 1h".to_string())?)
}

/// `5s`, `10ms`, `2m`, `1h`, in milliseconds.
fn duration(text: &str) -> Option<u64> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let found =
        units.iter().find_map(|(unit, millis)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(*millis));
    found.filter(|millis| *millis <= MAX_WALL_CLOCK_MS)
}
