// What an experiment consists of, and the panel in which it runs.

/** How long a step waits for what it expects. */
const PATIENCE_MS = 45000;

/** What the steps of an experiment do. `a` and `b` are names of nodes; what they see goes to the list. */
class Trial {
  constructor(plan) {
    Object.assign(this, { plan, done: 0, busy: false, wrong: false, seen: [], notes: {} });
  }
  reset() {
    Object.assign(this, { done: 0, wrong: false, seen: [], notes: {} });
  }
  get a() {
    return latest().nodes[0].name;
  }
  get b() {
    return latest().nodes[1].name;
  }
  node(name) {
    return latest().nodes.find(node => node.name === name);
  }
  saw(text) {
    this.seen.push({ text });
  }

  /** Runs a command that must succeed. */
  async run(node, line) {
    const text = await command(node, line);
    if (/^(ERROR|-)/.test(text)) throw new Error(`${node} › ${line.slice(0, 60)} ⇒ ${text}`);
    return text;
  }

  /** The row of a key, as it is now. */
  row(key) {
    return latest().rows.find(row => row.key === key);
  }
  holds(name, key) {
    const row = this.row(key);
    return row ? row.cells[latest().nodes.findIndex(node => node.name === name)] : { kind: "absent" };
  }
  inWords(name, key) {
    const cell = this.holds(name, key);
    return cell.kind === "value" ? `"${cell.value}"` : cell.kind;
  }

  async waitFor(what, fits, ms = PATIENCE_MS) {
    const began = performance.now(),
      now = serverNow();
    // A state that was told before says nothing about what was just done.
    const isFit = state => state.now_ms > now + 20 && fits(state);
    if (!(await until(isFit, ms))) throw new Error(`not within ${duration(ms)}: ${what}`);
    return performance.now() - began;
  }
  agree() {
    return this.waitFor(
      "all nodes hold the same",
      state =>
        state.nodes.every(node => node.running && !node.loading) &&
        new Set(state.nodes.map(node => node.root)).size === 1,
    );
  }
  both(key, value) {
    return this.waitFor(`${key} is on all nodes`, state => {
      const row = state.rows.find(row => row.key === key);
      return row && row.cells.every(cell => cell.kind === "value" && cell.value === value);
    });
  }
  /** Waits until the links between all nodes of this process are up. */
  linked() {
    const names = latest().nodes.map(node => node.name);
    return this.waitFor("all links are up", state =>
      state.nodes.every(node => node.running && node.peers.every(peer => peer.up || !names.includes(peer.name))),
    );
  }
  /** Waits for the first state after now: what was done is in it. */
  fresh() {
    return this.waitFor("the next state", () => true);
  }

  /** Cuts a node off from all others; or mends that. */
  async isolate(name, verb = "CUT") {
    const others = latest()
      .nodes.map(node => node.name)
      .filter(other => other !== name);
    for (const other of others) await this.run(name, `${verb} ${other}`);
  }
  async mend(name) {
    await this.isolate(name, "MEND");
    this.sync(name);
    await this.agree();
  }
  /** Asks for rounds, so that nobody waits for the timer. */
  sync(name) {
    return command(name, "SYNC");
  }
}

const trials = {
  all: [],
  open: 0,

  build() {
    this.all = PLANS.map(plan => new Trial(plan));
    $("tabs").replaceChildren(
      ...PLANS.map((plan, index) =>
        el("button", {
          role: "tab",
          id: `tab${index}`,
          "aria-controls": "trial",
          text: `${index + 1} ${plan.name}`,
          onclick: () => this.choose(index),
          onkeydown: event => this.key(index, event),
        }),
      ),
    );
    this.choose(0);
  },

  key(index, event) {
    const to = { ArrowRight: index + 1, ArrowLeft: index - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    this.choose((to + PLANS.length) % PLANS.length);
    $("tabs").children[this.open].focus();
  },

  choose(index) {
    this.open = index;
    [...$("tabs").children].forEach((tab, i) => {
      tab.setAttribute("aria-selected", i === index);
      tab.tabIndex = i === index ? 0 : -1;
    });
    $("trial").setAttribute("aria-labelledby", `tab${index}`);
    this.show();
  },

  show() {
    const trial = this.all[this.open],
      { plan } = trial;
    if (!latest()) return;
    if (latest().nodes.length < 2) {
      $("trial").replaceChildren(
        el("p", {
          text:
            "The experiments need two nodes in one process: cargo run --release. This process has one; " +
            "its peers are elsewhere.",
        }),
      );
      return;
    }
    const focused = document.activeElement && document.activeElement.dataset.step;
    const isOver = trial.done === plan.steps.length;
    const steps = plan.steps.map((step, index) => {
      const state =
        index < trial.done
          ? "done"
          : index === trial.done && trial.busy
            ? "busy"
            : index === trial.done && trial.wrong
              ? "wrong"
              : "";
      const sign = { done: "✓", busy: "…", wrong: "✕" }[state] || index + 1;
      const button = el("button", {
        text: step.text(trial),
        disabled: trial.busy || index !== trial.done,
        "data-step": index,
        onclick: () => this.runStep(trial),
      });
      return el(
        "li",
        { class: state },
        el("span", { class: "state", text: sign, "aria-label": state || "to do" }),
        button,
      );
    });
    const all = el("button", {
      class: "main",
      text: isOver ? "Again" : trial.done ? "Run the rest" : "Run all",
      disabled: trial.busy,
      "data-step": "all",
      onclick: () => this.runAll(trial),
    });
    const seen = trial.seen.map(({ text, wrong }) => el("li", { class: wrong && "wrong", text }));
    $("trial").replaceChildren(
      el("h3", { text: plan.question }),
      el("div", {}, el("p", { class: "label", text: "What to expect" }), el("p", { text: plan.expect(trial) })),
      el("ol", { class: "steps" }, ...steps),
      el(
        "div",
        { class: "tools" },
        all,
        el("span", { class: "small soft", text: isOver ? "done" : trial.busy ? "running" : "" }),
      ),
      el(
        "div",
        { "aria-live": "polite" },
        el("p", { class: "label", text: "What was seen", hidden: !seen.length }),
        el("ul", { class: "seen" }, ...seen),
      ),
      el("p", { class: "lesson", text: plan.lesson, hidden: !isOver }),
    );
    const again =
      focused && $("trial").querySelector(`[data-step="${focused}"]:enabled, [data-step="${trial.done}"]:enabled`);
    if (again) again.focus();
  },

  async runStep(trial) {
    if (trial.busy || this.all.some(other => other.busy)) return false;
    Object.assign(trial, { busy: true, wrong: false });
    this.show();
    try {
      await trial.plan.steps[trial.done].run(trial);
      trial.done += 1;
    } catch (error) {
      trial.wrong = true;
      const why = /unknown command/i.test(error.message)
        ? "This node has no commands for faults: start it with --lab. "
        : "";
      trial.seen.push({ text: `${why}${error.message}`, wrong: true });
    }
    trial.busy = false;
    this.show();
    $("trial").scrollTop = $("trial").scrollHeight;
    return !trial.wrong;
  },

  async runAll(trial) {
    if (trial.done === trial.plan.steps.length || trial.wrong) trial.reset();
    while (trial.done < trial.plan.steps.length && (await this.runStep(trial)));
    $("trial").focus();
  },
};
