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
      `${state.differing.are_more ? "At least " : ""}${count(n, "key")} ${n === 1 ? "differs" : "differ"} now`,
    );
  }
  if (off.length && on.length) parts.push(`${off.join(", ")} ${off.length === 1 ? "is" : "are"} stopped`);
  parts.push(whoIsAwaited(on));
  headline(kind, `${parts.filter(Boolean).join(" · ")}.`);
}

/** Which tombstones wait for whom. */
function whoIsAwaited(nodes) {
  const waiting = new Map();
  for (const node of nodes) {
    for (const peer of node.peers) {
      if (peer.waiting) waiting.set(peer.name, Math.max(peer.waiting, waiting.get(peer.name) || 0));
    }
  }
  return waiting.size
    ? [...waiting].map(([name, n]) => `${count(n, "tombstone")} ${n === 1 ? "waits" : "wait"} for ${name}`).join(", ")
    : "no tombstone waits";
}
