//! A greeting as bytes: the words of PEER, and of its reply.

use super::member::check_name;
use super::message::{Confirmation, Greeting, Heard, Incarnation, PROTOCOL, StoreId};
use super::wire::{BadMessage, decode_number, write_number};
use crate::framing::Args;
use crate::framing::resp::write_bulk;
use crate::limits::MAX_HEARD;
use crate::store::clock::Timestamp;
use crate::store::version::NodeId;

/// Protocol version, name, number, incarnation and clock: the words of a node without a disk.
pub(super) const SHORT_GREETING: usize = 5;

/// The same, and store, confirmation, and what was heard of other stores.
pub(super) const LONG_GREETING: usize = SHORT_GREETING + 3;

/// How many words a greeting has.
pub(super) fn words_of(greeting: &Greeting) -> usize {
    if greeting.is_in_memory() { SHORT_GREETING } else { LONG_GREETING }
}

pub(super) fn encode_greeting(greeting: &Greeting, out: &mut Vec<u8>) {
    write_number(out, u64::from(PROTOCOL));
    write_bulk(out, greeting.name.as_bytes());
    write_number(out, u64::from(greeting.node.0));
    write_bulk(out, greeting.incarnation.to_string().as_bytes());
    write_bulk(out, &greeting.clock.to_bits().to_be_bytes());
    if greeting.is_in_memory() {
        return;
    }
    write_bulk(out, greeting.store.to_string().as_bytes());
    write_number(out, greeting.confirmation.0);
    write_bulk(out, &greeting.heard.iter().flat_map(|heard| heard.encode()).collect::<Vec<u8>>());
}

/// The greeting in these words, behind which others may stand.
pub(super) fn decode_greeting(words: Args<'_>) -> Result<Greeting, BadMessage> {
    let protocol = decode_number(words.get(0))?;
    if protocol != u64::from(PROTOCOL) {
        return Err(BadMessage(format!("this node speaks version {PROTOCOL} of the peer protocol, not {protocol}")));
    }
    let text = |index| words.get(index).and_then(|word| std::str::from_utf8(word).ok()).unwrap_or_default();
    let name = text(1).to_string();
    check_name(&name).map_err(BadMessage)?;
    let node = u16::try_from(decode_number(words.get(2))?).ok().filter(|&node| node > 0);
    let node = node.map(NodeId).ok_or_else(|| BadMessage("a node's number is from 1 to 65535".into()))?;
    let incarnation = u64::from_str_radix(text(3), 16).ok().filter(|&number| number > 0).map(Incarnation);
    let incarnation = incarnation.ok_or_else(|| BadMessage("an incarnation is a hex number above 0".into()))?;
    let clock = words.get(4).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes).map(Timestamp::from_bits);
    let clock = clock.filter(|&clock| clock < Timestamp::YEAR_2200);
    let clock = clock.ok_or_else(|| BadMessage("a clock before the year 2200 is needed".into()))?;
    if words.len() < LONG_GREETING {
        return Ok(Greeting::in_memory(name, node, incarnation, clock));
    }
    let store = u64::from_str_radix(text(5), 16).map(StoreId);
    let store = store.map_err(|_| BadMessage("a store's number is a hex number".into()))?;
    let confirmation = Confirmation(decode_number(words.get(6))?);
    let heard = words.get(7).and_then(decode_heard);
    let heard = heard.ok_or_else(|| BadMessage("stores, confirmations and incarnations have 8 bytes each".into()))?;
    Ok(Greeting { name, node, incarnation, clock, store, confirmation, heard })
}

fn decode_heard(bytes: &[u8]) -> Option<Vec<Heard>> {
    let (heard, rest) = bytes.as_chunks::<{ Heard::BYTES }>();
    (rest.is_empty() && heard.len() <= MAX_HEARD).then(|| heard.iter().map(Heard::decode).collect())
}
