// A card for each node: its facts, its links, its clock, its command line.

const cards = {
  all: new Map(),

  show(state) {
    const names = state.nodes.map(node => node.name).join();
    if (names !== this.names) {
      this.names = names;
      this.all.clear();
      $("nodes").replaceChildren(...state.nodes.map((node, index) => this.build(node, index)));
    }
    state.nodes.forEach(node => this.update(state, node));
    maps.show(state);
  },

  build(node, index) {
    const card = { root: el("article", { class: "card node", "aria-label": node.name }) };
    card.root.style.setProperty("--own", ownColour(index));
    const run = event => {
      event.preventDefault();
      const line = card.input.value.trim();
      if (line) command(node.name, line);
      card.input.value = "";
    };
    card.state = el("span", { class: "badge" });
    card.toggle = el("button", { onclick: () => turn(node.name, card.isRunning ? "stop" : "start") });
    card.facts = el("dl", { class: "facts" });
    card.links = el("ul", { class: "links" });
    card.peers = new Map();
    const clock = offset => () => command(node.name, `CLOCK ${offset}`);
    card.clock = el(
      "div",
      { class: "tools", role: "group", "aria-label": `Clock of ${node.name}` },
      el("span", { class: "small soft", text: "Clock" }),
      ...[
        ["+1 h", "+1h"],
        ["−1 h", "-1h"],
        ["real", "real"],
      ].map(([text, to]) => el("button", { text, onclick: clock(to), "aria-label": `Clock ${text}` })),
    );
    card.input = el("input", {
      list: "commands",
      placeholder: "SET colour red",
      autocomplete: "off",
      spellcheck: "false",
      "aria-label": `A command for ${node.name}`,
      maxlength: 60000,
    });
    card.run = el("button", { text: "Run" });
    card.answers = el("div", { class: "answers", role: "log", tabindex: "0", "aria-label": `Answers of ${node.name}` });
    card.map = maps.build(node.name);
    card.root.append(
      el(
        "div",
        { class: "head" },
        el("h3", { text: node.name }),
        card.state,
        el("span", { class: "soft", text: node.address }),
        el("span", {}, card.toggle),
      ),
      el(
        "div",
        { class: "split" },
        card.map,
        el("div", {}, card.facts, card.links, el("div", { class: "small" }, card.clock)),
      ),
      el("form", { class: "line", onsubmit: run }, card.input, card.run),
      card.answers,
    );
    this.all.set(node.name, card);
    return card.root;
  },

  update(state, node) {
    const card = this.all.get(node.name);
    card.isRunning = node.running;
    const [kind, text] = node.running ? (node.loading ? ["warn", "loading"] : ["good", "runs"]) : ["bad", "stopped"];
    card.state.className = `badge ${kind}`;
    say(card.state, text);
    say(card.toggle, node.running ? "Stop" : "Start");
    card.toggle.setAttribute("aria-label", `${node.running ? "Stop" : "Start"} ${node.name}`);
    [card.input, card.run].forEach(part => {
      part.disabled = !node.running;
    });
    card.clock.querySelectorAll("button").forEach(button => {
      button.disabled = !node.running;
    });
    this.facts(
      card,
      node.running
        ? factsOf(node)
        : [["Memory", node.on_disk ? "on its disk; it comes back with that" : "gone; it comes back empty"]],
    );
    this.links(state, card, node);
    card.clock.hidden = !node.lab;
  },

  facts(card, facts) {
    const key = JSON.stringify(facts);
    if (key === card.factsKey) return;
    card.factsKey = key;
    card.facts.replaceChildren(
      ...facts.flatMap(([name, value]) => [el("dt", { text: name }), el("dd", { text: value })]),
    );
  },

  links(state, card, node) {
    const peers = node.peers || [];
    if (peers.map(peer => peer.name).join() !== card.peersKey) {
      card.peersKey = peers.map(peer => peer.name).join();
      card.peers.clear();
      card.links.replaceChildren(...peers.map(peer => this.buildLink(card, node, peer)));
    }
    for (const peer of peers) {
      const link = card.peers.get(peer.name);
      link.cutters = cutters(state, node.name, peer.name);
      const cut = link.cutters.length > 0;
      link.tools.hidden = !node.lab;
      const [kind, text] = cut ? ["bad", "cut"] : peer.up ? ["good", "up"] : ["bad", "down"];
      link.badge.className = `badge ${kind}`;
      say(link.badge, text);
      const parts = [];
      if (peer.delay_ms) parts.push(`what it sends comes ${peer.delay_ms} ms late`);
      if (peer.queued) parts.push(`${count(peer.queued, "key")} queued`);
      if (peer.waiting)
        parts.push(`${count(peer.waiting, "tombstone")} ${peer.waiting === 1 ? "waits" : "wait"} for it`);
      parts.push(
        peer.round_ok === null
          ? "no round yet"
          : `last round${peer.round_ok ? "" : " failed"} ${Math.floor(peer.round_age_ms / 1000)} s ago`,
      );
      say(link.text, parts.join(", "));
      say(link.cut, cut ? "Mend" : "Cut");
      say(link.delay, peer.delay_ms ? "No delay" : "Delay 500 ms");
    }
  },

  buildLink(card, node, peer) {
    const link = { badge: el("span", { class: "badge" }), text: el("span", { class: "soft" }) };
    link.cut = el("button", {
      onclick: () => {
        if (!link.cutters.length) command(node.name, `CUT ${peer.name}`);
        link.cutters.forEach(([from, to]) => command(from, `MEND ${to}`));
      },
    });
    link.delay = el("button", {
      onclick: () => command(node.name, `DELAY ${peer.name} ${link.delay.textContent === "No delay" ? 0 : 500}`),
    });
    link.tools = el(
      "div",
      { class: "tools", role: "group", "aria-label": `Link from ${node.name} to ${peer.name}` },
      link.cut,
      link.delay,
    );
    card.peers.set(peer.name, link);
    return el(
      "li",
      {},
      el("span", { text: `to ${peer.name} ` }),
      link.badge,
      document.createTextNode(" "),
      link.text,
      link.tools,
    );
  },

  /** Shows a command and its answer on the node's card; the newest at the end, a few of them. */
  answered(name, line, text) {
    const card = this.all.get(name);
    if (!card) return;
    card.answers.append(
      el("pre", { class: "asked", text: `› ${shortLine(line)}` }),
      el("pre", { text: text || "(nothing)" }),
    );
    card.answers.classList.toggle("tall", (text.match(/\n/g) || []).length > 8);
    while (card.answers.children.length > 16) card.answers.firstChild.remove();
    card.answers.scrollTop = card.answers.scrollHeight;
  },
};

