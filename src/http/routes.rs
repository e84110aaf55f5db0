//! What may be asked of the page's address, and what is answered.
//!
//! | path | answers |
//! |---|---|
//! | `GET /` | the page: one file, without anything from elsewhere |
//! | `GET /events` | Server-Sent Events: the state, and the messages between nodes |
//! | `GET /branch?prefix=a3` | what lies below a branch of the digest tree, on each node |
//! | `GET /metrics` | the figures of all nodes, for Prometheus |
//! | `GET /healthz`, `GET /readyz` | whether this process serves; whether no node is loading or stopped |
//! | `POST /command` | runs a command line on a node, as a client does: `{"node": …, "line": …}` |
//! | `POST /stop`, `POST /start` | stops a node, and starts it again: `{"node": …}` |

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Instant;

use crossbeam_channel::bounded;
use serde_json::Value;
use socket2::SockRef;

use super::access::Access;
use super::feed::News;
use super::reply::{self, Refusal, Reply};
use super::request::Request;
use super::{Shared, command, metrics, page, state};
use crate::commands::host::{Attempt, TOO_MANY_GUESSES};
use crate::commands::stats::Stats;
use crate::limits::{MAX_PAGES, PAGE_QUEUE, PAGE_SEND_BUFFER_BYTES, WRONG_SECRET_DELAY};
use crate::node::Node;
use crate::node::cluster::Place;
use crate::node::origin::Origin;
use crate::secret::Role;
use crate::store::digest::Prefix;

/// Answers a request; `Ok(None)` if it has been answered.
pub(super) fn answer(shared: &Shared, stream: &TcpStream, request: &Request) -> Result<Option<Reply>, Refusal> {
    let local = stream.local_addr().map_err(|error| Refusal::new(500, error.to_string()))?;
    shared.access.check_origin(request, local)?;
    let is_post = match request.path.as_str() {
        "/" | "/healthz" | "/readyz" | "/events" | "/branch" | "/metrics" => false,
        "/command" | "/stop" | "/start" => true,
        _ => return Err(Refusal::new(404, "there is nothing here; the page is at /")),
    };
    match (request.method.as_str(), is_post) {
        ("GET", false) | ("POST", true) => {}
        (_, false) => return Err(Refusal::new(405, "only GET works here").with_header("Allow: GET\r\n")),
        (_, true) => return Err(Refusal::new(405, "only POST works here").with_header("Allow: POST\r\n")),
    }
    let word = match request.path.as_str() {
        "/" => return page::page(shared.access.needs_secret()).map(Some),
        "/healthz" => return Ok(Some(Reply::text("ok\n"))),
        "/readyz" => return Ok(Some(readiness(shared))),
        _ => shared.check_secret(stream, request, if is_post { Role::Operator } else { Role::Client })?,
    };
    match request.path.as_str() {
        "/events" => return events(shared, stream).map(|()| None),
        "/branch" => return branch(shared, request).map(Some),
        "/metrics" => return Ok(Some(Reply::metrics(metrics::render(&stats(shared))))),
        _ => Access::check_post(request)?,
    }
    let body: Value = serde_json::from_slice(&request.body).map_err(|_| Refusal::new(400, "the body is no JSON"))?;
    let place = shared.place(&body)?;
    let done = match request.path.as_str() {
        "/command" => {
            let line = body["line"].as_str().ok_or_else(|| Refusal::new(400, "line: the command is missing"))?;
            if !place.is_running() {
                return Err(Refusal::new(409, format!("{} is stopped: start it first", place.name())));
            }
            command::run(&shared.connections, place.address(), word, line)?
        }
        "/stop" if shared.cluster.stop_node(place) => format!("{} is stopped", place.name()),
        "/stop" => format!("{} was stopped already", place.name()),
        _ => match shared.cluster.start_node(place) {
            Ok(true) => format!("{} runs again", place.name()),
            Ok(false) => format!("{} runs already", place.name()),
            Err(why) => return Err(Refusal::new(500, format!("{} cannot start: {why}", place.name()))),
        },
    };
    Ok(Some(Reply::text(done)))
}

