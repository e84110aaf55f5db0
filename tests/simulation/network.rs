//! The simulated network: connections that carry encoded messages, and lose, delay and repeat them as the director
//! says.
//!
//! A connection is an ordered stream, as TCP gives it: it breaks, and what was under way when it broke may still
//! arrive, but in order and once. Every message is encoded and decoded, so a run also tests the wire format.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::{Rc, Weak};

use kvstore::framing::RequestParser;
use kvstore::framing::resp;
use kvstore::replication::message::{Reply, Request, StoreId};
use kvstore::replication::responder::PeerSession;
use kvstore::replication::{Peer, PeerError, reconcile};

use super::cluster::{Cluster, Fate};
use super::judge::{Holdings, holdings};
use super::node::{Life, Link};

/// A connection, as both its ends know it.
pub(crate) struct Connection {
    /// Counts all connections of a run.
    pub(crate) number: u64,
    pub(crate) from: usize,
    pub(crate) to: usize,
    /// The life of the initiator that opened it.
    initiator: Weak<Life>,
    /// The store of that life.
    store: StoreId,
    /// The life of the responder that accepted it. When that is over, nothing arrives any more. (Weak, because a life
    /// holds its connections.)
    responder: Weak<Life>,
    session: RefCell<PeerSession>,
    /// Whether the responder has ended it.
    closed: Cell<bool>,
    /// What the responder held when it last answered PEER.
    pub(crate) held: RefCell<Holdings>,
    /// What was under way when the initiator gave it up.
    pub(crate) late: RefCell<VecDeque<Vec<u8>>>,
}

/// What has crossed the wire.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Requests carried out.
    pub(crate) requests: u64,
    /// Bytes of requests and replies.
    pub(crate) bytes: u64,
    /// Entries in PROPAGATE, and in the replies to LEAF and FETCH.
    pub(crate) entries: u64,
}

/// What an initiator says of a responder whose disk is an old copy.
const OLD_COPY: &str = "is an old copy";

/// The initiator's end of one connection, to which its user is pinned: when that breaks, every further exchange fails.
pub(crate) struct Wire<'c> {
    cluster: &'c Cluster,
    life: Rc<Life>,
    pub(crate) connection: Rc<Connection>,
}

impl<'c> Wire<'c> {
    /// The link's connection. If there is none, one is opened, and begins with PEER.
    pub(crate) fn open(cluster: &'c Cluster, from: usize, to: usize, life: &Rc<Life>) -> Result<Self, PeerError> {
        Self::connect(cluster, from, to, life).map_err(PeerError::while_connecting)
    }

    fn connect(cluster: &'c Cluster, from: usize, to: usize, life: &Rc<Life>) -> Result<Self, PeerError> {
        if !cluster.alive(from, life) {
            return Err(lost("this node has ended"));
        }
        let link = &life.links[to];
        let current = link.connection.borrow().clone();
        if let Some(connection) = current {
            return Ok(Self { cluster, life: Rc::clone(life), connection });
        }
        if cluster.is_cut(from, to) || cluster.is_cut(to, from) {
            return Err(lost("no connection"));
        }
        cluster.connections.set(cluster.connections.get() + 1);
        let connection = Rc::new(Connection {
            number: cluster.connections.get(),
            from,
            to,
            initiator: Rc::downgrade(life),
            store: life.replica.identity().store,
            responder: Rc::downgrade(&cluster.nodes[to].life()),
            session: RefCell::default(),
            closed: Cell::new(false),
            held: RefCell::default(),
            late: RefCell::default(),
        });
        *link.connection.borrow_mut() = Some(Rc::clone(&connection));
        cluster.trace.note(from, || format!("opens connection {} to {}", connection.number, cluster.nodes[to].name));
        let wire = Self { cluster, life: Rc::clone(life), connection };
        let _lock = Lock::take(link);
        let greeted = reconcile::greet(&life.replica, &mut Greeting(&wire), |_| Ok(()));
        let are_alive = || cluster.alive(from, life) && wire.connection.responder_lives(cluster);
        if let Some(judge) = cluster.judge.as_ref().filter(|_| are_alive()) {
            match &greeted {
                Ok(met) => judge.borrow_mut().has_met(cluster, from, to, met.incarnation),
                Err(PeerError::Refused(why)) if why.contains(OLD_COPY) => {
                    judge.borrow_mut().is_called_old(cluster, to, why)
                }
                Err(_) => {}
            }
        }
        let met = greeted.inspect_err(|_| link.drop_connection(&wire.connection))?;
        if link.is_on(&wire.connection) {
            link.queue.delivery().opened(met.incarnation);
        }
        Ok(wire)
    }

    fn link(&self) -> &Link {
        &self.life.links[self.connection.to]
    }

