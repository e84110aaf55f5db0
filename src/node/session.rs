//! A session: the thread that serves one connection.
//!
//! It reads into one buffer, cuts requests out of it in place, answers all that it has read with one write, and reads
//! again. Clients and peers connect to the same port: see [`Speaker`]. How answers leave is in [`Output`].

use std::io::{self, Read};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use super::Shared;
use super::buffer::ReadBuffer;
use super::client::ClientSide;
use super::clients::Incoming;
use super::output::Output;
use super::speaker::Speaker;
use crate::commands::answer::Answer;
use crate::commands::failure::NO_ROOM_FOR_REQUEST;
use crate::commands::{Flow, words_before_text};
use crate::framing::{Args, Form, RequestParser};
use crate::limits::{ADMISSION_PATIENCE, COMMANDS_PER_SAMPLE, FREE_BUFFER_BYTES, LINGER_TIME, RESERVE_PATIENCE};
use crate::replication::message::Request;
use crate::replication::queue::Outbox;

/// Who may use a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Welcome {
    /// Clients and peers.
    Everybody,
    /// Too many are connected: a peer is served, a client is turned away.
    PeersOnly,
    /// Far too many are connected.
    Nobody,
}

/// What Redis says to a client that is one too many.
pub(super) const TOO_MANY: &str = "max number of clients reached";

/// Serves a connection until it ends.
pub(super) fn run(node: &Shared, incoming: &Arc<Incoming>, outbox: Outbox, welcome: Welcome) {
    let speaker = Speaker::Client(ClientSide::new(node, incoming, outbox));
    let session = Session {
        node,
        incoming,
        welcome,
        is_stranger: welcome == Welcome::Everybody && !speaker.is_admitted(),
        speaker,
        started: Instant::now(),
        patience: None,
        until_sample: fastrand::u32(..COMMANDS_PER_SAMPLE),
        output: Output::new(node, incoming),
    };
    let _ended = Ended { node, incoming };
    // An error means that the other side has hung up or timed out: it would not read why.
    if session.serve().is_ok() {
        linger(&incoming.stream);
    }
}

/// Ends a connection when it is dropped. So the other side does not wait for ever if a fault of ours makes the thread
/// panic.
struct Ended<'a> {
    node: &'a Shared,
    incoming: &'a Incoming,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.node.clients.remove(self.incoming);
        let _ = self.incoming.stream.shutdown(Shutdown::Both);
    }
}

/// Lets the last answer arrive. If a connection is closed while received bytes are unread, the kernel resets it, and
/// the other side may lose our last answer. So this reads and discards what still comes, for a while. Not inlined:
/// otherwise every session would touch the stack space of `scrap` from its beginning on.
#[inline(never)]
fn linger(mut stream: &TcpStream) {
    let until = Instant::now() + LINGER_TIME;
    let mut scrap = [0; 4096];
    let ready = stream.shutdown(Shutdown::Write).and_then(|()| stream.set_read_timeout(Some(LINGER_TIME)));
    while ready.is_ok() && Instant::now() < until && stream.read(&mut scrap).is_ok_and(|count| count > 0) {}
}

struct Session<'a> {
    node: &'a Shared,
    incoming: &'a Arc<Incoming>,
    welcome: Welcome,
    speaker: Speaker<'a>,
    /// When the connection was accepted, or has given its admission back.
    started: Instant,
    /// Whether the connection is counted as one that has yet to show the secret.
    is_stranger: bool,
    /// How long the socket waits for the next request; `None`: for ever.
    patience: Option<Duration>,
    /// How many commands are answered before the next one is measured. Begins anywhere, so that short connections count
    /// as much as long ones.
    until_sample: u32,
    output: Output<'a>,
}

