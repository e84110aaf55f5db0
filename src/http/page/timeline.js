// The time line: a lane for each node, and the messages as arrows between them.

const timeline = {
  drawn: 0,

  show(state, now) {
    if (now - this.drawn < (view.paused ? 30 : 90)) return;
    this.drawn = now;
    const width = Math.max(320, $("time").clientWidth || 800),
      span = +$("zoom").value;
    const names = net.members(state),
      lane = 54,
      height = names.length * lane + 26;
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
    parts.push(...this.arrows(x, y, span, names));
    $("time").replaceChildren(...parts);
  },

  /** The arrows in the window. Where they would cover each other, one stands for several. */
  arrows(x, y, span, names) {
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
      labelled = new Map();
    for (const { message, count: requests } of places.values()) {
      const [x1, x2, x3] = [0, 0.5, 1].map(part => x(message.sent_ms + message.took_ms * part));
      const [y1, y2] = [y(message.from), y(message.to)];
      const sign = Math.sign(y2 - y1);
      const g = svg("g", { class: `${message.kind}${message.failed ? " failed" : ""}` });
      g.append(
        svg("line", { class: message === view.chosen ? "arrow chosen" : "arrow", x1, y1, x2, y2: y2 - sign * 5 }),
        svg("path", { class: "tip", d: `M${x2} ${y2}l-4 ${-sign * 8}h8z` }),
      );
      if (x3 - x1 > 6) g.append(svg("line", { class: "back", x1: x2, y1: y2, x2: x3, y2: y1 }));
      const row = `${message.from} ${sign}`,
        last = labelled.get(row) ?? Infinity;
      const label = requests > 1 ? `${message.kind} × ${requests}` : message.kind;
      if (last - x1 > 7 * label.length + 6) {
        labelled.set(row, x1);
        g.append(svg("text", { class: "kind", x: x1 + 5, y: y1 + sign * (sign > 0 ? 16 : 9), text: label }));
      }
      parts.push(g);
    }
    return parts;
  },
};

/** What a message said, for people. */
function explain(message) {
  if (!message) return view.paused ? "No message before this moment." : "";
  const more = message.requests > 1 ? ` (and ${count(message.requests - 1, "more request")})` : "";
  const took = message.took_ms ? ` in ${message.took_ms.toFixed(2)} ms` : "";
  return (
    `${clockTime(message.sent_ms)} ${message.from} → ${message.to}: ${message.request}${more}\n` +
    `⇒ ${message.failed ? "failed: " : ""}${message.reply}${took}`
  );
}
