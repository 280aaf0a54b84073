// Streams: durable consumers, followers and last messages, of the broker itself.

import assert from "node:assert/strict";
import test, { after, before } from "node:test";
import { Consumer, Decimal, Delivery } from "babelmq";
import { Broker, Native, XML_FORMAT } from "./support/broker.js";
import { clientOf, reached, take, values } from "./support/client.js";

let broker;
before(async () => {
  broker = await Broker.startWith([
    "all:filter=s/#",
    "small:filter=small/#,messages=3,full=refuse",
  ]);
});
after(() => broker?.remove());

/** A topic of the test's own. */
function topicOf(t) {
  return `s/${t.name.replace(/[^a-z]+/gi, "-")}`;
}

/** A client, and a topic to which it has published numbers. */
async function published(t, ...numbers) {
  const client = clientOf(t, broker.http);
  const topic = topicOf(t);
  for (const number of numbers) await client.publish(topic, number);
  await client.flush();
  return { client, topic };
}

/** What the broker says of a consumer of the test's topic. */
async function consumerAt(t, topic) {
  const native = await Native.connect(broker.tcp);
  t.after(() => native.close());
  native.send({ command: "consumers" });
  const { message } = await native.json();
  return message.find(({ filter }) => filter === topic);
}

test("iterating on acknowledges the message before, and break does not", async (t) => {
  const { client, topic } = await published(t, 1, 2, 3);
  const consumer = client.consume(topic, { consumer: "one", start: "all" });
  assert(consumer instanceof Consumer);
  const seen = [];
  for await (const message of consumer) {
    assert(message instanceof Delivery);
    seen.push([message.topic, message.value, message.attempt, message.consumer, message.stream]);
    assert(message.time instanceof Date && Date.now() - message.time < 60_000);
    if (message.value === 2) break;
  }
  assert.deepEqual(seen, [
    [topic, 1, 1, "one", "all"],
    [topic, 2, 1, "one", "all"],
  ]);
  assert.deepEqual([consumer.stream, consumer.pending > 0], ["all", true]);
  assert.deepEqual(await consumer.next(), { value: undefined, done: true });
  await client.flush();
  assert.equal((await consumerAt(t, topic)).members, 0);
  const again = client.consume(topic, { consumer: "one" });
  const [second, third] = await take(again, 2);
  assert.deepEqual([second.value, second.attempt, third.value], [2, 2, 3]);
});

test("what throws out of the loop is not acknowledged", async (t) => {
  const { client, topic } = await published(t, 1);
  await assert.rejects(async () => {
    for await (const _ of client.consume(topic, { consumer: "throws", start: "all" })) {
      throw new Error("out of paper");
    }
  }, /out of paper/);
  const again = client.consume(topic, { consumer: "throws" });
  const [{ value, attempt }] = await take(again, 1);
  assert.deepEqual([value, attempt], [1, 2]);
});

test("with manual nothing is acknowledged but by hand", async (t) => {
  const { client, topic } = await published(t, 1, 2, 3, 4);
  const options = { consumer: "manual", start: "all", manual: true };
  const [first, , third] = await take(client.consume(topic, options), 3);
  assert.equal(first.ack(), true);
  assert.equal(first.settled, true);
  assert.equal(first.ack(), false);
  assert.equal(first.nak(), false);
  third.ack();
  await client.close();
  const other = clientOf(t, broker.http);
  assert.deepEqual(await values(other.consume(topic, { consumer: "manual" }), 2), [2, 4]);
});

test("a message is given back, takes longer, or is a dead letter", async (t) => {
  const { client, topic } = await published(t, 1);
  const dead = client.subscribe(`$dead/hand/${topic}`, { start: "new" });
  await dead.ready;
  const options = { consumer: "hand", start: "all", manual: true, ackWait: 0.5 };
  const consumer = client.consume(topic, options);
  const [first] = await take(consumer, 1);
  first.nak();
  const [second] = await take(consumer, 1);
  const began = Date.now();
  second.nak(0.2);
  const [third] = await take(consumer, 1);
  assert(Date.now() - began >= 199);
  assert.deepEqual([first.attempt, second.attempt, third.attempt], [1, 2, 3]);
  // It outlasts the time that it has, because it says so.
  const touched = setInterval(() => third.touch(), 100);
  const wait = new Promise((resolve) => setTimeout(resolve, 1_000, "nothing"));
  const next = consumer.next();
  assert.equal(await Promise.race([next, wait]), "nothing");
  clearInterval(touched);
  third.reject("no such article");
  const [{ value }] = await take(dead, 1);
  const { stream, attempts, reason, message } = value;
  assert.deepEqual([stream, attempts, reason, message], ["all", 3, "no such article", 1]);
});

test("a message that is not settled in time comes again, in the place of what waits", async (t) => {
  const { client, topic } = await published(t, 1, 2);
  const options = { consumer: "slow", start: "all", ackWait: 0.2, manual: true };
  const consumer = client.consume(topic, options);
  const [{ seq }] = await take(consumer, 1);
  // Both are delivered again and again while nobody iterates.
  while ((await consumerAt(t, topic)).redelivered < 4);
  await client.get(topic);
  const [second, first] = await take(consumer, 2);
  assert.deepEqual([second.seq, first.seq], [seq + 1, seq]);
  assert(first.attempt > 2, first.attempt);
  second.ack();
  first.ack();
  await client.flush();
  assert.equal((await consumerAt(t, topic)).pending, 0);
});

