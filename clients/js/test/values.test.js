// The codec of values: what is written, what is read, and that the one undoes the other.

import assert from "node:assert/strict";
import test from "node:test";
import { runInNewContext } from "node:vm";
import { NotPlainData } from "../src/errors.js";
import {
  ClassObject,
  Complex,
  DateOnly,
  DateTime,
  Decimal,
  Fraction,
  FrozenSet,
  NDArray,
  TimeDelta,
  TimeOnly,
  Tuple,
  UUID,
} from "../src/types.js";
import { decodeFrame, encode } from "../src/values.js";

function decode(text) {
  return decodeFrame(`{"command":"publish","topic":"a","message":${text}}`).message;
}

const TABLE = [
  ["null", null],
  ["true", true],
  ["0", 0],
  ["-0.0", -0],
  ["9007199254740991", Number.MAX_SAFE_INTEGER],
  ["9007199254740992.0", 2 ** 53],
  ["-100000000000000000000.0", -1e20],
  ["1e+21", 1e21],
  ["1.5e-7", 1.5e-7],
  ['{"$float":"nan"}', NaN],
  ['{"$float":"-inf"}', -Infinity],
  ['"a\\"b"', 'a"b'],
  ['{"$bytes":"AP8="}', new Uint8Array([0, 255])],
  ['[1,[2,"x"]]', [1, [2, "x"]]],
  ['{"$tuple":[3]}', Tuple.from([3])],
  ['{"$tuple":[{"$tuple":[]},[1]]}', Tuple.from([new Tuple(), [1]])],
  ['{"$set":[1,{"$tuple":[1,2]}]}', new Set([1, Tuple.from([1, 2])])],
  ['{"$frozenset":[{"$frozenset":["x"]}]}', new FrozenSet([new FrozenSet(["x"])])],
  ['{"a":1,"b":{"c":[]}}', { a: 1, b: { c: [] } }],
  ['{"$dict":[["$set",1]]}', { $set: 1 }],
  ['{"$dict":[["$other",{"$tuple":[]}]]}', { $other: new Tuple() }],
  ['{"$set":1,"$dict":2}', { $set: 1, $dict: 2 }],
  ['{"$dict":[[1,"one"],["1","x"]]}', new Map([[1, "one"], ["1", "x"]])], // prettier-ignore
  ['{"$dict":[[{"$tuple":[1]},null]]}', new Map([[Tuple.from([1]), null]])],
  ['{"$datetime":"2026-11-29T12:30:00.000001+01:00[Europe/Berlin]"}',
    new DateTime("2026-11-29T12:30:00.000001+01:00[Europe/Berlin]")], // prettier-ignore
  ['{"$date":"2026-11-29"}', new DateOnly("2026-11-29")],
  ['{"$time":"02:30:00[_fold=1]"}', new TimeOnly("02:30:00[_fold=1]")],
  ['{"$timedelta":"-PT0.000001S"}', new TimeDelta("-PT0.000001S")],
  ['{"$decimal":"sNaN5"}', new Decimal("sNaN5")],
  ['{"$uuid":"f81d4fae-7dec-11d0-a765-00a0c91e6bf6"}',
    new UUID("f81d4fae-7dec-11d0-a765-00a0c91e6bf6")], // prettier-ignore
  ['{"$fraction":"-1/3"}', new Fraction("-1/3")],
  ['{"$complex":[-0.0,{"$float":"inf"}]}', new Complex(-0, Infinity)],
  ['{"$ndarray":{"dtype":"<i2","shape":[2],"data":"AQD//w=="}}',
    new NDArray("<i2", [2], new Uint8Array([1, 0, 255, 255]))], // prettier-ignore
  ['{"$object":{"class":"app.Order","state":{"id":5,"at":{"$date":"2026-11-29"}}}}',
    new ClassObject("app.Order", { id: 5, at: new DateOnly("2026-11-29") })], // prettier-ignore
];

