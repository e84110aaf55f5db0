//! STATUS: the state of a node on one screen, for people. INFO has all figures, for programs.
//!
//! The text fits a terminal of 80 columns and 24 rows under `watch`, whatever the node's name, its directory and the
//! number of its peers are: what is too long is cut, and peers that are well are the first to be left out.

use std::time::Duration;

use super::call::{Call, DONE, Outcome};
use super::failure::Failure;
use super::spec::Flag::Loading;
use super::spec::{Flags, Keys, Spec};
use super::stats::{PeerStats, Stats};

/// The family's part of the table. Redis has nothing like it.
pub(super) const COMMANDS: &[Spec] = &[Spec {
    name: "STATUS",
    usage: "STATUS [COLOR]",
    summary: "the state of this node on one screen, for people; with colours",
    arity: -1,
    keys: Keys::NONE,
    flags: Flags::of(&[Loading]),
    group: "server",
    since: "0.1.0",
    complexity: "O(N) where N is the number of peers",
    function: status,
}];

/// How wide a screen is.
const COLUMNS: usize = 80;

/// How many rows may be used: of the 24 of a screen, `watch` takes two, and the last line of the answer is END.
const ROWS: usize = 21;

/// How wide the labels on the left are.
const LABEL: usize = 12;

fn status(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    if call.args.get(0).is_some_and(|word| !word.eq_ignore_ascii_case(b"COLOR")) {
        return Err(Failure::error(format!("unknown option: type {}", call.spec.usage)));
    }
    let with_colors = !call.args.is_empty();
    call.answer.text(&render(&call.host.stats(), with_colors));
    DONE
}

/// The whole screen.
fn render(stats: &Stats, with_colors: bool) -> String {
    let mut screen = Screen { rows: Vec::new(), with_colors };
    about_the_node(stats, &mut screen);
    about_the_data(stats, &mut screen);
    about_the_peers(&stats.peers, &mut screen);
    screen.rows.join("\n") + "\n"
}

fn about_the_node(stats: &Stats, screen: &mut Screen) {
    let Stats { node, name, address, incarnation, connected, max_connections, blocked, commands, .. } = stats;
    screen.row("node", Tone::Plain, name);
    screen.row("address", Tone::Plain, &format!("{address}, number {node}, incarnation {incarnation}"));
    let started = humantime::format_rfc3339_seconds(
        std::time::UNIX_EPOCH + Duration::from_millis(stats.wall.millis()).saturating_sub(stats.uptime),
    );
    screen.row("running", Tone::Plain, &format!("for {}, since {started}", age(stats.uptime)));
    match stats.loading {
        true => {
            screen.row("state", Tone::Warning, "loading: it takes over what its peers hold, and serves no clients yet")
        }
        false => screen.row("state", Tone::Good, "serves clients"),
    }
    if stats.is_for_learning() {
        let lab = stats.lab.then(|| "it has a lab".to_string());
        let off = (!stats.rules_off.is_empty()).then(|| format!("rules off: {}", stats.rules_off.join(", ")));
        let why: Vec<String> = lab.into_iter().chain(off).collect();
        screen.row("caution", Tone::Bad, &format!("for learning, not for data; {}", why.join("; ")));
    }
    let clients = format!("{connected} of {max_connections} connected, {blocked} wait; {commands} commands");
    screen.row("clients", Tone::Plain, &clients);
}

fn about_the_data(stats: &Stats, screen: &mut Screen) {
    screen.row("keys", Tone::Plain, &format!("{}, of which {} expire", stats.keys, stats.expiring));
    let (tombstones, settled) = (stats.tombstones, stats.tombstones_settled);
    screen.row("tombstones", Tone::Plain, &format!("{tombstones}, of which {settled} are settled"));
    if !stats.tombstones_held_by.is_empty() {
        let held: Vec<String> = stats.tombstones_held_by.iter().map(|holdup| holdup.replacen('=', " ", 1)).collect();
        screen.row("held up by", Tone::Warning, &held.join(", "));
    }
    let conflicts = stats.conflicts;
    let tone = if conflicts.noticed > 0 { Tone::Warning } else { Tone::Plain };
    let shown = if conflicts.kept > 0 { ": type CONFLICTS" } else { "" };
    screen.row("conflicts", tone, &format!("{}, of which {} are kept{shown}", conflicts.noticed, conflicts.kept));
    let (used, max) = (stats.used_memory, stats.max_memory);
    let percent = (used as f64 * 100.0 / max.max(1) as f64) as u64;
    let tone = if percent >= ALMOST_FULL { Tone::Warning } else { Tone::Plain };
    screen.row("memory", tone, &format!("{} of {} ({percent}%)", size(used), size(max)));
    about_the_disk(stats, screen);
    let now = stats.wall.rfc3339();
    match stats.clock_drift_rejected {
        0 => screen.row("clock", Tone::Plain, &now),
        times => screen.row("clock", Tone::Bad, &format!("{now}; {times} times another clock was too far ahead")),
    }
}

