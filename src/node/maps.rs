//! How many memory maps the connections of this process need. Linux gives a process only so many (`vm.max_map_count`);
//! a thread needs some of them for its stack. When there are none left, no connection is served, and an allocation may
//! fail, which ends the process. So the operator is told at the start. Everybody who connects counts, admitted or not,
//! since each has a thread.

use std::fs;

use log::warn;

use crate::limits::{MAPS_A_CONNECTION, OWN_MAPS, PEER_RESERVE, TURNED_AWAY_AT_ONCE};

/// Warns if this machine does not allow enough maps for so many clients of so many nodes (`--max-connections`).
pub(super) fn warn_if_too_few(clients: usize, nodes: usize) {
    let allowed = fs::read_to_string("/proc/sys/vm/max_map_count").ok().and_then(|text| text.trim().parse().ok());
    allowed.and_then(|allowed| complaint(clients, nodes, allowed)).iter().for_each(|complaint| warn!("{complaint}"));
}

/// What to tell the operator, if `allowed` maps are too few.
fn complaint(clients: usize, nodes: usize, allowed: usize) -> Option<String> {
    let connections = clients + nodes * (PEER_RESERVE + TURNED_AWAY_AT_ONCE);
    let needed = connections * MAPS_A_CONNECTION + OWN_MAPS;
    (needed > allowed).then(|| {
        let enough = needed.next_power_of_two();
        format!(
            "{clients} clients (--max-connections) may need {needed} memory maps, and this machine allows {allowed}: \
             sysctl -w vm.max_map_count={enough} allows enough"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_fits_into_what_linux_allows_and_twice_as_much_does_not() {
        assert_eq!(complaint(10_000, 1, 65_530), None);
        assert_eq!(
            complaint(20_000, 1, 65_530).expect("too few"),
            "20000 clients (--max-connections) may need 81536 memory maps, and this machine allows 65530: sysctl -w \
             vm.max_map_count=131072 allows enough"
        );
        assert_eq!(complaint(20_000, 1, 81_536), None, "exactly enough");
        assert!(complaint(10_000, 2, 65_530).is_none() && complaint(2 * 10_000, 2, 65_530).is_some());
    }
}
