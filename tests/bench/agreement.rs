//! What one round of anti-entropy costs, in bytes, requests and time: `cargo bench --bench agreement`.
//!
//! Two replicas in one process, every message encoded and decoded; no sockets. The limits of the bytes are asserted by
//! `tests/stories.rs`.

#[path = "../stories/simulator.rs"]
#[allow(dead_code, reason = "the bench needs only a part of the simulator")]
mod simulator;

use simulator::cost;

fn main() {
    println!("\nall keys differ, with their values:\n{}       time", cost::HEAD);
    for are_counted in [false, true, false, true] {
        let cost = cost::measure_counters(100_000, are_counted);
        println!("{cost} {:>10.1?}  {}", cost.time, if are_counted { "counters" } else { "values of eight bytes" });
    }
    for keys in [10_000, 1_000_000] {
        for with_digests in [true, false] {
            let how = if with_digests { "comparing digests" } else { "listing all keys, as a full exchange would" };
            println!("\n{how}:\n{}       time", cost::HEAD);
            for cost in cost::measure(keys, &cost::DIFFERING, with_digests) {
                println!("{cost} {:>10.1?}", cost.time);
            }
        }
    }
}
