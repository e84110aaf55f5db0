//! How clients and nodes show that they know the shared secret of the cluster.
//!
//! A client says the secret (`AUTH secret`), so anyone who can read the packets learns it. Nodes speak to each other
//! for months, so they do better: each proves that it knows the secret without saying it. Before the first PEER of a
//! connection:
//!
//! ```text
//! initiator                                                        responder
//!   PEER AUTH name incarnation challenge ───────────────────────▶
//!                           ◀────────────────────── name, incarnation, challenge
//!   PEER PROVE proof ───────────────────────────────────────────▶
//!                           ◀───────────────────────────────────────────── proof
//! ```
//!
//! A challenge is 32 random bytes; a proof is HMAC-SHA-256 (RFC 2104), keyed with the secret, over the prover's role,
//! both challenges, names and incarnations. The PEER that follows must have the proven name and incarnation.
//!
//! - A proof that was recorded cannot be replayed, because the next challenge differs.
//! - A node's own proof cannot be sent back to it, because the role is part of it.
//! - The initiator proves itself first, so an attacker who connects gets no proof against which to try secrets offline.
//!   An attacker whom a node *dials* does get one, so the secret should be long and random.
//!
//! What this does not give: secrecy or integrity of what follows. An attacker who can change packets can wait until the
//! proofs are exchanged. Where that matters, run the links through TLS or WireGuard.

use crate::framing::Args;
use crate::framing::resp::{write_array, write_bulk};
use crate::replication::PeerError;
use crate::replication::member::check_name;
use crate::replication::message::{Greeting, Incarnation};
use crate::replication::replica::Identity;
use crate::secret::Secret;

const CHALLENGE_BYTES: usize = 32;

/// One side of an exchange, as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    name: String,
    incarnation: Incarnation,
    challenge: Vec<u8>,
}

impl Party {
    fn new(identity: &Identity) -> Result<Self, String> {
        let mut challenge = vec![0; CHALLENGE_BYTES];
        getrandom::fill(&mut challenge).map_err(|error| format!("the machine gives no random numbers: {error}"))?;
        Ok(Self { name: identity.name.clone(), incarnation: identity.incarnation, challenge })
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_bulk(out, self.name.as_bytes());
        write_bulk(out, &self.incarnation.0.to_be_bytes());
        write_bulk(out, &self.challenge);
    }

    fn from_items(items: &[Vec<u8>]) -> Option<Self> {
        let [name, incarnation, challenge] = items else { return None };
        let name = String::from_utf8(name.clone()).ok().filter(|name| check_name(name).is_ok())?;
        let incarnation = Incarnation(u64::from_be_bytes(incarnation.as_slice().try_into().ok()?));
        (challenge.len() == CHALLENGE_BYTES).then(|| Self { name, incarnation, challenge: challenge.clone() })
    }
}

/// What a proof is made over: the role of the node that makes it, and both sides of the exchange. The framing keeps the
/// parts apart.
fn transcript(role: &str, initiator: &Party, responder: &Party) -> Vec<u8> {
    let mut out = Vec::new();
    write_bulk(&mut out, role.as_bytes());
    initiator.write(&mut out);
    responder.write(&mut out);
    out
}

/// The initiator's side: proves itself to a peer, and has the peer prove itself. `ask` sends a request and returns the
/// items of the reply. Returns the name and incarnation that the peer has proved.
pub(super) fn introduce(
    secret: &Secret,
    identity: &Identity,
    mut ask: impl FnMut(Vec<u8>) -> Result<Vec<Vec<u8>>, PeerError>,
) -> Result<(String, Incarnation), PeerError> {
    let initiator = Party::new(identity).map_err(PeerError::Lost)?;
    let mut request = Vec::new();
    write_array(&mut request, 5);
    write_bulk(&mut request, b"PEER");
    write_bulk(&mut request, b"AUTH");
    initiator.write(&mut request);
    let responder = Party::from_items(&ask(request)?).ok_or_else(|| PeerError::Malformed("no challenge".into()))?;
    let mut request = Vec::new();
    write_array(&mut request, 3);
    write_bulk(&mut request, b"PEER");
    write_bulk(&mut request, b"PROVE");
    write_bulk(&mut request, &secret.prove(&transcript("initiator", &initiator, &responder)));
    let reply = ask(request)?;
    let proof = reply.first().map(Vec::as_slice).unwrap_or_default();
    if !secret.verifies(proof, &transcript("responder", &initiator, &responder)) {
        return Err(PeerError::Refused(format!("{} does not know our secret", responder.name)));
    }
    Ok((responder.name, responder.incarnation))
}

/// The responder's side of an exchange on one connection.
#[derive(Debug, Default)]
pub(super) enum Guard {
    /// The initiator has not introduced itself yet.
    #[default]
    Closed,
    /// The challenge was sent; the proof has not come yet.
    Challenged { initiator: Party, responder: Party },
    /// The initiator has proved that it knows the secret, under this name and incarnation.
    Open { name: String, incarnation: Incarnation },
}

/// What a guard decides about a peer's request.
pub(super) enum Verdict {
    /// It was part of the exchange, and the answer was written.
    Answered,
    /// It may be executed.
    Pass,
    /// It is refused, for this reason.
    Refuse(String),
}

