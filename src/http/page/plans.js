// The five experiments: what to expect, the steps, and what is seen after them. What is seen comes from the nodes.

const write = (key, value) => ({
  text: t => `Write ${key} = ${value} on ${t.a}, and wait until it is everywhere`,
  run: async t => {
    await t.run(t.a, `SET ${key} ${value}`);
    await t.both(key, value);
  },
});
const cutOff = {
  text: t => `Cut ${t.b} off from the others`,
  run: async t => {
    await t.isolate(t.b);
    await t.fresh();
  },
};

const PLANS = [
  {
    name: "A node was away",
    question: "What does a node do that has missed everything, and whom does it ask for what?",
    expect: t =>
      `${t.b} stops while the others go on. It comes back ` +
      (t.node(t.b).on_disk
        ? "with what is on its disk. "
        : "empty: it holds nothing, so it gets everything. ") +
      `${t.a} queues what it could not deliver, but a queue may be full or lost, so nothing relies on it. The round ` +
      "comes first and finds all; what the queue sends afterwards is already there.",
    steps: [
      write("away:fruit", "apple"),
      write("away:colour", "red"),
      {
        text: t => `Stop ${t.b}`,
        run: async t => {
          await turn(t.b, "stop");
          await t.waitFor("it is stopped", s => !s.nodes[1].running);
        },
      },
      {
        text: t => `While it is away: change one key on ${t.a}, add one, delete one`,
        run: async t => {
          await t.run(t.a, "SET away:fruit pear");
          await t.run(t.a, "SET away:new 1");
          await t.run(t.a, "DEL away:colour");
          await t.fresh();
          const link = t.node(t.a).peers.find(peer => peer.name === t.b);
          t.saw(
            `While ${t.b} was away, the link to it was ${link.up ? "up" : "down"}, and ${t.a} had queued ` +
              `${count(link.queued, "key")} for it.`,
          );
        },
      },
      {
        text: t => `Start ${t.b} again`,
        run: async t => {
          const began = performance.now(),
            from = serverNow() - 5;
          const said = await turn(t.b, "start");
          if (/^ERROR/.test(said)) throw new Error(said);
          await t.agree();
          t.notes.took = performance.now() - began;
          await t.linked();
          await wait(400);
          const asked = known.messages.filter(message => message.from === t.b && message.sent_ms >= from);
          const pulled = t.node(t.b).peers.reduce((sum, peer) => sum + peer.pulled, 0);
          t.saw(
            `After ${duration(t.notes.took)} all nodes held the same. ` +
              (t.node(t.b).on_disk
                ? `Rounds brought ${count(pulled, "entry", "entries")} to ${t.b}.`
                : `${t.b} held nothing, so it got all ${count(pulled, "entry", "entries")}.`),
          );
          const lines = askedInWords(asked, pulled);
          t.saw(lines.length ? `In its rounds ${t.b} asked:` : `Nothing that ${t.b} asked was seen from here.`);
          lines.forEach(line => t.saw(line));
          t.saw(
            `${t.b} now holds: ` +
              ["fruit", "new", "colour"].map(key => `away:${key} ${t.inWords(t.b, `away:${key}`)}`).join(", ") +
              ".",
          );
        },
      },
    ],
    lesson:
      "A round needs no list of what was missed: two nodes compare what they hold, and move what differs. The " +
      "delete came along, because a delete is an entry too, a tombstone.",
  },
  {
    name: "A delete and a cut",
    question: "Why are tombstones needed?",
    expect: t =>
      `${t.a} deletes a key that ${t.b} still holds, while they cannot speak. If ${t.a} just removed it, then after ` +
      "the cut " +
      `${t.b} would seem to have a new key, and would bring it back. So ${t.a} must remember the delete.`,
    steps: [
      write("cut:book", "here"),
      cutOff,
      {
        text: t => `Delete cut:book on ${t.a}`,
        run: async t => {
          await t.run(t.a, "DEL cut:book");
          await t.waitFor("the delete is seen", () => t.holds(t.a, "cut:book").kind !== "value");
          t.saw(
            `During the cut ${t.a} held: ${t.inWords(t.a, "cut:book")}; ${t.b} held: ${t.inWords(t.b, "cut:book")}.`,
          );
          t.saw(
            t.holds(t.a, "cut:book").kind === "absent"
              ? `${t.a} keeps no tombstone: that rule is off.`
              : `On ${t.a}, ${whoIsAwaited([t.node(t.a)])}.`,
          );
        },
      },
      {
        text: () => "Mend the cut",
        run: async t => {
          await t.mend(t.b);
          t.saw(
            t.holds(t.a, "cut:book").kind === "value"
              ? `${t.b} brought the book back: ${t.a} holds ${t.inWords(t.a, "cut:book")} again, though it was ` +
                  "deleted."
              : `After the cut ${t.b} held: ${t.inWords(t.b, "cut:book")}. The delete has won: it is the later ` +
                  "version.",
          );
        },
      },
      {
        text: () => "Wait until every node is known to hold the tombstone: it settles",
        run: async t => {
          if (t.holds(t.a, "cut:book").kind === "value") {
            t.saw("There is no tombstone that could settle.");
            return;
          }
          const took = await t.waitFor(
            "the tombstone settles",
            () => ["absent"].includes(t.holds(t.a, "cut:book").kind) || t.holds(t.a, "cut:book").settled === true,
          );
          const is = t.holds(t.a, "cut:book").kind === "absent" ? "forgotten" : "settled";
          t.saw(`${duration(took)} later the tombstone was ${is} on ${t.a}: all have confirmed that they hold it.`);
        },
      },
    ],
    lesson:
      "A delete must be remembered as long as any node may still hold the value. Only when all have confirmed it " +
      "may it be forgotten. Start with cargo run --release -- --without tombstones, and the book comes back.",
  },
  {
    name: "Both write",
    question: "What does last write wins lose?",
    expect: t =>
      `Both sides of a cut write the same key. Neither has seen the other. Afterwards one of the two writes stands ` +
      "on all nodes, " +
      "and the other is gone, although its client was told OK. The nodes should at least notice.",
    steps: [
      {
        text: write("both:city", "Oslo").text,
        run: async t => {
          await write("both:city", "Oslo").run(t);
          // What an earlier run has left behind is not told again.
          for (const node of [t.a, t.b]) t.notes[node] = await conflictsOf(t, node);
        },
      },
      cutOff,
      {
        text: t => `Write Paris on ${t.a}, then Rome on ${t.b}`,
        run: async t => {
          await t.run(t.a, "SET both:city Paris");
          await t.run(t.b, "SET both:city Rome");
          await t.waitFor(
            "both writes are seen",
            () => t.holds(t.a, "both:city").value === "Paris" && t.holds(t.b, "both:city").value === "Rome",
          );
          t.saw(
            `During the cut ${t.a} answered ${t.inWords(t.a, "both:city")}, ${t.b} ${t.inWords(t.b, "both:city")}. ` +
              "Both clients were told OK.",
          );
        },
      },
      {
        text: () => "Mend the cut",
        run: async t => {
          await t.mend(t.b);
          t.saw(`After the cut ${t.a} answers ${t.inWords(t.a, "both:city")}, ${t.b} ${t.inWords(t.b, "both:city")}.`);
        },
      },
      {
        text: () => "Ask what was lost",
        run: async t => {
          for (const node of [t.a, t.b]) {
            const lines = (await conflictsOf(t, node)).filter(line => !t.notes[node].includes(line));
            if (lines.length) t.saw(`${node} noticed: ${lines[0]}`);
            else t.saw(`${node} noticed nothing new: it never met both writes.`);
          }
        },
      },
    ],
    lesson:
      "Last write wins keeps one of two writes that did not know of each other, and loses the other. Version " +
      "vectors tell that apart from a write that replaces what it has seen; CONFLICTS shows the loser.",
  },
  {
    name: "A clock an hour off",
    question: "What if “last” is judged by a clock that is wrong?",
    expect: t =>
      `${t.b}'s clock goes an hour ahead. A write on ${t.a} that has seen ${t.b}'s should still win, since a version ` +
      "is never " +
      `less than what it replaces. But a write that has not seen it loses, even if it comes later.`,
    steps: [
      {
        text: t => `Put ${t.b}'s clock an hour ahead`,
        run: async t => {
          await t.run(t.b, "CLOCK +1h");
          await t.waitFor("the clock is seen", state => Math.abs(state.nodes[1].offset_ms) > 3e6);
          t.saw(`${t.b}'s clock: ${offsetText(t.node(t.b).offset_ms)}.`);
        },
      },
      {
        text: t => `${t.b} writes, ${t.a} sees it and writes after it`,
        run: async t => {
          await t.run(t.b, "SET clock:seen first");
          await t.both("clock:seen", "first");
          await t.run(t.a, "SET clock:seen second");
          await t.both("clock:seen", "second");
          t.saw(
            `${t.a} had seen the write from the future: its own was stamped ` +
              `${shortTime(t.holds(t.a, "clock:seen").time)}, and wins.`,
          );
        },
      },
      cutOff,
      {
        text: t => `${t.b} writes; a moment later ${t.a} writes, and cannot have seen it`,
        run: async t => {
          await t.run(t.b, "SET clock:unseen earlier");
          await wait(300);
          await t.run(t.a, "SET clock:unseen later");
          await t.fresh();
        },
      },
      {
        text: () => "Mend the cut",
        run: async t => {
          await t.mend(t.b);
          const isLost = t.holds(t.a, "clock:unseen").value === "earlier";
          const what = isLost ? "the write that really came later was lost" : "the later write has won";
          t.saw(`All nodes now hold ${t.inWords(t.a, "clock:unseen")}: ${what}.`);
          t.saw(
            `Each message tells ${t.a} the time of ${t.b}. It follows such a clock by at most a minute, so it did ` +
              "not follow this one: a write to the one key is stamped past what it replaces, all others keep the " +
              "right time.",
          );
        },
      },
      {
        text: t => `Put ${t.b}'s clock right, and start it anew: it never goes back by itself`,
        run: async t => {
          await t.run(t.b, "CLOCK real");
          await turn(t.b, "stop");
          const said = await turn(t.b, "start");
          if (/^ERROR/.test(said)) throw new Error(said);
          await t.agree();
          await t.linked();
          t.saw(`${t.b}'s clock: ${offsetText(t.node(t.b).offset_ms)}.`);
        },
      },
    ],
    lesson:
      "A hybrid clock keeps cause and effect in order, whatever the clocks say: who has seen a write, writes after " +
      "it. Between " +
      "writes that have not seen each other, only the clocks decide. So keep the clocks of the machines together " +
      "(NTP).",
  },
  {
    name: "What the digests save",
    question: "Why compare hashes of branches, when one could send everything?",
    expect: () =>
      "2,000 keys are on all nodes. A round between equal nodes should cost one short exchange, however many keys " +
      "there are. " +
      "With a few keys that differ, it should walk down only the branches in which they lie.",
    steps: [
      {
        text: t => `Write 2,000 keys on ${t.a}`,
        run: async t => {
          for (let from = 0; from < 2000; from += 250) {
            const pairs = Array.from(
              { length: 250 },
              (_, n) => `digest:${from + n} value-${from + n}-${"x".repeat(40)}`,
            );
            await t.run(t.a, `MSET ${pairs.join(" ")}`);
          }
          await t.agree();
          const keys = t.node(t.a).keys;
          const others = keys > 2000 ? ` and ${keys - 2000} ${keys === 2001 ? "other" : "others"}` : "";
          t.saw(
            `Each node holds 2,000 keys${others}. To send them all would take some ` +
              `${Math.round((keys * 75) / 1000)} kB.`,
          );
        },
      },
      {
        text: () => "Run a round while all is equal",
        run: async t => t.saw(await roundCost(t, "Between equal nodes")),
      },
      cutOff,
      {
        text: t => `Change 1 of the 2,000 keys on ${t.b}, then 3 others on ${t.a}`,
        run: async t => {
          // 7 and 1633 lie in one leaf. So what is newer on the second node is not the newest of that leaf.
          await t.run(t.b, "SET digest:1633 changed");
          await wait(5);
          for (const n of [7, 700, 1700]) await t.run(t.a, `SET digest:${n} changed`);
          await t.waitFor("four keys differ", state => state.differing.keys === 4);
          const level = name => t.node(name).digests.match(/.{16}/g);
          const [a, b] = [level(t.a), level(t.b)];
          const differing = a.filter((digest, i) => digest !== b[i]).length;
          const verb = differing === 1 ? "differs" : "differ";
          t.saw(`${count(differing, "branch", "branches")} of 256 now ${verb} on the maps.`);
        },
      },
      {
        text: () => "Mend the cut, and run a round at once",
        run: async t => {
          t.saw(await roundCost(t, "With 4 keys that differ", () => t.isolate(t.b, "MEND")));
          await t.agree();
          if (t.notes.fetched) {
            t.saw(
              "digest:7 and digest:1633 lie in one leaf, and each node had the newer version of one of them. So the " +
                "leaves alone did not say all, and a FETCH asked for the other.",
            );
          }
          t.saw(`Now ${count(latest().differing.keys, "key")} differ.`);
        },
      },
      {
        text: () => "Delete the 2,000 keys",
        run: async t => {
          for (let from = 0; from < 2000; from += 500) {
            await t.run(t.a, `DEL ${Array.from({ length: 500 }, (_, n) => `digest:${from + n}`).join(" ")}`);
          }
          await t.agree();
        },
      },
    ],
    lesson:
      "Equal digests prove equal branches, so what is equal is never sent. The cost of a round grows with the " +
      "difference, and with the depth of the tree, not with the number of keys.",
  },
];

