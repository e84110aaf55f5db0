//! A simulated cluster: real replicas, and a network driven by a seeded random generator.
//!
//! Replication protocols break in combinations that no test author thought of: a reply is lost *and* the node restarts
//! *and* an old message arrives. Tests over sockets hit such a case once in a thousand nights, and cannot reproduce it.
//! Here a whole cluster runs in one thread. Wherever a node would wait, a random generator with a known seed decides
//! what happens meanwhile. So thousands of runs pass in a minute, and each can be replayed.
//!
//! * `cluster.rs` and `node.rs` are the nodes: what their threads do, a step at a time, around the [`Replica`] that the
//!   real node has, too. `network.rs` carries their messages, encoded and decoded.
//! * `disk.rs` is a machine's disk: the real log, over a directory in memory that can lose what was not synced.
//! * `faults.rs` decides, from a seed, what happens and what goes wrong. `runs.rs` is one run: faults, then healing.
//! * `invariants.rs` says what must hold, `judge.rs` checks it at every step, `past.rs` whenever a node starts from its
//!   disk, `losses.rs` whenever a write is thrown away. `trace.rs` tells what happened, in the words of `describe.rs`.
//! * `script.rs`, `grammar.rs`, `stage.rs` and `cost.rs` belong to the stories, `tests/stories.rs`. They run on the
//!   same cluster, with a script instead of chance.
//!
//! A test runs 300 seeds. `SIM_SEEDS=100000 cargo test --release --test simulation nodes -- --nocapture` runs more,
//! and prints how many steps it runs in a millisecond: some 200 on an idle core. A step is a write, a message carried
//! out, a tick begun, a sync, a snapshot, or a restart. A seed that fails prints the command that replays it:
//! `SIM_SEED=17 cargo test --test simulation three_nodes -- --nocapture` prints everything that happened, in a column
//! for each node.
//!
//! **What is left out.** An activity that begins while another waits ends before the other goes on: activities are
//! nested, not interleaved freely (delayed messages make up for much of it). And every step is atomic. So the simulator
//! says nothing about races of threads within a node, such as whether the digest is updated under the same lock as the
//! table. Tests of the store with threads do. A node can end while it writes a snapshot, but not between two other
//! operations on its disk: `tests/disk.rs` lets it end at every one of them.
//!
//! In half of the runs values expire; `expiry.rs` is about that. In half of them clients count; `counters.rs` is about
//! that. A run without deadlines or counters is what it was before there were any, as with disks.
//!
//! Some machines have disks, some of these sync before they answer: the seed says which. A run without disks is what it
//! was before there were any, so that the same seeds find the same faults.
//!
//! # Would it notice?
//!
//! For each [`Rule`] that can be switched off, a test below shows which invariant breaks without it. Besides, the
//! authors planted faults by hand, of the kind that real systems have shipped, each in one line or two. The table says
//! which invariant caught each, and after how many seeds with 2, 3 and 5 nodes (– : not in 1,000).
//!
//! | planted | violated | 2 | 3 | 5 |
//! |---|---|---|---|---|
//! | in a tie the incoming write wins | [`NeverBack`](Invariant::NeverBack), [`OutputIsWhole`](Invariant::OutputIsWhole) | 90 | 1 | 33 |
//! | a delete is stamped with the plain clock | [`WriteStands`](Invariant::WriteStands), [`WriteIsNewer`](Invariant::WriteIsNewer) | 5 | 5 | 1 |
//! | a delete of an absent key leaves no tombstone | [`WriteStands`](Invariant::WriteStands) | 2 | 1 | 1 |
//! | the clock is not moved on receipt | [`WriteIsNewer`](Invariant::WriteIsNewer) | 1 | 1 | 1 |
//! | the clock is not moved by what a round brings | [`WriteIsNewer`](Invariant::WriteIsNewer) | 54 | 8 | 1 |
//! | the hash of an entry leaves out its version | [`TrueConfirmation`](Invariant::TrueConfirmation) | 2 | 2 | 1 |
//! | the hash of an entry leaves out its content | [`TrueConfirmation`](Invariant::TrueConfirmation) | 90 | 18 | 33 |
//! | CONFIRM is sent before the leaves are compared | [`TrueConfirmation`](Invariant::TrueConfirmation) | 1 | 1 | 1 |
//! | CONFIRM has the number at the end of the round | [`TrueConfirmation`](Invariant::TrueConfirmation) | 1 | 1 | 1 |
//! | of the entries that a LEAF reply brings only the first is merged | [`TrueConfirmation`](Invariant::TrueConfirmation) | 1 | 1 | 1 |
//! | of several keys that a LEAF reply lists only the first is fetched | [`TrueConfirmation`](Invariant::TrueConfirmation) | 62 | 11 | 2 |
//! | the responder leaves out what is not later than all that was named | [`TrueConfirmation`](Invariant::TrueConfirmation) | 4 | 1 | 1 |
//! | another content under the same version is pushed, but not fetched | [`TrueConfirmation`](Invariant::TrueConfirmation) | 90 | 18 | 706 |
//! | what the peer lacks is not pushed (1) | nothing | – | – | – |
//! | a round pushes nothing at all | [`Agreement`](Invariant::Agreement) | – | 446 | – |
//! | a LEAF or a FETCH that failed is taken for an empty one (2) | nothing | – | – | – |
//! | the queue holds values instead of keys | [`NoResurrection`](Invariant::NoResurrection), [`Agreement`](Invariant::Agreement) | 2 | 1 | 1 |
//! | entries are looked up before the link is locked (10) | [`NoResurrection`](Invariant::NoResurrection) | – | – | – |
//! | confirmed numbers are kept over a restart | [`TrueConfirmation`](Invariant::TrueConfirmation) | 33 | 10 | 1 |
//! | a late CONFIRM counts for the next incarnation (3) | nothing | – | – | – |
//! | a new connection does not revoke the older ones | [`NoResurrection`](Invariant::NoResurrection) | 2 | 2 | 2 |
//! | settling on the numbers of the same tick (4) | nothing | – | – | – |
//! | settling though one round has failed | [`SettledEverywhere`](Invariant::SettledEverywhere) | 10 | 4 | 5 |
//! | settling though a peer has changed its incarnation (5) | nothing | – | – | – |
//! | settling what lies ahead of the clock | [`WriteIsNewer`](Invariant::WriteIsNewer) | 510 | 815 | – |
//! | settling is not taken back for a new incarnation (7) | [`LoadIsWhole`](Invariant::LoadIsWhole) | 9 | 46 | 43 |
//! | settling is taken back for a new incarnation, but not at first contact (8) | nothing | – | – | – |
//! | the check and the settling are two steps, without the lock (10) | [`LoadIsWhole`](Invariant::LoadIsWhole) | – | – | – |
//! | settling though a configured peer was never met | [`SettledEverywhere`](Invariant::SettledEverywhere) | 11 | 0 | 11 |
//! | a node serves after a load that broke on the way | [`LoadIsWhole`](Invariant::LoadIsWhole) | 4 | 0 | 0 |
//! | a wall clock may show any time | [`NoPanic`](Invariant::NoPanic) | 4 | 3 | 4 |
//! | settling by a clock that stands still while no client writes | [`AllForgotten`](Invariant::AllForgotten) | 255 | 99 | – |
//! | a settled tombstone is named in LEAF | [`AllForgotten`](Invariant::AllForgotten) | – | – | 331 |
//! | a settled tombstone is told in the reply to LEAF (6) | nothing | – | – | – |
//! | a settled tombstone stays in the digest | [`DigestOfEntries`](Invariant::DigestOfEntries) | 1 | 1 | 2 |
//! | a replaced entry stays in the digest of its leaf | [`DigestOfEntries`](Invariant::DigestOfEntries) | 1 | 1 | 1 |
//! | a settled tombstone is forgotten at once | [`Agreement`](Invariant::Agreement), [`AllForgotten`](Invariant::AllForgotten) | 1 | 1 | 2 |
//! | a settled tombstone is forgotten though a peer lists it | [`AllForgotten`](Invariant::AllForgotten) | – | – | 231 |
//! | an entry that a peer brings in vain is not compared | [`AllForgotten`](Invariant::AllForgotten) | – | – | 688 |
//! | a settled tombstone does not count when a peer lists the key | [`AllForgotten`](Invariant::AllForgotten) | – | 815 | – |
//! | the store's output is not told of what peers send | [`OutputIsWhole`](Invariant::OutputIsWhole) | 1 | 1 | 1 |
//! | the store's output is not told of tombstones | [`OutputIsWhole`](Invariant::OutputIsWhole) | 1 | 1 | 1 |
//! | the store's output is told of what was replaced, too | [`OutputIsWhole`](Invariant::OutputIsWhole) | 1 | 1 | 1 |
//! | a batch that failed is dropped (9) | nothing | – | – | – |
//! | CONFIRM is sent before the disk is synced | [`Durable`](Invariant::Durable) | 19 | 0 | 0 |
//! | the disk is synced before CONFIRM, but without the number of the confirmation | [`Durable`](Invariant::Durable) | 19 | 0 | 0 |
//! | PEER shows a confirmation that is not durable | [`Durable`](Invariant::Durable) | 97 | 15 | 8 |
//! | the first confirmation of a life has the number of the last one | [`Durable`](Invariant::Durable) | 171 | 130 | 436 |
//! | a smaller number from the same incarnation is an old copy | [`NoFalseAlarm`](Invariant::NoFalseAlarm) | – | 128 | 93 |
//! | confirmations are compared in every PEER (11) | nothing | – | – | – |
//! | both of these | [`NoFalseAlarm`](Invariant::NoFalseAlarm) | 3 | 0 | 0 |
//! | what is heard of other stores is not written to the disk | [`NoDeletedKeyReturns`](Invariant::NoDeletedKeyReturns) | 901 | 452 | 87 |
//! | what is heard is written only when a tick has forgotten what rests on it (12) | nothing | – | – | – |
//! | a new node does not take over what its peers have heard (13) | [`NoDeletedKeyReturns`](Invariant::NoDeletedKeyReturns) | – | 885 | – |
//! | a new node speaks with a store with a past before it has asked its peers | [`NoDeletedKeyReturns`](Invariant::NoDeletedKeyReturns) | 18 | 306 | 885 |
//! | a verdict does not last as long as the incarnation (14) | nothing | – | – | – |
//! | a write is answered before it is in the log | [`Durable`](Invariant::Durable) | 2 | 0 | 0 |
//! | the new log begins after the snapshot is written | [`Durable`](Invariant::Durable) | 21 | 0 | 54 |
//! | the snapshot is renamed before the new log is synced | [`Durable`](Invariant::Durable) | 367 | 251 | 54 |
//! | a forgotten tombstone takes whatever stands there, when the log is read (15) | nothing | – | – | – |
//! | forgotten tombstones are applied when all logs were read, or not at all (16) | nothing | – | – | – |
//! | logs below the snapshot are kept and read (17) | nothing | – | – | – |
//! | the survivor does not learn what the loser had seen | [`NoFalseConflict`](Invariant::NoFalseConflict) | – | 33 | 25 |
//! | the survivor does not learn the loser's version (18) | [`NoFalseConflict`](Invariant::NoFalseConflict) | – | 7 | 1 |
//! | a local write takes over only the version that it replaces (19) | nothing | – | – | – |
//! | a local write takes over only what the replaced one had seen | [`NoFalseConflict`](Invariant::NoFalseConflict) | 30 | 0 | 66 |
//! | two copies of an entry do not unite what they have seen (20) | nothing | – | – | – |
//! | what was seen is dropped on the wire | [`NoFalseConflict`](Invariant::NoFalseConflict) | 0 | 0 | 0 |
//! | what was seen is dropped when the disk is read | [`NoFalseConflict`](Invariant::NoFalseConflict) | 0 | 0 | 0 |
//! | what an entry learns is not written to the disk (21) | nothing | – | – | – |
//! | a tombstone that settles is not marked as seen by all | [`NoFalseConflict`](Invariant::NoFalseConflict) | 35 | 197 | – |
//! | the mark is lost when settling is taken back | [`NoFalseConflict`](Invariant::NoFalseConflict) | – | 986 | – |
//! | the mark is not written to the disk (21) | nothing | – | – | – |
//! | the mark is dropped when the disk is read | [`NoFalseConflict`](Invariant::NoFalseConflict) | – | 986 | – |
//! | the mark is dropped on the wire | [`NoFalseConflict`](Invariant::NoFalseConflict) | 35 | 986 | – |
//! | a copy does not take over the mark of another (21) | nothing | – | – | – |
//! | everything counts as seen by all | [`NoSilentLoss`](Invariant::NoSilentLoss) | 0 | 0 | 0 |
//! | what a tombstone overrules that was seen by all is not reported | [`NoSilentLoss`](Invariant::NoSilentLoss) | – | – | 106 |
//! | two writes that say the same are reported | [`NoFalseConflict`](Invariant::NoFalseConflict) | 0 | 1 | 0 |
//! | a conflict is not noticed where the incoming entry is lost | [`NoSilentLoss`](Invariant::NoSilentLoss) | 0 | 3 | 0 |
//! | a conflict is not noticed where the entry that stood there is lost | [`NoSilentLoss`](Invariant::NoSilentLoss) | 0 | 0 | 0 |
//! | `covers` takes only what is earlier than what was seen | [`NoFalseConflict`](Invariant::NoFalseConflict) | 0 | 0 | 0 |
//! | WAIT does not care what a full queue has dropped | [`HeldIsThere`](Invariant::HeldIsThere) | 48 | 7 | 0 |
//! | WAIT does not care that a peer has lost its memory | [`HeldIsThere`](Invariant::HeldIsThere) | 10 | 12 | 0 |
//! | a round repairs what went wrong while it ran | [`HeldIsThere`](Invariant::HeldIsThere) | 268 | 175 | 52 |
//! | a round that has failed repairs | [`HeldIsThere`](Invariant::HeldIsThere) | 20 | 7 | 22 |
//! | what was taken from the queue counts as delivered | [`HeldIsThere`](Invariant::HeldIsThere) | 0 | 0 | 0 |
//! | WAIT is content with one key less | [`HeldIsThere`](Invariant::HeldIsThere) | 0 | 0 | 0 |
//! | a round looks up by its old digest what the peer lacks | [`HeldIsThere`](Invariant::HeldIsThere) | 418 | 50 | – |
//! | the sweep stamps a new version | [`SweptInTime`](Invariant::SweptInTime) | 0 | 0 | 0 |
//! | the sweep only removes, and leaves no tombstone | [`SweptInTime`](Invariant::SweptInTime) | 0 | 0 | 0 |
//! | the sweep uses a clock that is an hour ahead | [`SweptInTime`](Invariant::SweptInTime) | 0 | 0 | 0 |
//! | in a tie a value wins over a tombstone | [`SweptInTime`](Invariant::SweptInTime) | 0 | 0 | 0 |
//! | what is expired reads as present until the sweep | [`ReadsByDeadline`](Invariant::ReadsByDeadline) | 0 | 0 | 0 |
//! | EXPIRE keeps the version | [`WriteStands`](Invariant::WriteStands), [`WriteIsNewer`](Invariant::WriteIsNewer) | 0 | 0 | 0 |
//! | the deadline is dropped on the wire | [`OneContent`](Invariant::OneContent) | 0 | 0 | 0 |
//! | the deadline is dropped when the disk is read | [`OneContent`](Invariant::OneContent) | 0 | 0 | 0 |
//! | the hash of an entry leaves out its deadline (22) | nothing | – | – | – |
//! | a SET keeps the old deadline in the queue | [`CountsOfEntries`](Invariant::CountsOfEntries) | 0 | 0 | 1 |
//! | a swept tombstone settles at once | [`TrueConfirmation`](Invariant::TrueConfirmation) | 0 | 0 | 0 |
//! | the store's output is not told of what is swept | [`Durable`](Invariant::Durable) | 0 | 0 | 0 |
//! | a swept tombstone has not seen what the value's writer had (19) | nothing | – | – | – |
//! | a swept tombstone is not marked as expired | [`NoFalseConflict`](Invariant::NoFalseConflict) | 17 | 0 | 0 |
//! | that mark is dropped on the wire | [`NoFalseConflict`](Invariant::NoFalseConflict) | 25 | 0 | 0 |
//! | that mark is dropped when the disk is read | [`NoFalseConflict`](Invariant::NoFalseConflict) | 67 | 42 | 132 |
//! | a value past its deadline is listed as lost | [`NoFalseConflict`](Invariant::NoFalseConflict) | 0 | 0 | 0 |
//! | a counter forgets what was seen of a share | [`SumIsRight`](Invariant::SumIsRight) | 1 | 1 | 1 |
//! | a share goes on after the memory was lost | [`EveryIncrementCounts`](Invariant::EveryIncrementCounts) | 1 | 1 | 1 |
//! | a share goes on after the key was forgotten | [`SumIsRight`](Invariant::SumIsRight) | 48 | 1 | 1 |
//! | the older of two copies of a share stays | [`SumIsRight`](Invariant::SumIsRight) | 1 | 1 | 1 |
//! | what the losing base had seen counts for the winner's | [`SumIsRight`](Invariant::SumIsRight) | 1 | 1 | 1 |
//! | increments outlive the expiry of their base | [`SumIsRight`](Invariant::SumIsRight) | 1 | 1 | 1 |
//! | an INCR after the deadline goes on with the share | [`SumIsRight`](Invariant::SumIsRight) | 48 | 1 | 1 |
//! | a tombstone settles although something was counted that it had not seen | [`EveryIncrementCounts`](Invariant::EveryIncrementCounts) | 6 | 2 | 1 |
//!
//! 1. The peer's own rounds fetch it. Pushing only makes both sides equal sooner; nothing else depends on it. Tests in
//!    `tests/rounds.rs` and many stories notice.
//! 2. Two other rules catch it: an exchange that fails has lost its connection, and a round that has lost its
//!    connection cannot send CONFIRM. It does harm only if a round may continue on a new connection.
//! 3. It takes 4,192 seeds with five nodes, and 4,886 with two ([`TrueConfirmation`](Invariant::TrueConfirmation)); the
//!    story `14-a-late-confirmation` notices the fault at once.
//! 4. The tick also needs every peer to have shown the same incarnation before, in and after its rounds, and what is
//!    under way on the peer's link comes before its CONFIRM. So a number that arrived during the tick is as true as one
//!    that was noted before. The rule is kept as it is because its argument is the simplest.
//! 5. The round of the same tick has given the new incarnation every tombstone that settles. It would take a write of
//!    that incarnation which is older than the tombstone (a clock that was put back) and under way on its link through
//!    all the ticks until the tombstone is forgotten. The simulator can do that, but has not within 1,000 seeds. The
//!    story `10-a-restart-with-empty-memory` notices the fault at once.
//! 6. Nor in 5,000 seeds. A node that has not settled it yet names it in LEAF, so the reply leaves it out. A node that
//!    has settled it keeps it a while longer. The story `09-a-delete-is-forgotten` notices the fault.
//! 7. For a long time nothing here noticed. The judge took the greater version for the right one. By that measure, an
//!    old delete that overrules a later write with a smaller version is right.
//!    [`NewerThanLoaded`](Invariant::NewerThanLoaded) and [`LoadIsWhole`](Invariant::LoadIsWhole) judge from the
//!    history instead: what a peer held when a node had loaded from it may overrule no later write of that node.
//! 8. It needs a member that is met for the first time after this node has settled without it. Here every node is a
//!    configured peer of all others, and no tick settles before all were met. A test in `tests/faults.rs` notices the
//!    fault at once.
//! 9. The next round finds what was lost: propagation is there for speed. Tests in `tests/propagation.rs` notice.
//! 10. Once found after 234 seeds with two nodes, and after 320 with three. Since the simulator runs the batches and
//!     ticks of a node, other interleavings come first, and 1,000 seeds do not reach these.
//!
//! 11. A smaller number from the incarnation that has confirmed the greater one is an old message, whenever it comes.
//!     The next row shows what happens without that.
//! 12. The power must fail after the tick, before anything else is synced, and between these two frames of the log.
//! 13. The node must be told by one peer, and then meet the old copy before any peer that remembers has refused that. A
//!     test in `tests/members.rs` notices.
//! 14. An old copy that confirms elsewhere must find a node that accepts it, and what that node has accepted is there
//!     by right. A test in `tests/members.rs` notices.
//! 15. What is newer than a tombstone stands behind its frame in the log, so it is there again in the end.
//! 16. A tombstone that is back waits again, and is forgotten again; what is gone was held by all. It does harm when a
//!     node that knew nothing has written below a forgotten tombstone, which happens once in a thousand runs. Tests in
//!     `tests/disk.rs` notice.
//! 17. All logs together are the whole history, so they do no harm. It takes a kill between two removals, which leaves
//!     an old log without its successor.
//! 18. With two nodes it makes the same conflict be listed by both, and nothing else. The judge does not count what a
//!     node has received in vain as seen. The story `21-two-writes-at-once` notices that.
//! 19. A local write goes through the same merge as all others, and there the survivor learns what the loser had seen.
//!     So does a swept tombstone.
//! 20. It makes the same conflict be listed more often, and nothing else. The unit tests of merging notice: without
//!     that, it is not commutative.
//! 21. A node must start again with the tombstone after all others have forgotten it, and one of these must write the
//!     key before the tombstone has settled once more. The story `24-a-delete-against-a-write` notices at once.
//! 22. Two deadlines stand under one version only if a node that was put back has given the version out twice, for
//!     EXPIRE of the same value. The unit tests of records notice.
//!
//! A reply to LEAF that comes in parts needs more than the six small keys of a run: tests in `tests/rounds.rs` cover
//! it.
//!
//! [`Replica`]: kvstore::replication::replica::Replica

