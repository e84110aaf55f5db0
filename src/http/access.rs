//! Who may ask what: the rules that keep other pages of the same browser, and other people, away from the nodes.
//!
//! A node that listens on this machine only is still within reach of every page that its user opens, in three ways:
//!
//! * A page sends a form or a `fetch` to `http://127.0.0.1:5080/command`. The browser adds where the page comes from
//!   (`Origin`), and asks before it sends a header of its own to another origin. So a POST needs a header that no form
//!   can send, and an `Origin` that is not this address is refused.
//! * The name of an attacker's page is made to resolve to 127.0.0.1 (DNS rebinding). To the browser it is then one
//!   origin with us. But `Host` still says the attacker's name. So `Host` must be one of ours.
//! * A page shows an image from `/events`, and again, until all places are taken. `Sec-Fetch-Site` gives it away.
//!
//! With a secret, all but the page itself and the two questions of health need it, in the header `Authorization`: an
//! address with the secret in it would be kept in histories and logs. Where operators have a secret of their own, only
//! that one lets the page do anything. Wrong ones count with those that clients say to the nodes; beyond the bound for
//! an address the answer is 429 (see `guesses.rs` of the node).

use std::net::SocketAddr;
use std::sync::Arc;

use super::reply::Refusal;
use super::request::Request;
use crate::secret::{Role, Secrets};

/// What the rules are decided by.
pub(super) struct Access {
    /// What `Host` may say.
    hosts: Vec<String>,
    secrets: Arc<Secrets>,
}

impl Access {
    /// The rules for an address, written as the operator has written it, and as it was bound.
    pub(super) fn new(written: &str, bound: SocketAddr, secrets: Arc<Secrets>) -> Self {
        let port = bound.port();
        let written = written.rsplit_once(':').map_or(written, |(host, _)| host);
        let mut hosts = vec![written.to_ascii_lowercase(), bare(bound)];
        hosts.extend(["localhost", "127.0.0.1", "[::1]"].map(String::from));
        let with_port = |host: &String| format!("{host}:{port}");
        // A browser leaves out the port of http.
        let without = if port == 80 { hosts.clone() } else { Vec::new() };
        Self { hosts: hosts.iter().map(with_port).chain(without).collect(), secrets }
    }

    /// Checks where a request comes from. `local` is the address at which it has arrived.
    pub(super) fn check_origin(&self, request: &Request, local: SocketAddr) -> Result<(), Refusal> {
        let host = request.header("Host")?.unwrap_or_default();
        if !self.is_ours(host, local) {
            return Err(Refusal::new(403, format!("open http://{local}/: this address is not called {host:?}")));
        }
        let ours = |origin: &str| origin.strip_prefix("http://").is_some_and(|host| self.is_ours(host, local));
        if request.header("Origin")?.is_some_and(|origin| !ours(origin)) {
            return Err(Refusal::new(403, "another page may not ask here"));
        }
        let is_from_elsewhere = request.header("Sec-Fetch-Site")?.is_some_and(|site| site.ends_with("-site"));
        if is_from_elsewhere && request.path != "/" {
            return Err(Refusal::new(403, "another page may not ask here"));
        }
        Ok(())
    }

    /// Checks that a POST was sent by a script of the page.
    pub(super) fn check_post(request: &Request) -> Result<(), Refusal> {
        let is_json = request.header("Content-Type")?.is_some_and(|kind| {
            kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        });
        if request.header("X-Kvstore")? != Some("page") || !is_json {
            let what = "a POST needs the headers X-Kvstore: page and Content-Type: application/json";
            return Err(Refusal::new(403, what));
        }
        Ok(())
    }

    /// The secret that a request says: its bearer's word. `Ok(None)`: none is needed for this role. An error: there is
    /// no word.
    pub(super) fn word_of<'r>(&self, request: &'r Request, needed: Role) -> Result<Option<&'r str>, Refusal> {
        if self.secrets.role_of_strangers() >= needed {
            return Ok(None);
        }
        let missing = || {
            let why = "the secret is missing: send it in the header Authorization: Bearer SECRET";
            Refusal::new(401, why).with_header("WWW-Authenticate: Bearer\r\n")
        };
        let (scheme, word) =
            request.header("Authorization")?.and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
        if scheme.eq_ignore_ascii_case("Bearer") { Ok(Some(word.trim())) } else { Err(missing()) }
    }

    /// Whether there is a secret without which the page cannot do everything.
    pub(super) fn needs_secret(&self) -> bool {
        self.secrets.role_of_strangers() < Role::Operator
    }

    /// What may be done by who says this word; `None` if it is wrong. Every wrong word takes the same time.
    pub(super) fn role_of(&self, word: &str) -> Option<Role> {
        self.secrets.role_of(word.as_bytes())
    }

    fn is_ours(&self, host: &str, local: SocketAddr) -> bool {
        let host = host.to_ascii_lowercase();
        self.hosts.contains(&host) || host == local.to_string()
    }
}

/// The host of an address, as it stands in `Host`.
fn bare(address: SocketAddr) -> String {
    match address {
        SocketAddr::V4(address) => address.ip().to_string(),
        SocketAddr::V6(address) => format!("[{}]", address.ip()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_ours_by_the_names_of_this_machine_and_the_right_port() {
        let bound = SocketAddr::from(([127, 0, 0, 1], 5080));
        let access = Access::new("Page.local:0", bound, Secrets::none());
        for ours in ["127.0.0.1:5080", "localhost:5080", "LOCALHOST:5080", "[::1]:5080", "page.local:5080"] {
            assert!(access.is_ours(ours, bound), "{ours}");
        }
        let others =
            ["", "localhost", "127.0.0.1", "localhost:80", "evil.example:5080", "127.0.0.1:5080.evil", "[::1]:50800"];
        for other in others {
            assert!(!access.is_ours(other, bound), "{other}");
        }
    }
}
