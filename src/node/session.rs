//! A session: the thread that serves one connection.
//!
//! It reads into one buffer, cuts requests out of it in place, answers all that it has read with one write, and reads again. A
//! client speaks commands; a connection that says PEER belongs to another node, and speaks the peer protocol from then on.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use log::warn;

use super::Shared;
use super::buffer::ReadBuffer;
use super::clients::Client;
use super::execute::{Context, Flow, execute};
use super::replicator::Outbox;
use crate::limits::{ANSWER_FLUSH_BYTES, KEPT_BUFFER_BYTES, RESERVE_PATIENCE};
use crate::protocol::command::Command;
use crate::protocol::reply::Answer;
use crate::protocol::{Args, Form, RequestParser};
use crate::replication::message::{Reply, Request};
use crate::replication::replica::PeerSession;

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
const TOO_MANY: &str = "max number of clients reached";

/// Serves a connection until it ends.
pub(super) fn run(node: &Arc<Shared>, client: &Arc<Client>, outbox: Outbox, welcome: Welcome) {
    let session = Session { node, client, outbox, welcome, peer: None, out: Vec::new(), commands: 0 };
    // An error is the connection's end by the other side's doing, or by a timeout. There is nobody to tell.
    let _ = session.serve();
    node.clients.remove(client);
    let _ = client.stream.shutdown(std::net::Shutdown::Both);
}

struct Session<'a> {
    node: &'a Arc<Shared>,
    client: &'a Client,
    outbox: Outbox,
    welcome: Welcome,
    /// Another node's connection, once it has said PEER.
    peer: Option<PeerSession>,
    /// Answers that are not written yet.
    out: Vec<u8>,
    /// How many commands were answered since the last write.
    commands: u64,
}

impl Session<'_> {
    fn serve(mut self) -> io::Result<()> {
        match self.welcome {
            Welcome::Everybody => {}
            Welcome::PeersOnly => self.client.stream.set_read_timeout(Some(RESERVE_PATIENCE))?,
            Welcome::Nobody => return self.turn_away(Form::Resp),
        }
        let mut input = ReadBuffer::new();
        let mut parser = RequestParser::default();
        loop {
            let flow = self.answer_all(&mut parser, &mut input)?;
            self.flush()?;
            if flow == Flow::End {
                return Ok(());
            }
            match input.fill(&mut &self.client.stream) {
                Ok(0) => {
                    self.answer_last(&mut parser, input.unused());
                    return self.flush();
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
                    let flow = self.answer(form, parser.args(form, bytes));
                    input.consume(length);
                    if flow == Flow::End {
                        return Ok(flow);
                    }
                }
                Err(error) => {
                    let form = if bytes.first() == Some(&b'*') { Form::Resp } else { Form::Plain };
                    Answer::new(form, &mut self.out).failure("ERR", &error.to_string());
                    return Ok(Flow::End);
                }
            }
            if self.out.len() >= ANSWER_FLUSH_BYTES {
                self.flush()?;
            }
        }
    }

    /// Answers a line that the end of the input has ended.
    fn answer_last(&mut self, parser: &mut RequestParser, bytes: &[u8]) {
        match parser.parse_last(bytes) {
            Ok(None) => {}
            Ok(Some((form, _))) => {
                self.answer(form, parser.args(form, bytes));
            }
            Err(error) => Answer::new(Form::Plain, &mut self.out).failure("ERR", &error.to_string()),
        }
    }

    fn answer(&mut self, form: Form, words: Args<'_>) -> Flow {
        if words.is_empty() {
            return Flow::Continue;
        }
        if self.peer.is_some() || (form == Form::Resp && Request::is_greeting(words)) {
            return self.answer_peer(words);
        }
        if self.welcome != Welcome::Everybody {
            self.node.clients.rejected.fetch_add(1, Relaxed);
            Answer::new(form, &mut self.out).failure("ERR", TOO_MANY);
            return Flow::End;
        }
        self.commands += 1;
        let mut answer = Answer::new(form, &mut self.out);
        match Command::parse(words) {
            Ok(command) => {
                let mut context = Context { node: self.node, client: self.client, outbox: &self.outbox };
                execute(&mut context, command, &mut answer)
            }
            Err(error) => {
                answer.failure(error.code(), &error.to_string());
                Flow::Continue
            }
        }
    }

    fn answer_peer(&mut self, words: Args<'_>) -> Flow {
        let session = self.peer.get_or_insert_default();
        let reply = match Request::decode(words) {
            Ok(request) => self.node.replica.handle(session, request),
            Err(bad) => Reply::Refused(bad.to_string()),
        };
        reply.encode(&mut self.out);
        if let Reply::Refused(why) = reply {
            warn!("{}: refused {}: {why}", self.node.name(), session.peer().unwrap_or("a peer"));
            return Flow::End;
        }
        if self.welcome == Welcome::PeersOnly {
            self.welcome = Welcome::Everybody;
            // A peer may be silent for as long as nothing changes.
            if self.client.stream.set_read_timeout(None).is_err() {
                return Flow::End;
            }
        }
        Flow::Continue
    }

    fn turn_away(&mut self, form: Form) -> io::Result<()> {
        self.node.clients.rejected.fetch_add(1, Relaxed);
        Answer::new(form, &mut self.out).failure("ERR", TOO_MANY);
        self.flush()
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.commands > 0 {
            self.node.clients.commands.fetch_add(self.commands, Relaxed);
            self.commands = 0;
        }
        if !self.out.is_empty() {
            (&self.client.stream).write_all(&self.out)?;
            self.out.clear();
            self.out.shrink_to(KEPT_BUFFER_BYTES);
        }
        Ok(())
    }
}
