//! How nodes show each other that they know the secret of the cluster, and how they know each message to be the
//! other's.
//!
//! A client says its secret (`AUTH secret`), so anyone who can read the packets learns it. Nodes speak to each other
//! for months, so they do better: each proves that it knows the secret without saying it. Before the first PEER of a
//! connection:
//!
//! ```text
//! initiator                                                        responder
//!   PEER AUTH name number incarnation challenge ────────────────▶
//!                         ◀────────────────── name, number, incarnation, challenge
//!   PEER PROVE proof ───────────────────────────────────────────▶
//!                           ◀──────────────────────────────────── proof, placement
//!   from now on each message stands behind its seal
//! ```
//!
//! A challenge is 32 random bytes; a proof is HMAC-SHA-256 (RFC 2104), keyed with the secret, over the prover's role
//! and all that both sides have said so far. The PEER that follows must have the proven name, number and incarnation.
//!
//! - A proof that was recorded cannot be replayed, because the next challenge differs.
//! - A node's own proof cannot be sent back to it, because the role is part of it, and a node refuses its own name in
//!   either role.
//! - The initiator proves itself first, so an attacker who connects gets no proof against which to try secrets offline.
//!   An attacker whom a node *dials* does get one, so the secret must be long and random.
//!
//! A proof says who has opened the connection, not who speaks on it later. A relay between two nodes (on the port of a
//! dead one, say) could pass both proofs on, and then send requests of its own. So both sides derive two keys from the
//! secret and the exchange, one for each direction, and every later message has a seal: see [`Seal`](super::seal).
//!
//! What this does not give: secrecy. Whoever sees the packets can read what is stored. And a relay can still cut the
//! connection, or be slow. Where that matters, run the links through TLS or WireGuard.

use super::seal::{Direction, SEAL, Seal, Tag};
use crate::framing::Args;
use crate::framing::resp::{write_array, write_bulk};
use crate::replication::PeerError;
use crate::replication::member::check_name;
use crate::replication::message::{Greeting, Incarnation};
use crate::replication::replica::{Identity, Replica};
use crate::secret::{Accepted, Secret};
use crate::store::version::NodeId;

const CHALLENGE_BYTES: usize = 32;

/// How many items a party introduces itself with.
const PARTY_ITEMS: usize = 4;

/// One side of an exchange, as it introduces itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Party {
    name: String,
    number: NodeId,
    incarnation: Incarnation,
    challenge: Vec<u8>,
}

/// Who has proved that it knows the secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Proven {
    pub(super) name: String,
    number: NodeId,
    incarnation: Incarnation,
}

impl Proven {
    /// Whether a greeting says what was proved.
    pub(super) fn fits(&self, greeting: &Greeting) -> bool {
        let Greeting { name, node, incarnation, .. } = greeting;
        (&self.name, self.number, self.incarnation) == (name, *node, *incarnation)
    }
}

/// Both seals of one side of a connection.
#[derive(Debug)]
pub(super) struct Seals {
    /// For what this side sends.
    pub(super) sent: Seal,
    /// For what comes from the other side.
    pub(super) received: Seal,
}

impl Party {
    fn new(replica: &Replica) -> Result<Self, String> {
        let mut challenge = vec![0; CHALLENGE_BYTES];
        getrandom::fill(&mut challenge).map_err(|error| format!("the machine gives no random numbers: {error}"))?;
        let Identity { name, node: number, incarnation, .. } = replica.identity().clone();
        Ok(Self { name, number, incarnation, challenge })
    }

    fn proven(&self) -> Proven {
        let Self { name, number, incarnation, .. } = self.clone();
        Proven { name, number, incarnation }
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_bulk(out, self.name.as_bytes());
        write_bulk(out, &self.number.0.to_be_bytes());
        write_bulk(out, &self.incarnation.0.to_be_bytes());
        write_bulk(out, &self.challenge);
    }

