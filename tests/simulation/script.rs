//! The commands of a story, and the director that follows them: what is to be lost is lost, and nothing else happens.

use std::cell::RefCell;
use std::rc::Rc;

use kvstore::replication::message::Request;
use kvstore::rules::Rules;
use kvstore::store::content::Content;

use super::cluster::{Bounds, Cluster, Director, Fate};
use super::cost;
use super::network::Traffic;
use super::node::START_MS;
use super::trace::{Style, Trace, in_words, request_name};

/// What is to happen at the next request with this name from one node to another.
struct Hook {
    request: String,
    from: usize,
    to: usize,
    then: Then,
}

enum Then {
    Befalls(Fate),
    Runs(String),
}

/// The director of a story.
#[derive(Default)]
pub(crate) struct Script {
    hooks: RefCell<Vec<Hook>>,
}

impl Script {
    fn take(
        &self,
        from: usize,
        to: Option<usize>,
        request: &Request,
        is_wanted: impl Fn(&Then) -> bool,
    ) -> Option<Then> {
        let mut hooks = self.hooks.borrow_mut();
        let fits = |hook: &Hook| {
            hook.from == from
                && to.is_none_or(|to| hook.to == to)
                && hook.request == request_name(request)
                && is_wanted(&hook.then)
        };
        let index = hooks.iter().position(fits)?;
        Some(hooks.remove(index).then)
    }
}

impl Director for Script {
    fn pause(&self, cluster: &Cluster, node: usize, sending: Option<&Request>) {
        let Some(request) = sending else { return };
        if let Some(Then::Runs(command)) = self.take(node, None, request, |then| matches!(then, Then::Runs(_))) {
            cluster.trace.say(&format!("({command})"));
            execute(cluster, self, &command);
        }
    }

    fn fate(&self, _cluster: &Cluster, from: usize, to: usize, request: &Request, cut: bool) -> Fate {
        let befalls = self.take(from, Some(to), request, |then| matches!(then, Then::Befalls(_)));
        match befalls {
            Some(Then::Befalls(fate)) => fate,
            _ if cut => Fate::Lost,
            _ => Fate::Arrives,
        }
    }
}

/// A story that is being run.
#[derive(Default)]
pub(crate) struct Stage {
    cluster: Option<(Cluster, Rc<Script>)>,
}

impl Stage {
    /// Runs one command and returns what it has to show.
    ///
    /// # Panics
    /// If there is no such command: the story is wrong.
    pub(crate) fn run(&mut self, command: &str) -> Vec<String> {
        let words: Vec<&str> = command.split_whitespace().collect();
        match words.as_slice() {
            ["cluster", count, rest @ ..] => {
                let off = rest.iter().filter(|word| **word != "without");
                let rules =
                    off.fold(Rules::default(), |rules, rule| rules.without(rule.parse().expect("the name of a rule")));
                let script = Rc::new(Script::default());
                let bounds = Bounds { queue: 8, batch: 4 };
                let count = count.parse().expect("a number of nodes");
                let cluster = Cluster::new(count, rules, bounds, script.clone(), Trace::new(Style::Arrows));
                self.cluster = Some((cluster, script));
                Vec::new()
            }
            ["cost", keys] => table(keys.parse().expect("a number of keys"), true),
            ["cost", keys, "without", "digests"] => table(keys.parse().expect("a number of keys"), false),
            _ => {
                let (cluster, script) = self.cluster.as_ref().expect("a story begins with `cluster`");
                execute(cluster, script, command);
                cluster.trace.take()
            }
        }
    }
}

fn table(keys: usize, with_digests: bool) -> Vec<String> {
    // The full exchange costs the same whatever differs: two rows show it.
    let differing: &[usize] = if with_digests { &cost::DIFFERING } else { &[0, 10_000] };
    let rows = cost::measure(keys, differing, with_digests);
    [cost::HEAD.to_string()].into_iter().chain(rows.iter().map(ToString::to_string)).collect()
}

fn node(name: &str) -> usize {
    let number: usize = name.strip_prefix("node").and_then(|number| number.parse().ok()).expect("node1, node2, …");
    number - 1
}

/// `5s`, `10ms`, `2m`, `1h`, in milliseconds.
fn duration(text: &str) -> u64 {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];
    let found = units
        .iter()
        .find_map(|(unit, millis)| text.strip_suffix(unit)?.parse::<u64>().ok().map(|count| count * millis));
    found.unwrap_or_else(|| panic!("a duration like 5s, not {text}"))
}

