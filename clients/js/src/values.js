// Values as JSON with `$` tags for what JSON cannot say, and back: docs/protocol.md, "Values".
// What is read is the dialect that a broker writes for `"exact": "js"`, or without `exact`.

import { fromBase64, toBase64 } from "./base64.js";
import { NotPlainData } from "./errors.js";
import {
  bytesOf,
  ClassObject,
  Complex,
  DateTime,
  FrozenSet,
  isAsWritten,
  NDArray,
  READ,
  TEXTS,
  Tuple,
} from "./types.js";

/** How deep containers may nest, the broker's limit. */
const MAX_DEPTH = 128;
const quote = JSON.stringify;

// --- writing -------------------------------------------------------------------------------------

/** Where in the value the writer is; read when it refuses something. */
let path = [];

/** `value` as JSON, tagged where JSON has no word for it. */
export function encode(value) {
  path = [];
  return write(value);
}

function refuse(reason) {
  const name = (key) => {
    if (typeof key !== "string") return `[${String(key)}]`;
    return /^[\p{ID_Start}$_][\p{ID_Continue}$]*$/u.test(key) ? `.${key}` : `[${quote(key)}]`;
  };
  throw new NotPlainData(`value${path.map(name).join("")}`, reason);
}

function write(value) {
  switch (typeof value) {
    case "string":
      return quote(value);
    case "number":
      return writeNumber(value);
    case "boolean":
      return value ? "true" : "false";
    case "bigint":
      return String(value);
    case "object":
      return value === null ? "null" : writeObject(value);
    case "undefined":
      return refuse("is undefined, which no format has; publish null, or leave it out");
    default:
      return refuse(`is a ${typeof value}, which is not plain data`);
  }
}

/** What JSON reads back as the same number; a broker takes digits alone for an int. */
function writeNumber(value) {
  if (Number.isSafeInteger(value)) return Object.is(value, -0) ? "-0.0" : String(value);
  return writeFloat(value);
}

function writeFloat(value) {
  if (!Number.isFinite(value)) {
    return `{"$float":"${Number.isNaN(value) ? "nan" : value > 0 ? "inf" : "-inf"}"}`;
  }
  const text = Object.is(value, -0) ? "-0" : String(value);
  return Number.isInteger(value) && !text.includes("e") ? `${text}.0` : text;
}

function writeObject(value) {
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== Array.prototype) {
    const text = writeScalar(value);
    if (text !== undefined) return text;
  }
  if (path.length >= MAX_DEPTH) {
    path.length = 3;
    refuse(`… nests more than ${MAX_DEPTH} deep, or holds itself`);
  }
  if (Array.isArray(value)) {
    return value instanceof Tuple ? `{"$tuple":${list(value)}}` : list(value);
  }
  if (isSet(value)) {
    return `{"${value instanceof FrozenSet ? "$frozenset" : "$set"}":${list(value, writeKey)}}`;
  }
  if (isMap(value)) return writeMap(value);
  if (value instanceof ClassObject) {
    const { className, state } = value;
    return `{"$object":{"class":${quote(className)},"state":${writeFields(state)}}}`;
  }
  if (typeof value.toJSON === "function") return write(value.toJSON());
  if (!isPlainObject(value)) {
    const name = value.constructor?.name || "object of a class";
    refuse(`is a ${name}, which is not plain data; publish its fields, as in {...value}`);
  }
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  // Data cannot pose as a tag.
  if (keys.length === 1 && keys[0].startsWith("$")) return pairs([[keys[0], value[keys[0]]]]);
  return writeFields(value);
}

/** What holds no other values; undefined for what may. */
function writeScalar(value) {
  if (isDate(value)) return `{"$datetime":${quote(dateText(value))}}`;
  if (ArrayBuffer.isView(value)) {
    if (value[Symbol.toStringTag] === "Uint8Array") return `{"$bytes":"${toBase64(value)}"}`;
    if (value[Symbol.toStringTag] === "DataView") return writeScalar(bytesOf(value));
    return writeScalar(NDArray.from(value));
  }
  if (value instanceof NDArray) return `{"$ndarray":${quote(value.toTag())}}`;
  if (value instanceof Complex) {
    return `{"$complex":[${writeFloat(value.re)},${writeFloat(value.im)}]}`;
  }
  const tag = value.constructor?.tag;
  if (tag !== undefined && TEXTS.some((Kind) => value instanceof Kind)) {
    return `{"${tag}":${quote(value.text)}}`;
  }
  if (isArrayBuffer(value)) return `{"$bytes":"${toBase64(new Uint8Array(value))}"}`;
  return undefined;
}

function within(key, value, writer = write) {
  path.push(key);
  const text = writer(value);
  path.pop();
  return text;
}

function list(values, writer = write) {
  let text = "";
  let at = 0;
  // A loop, and no map(), which passes over holes.
  for (const item of values) text += `${at === 0 ? "" : ","}${within(at++, item, writer)}`;
  return `[${text}]`;
}

function writeFields(fields) {
  let text = "";
  for (const key of Object.keys(fields)) {
    const value = fields[key];
    if (value === undefined) continue;
    text += `${text && ","}${quote(key)}:${within(key, value)}`;
  }
  return `{${text}}`;
}