impl Guard {
    /// Checks a peer's request before it is decoded.
    pub(super) fn check(
        &mut self,
        secret: Option<&Secret>,
        identity: &Identity,
        words: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let subject = words.get(1).unwrap_or_default();
        let step = if words.get(0).is_some_and(|verb| verb.eq_ignore_ascii_case(b"PEER")) { subject } else { b"" };
        match (secret, step, &self) {
            (None, b"AUTH" | b"PROVE", _) => Verdict::Refuse("this node was given no secret, and you have one".into()),
            (None, ..) => Verdict::Pass,
            (Some(_), b"AUTH", Self::Closed) => match self.challenge(identity, words.from(2), out) {
                Ok(()) => Verdict::Answered,
                Err(why) => Verdict::Refuse(why),
            },
            (Some(secret), b"PROVE", Self::Challenged { initiator, responder }) => {
                let proof = words.get(2).unwrap_or_default();
                if !secret.verifies(proof, &transcript("initiator", initiator, responder)) {
                    return Verdict::Refuse(format!("{} does not know the secret of this cluster", initiator.name));
                }
                write_array(out, 1);
                write_bulk(out, &secret.prove(&transcript("responder", initiator, responder)));
                *self = Self::Open { name: initiator.name.clone(), incarnation: initiator.incarnation };
                Verdict::Answered
            }
            (Some(_), _, Self::Open { .. }) => Verdict::Pass,
            (Some(_), ..) => Verdict::Refuse("this cluster has a secret: start with --secret-file".into()),
        }
    }

    fn challenge(&mut self, identity: &Identity, words: Args<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let items: Vec<Vec<u8>> = words.iter().map(<[u8]>::to_vec).collect();
        let initiator = Party::from_items(&items).ok_or("PEER AUTH name incarnation challenge")?;
        let responder = Party::new(identity)?;
        write_array(out, 3);
        responder.write(out);
        *self = Self::Challenged { initiator, responder };
        Ok(())
    }

    /// The name that the initiator has given.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Closed => None,
            Self::Challenged { initiator, .. } => Some(&initiator.name),
            Self::Open { name, .. } => Some(name),
        }
    }

    /// Whether the initiator has proved itself.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether a greeting comes from the node that proved itself; true if there is no secret.
    pub(super) fn fits(&self, greeting: &Greeting) -> bool {
        match self {
            Self::Open { name, incarnation } => *name == greeting.name && *incarnation == greeting.incarnation,
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Form, RequestParser, resp};
    use crate::store::version::NodeId;

    fn identity(name: &str) -> Identity {
        Identity::in_memory(name, NodeId(1), Incarnation(7))
    }

    /// Runs an exchange between an initiator with one secret and a guard with another. `heard` records what was sent.
    fn speak(ours: &str, theirs: Option<&str>, heard: &mut Vec<Vec<u8>>) -> Result<Guard, String> {
        let (ours, theirs) =
            (Secret::new(ours.as_bytes())?, theirs.map(|secret| Secret::new(secret.as_bytes()).unwrap()));
        let mut guard = Guard::default();
        let result = introduce(&ours, &identity("node1"), |request| {
            heard.push(request.clone());
            answer(&mut guard, theirs.as_ref(), &request)
        });
        result.map(|_| guard).map_err(|error| error.to_string())
    }

    fn answer(guard: &mut Guard, secret: Option<&Secret>, request: &[u8]) -> Result<Vec<Vec<u8>>, PeerError> {
        let mut parser = RequestParser::default();
        parser.parse(request).unwrap().expect("whole");
        let mut out = Vec::new();
        match guard.check(secret, &identity("node2"), parser.args(Form::Resp, request), &mut out) {
            Verdict::Refuse(why) => Err(PeerError::Refused(why)),
            Verdict::Pass => panic!("nothing passes before the proof"),
            Verdict::Answered => match resp::Parser::default().parse_reply(&out).unwrap().expect("whole").0 {
                resp::Frame::Array(items) => Ok(items.iter().map(<[u8]>::to_vec).collect()),
                _ => Ok(Vec::new()),
            },
        }
    }

    #[test]
    fn nodes_with_the_same_secret_admit_each_other_without_saying_it() {
        let mut heard = Vec::new();
        let guard = speak("open-sesame", Some("open-sesame\n"), &mut heard).unwrap();
        assert!(matches!(&guard, Guard::Open { name, incarnation: Incarnation(7) } if name == "node1"));
        let greeting =
            |name: &str| Greeting::in_memory(name, NodeId(1), Incarnation(7), crate::store::clock::Timestamp::ZERO);
        assert!(guard.fits(&greeting("node1")) && !guard.fits(&greeting("node3")));
        assert!(!heard.concat().windows(4).any(|window| window == b"open"), "the secret does not travel");
    }

    #[test]
    fn nodes_with_different_secrets_or_none_refuse_each_other() {
        assert_eq!(
            speak("a", Some("b"), &mut Vec::new()).unwrap_err(),
            "refused: node1 does not know the secret of this cluster"
        );
        assert_eq!(
            speak("a", None, &mut Vec::new()).unwrap_err(),
            "refused: this node was given no secret, and you have one"
        );
    }

    #[test]
    fn a_recorded_proof_cannot_be_replayed() {
        let mut heard = Vec::new();
        speak("open-sesame", Some("open-sesame"), &mut heard).unwrap();
        let (mut guard, secret) = (Guard::default(), Secret::new(b"open-sesame").unwrap());
        answer(&mut guard, Some(&secret), &heard[0]).expect("any node may introduce itself");
        let replayed = answer(&mut guard, Some(&secret), &heard[1]).unwrap_err();
        assert_eq!(replayed.to_string(), "refused: node1 does not know the secret of this cluster");
    }
}
