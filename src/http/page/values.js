// Values: JSON as it was spelled, Python, XML.

/** Where a string of JSON that begins at `open` has its last quote. */
function closing(text, open) {
  for (let at = text.indexOf('"', open + 1); at >= 0; at = text.indexOf('"', at + 1)) {
    let before = at;
    while (text[before - 1] === "\\") before -= 1;
    if ((at - before) % 2 === 0) return at;
  }
  throw new SyntaxError("a string without an end");
}

/**
 * A value of JSON as a tree of `list`, `map` (pairs), `string` and `word`, whose `raw` is spelled
 * as it came: `JSON.parse` would round long numbers.
 */
function readJson(text) {
  let at = 0;
  const word = /[^\s,\]}]+/y;
  const skip = () => { while (" \t\n\r".includes(text[at] || ".")) at += 1; };
  const take = (sign) => {
    skip();
    if (text[at] !== sign) return false;
    at += 1;
    return true;
  };
  const need = (sign) => { if (!take(sign)) throw new SyntaxError(`no ${sign} at ${at}`); };
  const string = () => {
    skip();
    if (text[at] !== '"') throw new SyntaxError(`no string at ${at}`);
    const start = at;
    at = closing(text, at) + 1;
    return { kind: "string", raw: text.slice(start, at) };
  };
  const items = (close, one) => {
    const found = [];
    if (take(close)) return found;
    do found.push(one()); while (take(","));
    need(close);
    return found;
  };
  const value = () => {
    if (take("[")) return { kind: "list", items: items("]", value) };
    if (take("{")) {
      return { kind: "map", items: items("}", () => {
        const key = string();
        need(":");
        return [key, value()];
      }) };
    }
    skip();
    if (text[at] === '"') return string();
    word.lastIndex = at;
    const found = word.exec(text);
    if (!found) throw new SyntaxError(`no value at ${at}`);
    at = word.lastIndex;
    return { kind: "word", raw: found[0] };
  };
  return value();
}

/** Something with brackets around parts, or a string; `lay` writes it on one line or on many. */
function group(open, parts, close) {
  let width = open.length + close.length;
  for (const { key, body } of parts) width += key.length + 2 + (body.width ?? body.length);
  return { open, parts, close, width };
}

function lay(whole, width = 76) {
  const out = [];
  const write = (body, depth, room) => {
    if (typeof body === "string") { out.push(body); return; }
    const isFlat = room === Infinity || body.width + 2 * depth <= width || body.parts.length === 0;
    out.push(body.open);
    body.parts.forEach(({ key, body: part }, at) => {
      if (at > 0) out.push(isFlat ? ", " : ",");
      if (!isFlat) out.push("\n", "  ".repeat(depth + 1));
      out.push(key);
      write(part, depth + 1, isFlat ? Infinity : 0);
    });
    if (!isFlat) out.push("\n", "  ".repeat(depth));
    out.push(body.close);
  };
  write(whole, 0, 0);
  return out.join("");
}

function jsonDocument(node) {
  if (node.kind === "list") {
    return group("[", node.items.map((item) => ({ key: "", body: jsonDocument(item) })), "]");
  }
  if (node.kind === "map") {
    return group("{", node.items.map(([key, value]) =>
      ({ key: visible(key.raw) + ": ", body: jsonDocument(value) })), "}");
  }
  return visible(node.raw);
}

const prettyJson = (text, width) => lay(jsonDocument(readJson(text)), width);

/** A str or bytes in the quotes that `repr` takes. */
function quoted(text, escaped) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const usual = {
    "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", "'": "'", '"': '"', [quote]: "\\" + quote,
  };
  return quote + text.replace(escaped, (found) => usual[found] ?? hex(found)) + quote;
}

function hex(character) {
  const point = character.codePointAt(0);
  const [letter, digits] = point < 0x100 ? ["x", 2] : point < 0x10000 ? ["u", 4] : ["U", 8];
  return "\\" + letter + point.toString(16).padStart(digits, "0");
}