    fn from_items(items: &[Vec<u8>]) -> Option<Self> {
        let [name, number, incarnation, challenge] = items else { return None };
        let name = String::from_utf8(name.clone()).ok().filter(|name| check_name(name).is_ok())?;
        let number = Some(u16::from_be_bytes(number.as_slice().try_into().ok()?)).filter(|&number| number > 0)?;
        let incarnation = Incarnation(u64::from_be_bytes(incarnation.as_slice().try_into().ok()?));
        let challenge = challenge.clone();
        (challenge.len() == CHALLENGE_BYTES).then_some(Self { name, number: NodeId(number), incarnation, challenge })
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

/// What tells an initiator that knows the secret whether the responder places keys as it does, and tells nobody else
/// anything: what follows from the secret alone would be something to try secrets against.
fn placement(replica: &Replica, initiator: &Party, responder: &Party) -> Vec<u8> {
    let mut out = transcript("placement", initiator, responder);
    write_bulk(&mut out, &replica.store().placement().fingerprint().to_be_bytes());
    out
}

/// The keys for both directions of a connection, derived from the secret that was proved and from the exchange.
fn seals(secret: &Secret, initiator: &Party, responder: &Party, sends: Direction) -> Seals {
    let seal = |direction: Direction| {
        let purpose = match direction {
            Direction::Requests => "seal requests",
            Direction::Replies => "seal replies",
        };
        Seal::new(secret.key_for(&transcript(purpose, initiator, responder)))
    };
    Seals { sent: seal(sends), received: seal(sends.other()) }
}

/// What an initiator has learnt when both have proved themselves.
#[derive(Debug)]
pub(super) struct Introduced {
    /// Who the peer is.
    pub(super) peer: Proven,
    /// For what follows.
    pub(super) seals: Seals,
    /// Whether the peer places keys as this node does. Where it does not, each round that finds a difference compares
    /// all keys.
    pub(super) places_alike: bool,
}

/// The initiator's side: proves itself to a peer, and has the peer prove itself. `ask` sends a request and returns the
/// items of the reply.
pub(super) fn introduce(
    secret: &Secret,
    replica: &Replica,
    mut ask: impl FnMut(Vec<u8>) -> Result<Vec<Vec<u8>>, PeerError>,
) -> Result<Introduced, PeerError> {
    let initiator = Party::new(replica).map_err(PeerError::Lost)?;
    let mut request = Vec::new();
    write_array(&mut request, 2 + PARTY_ITEMS);
    write_bulk(&mut request, b"PEER");
    write_bulk(&mut request, b"AUTH");
    initiator.write(&mut request);
    let responder = Party::from_items(&ask(request)?).ok_or_else(|| PeerError::Malformed("no challenge".into()))?;
    if responder.name == initiator.name {
        return Err(PeerError::Refused(format!("it says that it is {}, which we are", responder.name)));
    }
    let mut request = Vec::new();
    write_array(&mut request, 3);
    write_bulk(&mut request, b"PEER");
    write_bulk(&mut request, b"PROVE");
    write_bulk(&mut request, &secret.prove(&transcript("initiator", &initiator, &responder)));
    let reply = ask(request)?;
    let [proof, placed] = reply.as_slice() else { return Err(PeerError::Malformed("no proof".into())) };
    if !secret.verifies(proof, &transcript("responder", &initiator, &responder)) {
        return Err(PeerError::Refused(format!("{} does not know our secret", responder.name)));
    }
    let places_alike = secret.verifies(placed, &placement(replica, &initiator, &responder));
    let seals = seals(secret, &initiator, &responder, Direction::Requests);
    Ok(Introduced { peer: responder.proven(), seals, places_alike })
}

/// The responder's side of an exchange on one connection.
#[derive(Debug, Default)]
pub(super) enum Guard {
    /// The initiator has not introduced itself yet.
    #[default]
    Closed,
    /// The challenge was sent; the proof has not come yet.
    Challenged { initiator: Party, responder: Party },
    /// The initiator has proved that it knows the secret.
    Open { who: Proven, seals: Box<Seals>, next: Option<Tag> },
}

/// What a guard decides about a peer's request.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It was part of the exchange, or a seal. If there was an answer, it was written.
    Answered,
    /// It may be executed.
    Pass,
    /// It is refused, for this reason.
    Refuse(String),
}

impl Guard {
    /// Checks a peer's request before it is decoded. `accepted` are the secrets of the cluster, if it has any.
    pub(super) fn check(
        &mut self,
        accepted: Option<&Accepted>,
        replica: &Replica,
        words: Args<'_>,
        out: &mut Vec<u8>,
    ) -> Verdict {
        let is_verb = |name: &[u8]| words.get(0).is_some_and(|verb| verb.eq_ignore_ascii_case(name));
        let step = if is_verb(b"PEER") { words.get(1).unwrap_or_default() } else { b"" };
        match (accepted, step, &mut *self) {
            // Whatever has become of the secrets meanwhile.
            (_, _, Self::Open { seals, next, .. }) => match (next.take(), is_verb(SEAL)) {
                (None, true) => {
                    *next = words.get(1).and_then(|tag| tag.try_into().ok());
                    Verdict::Answered
                }
                (Some(tag), false) if seals.received.fits_request(&tag, words) => Verdict::Pass,
                _ => Verdict::Refuse("this message was not sealed by the node that has proved itself here".into()),
            },
            (None, b"AUTH" | b"PROVE", _) => Verdict::Refuse("this node was given no secret, and you have one".into()),
            (None, ..) => Verdict::Pass,
            (Some(_), b"AUTH", Self::Closed) => match self.challenge(replica, words.from(2), out) {
                Ok(()) => Verdict::Answered,
                Err(why) => Verdict::Refuse(why),
            },
            (Some(accepted), b"PROVE", Self::Challenged { initiator, responder }) => {
                let proof = words.get(2).unwrap_or_default();
                let expected = transcript("initiator", initiator, responder);
                let Some(secret) = accepted.iter().find(|secret| secret.verifies(proof, &expected)) else {
                    return Verdict::Refuse(format!(
                        "{} does not know the secret of this cluster's nodes",
                        initiator.name
                    ));
                };
                write_array(out, 2);
                write_bulk(out, &secret.prove(&transcript("responder", initiator, responder)));
                write_bulk(out, &secret.prove(&placement(replica, initiator, responder)));
                let seals = Box::new(seals(secret, initiator, responder, Direction::Replies));
                *self = Self::Open { who: initiator.proven(), seals, next: None };
                Verdict::Answered
            }
            (Some(_), b"AUTH" | b"PROVE", _) => Verdict::Refuse("say PEER AUTH, then PEER PROVE, each once".into()),
            (Some(_), ..) => {
                let why = "the nodes of this cluster have a secret: start with --peer-secret-file, or --secret-file";
                Verdict::Refuse(why.into())
            }
        }
    }