/// From which share of the memory on the row about it is a warning, in percent.
const ALMOST_FULL: u64 = 90;

fn about_the_disk(stats: &Stats, screen: &mut Screen) {
    let Some(disk) = &stats.disk else {
        return screen.row("disk", Tone::Plain, "none: the data ends with the process (--data DIR keeps it)");
    };
    if let Some(why) = &disk.failure {
        return screen.row("disk", Tone::Bad, &format!("failed: {why}"));
    }
    let sync = if disk.syncs_always() { "always" } else { "1s" };
    let snapshot = if disk.last_save_failed { "the last snapshot failed, " } else { "" };
    let tone = if disk.last_save_failed { Tone::Warning } else { Tone::Good };
    let text = format!("sync {sync}, {snapshot}log {}, {}", size(disk.log_bytes as usize), disk.directory);
    screen.row("disk", tone, &text);
}

/// The widths of a peer's columns: who it is, its link, how many keys wait for it, how many tombstones do. The last
/// round takes the rest.
const PEER_COLUMNS: [usize; 4] = [32, 10, 8, 11];

fn about_the_peers(peers: &[PeerStats], screen: &mut Screen) {
    if peers.is_empty() {
        return screen.row("peers", Tone::Plain, "none");
    }
    let up = peers.iter().filter(|peer| peer.is_up).count();
    let title = format!("peers: {up} of {} up", peers.len());
    let [who, link, keys, tombstones] = PEER_COLUMNS;
    screen.rows.push(String::new());
    screen.rows.push(format!(
        "{title:<who$} {:<link$} {:>keys$} {:>tombstones$}  last round",
        "link", "keys due", "tombstones"
    ));
    let mut shown: Vec<&PeerStats> = peers.iter().collect();
    shown.sort_by_key(|peer| is_well(peer));
    let room = ROWS.saturating_sub(screen.rows.len());
    let count = if shown.len() > room { room - 1 } else { shown.len() };
    shown[..count].iter().for_each(|peer| about_a_peer(peer, screen));
    let others = &shown[count..];
    if !others.is_empty() {
        let (number, well) = (others.len(), others.iter().filter(|peer| is_well(peer)).count());
        screen.rows.push(format!("and {number} more, {well} of them well: type INFO peers"));
    }
}

/// Whether the peer answers, and the last round with it succeeded.
fn is_well(peer: &PeerStats) -> bool {
    peer.is_up && peer.last_round.is_some_and(|round| round.ok)
}

fn about_a_peer(peer: &PeerStats, screen: &mut Screen) {
    let [who_width, link_width, keys_width, tombstones_width] = PEER_COLUMNS;
    let PeerStats { address, queued, tombstones_waiting, .. } = peer;
    let who = match &peer.name {
        // A long name leaves room for the beginning of the address.
        Some(name) => format!("{} {address}", cut(name, who_width / 2)),
        None => address.clone(),
    };
    let who = cut(&who, who_width);
    let (tone, state) = if peer.is_up { (Tone::Good, "up") } else { (Tone::Bad, "down") };
    let link = cut(&format!("{state} {}", age(peer.link_age)), link_width);
    let link = screen.paint(tone, &format!("{link:<link_width$}"));
    let (tone, round) = match peer.last_round {
        None => (Tone::Warning, "never".into()),
        Some(round) if round.ok => (Tone::Good, format!("ok {} ago", age(round.age))),
        Some(round) => (Tone::Bad, format!("failed {} ago", age(round.age))),
    };
    let left = COLUMNS - PEER_COLUMNS.iter().sum::<usize>() - 5;
    let round = screen.paint(tone, &cut(&round, left));
    screen.rows.push(format!(
        "{who:<who_width$} {link} {queued:>keys_width$} {tombstones_waiting:>tombstones_width$}  {round}"
    ));
}

/// How good the news on a part of the screen is. Its colour shows it.
#[derive(Clone, Copy)]
enum Tone {
    Plain,
    Good,
    Warning,
    Bad,
}

/// The rows of the screen so far.
struct Screen {
    rows: Vec<String>,
    with_colors: bool,
}

