#![no_main]

use std::cell::RefCell;

use kvstore_fuzz::entry_points::Target;
use libfuzzer_sys::fuzz_target;

thread_local! {
    static TARGET: RefCell<Target> = RefCell::default();
}

fuzz_target!(|bytes: &[u8]| TARGET.with_borrow_mut(|target| target.session(bytes)));