for (const [text, value] of TABLE) {
  test(`${text} is read and written`, () => {
    assert.deepStrictEqual(decode(text), value);
    assert.equal(encode(value), text);
  });
}

test("what is spelled otherwise is read too", () => {
  const rows = [
    ['{"$int":"5"}', 5],
    ['{"$int":"9007199254740993"}', 9007199254740993n],
    ['{"$float":"1.5"}', 1.5],
    ['{"$dict":[["a",1],["b",{"$set":[]}]]}', { a: 1, b: new Set() }],
    ['{"\\u0024bytes":"AP8="}', new Uint8Array([0, 255])],
    // Without `exact` a broker spells keys so.
    ['{"$dict":[[[1,[2]],0],[{"$set":[1]},1]]}',
      new Map([[Tuple.from([1, Tuple.from([2])]), 0], [new FrozenSet([1]), 1]])], // prettier-ignore
    ['{"$set":[[1],{"$set":[]}]}', new Set([Tuple.from([1]), new FrozenSet()])],
    ['{"$unknown":{"$tuple":[]}}', { $unknown: new Tuple() }],
  ];
  for (const [text, value] of rows) assert.deepStrictEqual(decode(text), value, text);
});

test("a text that a newer broker writes is kept, and goes back as it came", () => {
  for (const text of ['{"$datetime":"+12026-11-29T12:30"}', '{"$timedelta":"P1Y"}']) {
    assert.equal(encode(decode(text)), text);
  }
  assert.equal(decode('{"$timedelta":"P1Y"}').milliseconds, NaN);
});

test("values of JavaScript alone are written as what the other formats have", () => {
  const rows = [
    [5n, "5"],
    [-(2n ** 64n), "-18446744073709551616"],
    [new Date(Date.UTC(2026, 10, 29, 12, 30)), '{"$datetime":"2026-11-29T12:30:00+00:00"}'],
    [new Date(Date.UTC(2026, 10, 29, 12, 30, 0, 7)),
      '{"$datetime":"2026-11-29T12:30:00.007000+00:00"}'], // prettier-ignore
    [Buffer.from([0, 255]), '{"$bytes":"AP8="}'],
    [new Uint8Array([9, 0, 255, 9]).subarray(1, 3), '{"$bytes":"AP8="}'],
    [new Uint8Array([0, 255]).buffer, '{"$bytes":"AP8="}'],
    [new DataView(new Uint8Array([9, 0, 255]).buffer, 1), '{"$bytes":"AP8="}'],
    [new Int16Array([1, -1]), '{"$ndarray":{"dtype":"<i2","shape":[2],"data":"AQD//w=="}}'],
    [new Uint8ClampedArray([1]), '{"$ndarray":{"dtype":"|u1","shape":[1],"data":"AQ=="}}'],
    [new Map([["b", 1], ["2", 2], ["1", 3]]), '{"b":1,"2":2,"1":3}'], // prettier-ignore
    [new Map([["$set", 1]]), '{"$dict":[["$set",1]]}'],
    [new Map(), "{}"],
    [{ a: undefined, b: 1, c: undefined }, '{"b":1}'],
    [{ $a: undefined, $b: 1 }, '{"$dict":[["$b",1]]}'],
    [Object.assign(Object.create(null), { a: 1 }), '{"a":1}'],
    [new URL("http://a/b"), '"http://a/b"'],
    [runInNewContext("({ d: new Date(0), m: new Map([[1, 2]]), s: new Set([1]), a: [1] })"),
      '{"d":{"$datetime":"1970-01-01T00:00:00+00:00"},"m":{"$dict":[[1,2]]},' +
        '"s":{"$set":[1]},"a":[1]}'], // prettier-ignore
    [JSON.parse('{"__proto__":{"a":1}}'), '{"__proto__":{"a":1}}'],
    ["\ud800", '"\\ud800"'],
  ];
  for (const [value, text] of rows) assert.equal(encode(value), text);
});

