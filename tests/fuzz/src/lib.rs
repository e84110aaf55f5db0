//! Bytes from strangers, against everything that reads bytes.
//!
//! The targets in `fuzz_targets` give the entry points what libFuzzer makes up; `tests/properties.rs` gives the same
//! entry points what proptest makes up. The targets are `line`, `resp`, `peer` and `session`. They need a nightly Rust,
//! a C++ compiler and cargo-fuzz. In the repository's root:
//!
//! ```sh
//! rustup toolchain install nightly
//! cargo install cargo-fuzz
//! target=session
//! mkdir -p tests/fuzz/corpus/$target
//! cargo +nightly fuzz run --fuzz-dir tests/fuzz $target tests/fuzz/corpus/$target tests/fuzz/seeds/$target -- \
//!   -max_total_time=600 -detect_leaks=0
//! ```
//!
//! libFuzzer writes the inputs that it finds into the first folder: never name `seeds` first. `session` needs
//! `-detect_leaks=0`, because what belongs to a session's thread that is just ending looks like a leak.

pub mod entry_points;
