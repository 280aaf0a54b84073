// Classes for the values that JavaScript has no type for. Each goes back to the broker as it came.

import { fromBase64, toBase64 } from "./base64.js";

/** Said by the reader: a text of the broker is taken as it is, whatever version wrote it. */
export const READ = Symbol("read");

// --- containers ----------------------------------------------------------------------------------

/** A tuple: an array that is published as one, and that may be a key of a Map. */
export class Tuple extends Array {
  /** What `map`, `slice` and the like make of it is an array. */
  static get [Symbol.species]() {
    return Array;
  }
}

/** A frozenset: a Set that is published as one, and that may be a key of a Map. */
export class FrozenSet extends Set {}

/** An object of a class: its attributes, and the name of the class, as `app.models.Order`. */
export class ClassObject {
  constructor(className, state = {}) {
    this.className = className;
    this.state = state;
  }
}

// --- scalars that are a text ---------------------------------------------------------------------

/** A value that is known by its text, which is never changed. */
class Text {
  constructor(text, origin) {
    const { name, pattern } = this.constructor;
    if (origin !== READ && !(typeof text === "string" && pattern.test(text))) {
      throw new RangeError(`${JSON.stringify(text)} is no ${name}; one looks like ${this.example}`);
    }
    Object.defineProperty(this, "text", { value: text, enumerable: true });
  }

  toString() {
    return this.text;
  }

  toJSON() {
    return this.text;
  }
}

/** An exact decimal number, as `1.10`; `Number(price)` is the nearest number. */
export class Decimal extends Text {
  static tag = "$decimal";
  static pattern = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|Infinity|s?NaN\d*)$/;
  get example() {
    return "1.10";
  }
}

/** A fraction of integers, as `1/3`. */
export class Fraction extends Text {
  static tag = "$fraction";
  static pattern = /^-?\d+(?:\/\d+)?$/;
  get example() {
    return "1/3";
  }

  /** The nearest number. */
  valueOf() {
    const [above, below = "1"] = this.text.split("/");
    return Number(above) / Number(below);
  }
}

/** A UUID. */
export class UUID extends Text {
  static tag = "$uuid";
  static pattern = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;
  get example() {
    return "f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  }
}

// --- dates and times -----------------------------------------------------------------------------

const DAY = String.raw`(\d{4})-(\d\d)-(\d\d)`;
const CLOCK = String.raw`(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?`;
const OFFSET = String.raw`(?:Z|([+-])(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,6}))?)?)`;
const ZONE = String.raw`(?:\[[A-Za-z0-9_+./-]+\])?(?:\[_fold=1\])?`;
const DATETIME = new RegExp(`^${DAY}[T ]${CLOCK}(${OFFSET})?${ZONE}$`);

/** A day without a time, as `2026-11-29`. */
export class DateOnly extends Text {
  static tag = "$date";
  static pattern = new RegExp(`^${DAY}$`);
  get example() {
    return "2026-11-29";
  }
}

/** A time of day without a date, as `12:30:00` or `12:30:00+01:00`. */
export class TimeOnly extends Text {
  static tag = "$time";
  static pattern = new RegExp(`^${CLOCK}(?:${OFFSET})?${ZONE}$`);
  get example() {
    return "12:30:00";
  }
}

const PART = String.raw`(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,6}))?S)?`;

/** A duration, as `P1DT2H3M4.5S`, to the microsecond. */
export class TimeDelta extends Text {
  static tag = "$timedelta";
  static pattern = new RegExp(`^(-?)P(?=[\\dT])(?:(\\d+)D)?(?:T(?=\\d)${PART})?$`);
  get example() {
    return "P1DT2H3M4.5S";
  }

  /** The duration of so many milliseconds, rounded to microseconds. */
  static of(milliseconds) {
    if (!Number.isFinite(milliseconds)) throw new RangeError(`${milliseconds} is no duration`);
    const sign = milliseconds < 0 ? "-" : "";
    let left = BigInt(Math.round(Math.abs(milliseconds) * 1_000));
    const microseconds = String(left % 1_000_000n)
      .padStart(6, "0")
      .replace(/0+$/, "");
    left /= 1_000_000n;
    return new TimeDelta(`${sign}PT${left}${microseconds && `.${microseconds}`}S`);
  }

  /** How long it is, as other durations in JavaScript. */
  get milliseconds() {
    const [, sign, ...parts] = TimeDelta.pattern.exec(this.text) ?? [];
    const [days, hours, minutes, seconds] = parts.slice(0, 4).map((part) => Number(part ?? 0));
    const whole = ((days * 24 + hours) * 60 + minutes) * 60 + seconds;
    const length = whole * 1_000 + Number((parts[4] ?? "").padEnd(6, "0")) / 1_000;
    return sign ? -length : length;
  }