/** The conflicts of the key of experiment 3, a line for each, as a node tells them. */
async function conflictsOf(t, node) {
  const lines = (await t.run(node, "CONFLICTS KEY both:city")).split("\n");
  return lines.filter(line => line && line !== "END");
}

/** What the messages of rounds ask for, in the order of a round. */
const ASKED = {
  PEER: () => "who the other is, and its time",
  DIGEST: () => "the hashes of branches, level by level, where they differ",
  LEAF: (messages, got) => `what it lacks in the leaves that differ; it got ${count(got, "entry", "entries")} in all`,
  FETCH: () => "the entries of these keys",
  PROPAGATE: (messages, got, n) => `here ${n === 1 ? "is an entry" : "are entries"}, take what is newer`,
  CONFIRM: () => "I hold all that you held: remember that",
};
const askedKinds = messages => Object.keys(ASKED).filter(kind => messages.some(message => message.kind === kind));

/** A line for each kind of message: how many there were, and what they asked for. */
function askedInWords(messages, got) {
  return askedKinds(messages).map(kind => {
    const n = messages.filter(message => message.kind === kind).reduce((sum, message) => sum + message.requests, 0);
    return `${kind} × ${n.toLocaleString("en")}: ${ASKED[kind](messages, got, n)}.`;
  });
}

