//! The responder's side of the peer protocol: what a replica answers to each request.
//!
//! A session thread hands each request of one connection to [`Replica::handle`], in order. What a peer sends changes
//! this replica in two ways only: PROPAGATE merges an entry, CONFIRM raises a number. Both are refused on a connection
//! that a newer one of the same peer has revoked. So nothing old can arrive behind something new: the rule for
//! forgetting deletes rests on that.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::member::{Contact, Member, Progress, Refusal};
use super::message::{Confirmation, Differences, Greeting, Heard, Held, Reply, Request};
use super::replica::Replica;
use crate::limits::REPLY_BYTES;
use crate::rules::Rule;
use crate::store::arrival::Arrival;
use crate::store::digest::{Digest, Prefix};
use crate::store::record::Record;

/// What the responder keeps about one connection.
#[derive(Debug, Default)]
pub struct PeerSession {
    /// The member on the other side; `None` until PEER.
    sender: Option<Sender>,
}

/// The member that sends on a connection, and the number of that connection among all of the member's.
#[derive(Clone, Debug)]
struct Sender {
    member: Arc<Member>,
    connection: u64,
}

impl PeerSession {
    /// The name of the node on the other side, after its PEER.
    pub fn peer(&self) -> Option<&str> {
        self.sender.as_ref().map(|sender| sender.member.name.as_str())
    }
}

impl Replica {
    /// Answers one request of a peer. After [`Reply::Refused`] or [`Reply::OldCopy`] the connection must be
    /// ended.
    pub fn handle(&self, session: &mut PeerSession, request: Request) -> Reply {
        let answer = match (request, &session.sender) {
            (Request::Peer(greeting), _) => self.on_peer(session, &greeting),
            (_, None) => Err(Refusal::Wrong("say PEER first".into())),
            (Request::Propagate(record), Some(sender)) => self.on_propagate(sender, record),
            (Request::Confirm(arrivals, confirmation), Some(sender)) => self.on_confirm(sender, arrivals, confirmation),
            (Request::Root, _) => Ok(Reply::Root(self.store().root())),
            (Request::Digest(branches), _) => Ok(self.on_digest(&branches)),
            (Request::Leaf(branches), _) => Ok(self.on_leaf(&branches)),
            (Request::Fetch(keys), _) => Ok(self.on_fetch(&keys)),
        };
        answer.unwrap_or_else(|refusal| match refusal {
            Refusal::Wrong(why) | Refusal::NotYet(why) => Reply::Refused(why),
            Refusal::OldCopy(why) => Reply::OldCopy(why),
        })
    }

    /// The first PEER of a connection makes it the peer's only one. The initiator waits for the reply before it sends
    /// anything else, so a PEER that arrives late has nothing behind it.
    fn on_peer(&self, session: &mut PeerSession, greeting: &Greeting) -> Result<Reply, Refusal> {
        let member = self.meet(greeting, Contact::Accepted)?;
        let mut progress = member.lock();
        let is_first = session.sender.is_none();
        match &session.sender {
            Some(known) if known.member.name != member.name => {
                return Err(Refusal::Wrong(format!("this connection belongs to {}", known.member.name)));
            }
            Some(known) => self.check_not_revoked(known, &progress)?,
            None => {
                progress.connection += 1;
                session.sender = Some(Sender { member: Arc::clone(&member), connection: progress.connection });
            }
        }
        Ok(Reply::Peer { greeting: self.greeting(is_first), arrivals: self.store().arrivals() })
    }

    fn on_propagate(&self, sender: &Sender, record: Record) -> Result<Reply, Refusal> {
        let _shared = self.share_step();
        let mut progress = sender.member.lock();
        self.check_not_revoked(sender, &progress)?;
        let outcome = self.merge_locked(&sender.member, &mut progress, record);
        Ok(Reply::Merged(outcome.is_accepted()))
    }

    fn on_confirm(&self, sender: &Sender, arrivals: Arrival, confirmation: Confirmation) -> Result<Reply, Refusal> {
        let mut progress = sender.member.lock();
        self.check_not_revoked(sender, &progress)?;
        if arrivals > self.store().arrivals() {
            let name = &sender.member.name;
            let why = format!("{name} confirms {arrivals} entries, but not as many have arrived here");
            return Err(Refusal::Wrong(why));
        }
        // Before the number counts: the disk must remember the confirmation before it forgets what rests on it.
        if let (Some(store), Some(incarnation)) = (progress.store, progress.incarnation) {
            self.stores.hear(Heard { store, confirmation, incarnation });
        }
        progress.confirmed = progress.confirmed.max(arrivals);
        if confirmation != Confirmation::NONE {
            progress.durable = progress.durable.max(Some(arrivals));
        }
        self.waits.confirmations.wake(..=(arrivals, u64::MAX));
        Ok(Reply::Ok)
    }

    fn check_not_revoked(&self, sender: &Sender, progress: &Progress) -> Result<(), Refusal> {
        if self.rules().has(Rule::OrderedLink) && progress.connection != sender.connection {
            return Err(Refusal::Wrong("this connection was revoked by a newer one".into()));
        }
        Ok(())
    }

    fn on_digest(&self, branches: &[Prefix]) -> Reply {
        Reply::Children(branches.iter().map(|&branch| self.store().children(branch)).collect())
    }

    /// Tells how this replica differs from what the initiator holds below some branches: as many as fit in one reply.
    fn on_leaf(&self, held: &[Held]) -> Reply {
        let branches: Vec<Prefix> = held.iter().map(|held| held.branch).collect();
        // By digest, below which of the branches the initiator holds it.
        let mut lacking: HashMap<Digest, usize> = HashMap::new();
        for (index, held) in held.iter().enumerate() {
            lacking.extend(held.digests.iter().map(|&digest| (digest, index)));
        }
        let (mut news, mut listed, mut bytes) = (Vec::new(), Vec::new(), 0);
        let covered = self.store().visit_below(&branches, |index, record| {
            if lacking.remove(&record.digest()).is_some() {
                return ControlFlow::Continue(());
            }
            if bytes > REPLY_BYTES {
                return ControlFlow::Break(());
            }
            let is_later = record.latest() > held[index].newest;
            if is_later && bytes + record.bytes() <= REPLY_BYTES {
                bytes += record.bytes();
                news.push(record.clone());
            } else {
                bytes += record.key().len() + Record::HEADER_BYTES;
                listed.push(record.into());
            }
            ControlFlow::Continue(())
        });
        let is_covered = |&(_, index): &(Digest, usize)| index < covered;
        let mut lacking: Vec<Digest> = lacking.into_iter().filter(is_covered).map(|(digest, _)| digest).collect();
        lacking.sort_unstable();
        Reply::Leaf(Differences { covered, news, listed, lacking })
    }

    /// Sends what stands under some keys: under as many as fit in one reply.
    fn on_fetch(&self, keys: &[Box<[u8]>]) -> Reply {
        let (mut covered, mut bytes, mut records) = (0, 0, Vec::new());
        for key in keys {
            let record = self.store().record(key);
            bytes += record.as_ref().map_or(0, Record::bytes);
            if covered > 0 && bytes > REPLY_BYTES {
                break;
            }
            covered += 1;
            records.extend(record);
        }
        Reply::Entries { covered, records }
    }
}
