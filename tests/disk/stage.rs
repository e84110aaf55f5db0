//! A node's disk without the node: a replica, its log, and a directory in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use kvstore::disk::files::Directory;
use kvstore::disk::identity::Owner;
use kvstore::disk::start::Loaded;
use kvstore::disk::{Log, StartError, SyncPolicy};
use kvstore::replication::message::{Incarnation, StoreId};
use kvstore::replication::replica::{Identity, Replica};
use kvstore::rules::Rules;
use kvstore::store::KeyValueStore;
use kvstore::store::arrival::TickNumber;
use kvstore::store::clock::Timestamp;
use kvstore::store::content::{Content, Entry};
use kvstore::store::placement::Placement;
use kvstore::store::record::Record;
use kvstore::store::version::{NodeId, Version};

use super::memory_disk::MemoryDirectory;

/// The wall clock of every replica here.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// The store of a directory that is made here.
pub(crate) const STORE: StoreId = StoreId(0x0123_4567_89ab_cdef);

pub(crate) fn owner() -> Owner {
    Owner { name: "node1".into(), node: NodeId(1) }
}

/// A node's replica and log.
pub(crate) struct Stage {
    pub(crate) log: Arc<Log>,
    pub(crate) replica: Replica,
    pub(crate) loaded: Loaded,
}

impl Stage {
    /// Starts from a directory that must be good.
    #[track_caller]
    pub(crate) fn start(directory: &MemoryDirectory) -> Self {
        Self::try_start(directory, SyncPolicy::EverySecond).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_start(directory: &MemoryDirectory, policy: SyncPolicy) -> Result<Self, StartError> {
        Self::start_from(Arc::new(directory.clone()), policy)
    }

    pub(crate) fn start_from(directory: Arc<dyn Directory>, policy: SyncPolicy) -> Result<Self, StartError> {
        let log = Arc::new(Log::open(directory, &owner(), STORE, policy)?);
        let identity =
            Identity { store: log.store(), ..Identity::in_memory("node1", NodeId(1), Incarnation(fastrand::u64(1..))) };
        let replica = replica_on(&log, identity);
        let loaded = log.load(&replica)?;
        Ok(Self { log, replica, loaded })
    }

    /// Merges an entry as if a peer had sent it.
    pub(crate) fn merge(&self, key: &str, time: u64, content: Content<'_>) {
        self.replica.store().merge(record(key, time, content));
    }

    /// Settles all tombstones, as if every peer held them.
    pub(crate) fn settle_all(&self) {
        let store = self.replica.store();
        store.settle(store.arrivals(), Timestamp::YEAR_2200, TickNumber(0));
    }

    /// The same, and forgets them.
    pub(crate) fn forget_all(&self) -> usize {
        self.settle_all();
        self.replica.store().forget(TickNumber(0))
    }

    /// Everything that the replica holds, tombstones included, without who has seen what.
    pub(crate) fn contents(&self) -> Contents {
        let bare = |record: &Record| Record::new(record.key(), record.entry()).encode().into();
        self.contents_as(bare)
    }

    /// Everything that the replica holds, tombstones included, with all that travels.
    pub(crate) fn whole_contents(&self) -> Contents {
        self.contents_as(|record| record.encode().into())
    }

    fn contents_as(&self, encode: impl Fn(&Record) -> Box<[u8]>) -> Contents {
        let store = self.replica.store();
        assert_eq!(store.root(), store.rebuilt_root(), "the digests fit the entries");
        let mut contents = Contents::new();
        let mut add = |record: &Record| drop(contents.insert(record.key().into(), encode(record)));
        (0..KeyValueStore::PARTS).for_each(|part| store.visit_part(part, &mut add));
        contents
    }

    pub(crate) fn value(&self, key: &str) -> Option<String> {
        self.replica.get(key.as_bytes(), |value| value.map(|value| String::from_utf8_lossy(value).into()))
    }
}

/// By key, the encoded entries.
pub(crate) type Contents = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// An entry of node 2.
pub(crate) fn record(key: &str, time: u64, content: Content<'_>) -> Record {
    let version = Version::new(Timestamp::from_millis(time), NodeId(2));
    Record::new(key.as_bytes(), Entry { version, content })
}

/// A replica that holds nothing yet, and writes to this log.
pub(crate) fn replica_on(log: &Arc<Log>, identity: Identity) -> Replica {
    let (wall, journal) = (Box::new(|| NOW), Some(Arc::clone(log) as _));
    Replica::with_journal(identity, Rules::default(), wall, Placement::default(), journal)
}
