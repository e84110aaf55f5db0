//! The connections that have not shown the secret yet, on a node that has one.
//!
//! A stranger who opens connections and stays silent must not keep out those who know the secret. A bound for strangers
//! alone would do, but it would also turn away a thousand clients that connect at once and say the secret a moment
//! later. So strangers may take every place that is free, and keep none: when all places of `--max-connections` are
//! taken, the next connection gets the place of a stranger. It is taken from the address that has the most strangers
//! ([`Origin`]), its oldest one. So one address cannot push out the strangers of another, such as a client that is
//! just about to say the secret.
//!
//! - A *stranger* gets a place, has [`ADMISSION_PATIENCE`](crate::limits::ADMISSION_PATIENCE) in all to show the
//!   secret, and may lose the place before: then it reads `ERR too many connections have not said the secret`.
//! - An *admitted client*, or a *peer* that has proved the secret, keeps its place. With RESET a client becomes a
//!   stranger again.
//! - Only when admitted clients have taken every place is the next connection told that there are too many. Peers then
//!   have their reserve: see [`listener`](super::listener).
//!
//! Without a secret everybody is admitted, there are no strangers, and one address may take every place: all clients of
//! a machine, or behind a proxy, come from one address.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;

use super::clients::Incoming;
use super::origin::Origin;

/// All strangers: by where they come from, and by their numbers, so the oldest first.
#[derive(Default)]
pub(super) struct Strangers(Mutex<HashMap<Origin, BTreeMap<u64, Arc<Incoming>>>>);

impl Strangers {
    pub(super) fn add(&self, incoming: &Arc<Incoming>) {
        let origin = Origin::of(incoming.address.ip());
        self.0.lock().entry(origin).or_default().insert(incoming.id, Arc::clone(incoming));
    }

    /// A connection is no stranger any more, or has ended. It may be none already.
    pub(super) fn remove(&self, incoming: &Incoming) {
        let origin = Origin::of(incoming.address.ip());
        let mut all = self.0.lock();
        let Some(same) = all.get_mut(&origin) else { return };
        same.remove(&incoming.id);
        if same.is_empty() {
            all.remove(&origin);
        }
    }

    /// Takes out the stranger that must make room: the oldest one of the origin that has the most of them; where
    /// several have as many, the oldest of all theirs.
    pub(super) fn take_one(&self) -> Option<Arc<Incoming>> {
        let mut all = self.0.lock();
        let oldest_first = |same: &BTreeMap<u64, _>| Reverse(same.first_key_value().map(|(&number, _)| number));
        let (&origin, same) = all.iter_mut().max_by_key(|(_, same)| (same.len(), oldest_first(same)))?;
        let (_, oldest) = same.pop_first()?;
        if same.is_empty() {
            all.remove(&origin);
        }
        Some(oldest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::clients::Clients;
    use std::net::{TcpListener, TcpStream};

    #[test]
    fn nothing_is_left_of_an_address_whose_strangers_are_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (clients, strangers) = (Clients::default(), Strangers::default());
        let all: Vec<Arc<Incoming>> = (1..=3)
            .map(|host| {
                let stream = TcpStream::connect(address).expect("it listens");
                clients.add(stream, ([192, 0, 2, host], 5000).into()).0
            })
            .collect();
        all.iter().for_each(|incoming| strangers.add(incoming));
        assert_eq!(strangers.0.lock().len(), 3);
        strangers.remove(&all[1]);
        strangers.remove(&all[1]);
        assert_eq!(strangers.0.lock().len(), 2);
        let taken: Vec<u64> = std::iter::from_fn(|| strangers.take_one()).map(|stranger| stranger.id).collect();
        assert_eq!(taken, [all[0].id, all[2].id], "the oldest first, where no address has more than another");
        assert!(strangers.0.lock().is_empty());
    }
}
