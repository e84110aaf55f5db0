//! Every bound of the program, in one place, each with its reason. What is not here is bounded by something that is.

use std::time::Duration;

/// The longest key, in bytes. A record keeps its length in 16 bits; no useful key comes near.
pub const MAX_KEY_BYTES: usize = 65_535;

/// The longest value, in bytes. Larger things belong into a file: a value is copied whole for each read and each peer.
pub const MAX_VALUE_BYTES: usize = 8 * 1024 * 1024;

/// The longest plain line, in bytes, with its verb and key. Longer values need a Redis client, which says the length
/// first.
pub const MAX_LINE_BYTES: usize = 1024 * 1024;

/// The longest request or peer's reply, in bytes: the largest key and value, with room for a large MSET.
pub const MAX_FRAME_BYTES: usize = 16 * 1024 * 1024;

/// The most arguments of one request and items of one reply. Bounds what is kept about a frame beside its bytes.
pub const MAX_ARGS: usize = 1024 * 1024;

/// The longest name of a node, in bytes. Names stand in log lines.
pub const MAX_NAME_BYTES: usize = 64;

/// How many messages between nodes, and how many changed keys, wait for the page that shows them. What comes beyond is
/// counted as lost: no node waits for a page.
pub const WATCHED_AT_ONCE: usize = 1024;

/// The longest delay that the lab makes, in milliseconds.
pub const MAX_LAB_DELAY_MS: u64 = 60_000;

/// How many lives of nodes may count one key: each takes 48 bytes of it until the key is deleted. A cluster would have
/// to start its nodes hundreds of times while the key lives.
pub const MAX_WRITERS: usize = 256;

/// How many a record may have that comes from elsewhere: several nodes may take the last place at the same time.
pub const MAX_MERGED_WRITERS: usize = 1024;

/// The most peers of one node. A full mesh beyond this needs another protocol.
pub const MAX_PEERS: usize = 64;

/// The most members that a node knows: its peers, those that were renamed, and guests.
pub const MAX_MEMBERS: usize = 2 * MAX_PEERS;

/// The most members that a node does not dial itself. Without a secret, a local program can greet under any name: such
/// names must not take the places of the peers.
pub const MAX_GUESTS: usize = 16;

/// How many dismissed incarnations a node remembers, to refuse them.
pub const MAX_DISMISSED: usize = 1024;

/// From how many other nodes a write remembers what it had seen: a record counts them in one byte. A cluster has fewer;
/// only the numbers of nodes that are gone can add up to more.
pub const MAX_SEEN: usize = 255;

/// How many expired keys of a shard are swept while its lock is held: about a tenth of a millisecond.
pub const SWEEP_KEYS: usize = 100;

/// How many tombstones of a shard are settled, taken back or forgotten while its lock is held: less than a tenth of a
/// millisecond.
pub const TOMBSTONE_STEP: usize = 100;

/// How often a node looks for expired keys. Until then they take memory, but read as absent.
pub const SWEEP_INTERVAL: Duration = Duration::from_millis(500);

/// How many conflicts are kept for CONFLICTS. The oldest make room.
pub const MAX_CONFLICTS: usize = 10_000;

/// How many bytes of keys and values the kept conflicts may take together.
pub const MAX_CONFLICT_BYTES: usize = 16 * 1024 * 1024;

/// How many bytes of a lost value are kept.
pub const CONFLICT_LOST_BYTES: usize = 64 * 1024;

/// How many bytes are kept of a value that has survived a conflict: enough to recognise it.
pub const CONFLICT_KEPT_BYTES: usize = 64;

/// How often the log tells of conflicts, at most.
pub const CONFLICT_REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// How long a client that has said that it sends nothing more (`nc -N`) may still wait for its peers: it may be there
/// and read, or gone.
pub const WAIT_AFTER_HANG_UP: Duration = Duration::from_secs(10);

/// How many clients that hang up while they wait are noticed with one system call.
pub const HANG_UPS_AT_ONCE: usize = 64;

/// How many bytes of frames may wait in memory while a round merges or a node sweeps, before they are written to the
/// log.
pub const JOURNAL_RELIEF_BYTES: usize = 1024 * 1024;

