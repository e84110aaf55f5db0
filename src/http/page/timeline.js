// The time line: a lane for each node, and the messages as arrows between them.

const timeline = {
  drawn: 0,

  show(state, now) {
    if (now - this.drawn < (view.paused ? 30 : 90)) return;
    this.drawn = now;
    const width = Math.max(320, $("time").clientWidth || 800),
      span = +$("zoom").value;
    const names = net.members(state),
      lane = 46,
      height = names.length * lane + 20;
    const left = 78,
      x = t => left + ((t - (view.at - span * 0.9)) / span) * (width - left - 8);
    const y = name => 22 + names.indexOf(name) * lane;
    $("time").setAttribute("viewBox", `0 0 ${width} ${height}`);
    $("time").setAttribute("height", height);
    const parts = [];
    for (let tick = 0; tick <= 10; tick++) {
      const at = view.at - span * 0.9 + (span * tick) / 10;
      parts.push(svg("line", { class: "tick", x1: x(at), x2: x(at), y1: 8, y2: height - 20 }));
    }
    names.forEach((name, index) => {
      parts.push(svg("line", { class: "lane", x1: left, x2: width, y1: y(name), y2: y(name) }));
      const text = svg("text", {
        class: "own",
        x: 0,
        y: y(name) + 4,
        text: name.length > 11 ? `${name.slice(0, 10)}…` : name,
      });
      text.style.fill = ownColour(index);
      parts.push(text);
    });
    parts.push(svg("line", { class: "play", x1: x(view.at), x2: x(view.at), y1: 6, y2: height - 18 }));
    parts.push(
      svg("text", { x: left, y: height - 4, text: clockTime(view.at - span * 0.9) }),
      svg("text", { x: x(view.at), y: height - 4, "text-anchor": "end", text: clockTime(view.at) }),
    );
    const clip = svg("clipPath", { id: "lanes" }, svg("rect", { x: left - 4, y: 0, width: width - left + 4, height }));
    const arrows = svg("g", { "clip-path": "url(#lanes)" }, ...this.arrows(x, y, span, names, width));
    $("time").replaceChildren(clip, ...parts, arrows);
  },

  /** The arrows in the window. Where they would cover each other, one stands for several. */
  arrows(x, y, span, names, width) {
    const from = view.at - span,
      to = view.at + span * 0.1;
    const places = new Map();
    for (let i = known.messages.length - 1; i >= 0; i--) {
      const message = known.messages[i];
      if (message.sent_ms < from) break;
      if (message.sent_ms > to || !names.includes(message.from) || !names.includes(message.to)) continue;
      const place = `${message.from} ${message.to} ${message.kind} ${Math.round(x(message.sent_ms) / 4)}`;
      const there = places.get(place);
      if (there && message !== view.chosen) there.count += message.requests;
      else places.set(place, { message, count: message.requests + (there ? there.count : 0) });
    }
    const parts = [],
      rows = new Map();
    for (const { message, count: requests } of places.values()) {
      parts.push(this.arrow(message, requests, x, y));
      const row = `${message.from} ${message.to}`;
      rows.set(row, [...(rows.get(row) || []), { message, requests, x: x(message.sent_ms) }]);
    }
    // Labels of arrows that begin at one side of a lane must not cover each other.
    const taken = new Map();
    for (const row of rows.values()) parts.push(...this.labels(row, y, taken, width));
    return parts;
  },

  arrow(message, requests, x, y) {
    const [x1, x2, x3] = [0, 0.5, 1].map(part => x(message.sent_ms + message.took_ms * part));
    const [y1, y2] = [y(message.from), y(message.to)];
    const sign = Math.sign(y2 - y1);
    const kind = `arrow${requests > 1 ? " several" : ""}${message === view.chosen ? " chosen" : ""}`;
    const end = { x1, y1, x2, y2: y2 - sign * 5 };
    const g = svg(
      "g",
      // A click would come too late: by then the arrows are drawn anew.
      { class: `hit ${message.kind}${message.failed ? " failed" : ""}`, onpointerdown: () => goTo(message) },
      svg("line", { class: "near", ...end }),
      svg("line", { class: kind, ...end }),
      svg("path", { class: "tip", d: `M${x2} ${y2}l-4 ${-sign * 8}h8z` }),
    );
    if (x3 - x1 > 6) g.append(svg("line", { class: "back", x1: x2, y1: y2, x2: x3, y2: y1 }));
    return g;
  },

  /** A label for each bundle of arrows in one direction. */
  labels(row, y, taken, width) {
    const bundles = [];
    for (const arrow of row.reverse()) {
      const last = bundles[bundles.length - 1];
      if (last && arrow.x - last.x < 60) {
        last.requests += arrow.requests;
        last.writes += writesOf(arrow);
        last.kinds.add(arrow.message.kind);
        last.failed = last.failed || arrow.message.failed;
      } else {
        const { kind, failed } = arrow.message;
        bundles.push({ ...arrow, kinds: new Set([kind]), failed, writes: writesOf(arrow) });
      }
    }
    return bundles.flatMap(({ x, message, requests, writes, kinds, failed }) => {
      const isRound = kinds.has("CONFIRM") || kinds.has("DIGEST") || kinds.size > 1;
      const alone = requests > 1 ? times(message.kind, requests) : message.kind;
      const text = isRound ? roundText(requests, writes, width) : alone;
      const [y1, y2] = [y(message.from), y(message.to)];
      const side = `${message.from} ${y2 > y1}`,
        room = 6.7 * text.length + 8;
      const at = Math.min(x + 5, width - room);
      if (at < (taken.get(side) ?? -Infinity)) return [];
      taken.set(side, at + room);
      const place = { x: at, y: y1 + (y2 > y1 ? 15 : -7) };
      return [svg("text", { class: `kind ${failed ? "failed" : isRound ? "round" : message.kind}`, ...place, text })];
    });
  },
};

const times = (kind, n) => `${kind} × ${n.toLocaleString("en")}`;
const writesOf = ({ message, requests }) => (message.kind === "PROPAGATE" ? requests : 0);

/** The label of a bundle with a round in it. Many writes are more than a round. */
function roundText(requests, writes, width) {
  if (width < 450) return "round";
  if (writes > 9) return `round, ${times("PROPAGATE", writes)}`;
  return requests > 1 ? `round, ${count(requests, "message")}` : "round";
}

/** What a message said, for people; then as the nodes put it. */
function explain(message) {
  if (!message) return view.paused ? "No message is known from before this moment." : "";
  const more = message.requests > 1 ? ` (and ${count(message.requests - 1, "more request")})` : "";
  const took = message.took_ms ? ` in ${message.took_ms.toFixed(2)} ms` : "";
  return (
    `${clockTime(message.sent_ms)} ${message.from} → ${message.to}: ${message.request}${more}\n` +
    `⇒ ${message.failed ? "failed: " : ""}${message.reply}${took}`
  );
}
