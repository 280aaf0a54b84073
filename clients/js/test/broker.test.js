// The client and the broker itself, the program at BABELMQ_BIN.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import {
  ClassObject,
  ConnectionLost,
  DateOnly,
  DateTime,
  Decimal,
  FrozenSet,
  LoginFailed,
  NDArray,
  TimeDelta,
  Tuple,
  UUID,
} from "babelmq";
import { matcher } from "../src/filter.js";
import { Broker, Native, PICKLE_FORMAT, XML_FORMAT } from "./support/broker.js";
import { clientOf, reached, take, values } from "./support/client.js";

let broker;
before(async () => (broker = await Broker.start()));
after(() => broker?.kill());

/** A connection of native frames, closed at the end of the test. */
async function nativeOf(t) {
  const native = await Native.connect(broker.tcp);
  t.after(() => native.close());
  return native;
}

/** A topic of the test's own. */
function topicOf(t) {
  return `/${t.name.replace(/[^a-z]+/gi, "-")}`;
}

test("every value of the model comes from Python and goes back unchanged", async (t) => {
  const { rows, subscribe } = JSON.parse(
    readFileSync(new URL("fixtures/values.json", import.meta.url)),
  );
  const client = clientOf(t, broker.http);
  const python = await nativeOf(t);
  // With `exact`, so that what differs between two values differs in their pickles.
  python.send(Buffer.from(subscribe, "base64"), PICKLE_FORMAT);
  await python.receive();
  const subscription = client.subscribe("v");
  await subscription.ready;
  for (const { name, body } of rows) {
    python.send(Buffer.from(body, "base64"), PICKLE_FORMAT);
    const pushed = await python.receive();
    const [value] = await values(subscription, 1);
    await client.publish("v", value);
    const back = await python.receive();
    assert(back.equals(pushed), `${name} came back as ${back.toString("latin1")}`);
    await take(subscription, 1);
  }
  assert(rows.length > 150, `only ${rows.length} values`);
});

test("values of JavaScript are in XML what they are called there", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  const other = await nativeOf(t);
  other.send(`<f command="subscribe" topic="${topic}"/>`, XML_FORMAT);
  await other.receive();
  const rows = [
    [null, 'type="null">'],
    [1, 'type="int">1'],
    [-0, 'type="float">-0.0'],
    [2 ** 53, 'type="float">9007199254740992.0'],
    [1e21, 'type="float">1e+21'],
    [NaN, 'type="float">NaN'],
    [5n, 'type="int">5'],
    [2n ** 70n, 'type="int">1180591620717411303424'],
    [new Uint8Array([0, 255]), 'type="bytes">AP8='],
    [new Set(["a"]), 'type="set"><item type="str">a</item>'],
    [new FrozenSet(), 'type="frozenset">'],
    [Tuple.from([1]), 'type="tuple"><item type="int">1</item>'],
    [new Date(0), 'type="datetime">1970-01-01T00:00:00+00:00'],
    [new DateTime("2026-11-29T12:30"), 'type="datetime">2026-11-29T12:30:00'],
    [new DateOnly("2026-11-29"), 'type="date">2026-11-29'],
    [TimeDelta.of(90_500), 'type="timedelta">PT1M30.5S'],
    [new Decimal("1.10"), 'type="decimal">1.10'],
    [new UUID("F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"), 'type="uuid">f81d4fae'],
    [new Int16Array([1, -1]), 'type="ndarray" dtype="&lt;i2" shape="2">AQD//w=='],
    [NDArray.from(new Uint8Array([1, 2]), [2, 1]), 'dtype="|u1" shape="2 1">AQI='],
    [new ClassObject("app.Order", { id: 5 }), 'class="app.Order"><id type="int">5</id>'],
    [{ $set: [1] }, 'type="dict"><item key="$set" type="list">'],
    [new Map([[1, "a"]]), 'type="map"><entry><key type="int">1</key><value type="str">a</value>'],
    [new Map([["b", 1]]), 'type="dict"><b type="int">1</b>'],
  ];
  for (const [value, expected] of rows) {
    await client.publish(topic, value);
    const frame = (await other.receive()).toString();
    assert(frame.includes(expected), `${frame} is not ${expected}`);
  }
});

test("what is lost is what the page says", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  const other = await nativeOf(t);
  // An integral float is an int, and keys that are integers come first.
  other.send(`{"command":"publish","topic":"${topic}","message":{"b":1.0,"10":0,"9":-0.0}}`);
  other.send({ command: "ping" });
  await other.json();
  const value = await client.get(topic);
  assert.deepEqual(Object.keys(value), ["9", "10", "b"]);
  await client.publish(topic, value);
  await client.flush();
  other.send({ command: "get", topic });
  const text = (await other.receive()).toString();
  assert.equal(text.slice(text.indexOf(',"message"')), ',"message":{"9":-0.0,"10":0,"b":1}}');
});

