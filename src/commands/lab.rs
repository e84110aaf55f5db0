//! The lab: faults on request, in a node that was started with `--lab`. Elsewhere they are refused.

use super::call::{Call, DONE, Flow, Outcome};
use super::failure::Failure;
use super::host::{Lab, UnknownPeer};
use super::spec::{Flag, Flags, Keys, Spec};
use super::words::integer;
use crate::limits::MAX_LAB_DELAY_MS;

/// The family's part of the table. Redis has none of these.
pub(super) const COMMANDS: &[Spec] = &[
    Spec {
        name: "CUT",
        usage: "CUT peer",
        summary: "from now on no message between this node and a peer arrives",
        arity: 2,
        function: cut,
        ..TEMPLATE
    },
    Spec { name: "MEND", usage: "MEND peer", summary: "ends a cut, and a delay", arity: 2, function: mend, ..TEMPLATE },
    Spec {
        name: "DELAY",
        usage: "DELAY peer|disk ms",
        summary: "what a peer sends is handled so much later; or each sync of the disk takes longer",
        arity: 3,
        function: delay,
        ..TEMPLATE
    },
    Spec {
        name: "CLOCK",
        usage: "CLOCK [+1h|-90s|real]",
        summary: "sets this node's wall clock ahead of the machine's, or behind it; or shows it",
        arity: -1,
        function: clock,
        ..TEMPLATE
    },
    Spec {
        name: "POWERCUT",
        usage: "POWERCUT",
        summary: "the node loses what is not synced to a disk, and starts again",
        arity: 1,
        function: powercut,
        ..TEMPLATE
    },
];

/// What all of them have in common. None waits for the data, and none belongs into a transaction.
const TEMPLATE: Spec = Spec {
    name: "",
    usage: "",
    summary: "",
    arity: 0,
    keys: Keys::NONE,
    flags: Flags::of(&[Flag::Lab, Flag::Loading, Flag::NoMulti, Flag::Operator]),
    group: "lab",
    since: "0.1.0",
    complexity: "O(1)",
    function: clock,
};

fn cut(call: &mut Call<'_>) -> Outcome {
    lab(call)?.cut(&name(call)).map_err(unknown)?;
    call.answer.ok();
    DONE
}

fn mend(call: &mut Call<'_>) -> Outcome {
    lab(call)?.mend(&name(call)).map_err(unknown)?;
    call.answer.ok();
    DONE
}

fn delay(call: &mut Call<'_>) -> Outcome {
    let millis: u64 = integer(call.word(1))?;
    if millis > MAX_LAB_DELAY_MS {
        return Err(Failure::error(format!("a delay has at most {MAX_LAB_DELAY_MS} ms")));
    }
    lab(call)?.delay(&name(call), millis).map_err(unknown)?;
    call.answer.ok();
    DONE
}

fn clock(call: &mut Call<'_>) -> Outcome {
    call.at_most(1)?;
    let lab = lab(call)?;
    if call.args.is_empty() {
        let text = format!("{}, {} ms ahead of the machine's", call.replica.wall().rfc3339(), lab.clock_ahead_ms());
        call.answer.value(Some(text.as_bytes()));
        return DONE;
    }
    let ahead = parse_clock(call.word(0));
    let ahead = ahead.ok_or_else(|| Failure::error("type CLOCK +1h, CLOCK -90s, CLOCK +1h30m, or CLOCK real"))?;
    if !lab.set_clock(ahead) {
        return Err(Failure::error("no node runs with a clock before 2020 or after 2189"));
    }
    call.answer.ok();
    DONE
}

/// How far ahead a clock is to be, in milliseconds.
fn parse_clock(word: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(word).ok()?;
    if text.eq_ignore_ascii_case("real") {
        return Some(0);
    }
    let (sign, time) = text.strip_prefix('+').map(|time| (1, time)).or_else(|| Some((-1, text.strip_prefix('-')?)))?;
    let millis = i64::try_from(humantime::parse_duration(time).ok()?.as_millis()).ok()?;
    Some(sign * millis)
}

/// As a power cut does, this answers nothing: the connection ends.
fn powercut(call: &mut Call<'_>) -> Outcome {
    lab(call)?.cut_power();
    Ok(Flow::End)
}

fn lab<'a>(call: &'a Call<'_>) -> Result<&'a dyn Lab, Failure> {
    call.host.lab().ok_or_else(|| Failure::without_lab(call.spec.name))
}

/// The peer that the command names.
fn name(call: &Call<'_>) -> String {
    String::from_utf8_lossy(call.word(0)).into_owned()
}

fn unknown(unknown: UnknownPeer) -> Failure {
    Failure::error(format!("no such peer: type one of [{}]", unknown.known.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_ahead_or_behind_or_real() {
        let ahead = |text: &str| parse_clock(text.as_bytes());
        assert_eq!(ahead("+1h"), Some(3_600_000));
        assert_eq!(ahead("-90s"), Some(-90_000));
        assert_eq!(ahead("+1h30m"), Some(5_400_000));
        assert_eq!(ahead("REAL"), Some(0));
        for bad in ["", "+", "1h", "-", "soon", "+1", "++1h", "+600000000000years"] {
            assert_eq!(ahead(bad), None, "{bad}");
        }
    }
}