impl Screen {
    fn row(&mut self, label: &str, tone: Tone, text: &str) {
        let text = self.paint(tone, &cut(text, COLUMNS - LABEL));
        self.rows.push(format!("{label:<LABEL$}{text}"));
    }

    /// The text between the codes of its colour, which take no place on the screen.
    fn paint(&self, tone: Tone, text: &str) -> String {
        let color = match tone {
            Tone::Good => 32,
            Tone::Warning => 33,
            Tone::Bad => 31,
            Tone::Plain => return text.into(),
        };
        if self.with_colors { format!("\x1b[{color}m{text}\x1b[0m") } else { text.into() }
    }
}

/// The text, with at most so many characters. Control characters, which could move the cursor, are replaced.
fn cut(text: &str, width: usize) -> String {
    const DOTS: &str = "...";
    let clean = |char: char| if char.is_control() { '?' } else { char };
    if text.chars().count() <= width {
        return text.chars().map(clean).collect();
    }
    text.chars().take(width - DOTS.len()).map(clean).chain(DOTS.chars()).collect()
}

/// A time in its largest unit: `59s`, `59m`, `47h`, `10d`.
fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ ..60 => format!("{seconds}s"),
        seconds @ ..3_600 => format!("{}m", seconds / 60),
        seconds @ ..172_800 => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

