// What the page knows: the states and messages of the last minutes, and which moment is shown.

/** How much of the past is kept. */
const STATES_KEPT = 240,
  MESSAGES_KEPT = 3000;
/** The page shows what was a moment ago, so that messages arrive before their time is shown. */
const DELAY_MS = 220;

const known = {
  states: [], // each as it was told, the oldest first
  messages: [], // what nodes have asked each other, in the order of `sent_ms`
  ahead: null, // the server's clock less performance.now()
  missed: 0,
  since: 0, // from when on nothing is missing
};
const view = {
  at: 0, // which moment is shown: the server's clock in milliseconds
  rate: 1, // how fast it moves
  live: true,
  paused: false,
  shown: null, // the state that is shown
  chosen: null, // the message that is explained
};

const serverNow = () => (known.ahead === null ? 0 : performance.now() + known.ahead);
const latest = () => known.states[known.states.length - 1];
const running = state => state.nodes.filter(node => node.running);

function onState(state) {
  const ahead = state.now_ms - performance.now();
  known.ahead = known.ahead === null || Math.abs(ahead - known.ahead) > 2000 ? ahead : Math.max(ahead, known.ahead);
  known.states.push(state);
  known.since = known.since || state.now_ms;
  if (known.states.length > STATES_KEPT) known.states.shift();
  waiters.splice(0).forEach(look => look(state));
}

function onMessages({ list, more, lost }) {
  const now = serverNow();
  for (const { from, to, kind, count: requests } of more) {
    list.push({
      from,
      to,
      kind,
      requests,
      sent_ms: now,
      took_ms: 0,
      failed: false,
      request: `${kind} and the like`,
      reply: "(not told one by one)",
    });
  }
  known.missed += lost;
  known.messages.push(...list);
  known.messages.sort((a, b) => a.sent_ms - b.sent_ms);
  const dropped = known.messages.splice(0, Math.max(0, known.messages.length - MESSAGES_KEPT));
  if (dropped.length) known.since = known.messages[0].sent_ms;
}

/** Waits until a state fits; resolves to it, or to null when the time is over. */
const waiters = [];
async function until(fits, ms) {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    const state = await Promise.race([new Promise(look => waiters.push(look)), wait(1000)]);
    if (state && fits(state)) return state;
  }
  return null;
}
