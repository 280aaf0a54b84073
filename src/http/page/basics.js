// Small things: elements, texts, numbers as people read them.

const byId = (id) => document.getElementById(id);

/** An element with its text, attributes and children; nothing else of this page makes any. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

/** Changes a text only where it is another one: what is the same is not announced, nor drawn. */
function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

/** A text below something, or nothing there. */
function notice(node, text, isAlarm = false) {
  put(node, text);
  show(node, text !== "");
  node.classList.toggle("alarm", isAlarm);
}

// Characters that are not seen, or turn around what stands beside them: those of `babelmq sub`.
const HIDDEN = new RegExp("[\\u0000-\\u001f\\u007f-\\u009f\\u00ad\\u034f\\u061c\\u115f\\u1160"
  + "\\u17b4\\u17b5\\u180b-\\u180f\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f\\u3164"
  + "\\ufe00-\\ufe0f\\ufeff\\uffa0\\ufff0-\\ufffb\\u{1bca0}-\\u{1bca3}\\u{1d173}-\\u{1d17a}"
  + "\\u{e0000}-\\u{e0fff}]", "gu");

const escape = (character) => Array.from({ length: character.length }, (_, at) =>
  "\\u" + character.charCodeAt(at).toString(16).padStart(4, "0")).join("");

/** One line that shows all that is in a text. */
const visible = (text) => text.replace(HIDDEN, escape);

/** The same of a text on many lines. */
const visibleLines = (text, how = escape) =>
  text.replace(HIDDEN, (found) => found === "\n" || found === "\t" ? found : how(found));

/** A string of its own: a slice would keep the whole frame in memory. */
const copy = (text) => (" " + text).slice(1);

const encoder = new TextEncoder();
const bytesOf = (text) => encoder.encode(text).length;

const WHOLE = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const SHORT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function count(number) {
  return Math.abs(number) < 100_000 ? WHOLE.format(number) : SHORT.format(number);
}

/** A number of bytes and its unit. */
function sized(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let at = 0;
  while (bytes >= 1000 && at < units.length - 1) { bytes /= 1024; at += 1; }
  const digits = at === 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
  return [at === 0 ? String(Math.round(bytes)) : bytes.toFixed(digits), units[at]];
}

const size = (bytes) => sized(bytes).join(" ");

function duration(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
