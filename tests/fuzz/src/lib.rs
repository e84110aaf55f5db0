//! Bytes from strangers, against everything that reads bytes.
//!
//! The targets in `fuzz_targets` hand what libFuzzer makes up to the entry points; `tests/properties.rs` hands the same entry
//! points what proptest makes up. With `cargo install cargo-fuzz` and a nightly Rust:
//!
//! ```sh
//! mkdir -p tests/fuzz/corpus/session
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz session tests/fuzz/corpus/session tests/fuzz/seeds/session -- -max_total_time=600
//! ```
//!
//! The targets: `line`, `resp`, `peer`, `session`.

pub mod entry_points;
