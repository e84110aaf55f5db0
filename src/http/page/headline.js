// The one line at the top: how many keys differ now, and which tombstones wait for whom.

function headline(kind, text) {
  $("now").className = `now ${kind}`;
  say($("now"), text);
}

function showHeadline(state) {
  const off = state.nodes.filter(node => !node.running).map(node => node.name);
  const on = running(state);
  const parts = [];
  let kind = "same";
  if (state.nodes.length === 1) {
    const [node] = state.nodes;
    kind = "unknown";
    parts.push(
      node.running
        ? `${node.name} holds ${count(node.keys, "key")}. What its peers hold is not known from here`
        : `${node.name} is stopped`,
    );
  } else if (on.length < 2) {
    kind = "unknown";
    parts.push(on.length ? `Only ${on[0].name} runs: there is nothing to compare` : "No node runs");
  } else if (state.differing.keys === 0 && !state.differing.are_more) {
    parts.push(`${on.length === 2 ? "Both nodes" : `All ${on.length} nodes`} hold the same: 0 keys differ`);
  } else {
    kind = "differ";
    const n = state.differing.keys;
    parts.push(
      `${state.differing.are_more ? "At least " : ""}${count(n, "key")} ${n === 1 ? "differs" : "differ"} now` +
        settledPart(state.differing),
    );
  }
  if (off.length && on.length) parts.push(`${off.join(", ")} ${off.length === 1 ? "is" : "are"} stopped`);
  parts.push(whoIsAwaited(on));
  headline(kind, `${parts.filter(Boolean).join(" · ")}.`);
}

/** How many tombstones wait, and for whom or what. What the stores count is what the cards show, too. */
function whoIsAwaited(nodes) {
  const most = Math.max(0, ...nodes.map(node => node.waiting));
  if (!most) return "no tombstone waits";
  const what = `${count(most, "tombstone")} ${most === 1 ? "waits" : "wait"}`;
  const until = Math.max(0, ...nodes.map(node => node.waits_until_ms || 0));
  const unconfirmed = nodes.flatMap(node => node.peers.filter(peer => peer.waiting).map(peer => peer.name));
  const away = nodes.filter(node => node.waiting).flatMap(node => node.held_by.map(holdup));
  const reasons = unconfirmed.length ? [`for ${[...new Set(unconfirmed)].join(" and ")}`] : [];
  if (until) {
    const [whose, it] = most === 1 ? ["its", "it"] : ["their", "them"];
    reasons.push(`until ${whose} time has come, ${secondOf(until)} (a clock ahead has written ${it})`);
  }
  if (!reasons.length) reasons.push(away.length ? `: ${[...new Set(away)].join(", ")}` : "for the next round");
  return `${what} ${reasons.join(", and ")}`.replace(" :", ":");
}

/** Of how many keys that differ the nodes hold the same delete, but only some know that all others hold it, too. */
function settledPart({ keys, only_settled: n }) {
  if (!n) return "";
  return n === keys ? " (only whether a delete is settled)" : ` (${n} only in whether a delete is settled)`;
}