/// From how many bytes on the logs are replaced by a snapshot, if they are larger than what is alive, too. Smaller: a
/// node starts sooner. Larger: fewer snapshots are written.
pub const MIN_REWRITE_BYTES: u64 = 64 * 1024 * 1024;

/// How many bytes of a snapshot are collected for one write.
pub const SNAPSHOT_WRITE_BYTES: usize = 128 * 1024;

/// After how many bytes a snapshot that is being written is synced. Smaller: the sync of the log waits for less.
pub const SNAPSHOT_SYNC_BYTES: usize = 4 * 1024 * 1024;

/// How often the log is synced with `--sync 1s`.
pub const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often a disk that has failed is tried again.
pub const HEAL_INTERVAL: Duration = Duration::from_secs(5);

/// After how long a snapshot that could not be written is tried again, while the log works.
pub const RETRY_SAVE_AFTER: Duration = Duration::from_secs(60);

/// How many threads merge what a start reads, at most. One more reads.
pub const MAX_REPLAY_THREADS: usize = 4;

/// How many bytes of frames such a thread gets at once. A single frame may be larger.
pub const REPLAY_BATCH_BYTES: usize = 64 * 1024;

/// How many such batches may wait for a thread.
pub const REPLAY_QUEUE: usize = 2;

/// How long an answer may be that waits for the disk without its session. A socket that can be written has room for it.
pub const LATE_ANSWER_BYTES: usize = 512;

/// For how many such answers a socket has room that can be written: it has a third of its buffer, 5 KB at least, and an
/// answer takes up to 1.3 KB of that.
pub const LATE_ANSWERS_IN_ROOM: usize = 3;

/// How many such answers may wait. More sessions wait themselves.
pub const LATE_ANSWERS: usize = 4096;

/// The longest torn end of a log. It is read into memory. A power cut leaves less, since the log is synced every
/// second.
pub const MAX_TORN_BYTES: u64 = 256 * 1024 * 1024;

/// How many bytes of checksums a start computes, in search of a whole frame behind a broken one. That takes some
/// seconds. If it is not enough, the end of the log counts as damaged.
pub const MAX_SEARCH_BYTES: u64 = 32 * 1024 * 1024 * 1024;

/// How many other stores a node remembers, to recognise an old copy of one. Every data directory that was ever used is
/// a store; those that were heard of longest ago are dropped.
pub const MAX_HEARD: usize = 1024;

/// How far another node's clock may pull ours ahead of our wall clock, in milliseconds. Machines that run NTP are
/// within a second; a minute leaves room for a sick one without letting it drag the cluster into next year.
pub const MAX_CLOCK_DRIFT_MS: u64 = 60_000;

/// The earliest wall clock with which a node starts, in milliseconds since 1970: the beginning of 2020. A machine that
/// has lost its clock stands before it, and what it wrote would lose against everything older.
pub const MIN_WALL_CLOCK_MS: u64 = 1_577_836_800_000;

/// The wall clock from which on a node no longer starts, in milliseconds since 1970: the beginning of 2190. What it
/// wrote would win against every later write, and peers refuse what is later than 2199.
pub const MAX_WALL_CLOCK_MS: u64 = 6_942_585_600_000;

/// How many changed keys may wait for one peer. What does not fit is repaired by the next round: more room costs memory
/// while a peer is away, less room makes bursts wait for the round.
pub const PROPAGATION_QUEUE: usize = 65_536;

/// How many bytes the changed keys that wait for one peer may take: [`PROPAGATION_QUEUE`] keys of 200 bytes. With a
/// small `--max-memory` they have less.
pub const PROPAGATION_QUEUE_BYTES: usize = 16 * 1024 * 1024;

/// How many changed keys are sent to a peer before their replies are awaited.
pub const PROPAGATION_BATCH: usize = 1024;

/// How many bytes of entries are sent to a peer before the replies are awaited. A single entry may be larger.
pub const PUSH_BATCH_BYTES: usize = 256 * 1024;

/// How many branches of the digest tree one request may ask for: a whole level above the leaves.
pub const DIGEST_BATCH: usize = 4096;

/// How many branches of the digest tree one LEAF may name.
pub const LEAF_BATCH: usize = 256;

