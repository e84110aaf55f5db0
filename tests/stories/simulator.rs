//! The simulator's files, for the programs that tell stories or measure: a cluster without a judge.

#[path = "../simulation/cluster.rs"]
pub(crate) mod cluster;
#[path = "../simulation/cost.rs"]
pub(crate) mod cost;
#[path = "../simulation/describe.rs"]
pub(crate) mod describe;
#[path = "../simulation/grammar.rs"]
pub(crate) mod grammar;
#[path = "../simulation/invariants.rs"]
pub(crate) mod invariants;
#[path = "../simulation/judge.rs"]
pub(crate) mod judge;
#[path = "../simulation/network.rs"]
pub(crate) mod network;
#[path = "../simulation/node.rs"]
pub(crate) mod node;
#[path = "../simulation/script.rs"]
pub(crate) mod script;
#[path = "../simulation/stage.rs"]
pub(crate) mod stage;
#[path = "../simulation/trace.rs"]
pub(crate) mod trace;
