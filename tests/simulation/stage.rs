//! Where a story is played: it carries out one [`Action`] after the other on a simulated cluster. Its director loses
//! and delays what the story says, and nothing else.

use std::cell::RefCell;
use std::rc::Rc;

use kvstore::disk::SyncPolicy;
use kvstore::limits::{MAX_WALL_CLOCK_MS, MIN_WALL_CLOCK_MS};
use kvstore::replication::conflicts::Sentence;
use kvstore::replication::message::Request;
use kvstore::rules::Rules;
use kvstore::store::content::Content;

use super::cluster::{Bounds, Cluster, Director, Fate};
use super::cost;
use super::describe::{deadline_in_words, in_words, shorten};
use super::disk::End;
use super::network::Traffic;
use super::node::START_MS;
use super::script::{self, Action, AtDisk, Change, When};
use super::trace::{Style, Trace};

/// The queues in a story. They are short, so that a story can show what happens when one is full.
const BOUNDS: Bounds = Bounds { queue: 8, batch: 4 };

/// How many conflicts a story shows: all that it has.
const SHOWN_CONFLICTS: usize = 100;

/// A story that is being played.
#[derive(Default)]
pub(crate) struct Stage {
    play: Option<(Cluster, Rc<Script>)>,
}

impl Stage {
    /// Runs one command and returns the lines that it shows. An error is one line: what to type instead.
    pub(crate) fn run(&mut self, line: &str) -> Result<Vec<String>, String> {
        let nodes = self.play.as_ref().map(|(cluster, _)| cluster.nodes.len());
        match script::parse(line, nodes)? {
            Action::Cluster { nodes, has_disks, rules } => {
                self.play = Some(begin(nodes, has_disks, rules));
                Ok(Vec::new())
            }
            Action::Cost { keys, with_digests } => Ok(table(keys, with_digests)),
            action => {
                let (cluster, script) = self.play.as_ref().expect("only `cluster` and `cost` are parsed without one");
                let done = act(cluster, script, &action);
                let shown = cluster.trace.take();
                done.and_then(|()| script.mistake.take().map_or(Ok(shown), Err))
            }
        }
    }
}

fn begin(nodes: usize, has_disks: bool, rules: Rules) -> (Cluster, Rc<Script>) {
    let script = Rc::new(Script::default());
    let disk = has_disks.then_some(SyncPolicy::EverySecond);
    (Cluster::new(&vec![disk; nodes], rules, BOUNDS, script.clone(), Trace::new(Style::Arrows)), script)
}

fn table(keys: usize, with_digests: bool) -> Vec<String> {
    // The full exchange costs the same whatever differs: two rows show it.
    let differing: &[usize] = if with_digests { &cost::DIFFERING } else { &[0, 10_000] };
    let differing: Vec<usize> = differing.iter().copied().filter(|&differing| differing <= keys).collect();
    let rows = cost::measure(keys, &differing, with_digests);
    [cost::HEAD.to_string()].into_iter().chain(rows.iter().map(ToString::to_string)).collect()
}

// ---- the director ---------------------------------------------------------------------------------------------------

/// The director of a story.
#[derive(Default)]
pub(crate) struct Script {
    hooks: RefCell<Vec<(When, Then)>>,
    /// The first mistake in a command that ran while another one waited.
    mistake: RefCell<Option<String>>,
}

/// What is to happen at a request.
enum Then {
    Befalls(Fate),
    Runs(String, Action),
}

impl Script {
    /// The oldest hook that fits the request, which is removed.
    fn take(
        &self,
        from: usize,
        to: Option<usize>,
        request: &Request,
        is_wanted: impl Fn(&Then) -> bool,
    ) -> Option<Then> {
        let mut hooks = self.hooks.borrow_mut();
        let fits = |(when, then): &(When, Then)| {
            when.from == from && to.is_none_or(|to| when.to == to) && when.request == request.name() && is_wanted(then)
        };
        let index = hooks.iter().position(fits)?;
        Some(hooks.remove(index).1)
    }
}