/// About how many entries one LEAF names; it asks about fewer leaves if they are that full. Small enough that
/// its answer, too, is a small part of the store.
pub const LEAF_REQUEST_ENTRIES: usize = 8192;

/// How many entries one LEAF names at most. A leaf that holds more (somebody has chosen its keys) is compared in parts,
/// each of which takes a look at all of it: so no fewer than this.
pub const MAX_LEAF_REQUEST_ENTRIES: usize = 65_536;

/// How many leaves a round leaves out because they cannot be compared, before it gives up. There should be none.
pub const MAX_BAD_LEAVES: usize = 16;

/// About how many bytes of entries one reply holds. A larger entry travels alone, in the reply to FETCH.
pub const REPLY_BYTES: usize = 1024 * 1024;

/// The first wait before a lost link is tried again. Doubles up to [`MAX_RETRY_DELAY`].
pub const MIN_RETRY_DELAY: Duration = Duration::from_millis(50);

/// The longest wait before a lost link is tried again.
pub const MAX_RETRY_DELAY: Duration = Duration::from_secs(5);

/// How long to wait for a peer to accept a connection. A round trip around the earth takes a third of it.
pub const PEER_CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How many addresses of a peer's name are tried, one after the other.
pub const MAX_ADDRESSES: usize = 4;

/// How long to wait for a peer to send or take anything before it is given up.
pub const PEER_IO_TIMEOUT: Duration = Duration::from_secs(5);

/// The default of `--load-patience`: long enough for a peer that restarts or swaps, short enough for a client that
/// waits.
pub const DEFAULT_LOAD_PATIENCE: Duration = Duration::from_secs(30);

/// After how many ticks in a row a configuration is reported that lets no delete be forgotten: a peer that is just
/// starting is not.
pub const HELD_TICKS: u32 = 3;

/// How long a stopping node goes on delivering what is queued for its peers.
pub const DRAIN_TIME: Duration = Duration::from_secs(1);

/// As [`PEER_CONNECT_TIMEOUT`], for a node that is stopping: it must end in time.
pub const DRAIN_CONNECT_TIMEOUT: Duration = Duration::from_millis(200);

/// How long a client may refuse to take any byte of its answers before it is cut off.
pub const CLIENT_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a session waits for its client to take answers before it reads on in the client's requests. A client that
/// reads takes some within this time; to wait for it keeps the answers few, and in the processor's cache.
pub const READ_ON_AFTER: Duration = Duration::from_millis(10);

/// How fast a client must take a long answer, in bytes a second, beside [`CLIENT_WRITE_TIMEOUT`]: what waits for it
/// takes memory.
pub const MIN_BYTES_READ_A_SECOND: usize = 64 * 1024;

/// How long a client may leave answers waiting while most of what they may take is taken: others need the room.
pub const HURRIED_PATIENCE: Duration = Duration::from_secs(1);

/// How fast a client must take a long answer at such a time, in bytes a second, beside [`HURRIED_PATIENCE`]. A client
/// on a line of 10 Mbit/s is just fast enough.
pub const HURRIED_BYTES_A_SECOND: usize = 1024 * 1024;

/// How long a connection that the node ends is kept for its last answer to arrive.
pub const LINGER_TIME: Duration = Duration::from_millis(500);

/// How many bytes of answers are collected before they are written, if a client sends that many requests at once.
pub const ANSWER_FLUSH_BYTES: usize = 64 * 1024;

/// Of how many commands of a connection one is measured. Two readings of the clock take as long as a GET; for one of so
/// many they cost nothing that can be measured.
pub const COMMANDS_PER_SAMPLE: u32 = 64;

/// How long after a write whose way to a peer is measured the next one is, at the earliest. To measure one takes about
/// a microsecond.
pub const DELAY_SAMPLE_INTERVAL: Duration = Duration::from_millis(1);

/// How many bytes of answers may wait for one client while its session reads on. A client that sends a pipeline whole
/// before it reads must fit its answers in here, and in half of what all answers together may take.
pub const MAX_WAITING_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// The longest answer to one command, in bytes: what MGET and KEYS may collect. SCAN shows more in pieces.
pub const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// How many commands may stand between MULTI and EXEC. While they are carried out, every other client waits: about a
/// tenth of a second for so many small ones.
pub const MAX_TRANSACTION_COMMANDS: usize = 128 * 1024;

