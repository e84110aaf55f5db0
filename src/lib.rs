//! A distributed key-value store to learn from and to keep running.
//!
//! Every node takes reads and writes. A write is applied where it arrives, answered, and sent to all peers at once.
//! Every few seconds the nodes compare all that they hold. The newest write wins everywhere, deletes included.
//!
//! # The map, in reading order
//!
//! A folder is a layer, a file is one idea, and each file opens with its idea. From the top down: `http`, `node`,
//! `commands`, `disk`, `replication`, `store`; `framing` and the bounds are the ground. Nothing points back up.
//! [`store`] and [`replication`] know nothing of sockets, threads, chance and the time of day, which come in as
//! arguments. So the code that runs in a node is the code that `tests/simulation` drives through lost messages,
//! restarts and broken clocks.
//!
//! **The first evening: how nodes agree.** About 2,000 lines with their documents.
//!
//! | | read | it is about |
//! |---|---|---|
//! | 1 | [`store::clock`], [`store::version`] | what "newer" means when clocks disagree |
//! | 2 | [`mod@store::merge`] | the one rule that decides between two entries |
//! | 3 | [`store::digest`] | the hash tree that finds where two stores differ |
//! | 4 | [`replication::message`] | everything that nodes say to each other |
//! | 5 | [`replication::replica`], [`replication::responder`] | what a node is, and what it answers |
//! | 6 | [`replication::propagate`] | a write goes to every peer at once |
//! | 7 | [`replication::reconcile`] | a round makes two nodes equal, at the cost of their difference |
//! | 8 | [`replication::tombstones`] | when a delete may be forgotten: the hardest idea here |
//!
//! **The second evening: how it runs.**
//!
//! | | read | it is about |
//! |---|---|---|
//! | 9 | [`store::causality`], [`store::counter`], [`store::deadline`], [`store::content`], [`store::record`], [`store::arrival`], [`store::accepted`], [`store::graveyard`], `store/row.rs`, [`store::placement`], `store/table.rs`, `store/shard.rs`, [`store`], `store/scan.rs` | whether a write had seen another; how counts add up; how values expire; where and how entries lie in memory |
//! | 10 | [`replication::journal`], [`replication::old_copies`], [`disk`], then what it names | what must outlive the process, and where it is written |
//! | 11 | [`replication::member`], `replication/members.rs`, [`replication::queue`], [`replication::delivery`], [`replication::waits`], [`replication::conflicts`], [`replication::holdup`], `replication/branches.rs`, [`replication::wire`], `replication/greeting.rs`, [`replication::describe`], [`replication`] | the other nodes; what waits for them, and what they hold; messages as bytes, and in words |
//! | 12 | [`replication::steps`], [`node`], then what it names | the threads, drawn, and the sockets |
//! | 13 | [`framing`], [`commands`] | bytes to words; what clients may ask for |
//! | 14 | [`http`], then what it names | the page that shows all this while it happens |
//! | 15 | [`rules`], [`limits`], [`config`], [`options`], [`secret`], [`histogram`], [`reports`], [`logging`], [`program`], [`export`] | what a node is told, and its bounds; how its keys leave |
//!
//! # The life of a write
//!
//! ```text
//! client      session (node 1)            replicator (node 1)         session (node 2)
//!   │ SET k v     │                            │                           │
//!   ├────────────▶│ stamp, merge               │                           │
//!   │             ├──────── key k ────────────▶│                           │
//!   │◀──── OK ────┤         (queue)            │ look k up                 │
//!   │             │                            ├── PROPAGATE k v version ─▶│ merge
//!   │             │                            │◀──────────── 1 ───────────┤
//! ```
//!
//! 1. A session thread of `node` cuts the words `SET k v` out of its buffer ([`framing::RequestParser`]) and finds SET
//!    in the table of [`commands`]. SET calls [`Replica::set`].
//! 2. [`KeyValueStore::write`] locks the key's shard. Under that lock the replica stamps the write: the clock's time,
//!    or one more than the version that stands there ([`HybridClock::now`]). Then `Shard::merge` asks the merge rule
//!    ([`store::merge::merge`]), which accepts the entry, since its version is greater.
//! 3. Still under the lock, the entry gets its arrival number, passes the store's output ([`Accepted`]), and changes
//!    the digest of its leaf.
//! 4. The session puts the *key* on the queue of each peer ([`Outbox::changed`]), which never waits. If the node has a
//!    disk, the output has copied the entry into a buffer, and the session now writes that to the log
//!    ([`Log::before_answer`]). Then it answers `OK`.
//! 5. Each peer's replicator takes the keys that have gathered ([`Propagation::take`]), looks the entries up as they
//!    are by then, and sends PROPAGATE ([`Propagation::deliver`]). If that fails, it keeps the keys and retries.
//! 6. On the peer, a session hands the request to [`Replica::handle`]. The responder checks that the connection was not
//!    revoked, moves the clock past the version ([`HybridClock::observe`]), and merges the entry. From there on step 3
//!    is the same. The peer answers whether the entry was accepted, and does not send it on.
//!
//! # The life of a round
//!
//! ```text
//! anti-entropy (node 1)                                     session (node 2)
//!   tick: note what each member has confirmed
//!     ├── PEER, DIGEST… ──▶ which leaves differ ─────────────────▶│  find_differing_leaves
//!     ├── LEAF… ──────────▶ how they differ ─────────────────────▶│  settle_differences
//!     ├── FETCH… ─────────▶ what is newer there, merged here ────▶│
//!     ├── PROPAGATE… ─────▶ what is newer here, merged there ────▶│
//!     └── CONFIRM ────────▶ "I hold all that you held" ──────────▶│  remembered for tombstones
//!   tick: settle and forget what all have confirmed
//! ```
//!
//! 1. The anti-entropy thread of `node` waits for its timer, or for SYNC, and calls [`Tick::run`]. That notes how far
//!    each member has come, and has the node run a round with each peer, side by side, a thread for each.
//! 2. [`reconcile`](replication::reconcile::reconcile) says PEER ([`greet`](replication::reconcile::greet)) and
//!    remembers how far the peer's arrivals have come.
//! 3. It compares the digests of the roots. Equal: nothing differs. Otherwise it walks down the tree to the leaves that
//!    differ.
//! 4. It names what it holds in these leaves by hashes (LEAF). The responder answers with what is newer there, with
//!    keys that differ otherwise, and with the hashes that it lacks.
//! 5. It merges what came, fetches what else is newer there, and sends what the peer lacks.
//! 6. If it has a disk, it makes durable what it has merged ([`Journal::confirm`]). Then it confirms: "I hold
//!    everything that you held when you said that number". The responder keeps the number.
//!
//! # The life of a tombstone
//!
//! ```text
//!           DEL               all members have confirmed it          3 ticks unlisted
//!  (value) ─────▶ waiting ──────────────────────────────▶ settled ───────────────────▶ forgotten
//!                    ▲       and all rounds succeeded       │
//!                    └──────────────────────────────────────┘
//!                     a member shows another incarnation
//! ```
//!
//! 1. DEL writes a tombstone, an entry like any other, also for a key that this node does not hold
//!    ([`Replica::delete`]). It is propagated, and wins against everything older. Its grave *waits* in the shard's
//!    [`graveyard`](store::graveyard), under its arrival number.
//! 2. Each peer confirms arrivals with the CONFIRM of its own rounds (`Replica::on_confirm`).
//! 3. When a tick has found that all members have confirmed the tombstone, and live, it *settles* (`Tick::check`,
//!    `Permit::settle`): it leaves the digests and lists, but still wins against what is older.
//! 4. While any peer lists it, it is kept ([`KeyValueStore::keep_settled`]). After three complete ticks in which no
//!    peer did, it is *forgotten* ([`KeyValueStore::forget`]).
//! 5. If a member shows another incarnation, its memory is gone, and it must learn of the delete: every settled
//!    tombstone waits again (`Replica::meet`, [`KeyValueStore::take_back_settled`]).
//!
//! [`Accepted`]: store::accepted::Accepted
//! [`HybridClock::now`]: store::clock::HybridClock::now
//! [`HybridClock::observe`]: store::clock::HybridClock::observe
//! [`KeyValueStore::forget`]: store::KeyValueStore::forget
//! [`KeyValueStore::keep_settled`]: store::KeyValueStore::keep_settled
//! [`KeyValueStore::take_back_settled`]: store::KeyValueStore::take_back_settled
//! [`KeyValueStore::write`]: store::KeyValueStore::write
//! [`Journal::confirm`]: replication::journal::Journal::confirm
//! [`Log::before_answer`]: disk::Log::before_answer
//! [`Outbox::changed`]: replication::queue::Outbox::changed
//! [`Propagation::deliver`]: replication::propagate::Propagation::deliver
//! [`Propagation::take`]: replication::propagate::Propagation::take
//! [`Replica::delete`]: replication::replica::Replica::delete
//! [`Replica::handle`]: replication::replica::Replica::handle
//! [`Replica::set`]: replication::replica::Replica::set
//! [`Tick::run`]: replication::tombstones::Tick::run

#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod disk;
pub mod export;
pub mod framing;
pub mod histogram;
pub mod http;
pub mod limits;
pub mod logging;
pub mod node;
pub mod options;
pub mod program;
pub mod replication;
pub mod reports;
pub mod rules;
pub mod secret;
pub mod store;