/// A number of bytes with a binary unit: `12.3 MiB`.
fn size(bytes: usize) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut scaled = bytes as f64 / 1024.0;
    let mut unit = 0;
    while scaled >= 1023.95 && unit + 1 < units.len() {
        (scaled, unit) = (scaled / 1024.0, unit + 1);
    }
    format!("{scaled:.1} {}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::stats::LastRound;
    use crate::disk::SyncPolicy;
    use crate::disk::figures::LogStats;
    use crate::histogram::Durations;
    use crate::limits::{MAX_NAME_BYTES, MAX_PEERS};
    use crate::replication::message::{Confirmation, Incarnation};
    use crate::replication::replica::{Identity, Replica};
    use crate::rules::{Rule, Rules};
    use crate::store::arrival::Arrival;
    use crate::store::clock::Timestamp;
    use crate::store::version::NodeId;

    fn stats(name: &str) -> Stats {
        let identity = Identity::in_memory(name, NodeId(65_535), Incarnation(u64::MAX));
        let wall = || Timestamp::from_millis(1_790_000_000_000);
        let mut stats = Stats::of(&Replica::new(identity, Rules::default(), Box::new(wall)));
        stats.address = "127.0.0.1:5008".into();
        stats.max_memory = 1 << 30;
        stats
    }

    fn peer(number: usize, is_up: bool) -> PeerStats {
        PeerStats {
            name: Some(format!("node{number}")),
            address: format!("127.0.0.1:{}", 5000 + number),
            is_up,
            link_age: Duration::from_secs(90),
            incarnation: Some(Incarnation(1)),
            is_cut: false,
            delay: Duration::ZERO,
            queued: 3,
            dropped: 0,
            retries: 0,
            confirmed: Arrival::NONE,
            tombstones_waiting: 4,
            last_round: Some(LastRound { ok: is_up, age: Duration::from_secs(2) }),
            propagated: 0,
            propagation_delays: Durations::default(),
            round_durations: Durations::default(),
            rounds: 1,
            rounds_failed: 0,
            pulled: 0,
            pushed: 0,
            sync_bytes_sent: 0,
            sync_bytes_received: 0,
        }
    }

    fn disk(failure: Option<String>) -> LogStats {
        LogStats {
            directory: format!("/var/{}", "deep/".repeat(50)),
            policy: SyncPolicy::Always,
            failure,
            log_bytes: 5 << 20,
            snapshot_bytes: 0,
            is_saving: false,
            saved_at: 0,
            last_save_failed: false,
            syncs: Durations::default(),
            confirmation: Confirmation(0),
        }
    }

    /// Everything is as long, as many and as bad as it can be.
    fn worst() -> Stats {
        let mut stats = stats(&"n".repeat(MAX_NAME_BYTES));
        stats.address = "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff%4294967295]:65535".into();
        stats.rules_off = Rule::ALL.iter().map(|rule| rule.name()).collect();
        stats.loading = true;
        stats.uptime = Duration::from_secs(u64::from(u32::MAX));
        (stats.connected, stats.max_connections, stats.blocked) = (1_000_000, 1_000_000, 1_000_000);
        stats.commands = u64::MAX;
        (stats.keys, stats.expiring, stats.tombstones) = (usize::MAX, usize::MAX, usize::MAX);
        (stats.used_memory, stats.max_memory) = (usize::MAX, usize::MAX);
        stats.clock_drift_rejected = u64::MAX;
        stats.disk = Some(disk(Some(format!("No space left on device\r\n{}", "x".repeat(300)))));
        let mut peer = peer(1, false);
        (peer.name, peer.address) = (Some("p".repeat(MAX_NAME_BYTES)), format!("{}:65535", "h".repeat(253)));
        (peer.queued, peer.tombstones_waiting) = (99_999_999, 99_999_999_999);
        peer.link_age = Duration::from_secs(9_999 * 86_400);
        peer.last_round = Some(LastRound { ok: false, age: Duration::from_secs(9_999 * 86_400) });
        stats.tombstones_held_by = vec![format!("{}=never-met", peer.address); MAX_PEERS];
        stats.peers = vec![peer; MAX_PEERS];
        stats
    }

    #[test]
    fn it_fits_on_a_screen_whatever_there_is_to_say() {
        for stats in [stats("node1"), worst()] {
            let text = render(&stats, false);
            assert!(text.lines().count() <= ROWS, "{text}");
            for line in text.lines() {
                assert!(line.chars().count() <= COLUMNS && !line.contains(char::is_control), "{line:?}");
            }
        }
    }

    #[test]
    fn colours_take_no_place_and_come_only_when_asked_for() {
        let plain = render(&worst(), false);
        let colored = render(&worst(), true);
        assert!(!plain.contains('\x1b') && colored.contains("\x1b[31mdown"));
        let bare =
            ["\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"].iter().fold(colored, |text, code| text.replace(code, ""));
        assert_eq!(bare, plain);
    }

    #[test]
    fn it_says_what_there_is() {
        let mut stats = stats("node1");
        stats.peers = vec![peer(2, true), peer(3, false)];
        stats.tombstones_held_by = vec!["node3=away".into()];
        stats.uptime = Duration::from_secs(7200);
        let expected = "\
node        node1
address     127.0.0.1:5008, number 65535, incarnation ffffffffffffffff
running     for 2h, since 2026-09-21T12:13:20Z
state       serves clients
clients     0 of 0 connected, 0 wait; 0 commands
keys        0, of which 0 expire
tombstones  0, of which 0 are settled
held up by  node3 away
conflicts   0, of which 0 are kept
memory      0.0 KiB of 1.0 GiB (0%)
disk        none: the data ends with the process (--data DIR keeps it)
clock       2026-09-21T14:13:20.000Z

peers: 1 of 2 up                 link       keys due  tombstones  last round
node3 127.0.0.1:5003             down 1m           3           4  failed 2s ago
node2 127.0.0.1:5002             up 1m             3           4  ok 2s ago
";
        assert_eq!(render(&stats, false), expected);
        stats.peers.clear();
        assert!(render(&stats, false).ends_with("\npeers       none\n"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let text = render(&worst(), false);
        for said in [
            "loading: ",
            "for learning, not for data; rules off: ",
            "times another",
            "disk        failed: No space left on device??xxx",
            "(100%)",
        ] {
            assert!(text.contains(said), "{said}: {text}");
        }
        let mut stats = stats("node1");
        stats.disk = Some(disk(None));
        assert!(render(&stats, false).contains("disk        sync always, log 5.0 MiB, /var/deep/"));
    }

    #[test]
    fn of_many_peers_those_that_are_away_are_shown() {
        let mut stats = stats("node1");
        stats.peers = (2..=17).map(|number| peer(number, number != 17)).collect();
        let text = render(&stats, false);
        assert!(text.lines().count() == ROWS && text.contains("peers: 15 of 16 up"), "{text}");
        assert!(text.contains("node17 127.0.0.1:5017") && text.contains("node2 "), "{text}");
        assert!(text.ends_with("and 9 more, 9 of them well: type INFO peers\n"), "{text}");
    }

    #[test]
    fn ages_and_sizes_have_one_unit() {
        let ages = [59, 60, 3_599, 3_600, 172_799, 172_800].map(|seconds| age(Duration::from_secs(seconds)));
        assert_eq!(ages, ["59s", "1m", "59m", "1h", "47h", "2d"]);
        let sizes = [0, 1_023, 1_048_570, 1 << 20, 5 << 30].map(size);
        assert_eq!(sizes, ["0.0 KiB", "1.0 KiB", "1.0 MiB", "1.0 MiB", "5.0 GiB"]);
    }
}