#[path = "simulation/cluster.rs"]
mod cluster;
#[path = "simulation/counters.rs"]
mod counters;
#[path = "simulation/describe.rs"]
#[allow(dead_code, reason = "only a story names requests")]
mod describe;
#[path = "simulation/disk.rs"]
mod disk;
#[path = "simulation/expiry.rs"]
mod expiry;
#[path = "simulation/faults.rs"]
mod faults;
#[path = "simulation/held.rs"]
mod held;
#[path = "simulation/invariants.rs"]
mod invariants;
#[path = "simulation/judge.rs"]
mod judge;
#[path = "simulation/losses.rs"]
mod losses;
#[path = "common/memory_disk.rs"]
#[allow(dead_code, reason = "the tests of the disk need more of it")]
mod memory_disk;
#[path = "simulation/network.rs"]
mod network;
#[path = "simulation/node.rs"]
mod node;
#[path = "simulation/past.rs"]
mod past;
#[path = "simulation/runs.rs"]
mod runs;
#[path = "simulation/trace.rs"]
#[allow(dead_code, reason = "the arrows are for the stories")]
mod trace;

use std::env;
use std::time::Instant;

use kvstore::rules::{Rule, Rules};

use invariants::Invariant;
use runs::run;
use trace::Style;

/// How many seeds each test of the whole takes, unless `SIM_SEEDS` says otherwise.
const SEEDS_AT_ONCE: u64 = 300;