  /** Seconds, as clients that ask for no types get it. */
  toJSON() {
    return this.milliseconds / 1_000;
  }
}

/**
 * A datetime: a Date, and in `text` what a Date loses: microseconds, the offset and the time zone,
 * or that there is none. Without an offset the Date is the one in the time zone of this machine.
 */
export class DateTime extends Date {
  constructor(text, origin) {
    const instant = instantOf(text);
    if (instant === undefined && origin !== READ) {
      const example = "2026-11-29T12:30:00.000001+01:00[Europe/Berlin]";
      throw new RangeError(`${JSON.stringify(text)} is no datetime; one looks like ${example}`);
    }
    super(instant ?? NaN);
    Object.defineProperty(this, "text", { value: text, enumerable: true });
  }
}

/** Whether a datetime is still what its text says: a Date can be changed. */
export function isAsWritten(datetime) {
  return Object.is(instantOf(datetime.text) ?? NaN, datetime.getTime());
}

/** The milliseconds since 1970 of a datetime's text; undefined for a text that is none. */
function instantOf(text) {
  const found = typeof text === "string" && DATETIME.exec(text);
  if (!found) return undefined;
  const [year, month, day, hour, minute, second] = found
    .slice(1, 7)
    .map((part) => Number(part ?? 0));
  const microsecond = Number((found[7] ?? "").padEnd(6, "0"));
  const date = new Date(0);
  if (found[8] === undefined) {
    date.setFullYear(year, month - 1, day);
    date.setHours(hour, minute, second, Math.floor(microsecond / 1_000));
    return date.getTime();
  }
  date.setUTCFullYear(year, month - 1, day);
  date.setUTCHours(hour, minute, second);
  const [hours, minutes, seconds] = found.slice(10, 13).map((part) => Number(part ?? 0));
  const offset =
    ((hours * 60 + minutes) * 60 + seconds) * 1_000_000 + Number((found[13] ?? "").padEnd(6, "0"));
  const east = found[9] === "-" ? -offset : offset;
  return date.getTime() + Math.floor((microsecond - east) / 1_000);
}

// --- numbers of more than one part ---------------------------------------------------------------

/** A complex number. */
export class Complex {
  constructor(re, im) {
    this.re = re;
    this.im = im;
  }
}

/** The first letter of a dtype on this machine: what typed arrays are. */
const ORDER = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? "<" : ">";
const ARRAYS = {
  i1: Int8Array,
  u1: Uint8Array,
  i2: Int16Array,
  u2: Uint16Array,
  i4: Int32Array,
  u4: Uint32Array,
  i8: BigInt64Array,
  u8: BigUint64Array,
  f4: Float32Array,
  f8: Float64Array,
};
if (globalThis.Float16Array) ARRAYS.f2 = globalThis.Float16Array;
const CODES = new Map(Object.entries(ARRAYS).map(([code, { name }]) => [name, code]));
CODES.set("Uint8ClampedArray", "u1");

/** The dtype of a typed array; undefined where it has none. */
function dtypeOf(array) {
  const code = CODES.get(array[Symbol.toStringTag]);
  return code && `${code.endsWith("1") ? "|" : ORDER}${code}`;
}

/** An array of numpy's: its dtype, its shape, and the bytes of its items in C order. */
export class NDArray {
  constructor(dtype, shape, data) {
    this.dtype = dtype;
    this.shape = shape;
    this.data = data;
  }

  /** The array of a typed array's items, of one dimension if no shape is given. */
  static from(array, shape = [array.length]) {
    const dtype = ArrayBuffer.isView(array) ? dtypeOf(array) : undefined;
    if (dtype === undefined) throw new TypeError("NDArray.from takes a typed array");
    const count = shape.reduce((product, length) => product * length, 1);
    if (count !== array.length) {
      throw new RangeError(`a shape of ${count} items for an array of ${array.length}`);
    }
    return new NDArray(dtype, [...shape], bytesOf(array).slice());
  }

  /** The items as a typed array, a copy; undefined where JavaScript has none for the dtype. */
  get values() {
    const [order, code] = [this.dtype[0], this.dtype.slice(1)];
    const Kind = ARRAYS[code];
    if (Kind === undefined) return undefined;
    const bytes = Uint8Array.from(this.data);
    const values = new Kind(bytes.buffer);
    if (order === "|" || order === ORDER) return values;
    const width = Kind.BYTES_PER_ELEMENT;
    for (let at = 0; at < bytes.length; at += width) bytes.subarray(at, at + width).reverse();
    return values;
  }

  /** What is under its tag. */
  toTag() {
    return { dtype: this.dtype, shape: this.shape, data: toBase64(this.data) };
  }

  static fromTag({ dtype, shape, data }) {
    return new NDArray(dtype, shape, fromBase64(data));
  }
}

/** The bytes of a typed array or a DataView, not copied. */
export function bytesOf(view) {
  return new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
}

/** Those of these classes that are a tag and a text. */
export const TEXTS = [Decimal, Fraction, UUID, DateOnly, TimeOnly, TimeDelta];