/** What a round has moved, as SYNC says it, in other words. */
function movedInWords(said) {
  const [, got, sent, took, unit] = /pulled (\d+), pushed (\d+) in ([\d.]+)(µs|ms|s)/.exec(said) || [];
  if (!unit) return said.replace(/^.*?: /, "");
  const ms = +took * { µs: 0.001, ms: 1, s: 1000 }[unit];
  return `got ${got}, sent ${sent}, in ${ms < 10 ? ms.toFixed(1) : Math.round(ms)} ms`;
}

/** Runs a round from the first node to the second, as soon as `prepare` is done, and says what it has cost. */
async function roundCost(t, when, prepare = () => {}) {
  const link = () => t.node(t.a).peers.find(peer => peer.name === t.b);
  await t.fresh();
  const before = link();
  await prepare();
  const from = serverNow() - 5,
    said = await t.run(t.a, "SYNC");
  await t.fresh();
  await wait(300);
  const after = link(),
    rounds = Math.max(1, after.rounds - before.rounds);
  const bytes = Math.round((after.sync_bytes - before.sync_bytes) / rounds);
  const asked = known.messages.filter(message => message.from === t.a && message.to === t.b && message.sent_ms >= from);
  const kinds = askedKinds(asked).join(", ");
  t.notes.fetched = kinds.includes("FETCH");
  const moved = movedInWords(said.split("\n").find(line => line.includes(t.b)) || said);
  return `${when}: ${bytes.toLocaleString("en")} bytes a round (${kinds || "no message seen"}); it ${moved}.`;
}