/// Within how many seeds a missing rule is noticed.
const SEEDS: u64 = 1_000;

fn number_from_environment(name: &str) -> Option<u64> {
    let text = env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a number, not {text}")))
}

/// Takes a run for each seed, or replays the one that `SIM_SEED` names.
fn simulate(nodes: usize, test: &str) {
    if let Some(seed) = number_from_environment("SIM_SEED") {
        let outcome = run(seed, nodes, Rules::default(), Style::Columns);
        outcome.trace.iter().for_each(|line| println!("{line}"));
        println!("seed {seed}: {} steps", outcome.steps);
        assert!(outcome.violation.is_none(), "{}", outcome.violation.expect("is some"));
        return;
    }
    let seeds = number_from_environment("SIM_SEEDS").unwrap_or(SEEDS_AT_ONCE);
    let begin = Instant::now();
    let (mut steps, mut lost, mut reissued, mut after_forgotten, mut held_counted, mut expired) = (0, 0, 0, 0, 0, 0);
    for seed in 0..seeds {
        let outcome = run(seed, nodes, Rules::default(), Style::Off);
        if let Some(violation) = outcome.violation {
            panic!(
                "{violation}\n\nreplay it with: SIM_SEED={seed} cargo test --test simulation {test} -- --nocapture\n"
            );
        }
        steps += outcome.steps;
        lost += outcome.lost_with_memory;
        reissued += outcome.reissued;
        after_forgotten += outcome.after_forgotten;
        held_counted += outcome.held_counted;
        expired += outcome.expired;
    }
    let millis = begin.elapsed().as_millis().max(1);
    println!(
        "{nodes} nodes: {seeds} seeds, {steps} steps in {millis} ms: {} a millisecond; {lost} writes lost with a \
         memory, {reissued} versions given out twice, {after_forgotten} writes past a forgotten delete, {held_counted} \
         times WAIT has counted a peer, {expired} times a value was swept",
        u128::from(steps) / millis
    );
}