    /// Sends requests and awaits their replies, with the link's lock held.
    fn transmit(&self, requests: &[Request]) -> Result<Vec<Reply>, PeerError> {
        let replies = self.transmit_in_order(requests);
        if replies.is_err() {
            self.link().drop_connection(&self.connection);
        }
        replies
    }

    fn transmit_in_order(&self, requests: &[Request]) -> Result<Vec<Reply>, PeerError> {
        let (cluster, connection) = (self.cluster, &self.connection);
        let (from, to) = (connection.from, connection.to);
        let mut replies = Vec::with_capacity(requests.len());
        for (index, request) in requests.iter().enumerate() {
            cluster.director.pause(cluster, from, Some(request));
            self.check()?;
            let bytes = encode(request);
            let cut = cluster.is_cut(from, to);
            let fate = cluster.director.fate(cluster, from, to, request, cut);
            cluster.trace.sent(cluster, connection, request, bytes.len(), fate);
            match fate {
                Fate::Arrives => {}
                Fate::Repeated => drop(connection.serve(cluster, &bytes)),
                Fate::Lost => return Err(lost("the request was lost")),
                Fate::Late => {
                    connection.delay(cluster, &requests[index..]);
                    return Err(PeerError::Silent("no reply in time".into()));
                }
                Fate::ReplyLost => {
                    connection.serve(cluster, &bytes);
                    connection.delay(cluster, &requests[index + 1..]);
                    return Err(lost("the reply was lost"));
                }
            }
            let (bytes, text) = connection.serve(cluster, &bytes).ok_or_else(|| lost("the connection was closed"))?;
            cluster.director.pause(cluster, from, None);
            let arrives = !cluster.is_cut(to, from);
            cluster.trace.answered(cluster, connection, &text, bytes.len(), arrives);
            if !arrives {
                connection.delay(cluster, &requests[index + 1..]);
                return Err(lost("the reply was lost"));
            }
            self.check_alive()?;
            let reply = decode_reply(&bytes, request)?;
            if let (Reply::Peer { greeting, .. }, Some(judge)) = (&reply, &cluster.judge)
                && connection.responder_lives(cluster)
            {
                judge.borrow_mut().is_told(from, to, greeting);
            }
            if matches!(reply, Reply::Refused(_) | Reply::OldCopy(_)) {
                self.link().drop_connection(connection);
                replies.push(reply);
                return Ok(replies);
            }
            replies.push(reply);
        }
        Ok(replies)
    }

    fn check_alive(&self) -> Result<(), PeerError> {
        if self.cluster.alive(self.connection.from, &self.life) { Ok(()) } else { Err(lost("this node has ended")) }
    }

    /// Whether the connection may still be used.
    fn check(&self) -> Result<(), PeerError> {
        self.check_alive()?;
        if self.cluster.failed() {
            return Err(lost("the run has ended"));
        }
        if !self.link().is_on(&self.connection) || !self.connection.is_heard(self.cluster) {
            self.link().drop_connection(&self.connection);
            return Err(lost("the connection broke"));
        }
        Ok(())
    }
}

impl Peer for Wire<'_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        self.cluster.observe(self.connection.from);
        self.cluster.director.pause(self.cluster, self.connection.from, None);
        self.check()?;
        let replies = {
            let _lock = Lock::take(self.link());
            self.transmit(&prepare())?
        };
        self.cluster.director.pause(self.cluster, self.connection.from, None);
        self.check_alive()?;
        Ok(replies)
    }
}

/// A connection that is being opened: the link is locked until the peer has answered PEER.
struct Greeting<'a, 'c>(&'a Wire<'c>);

impl Peer for Greeting<'_, '_> {
    fn exchange(&mut self, prepare: &mut dyn FnMut() -> Vec<Request>) -> Result<Vec<Reply>, PeerError> {
        self.0.transmit(&prepare())
    }
}

/// The lock of a link. No activity waits for it: one that needs a locked link is not started.
struct Lock<'l>(&'l Link);

impl<'l> Lock<'l> {
    fn take(link: &'l Link) -> Self {
        assert!(!link.busy.replace(true), "an activity that needs a locked link is not started");
        Self(link)
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        self.0.busy.set(false);
    }
}

impl Connection {
    /// Whether the responder still reads from it.
    pub(crate) fn is_heard(&self, cluster: &Cluster) -> bool {
        self.listener(cluster).is_some()
    }

    fn listener(&self, cluster: &Cluster) -> Option<Rc<Life>> {
        self.responder.upgrade().filter(|life| cluster.alive(self.to, life) && !self.closed.get())
    }

    fn responder_lives(&self, cluster: &Cluster) -> bool {
        self.responder.upgrade().is_some_and(|life| cluster.alive(self.to, &life))
    }

