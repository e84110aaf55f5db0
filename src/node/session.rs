//! A session: the thread that serves one connection.
//!
//! It reads into one buffer, cuts requests out of it in place, answers all that it has read with one write, and reads again. A
//! client speaks commands; a connection that says PEER belongs to another node, and speaks the peer protocol from then on.

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use log::warn;

use super::Shared;
use super::answers::Answers;
use super::auth::{Guard, Verdict};
use super::buffer::ReadBuffer;
use super::clients::Client;
use super::dialogue::Dialogue;
use super::execute::{Context, Flow, MEMORY_IS_FULL, execute};
use super::memory::Share;
use crate::commands::Command;
use crate::commands::answer::Answer;
use crate::framing::{Args, Form, RequestParser};
use crate::limits::{ADMISSION_PATIENCE, FREE_BUFFER_BYTES, LINGER_TIME, RESERVE_PATIENCE, WRONG_SECRET_DELAY};
use crate::replication::message::{Reply, Request};
use crate::replication::propagate::Outbox;
use crate::replication::responder::PeerSession;

/// Who may use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// Clients and peers.
    Everybody,
    /// Too many are connected; a peer is let in, a client is told.
    PeersOnly,
    /// Far too many are connected.
    Nobody,
}

/// What Redis says to a client that is one too many.
pub(super) const TOO_MANY: &str = "max number of clients reached";

/// Serves a connection until it ends.
pub(super) fn run(node: &Arc<Shared>, client: &Arc<Client>, outbox: Outbox, welcome: Welcome) {
    let session = Session {
        node,
        client,
        outbox,
        welcome,
        peer: None,
        guard: Guard::default(),
        dialogue: Dialogue::new(node.config.secret.is_none()),
        started: Instant::now(),
        patience: None,
        share: Share::new(&node.memory),
        answers: Answers::new(node.config.client_write_timeout),
        commands: 0,
    };
    let _ended = Ended { node, client };
    // An error is the connection's end by the other side's doing, or by a timeout. There is nobody to tell.
    if session.serve().is_ok() {
        linger(&client.stream);
    }
}

/// Ends a connection when it is dropped: also when a fault of ours has its thread panic, so that nobody waits for an answer for ever.
struct Ended<'a> {
    node: &'a Shared,
    client: &'a Client,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.node.clients.remove(self.client);
        let _ = self.client.stream.shutdown(Shutdown::Both);
    }
}

/// Lets the last answer arrive: a connection that is closed while something unread waits in it is reset, and the other side may lose
/// what it has not read yet. So what it still sends is thrown away, for a while. Not inlined: room for `scrap` would be touched on the
/// stack of every session from its beginning on.
#[inline(never)]
fn linger(mut stream: &TcpStream) {
    let until = Instant::now() + LINGER_TIME;
    let mut scrap = [0; 4096];
    let ready = stream.shutdown(Shutdown::Write).and_then(|()| stream.set_read_timeout(Some(LINGER_TIME)));
    while ready.is_ok() && Instant::now() < until && stream.read(&mut scrap).is_ok_and(|count| count > 0) {}
}

struct Session<'a> {
    node: &'a Arc<Shared>,
    client: &'a Client,
    outbox: Outbox,
    welcome: Welcome,
    /// Another node's connection, once it has said PEER.
    peer: Option<PeerSession>,
    /// Whether that node has proved that it belongs to us.
    guard: Guard,
    /// What the client has said that matters for what comes next.
    dialogue: Dialogue,
    /// When the connection was accepted.
    started: Instant,
    /// How long the socket waits for the next request; `None`: for ever.
    patience: Option<Duration>,
    /// The memory that this connection takes.
    share: Share,
    /// Answers that the client has not taken yet.
    answers: Answers,
    /// How many commands were answered since the last write.
    commands: u64,
}

