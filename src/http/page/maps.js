// The digest trees as maps: equal digests have equal colours, and branches that differ are marked.

const EMPTY = "0".repeat(16);

/** Equal digests have equal colours; different ones seldom have. */
function colourOf(digest) {
  const hue = parseInt(digest.slice(0, 4), 16) % 360,
    light = parseInt(digest[4], 16) - 8;
  return `hsl(${hue} var(--map-sat) calc(var(--map-light) + ${light}%))`;
}

const maps = {
  all: new Map(),
  prefix: "", // which branch is open on all nodes
  below: null, // what the server has told of it
  asked: 0,

  build(name) {
    const map = { cells: [] };
    map.up = el("button", {
      text: "◂ up",
      onclick: () => this.open(this.prefix.slice(0, -2)),
      "aria-label": "One level up",
    });
    map.title = el("span", { class: "soft" });
    map.grid = el("div", { class: "map", role: "group", "aria-label": `Digest tree of ${name}` });
    for (let i = 0; i < 256; i++) {
      const cell = el("button", {
        type: "button",
        tabindex: i ? "-1" : "0",
        onclick: () => this.choose(map, i),
        onkeydown: event => this.key(map, i, event),
      });
      map.cells.push(cell);
      map.grid.append(cell);
    }
    map.entries = el("ul", { class: "entries" });
    this.all.set(name, map);
    return el("div", {}, map.grid, map.entries, el("div", { class: "map-head" }, map.up, map.title));
  },

  choose(map, index) {
    if (map.digests) this.open(this.prefix + index.toString(16).padStart(2, "0"));
  },

  /** Arrows move within a map; Enter opens what a cell stands for, as a click does; Escape goes up. */
  key(map, index, event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 16, ArrowUp: -16 }[event.key];
    if (event.key === "Escape" && this.prefix) this.open(this.prefix.slice(0, -2));
    if (!step) return;
    event.preventDefault();
    const next = (index + step + 256) % 256;
    map.cells[index].tabIndex = -1;
    map.cells[next].tabIndex = 0;
    map.cells[next].focus();
  },

  async open(prefix) {
    this.prefix = prefix;
    this.below = null;
    const top = document.activeElement;
    await this.ask();
    if (view.shown) this.show(view.shown);
    if (prefix.length === 4 || !document.contains(top) || top.hidden) this.all.values().next().value.up.focus();
  },

  /** Asks what lies below the open branch. */
  async ask() {
    const prefix = this.prefix;
    this.asked = performance.now();
    if (!prefix) return;
    try {
      const answer = await fetch(`/branch?prefix=${prefix}`, { headers: headers(), cache: "no-store" });
      if (answer.ok && prefix === this.prefix) this.below = (await answer.json()).nodes;
    } catch {
      /* the line at the top says that there is no connection */
    }
  },

  show(state) {
    if (this.prefix && performance.now() - this.asked > 450) this.ask();
    const level = name =>
      this.prefix ? this.below && this.below[name] : state.nodes.find(node => node.name === name).digests;
    const told = state.nodes.map(node => [node, level(node.name)]);
    const isLeaf = this.prefix.length === 4;
    const digests = told.filter(([node, level]) => node.running && level).map(([, level]) => level);
    for (const [node, level] of told) {
      const map = this.all.get(node.name);
      map.up.hidden = !this.prefix;
      map.grid.hidden = isLeaf;
      map.entries.hidden = !isLeaf;
      say(map.title, !this.prefix ? "256 branches" : isLeaf ? `leaf ${this.prefix}` : `leaves of ${this.prefix}`);
      if (isLeaf) this.entries(map, level || []);
      else this.colour(map, node.running && level, digests);
    }
  },

  colour(map, level, all) {
    map.digests = level;
    const key = level && `${all.length > 1 ? all.join() : level}${dark.matches}${this.prefix}`;
    if (key === map.key) return;
    map.key = key;
    for (let i = 0; i < 256; i++) {
      const cell = map.cells[i];
      const digest = level ? level.slice(16 * i, 16 * i + 16) : EMPTY;
      const differs = level && all.some(other => other.slice(16 * i, 16 * i + 16) !== digest);
      if (cell.digest !== digest + dark.matches) {
        cell.digest = digest + dark.matches;
        cell.style.background = digest === EMPTY ? "" : colourOf(digest);
      }
      cell.classList.toggle("differs", !!differs);
      const name = this.prefix + i.toString(16).padStart(2, "0");
      const label = `${name}: ${digest === EMPTY ? "empty" : digest}${differs ? ", differs" : ""}`;
      if (cell.title !== label) {
        cell.title = label;
        cell.setAttribute("aria-label", label);
      }
    }
  },

  entries(map, entries) {
    const items = entries.map(entry =>
      el("li", {}, el("b", { class: "mono", text: entry.key }), document.createTextNode(" "), ...describe(entry)),
    );
    map.entries.replaceChildren(...(items.length ? items : [el("li", { class: "none", text: "nothing here" })]));
  },
};