test("without exact a client gets what plain JSON has", async (t) => {
  const topic = topicOf(t);
  const plain = clientOf(t, broker.http, { exact: false });
  // In the producer's own format it would be the producer's own text, so this is XML.
  const other = await nativeOf(t);
  const key = '<key type="tuple"><item type="int">1</item></key><value type="int">2</value>';
  const message =
    '<message type="dict"><at type="datetime">2026-11-29T12:30:00</at>' +
    '<pair type="tuple"><item type="int">1</item></pair><raw type="bytes">AP8=</raw>' +
    `<places type="map"><entry>${key}</entry></places></message>`;
  other.send(`<f command="publish" topic="${topic}">${message}</f>`, XML_FORMAT);
  other.send('<f command="ping"/>', XML_FORMAT);
  await other.receive();
  assert.deepEqual(await plain.get(topic), {
    at: "2026-11-29T12:30:00",
    pair: [1],
    raw: new Uint8Array([0, 255]),
    places: new Map([[Tuple.from([1]), 2]]),
  });
});

test("a filter means here what it means to the broker", async (t) => {
  const client = clientOf(t, broker.http);
  const below = ["a", "/a", "a/b", "/a/b", "a/b/c", "/a/b/c", "ab", "/ab", "b", "/b/a", "b/a/b"];
  for (const topic of below) await client.publish(topic, 1);
  const filters = ["a", "/a", "/", "#", "/#", "a/#", "+", "/+", "+/b", "/+/b", "a/+", "+/+/c/#"];
  const all = await client.list();
  for (const filter of filters) {
    assert.deepEqual(await client.list(filter), all.filter(matcher(filter)), filter);
  }
  const other = await nativeOf(t);
  for (const filter of filters) {
    other.send({ command: "subscribe", topic: filter, below: false });
    const found = [];
    for (let frame = await other.json(); frame.command === "publish"; frame = await other.json()) {
      found.push(frame.topic);
    }
    assert.deepEqual(found.sort(), all.filter(matcher(filter, false)), filter);
  }
  await client.clear("#");
  assert.deepEqual(await client.list(), []);
});

test("values are asked for, cleared, and expire, and who asked is told", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  await client.publish(`${topic}/x`, { a: 1 });
  await client.publish(`${topic}/y`, 2, { ttl: 1 });
  await client.publish(`${topic}/z`, 3, { retain: false });
  assert.deepEqual(await client.get(`${topic}/x`), { a: 1 });
  assert.equal(await client.get(`${topic}/z`), undefined);
  const subscription = client.subscribe(topic, { cleared: true });
  const stored = await take(subscription, 2);
  assert.deepEqual(stored[0], { topic: `${topic}/x`, value: { a: 1 }, retained: true });
  await client.clear(`${topic}/x`);
  for (const name of ["x", "y"]) {
    const notice = { topic: `${topic}/${name}`, value: undefined, retained: false, cleared: true };
    assert.deepEqual(await take(subscription, 1), [notice]);
  }
  const stats = await client.stats();
  assert.equal(stats.counters.topics, 0);
});

test("overlapping subscriptions each get every message once", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  await client.publish(`${topic}/a/b`, 1);
  const wide = client.subscribe(topic);
  const narrow = client.subscribe(`${topic}/a`, { overflow: "drop-oldest" });
  const same = client.subscribe(`${topic}/+/b/#`);
  await Promise.all([wide.ready, narrow.ready, same.ready]);
  await client.publish(`${topic}/a/b`, 2);
  for (const subscription of [wide, narrow, same]) {
    const [first, second] = await take(subscription, 2);
    assert.deepEqual([first.value, first.retained], [1, true]);
    assert.deepEqual([second.value, second.retained], [2, false]);
  }
  narrow.cancel();
  await client.publish(`${topic}/a/b`, 3);
  await client.flush();
  assert.deepEqual(await values(wide, 1), [3]);
  assert.deepEqual(await values(same, 1), [3]);
});

test("refusals of the broker reach the call that they are of", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  await client.publish("a//b", 1);
  await assert.rejects(client.get("a/"), { code: "invalid-topic", topic: "a/" });
  await assert.rejects(client.subscribe("a+").next(), { code: "invalid-topic" });
  await assert.rejects(client.list("a/#/b"), { code: "invalid-topic" });
  await client.publish(topic, "\ud800");
  await client.publish(topic, new Map([[new ClassObject("a.B"), 1]]));
  await client.publish(topic, 10n ** 5_000n);
  await client.clear("a/+b");
  await assert.rejects(client.flush(), (error) => {
    const codes = [error, ...error.more].map(({ code }) => code);
    assert.deepEqual(codes, [
      "invalid-topic",
      "invalid-value",
      "unhashable",
      "too-many-digits",
      "invalid-topic",
    ]);
    return true;
  });
  await client.flush();
  assert.equal(await client.get(topic), undefined);
});

