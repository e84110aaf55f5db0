//! A peer's side of a session: the proof of the secret, then requests of the peer protocol.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use super::Shared;
use super::auth::{Guard, Verdict};
use super::clients::Incoming;
use super::watch::Teller;
use crate::commands::Flow;
use crate::commands::host::{Attempt, TOO_MANY_GUESSES};
use crate::framing::Args;
use crate::limits::WRONG_SECRET_DELAY;
use crate::replication::message::{Reply, Request};
use crate::replication::responder::PeerSession;
use crate::secret::Accepted;

/// A peer that speaks on a connection.
pub(super) struct PeerSide<'a> {
    node: &'a Shared,
    incoming: &'a Incoming,
    /// What the peer must prove; `None` if there is no secret.
    accepted: Option<Accepted>,
    /// Whether it has.
    guard: Guard,
    session: PeerSession,
    /// Whether the peer has sent anything that the disk must have before it is answered.
    changed: bool,
    /// Whether other requests that arrived at the same time were handled already.
    in_batch: bool,
}

impl<'a> PeerSide<'a> {
    pub(super) fn new(node: &'a Shared, incoming: &'a Incoming) -> Self {
        Self {
            node,
            incoming,
            accepted: node.config.secrets.of_peers(),
            guard: Guard::default(),
            session: PeerSession::default(),
            changed: false,
            in_batch: false,
        }
    }

    /// Answers a request, behind what stands in `unread`. A peer that is refused is told why, and the session ends.
    pub(super) fn answer(&mut self, words: Args<'_>, unread: &mut Vec<u8>) -> Flow {
        if self.is_lost(words) {
            return Flow::End;
        }
        let reply = match self.check(words, unread) {
            Verdict::Answered => return Flow::Continue,
            Verdict::Refuse(why) => Reply::Refused(why),
            Verdict::Pass => self.handle(words),
        };
        match self.guard.seal() {
            Some(seal) => seal.write_reply(unread, |unread| reply.encode(unread)),
            None => reply.encode(unread),
        }
        if let Reply::Refused(why) | Reply::OldCopy(why) = reply {
            self.report_refusal(words, &why);
            return Flow::End;
        }
        if let (true, Some(peer)) = (Request::is_greeting(words), self.session.peer()) {
            self.node.clients.end_older(self.incoming, peer);
        }
        Flow::Continue
    }

    /// Has the guard check a request. A refusal waits. A wrong proof counts as a wrong secret, and when there are too
    /// many from one address, no proof is looked at: see [`guesses`](super::guesses).
    fn check(&mut self, words: Args<'_>, unread: &mut Vec<u8>) -> Verdict {
        let mut verdict = None;
        let mut passes = || {
            let verdict = verdict.insert(self.guard.check(self.accepted.as_ref(), &self.node.replica, words, unread));
            !matches!(verdict, Verdict::Refuse(_))
        };
        let passes = match self.accepted.is_some() && Request::is_proof(words) {
            true => self.node.try_secret(self.incoming.address.ip(), passes) == Attempt::Right,
            false => passes(),
        };
        if !passes {
            self.incoming.wait(WRONG_SECRET_DELAY);
        }
        verdict.unwrap_or_else(|| Verdict::Refuse(TOO_MANY_GUESSES.into()))
    }

    /// Whether the lab lets a message get lost. Waits while the lab delays it.
    fn is_lost(&mut self, words: Args<'_>) -> bool {
        if !self.node.config.lab {
            return false;
        }
        let Some(faults) = self.name(words).and_then(|name| self.node.faults_of(name)) else { return false };
        let is_cut = faults.is_cut();
        if !is_cut && !self.in_batch {
            self.node.stop.wait(faults.delay());
        }
        self.in_batch = true;
        is_cut
    }

    /// The peer's name, as far as it has said it.
    fn name<'w>(&'w self, words: Args<'w>) -> Option<&'w str> {
        self.session.peer().or(self.guard.name()).or_else(|| Request::name_in_greeting(words))
    }

    /// What was read was handled.
    pub(super) fn end_batch(&mut self) {
        self.in_batch = false;
    }

    /// Whether the peer has proved that it knows the secret, or there is none.
    pub(super) fn is_admitted(&self) -> bool {
        self.accepted.is_none() || self.guard.is_open()
    }

    /// Whether the peer has sent anything since the last call that the disk must have.
    pub(super) fn take_changed(&mut self) -> bool {
        mem::take(&mut self.changed)
    }

    /// Whether its greeting was accepted.
    pub(super) fn has_greeted(&self) -> bool {
        self.session.peer().is_some()
    }

    /// Has the replica handle a request of an admitted peer.
    fn handle(&mut self, words: Args<'_>) -> Reply {
        let request = match Request::decode(words) {
            Ok(Request::Peer(greeting)) if !self.guard.fits(&greeting) => {
                return Reply::Refused(format!("{} is not who has proved itself", greeting.name));
            }
            Ok(request) => request,
            Err(bad) => return Reply::Refused(bad.to_string()),
        };
        let only_reads = matches!(request, Request::Root | Request::Digest(_) | Request::Leaf(_) | Request::Fetch(_));
        self.changed |= !only_reads;
        let confirms = matches!(request, Request::Confirm(..));
        let reply = self.handle_and_tell(request);
        if confirms {
            self.node.settle_soon();
        }
        reply
    }

    /// Has the replica handle a request. Tells the log and the page of it, unless the peer is a node of this process,
    /// which does so itself.
    fn handle_and_tell(&mut self, request: Request) -> Reply {
        let (replica, watch) = (&self.node.replica, &self.node.config.watch);
        if !watch.is_wanted() {
            return replica.handle(&mut self.session, request);
        }
        let teller = match (&request, self.session.peer()) {
            (_, Some(from)) => Some(from),
            (Request::Peer(greeting), _) => Some(&*greeting.name),
            _ => None,
        };
        let teller = teller.filter(|from| !watch.is_here(from)).map(|from| Teller {
            watch: Arc::clone(watch),
            from: from.to_string(),
            to: self.node.name().to_string(),
        });
        let (asked, began) = (request.clone(), Instant::now());
        teller.iter().for_each(|teller| teller.asked([&asked]));
        let reply = replica.handle(&mut self.session, request);
        if let Some(teller) = teller {
            teller.answered(&reply);
            teller.exchanged(&[asked], &Ok(vec![reply.clone()]), began);
        }
        reply
    }

    /// Counts a refusal of the peer, and logs it under the name that the peer has given itself.
    fn report_refusal(&self, words: Args<'_>, why: &str) {
        self.node.peers_refused.fetch_add(1, Relaxed);
        let name = self.name(words);
        let address = self.incoming.address.ip();
        self.node.report(&format!("refused the peer {} ({address}): {why}", name.unwrap_or("without a name")));
    }
}
