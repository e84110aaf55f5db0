//! The secrets of a cluster. Clients say one, and nodes prove that they know one, to be admitted.
//!
//! There are up to three, each in a file of its own:
//!
//! | of | what it lets in | without it |
//! |---|---|---|
//! | clients | clients, which may read and write | everybody may |
//! | nodes | nodes of the cluster, whose entries and confirmations are believed | that of clients does |
//! | operators | clients that may also use the commands that burden or change the whole node | every client may |
//!
//! A file has one line, or two while a secret is being replaced: then both are accepted, and a node says the first one.
//! So no moment is needed in which all nodes and clients change at once ([`Secrets::reload`]).

mod file;

use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use parking_lot::RwLock;
use sha2::Sha256;

pub use file::{Kind, Place, Source, SourceError};

use crate::limits::{MAX_SECRET_BYTES, MIN_SECRET_BYTES};

/// A secret that two sides know, and no one else. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// The secret in `bytes`, without the newline that an editor leaves at the end of a file.
    ///
    /// # Errors
    /// When it is too short to resist guessing, or too long, or has a space in it.
    pub fn new(bytes: &[u8]) -> Result<Self, String> {
        let secret = Self::of_another_server(bytes)?;
        if secret.0.len() < MIN_SECRET_BYTES {
            return Err(format!(
                "a secret has at least {MIN_SECRET_BYTES} bytes, so that nobody guesses it: \
                 `openssl rand -hex 32` makes a good one"
            ));
        }
        Ok(secret)
    }

    /// As [`Secret::new`], for a server that may have been given a shorter one.
    ///
    /// # Errors
    /// When it is empty or too long, or has a space in it.
    pub fn of_another_server(bytes: &[u8]) -> Result<Self, String> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() || bytes.len() > MAX_SECRET_BYTES || bytes.iter().any(u8::is_ascii_whitespace) {
            return Err(format!(
                "a secret has 1 to {MAX_SECRET_BYTES} bytes and no spaces, so that it can be typed in a plain line"
            ));
        }
        Ok(Self(bytes.to_vec()))
    }

    /// What a client says to be admitted.
    pub fn word(&self) -> &[u8] {
        &self.0
    }

    /// Whether a client's word is the secret. Takes the same time for every wrong word: it compares two hashes.
    pub fn is(&self, word: &[u8]) -> bool {
        self.verifies(&self.prove(word), &self.0)
    }

    /// Makes a proof that this node knows the secret: HMAC-SHA-256 (RFC 2104) over a message.
    pub fn prove(&self, message: &[u8]) -> Vec<u8> {
        self.mac(message).finalize().into_bytes().to_vec()
    }

    /// Whether `proof` was made over this message with this secret. Compares in constant time.
    pub fn verifies(&self, proof: &[u8], message: &[u8]) -> bool {
        self.mac(message).verify_slice(proof).is_ok()
    }

    /// A key that follows from the secret and a purpose. It does not tell the secret.
    pub fn key_for(&self, purpose: &[u8]) -> [u8; 32] {
        self.mac(purpose).finalize().into_bytes().into()
    }

    fn mac(&self, message: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes keys of any length");
        mac.update(message);
        mac
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The secrets of one kind that are accepted now: one, or two while one replaces the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// What a node says itself.
    pub said: Secret,
    /// What is accepted, too.
    pub also: Option<Secret>,
}

impl Accepted {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &Secret> {
        std::iter::once(&self.said).chain(&self.also)
    }

    /// Whether a client's word is one of them. Every wrong word takes the same time.
    pub fn has(&self, word: &[u8]) -> bool {
        // So that nobody makes the node hash megabytes.
        if word.len() > MAX_SECRET_BYTES {
            return false;
        }
        self.iter().fold(false, |found, secret| found | secret.is(word))
    }
}

/// What a client may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Only show that it belongs here.
    #[default]
    Stranger,
    /// Read and write.
    Client,
    /// Everything.
    Operator,
}

/// Whom the nodes of a process admit. One for all of them; its content is replaced as a whole.
#[derive(Debug, Default)]
pub struct Secrets {
    sources: Vec<Source>,
    kinds: RwLock<Kinds>,
}

