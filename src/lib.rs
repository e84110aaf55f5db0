//! kvstore
pub mod limits;
pub mod protocol;
pub mod rules;
pub mod store;