/** A command line; of a long one the beginning, and how many keys it has (only commands of keys have so many words). */
function shortLine(line) {
  if (line.length <= 80) return line;
  const words = line.split(" ");
  if (words.length < 7) return `${line.slice(0, 78)}…`;
  const isPairs = /^MSET$/i.test(words[0]);
  return `${words[0]} ${words[1]} … ${count((words.length - 1) / (isPairs ? 2 : 1), "key")}`;
}

function factsOf(node) {
  const dead = node.waiting + node.settled;
  const facts = [
    ["Keys", `${node.keys.toLocaleString("en")}${node.expiring ? ` (${node.expiring} expire)` : ""}`],
    ["Tombstones", dead ? `${dead.toLocaleString("en")} (${numbers(node)})` : "0"],
    ["Clock", `${secondOf(node.wall_ms)}, ${offsetText(node.offset_ms)}`],
  ];
  // The hybrid clock never goes back. A moment ahead is nothing to tell of.
  if (Date.parse(node.clock.split("+")[0]) > node.wall_ms + 1000)
    facts.push(["Stamps", `from ${shortTime(node.clock)} on: never back`]);
  facts.push(["Root digest", node.root]);
  if (node.conflicts) facts.push(["Conflicts", `${node.conflicts}: type CONFLICTS`]);
  if (node.rules_off.length) facts.push(["Without", node.rules_off.join(", ")]);
  if (node.waiting && node.held_by.length) facts.push(["Deletes wait", node.held_by.map(holdup).join("; ")]);
  facts.push(["Up", duration(node.uptime_s * 1000)]);
  return facts;
}
const numbers = node =>
  `${node.waiting.toLocaleString("en")} waiting, ${node.settled.toLocaleString("en")} settled`;
const HOLDUPS = {
  away: "is away",
  "just-met": "was only just met",
  "never-met": "was never met",
  "not-a-peer": "is no peer of this node",
  "configured-twice": "is configured twice",
  apart: "are apart",
  failed: "has failed",
};
/** Why deletes cannot be forgotten: `node2=away`. */
function holdup(text) {
  const at = text.lastIndexOf("=");
  return `${text.slice(0, at)} ${HOLDUPS[text.slice(at + 1)] || text.slice(at + 1)}`;
}
const offsetText = ms => (Math.abs(ms) < 500 ? "as the machine's" : `${duration(ms)} ${ms > 0 ? "ahead" : "behind"}`);
