//! The language of the stories: a table of commands, and how a line becomes an [`Action`].
//!
//! Nothing is carried out here; [`stage`](super::stage) does that. A line is understood completely before anything
//! happens. So a mistake is reported where it stands, also in a command that runs later (`before`), and it says what to
//! type instead.

use kvstore::rules::Rules;

use super::cluster::Fate;
use super::grammar;

/// The longest command, in bytes. It bounds keys and values, and commands inside commands.
const MAX_COMMAND_BYTES: usize = 1_000;

/// These begin something of their own: they need no cluster, and do not follow `quietly` or `before`.
pub(crate) const ALONE: [&str; 2] = ["cluster", "cost"];

/// What one line of a story says. Nodes are counted from 0.
#[derive(Clone, Debug)]
pub(crate) enum Action {
    Cluster { nodes: usize, has_disks: bool, rules: Rules },
    Cost { keys: usize, with_digests: bool },
    Set { node: usize, key: String, value: String, millis: Option<u64> },
    Del { node: usize, key: String },
    Count { node: usize, key: String, by: i64 },
    Expire { node: usize, key: String, millis: Option<u64> },
    Sweep { node: usize },
    Propagate { from: usize, to: Option<usize> },
    Tick { node: usize },
    TickAll { times: usize },
    Show { keys: Vec<String> },
    Conflicts { node: usize },
    Digests,
    Tombstones,
    Traffic,
    Bytes,
    Pass { millis: u64 },
    Clock { node: usize, change: Change },
    Freeze,
    Cut { from: usize, to: usize, both_ways: bool },
    Mend { from: usize, to: usize },
    Restart { node: usize },
    AtDisk { node: usize, what: AtDisk },
    Dismiss { peer: usize, on: usize },
    Next { when: When, fate: Fate },
    Before { when: When, command: String, action: Box<Action> },
    Arrive { from: usize, to: usize },
    Fill { keys: usize },
    Quietly(Box<Action>),
}

/// What happens to a node with a disk, or what it does there.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AtDisk {
    Kill,
    PowerCut,
    Sync,
    Save,
    BackUp,
    PutBack,
}

/// How a wall clock is set.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    Ahead {
        millis: u64,
    },
    Back {
        millis: u64,
    },
    /// To what the wall clock of this node shows.
    Like {
        node: usize,
    },
}

/// The next request with this name from one node to another.
#[derive(Clone, Copy, Debug)]
pub(crate) struct When {
    pub(crate) request: &'static str,
    pub(crate) from: usize,
    pub(crate) to: usize,
}

/// Why a line is no command.
pub(crate) enum Mistake {
    /// Its number of words is wrong, or one of the words that never change.
    Words,
    /// What the author should type instead.
    Says(String),
}

impl From<String> for Mistake {
    fn from(says: String) -> Self {
        Self::Says(says)
    }
}

/// What follows the name of a command, and the number of nodes that it can speak of.
type Parse = fn(&[&str], usize) -> Result<Action, Mistake>;

/// A row of the table of commands.
pub(crate) struct Command {
    /// What can be typed. Capitals stand for what the author fills in, brackets for what may be left out.
    pub(crate) forms: &'static [&'static str],
    pub(crate) about: &'static str,
    parse: Parse,
}

const fn command(forms: &'static [&'static str], about: &'static str, parse: Parse) -> Command {
    Command { forms, about, parse }
}