test("an own property __proto__ is data, and reaches no prototype", () => {
  const text = '{"__proto__":{"x":{"$tuple":[1]}},"a":{"$dict":[["__proto__",{"x":1}],["b",2]]}}';
  const value = decode(text);
  assert.deepEqual(Object.keys(value), ["__proto__", "a"]);
  assert.deepEqual(Object.keys(value.a), ["__proto__", "b"]);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.equal(Object.getPrototypeOf(value.a), Object.prototype);
  assert.equal(value.x, undefined);
  assert.equal(encode(value), text.replace(/\{"\$dict".*\]\}/, '{"__proto__":{"x":1},"b":2}'));
});

test("what no format has is refused, with its place", () => {
  class Order {}
  const cycle = [];
  cycle.push(cycle);
  const rows = [
    [undefined, "value"],
    [() => 1, "value"],
    [Symbol("a"), "value"],
    [{ rows: [1, new Order()] }, "value.rows[1]"],
    [{ "a b": [undefined] }, 'value["a b"][0]'],
    [[, 1], "value[0]"], // eslint-disable-line no-sparse-arrays
    [{ $a: /x/ }, "value.$a"],
    [new Map([[1, new WeakMap()]]), "value[1]"],
    [new Set([[1]]), "value[0]"],
    [new Set([new Set()]), "value[0]"],
    [new Map([[{}, 1]]), "value[[object Object]]"],
    [new Map([[Tuple.from([[1]]), 1]]), "value[1][0]"],
    [new Date(NaN), "value"],
    [{ at: new Date(8.64e15) }, "value.at"],
    [new Date("0000-01-01"), "value"],
    [cycle, "value[0][0][0]"],
    [new Error("x"), "value"],
    [Promise.resolve(1), "value"],
  ];
  for (const [value, path] of rows) {
    assert.throws(() => encode(value), (error) => {
      assert(error instanceof NotPlainData, error.stack);
      assert.equal(error.path, path);
      assert.equal(error.code, "not-plain-data");
      return true;
    }); // prettier-ignore
  }
});