impl Director for Script {
    fn pause(&self, cluster: &Cluster, node: usize, sending: Option<&Request>) {
        let Some(request) = sending else { return };
        let runs = self.take(node, None, request, |then| matches!(then, Then::Runs(..)));
        if let Some(Then::Runs(command, action)) = runs {
            cluster.trace.say(&format!("({command})"));
            if let Err(why) = act(cluster, self, &action) {
                self.mistake.borrow_mut().get_or_insert(format!("({command}) {why}"));
            }
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

// ---- the actions ----------------------------------------------------------------------------------------------------

fn act(cluster: &Cluster, script: &Script, action: &Action) -> Result<(), String> {
    match action {
        Action::Cluster { .. } | Action::Cost { .. } => return Err("stands on a line of its own".into()),
        Action::Set { node, key, value, millis } => {
            let deadline = millis.map(|millis| cluster.nodes[*node].deadline_in(millis));
            cluster.write(*node, key.as_bytes(), Content::until(value.as_bytes(), deadline));
        }
        Action::Del { node, key } => cluster.write(*node, key.as_bytes(), Content::Tombstone),
        Action::Count { node, key, by } => cluster.count(*node, key.as_bytes(), *by),
        Action::Expire { node, key, millis } => expire(cluster, *node, key, *millis),
        Action::Sweep { node } => cluster.sweep(*node),
        Action::Propagate { from, to: Some(to) } => cluster.replicate(*from, *to),
        Action::Propagate { from, to: None } => cluster.peers(*from).for_each(|to| cluster.replicate(*from, to)),
        Action::Tick { node } => tick(cluster, *node)?,
        Action::TickAll { times } => {
            (0..*times).flat_map(|_| 0..cluster.nodes.len()).try_for_each(|node| tick(cluster, node))?;
        }
        Action::Show { keys } => keys.iter().for_each(|key| show(cluster, key)),
        Action::Conflicts { node } => conflicts(cluster, *node),
        Action::Digests => digests(cluster),
        Action::Tombstones => tombstones(cluster),
        Action::Traffic => traffic(cluster),
        Action::Bytes => cluster.trace.bytes.set(true),
        Action::Pass { millis } => pass(cluster, *millis)?,
        Action::Clock { node, change } => set_clock(cluster, *node, *change)?,
        Action::Freeze => cluster.nodes.iter().for_each(|node| node.pace.set(0)),
        Action::Cut { from, to, both_ways } => {
            cluster.set_cut(*from, *to, true);
            if *both_ways {
                cluster.set_cut(*to, *from, true);
            }
        }
        Action::Mend { from, to } => {
            cluster.set_cut(*from, *to, false);
            cluster.set_cut(*to, *from, false);
        }
        Action::Restart { node } => {
            cluster.restart(*node);
            cluster.nodes[*node].life().serving.set(true);
        }
        Action::AtDisk { node, what } => at_disk(cluster, *node, *what)?,
        Action::Dismiss { peer, on } => dismiss(cluster, *peer, *on)?,
        Action::Next { when, fate } => script.hooks.borrow_mut().push((*when, Then::Befalls(*fate))),
        Action::Before { when, command, action } => {
            script.hooks.borrow_mut().push((*when, Then::Runs(command.clone(), (**action).clone())));
        }
        Action::Arrive { from, to } => arrive(cluster, *from, *to),
        Action::Fill { keys } => cost::fill(cluster, &(0..cluster.nodes.len()).collect::<Vec<_>>(), *keys, START_MS),
        Action::Quietly(action) => {
            let was_quiet = cluster.trace.quiet.replace(true);
            let done = act(cluster, script, action);
            cluster.trace.quiet.set(was_quiet);
            done?;
        }
    }
    Ok(())
}

fn expire(cluster: &Cluster, node: usize, key: &str, millis: Option<u64>) {
    let deadline = millis.map(|millis| cluster.nodes[node].deadline_in(millis));
    if !cluster.expire(node, key.as_bytes(), deadline) {
        let command = if deadline.is_some() { "EXPIRE" } else { "PERSIST" };
        cluster.trace.note(node, || format!("{command} {key}: there is no value"));
    }
}

fn tick(cluster: &Cluster, node: usize) -> Result<(), String> {
    if !cluster.may_tick(node) {
        return Err(format!("{} waits for a reply, so its timer cannot tick now", cluster.nodes[node].name));
    }
    cluster.tick(node);
    Ok(())
}

fn at_disk(cluster: &Cluster, node: usize, what: AtDisk) -> Result<(), String> {
    let machine = &cluster.nodes[node];
    let Some(disk) = &machine.disk else {
        return Err(format!("{} has no disk: begin with `cluster 2 with disks`", machine.name));
    };
    match what {
        AtDisk::Kill => cluster.end(node, &End::Kill),
        AtDisk::PowerCut => cluster.end(node, &End::PowerCut(&|_| 0)),
        AtDisk::Sync => cluster.sync(node),
        AtDisk::Save => cluster.save(node),
        AtDisk::BackUp => cluster.back_up(node),
        AtDisk::PutBack => {
            let last = disk.copies().checked_sub(1);
            let last = last.ok_or_else(|| format!("no copy was taken: type `backup {}` first", machine.name))?;
            cluster.end(node, &End::PutBack(&disk.copy(last)));
        }
    }
    machine.life().serving.set(true);
    Ok(())
}

fn dismiss(cluster: &Cluster, peer: usize, on: usize) -> Result<(), String> {
    let (name, node) = (&cluster.nodes[peer].name, &cluster.nodes[on]);
    if !node.life().replica.dismiss(name) {
        return Err(format!("{} has not met {name} yet: let one of them tick first", node.name));
    }
    cluster.trace.note(on, || format!("dismisses {name}"));
    Ok(())
}

fn pass(cluster: &Cluster, millis: u64) -> Result<(), String> {
    cluster.nodes.iter().try_for_each(|node| check_wall(Some(node.wall() + millis)).map(drop))?;
    cluster.pass(millis);
    Ok(())
}

fn set_clock(cluster: &Cluster, at: usize, change: Change) -> Result<(), String> {
    let machine = &cluster.nodes[at];
    let wall = match change {
        Change::Ahead { millis } => Some(machine.wall() + millis),
        Change::Back { millis } => machine.wall().checked_sub(millis),
        Change::Like { node } => Some(cluster.nodes[node].wall()),
    };
    machine.set_wall(check_wall(wall)?);
    Ok(())
}

/// A wall clock as a node can have it: with another one it does not start.
fn check_wall(wall: Option<u64>) -> Result<u64, String> {
    let is_possible = |wall: &u64| (MIN_WALL_CLOCK_MS..MAX_WALL_CLOCK_MS).contains(wall);
    wall.filter(is_possible).ok_or_else(|| "a wall clock must stay between the years 2020 and 2190".into())
}

/// All that is under way on broken connections from one node to another arrives, the oldest first.
fn arrive(cluster: &Cluster, from: usize, to: usize) {
    loop {
        let index = cluster.late.borrow().iter().position(|connection| connection.from == from && connection.to == to);
        let Some(index) = index else { break };
        cluster.deliver_late(index);
    }
}

// ---- what is shown --------------------------------------------------------------------------------------------------

fn show(cluster: &Cluster, key: &str) {
    for machine in &cluster.nodes {
        let held = machine.life().replica.store().record(key.as_bytes()).map_or("nothing".into(), |record| {
            let version = in_words(record.version());
            if record.is_counted() {
                let value = record
                    .value(|| machine.now())
                    .map_or("nothing".into(), |(value, _)| value.escape_ascii().to_string());
                return format!("{value}  ({})", shorten(&record.to_string()));
            }
            match record.content() {
                Content::Value(value) => format!("{}  (version {version})", value.escape_ascii()),
                Content::Expiring(value, deadline) => {
                    let (value, until) = (value.escape_ascii(), deadline_in_words(deadline));
                    let is_over = if deadline.is_past(machine.now()) { ", which is over" } else { "" };
                    format!("{value}  (version {version}, until {until}{is_over})")
                }
                Content::Tombstone => format!("a tombstone  (version {version})"),
            }
        });
        cluster.trace.say(&format!("{key} on {}: {held}", machine.name));
    }
}

fn conflicts(cluster: &Cluster, node: usize) {
    let (name, life) = (&cluster.nodes[node].name, cluster.nodes[node].life());
    let listed = life.replica.conflicts().newest(SHOWN_CONFLICTS);
    cluster.trace.say(&format!("{name} lists{}", if listed.is_empty() { " nothing" } else { ":" }));
    listed.iter().for_each(|noticed| cluster.trace.say(&Sentence::whole(noticed).to_string()));
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

fn traffic(cluster: &Cluster) {
    let Traffic { requests, bytes, entries } = cluster.traffic.take();
    cluster.trace.say(&format!("{requests} requests, {bytes} bytes both ways, {entries} entries listed or sent"));
}