    fn challenge(&mut self, replica: &Replica, words: Args<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let items: Vec<Vec<u8>> = words.iter().map(<[u8]>::to_vec).collect();
        let usage = "PEER AUTH name number incarnation challenge";
        let initiator = Party::from_items(&items).ok_or(usage)?;
        let responder = Party::new(replica)?;
        if initiator.name == responder.name {
            return Err(format!("{} is my own name", initiator.name));
        }
        write_array(out, PARTY_ITEMS);
        responder.write(out);
        *self = Self::Challenged { initiator, responder };
        Ok(())
    }

    /// The seal for replies, once the initiator has proved itself.
    pub(super) fn seal(&mut self) -> Option<&mut Seal> {
        match self {
            Self::Open { seals, .. } => Some(&mut seals.sent),
            _ => None,
        }
    }

    /// The name that the initiator has given.
    pub(super) fn name(&self) -> Option<&str> {
        match self {
            Self::Closed => None,
            Self::Challenged { initiator, .. } => Some(&initiator.name),
            Self::Open { who, .. } => Some(&who.name),
        }
    }

    /// Whether the initiator has proved itself.
    pub(super) fn is_open(&self) -> bool {
        matches!(self, Self::Open { .. })
    }

    /// Whether a greeting comes from the node that proved itself; true if there is no secret.
    pub(super) fn fits(&self, greeting: &Greeting) -> bool {
        match self {
            Self::Open { who, .. } => who.fits(greeting),
            _ => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::framing::{Form, RequestParser, resp};
    use crate::replication::message::Request;
    use crate::rules::Rules;
    use crate::store::clock::Timestamp;
    use crate::store::placement::Placement;

    const RIGHT: &str = "open-sesame-open-sesame";
    const WRONG: &str = "open-barley-open-barley";

    /// A node that places keys by this secret, as nodes do.
    fn replica(name: &str, said: Option<&Secret>) -> Replica {
        let identity = Identity::in_memory(name, NodeId(1), Incarnation(7));
        let key = said.and_then(|said| said.key_for(b"placement of keys").first_chunk().copied());
        let placement = Placement::new(key, [0; 16]);
        Replica::with_journal(identity, Rules::default(), Box::new(|| Timestamp::ZERO), placement, None)
    }

    fn secret(word: &str) -> Secret {
        Secret::new(word.as_bytes()).expect("long enough")
    }

    fn accepted(said: &str, also: Option<&str>) -> Accepted {
        Accepted { said: secret(said), also: also.map(secret) }
    }

    /// Runs an exchange between an initiator with one secret and a guard that accepts others. `heard` records what was
    /// sent.
    fn speak(
        ours: &str,
        theirs: Option<&Accepted>,
        (from, to): (&str, &str),
        heard: &mut Vec<Vec<u8>>,
    ) -> Result<(Seals, Guard), String> {
        let mut guard = Guard::default();
        let result = introduce(&secret(ours), &replica(from, Some(&secret(ours))), |request| {
            heard.push(request.clone());
            answer(&mut guard, theirs, to, &request)
        });
        result.map(|introduced| (introduced.seals, guard)).map_err(|error| error.to_string())
    }

    fn check(guard: &mut Guard, accepted: Option<&Accepted>, name: &str, request: &[u8], out: &mut Vec<u8>) -> Verdict {
        let mut parser = RequestParser::default();
        parser.parse(request).expect("well formed").expect("whole");
        guard.check(
            accepted,
            &replica(name, accepted.map(|accepted| &accepted.said)),
            parser.args(Form::Resp, request),
            out,
        )
    }

    fn answer(
        guard: &mut Guard,
        accepted: Option<&Accepted>,
        name: &str,
        request: &[u8],
    ) -> Result<Vec<Vec<u8>>, PeerError> {
        let mut out = Vec::new();
        match check(guard, accepted, name, request, &mut out) {
            Verdict::Refuse(why) => Err(PeerError::Refused(why)),
            Verdict::Pass => panic!("nothing passes before the proof"),
            Verdict::Answered => {
                match resp::Parser::default().parse_reply(&out).expect("well formed").expect("whole").0 {
                    resp::Frame::Array(items) => Ok(items.iter().map(<[u8]>::to_vec).collect()),
                    _ => Ok(Vec::new()),
                }
            }
        }
    }

    #[test]
    fn nodes_with_the_same_secret_admit_each_other_without_saying_it() {
        let mut heard = Vec::new();
        let (_, guard) = speak(RIGHT, Some(&accepted(RIGHT, None)), ("node1", "node2"), &mut heard).expect("admitted");
        let greeting = |name: &str, number| Greeting::in_memory(name, NodeId(number), Incarnation(7), Timestamp::ZERO);
        assert!(guard.is_open() && guard.fits(&greeting("node1", 1)));
        assert!(!guard.fits(&greeting("node3", 1)) && !guard.fits(&greeting("node1", 3)));
        assert!(!heard.concat().windows(4).any(|window| window == b"open"), "the secret does not travel");
    }

    #[test]
    fn nodes_with_different_secrets_or_none_or_the_same_name_refuse_each_other() {
        let refused = |theirs: Option<&Accepted>, names| speak(RIGHT, theirs, names, &mut Vec::new()).unwrap_err();
        assert_eq!(
            refused(Some(&accepted(WRONG, None)), ("node1", "node2")),
            "refused: node1 does not know the secret of this cluster's nodes"
        );
        assert_eq!(refused(None, ("node1", "node2")), "refused: this node was given no secret, and you have one");
        assert_eq!(refused(Some(&accepted(RIGHT, None)), ("node1", "node1")), "refused: node1 is my own name");
    }

    #[test]
    fn a_node_refuses_an_answer_in_its_own_name() {
        let ours = replica("node1", None);
        let mirror = Party::new(&ours).expect("random numbers");
        let result = introduce(&secret(RIGHT), &ours, |_| {
            let mut out = Vec::new();
            write_array(&mut out, PARTY_ITEMS);
            mirror.write(&mut out);
            match resp::Parser::default().parse_reply(&out).expect("well formed").expect("whole").0 {
                resp::Frame::Array(items) => Ok(items.iter().map(<[u8]>::to_vec).collect()),
                other => panic!("{other:?}"),
            }
        });
        assert_eq!(result.map(drop).unwrap_err().to_string(), "refused: it says that it is node1, which we are");
    }

    #[test]
    fn who_has_proved_nothing_is_told_nothing_that_follows_from_the_secret() {
        let challenged = |word: &str| {
            let (mut guard, theirs, stranger) = (Guard::default(), accepted(word, None), replica("stranger", None));
            let mut request = Vec::new();
            write_array(&mut request, 2 + PARTY_ITEMS);
            ["PEER", "AUTH"].iter().for_each(|word| write_bulk(&mut request, word.as_bytes()));
            Party::new(&stranger).expect("random numbers").write(&mut request);
            let mut told = answer(&mut guard, Some(&theirs), "node2", &request).expect("a challenge");
            let challenge = told.pop().expect("it stands last");
            (told, challenge)
        };
        let (one, other) = (challenged(RIGHT), challenged(WRONG));
        assert_eq!(one.0, other.0, "all but the challenge is the same for every secret");
        assert_ne!(one.1, challenged(RIGHT).1, "the challenge is drawn anew");
    }

    /// A request PEER AUTH of these items.
    fn introduction(items: &[&[u8]]) -> Vec<u8> {
        let mut request = Vec::new();
        write_array(&mut request, 2 + items.len());
        [&b"PEER"[..], b"AUTH"].iter().chain(items).for_each(|word| write_bulk(&mut request, word));
        request
    }

    #[test]
    fn who_introduces_himself_with_what_no_node_says_is_refused() {
        let theirs = accepted(RIGHT, None);
        let introduce = |name: &[u8], number: &[u8], incarnation: &[u8], challenge: &[u8]| {
            let request = introduction(&[name, number, incarnation, challenge]);
            answer(&mut Guard::default(), Some(&theirs), "node2", &request)
        };
        let (number, incarnation, challenge) = ([0, 1], [7; 8], [5; CHALLENGE_BYTES]);
        assert_eq!(introduce(b"node1", &number, &incarnation, &challenge).expect("a good one").len(), PARTY_ITEMS);
        for (name, number, incarnation, challenge) in [
            (&b"two words"[..], &number[..], &incarnation[..], &challenge[..]),
            (b"", &number, &incarnation, &challenge),
            (b"node1", &[0, 0], &incarnation, &challenge),
            (b"node1", &[1], &incarnation, &challenge),
            (b"node1", &number, &incarnation[1..], &challenge),
            (b"node1", &number, &incarnation, &challenge[1..]),
            (b"node1", &number, &incarnation, &[5; CHALLENGE_BYTES + 1]),
            (b"node1", &number, &incarnation, b""),
        ] {
            let refused = introduce(name, number, incarnation, challenge).unwrap_err();
            assert_eq!(refused.to_string(), "refused: PEER AUTH name number incarnation challenge");
        }
    }

    #[test]
    fn each_step_is_taken_once_and_only_the_proof_opens() {
        let (mut guard, theirs) = (Guard::default(), accepted(RIGHT, None));
        let first = introduction(&[b"node1", &[0, 1], &[7; 8], &[5; CHALLENGE_BYTES]]);
        let mut proof = Vec::new();
        write_array(&mut proof, 3);
        [&b"PEER"[..], b"PROVE", b"any"].iter().for_each(|word| write_bulk(&mut proof, word));
        let refused =
            |guard: &mut Guard, request: &[u8]| answer(guard, Some(&theirs), "node2", request).unwrap_err().to_string();
        let once = "refused: say PEER AUTH, then PEER PROVE, each once";
        assert_eq!(refused(&mut guard, &proof), once, "before the challenge");
        answer(&mut guard, Some(&theirs), "node2", &first).expect("a challenge");
        assert!(!guard.is_open() && guard.seal().is_none(), "a challenge is no proof");
        assert_eq!(refused(&mut guard, &first), once, "another challenge");
        assert!(!guard.is_open());
    }

    #[test]
    fn what_one_side_has_sealed_cannot_be_sent_back_to_it() {
        let theirs = accepted(RIGHT, None);
        let (mut seals, mut guard) =
            speak(RIGHT, Some(&theirs), ("node1", "node2"), &mut Vec::new()).expect("admitted");
        let sealed = |seal: &mut Seal| -> Tag {
            let mut out = Vec::new();
            seal.write_reply(&mut out, |out| out.extend_from_slice(b"+OK\r\n"));
            *out[b"$16\r\n".len()..].first_chunk().expect("a tag")
        };
        let (ours, answer) = (sealed(&mut seals.sent), sealed(guard.seal().expect("it is open")));
        assert_ne!(ours, answer, "each direction has a key of its own");
        assert!(seals.received.fits_reply(&answer, b"+OK\r\n"));
    }

    /// What a node answers to a proof, and whether the initiator finds that it places keys alike.
    fn placed(ours: &str, theirs: &Accepted, placed_by: &str) -> (Vec<u8>, bool) {
        let (mut guard, mut last) = (Guard::default(), Vec::new());
        let node2 = replica("node2", Some(&secret(placed_by)));
        let introduced = introduce(&secret(ours), &replica("node1", Some(&secret(ours))), |request| {
            let (mut parser, mut out) = (RequestParser::default(), Vec::new());
            parser.parse(&request).expect("well formed").expect("whole");
            let verdict = guard.check(Some(theirs), &node2, parser.args(Form::Resp, &request), &mut out);
            assert!(matches!(verdict, Verdict::Answered));
            match resp::Parser::default().parse_reply(&out).expect("well formed").expect("whole").0 {
                resp::Frame::Array(items) => last = items.iter().map(<[u8]>::to_vec).collect(),
                other => panic!("{other:?}"),
            }
            Ok(last.clone())
        });
        (last[1].clone(), introduced.expect("admitted").places_alike)
    }

    #[test]
    fn an_initiator_learns_whether_the_other_places_keys_alike_and_nobody_else_does() {
        let theirs = accepted(RIGHT, None);
        let (one, alike) = placed(RIGHT, &theirs, RIGHT);
        assert!(alike);
        assert_ne!(one, placed(RIGHT, &theirs, RIGHT).0, "what is told is of this exchange alone");
        assert!(!placed(RIGHT, &theirs, WRONG).1);
        let replaced = accepted(WRONG, Some(RIGHT));
        assert!(placed(RIGHT, &replaced, RIGHT).1, "a node places as it has begun, while its secret is replaced");
        assert!(!placed(RIGHT, &replaced, WRONG).1);
    }

    #[test]
    fn while_a_secret_is_replaced_both_are_accepted() {
        for ours in [RIGHT, WRONG] {
            let (mut seals, mut guard) =
                speak(ours, Some(&accepted(WRONG, Some(RIGHT))), ("node1", "node2"), &mut Vec::new())
                    .expect("admitted");
            let mut request = Vec::new();
            seals.sent.write_request(&mut request, |out| Request::Root.encode(out));
            let (seal, message) = request.split_at(request.len() - b"*1\r\n$6\r\nDIGEST\r\n".len());
            let mut check = |request| check(&mut guard, None, "node2", request, &mut Vec::new());
            assert!(matches!(check(seal), Verdict::Answered));
            assert!(matches!(check(message), Verdict::Pass), "the keys are those of the secret that was proved");
            assert!(matches!(check(message), Verdict::Refuse(_)), "without a seal");
        }
    }

    #[test]
    fn a_recorded_proof_cannot_be_replayed() {
        let (mut heard, theirs) = (Vec::new(), accepted(RIGHT, None));
        speak(RIGHT, Some(&theirs), ("node1", "node2"), &mut heard).expect("admitted");
        let mut guard = Guard::default();
        answer(&mut guard, Some(&theirs), "node2", &heard[0]).expect("any node may introduce itself");
        let replayed = answer(&mut guard, Some(&theirs), "node2", &heard[1]).unwrap_err();
        assert_eq!(replayed.to_string(), "refused: node1 does not know the secret of this cluster's nodes");
    }
}
