// Speaks with the server: reads its events, sends commands.

const needsSecret = document.documentElement.dataset.secret === "yes";
const secret = {
  get: () => sessionStorage.getItem("kvstore secret"),
  set: word => sessionStorage.setItem("kvstore secret", word),
  drop: () => sessionStorage.removeItem("kvstore secret"),
};
/** What a browser can send in a header. */
const canBeSent = word => /^[\x21-\x7e]+$/.test(word);
const headers = () => (needsSecret ? { Authorization: `Bearer ${secret.get()}` } : {});

function askSecret(why) {
  if (why) say($("ask-why"), why);
  $("ask").showModal();
  return new Promise(done =>
    $("ask-form").addEventListener(
      "submit",
      () => {
        secret.set($("secret").value);
        $("secret").value = "";
        done();
      },
      { once: true },
    ),
  );
}

/** Reads /events for ever. An EventSource cannot send the secret, so the stream is read by hand. */
async function listen() {
  let pause = 250;
  for (;;) {
    while (needsSecret && !canBeSent(secret.get() || "")) {
      await askSecret(secret.get() && "A browser can send letters, digits and signs of ASCII only. Try again.");
    }
    try {
      const answer = await fetch("/events", { headers: headers(), cache: "no-store" });
      if (answer.status === 401) {
        secret.drop();
        await askSecret("This is not the secret. Try again.");
        continue;
      }
      if (!answer.ok) throw new Error(await answer.text());
      pause = 250;
      await readEvents(answer.body.pipeThrough(new TextDecoderStream()).getReader());
    } catch (error) {
      headline("unknown", `No connection: ${error.message.trim()}. Trying again.`);
    }
    await wait(pause);
    pause = Math.min(2 * pause, 5000);
  }
}

async function readEvents(reader) {
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) throw new Error("the program has ended");
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/s.exec(event) || [];
      if (name === "state") onState(JSON.parse(data));
      else if (name === "exchanges") onMessages(JSON.parse(data));
      else if (name === "missed") known.missed += JSON.parse(data).count;
    }
  }
}

async function post(path, body) {
  try {
    const answer = await fetch(path, {
      method: "POST",
      body: JSON.stringify(body),
      cache: "no-store",
      headers: { ...headers(), "Content-Type": "application/json", "X-Kvstore": "page" },
    });
    const text = await answer.text();
    return answer.ok ? text : `ERROR: ${text.trim()}`;
  } catch (error) {
    return `ERROR: ${error.message}`;
  }
}

/** Runs a command line on a node, and shows its answer there. */
async function command(node, line) {
  const text = (await post("/command", { node, line })).replace(/\n$/, "");
  cards.answered(node, line, text);
  return text;
}

/** Stops a node, or starts it. */
async function turn(node, what) {
  const text = await post(`/${what}`, { node });
  cards.answered(node, what, text);
  return text;
}

/** What a node of this process tells of a peer, both by name. */
function linkOf(state, from, to) {
  const node = state.nodes.find(node => node.name === from);
  return node && node.running && node.peers.find(peer => peer.name === to);
}
/** Who keeps two nodes apart: one of them, both, or none. A cut works both ways, whoever made it. */
function cutters(state, one, other) {
  return [
    [one, other],
    [other, one],
  ].filter(([from, to]) => (linkOf(state, from, to) || {}).cut);
}
/** How much later a message arrives: the receiver holds it back. */
const delayOf = (state, from, to) => (linkOf(state, to, from) || {}).delay_ms || 0;