/// The secrets of each kind; `None` where there is none.
#[derive(Clone, Debug, Default)]
struct Kinds {
    clients: Option<Accepted>,
    peers: Option<Accepted>,
    operators: Option<Accepted>,
}

impl Secrets {
    /// Reads all secrets that a node is given.
    ///
    /// # Errors
    /// Which of them cannot be used, and why.
    pub fn read(sources: Vec<Source>) -> Result<Arc<Self>, SourceError> {
        let kinds = Kinds::read(&sources)?;
        Ok(Arc::new(Self { sources, kinds: RwLock::new(kinds) }))
    }

    /// No secrets: everybody is admitted.
    pub fn none() -> Arc<Self> {
        Arc::default()
    }

    /// One secret for clients and nodes.
    pub fn of(secret: Secret) -> Arc<Self> {
        let clients = Some(Accepted { said: secret, also: None });
        Arc::new(Self { sources: Vec::new(), kinds: RwLock::new(Kinds { clients, ..Kinds::default() }) })
    }

    /// Whether any of them stands in a file, which may change.
    pub fn are_in_files(&self) -> bool {
        self.sources.iter().any(|source| matches!(source.place, Place::File(..)))
    }

    /// Reads the files again. From now on their present content counts. Connections that are open stay.
    ///
    /// # Errors
    /// As [`Secrets::read`]. Then all is as before.
    pub fn reload(&self) -> Result<(), SourceError> {
        let kinds = Kinds::read(&self.sources)?;
        *self.kinds.write() = kinds;
        Ok(())
    }

    /// What a client may do that has said nothing.
    pub fn role_of_strangers(&self) -> Role {
        let kinds = self.kinds.read();
        match (&kinds.clients, &kinds.operators) {
            (Some(_), _) => Role::Stranger,
            (None, Some(_)) => Role::Client,
            (None, None) => Role::Operator,
        }
    }

    /// What a client may do that says this word; `None` if the word is wrong.
    pub fn role_of(&self, word: &[u8]) -> Option<Role> {
        let kinds = self.kinds.read();
        let is = |accepted: &Option<Accepted>| accepted.as_ref().is_some_and(|accepted| accepted.has(word));
        // Both are compared in any case, so that the time tells nothing.
        match (is(&kinds.operators), is(&kinds.clients), &kinds.operators) {
            (true, ..) | (_, true, None) => Some(Role::Operator),
            (_, true, Some(_)) => Some(Role::Client),
            _ => None,
        }
    }

    /// Whether a client has anything to say: whether there is a secret of clients or of operators.
    pub fn are_for_clients(&self) -> bool {
        let kinds = self.kinds.read();
        kinds.clients.is_some() || kinds.operators.is_some()
    }

    /// What nodes prove to each other.
    pub fn of_peers(&self) -> Option<Accepted> {
        let kinds = self.kinds.read();
        kinds.peers.as_ref().or(kinds.clients.as_ref()).cloned()
    }