/// How many bytes the queued commands of one client may take.
pub const MAX_TRANSACTION_BYTES: usize = 64 * 1024 * 1024;

/// How long KEYS, SCAN and RANDOMKEY may look through the keys within one transaction, together: every other client
/// waits.
pub const TRANSACTION_WALK_TIME: Duration = Duration::from_millis(500);

/// How many keys a client may watch: EXEC looks at each while every other client waits.
pub const MAX_WATCHED_KEYS: usize = 1024;

/// How long `kvstore export` waits for a connection to be accepted.
pub const EXPORT_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long `kvstore export` waits for the other side to send or take anything: a Redis that forks or evicts may pause
/// for seconds.
pub const EXPORT_IO_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest key or value that `kvstore export` takes from Redis: what Redis allows.
pub const MAX_EXPORTED_BYTES: usize = 512 * 1024 * 1024;

/// The longest line of an answer that `kvstore export` reads: a number, or a sentence that says what is wrong.
pub const MAX_EXPORT_LINE: u64 = 64 * 1024;

/// The COUNT of each SCAN of `kvstore export`: a larger one saves round trips, a smaller one stops other clients for a
/// shorter time.
pub const EXPORT_SCAN_COUNT: usize = 1_000;

/// How many keys `kvstore export` asks for in one pipeline: enough to hide the round trip.
pub const EXPORT_BATCH_KEYS: usize = 128;

/// From how many bytes of keys on such a pipeline is sent. It is written whole before the first answer is read.
pub const EXPORT_BATCH_BYTES: usize = 16 * 1024;

/// How often `kvstore export` reads a key whose deadline changes while it is read.
pub const EXPORT_TRIES: usize = 10;

/// How many bytes a connection's buffer has at first. It grows with what arrives and shrinks when it is empty.
pub const FIRST_BUFFER_BYTES: usize = 1024;

/// A buffer that has grown beyond this is given back when it is empty.
pub const KEPT_BUFFER_BYTES: usize = 64 * 1024;

/// For how many words of a request room is kept for the next.
pub const KEPT_ITEMS: usize = 256;

/// The default of `--max-connections`. Each costs a thread.
pub const DEFAULT_MAX_CONNECTIONS: usize = 10_000;

/// How many connections beyond `--max-connections` may show that they are peers, so that peers get in when clients have
/// taken every place. When these places are full too, the oldest connection in them makes room for the next one.
pub const PEER_RESERVE: usize = 64;

/// How long a connection beyond `--max-connections` has to show that it is a peer.
pub const RESERVE_PATIENCE: Duration = Duration::from_secs(1);

/// How many connections beyond [`PEER_RESERVE`] may be on their way out: those that have made room, and those that were
/// told at once that there are too many. Each takes a descriptor until its session has ended: up to [`LINGER_TIME`].
/// More than these are closed without a word.
pub const TURNED_AWAY_AT_ONCE: usize = 64;

/// How many file descriptors a node keeps for itself, beside those of accepted connections and of links: the standard
/// streams, the listener, the connection that is being accepted, files, look-ups of names, and three with which a
/// thread notices clients that hang up while they wait. Fifteen are in use at most.
pub const OWN_DESCRIPTORS: usize = 32;

/// How many file descriptors a link takes: its connection's, and that of the lost one while a new one is opened.
pub const LINK_DESCRIPTORS: usize = 2;

/// How many memory maps a connection takes: the stack of its thread, the one for signals, and a guard page at each.
pub const MAPS_A_CONNECTION: usize = 4;

/// How many memory maps a process takes beside these: libraries, the threads that every node has, and what the
/// allocator maps. Some 200 are in use at rest.
pub const OWN_MAPS: usize = 1024;

/// How many connections may wait to be accepted.
pub const ACCEPT_BACKLOG: i32 = 1024;

/// How long accepting pauses when the machine has no descriptor or thread left.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long `SYNC` waits for its round.
pub const SYNC_PATIENCE: Duration = Duration::from_secs(60);