const pythonText = (text) => quoted(text, /[\\'"\p{C}]|(?! )\p{Z}/gu);
const bytesText = (bytes) => "b" + quoted(bytes, /[^ -~]|[\\'"]/g);

/** A float as `repr` spells it. */
function pythonFloat(text) {
  const number = Number(text);
  if (!Number.isFinite(number)) return `float('${String(number).slice(0, -5)}')`;
  const [mantissa, tail] = number.toExponential().split("e");
  const exponent = Number(tail);
  if (number !== 0 && (exponent < -4 || exponent >= 16)) {
    const digits = String(Math.abs(exponent)).padStart(2, "0");
    return `${mantissa}e${exponent < 0 ? "-" : "+"}${digits}`;
  }
  const sign = Object.is(number, -0) ? "-" : "";
  const plain = exponent < 0 && number !== 0
    ? number.toFixed(mantissa.replace(/[-.]/g, "").length - 1 - exponent) : String(number);
  return sign + (plain.includes(".") ? plain : plain + ".0");
}

const CLOCK = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?`;
const ZONE = String.raw`(Z|[+-]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?(?:\[([^\]=]+)\])?(\[_fold=1\])?$`;
const DATETIME = new RegExp(String.raw`^(\d{4})-(\d\d)-(\d\d)[T ]${CLOCK}${ZONE}`);
const TIME = new RegExp(`^${CLOCK}${ZONE}`);
const DATE = /^(\d{4})-(\d\d)-(\d\d)$/;
const TIMEDELTA = /^(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?)?$/;

const delta = (micros) => {
  const DAY = 86_400_000_000n;
  const days = (micros - ((micros % DAY) + DAY) % DAY) / DAY;
  const rest = micros - days * DAY;
  const parts = [["days", days], ["seconds", rest / 1_000_000n],
    ["microseconds", rest % 1_000_000n]].filter(([, number]) => number !== 0n);
  const named = parts.map(([name, number]) => `${name}=${number}`).join(", ");
  return `datetime.timedelta(${named || "0"})`;
};

const micros = (digits) => Number((digits ?? "").padEnd(6, "0"));

/** The offset of a zone at an instant, in milliseconds. */
function offsetAt(zone, instant) {
  const format = new Intl.DateTimeFormat("en", { timeZone: zone, timeZoneName: "longOffset" });
  const name = format.formatToParts(instant).find(({ type }) => type === "timeZoneName").value;
  return offsetOf(name.slice(3) || "+00:00");
}

function offsetOf(text) {
  if (text === "Z") return 0;
  const [hours, minutes, seconds = 0] = text.slice(1).split(":").map(Number);
  return ((hours * 60 + minutes) * 60 + seconds) * (text[0] === "-" ? -1000 : 1000);
}

/** Whether an offset is the second of two that a local time has where clocks are set. */
function isFold(zone, local, offset) {
  const DAY = 86_400_000;
  try {
    const [before, after] = [-DAY, DAY].map((apart) => offsetAt(zone, local - offset + apart));
    return before !== after && offset === after
      && offsetAt(zone, local - Math.max(before, after)) === before;
  } catch {
    // A zone that this browser does not know.
    return false;
  }
}

/** What stands behind hours and minutes: seconds where there are any, the zone, the fold. */
function clock([hour, minute, second, fraction, offset, zone, fold]) {
  const parts = [Number(hour), Number(minute)];
  const [seconds, parted] = [Number(second ?? 0), micros(fraction)];
  if (seconds || parted) parts.push(seconds);
  if (parted) parts.push(parted);
  if (fold) parts.push("fold=1");
  if (zone) {
    parts.push(`tzinfo=zoneinfo.ZoneInfo(key=${pythonText(zone)})`);
  } else if (offset) {
    const [, sign, hours, minutes, rest] = /^(.)(\d\d):(\d\d)(?::(.*))?$/.exec(offset)
      ?? ["", "+", "00", "00"];
    const [whole, part] = (rest ?? "0").split(".");
    const all = BigInt(hours) * 3600n + BigInt(minutes) * 60n + BigInt(whole);
    const total = (all * 1_000_000n + BigInt(micros(part))) * (sign === "-" ? -1n : 1n);
    parts.push(total === 0n ? "tzinfo=datetime.timezone.utc"
      : `tzinfo=datetime.timezone(${delta(total)})`);
  }
  return parts.join(", ");
}

const call = (name, node) => `${name}(${pythonText(JSON.parse(node.raw))})`;
const parts = (nodes) => nodes.map((item) => ({ key: "", body: python(item) }));

/** The tags of JSON with `exact`: each the kind of its content, and what Python writes for it. */
const TAGS = {
  $int: ["string", (node) => JSON.parse(node.raw)],
  $float: ["string", (node) => `float('${JSON.parse(node.raw)}')`],
  $bytes: ["string", (node) => bytesText(atob(JSON.parse(node.raw)))],
  $decimal: ["string", (node) => call("Decimal", node)],
  $uuid: ["string", (node) => call("UUID", node)],
  $fraction: ["string", (node) => {
    const [above, below] = JSON.parse(node.raw).split("/");
    return `Fraction(${above}, ${below ?? 1})`;
  }],
  $date: ["string", (node) => {
    const [, ...date] = DATE.exec(JSON.parse(node.raw));
    return `datetime.date(${date.map(Number).join(", ")})`;
  }],
  $time: ["string", (node) => {
    const [, ...rest] = TIME.exec(JSON.parse(node.raw));
    return `datetime.time(${clock(rest)})`;
  }],
  $datetime: ["string", (node) => {
    const [, year, month, day, ...rest] = DATETIME.exec(JSON.parse(node.raw));
    const [hour, minute, second, , offset, zone] = rest;
    const local = Date.UTC(year, month - 1, day, hour, minute, second ?? 0);
    if (zone && offset && isFold(zone, local, offsetOf(offset))) rest[6] = "fold";
    return `datetime.datetime(${[year, month, day].map(Number).join(", ")}, ${clock(rest)})`;
  }],
  $timedelta: ["string", (node) => {
    const [, sign, ...found] = TIMEDELTA.exec(JSON.parse(node.raw));
    const [days, hours, minutes, seconds] = found.map((digits) => BigInt(digits ?? 0));
    const whole = ((days * 24n + hours) * 60n + minutes) * 60n + seconds;
    return delta((whole * 1_000_000n + BigInt(micros(found[4]))) * (sign ? -1n : 1n));
  }],
  $complex: ["list", (node) => group("complex(", parts(node.items), ")")],
  $tuple: ["list", (node) =>
    group("(", parts(node.items), node.items.length === 1 ? ",)" : ")")],
  $set: ["list", (node) => node.items.length ? group("{", parts(node.items), "}") : "set()"],
  $frozenset: ["list", (node) => node.items.length
    ? group("frozenset({", parts(node.items), "})") : "frozenset()"],
  $dict: ["list", (node) => group("{", node.items.map(({ items: [key, value] }) =>
    ({ key: lay(python(key), Infinity) + ": ", body: python(value) })), "}")],
  $ndarray: ["map", (node) => {
    const field = Object.fromEntries(node.items.map(([key, value]) =>
      [JSON.parse(key.raw), value]));
    const shape = field.shape.items;
    return group("numpy.ndarray(", [
      { key: "", body: group("(", parts(shape), shape.length === 1 ? ",)" : ")") },
      { key: "", body: pythonText(JSON.parse(field.dtype.raw)) },
      { key: "", body: bytesText(atob(JSON.parse(field.data.raw))) },
    ], ")");
  }],
  $object: ["map", (node) => {
    const field = Object.fromEntries(node.items.map(([key, value]) =>
      [JSON.parse(key.raw), value]));
    const state = field.state.items.map(([key, value]) =>
      ({ key: visible(JSON.parse(key.raw)) + "=", body: python(value) }));
    return group(visible(JSON.parse(field.class.raw)) + "(", state, ")");
  }],
};

const WORDS = { null: "None", true: "True", false: "False" };

/** A value of JSON with `exact` as a program in Python would write it. */
function python(node) {
  if (node.kind === "string") return pythonText(JSON.parse(node.raw));
  if (node.kind === "word") {
    return WORDS[node.raw] ?? (/[.eE]/.test(node.raw) ? pythonFloat(node.raw) : node.raw);
  }
  if (node.kind === "list") return group("[", parts(node.items), "]");
  if (node.items.length === 1) {
    const [[key, value]] = node.items;
    const name = JSON.parse(key.raw);
    const tag = Object.hasOwn(TAGS, name) ? TAGS[name] : undefined;
    if (tag?.[0] === value.kind) {
      // Content that is none of the tag's is an object as others.
      try { return tag[1](value); } catch { /* as below */ }
    }
  }
  return group("{", node.items.map(([key, value]) =>
    ({ key: pythonText(JSON.parse(key.raw)) + ": ", body: python(value) })), "}");
}

const prettyPython = (text, width) => lay(python(readJson(text)), width);

/** XML with an element a line, where no text stands beside elements. */
function prettyXml(text) {
  const whole = new RegExp([
    "<!--[^]*?-->", "<!\\[CDATA\\[[^]*?\\]\\]>", "<\\?[^]*?\\?>",
    "<(?:[^\"'>]|\"[^\"]*\"|'[^']*')*>", "[^<]+",
  ].join("|"), "g");
  const out = [];
  let depth = 0;
  let last = "";
  (text.match(whole) ?? []).forEach((piece, at, pieces) => {
    const kind = !piece.startsWith("<") || piece.startsWith("<![CDATA[") ? "text"
      : piece.startsWith("</") ? "end" : /^<[?!]|\/>$/.test(piece) ? "empty" : "start";
    // Space between elements is nobody's; between two tags of one it is a string.
    const isAlone = last === "start" && pieces[at + 1]?.startsWith("</");
    if (kind === "text" && !piece.trim() && !isAlone) return;
    if (kind === "end") depth -= 1;
    const isBeside = last === "text" || kind === "text" || (kind === "end" && last === "start");
    if (out.length && !isBeside) out.push("\n", "  ".repeat(Math.max(0, depth)));
    out.push(piece);
    if (kind === "start") depth += 1;
    last = kind;
  });
  return visibleLines(out.join(""), (found) =>
    `&#x${found.codePointAt(0).toString(16)};`);
}