#[test]
fn two_nodes_agree_whatever_happens() {
    simulate(2, "two_nodes");
}

#[test]
fn three_nodes_agree_whatever_happens() {
    simulate(3, "three_nodes");
}

#[test]
fn five_nodes_agree_whatever_happens() {
    simulate(5, "five_nodes");
}

#[test]
fn a_seed_gives_the_same_run_again() {
    for seed in 0..3 {
        let [first, second] = [(); 2].map(|()| run(seed, 3, Rules::default(), Style::Columns).trace);
        assert!(first.len() > 100, "a run of {} lines", first.len());
        assert_eq!(first, second);
    }
}

/// Without `rule`, some seed violates `invariant`.
fn breaks_without(rule: Rule, invariant: Invariant) {
    let violates = |seed| run(seed, 3, Rules::default().without(rule), Style::Off).violation;
    let found = (0..SEEDS).find_map(|seed| {
        let violation = violates(seed).filter(|violation| violation.invariant == invariant)?;
        Some((seed, violation))
    });
    let (seed, violation) =
        found.unwrap_or_else(|| panic!("{SEEDS} seeds do not notice that {rule} is off: \"{invariant}\" holds"));
    println!("without {rule}, seed {seed}: {violation}");
}

/// As [`breaks_without`]; and nothing else breaks: the rule is there for speed, not for agreement.
fn only_costs_without(rule: Rule, invariant: Invariant) {
    breaks_without(rule, invariant);
    for seed in 0..SEEDS / 5 {
        let violation = run(seed, 3, Rules::default().without(rule), Style::Off).violation;
        let other = violation.filter(|violation| violation.invariant != invariant);
        assert!(other.is_none(), "without {rule}, seed {seed}: {}", other.expect("is some"));
    }
}