/// How many requests for a round may wait.
pub const SYNC_QUEUE: usize = 64;

/// The shortest `--interval` between rounds.
pub const MIN_INTERVAL: Duration = Duration::from_millis(10);

/// The longest `--interval` between rounds.
pub const MAX_INTERVAL: Duration = Duration::from_secs(3600);

/// The longest name that a client may give itself, in bytes.
pub const MAX_CLIENT_NAME_BYTES: usize = 256;

/// How many connections CLIENT LIST and CLIENT KILL look at under one lock: nobody is accepted meanwhile.
pub const CONNECTIONS_AT_ONCE: usize = 128;

/// The largest COUNT of a SCAN: bounds how many keys one answer copies.
pub const MAX_SCAN_COUNT: usize = 10_000;

/// After how many bytes of keys one call of SCAN ends, although it has found fewer keys than its COUNT: they are
/// copied, and compared with a pattern.
pub const MAX_SCAN_BYTES: usize = 1024 * 1024;

/// After how many entries beyond its COUNT one call of SCAN ends, although it has found fewer keys: deleted and expired
/// ones may stand between them, and a place in the store that is empty counts as an entry, too. About a millisecond. A
/// small store, of 4,096 places, is still listed by one call.
pub const MAX_SCAN_LOOKS: usize = 10_000;

/// The longest pattern of KEYS and SCAN, in bytes. It is compared with many keys, each of which takes the longer the
/// longer the pattern is: a millisecond for the longest of both. No useful pattern comes near.
pub const MAX_PATTERN_BYTES: usize = 1024;

/// About how many keys a walk over the store takes at a time.
pub const WALK_ENTRIES: usize = 512;

/// How many records one hash table of the store holds before it is split: as long as one is looked through, or grows,
/// its shard is locked, for half a millisecond.
pub const MAX_TABLE_RECORDS: usize = 4096;

/// How many bytes the keys in one hash table have together before it is split: who looks through it hashes them.
pub const MAX_TABLE_KEY_BYTES: usize = 1024 * 1024;

/// After how many bytes of entries a walk lets the lock go.
pub const WALK_BYTES: usize = 256 * 1024;

/// The stack of each connection's thread, in bytes. Sessions do not recurse; only pages that are touched count.
pub const SESSION_STACK_BYTES: usize = 256 * 1024;

/// The longest secret, in bytes.
pub const MAX_SECRET_BYTES: usize = 4096;

/// The shortest secret, in bytes. A node that dials an attacker shows it a proof against which secrets can be tried
/// offline: 16 random letters resist that.
pub const MIN_SECRET_BYTES: usize = 16;

/// The longest file with secrets, in bytes: two of the longest, and their line ends.
pub const MAX_SECRET_FILE_BYTES: usize = 2 * (MAX_SECRET_BYTES + 2);

/// The longest file that says how much the log tells, in bytes.
pub const MAX_LOG_FILTER_BYTES: u64 = 4096;

/// How long a wrong secret waits for its answer: guessing is slow.
pub const WRONG_SECRET_DELAY: Duration = Duration::from_secs(1);

/// How long a connection has in all to show the secret: places are for those who belong here. (When they run short, it
/// may be ended before.)
pub const ADMISSION_PATIENCE: Duration = Duration::from_secs(10);

/// How many wrong secrets one connection may say.
pub const MAX_WRONG_SECRETS: u32 = 3;

/// How many wrong secrets may come from one address at once. More than a few misconfigured nodes and clients behind one
/// address say at their start.
pub const GUESSES_AT_ONCE: u32 = 20;

/// After how long one more wrong secret may come from an address. That makes 172,800 guesses a day. Others at the same
/// address are admitted this long after the last guess.
pub const GUESS_INTERVAL: Duration = Duration::from_millis(500);

/// From how many addresses wrong secrets are counted at a time. Each takes some 50 bytes.
pub const MAX_GUESSING_ADDRESSES: usize = 4096;

/// For how long a line is not logged again that others cause: peers that are refused, for instance, try again every few
/// seconds. After it, the log tells how many lines it has left out.
pub const REPORT_INTERVAL: Duration = Duration::from_secs(60);

