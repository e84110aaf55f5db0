#![no_main]

use kvstore_fuzz::entry_points;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| entry_points::resp(bytes));