    /// The responder takes a request from the stream, handles it and answers: with bytes, and what they say in words.
    fn serve(&self, cluster: &Cluster, bytes: &[u8]) -> Option<(Vec<u8>, String)> {
        let responder = self.listener(cluster)?;
        cluster.step();
        let mut parser = RequestParser::default();
        let (form, length) = parser.parse(bytes).expect("requests are well-formed").expect("requests are whole");
        assert_eq!(length, bytes.len(), "one request at a time");
        let request = Request::decode(parser.args(form, bytes)).expect("what was encoded can be decoded");
        let mut traffic = cluster.traffic.get();
        traffic.entries += u64::from(matches!(request, Request::Propagate(_)));
        let reply = responder.replica.handle(&mut self.session.borrow_mut(), request.clone());
        match &reply {
            Reply::Refused(_) | Reply::OldCopy(_) => self.closed.set(true),
            Reply::Peer { .. } => *self.held.borrow_mut() = holdings(&responder.replica),
            Reply::Leaf(differences) => traffic.entries += (differences.news.len() + differences.listed.len()) as u64,
            Reply::Entries { records, .. } => traffic.entries += records.len() as u64,
            _ => {}
        }
        let mut answer = Vec::new();
        reply.encode(&mut answer);
        traffic.requests += 1;
        traffic.bytes += (bytes.len() + answer.len()) as u64;
        cluster.traffic.set(traffic);
        cluster.observe(self.to);
        self.judge(cluster, &request, &reply);
        cluster.before_answer(self.to, &responder);
        let text = cluster.trace.describe_reply(&reply);
        Some((answer, text))
    }

    /// Lets the judge look at a request that was answered.
    fn judge(&self, cluster: &Cluster, request: &Request, reply: &Reply) {
        let Some(judge) = &cluster.judge else { return };
        let (mut judge, from, to) = (judge.borrow_mut(), self.from, self.to);
        let initiator = self.initiator.upgrade().filter(|life| cluster.alive(from, life));
        match (request, reply) {
            (Request::Confirm(_, confirmation), Reply::Ok) => {
                judge.has_heard(to, self.store, *confirmation);
                judge.confirmed(cluster, to, from);
            }
            // What a node says that has ended is not judged: nobody reads the reply.
            (Request::Peer(_), _) if initiator.is_none() => {}
            (Request::Peer(greeting), Reply::Peer { .. }) => {
                judge.is_told(to, from, greeting);
                judge.has_met(cluster, to, from, greeting.incarnation);
            }
            (Request::Peer(greeting), Reply::OldCopy(why)) => {
                judge.is_told(to, from, greeting);
                judge.is_called_old(cluster, from, why);
            }
            (Request::Peer(greeting), _) => judge.is_told(to, from, greeting),
            _ => {}
        }
    }

    /// Keeps requests that are under way on a connection that is being given up.
    fn delay(self: &Rc<Self>, cluster: &Cluster, requests: &[Request]) {
        if requests.is_empty() {
            return;
        }
        let mut late = self.late.borrow_mut();
        if late.is_empty() {
            cluster.late.borrow_mut().push(Rc::clone(self));
        }
        late.extend(requests.iter().map(encode));
    }
}

impl Cluster {
    /// Lets the oldest late request of the connection at `index` of [`Cluster::late`] arrive, if the network lets it.
    pub(crate) fn deliver_late(&self, index: usize) {
        let connection = Rc::clone(&self.late.borrow()[index]);
        if self.is_cut(connection.from, connection.to) {
            return;
        }
        self.step();
        let Some(bytes) = connection.late.borrow_mut().pop_front() else { return };
        let request = decode_request(&bytes);
        self.trace.sent_late(self, &connection, &request, bytes.len());
        match connection.serve(self, &bytes) {
            Some((_, text)) => self.trace.unheard(self, &connection, &text),
            None => self.trace.note(connection.to, || format!("connection {} is closed", connection.number)),
        }
        let is_over = connection.late.borrow().is_empty() || !connection.is_heard(self);
        if is_over {
            connection.late.borrow_mut().clear();
            self.late.borrow_mut().retain(|other| !Rc::ptr_eq(other, &connection));
        }
    }
}

fn lost(why: &str) -> PeerError {
    PeerError::Lost(why.into())
}

fn encode(request: &Request) -> Vec<u8> {
    let mut bytes = Vec::new();
    request.encode(&mut bytes);
    bytes
}

fn decode_request(bytes: &[u8]) -> Request {
    let mut parser = RequestParser::default();
    let (form, _) = parser.parse(bytes).expect("requests are well-formed").expect("requests are whole");
    Request::decode(parser.args(form, bytes)).expect("what was encoded can be decoded")
}

fn decode_reply(bytes: &[u8], request: &Request) -> Result<Reply, PeerError> {
    let mut parser = resp::Parser::default();
    let (frame, length) = parser.parse_reply(bytes).expect("replies are well-formed").expect("replies are whole");
    assert_eq!(length, bytes.len(), "one reply at a time");
    Ok(Reply::decode(frame, request)?)
}