/// How many such lines of one kind the log tells in that time. What is beyond is only counted: a stranger can make up
/// names.
pub const MAX_REPORTS: usize = 64;

/// How often the log tells in that time that one member has started again, and the like.
pub const MAX_REPEATS: usize = 8;

/// How many bytes of a peer's own words are logged, or answered to a client. What nodes say to each other is shorter.
pub const MAX_PEER_TEXT_BYTES: usize = 512;

/// After how much silence the kernel asks whether a client's machine is still there.
pub const KEEPALIVE_AFTER: Duration = Duration::from_secs(60);

/// The smallest `--max-memory`, in bytes. When the largest key and value are stored, their request stands beside them
/// in a buffer of 16 MiB; with less memory, writes that are allowed could never succeed.
pub const MIN_MAX_MEMORY: usize = 32 * 1024 * 1024;

/// What a connection's buffers may hold, in bytes, even when the memory is full: enough for a small command.
pub const FREE_BUFFER_BYTES: usize = 16 * 1024;

/// How many pages may be open at once. Each costs a thread, and its share of what is told.
pub const MAX_PAGES: usize = 32;

/// How many connections the page's address serves at once: the pages, and as many short requests.
pub const MAX_HTTP_CONNECTIONS: usize = 2 * MAX_PAGES;

/// How many file descriptors the page takes: a connection has one, and another by which it is ended; a command has two
/// for the node besides.
pub const HTTP_DESCRIPTORS: usize = 4 * MAX_HTTP_CONNECTIONS;

/// The longest head of an HTTP request, in bytes. A browser sends less than one KiB.
pub const MAX_HTTP_HEAD_BYTES: usize = 8 * 1024;

/// The most headers of an HTTP request. A browser sends some twenty.
pub const MAX_HTTP_HEADERS: usize = 64;

/// The longest body of an HTTP request, in bytes: a command line and a node's name.
pub const MAX_HTTP_BODY_BYTES: usize = 64 * 1024;

/// How long an HTTP request may take to arrive whole, however it is spread.
pub const HTTP_REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a page may refuse to take any byte before its connection is ended.
pub const HTTP_WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many bytes the kernel keeps for a page that does not read. Beyond it, the page loses events.
pub const PAGE_SEND_BUFFER_BYTES: usize = 256 * 1024;

/// How many pieces of news wait for a page that is slow, beside what the kernel keeps.
pub const PAGE_QUEUE: usize = 8;

/// How often pages are told of messages between nodes. Shorter: smoother. Longer: fewer, larger pieces.
pub const EXCHANGES_INTERVAL: Duration = Duration::from_millis(100);

/// How many messages between nodes pages are told of at once. The others are counted.
pub const EXCHANGES_AT_ONCE: usize = 100;

/// How often pages are told the whole state.
pub const STATE_INTERVAL: Duration = Duration::from_millis(250);

/// How many keys the page's table shows: those that changed last.
pub const PAGE_KEYS: usize = 50;

/// How many of them may be keys that only stand in the table because they differ.
pub const PAGE_DIFFERING_KEYS: usize = 20;

/// How many bytes of a key or a value the page shows.
pub const PAGE_VALUE_BYTES: usize = 64;

/// In how many leaves of the digest tree differing keys are counted for the page. If more leaves differ, it says "at
/// least". Each costs a look at some entries on each node.
pub const MAX_COUNTED_LEAVES: usize = 256;

/// How many entries of each node are read to count differing keys.
pub const MAX_COUNTED_ENTRIES: usize = 8192;

/// Up to how many waiting tombstones the page is told until when a clock that was ahead makes them wait. Each is looked
/// at, four times a second.
pub const PAGE_WAITING: usize = 1000;

/// How many of the newest conflicts are looked through for keys of the page's table.
pub const PAGE_CONFLICTS: usize = 200;

/// The longest answer to a command that the page shows, in bytes.
pub const MAX_PAGE_ANSWER_BYTES: usize = 64 * 1024;

/// How long a command of the page may take. SYNC and WAIT wait for peers.
pub const PAGE_COMMAND_PATIENCE: Duration = Duration::from_secs(10);