impl Shared {
    /// Checks that a request may do what this role may; returns the secret that was said if one is needed. A wrong one
    /// is counted, and waits; too many of them are not compared.
    fn check_secret<'r>(
        &self,
        stream: &TcpStream,
        request: &'r Request,
        needed: Role,
    ) -> Result<Option<&'r str>, Refusal> {
        let Some(said) = self.access.word_of(request, needed)? else { return Ok(None) };
        let address = stream.peer_addr().map_err(|error| Refusal::new(500, error.to_string()))?.ip();
        let mut role = None;
        let mut is_right = || {
            role = self.access.role_of(said);
            role.is_some()
        };
        let places = self.cluster.places().iter();
        let by_node = places.filter_map(|place| place.with(|node| node.try_secret(address, &mut is_right))).next();
        match by_node.unwrap_or_else(|| self.guesses.attempt(Origin::of(address), Instant::now(), &mut is_right)) {
            Attempt::Right if role < Some(needed) => Err(Refusal::new(403, "this needs the secret of operators")),
            Attempt::Right => Ok(Some(said)),
            Attempt::Refused => Err(Refusal::new(429, TOO_MANY_GUESSES).with_header("Retry-After: 1\r\n")),
            Attempt::Wrong => {
                let _ = self.stop.recv_timeout(WRONG_SECRET_DELAY);
                Err(Refusal::new(401, "this is not the secret").with_header("WWW-Authenticate: Bearer\r\n"))
            }
        }
    }

    /// The place of the node that a body names.
    fn place(&self, body: &Value) -> Result<&Place, Refusal> {
        let place = body["node"].as_str().and_then(|name| self.cluster.place(name));
        place.ok_or_else(|| {
            let names: Vec<&str> = self.cluster.places().iter().map(Place::name).collect();
            Refusal::new(404, format!("node: this process has {}", names.join(", ")))
        })
    }
}

/// The figures of the nodes that run.
fn stats(shared: &Shared) -> Vec<Stats> {
    shared.cluster.places().iter().filter_map(|place| place.with(Node::stats)).collect()
}

fn readiness(shared: &Shared) -> Reply {
    let is_loading = |place: &&Place| place.with(|node| node.stats().loading).unwrap_or(true);
    let not_ready: Vec<&str> = shared.cluster.places().iter().filter(is_loading).map(Place::name).collect();
    match not_ready.is_empty() {
        true => Reply::text("ready\n"),
        false => Reply::text(format!("loading or stopped: {}\n", not_ready.join(", "))).with_status(503),
    }
}

fn branch(shared: &Shared, request: &Request) -> Result<Reply, Refusal> {
    let prefix = request.query_part("prefix").and_then(|prefix| Prefix::parse(prefix.as_bytes()));
    let told = prefix.and_then(|prefix| state::branch(&shared.cluster, prefix));
    let told = told.ok_or_else(|| Refusal::new(400, "prefix: give none, two or four hex digits, as in ?prefix=a3"))?;
    Ok(Reply::json(&told))
}

/// Tells a page what happens, until it goes or the server stops.
fn events(shared: &Shared, stream: &TcpStream) -> Result<(), Refusal> {
    let too_many = || Refusal::new(503, format!("{MAX_PAGES} pages are open already: close one"));
    let _counted = Counted::one_of(&shared.pages, MAX_PAGES).ok_or_else(too_many)?;
    let (told, news) = bounded::<News>(PAGE_QUEUE);
    let stopping = || Refusal::new(503, "the program is stopping");
    // Not worth an error: the page only loses events later.
    let _ = SockRef::from(stream).set_send_buffer_size(PAGE_SEND_BUFFER_BYTES);
    let _ = stream.set_nodelay(true);
    let opened = shared.opened.lock().clone().ok_or_else(stopping)?;
    opened.send(told).map_err(|_| stopping())?;
    drop(opened);
    let mut written = reply::begin_events(stream);
    while written.is_ok() {
        let Ok(news) = news.recv() else { break };
        written = reply::write(stream, news.as_bytes());
    }
    Ok(())
}

/// Counts one of something until it is dropped.
struct Counted<'a>(&'a AtomicUsize);

impl<'a> Counted<'a> {
    /// `None` if there are `most` already.
    fn one_of(count: &'a AtomicUsize, most: usize) -> Option<Self> {
        let counted = count.fetch_update(Relaxed, Relaxed, |count| (count < most).then_some(count + 1));
        counted.ok().map(|_| Self(count))
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
