// The table: what each node holds of the keys that changed last.

/** What a node holds of a key, in a few elements. */
function describe(cell) {
  if (cell.kind === "absent") return [el("span", { class: "none", text: "—" })];
  if (cell.kind === "stopped") return [el("span", { class: "none", text: "stopped" })];
  const parts = [];
  if (cell.kind === "value") parts.push(el("span", { class: "value", text: cell.value || "(empty)" }));
  else
    parts.push(
      el("span", { class: "dead", text: cell.kind }),
      document.createTextNode(" "),
      el("span", { class: "badge", text: cell.settled ? "settled" : "tombstone waits" }),
    );
  if (cell.ttl_ms !== undefined) {
    parts.push(
      document.createTextNode(" "),
      el("span", { class: "badge warn", text: `${duration(cell.ttl_ms)} left` }),
    );
  }
  if (cell.conflict)
    parts.push(document.createTextNode(" "), el("span", { class: "badge bad", text: "a write was lost" }));
  parts.push(el("span", { class: "version", text: `${shortTime(cell.time)} by node ${cell.by}` }));
  return parts;
}

/** How many rows of keys that all nodes have deleted are shown. */
const DEAD_SHOWN = 6;
const isDead = row => !row.differs && row.cells.every(cell => cell.kind !== "value");
/** The greatest stamp of a row, so that texts compare as stamps do. */
const stampOf = row =>
  row.cells
    .map(cell => (cell.time || "").replace(/\d+$/, n => n.padStart(5, "0")))
    .reduce((most, stamp) => (stamp > most ? stamp : most));

const table = {
  rows: new Map(),
  differed: new Set(),

  show(state) {
    const names = state.nodes.map(node => node.name);
    if (names.join() !== this.names) {
      this.names = names.join();
      this.rows.clear();
      $("keys-head").replaceChildren(...["Key", ...names].map(text => el("th", { scope: "col", text })));
    }
    const seen = new Set(),
      id = row => row.key + row.leaf;
    // What differs for longer than a moment comes first; then the latest.
    const stays = row => row.differs && this.differed.has(id(row));
    const latest = [...state.rows].sort((a, b) => stays(b) - stays(a) || (stampOf(a) < stampOf(b) ? 1 : -1));
    let dead = 0;
    const shown = latest.filter(row => !isDead(row) || ++dead <= DEAD_SHOWN);
    const rows = shown.map(row => {
      seen.add(id(row));
      return this.row(row);
    });
    if (dead > DEAD_SHOWN) {
      const text = `and ${count(dead - DEAD_SHOWN, "other key")} that all nodes have deleted`;
      rows.push(el("tr", {}, el("td", { class: "none", colspan: names.length + 1, text })));
    }
    this.differed = new Set(state.rows.filter(row => row.differs).map(id));
    for (const key of this.rows.keys()) if (!seen.has(key)) this.rows.delete(key);
    if (!rows.length) {
      rows.push(
        el(
          "tr",
          {},
          el("td", {
            class: "none",
            colspan: names.length + 1,
            text: "No keys yet. Type SET colour red into a node's command line.",
          }),
        ),
      );
    }
    const body = $("keys");
    if (rows.length !== body.children.length || rows.some((row, index) => row !== body.children[index])) {
      body.replaceChildren(...rows);
    }
  },

  /** The row of a key; the one that stands there, if nothing has changed. */
  row(row) {
    const id = row.key + row.leaf;
    const key = JSON.stringify(row.cells.map(cell => ({ ...cell, ttl_ms: cell.ttl_ms && duration(cell.ttl_ms) })));
    const old = this.rows.get(id);
    if (old && old.key === key) return old.root;
    const cells = row.cells.map((cell, index) =>
      el("td", { class: cell.wins && "wins", "data-node": this.names.split(",")[index] }, ...describe(cell)),
    );
    const name = el("td", { class: "key", text: row.key, title: `leaf ${row.leaf}` });
    const differs = row.only_settled ? "≠ settled here, not there" : "≠ differs";
    if (row.differs) name.append(document.createTextNode(" "), el("span", { class: "badge bad", text: differs }));
    const root = el("tr", { class: row.differs && "differs" }, name, ...cells);
    this.rows.set(id, { key, root });
    return root;
  },
};