/// Every command of a story. The README of the stories has the same table.
pub(crate) const COMMANDS: &[Command] = &[
    command(
        &["cluster COUNT [with disks] [without RULE…]"],
        "a new cluster; its nodes are empty and connected",
        grammar::cluster,
    ),
    command(&["set node1 KEY VALUE [for TIME]"], "a client writes a value, perhaps one that expires", grammar::set),
    command(&["del node1 KEY"], "a client deletes a key", grammar::del),
    command(&["count node1 KEY +NUMBER", "count node1 KEY -NUMBER"], "a client says INCRBY or DECRBY", grammar::count),
    command(&["expire node1 KEY TIME"], "a client gives a value a deadline", grammar::expire),
    command(&["persist node1 KEY"], "a client takes the deadline away", grammar::persist),
    command(&["sweep node1"], "a node replaces what has expired, as it does every second", grammar::sweep),
    command(
        &["propagate node1 [node2]"],
        "node 1 sends its next batch to node 2, or to every peer",
        grammar::propagate,
    ),
    command(
        &["tick node1", "tick all TIMES"],
        "a node's timer ticks: a round with each peer, then settling and forgetting",
        grammar::tick,
    ),
    command(&["show KEY…"], "what each node holds under these keys", grammar::show),
    command(&["conflicts node1"], "what this node lists as lost, the newest first", grammar::conflicts),
    command(&["digests"], "the digest of all that each node holds", |words, _| grammar::alone(words, Action::Digests)),
    command(&["tombstones"], "how many tombstones wait, are settled, were forgotten", |words, _| {
        grammar::alone(words, Action::Tombstones)
    }),
    command(&["traffic"], "what has crossed the wire since the last `traffic`", |words, _| {
        grammar::alone(words, Action::Traffic)
    }),
    command(&["bytes"], "from now on, messages show how long they are", |words, _| {
        grammar::alone(words, Action::Bytes)
    }),
    command(&["pass TIME"], "time passes on every node, like `5s`, `10ms`, `2m` or `1h`", grammar::pass),
    command(
        &["clock node1 +TIME", "clock node1 -TIME", "clock node1 =node2"],
        "moves one wall clock, or sets it to that of another node",
        grammar::clock,
    ),
    command(&["freeze"], "all wall clocks stand still", |words, _| grammar::alone(words, Action::Freeze)),
    command(&["cut node1 node2", "cut node1 -> node2"], "cuts the network, both ways or one way", grammar::cut),
    command(&["mend node1 node2"], "mends the network, both ways", grammar::mend),
    command(
        &["restart node1"],
        "a node loses its memory, and its disk if it has one, and starts again",
        grammar::restart,
    ),
    command(&["kill node1"], "a node is killed, and starts again with all that it has written", grammar::kill),
    command(&["power-cut node1"], "a node starts again with what it has synced", grammar::power_cut),
    command(&["sync node1"], "a node's disk thread syncs, as it does every second", grammar::sync),
    command(&["save node1"], "a node writes a snapshot of all that it holds", grammar::save),
    command(&["backup node1"], "the operator copies the directory of a node", grammar::back_up),
    command(&["put-back node1"], "a node starts again with the last copy of its directory", grammar::put_back),
    command(&["dismiss node3 on node1"], "the operator says FORGET on node 1: node 3 never returns", grammar::dismiss),
    command(
        &["next REQUEST node1 node2 FATE"],
        "what befalls the next such request: `lost`, `delayed`, `reply-lost` or `twice`",
        grammar::next,
    ),
    command(
        &["before REQUEST node1 node2 COMMAND"],
        "runs a command just before the next such request is sent",
        grammar::before,
    ),
    command(&["arrive node1 node2"], "what was delayed on the way from node 1 to node 2 arrives", grammar::arrive),
    command(&["fill KEYS"], "gives all nodes the same keys", grammar::fill),
    command(&["cost KEYS [without digests]"], "a table of what one round costs", grammar::cost),
    command(&["quietly COMMAND"], "runs a command and shows nothing of it", grammar::quietly),
];

impl Command {
    /// The word it begins with.
    pub(crate) fn name(&self) -> &'static str {
        self.forms[0].split(' ').next().unwrap_or_default()
    }
}

/// What a line means in a cluster of so many nodes, or before there is one. Errors are one line: what to type instead.
pub(crate) fn parse(line: &str, nodes: Option<usize>) -> Result<Action, String> {
    if line.len() > MAX_COMMAND_BYTES {
        return Err(format!("a command has at most {MAX_COMMAND_BYTES} bytes"));
    }
    parse_words(&line.split_whitespace().collect::<Vec<_>>(), nodes)
}

/// The table of commands as text: what can be typed, and what it does.
pub(crate) fn help() -> Vec<String> {
    let width = COMMANDS.iter().flat_map(|command| command.forms).map(|form| form.chars().count()).max().unwrap_or(0);
    let rows = COMMANDS.iter().flat_map(|command| {
        let about = |form: usize| if form == 0 { command.about } else { "" };
        command.forms.iter().enumerate().map(move |(at, form)| format!("{form:width$}  {}", about(at)))
    });
    rows.map(|row| row.trim_end().to_string()).collect()
}

pub(crate) fn parse_words(words: &[&str], nodes: Option<usize>) -> Result<Action, String> {
    let (name, rest) = words.split_first().unwrap_or((&"", &[]));
    let command = COMMANDS.iter().find(|command| command.name() == *name).ok_or_else(|| unknown(name))?;
    let nodes = match nodes {
        Some(nodes) => nodes,
        None if ALONE.contains(name) => 0,
        None => return Err("there is no cluster yet: begin with `cluster 2`".into()),
    };
    (command.parse)(rest, nodes).map_err(|mistake| match mistake {
        Mistake::Words => format!("type `{}`", command.forms.join("` or `")),
        Mistake::Says(says) => says,
    })
}

fn unknown(name: &str) -> String {
    let name = name.to_lowercase();
    // Fewer than half of its letters are wrong.
    let is_near = |known: &&str| known.starts_with(&name) || 2 * wrong_letters(known, &name) < known.len();
    let names = || COMMANDS.iter().map(Command::name);
    let near: Vec<&str> = names().filter(|known| !name.is_empty() && is_near(known)).collect();
    if near.is_empty() {
        format!("no such command; the commands are {}", names().collect::<Vec<_>>().join(", "))
    } else {
        format!("no such command; did you mean `{}`?", near.join("` or `"))
    }
}

/// How many letters have to be changed, added or left out to make one word of the other.
fn wrong_letters(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (index, letter) in one.chars().enumerate() {
        let mut diagonal = index;
        row[0] = index + 1;
        for (at, &theirs) in other.iter().enumerate() {
            let changed = diagonal + usize::from(letter != theirs);
            diagonal = row[at + 1];
            row[at + 1] = changed.min(row[at] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}