test("a long message comes back whole, and many come in order", async (t) => {
  const topic = topicOf(t);
  const client = clientOf(t, broker.http);
  const long = "é".repeat(1 << 20);
  await client.publish(topic, long);
  assert.equal(await client.get(topic), long);
  await client.clear(topic);
  const subscription = client.subscribe(topic, { queue: 20_000 });
  await subscription.ready;
  for (let n = 0; n < 20_000; n++) client.publish(topic, n);
  await client.flush();
  const seen = await values(subscription, 20_000);
  assert(seen.every((value, at) => value === at));
});

test("a message that is too long ends the connection, and is said to be lost", async (t) => {
  const small = await Broker.start("--max-frame", "64KiB");
  t.after(() => small.kill());
  const client = clientOf(t, small.http);
  await client.publish("/a", "x".repeat(70_000));
  await assert.rejects(client.flush(), ({ code, cause }) => {
    assert.equal(code, "connection-lost");
    assert.equal(cause.code, "frame-too-large");
    return true;
  });
  await client.publish("/a", 1);
  await client.flush();
  assert.equal(await client.get("/a"), 1);
});

test("a broker that was killed and started again has its clients back", async (t) => {
  const other = await Broker.start();
  t.after(() => other.kill());
  const client = clientOf(t, other.http);
  const subscription = client.subscribe("/a", { overflow: "latest" });
  await client.publish("/a", 1);
  await client.flush();
  assert.deepEqual(await values(subscription, 1), [1]);
  await other.kill();
  assert((await reached(client, "disconnected")) instanceof ConnectionLost);
  await other.start();
  await client.publish("/a", 2);
  await client.flush();
  assert.deepEqual(await values(subscription, 1), [2]);
});

// --- users ---------------------------------------------------------------------------------------

const USERS = `
[[user]]
name = "ada"
# The SHA-256 of "token".
token-sha256 = "3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0"
roles = ["reader"]

[role.reader]
publish = ["news/ada"]
subscribe = ["news", "weather"]
deny-subscribe = ["news/drafts"]
`;

/** A broker with these users, and how to give it others. */
async function withUsers(t) {
  const folder = await mkdtemp(join(tmpdir(), "babelmq-"));
  t.after(() => rm(folder, { recursive: true }));
  const file = join(folder, "users.toml");
  writeFileSync(file, USERS);
  const guarded = await Broker.start("--users", file);
  t.after(() => guarded.kill());
  const reload = (text) => {
    writeFileSync(file, text);
    guarded.process.kill("SIGHUP");
  };
  return { guarded, reload };
}

test("a user logs in, and may do what it may", async (t) => {
  const { guarded, reload } = await withUsers(t);
  const client = clientOf(t, guarded.http, { token: "token" });
  await client.ready;
  const news = client.subscribe("news");
  const weather = client.subscribe("weather");
  await Promise.all([news.ready, weather.ready]);
  assert.deepEqual([news.limited, weather.limited], [true, false]);
  await client.publish("news/ada", 1);
  await client.publish("weather", 2);
  await assert.rejects(client.flush(), { code: "not-permitted", topic: "weather" });
  assert.deepEqual(await values(news, 1), [1]);
  await assert.rejects(client.get("news/drafts"), { code: "not-permitted" });
  await assert.rejects(client.subscribe("orders").ready, { code: "not-permitted" });
  await assert.rejects(client.stats(), { code: "not-permitted" });

  // Losing a right ends the subscription that it was for, and no other.
  reload(USERS.replace(', "weather"', ""));
  await assert.rejects(weather.next(), { code: "not-permitted", topic: "weather" });
  await client.publish("news/ada", 3);
  assert.deepEqual(await values(news, 1), [3]);

  reload(USERS.replace("ada", "eve"));
  await assert.rejects(news.next(), LoginFailed);
  assert.equal(client.state, "closed");
});

test("a wrong token, and none, is a login that failed", async (t) => {
  const { guarded } = await withUsers(t);
  const wrong = clientOf(t, guarded.http, { token: "other" });
  await assert.rejects(wrong.ready, { name: "LoginFailed", code: "login-failed" });
  const none = clientOf(t, guarded.http);
  await assert.rejects(none.get("news"), { name: "LoginFailed", code: "login-required" });
  assert.equal(wrong.state, "closed");
});