#[test]
fn without_tombstones_a_deleted_key_comes_back() {
    breaks_without(Rule::Tombstones, Invariant::NoResurrection);
}

#[test]
fn without_the_tie_break_a_peer_keeps_another_content_under_the_same_version() {
    breaks_without(Rule::TieBreak, Invariant::TrueConfirmation);
}

#[test]
fn without_the_hybrid_clock_a_write_is_older_than_what_its_node_has_seen() {
    breaks_without(Rule::HybridClock, Invariant::WriteIsNewer);
}

#[test]
fn without_the_stamp_bump_an_acknowledged_write_does_not_stand() {
    breaks_without(Rule::StampBump, Invariant::WriteStands);
}

#[test]
fn without_propagation_a_write_waits_for_the_next_tick() {
    only_costs_without(Rule::Propagation, Invariant::PromptPropagation);
}

#[test]
fn without_anti_entropy_nodes_differ_for_ever() {
    breaks_without(Rule::AntiEntropy, Invariant::Agreement);
}

#[test]
fn without_digests_a_round_of_equal_nodes_costs_as_much_as_they_hold() {
    only_costs_without(Rule::Digests, Invariant::CheapRound);
}

#[test]
fn without_confirmation_a_tombstone_settles_that_a_peer_lacks() {
    breaks_without(Rule::Confirmation, Invariant::SettledEverywhere);
}

#[test]
fn without_the_ordered_link_an_old_value_arrives_after_its_tombstone_is_forgotten() {
    breaks_without(Rule::OrderedLink, Invariant::NoResurrection);
}

#[test]
fn without_durable_confirm_a_power_cut_takes_back_what_was_confirmed() {
    breaks_without(Rule::DurableConfirm, Invariant::Durable);
}

#[test]
fn without_stale_disk_an_old_copy_brings_a_deleted_key_back() {
    breaks_without(Rule::StaleDisk, Invariant::NoDeletedKeyReturns);
}

#[test]
fn without_version_vectors_a_write_is_lost_in_silence() {
    breaks_without(Rule::VersionVectors, Invariant::NoSilentLoss);
}

#[test]
fn without_shares_an_increment_is_lost() {
    breaks_without(Rule::Shares, Invariant::EveryIncrementCounts);
}