test("the options of a consumer are the broker's", async (t) => {
  const { client, topic } = await published(t);
  const options = {
    start: new Date(),
    stream: "all",
    window: 2,
    ackWait: 1.5,
    maxDeliver: 7,
    backoff: [0.5, 2],
    order: "topic",
  };
  const consumer = client.consume(topic, { consumer: "options", ...options });
  await consumer.ready;
  assert.equal(consumer.pending, 0);
  const { window, backoff, order, ...found } = await consumerAt(t, topic);
  assert.deepEqual([window, backoff, order], [2, [0.5, 2], "topic"]);
  assert.deepEqual([found["ack-wait"], found["max-deliver"]], [1.5, 7]);
});

test("values of a stream have their types, and without exact what plain JSON has", async (t) => {
  const { client, topic } = await published(t);
  const value = { price: new Decimal("1.10"), id: 2n ** 70n, at: new Date(0) };
  await client.publish(topic, value);
  const [exact] = await values(client.consume(topic, { consumer: "exact", start: "all" }), 1);
  assert.deepEqual([exact.price, exact.id, exact.at.getTime()], [value.price, value.id, 0]);
  const [followed] = await values(client.subscribe(topic, { start: "all" }), 1);
  assert.deepEqual(followed, exact);
  const [kept] = await client.getLast(topic, 1);
  assert.deepEqual(kept.value, exact);
  // In the producer's own format it would be the producer's own text, so this is XML.
  const native = await Native.connect(broker.tcp);
  t.after(() => native.close());
  const message = '<message type="decimal">1.10</message>';
  native.send(`<f command="publish" topic="${topic}">${message}</f>`, XML_FORMAT);
  native.send('<f command="ping"/>', XML_FORMAT);
  await native.receive();
  const plain = clientOf(t, broker.http, { exact: false });
  assert.equal((await plain.getLast(topic, 1))[0].value, "1.10");
});

test("two members share what there is, each message once", async (t) => {
  const { client, topic } = await published(t, ...Array(20).keys());
  const other = clientOf(t, broker.http);
  const options = { consumer: "shared", start: "all", window: 2 };
  const members = [client, other].map((one) => one.consume(topic, options));
  await Promise.all(members.map(({ ready }) => ready));
  const seen = [];
  const all = members.map(async (member) => {
    for await (const { value } of member) {
      seen.push(value);
      if (seen.length === 20) for (const one of members) one.cancel();
    }
  });
  await Promise.all(all);
  assert.deepEqual(
    seen.sort((a, b) => a - b),
    [...Array(20).keys()],
  );
});

test("a follower reads what is kept and goes on live, beside all else of its topic", async (t) => {
  const { client, topic } = await published(t, 1, 2);
  const plain = client.subscribe(topic);
  const follower = client.subscribe(topic, { start: "all" });
  const consumer = client.consume(topic, { consumer: "beside", start: "all", manual: true });
  const found = await take(follower, 2);
  const { stream, seq, time, ...rest } = found[0];
  assert.deepEqual(rest, { topic, value: 1, retained: false });
  assert.deepEqual([stream, found[1].seq], ["all", seq + 1]);
  assert(time instanceof Date);
  const held = await take(consumer, 2);
  assert.deepEqual(await values(plain, 1), [2]);
  await client.publish(topic, 3);
  for (const one of [plain, follower, consumer]) assert.deepEqual(await values(one, 1), [3]);
  // The broker ends all subscriptions of a filter at once.
  follower.cancel();
  await client.publish(topic, 4);
  assert.deepEqual(await values(plain, 1), [4]);
  for (const message of held) message.ack();
  const after = await take(consumer, 2);
  assert.deepEqual(after.map(({ value }) => value).sort(), [3, 4]);
  plain.cancel();
  const late = client.subscribe(topic, { start: found[1].seq });
  assert.deepEqual(await values(late, 3), [2, 3, 4]);
});

test("followers of different parts, and of different times", async (t) => {
  const { client, topic } = await published(t);
  for (const name of ["a", "b", "a"]) await client.publish(`${topic}/${name}`, name);
  await client.flush();
  const [{ time }] = await client.getLast(`${topic}/b`, 1);
  const a = client.subscribe(`${topic}/a`, { start: new Date(0) });
  const b = client.subscribe(`${topic}/b`, { start: time });
  assert.deepEqual(await values(a, 2), ["a", "a"]);
  assert.deepEqual(await values(b, 1), ["b"]);
  const both = client.subscribe(topic, { start: "all" });
  await assert.rejects(both.next(), { code: "in-use", topic });
  const again = client.subscribe(`${topic}/a`, { start: "new" });
  await assert.rejects(again.ready, { code: "in-use" });
  a.cancel();
  b.cancel();
  assert.deepEqual(await values(client.subscribe(topic, { start: "last" }), 2), ["b", "a"]);
});

