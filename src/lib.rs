//! A distributed key-value store to learn from and to keep running.
//!
//! Every node takes reads and writes. A write is applied where it arrives, answered, and sent to all peers at once; every few
//! seconds the nodes compare all that they hold; the newest write wins everywhere, deletes included.
//!
//! # The map, in reading order
//!
//! | module | what it is about |
//! |---|---|
//! | [`store`] | What is stored: versions, the one merge rule, the hash tree that finds differences. |
//! | [`replication`] | How nodes agree: the peer protocol, the round that makes two stores equal, the forgetting of deletes. |
//! | [`rules`] | The rules of that agreement, each of which can be switched off to see what it is for. |
//! | [`framing`], [`commands`] | Bytes to words and back; what a client may ask for, in a plain line or as a Redis client. |
//! | [`node`] | The threads and sockets around all this. |
//! | [`config`], [`options`], [`limits`], [`secret`], [`program`] | What a node is told, and what the programs share. |
//!
//! [`store`] and [`replication`] know nothing of sockets, threads, chance and the time of day, which come in as arguments. So the
//! code that runs in a node is the very code that `tests/simulation` drives through lost messages and broken clocks. (The
//! peer protocol uses the framing of [`framing::resp`], which is as pure.)

#![forbid(unsafe_code)]

pub mod commands;
pub mod config;
pub mod framing;
pub mod limits;
pub mod node;
pub mod options;
pub mod program;
pub mod replication;
pub mod rules;
pub mod secret;
pub mod store;
