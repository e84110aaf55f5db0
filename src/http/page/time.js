// Time: live, paused, slow, or step by step. Each frame shows the moment `view.at`.

function setTime({ live = false, paused = false, at = view.at }) {
  Object.assign(view, { live, paused, at: live ? serverNow() - DELAY_MS : at });
  if (!live)
    known.messages.forEach(message => {
      message.played = message.sent_ms <= at;
    });
  if (paused && !view.chosen) view.chosen = lastBefore(view.at);
  $("live").setAttribute("aria-pressed", live);
  say($("pause"), paused ? "Go on" : "Pause");
  if (live) {
    $("speed").value = "1";
    view.rate = 1;
  }
}

const lastBefore = at => known.messages.findLast(message => message.sent_ms <= at) || null;

/** Which message comes next in this direction. */
function nextIndex(direction) {
  const from = view.chosen && view.paused ? known.messages.indexOf(view.chosen) : -1;
  const before = known.messages.filter(message => message.sent_ms <= view.at).length;
  return from >= 0 ? from + direction : direction < 0 ? before - 1 : before;
}

/** To the next message in this direction. */
function step(direction) {
  goTo(known.messages[Math.max(0, Math.min(nextIndex(direction), known.messages.length - 1))]);
}

/** Stops the time at a message. */
function goTo(message) {
  if (!message) return;
  view.chosen = message;
  setTime({ paused: true, at: message.sent_ms + message.took_ms });
  net.send(message);
}
$("back").addEventListener("click", () => step(-1));
$("forth").addEventListener("click", () => step(1));
$("live").addEventListener("click", () => setTime({ live: true }));
$("pause").addEventListener("click", () => setTime({ paused: !view.paused }));
$("speed").addEventListener("change", () => {
  view.rate = +$("speed").value;
  if (view.paused) return;
  if (view.rate === 1 && serverNow() - view.at < 1000) setTime({ live: true });
  else setTime({});
});
$("zoom").addEventListener("change", () => {
  timeline.drawn = 0;
});

let framed = performance.now();
function frame(now) {
  const passed = now - framed,
    before = view.at;
  framed = now;
  requestAnimationFrame(frame);
  if (known.ahead === null) return;
  const edge = serverNow() - DELAY_MS;
  if (view.live) view.at = edge;
  else if (!view.paused) view.at = Math.min(edge, view.at + passed * view.rate);
  if (!view.paused) play(before);
  const state = known.states.findLast(state => state.now_ms <= view.at + DELAY_MS) || known.states[0];
  if (state && state !== view.shown) {
    view.shown = state;
    showHeadline(state);
    net.show(state);
    cards.show(state);
    table.show(state);
  }
  net.frame(now);
  if (view.shown) timeline.show(view.shown, now);
  const isFirst = !view.live && nextIndex(-1) < 0;
  if ($("back").disabled !== isFirst) $("back").disabled = isFirst;
  const since = isFirst && known.states.length ? ` · The page has watched since ${secondOf(known.since)}.` : "";
  say($("when"), view.live ? "" : `${clockTime(view.at)}, ${duration(edge - view.at)} behind${since}`);
  say($("sentence"), sentence(view.chosen));
  say($("message"), explain(view.chosen));
  say($("missed"), known.missed ? `${count(known.missed, "message")} more than could be told` : "");
}

/** Shows the messages of the time that has passed since `before`. */
function play(before) {
  // One that arrives late is still shown.
  const first = Math.min(before, view.at) - 1500;
  const due = known.messages
    .slice(known.messages.findLastIndex(message => message.sent_ms <= first) + 1)
    .filter(message => !message.played && message.sent_ms <= view.at);
  for (const message of due) {
    message.played = true;
    if (message.sent_ms > view.at - 5000) net.send(message);
  }
  if (view.rate < 1) view.chosen = known.messages.findLast(message => message.sent_ms <= view.at) || view.chosen;
  else view.chosen = null;
}