impl Session<'_> {
    fn serve(mut self) -> io::Result<()> {
        if self.welcome == Welcome::Nobody {
            return self.turn_away(Form::Resp);
        }
        let mut input = ReadBuffer::new();
        let mut parser = RequestParser::default();
        loop {
            if self.answer_all(&mut parser, &mut input)? == Flow::End {
                return self.drain();
            }
            self.flush()?;
            if input.unused().is_empty() {
                parser.shrink();
            }
            let buffers = self.answers.spare_capacity() + parser.capacity() + input.next_capacity();
            if let Err((code, why)) = self.check_growth(buffers, input.unused()) {
                Answer::new(Form::of(input.unused()), self.answers.buffer()).failure(code, why);
                return self.drain();
            }
            self.adjust_patience()?;
            self.wait_for_input()?;
            match input.fill(&mut &self.client.stream) {
                Ok(0) => {
                    self.answer_last(&mut parser, input.unused())?;
                    return self.drain();
                }
                Ok(_) => {}
                Err(_) if self.welcome == Welcome::PeersOnly => return self.turn_away(Form::Resp),
                Err(error) => return Err(error),
            }
        }
    }

    /// Answers every request that has arrived whole.
    fn answer_all(&mut self, parser: &mut RequestParser, input: &mut ReadBuffer) -> io::Result<Flow> {
        loop {
            let bytes = input.unused();
            match parser.parse(bytes) {
                Ok(None) => return Ok(Flow::Continue),
                Ok(Some((form, length))) => {
                    let flow = self.answer(form, parser.args(form, bytes))?;
                    input.consume(length);
                    if flow == Flow::End {
                        return Ok(flow);
                    }
                }
                Err(error) => {
                    Answer::new(Form::of(bytes), self.answers.buffer()).failure("ERR", &error.to_string());
                    return Ok(Flow::End);
                }
            }
            if self.answers.are_due() {
                self.make_room()?;
            }
        }
    }

    /// Answers a line that the end of the input has ended.
    fn answer_last(&mut self, parser: &mut RequestParser, bytes: &[u8]) -> io::Result<()> {
        match parser.parse_last(bytes) {
            Ok(None) => {}
            Ok(Some((form, _))) => {
                self.answer(form, parser.args(form, bytes))?;
            }
            Err(error) => Answer::new(Form::Plain, self.answers.buffer()).failure("ERR", &error.to_string()),
        }
        Ok(())
    }

    /// Answers a request. If there is no room for the answer beside earlier ones to this client, they go first.
    fn answer(&mut self, form: Form, words: Args<'_>) -> io::Result<Flow> {
        let mut flow = self.try_answer(form, words);
        if flow == Flow::NoRoomYet {
            self.drain()?;
            flow = self.try_answer(form, words);
        }
        Ok(flow)
    }

    fn try_answer(&mut self, form: Form, words: Args<'_>) -> Flow {
        if words.is_empty() {
            return Flow::Continue;
        }
        if self.peer.is_some() || (form == Form::Resp && Request::is_greeting(words)) {
            return self.answer_peer(words);
        }
        if self.welcome != Welcome::Everybody {
            self.node.clients.rejected.fetch_add(1, Relaxed);
            Answer::new(form, self.answers.buffer()).failure("ERR", TOO_MANY);
            return Flow::End;
        }
        let form = if self.dialogue.is_redis_replica { Form::Resp } else { form };
        let Self { node, client, outbox, dialogue, share, answers, .. } = self;
        let mut answer = Answer::new(form, answers.buffer());
        answer.switch(dialogue.resp3);
        let mut context = Context { node, client, outbox, dialogue, share, before: answer.written() };
        let flow = execute(&mut context, Command::parse(words), &mut answer);
        self.commands += u64::from(flow != Flow::NoRoomYet);
        flow
    }

    fn answer_peer(&mut self, words: Args<'_>) -> Flow {
        let is_greeting = Request::is_greeting(words);
        let session = self.peer.get_or_insert_default();
        let (secret, identity) = (self.node.config.secret.as_ref(), self.node.replica.identity());
        let reply = match self.guard.check(secret, identity, words, self.answers.buffer()) {
            Verdict::Answered => return Flow::Continue,
            Verdict::Refuse(why) => {
                self.node.stop.wait(WRONG_SECRET_DELAY);
                Reply::Refused(why)
            }
            Verdict::Pass => match Request::decode(words) {
                Ok(Request::Peer(greeting)) if !self.guard.fits(&greeting) => {
                    Reply::Refused(format!("{} is not who has proved itself", greeting.name))
                }
                Ok(request @ Request::Confirm(_)) => {
                    let reply = self.node.replica.handle(session, request);
                    self.node.settle_soon();
                    reply
                }
                Ok(request) => self.node.replica.handle(session, request),
                Err(bad) => Reply::Refused(bad.to_string()),
            },
        };
        reply.encode(self.answers.buffer());
        if let Reply::Refused(why) = reply {
            self.report_refusal(words, &why);
            return Flow::End;
        }
        self.welcome = Welcome::Everybody;
        if let (true, Some(peer)) = (is_greeting, session.peer()) {
            self.node.clients.end_older(self.client, peer);
        }
        Flow::Continue
    }

    /// Counts a peer that was refused for these words, and tells it in the log, under the name that the peer has given
    /// itself.
    fn report_refusal(&self, words: Args<'_>, why: &str) {
        self.node.peers_refused.fetch_add(1, Relaxed);
        let greeting = || Request::name_in_greeting(words);
        let name = self.peer.as_ref().and_then(PeerSession::peer).or(self.guard.name()).or_else(greeting);
        let address = self.client.address.ip();
        let refusal = format!("the peer {} ({address}): {why}", name.unwrap_or("without a name"));
        if self.node.refusals.is_news(&refusal, Instant::now()) {
            warn!("{}: refused {refusal}", self.node.name());
        }
    }

    /// Whether the other side may do what it came for: a client has said the secret, a peer has proved it, or there is none.
    fn is_let_in(&self) -> bool {
        match self.peer {
            None => self.dialogue.admitted,
            Some(_) => self.node.config.secret.is_none() || self.guard.is_open(),
        }
    }

    /// Whether the connection may have buffers of this many bytes, to read on in a request that begins with `begun`. Whoever is not
    /// let in yet gets none to speak of; a peer as many as it needs, since what it sends was acknowledged to somebody.
    fn check_growth(&mut self, bytes: usize, begun: &[u8]) -> Result<(), (&'static str, &'static str)> {
        if begun.is_empty() || (self.peer.is_some() && self.is_let_in()) {
            self.share.set_request(bytes);
        } else if !self.is_let_in() && bytes > FREE_BUFFER_BYTES {
            return Err(("NOAUTH", "Authentication required before a request of this size"));
        } else if !self.share.may_request(bytes, self.node) {
            return Err(("OOM", MEMORY_IS_FULL));
        }
        Ok(())
    }

    /// Sets how long to wait for what comes next. A peer may be silent for as long as nothing changes. Whoever has yet to show that he
    /// belongs here has so long in all, however busy he looks meanwhile.
    fn adjust_patience(&mut self) -> io::Result<()> {
        let in_all = match self.welcome {
            _ if !self.is_let_in() => Some(ADMISSION_PATIENCE),
            Welcome::Everybody => None,
            Welcome::PeersOnly | Welcome::Nobody => Some(RESERVE_PATIENCE),
        };
        let left = in_all.map(|in_all| in_all.saturating_sub(self.started.elapsed()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let patience = left.or(if self.peer.is_none() { self.node.config.idle_timeout } else { None });
        if patience != self.patience {
            self.client.stream.set_read_timeout(patience)?;
            self.patience = patience;
        }
        Ok(())
    }

    fn turn_away(&mut self, form: Form) -> io::Result<()> {
        self.node.clients.rejected.fetch_add(1, Relaxed);
        Answer::new(form, self.answers.buffer()).failure("ERR", TOO_MANY);
        self.drain()
    }

    /// Hands the answers to the client, as many as it takes at once.
    fn flush(&mut self) -> io::Result<()> {
        if self.commands > 0 {
            self.node.clients.commands.fetch_add(self.commands, Relaxed);
            self.commands = 0;
        }
        if !self.answers.is_empty() {
            self.answers.offer(&self.client.stream)?;
            self.count_answers();
        }
        Ok(())
    }

    /// Hands the answers to the client, and waits until there is room for more.
    fn make_room(&mut self) -> io::Result<()> {
        self.flush()?;
        while !self.may_read_on() {
            self.wait(false)?;
        }
        Ok(())
    }

    /// Waits until there is something to read, if answers wait; otherwise the read itself may wait.
    fn wait_for_input(&mut self) -> io::Result<()> {
        while !self.answers.is_empty() {
            let may_read = self.may_read_on();
            if self.wait(may_read)? {
                break;
            }
        }
        Ok(())
    }

    /// Hands all answers to the client.
    fn drain(&mut self) -> io::Result<()> {
        self.flush()?;
        while !self.answers.is_empty() {
            self.wait(false)?;
        }
        Ok(())
    }

    /// Whether the session may read on although answers wait.
    fn may_read_on(&mut self) -> bool {
        self.answers.is_empty() || (self.is_let_in() && self.share.may_wait(self.answers.len()))
    }

    /// Waits until the client takes answers or, if the session may read, sends something; returns whether it does that.
    fn wait(&mut self, may_read: bool) -> io::Result<bool> {
        let can_read = self.answers.wait(&self.client.stream, may_read)?;
        self.count_answers();
        Ok(can_read)
    }

    /// Gives the memory of answers back that the client has taken.
    fn count_answers(&mut self) {
        if self.answers.is_empty() {
            self.share.set_answer(0);
            if self.answers.spare_capacity() > FREE_BUFFER_BYTES && self.node.memory_left() == 0 {
                self.answers.give_back();
            }
        }
    }
}