impl Session<'_> {
    fn serve(mut self) -> io::Result<()> {
        if self.welcome == Welcome::Nobody {
            return self.turn_away();
        }
        let mut input = ReadBuffer::new();
        let mut parser = RequestParser::new(words_before_text);
        loop {
            let flow = self.answer_all(&mut parser, &mut input)?;
            self.speaker.let_go();
            if flow == Flow::End {
                return self.output.drain();
            }
            self.output.flush()?;
            if input.unused().is_empty() {
                parser.shrink();
            }
            let others = self.output.unread.spare_capacity() + parser.capacity();
            let checked = self.check_growth(others + input.next_capacity(), input.unused()).or_else(|_| {
                // A pipeline is read in larger pieces where there is room for that, and otherwise in smaller ones.
                input.move_up();
                self.check_growth(others + input.next_capacity(), input.unused())
            });
            if let Err((code, why)) = checked {
                Answer::new(Form::of(input.unused()), self.output.unread.buffer()).failure(code, why);
                return self.output.drain();
            }
            self.adjust_patience()?;
            self.output.wait_for_input(self.speaker.is_admitted())?;
            match input.fill(&mut &self.incoming.stream) {
                Ok(0) => {
                    self.answer_last(&mut parser, input.unused())?;
                    return self.output.drain();
                }
                Ok(_) => {}
                Err(_) if self.welcome == Welcome::PeersOnly => return self.turn_away(),
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
                    Answer::new(Form::of(bytes), self.output.unread.buffer()).failure("ERR", &error.to_string());
                    return Ok(Flow::End);
                }
            }
            if self.output.unread.are_due() {
                self.speaker.let_go();
                self.output.make_room(self.speaker.is_admitted())?;
            }
        }
    }

    /// Answers a last line that ends with the input instead of a newline.
    fn answer_last(&mut self, parser: &mut RequestParser, bytes: &[u8]) -> io::Result<()> {
        match parser.parse_last(bytes) {
            Ok(None) => {}
            Ok(Some((form, _))) => {
                self.answer(form, parser.args(form, bytes))?;
                self.speaker.let_go();
            }
            Err(error) => Answer::new(Form::Plain, self.output.unread.buffer()).failure("ERR", &error.to_string()),
        }
        Ok(())
    }

    /// Answers a request. If earlier unread answers leave no room for this one, the client must read them first.
    fn answer(&mut self, form: Form, words: Args<'_>) -> io::Result<Flow> {
        let mut flow = self.try_answer(form, words);
        if flow == Flow::NoRoomYet {
            self.speaker.let_go();
            self.output.drain()?;
            flow = self.try_answer(form, words);
        }
        if self.is_stranger && self.speaker.is_admitted() {
            self.node.clients.admit(self.incoming);
            self.is_stranger = false;
        }
        Ok(flow)
    }

    fn try_answer(&mut self, form: Form, words: Args<'_>) -> Flow {
        if words.is_empty() {
            return Flow::Continue;
        }
        if form == Form::Resp && Request::is_greeting(words) {
            self.speaker.become_peer(self.node, self.incoming);
            self.output.usage.set_queued(0);
        }
        match &mut self.speaker {
            Speaker::Peer(peer) => {
                let flow = peer.answer(words, self.output.unread.buffer());
                self.output.changed |= peer.take_changed();
                self.output.form = None;
                if peer.has_greeted() {
                    self.welcome = Welcome::Everybody;
                }
                flow
            }
            Speaker::Client(_) if self.welcome != Welcome::Everybody => {
                self.reject(form);
                Flow::End
            }
            Speaker::Client(client) => {
                let before = self.output.unread.len();
                let began = (self.until_sample == 0).then(Instant::now);
                let flow = client.answer((form, words), &mut self.output.usage, self.output.unread.buffer());
                if flow != Flow::NoRoomYet {
                    began.iter().for_each(|began| self.node.clients.durations.observe(began.elapsed()));
                    self.until_sample = self.until_sample.checked_sub(1).unwrap_or(COMMANDS_PER_SAMPLE - 1);
                }
                self.output.answers += u64::from(self.output.unread.len() > before);
                self.output.commands += u64::from(flow != Flow::NoRoomYet);
                self.output.changed |= client.take_changed();
                self.output.form = Some(form);
                flow
            }
        }
    }

    /// Tells a client that it is one too many.
    fn reject(&mut self, form: Form) {
        self.node.clients.rejected.fetch_add(1, Relaxed);
        Answer::new(form, self.output.unread.buffer()).failure("ERR", TOO_MANY);
    }

    /// Ends a connection that is one too many before it has said what it is.
    fn turn_away(&mut self) -> io::Result<()> {
        self.reject(Form::Resp);
        self.output.drain()
    }

    /// Whether the connection may have buffers of this many bytes, to read on in a request that begins with `begun`.
    /// One that is not admitted yet gets only a small buffer; an admitted peer gets all it needs, since the write that
    /// it sends was acknowledged to a client.
    fn check_growth(&mut self, bytes: usize, begun: &[u8]) -> Result<(), (&'static str, &'static str)> {
        let is_admitted = self.speaker.is_admitted();
        if begun.is_empty() || (self.speaker.is_peer() && is_admitted) {
            self.output.usage.set_request(bytes);
        } else if !is_admitted && bytes > FREE_BUFFER_BYTES {
            return Err(("NOAUTH", "Authentication required before a request of this size"));
        } else if !self.output.usage.may_request(bytes, self.node) {
            return Err(("OOM", NO_ROOM_FOR_REQUEST));
        }
        Ok(())
    }

    /// Counts the connection as a stranger's, if it gave its admission back.
    fn become_stranger(&mut self) {
        if !self.is_stranger {
            (self.is_stranger, self.started) = (true, Instant::now());
            self.node.clients.add_stranger(self.incoming);
        }
    }

    /// Sets how long to wait for what comes next. A connection that is not admitted yet, or stands in a reserve place,
    /// has a fixed total time, however much it sends.
    fn adjust_patience(&mut self) -> io::Result<()> {
        let in_all = match self.welcome {
            Welcome::PeersOnly | Welcome::Nobody => Some(RESERVE_PATIENCE),
            Welcome::Everybody if self.speaker.is_admitted() => None,
            Welcome::Everybody => {
                self.become_stranger();
                Some(ADMISSION_PATIENCE)
            }
        };
        let left = in_all.map(|in_all| in_all.saturating_sub(self.started.elapsed()));
        if left == Some(Duration::ZERO) {
            return Err(io::ErrorKind::TimedOut.into());
        }
        let patience = left.or(self.speaker.idle_timeout());
        if patience != self.patience {
            self.incoming.stream.set_read_timeout(patience)?;
            self.patience = patience;
        }
        Ok(())
    }
}