    /// The key by which all nodes of the cluster place keys, if they have a secret.
    pub fn placement_key(&self) -> Option<[u8; 16]> {
        let key = self.of_peers()?.said.key_for(b"placement of keys");
        key.first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(word: &str) -> Secret {
        Secret::new(word.as_bytes()).expect("long enough")
    }

    #[test]
    fn a_client_must_say_the_whole_secret() {
        let secret = Secret::new(b"open-sesame-open-sesame\r\n").expect("a good one");
        assert!(secret.is(b"open-sesame-open-sesame"));
        for wrong in [&b""[..], b"open", b"open-sesame-open-sesame\n", b"open-sesame-open-sesamf"] {
            assert!(!secret.is(wrong));
        }
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert!(Secret::new(b"\n").is_err() && Secret::new(b"two words in one secret").is_err());
        assert!(Secret::new(b"fifteen-letters").unwrap_err().contains("at least 16 bytes"));
        assert!(Secret::of_another_server(b"foobared").is_ok());
    }

    #[test]
    fn each_secret_admits_to_its_role() {
        let of = |clients: Option<&str>, operators: Option<&str>| {
            let accepted = |word: &str| Accepted { said: secret(word), also: None };
            let (clients, operators) = (clients.map(accepted), operators.map(accepted));
            Secrets { sources: Vec::new(), kinds: RwLock::new(Kinds { clients, peers: None, operators }) }
        };
        let (client, operator) = ("a-word-for-clients", "a-word-for-operators");
        let roles = |secrets: &Secrets| {
            let role_of = |word: &str| secrets.role_of(word.as_bytes());
            (secrets.role_of_strangers(), role_of(client), role_of(operator))
        };
        use Role::{Client, Operator, Stranger};
        assert_eq!(roles(&of(None, None)), (Operator, None, None));
        assert_eq!(roles(&of(Some(client), None)), (Stranger, Some(Operator), None));
        assert_eq!(roles(&of(Some(client), Some(operator))), (Stranger, Some(Client), Some(Operator)));
        assert_eq!(roles(&of(None, Some(operator))), (Client, None, Some(Operator)));
        let peers = of(Some(client), Some(operator)).of_peers().expect("that of clients");
        assert!(peers.has(client.as_bytes()) && !peers.has(operator.as_bytes()));
    }

    #[test]
    fn a_secret_is_as_long_as_the_bounds_and_no_shorter_or_longer() {
        let of = |bytes: usize| vec![b'x'; bytes];
        for (bytes, is_good) in [(MIN_SECRET_BYTES, true), (MAX_SECRET_BYTES, true), (MAX_SECRET_BYTES + 1, false)] {
            assert_eq!(Secret::new(&of(bytes)).is_ok(), is_good, "{bytes} bytes");
            assert_eq!(Secret::of_another_server(&of(bytes)).is_ok(), is_good, "{bytes} bytes");
        }
        assert!(Secret::new(&of(MIN_SECRET_BYTES - 1)).is_err());
        assert!(Secret::of_another_server(&of(1)).is_ok() && Secret::of_another_server(b"").is_err());
        let longest = Secrets::of(Secret::new(&of(MAX_SECRET_BYTES)).expect("a good one"));
        assert_eq!(longest.role_of(&of(MAX_SECRET_BYTES)), Some(Role::Operator));
    }

    #[test]
    fn nodes_place_and_prove_by_the_secret_of_nodes_or_else_of_clients_and_never_by_that_of_operators() {
        let of = |[clients, peers, operators]: [Option<&str>; 3]| {
            let accepted = |word: &str| Accepted { said: secret(word), also: Some(secret("a-word-that-is-replaced")) };
            let kinds = Kinds {
                clients: clients.map(accepted),
                peers: peers.map(accepted),
                operators: operators.map(accepted),
            };
            Secrets { sources: Vec::new(), kinds: RwLock::new(kinds) }
        };
        let (clients, peers, operators) = ("a-word-for-clients", "a-word-for-nodes", "a-word-for-operators");
        let alone = |word: &str| Secrets::of(secret(word)).placement_key();
        for (secrets, by) in [
            (of([Some(clients), Some(peers), Some(operators)]), Some(peers)),
            (of([None, Some(peers), Some(operators)]), Some(peers)),
            (of([Some(clients), None, Some(operators)]), Some(clients)),
            (of([None, None, Some(operators)]), None),
            (of([None, None, None]), None),
        ] {
            assert_eq!(secrets.of_peers().map(|accepted| accepted.said), by.map(secret));
            assert_eq!(secrets.placement_key(), by.and_then(alone));
        }
        assert_ne!(alone(peers), alone(clients));
    }

    #[test]
    fn a_key_follows_from_its_purpose_too_and_that_for_placement_never_changes() {
        let secret = secret("open-sesame-open-sesame");
        assert_ne!(secret.key_for(b"one purpose"), secret.key_for(b"another"));
        assert_eq!(Secrets::of(secret).placement_key().map(u128::from_be_bytes), Some(PINNED));
    }

    /// If this changes, nodes of two builds disagree about every leaf: raise the version of the protocol.
    const PINNED: u128 = 0x7efca4bc914cbbcbbb3fdfcac3932c11;
}
