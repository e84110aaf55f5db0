//! kvstore
pub mod limits;
pub mod protocol;
pub mod replication;
pub mod rules;
pub mod store;
