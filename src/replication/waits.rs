//! Who waits for what: threads that sleep until something has come so far.
//!
//! Nobody looks again and again. A thread that waits registers under what it waits for, and looks once more: what it
//! waits for may have come meanwhile. Who brings something looks whether anybody waits; that is one read of a number
//! where nobody does.

use std::collections::BTreeMap;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};

use parking_lot::Mutex;

use super::replica::Replica;
use crate::store::arrival::Arrival;
use crate::store::record::Record;
use crate::store::version::Version;

/// Wakes a thread that waits. May be called more than once, and after the thread has gone on. Must not wait.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// The threads that wait, in the order of what they wait for.
pub struct Waits<T> {
    waiting: Mutex<BTreeMap<(T, u64), Wake>>,
    /// How many there are.
    count: AtomicUsize,
    /// The number of the next one.
    next: AtomicU64,
}

impl<T> Default for Waits<T> {
    fn default() -> Self {
        Self { waiting: Mutex::default(), count: AtomicUsize::new(0), next: AtomicU64::new(0) }
    }
}

impl<T: Ord + Clone> Waits<T> {
    /// From now on `wake` is called when `what` has come. What had come before this call is not told: look again.
    pub fn register(&self, what: T, wake: Wake) -> Waiting<'_, T> {
        let id = self.next.fetch_add(1, SeqCst);
        self.count.fetch_add(1, SeqCst);
        self.waiting.lock().insert((what.clone(), id), wake);
        Waiting { waits: self, key: Some((what, id)) }
    }

    /// Whether anybody waits. Asked *after* something has come.
    pub fn any(&self) -> bool {
        self.count.load(SeqCst) > 0
    }

    /// Something has come: wakes all that wait for what is in `range`.
    pub fn wake(&self, range: impl RangeBounds<(T, u64)>) {
        if self.any() {
            self.waiting.lock().range(range).for_each(|(_, wake)| wake());
        }
    }
}

/// A thread is registered as long as this lives.
pub struct Waiting<'a, T: Ord> {
    waits: &'a Waits<T>,
    /// Its key in the map; taken when it leaves.
    key: Option<(T, u64)>,
}

impl<T: Ord> Drop for Waiting<'_, T> {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.waits.waiting.lock().remove(&key);
            self.waits.count.fetch_sub(1, SeqCst);
        }
    }
}

/// What clients of a replica wait for, beside what its peers hold; that is a [`Delivery`](super::delivery::Delivery).
#[derive(Default)]
pub(super) struct ReplicaWaits {
    /// Those that wait for an entry of this key.
    pub(super) entries: Waits<Box<[u8]>>,
    /// Those that wait until a member has confirmed this arrival.
    pub(super) confirmations: Waits<Arrival>,
}

impl Replica {
    /// Whether this version of a key stands here, or a newer one.
    pub fn holds(&self, key: &[u8], version: Version) -> bool {
        self.store().version(key) >= Some(version)
    }

    /// Calls `wake` when something is accepted under this key. `None` if this version stands there already, or a newer
    /// one.
    pub fn wait_for_entry(&self, key: &[u8], version: Version, wake: &Wake) -> Option<Waiting<'_, Box<[u8]>>> {
        let waiting = self.waits.entries.register(key.into(), Wake::clone(wake));
        (!self.holds(key, version)).then_some(waiting)
    }

    /// This key has changed.
    pub(super) fn tell_changed(&self, key: &[u8]) {
        if self.waits.entries.any() {
            self.waits.entries.wake((key.into(), 0)..=(key.into(), u64::MAX));
        }
    }

    /// A copy of the key of an entry that is about to be merged, for [`Replica::tell_merged`], if anybody waits.
    pub(super) fn key_if_awaited(&self, record: &Record) -> Option<Box<[u8]>> {
        self.waits.entries.any().then(|| record.key().into())
    }

    /// An entry was merged. If nobody had waited before, but somebody does now, it is not known for which key: all look
    /// again.
    pub(super) fn tell_merged(&self, key: Option<Box<[u8]>>) {
        match key {
            Some(key) => self.tell_changed(&key),
            None => self.waits.entries.wake(..),
        }
    }

    /// Calls `wake` when a member confirms that it holds everything that arrived here up to this number. What was
    /// confirmed before this call is not told: look again at the members' progress.
    pub fn wait_for_confirmations(&self, arrival: Arrival, wake: &Wake) -> Waiting<'_, Arrival> {
        self.waits.confirmations.register(arrival, Wake::clone(wake))
    }
}
