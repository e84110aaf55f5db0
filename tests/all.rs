//! The tests that may run side by side, in one program: so they are built once, and while some wait, others run. Each
//! module is about one claim, or one family of them.
//!
//! What measures the whole process, or takes every core, has a program of its own: `simulation`, `stories`, `chaos`,
//! `lab`, `page`, `hostile_memory`, `starts_and_stops`.

mod common;

mod admission;
mod clients;
mod commands;
mod conflicts;
mod counters;
mod disk;
mod expiry;
mod export;
mod faults;
mod foreign_clients;
mod hostile_clients;
mod info_and_log;
mod long_commands;
mod members;
mod metrics;
mod persistence;
mod programs;
mod propagation;
mod properties;
mod readme;
mod rounds;
mod secrets;
mod security;
mod small_commands;
mod store;
mod three_nodes;
mod transactions;
mod waiting;
mod wire;