function writeMap(map) {
  const keys = [...map.keys()];
  const areNames = keys.every((key) => typeof key === "string");
  if (!areNames || (keys.length === 1 && keys[0].startsWith("$"))) return pairs(map);
  let text = "";
  for (const [key, value] of map) {
    text += `${text && ","}${quote(key)}:${within(key, value)}`;
  }
  return `{${text}}`;
}

function pairs(entries) {
  let text = "";
  for (const [key, value] of entries) {
    text += `${text && ","}[${within(key, key, writeKey)},${within(key, value)}]`;
  }
  return `{"$dict":[${text}]}`;
}

/** A key of a dict or an element of a set: only what Python could hash. */
function writeKey(key) {
  const isTuple = key instanceof Tuple;
  const isMutable =
    (Array.isArray(key) && !isTuple) ||
    (isSet(key) && !(key instanceof FrozenSet)) ||
    isMap(key) ||
    isPlainObject(key);
  if (isMutable) {
    refuse(
      "is an array, a set or an object, which is no key and no element of a set; take " +
        "Tuple.from(array) or new FrozenSet(set)",
    );
  }
  return isTuple ? `{"$tuple":${list(key, writeKey)}}` : write(key);
}

/** A Date has no year of five digits in any other format. */
function dateText(date) {
  if (date instanceof DateTime && isAsWritten(date)) return date.text;
  const text = Number.isNaN(date.getTime()) ? "" : date.toISOString();
  if (text.length !== 24 || text.startsWith("0000")) {
    refuse("is a Date that is invalid or not of the years 1 to 9999");
  }
  const fraction = text.slice(19, 23);
  return `${text.slice(0, 19)}${fraction === ".000" ? "" : `${fraction}000`}+00:00`;
}

// Objects of another window, frame or vm context are no instances of this one's classes.
const tagOf = (value) => Object.prototype.toString.call(value);
const isDate = (value) => value instanceof Date || tagOf(value) === "[object Date]";
const isMap = (value) => value instanceof Map || tagOf(value) === "[object Map]";
const isSet = (value) => value instanceof Set || tagOf(value) === "[object Set]";
const isArrayBuffer = (value) => tagOf(value) === "[object ArrayBuffer]";

function isPlainObject(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || Object.getPrototypeOf(prototype) === null;
}

// --- reading -------------------------------------------------------------------------------------

/** The frame that a text spells, the tags of its message resolved. */
export function decodeFrame(text) {
  const frame = JSON.parse(text);
  // Tags are rare: without a "$", however it is spelled, nothing is looked at twice.
  if ("message" in frame && (text.includes("$") || text.includes("\\u0024"))) {
    frame.message = resolve(frame.message);
  }
  return frame;
}

/** `value` as `JSON.parse` read it, with its tags resolved. Containers are changed in place. */
export function resolve(value) {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return each(value, resolve);
  const keys = Object.keys(value);
  if (keys.length === 1) {
    const read = TAGS.get(keys[0]);
    if (read !== undefined) return read(value[keys[0]]);
  }
  // Each key is a property of the object itself, `__proto__` too, which JSON.parse has made.
  for (const key of keys) value[key] = resolve(value[key]);
  return value;
}

function each(array, read) {
  for (let at = 0; at < array.length; at++) array[at] = read(array[at]);
  return array;
}

/** A key or an element: without `exact` a broker spells tuples and frozensets as list and set. */
function resolveKey(value) {
  return hashable(resolve(value));
}

function hashable(value) {
  if (Array.isArray(value) && !(value instanceof Tuple)) return tuple(value.map(hashable));
  return value instanceof Set && !(value instanceof FrozenSet) ? new FrozenSet(value) : value;
}

/** `Tuple.from` of one number would be as good; `new Tuple(3)` has three holes. */
function tuple(items) {
  return Tuple.from(items);
}

function dict(content) {
  const entries = content.map(([key, value]) => [resolveKey(key), resolve(value)]);
  const areNames = entries.every(([key]) => typeof key === "string");
  return areNames ? Object.fromEntries(entries) : new Map(entries);
}

const FLOATS = { nan: NaN, inf: Infinity, "-inf": -Infinity };

function int(content) {
  const number = Number(content);
  return Number.isSafeInteger(number) ? number : BigInt(content);
}

const TAGS = new Map([
  ["$int", int],
  ["$float", (content) => FLOATS[content] ?? Number(content)],
  ["$bytes", fromBase64],
  ["$tuple", (content) => tuple(each(content, resolve))],
  ["$set", (content) => new Set(each(content, resolveKey))],
  ["$frozenset", (content) => new FrozenSet(each(content, resolveKey))],
  ["$dict", dict],
  ["$datetime", (content) => new DateTime(content, READ)],
  ["$complex", ([re, im]) => new Complex(resolve(re), resolve(im))],
  ["$ndarray", (content) => NDArray.fromTag(content)],
  ["$object", (content) => new ClassObject(content.class, resolve(content.state))],
  ...TEXTS.map((Kind) => [Kind.tag, (content) => new Kind(content, READ)]),
]);
