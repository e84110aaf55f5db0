// Small helpers: elements, text, numbers.

const $ = id => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";

/** Makes an element. Text becomes text, never markup: keys and values may say anything. */
function make(parent, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name === "text") parent.textContent = value;
    else if (name.startsWith("on")) parent.addEventListener(name.slice(2), value);
    else if (value === true) parent.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) parent.setAttribute(name, value);
  }
  parent.append(...(children || []));
  return parent;
}
const el = (tag, attributes, ...children) => make(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) => make(document.createElementNS(SVG, tag), attributes, children);

/** Sets a text only if it differs, so that a reader's place and selection stay. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many || one + "s"}`;
const wait = ms => new Promise(done => setTimeout(done, ms));
const secondOf = ms => new Date(ms).toISOString().slice(11, 19);
const clockTime = ms => new Date(ms).toISOString().slice(11, 23);
/** A timestamp of the store, without the day if that is today. */
const shortTime = time =>
  time.startsWith(new Date().toISOString().slice(0, 10)) ? time.slice(11).replace("Z", "") : time;

function duration(ms) {
  const s = Math.abs(ms) / 1000;
  if (s < 1) return `${Math.round(Math.abs(ms))} ms`;
  if (s < 90) return `${s < 10 ? Math.round(s * 10) / 10 : Math.round(s)} s`;
  if (s < 3570) return `${Math.round(s / 60)} min`;
  return `${Math.round(s / 360) / 10} h`;
}

const HUES = [176, 24, 265, 205, 330, 85, 45, 0, 225, 150, 300, 60, 190, 10, 280, 110];
const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = matchMedia("(max-width: 500px)");
const calm = matchMedia("(prefers-reduced-motion: reduce)");
function ownColour(index) {
  return `hsl(${HUES[index % HUES.length]} ${dark.matches ? "55% 60%" : "75% 33%"})`;
}