test("128 containers inside each other are written, and 129 are not", () => {
  let value = 0;
  for (let depth = 0; depth < 128; depth++) value = depth % 2 ? [value] : { a: value };
  assert.equal(encode(value).match(/[[{]/g).length, 128);
  assert.throws(() => encode([value]), /nests more than 128 deep/);
});

test("a text that is none is a RangeError", () => {
  const rows = [
    [Decimal, "1,10", ""],
    [Decimal, 1.1, "Infinit"],
    [UUID, "f81d4fae", "{f81d4fae-7dec-11d0-a765-00a0c91e6bf6}"],
    [Fraction, "1/", "1.5"],
    [DateOnly, "2026-11", "2026-11-29T00:00"],
    [TimeOnly, "12", "2026-11-29T12:30"],
    [TimeDelta, "P", "PT", "1S", "P1Y", "PT1.S", ""],
    [DateTime, "2026-11-29", "", undefined, "2026-11-29T12:30[a b]"],
  ];
  for (const [Kind, ...texts] of rows) {
    for (const text of texts) assert.throws(() => new Kind(text), RangeError, `${text}`);
  }
});

test("a datetime is a Date, to the millisecond", () => {
  const rows = [
    ["2026-11-29T12:30:00.123999+00:00", Date.UTC(2026, 10, 29, 12, 30, 0, 123)],
    ["2026-11-29 12:30Z", Date.UTC(2026, 10, 29, 12, 30)],
    ["2026-11-29T12:30:00+01:00[Europe/Berlin]", Date.UTC(2026, 10, 29, 11, 30)],
    ["2026-11-29T12:30:00-05:00:03", Date.UTC(2026, 10, 29, 17, 30, 3)],
    ["1969-12-31T23:59:59.999999+00:00", -1],
    ["1970-01-01T00:00:00+00:00:00.000007", -1],
    ["2026-11-29T12:30:00.123", new Date(2026, 10, 29, 12, 30, 0, 123).getTime()],
    ["0001-01-01T00:00:00", new Date("0001-01-01T00:00:00").getTime()],
    ["9999-12-31T23:59:59.999999+00:00", Date.UTC(9999, 11, 31, 23, 59, 59, 999)],
  ];
  for (const [text, instant] of rows) {
    const value = new DateTime(text);
    assert(value instanceof Date);
    assert.equal(value.getTime(), instant, text);
    assert.equal(encode(value), JSON.stringify({ $datetime: text }));
  }
});

test("a datetime that was changed is what it was changed to", () => {
  const value = decode('{"$datetime":"2026-11-29T12:30:00.000001+01:00"}');
  value.setUTCHours(0, 0, 0, 0);
  assert.equal(encode(value), '{"$datetime":"2026-11-29T00:00:00+00:00"}');
});

test("durations are milliseconds, and made of them", () => {
  const rows = [
    ["P1DT2H3M4.5S", 93_784_500],
    ["-PT0.000001S", -0.001],
    ["PT0S", 0],
    ["P999999999D", 999_999_999 * 86_400_000],
  ];
  for (const [text, length] of rows) assert.equal(new TimeDelta(text).milliseconds, length);
  assert.equal(String(TimeDelta.of(1_500)), "PT1.5S");
  assert.equal(String(TimeDelta.of(-0.001)), "-PT0.000001S");
  assert.equal(String(TimeDelta.of(0)), "PT0S");
  assert.throws(() => TimeDelta.of(NaN), RangeError);
});

test("exact numbers are numbers where one is wanted, and texts in JSON", () => {
  assert.equal(Number(new Decimal("1.10")), 1.1);
  assert.equal(Number(new Decimal("-Infinity")), -Infinity);
  assert.equal(new Fraction("1/4") * 2, 0.5);
  assert.equal(new Fraction("-5") + 0, -5);
  const values = [new Decimal("1.10"), new Fraction("1/3"), new TimeDelta("PT1.5S")];
  assert.equal(JSON.stringify(values), '["1.10","1/3",1.5]');
  assert.equal(`${new Decimal("1.10")}`, "1.10");
  assert.throws(() => (new Decimal("1").text = "2"), TypeError);
});

test("an array gives its items as a typed array, of either byte order", () => {
  const items = (text) => decode(`{"$ndarray":${text}}`).values;
  const one = '"shape":[1],"data":';
  assert.deepEqual(items(`{"dtype":"<i2",${one}"AQA="}`), new Int16Array([1]));
  assert.deepEqual(items(`{"dtype":">i2",${one}"AAE="}`), new Int16Array([1]));
  assert.deepEqual(items(`{"dtype":"|u1",${one}"/w=="}`), new Uint8Array([255]));
  const most = new BigInt64Array([2n ** 63n - 1n]);
  assert.deepEqual(items(`{"dtype":"<i8",${one}"/////////38="}`), most);
  assert.equal(items(`{"dtype":"<U1",${one}"YQAAAA=="}`), undefined);
  const grid = NDArray.from(new Float64Array([1, 2, 3, 4, 5, 6]), [2, 3]);
  assert.deepEqual([grid.dtype, grid.shape, grid.values[5]], ["<f8", [2, 3], 6]);
  assert.throws(() => NDArray.from(new Float64Array(6), [2, 2]), RangeError);
  assert.throws(() => NDArray.from([1, 2]), TypeError);
});

test("what is made of a tuple is an array", () => {
  const made = decode('{"$tuple":[1,2]}').map((item) => item + 1);
  assert(!(made instanceof Tuple));
  assert.deepEqual(made, [2, 3]);
});

test("long bytes are the same there and back", () => {
  const bytes = Uint8Array.from({ length: 100_000 }, (_, at) => (at * 7) % 256);
  assert.deepEqual(decode(encode(bytes)), bytes);
  assert.equal(encode(bytes), `{"$bytes":"${Buffer.from(bytes).toString("base64")}"}`);
});