fn execute(cluster: &Cluster, script: &Script, command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    match words.as_slice() {
        ["quietly", ..] => {
            cluster.trace.quiet.set(true);
            execute(cluster, script, command.trim_start_matches("quietly "));
            cluster.trace.quiet.set(false);
        }
        ["set", at, key, value] => cluster.write(node(at), key.as_bytes(), Some(value.as_bytes())),
        ["del", at, key] => cluster.write(node(at), key.as_bytes(), None),
        ["propagate", from, to] => cluster.replicate(node(from), node(to)),
        ["propagate", from] => cluster.peers(node(from)).for_each(|to| cluster.replicate(node(from), to)),
        ["tick", "all", times] => {
            for _ in 0..times.parse().expect("a number of times") {
                (0..cluster.nodes.len()).for_each(|at| _ = cluster.tick(at));
            }
        }
        ["tick", at] => _ = cluster.tick(node(at)),
        ["show", keys @ ..] => keys.iter().for_each(|key| show(cluster, key)),
        ["digests"] => digests(cluster),
        ["tombstones"] => tombstones(cluster),
        ["pass", time] => cluster.pass(duration(time)),
        ["clock", at, change] => set_clock(cluster, node(at), change),
        ["freeze"] => cluster.nodes.iter().for_each(|node| node.pace.set(0)),
        ["cut", a, "->", b] => cluster.set_cut(node(a), node(b), true),
        [verb @ ("cut" | "mend"), a, b] => {
            let cut = *verb == "cut";
            cluster.set_cut(node(a), node(b), cut);
            cluster.set_cut(node(b), node(a), cut);
        }
        ["restart", at] => {
            cluster.restart(node(at));
            cluster.nodes[node(at)].life().serving.set(true);
        }
        ["dismiss", peer, "on", at] => {
            cluster.nodes[node(at)].life().replica.dismiss(peer);
            cluster.trace.note(node(at), || format!("dismisses {peer}"));
        }
        ["next", request, from, to, fate] => {
            let fate = match *fate {
                "lost" => Fate::Lost,
                "delayed" => Fate::Late,
                "reply-lost" => Fate::ReplyLost,
                "twice" => Fate::Repeated,
                other => panic!("a request is lost, delayed, reply-lost or twice, not {other}"),
            };
            hook(script, request, from, to, Then::Befalls(fate));
        }
        ["before", request, from, to, rest @ ..] => hook(script, request, from, to, Then::Runs(rest.join(" "))),
        ["arrive", from, to] => arrive(cluster, node(from), node(to)),
        ["fill", keys] => {
            let all: Vec<usize> = (0..cluster.nodes.len()).collect();
            cost::fill(cluster, &all, keys.parse().expect("a number of keys"), START_MS);
        }
        ["bytes"] => cluster.trace.bytes.set(true),
        ["traffic"] => {
            let Traffic { requests, bytes, entries } = cluster.traffic.take();
            cluster
                .trace
                .say(&format!("{requests} requests, {bytes} bytes both ways, {entries} entries listed or sent"));
        }
        _ => panic!("no such command: {command}"),
    }
}

fn hook(script: &Script, request: &str, from: &str, to: &str, then: Then) {
    let hook = Hook { request: request.into(), from: node(from), to: node(to), then };
    script.hooks.borrow_mut().push(hook);
}

fn set_clock(cluster: &Cluster, at: usize, change: &str) {
    let machine = &cluster.nodes[at];
    let wall = match change.split_at(1) {
        ("+", time) => machine.wall() + duration(time),
        ("-", time) => machine.wall() - duration(time),
        ("=", other) => cluster.nodes[node(other)].wall(),
        _ => panic!("a clock is moved by +1h or -5s, or set to =node1, not {change}"),
    };
    machine.set_wall(wall);
}

/// All that is under way on broken connections from one node to another arrives, the oldest first.
fn arrive(cluster: &Cluster, from: usize, to: usize) {
    loop {
        let index = cluster.late.borrow().iter().position(|connection| connection.from == from && connection.to == to);
        let Some(index) = index else { break };
        cluster.deliver_late(index);
    }
}

fn show(cluster: &Cluster, key: &str) {
    for machine in &cluster.nodes {
        let held = machine.life().replica.store().record(key.as_bytes()).map_or("nothing".into(), |record| {
            let version = in_words(record.version());
            match record.content() {
                Content::Value(value) => format!("{}  (version {version})", value.escape_ascii()),
                Content::Tombstone => format!("a tombstone  (version {version})"),
            }
        });
        cluster.trace.say(&format!("{key} on {}: {held}", machine.name));
    }
}

fn digests(cluster: &Cluster) {
    for machine in &cluster.nodes {
        cluster.trace.say(&format!("{}: root {}", machine.name, machine.life().replica.store().root()));
    }
}

fn tombstones(cluster: &Cluster) {
    for machine in &cluster.nodes {
        let life = machine.life();
        let counts = life.replica.store().counts();
        let forgotten = life.replica.tombstones_forgotten();
        let (waiting, settled) = (counts.tombstones, counts.settled);
        cluster.trace.say(&format!("{}: {waiting} waiting, {settled} settled, {forgotten} forgotten", machine.name));
    }
}