test("a follower that is slow pauses, and misses nothing", async (t) => {
  const { client, topic } = await published(t);
  const all = [...Array(500).keys()];
  const live = client.subscribe(topic, { start: "new", queue: 10 });
  await live.ready;
  for (const number of all) await client.publish(topic, number);
  await client.flush();
  assert.deepEqual(await values(live, 500), all);
  assert.equal(live.dropped, 0);
  await client.publish(topic, 500);
  assert.deepEqual(await values(live, 1), [500]);
});

test("a topic's last messages are given, oldest first", async (t) => {
  const { client, topic } = await published(t, 1, 2, 3, 4);
  const last = await client.getLast(topic, 2);
  assert.deepEqual(
    last.map(({ value }) => value),
    [3, 4],
  );
  const [{ seq, stream, time, topic: name }, second] = last;
  assert.deepEqual([name, stream, second.seq], [topic, "all", seq + 1]);
  assert(time instanceof Date);
  assert.deepEqual(await client.getLast(`${topic}/none`, 5), []);
  await assert.rejects(client.getLast("elsewhere", 1), { code: "no-stream", topic: "elsewhere" });
  // What comes next has its own answer.
  assert.equal(await client.get(topic), 4);
});

test("the same id is kept once", async (t) => {
  const { client, topic } = await published(t);
  for (const value of [1, 2]) await client.publish(topic, value, { id: "order-7" });
  await client.publish(topic, 3, { id: "order-8" });
  await client.flush();
  assert.deepEqual(
    (await client.getLast(topic, 9)).map(({ value }) => value),
    [1, 3],
  );
});

test("what a stream or a consumer is refused for is thrown where it was asked", async (t) => {
  const client = clientOf(t, broker.http);
  await assert.rejects(client.consume("elsewhere", { consumer: "x" }).ready, { code: "no-stream" });
  for (const asked of [
    client.consume("elsewhere", { consumer: "x" }),
    client.subscribe("elsewhere", { start: "all" }),
    client.consume("s/x", { consumer: "y", stream: "none" }),
  ]) {
    await assert.rejects(asked.ready, { code: "no-stream" });
    await assert.rejects(asked.next(), { code: "no-stream" });
  }
  await assert.rejects(client.consume("s/x", { consumer: "a b" }).next(), {
    code: "invalid-field",
  });
  for (let n = 0; n < 3; n++) await client.publish("small/x", n);
  await client.flush();
  await client.publish("small/x", 3);
  await assert.rejects(client.flush(), { code: "stream-full", topic: "small/x" });
});

test("what cannot be meant is refused at once", (t) => {
  const client = clientOf(t, broker.http);
  const consume = (options) => () => client.consume("s", { consumer: "x", ...options });
  for (const options of [
    { consumer: undefined },
    { consumer: 5 },
    { consumer: "" },
    { ackwait: 5 },
    { start: {} },
    { order: "all" },
    { backoff: 5 },
    { backoff: [] },
    { stream: 5 },
  ]) {
    assert.throws(consume(options), TypeError, JSON.stringify(options));
  }
  for (const options of [
    { window: 0 },
    { window: 65_537 },
    { ackWait: 0 },
    { ackWait: "5" },
    { maxDeliver: 0 },
    { backoff: [-1] },
    { start: 0 },
    { start: new Date(NaN) },
  ]) {
    assert.throws(consume(options), RangeError, JSON.stringify(options));
  }
  assert.throws(() => client.subscribe("s", { stream: "all" }), TypeError);
  assert.throws(() => client.subscribe("s", { start: "all", cleared: true }), TypeError);
});

test("a consumer and a follower outlive a broker that was killed", async (t) => {
  const own = await Broker.startWith(["orders:filter=orders"]);
  t.after(() => own.remove());
  const client = clientOf(t, own.http, { reliable: true });
  const consumer = client.consume("orders", { consumer: "billing", start: "all", manual: true });
  const follower = client.subscribe("orders", { start: "all" });
  for (const number of [1, 2, 3]) await client.publish("orders", number);
  await client.flush();
  const [first, second] = await take(consumer, 2);
  assert.deepEqual(await values(follower, 3), [1, 2, 3]);
  first.ack();
  await client.flush();
  await own.kill();
  await reached(client, "disconnected");
  // It is said, and the message published, when there is a connection.
  assert.equal(second.ack(), true);
  assert.equal(second.nak(), false);
  await client.publish("orders", 0, { signal: AbortSignal.timeout(1) }).catch(() => {});
  const published = client.publish("orders", 4);
  await own.start();
  await published;
  // The third was dropped here, and is delivered again.
  const [third, fourth] = await take(consumer, 2);
  assert.deepEqual([third.value, fourth.value], [3, 4]);
  assert.deepEqual(await values(follower, 1), [4]);
  third.ack();
  fourth.ack();
  await client.close();
  const other = clientOf(t, own.http);
  const again = other.consume("orders", { consumer: "billing" });
  await again.ready;
  assert.equal(again.pending, 0);
});
