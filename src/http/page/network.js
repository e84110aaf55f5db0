// The network: the nodes in a circle, the links between them, and what travels on these.

const net = {
  key: null,
  paths: new Map(),
  lanes: new Map(),
  dots: [],
  discs: new Map(),
  marks: new Map(),

  /** All that stands in the circle: the nodes of this process, and peers elsewhere. */
  members(state) {
    const names = state.nodes.map(node => node.name);
    const guests = new Set(state.nodes.flatMap(node => (node.peers || []).map(peer => peer.name)));
    names.forEach(name => guests.delete(name));
    // A node elsewhere is told by its address until its name is known.
    return [...names, ...guests];
  },

  show(state) {
    const members = this.members(state);
    const key = JSON.stringify([members, narrow.matches]);
    if (key !== this.key) this.build(members, state);
    this.key = key;
    state.nodes.forEach((node, index) => {
      const disc = this.discs.get(node.name);
      disc.ring.setAttribute("class", `disc ${node.running ? (node.loading ? "loading" : "") : "off"}`);
      disc.ring.style.stroke = ownColour(index);
      say(disc.fact, node.running ? count(node.keys, "key") : "stopped");
      say(
        disc.more,
        node.running
          ? node.loading
            ? "loading"
            : node.waiting + node.settled
              ? count(node.waiting + node.settled, "tombstone")
              : ""
          : "",
      );
      for (const peer of node.peers || []) this.mark(state, node, peer);
      if (!node.running) members.forEach(to => this.draw(node.name, to, "down", ""));
    });
  },

  mark(state, node, peer) {
    const delay = delayOf(state, node.name, peer.name);
    if (cutters(state, node.name, peer.name).length) this.draw(node.name, peer.name, "cut", "✂ cut");
    else if (!peer.up) this.draw(node.name, peer.name, "down", peer.queued ? `down, ${peer.queued} wait` : "down");
    else if (delay) this.draw(node.name, peer.name, "delayed", `${delay} ms late`);
    else this.draw(node.name, peer.name, "", peer.queued > 20 ? `${peer.queued} wait` : "");
  },

  draw(from, to, kind, text) {
    const path = this.paths.get(`${from} ${to}`);
    if (!path) return;
    path.line.setAttribute("class", `link ${kind}`);
    path.mark.setAttribute("class", `mark ${kind || "queued"}`);
    say(path.mark, text);
  },

  /** Draws circles and links anew: only when the members have changed. */
  build(members, state) {
    const isPair = members.length <= 2,
      isMany = members.length > 6;
    // On a narrow screen the drawing is narrower, so that its letters stay large.
    const width = narrow.matches ? 400 : 640,
      height = isPair ? 176 : isMany ? 460 : 310;
    const r = isPair ? (narrow.matches ? 50 : 54) : isMany ? 36 : 46;
    const reach = { x: width / 2 - r - (isPair && !narrow.matches ? 60 : 10), y: height / 2 - r - 14 };
    $("net").setAttribute("viewBox", `0 0 ${width} ${height}`);
    const places = members.map((_, index) => {
      const angle = (2 * Math.PI * index) / members.length + (isPair ? Math.PI : -Math.PI / 2);
      return { x: width / 2 + reach.x * Math.cos(angle), y: height / 2 - 7 + (isPair ? 0 : reach.y * Math.sin(angle)) };
    });
    [this.paths, this.lanes, this.discs].forEach(map => map.clear());
    this.dots = [];
    const links = svg("g"),
      discs = svg("g");
    this.moving = svg("g", { "aria-hidden": "true" });
    members.forEach((from, i) =>
      members.forEach((to, j) => {
        if (i === j || (i >= state.nodes.length && j >= state.nodes.length)) return;
        const line = svg("path", { class: "link", d: curve(places[i], places[j], r, isPair ? 40 : 20) });
        links.append(line);
        const length = line.getTotalLength ? line.getTotalLength() : 0;
        const at = line.getPointAtLength(length * 0.5);
        const mark = svg("text", { class: "mark", x: at.x, y: at.y + 4 });
        links.append(mark);
        this.paths.set(`${from} ${to}`, { line, length, mark });
        this.lanes.set(`${from} ${to}`, { queue: [], next: 0 });
      }),
    );
    members.forEach((name, index) => {
      const { x, y } = places[index];
      const isHere = index < state.nodes.length;
      const ring = svg("circle", { class: isHere ? "disc" : "disc guest", cx: x, cy: y, r, stroke: "var(--soft)" });
      const fact = svg("text", { class: "fact", x, y: y + 15, text: isHere ? "" : "elsewhere" });
      const more = svg("text", { class: "fact", x, y: y + r + 16 });
      discs.append(ring, svg("text", { class: "name", x, y: y - 5, text: name }), fact, more);
      if (isHere) this.discs.set(name, { ring, fact, more });
    });
    $("net").replaceChildren(links, discs, this.moving);
  },

  /** A message is to be seen. What comes faster than it can be seen is shown together. */
  send(message) {
    const lane = this.lanes.get(`${message.from} ${message.to}`);
    if (!lane) return;
    const last = lane.queue[lane.queue.length - 1];
    const crowded = lane.queue.length > 8;
    if (last && last.kind === message.kind && (message.kind === "PROPAGATE" || crowded) && !message.failed) {
      last.requests += message.requests;
    } else if (crowded) {
      lane.queue.shift();
      lane.queue.push({ ...message });
    } else {
      lane.queue.push({ ...message });
    }
  },

  frame(now) {
    for (const [key, lane] of this.lanes) {
      if (lane.queue.length && now >= lane.next) {
        this.start(this.paths.get(key), lane.queue.shift(), now);
        lane.next = now + (lane.queue.length > 3 ? 160 : 300);
      }
    }
    this.dots = this.dots.filter(dot => this.move(dot, now));
  },

  start(path, message, now) {
    const radius = Math.min(13, 6 + Math.log2(Math.max(1, message.requests)));
    const label = message.requests > 1 ? `${message.kind} × ${message.requests.toLocaleString("en")}` : message.kind;
    const text = svg("text", { y: -radius - 5, text: message.failed ? `${message.kind} ✕` : label });
    const g = svg(
      "g",
      { class: `dot ${message.kind}${message.failed ? " failed" : ""}` },
      svg("circle", { r: radius }),
      text,
    );
    this.moving.append(g);
    const flight = Math.min(4000, Math.max(650, message.took_ms / 2 / view.rate));
    this.dots.push({ g, text, path, message, began: now, flight, isReply: false });
  },

  move(dot, now) {
    const { path, flight } = dot;
    const passed = (now - dot.began) / flight;
    const isReply = passed > 1;
    if (passed > (dot.message.failed ? 1.2 : 1.75)) {
      dot.g.remove();
      return false;
    }
    if (isReply && !dot.isReply && !dot.message.failed) {
      dot.isReply = true;
      dot.g.classList.add("reply");
      dot.text.textContent = "";
      dot.g.firstChild.setAttribute("r", 5);
    }
    const along = dot.message.failed ? Math.min(passed, 0.5) : isReply ? 1 - (passed - 1) / 0.75 : passed;
    const at = path.line.getPointAtLength(path.length * (calm.matches ? 0.5 : along));
    dot.g.setAttribute("transform", `translate(${at.x.toFixed(1)} ${at.y.toFixed(1)})`);
    return true;
  },
};

/** A curve from the edge of one circle to that of another; the way back bends to the other side. */
function curve(a, b, r, bend) {
  const [dx, dy] = [b.x - a.x, b.y - a.y];
  const length = Math.hypot(dx, dy);
  const [ux, uy] = [dx / length, dy / length];
  const [nx, ny] = [uy, -ux];
  const edge = (p, sign) => ({
    x: p.x + sign * ux * (r + 4) * 0.92 + nx * r * 0.34,
    y: p.y + sign * uy * (r + 4) * 0.92 + ny * r * 0.34,
  });
  const [from, to] = [edge(a, 1), edge(b, -1)];
  const mid = { x: (a.x + b.x) / 2 + nx * (bend + r * 0.34), y: (a.y + b.y) / 2 + ny * (bend + r * 0.34) };
  return `M${from.x} ${from.y}Q${mid.x} ${mid.y} ${to.x} ${to.y}`;
}
