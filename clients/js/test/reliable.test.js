// What a reliable client keeps and says again, and what a consumer does beside a broker that does
// what it is told.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { ConnectionLost } from "babelmq";
import { Broker } from "./support/broker.js";
import { both, clientOf, reached, take, values } from "./support/client.js";
import { refusal } from "./support/fake.js";

const isPublish = ({ command }) => command === "publish";

/** A broker that answers no ping until it is told to. */
async function silent(t, options) {
  const { broker, client } = await both(t, options);
  broker.intercept = ({ command }) => command === "ping";
  return { broker, client };
}

/** A broker that knows a stream, of which the test says the deliveries. */
async function streaming(t, options) {
  const { broker, client } = await both(t, options);
  broker.answer = (frame) => {
    const asked = broker.heard.findLast(({ command }) => command === "subscribe");
    const { consumer } = asked ?? {};
    if (frame.command !== "subscribed") return frame;
    return { ...frame, stream: "s", consumer, pending: 0 };
  };
  const deliver = (consumer, seq, attempt) => {
    const time = "2026-11-29T17:00:00.123Z";
    const of = { topic: "/a", stream: "s", consumer, seq, time, attempt };
    broker.say({ command: "publish", ...of, message: seq });
  };
  const said = (...commands) => broker.heard.filter(({ command }) => commands.includes(command));
  return { broker, client, deliver, said };
}

test("what no pong has confirmed is published again, with its id and in its order", async (t) => {
  const { broker, client } = await silent(t, { reliable: true });
  await client.publish("/a", 1);
  await client.publish("/a", 2, { id: "mine" });
  await client.clear("/b");
  const flushed = client.flush();
  await broker.request(({ command }) => command === "ping");
  broker.intercept = () => false;
  broker.cut();
  await flushed;
  const heard = broker.heard.filter(({ command }) => command !== "ping");
  const [first, second, third, ...again] = heard;
  assert.deepEqual(again, [first, second, third]);
  assert.match(first.id, /^[0-9a-f]{16}-1$/);
  assert.equal(second.id, "mine");
  assert.deepEqual(third, { command: "clear", topic: "/b" });
  // It is confirmed, and not said a third time.
  broker.cut();
  await reached(client, "disconnected");
  await client.flush();
  assert.equal(broker.heard.filter(isPublish).length, 4);
});

test("of what was sent twice already the order stays", async (t) => {
  const { broker, client } = await silent(t, { reliable: true });
  for (const number of [1, 2]) await client.publish("/a", number);
  for (let n = 0; n < 2; n++) {
    broker.cut();
    await reached(client, "disconnected");
    await client.publish("/a", 3 + n);
  }
  broker.intercept = () => false;
  await client.flush();
  const last = broker.heard.filter(isPublish).slice(-4);
  assert.deepEqual(
    last.map(({ message }) => message),
    [1, 2, 3, 4],
  );
});

test("ids differ from client to client, and without reliable there are none", async (t) => {
  const { broker, client } = await both(t, { reliable: true });
  const [other, plain] = [clientOf(t, broker.url, { reliable: true }), clientOf(t, broker.url)];
  for (const one of [client, other, plain]) await one.publish("/a", 1).then(() => one.flush());
  const ids = broker.heard.filter(isPublish).map(({ id }) => id);
  assert.equal(new Set(ids).size, 3);
  assert.equal(ids[2], undefined);
});

test("a broker that cannot write to its disk has confirmed nothing", async (t) => {
  const { broker, client } = await both(t, { reliable: true });
  broker.intercept = ({ command }, { send }) => {
    if (command === "ping") send(refusal("storage-failed"));
    return command === "ping";
  };
  await client.publish("/a", 1);
  await assert.rejects(client.flush(), { code: "storage-failed" });
  broker.intercept = () => false;
  broker.cut();
  await reached(client, "disconnected");
  await client.flush();
  assert.equal(broker.heard.filter(isPublish).length, 2);
});

test("close waits for what is not confirmed, and says that it was not", async (t) => {
  const { broker, client } = await silent(t, { reliable: true });
  await client.publish("/a", 1);
  await broker.request(isPublish);
  broker.cut();
  await reached(client, "disconnected");
  broker.intercept = () => false;
  await client.close();
  assert.equal(broker.heard.filter(isPublish).length, 2);

  const gone = clientOf(t, broker.url, { reliable: true });
  await gone.publish("/a", 2);
  await broker.close();
  await reached(gone, "disconnected");
  await assert.rejects(gone.close(), ConnectionLost);
});

test("a message that is too long is refused, and not tried for ever", async (t) => {
  const broker = await Broker.start("--max-frame", "64KiB");
  t.after(() => broker.kill());
  const client = clientOf(t, broker.http, { reliable: true });
  await client.ready;
  const refused = once(client, "refused");
  await client.publish("/a", 1);
  await client.publish("/b", "x".repeat(100_000));
  await client.publish("/c", 2);
  const [{ error }] = await refused;
  assert.deepEqual([error.code, error.topic], ["frame-too-large", "/b"]);
  await assert.rejects(client.flush(), { code: "frame-too-large", topic: "/b" });
  assert.deepEqual([await client.get("/a"), await client.get("/c")], [1, 2]);
});

test("what a consumer says names it only where the client has more than one", async (t) => {
  const { client, deliver, said } = await streaming(t);
  const one = client.consume("/a", { consumer: "one", manual: true });
  await one.ready;
  deliver("one", 1);
  (await take(one, 1))[0].ack();
  await client.flush();
  assert.deepEqual(said("ack"), [{ command: "ack", seq: 1 }]);
  const two = client.consume("/a", { consumer: "two", manual: true });
  await two.ready;
  deliver("one", 2);
  deliver("two", 2);
  const [[first], [second]] = [await take(one, 1), await take(two, 1)];
  first.nak(1.5);
  first.nak();
  second.reject("\ud800 no");
  second.touch();
  await client.flush();
  assert.deepEqual(said("nak", "reject", "touch"), [
    { command: "nak", seq: 2, delay: 1.5, consumer: "one", stream: "s" },
    { command: "reject", seq: 2, reason: "\ufffd no", consumer: "two", stream: "s" },
  ]);
  await assert.rejects(client.consume("/a", { consumer: "two" }).ready, { code: "in-use" });
});

test("what is delivered again though it is settled is settled again, and not seen", async (t) => {
  const { client, deliver, said } = await streaming(t);
  const consumer = client.consume("/a", { consumer: "one", manual: true });
  await consumer.ready;
  deliver("one", 1);
  (await take(consumer, 1))[0].ack();
  deliver("one", 1, 2);
  // A first attempt is news: somebody has reset the consumer.
  deliver("one", 1);
  deliver("one", 2);
  const [again, next] = await take(consumer, 2);
  assert.deepEqual([again.seq, again.attempt, next.seq], [1, 1, 2]);
  await client.flush();
  assert.equal(said("ack").length, 2);
  // It is confirmed: what comes now is to be done again.
  deliver("one", 1, 2);
  assert.equal((await take(consumer, 1))[0].attempt, 2);
});

test("what is not confirmed is settled on the next connection, what waits is gone", async (t) => {
  const { broker, client, deliver, said } = await streaming(t);
  const consumer = client.consume("/a", { consumer: "one", start: "all", manual: true });
  await consumer.ready;
  for (const seq of [1, 2, 3, 4]) deliver("one", seq);
  const [first, second] = await take(consumer, 2);
  broker.intercept = ({ command }) => command === "ping";
  first.ack();
  await broker.request(({ command }) => command === "ack");
  broker.intercept = () => false;
  broker.cut();
  await reached(client, "disconnected");
  const next = consumer.next();
  assert.equal(second.touch(), false);
  assert.equal(second.reject(), true);
  assert.equal(said("reject").length, 0);
  await reached(client, "connected");
  await client.flush();
  const after = broker.heard.slice(broker.heard.findLastIndex(({ start }) => start === "all"));
  assert.deepEqual(after.map(({ command, seq }) => [command, seq]).slice(0, 3), [
    ["subscribe", undefined],
    ["ack", 1],
    ["reject", 2],
  ]);
  deliver("one", 4, 2);
  assert.equal((await next).value.seq, 4);
});

test("a message that is delivered again while it is done is not done again", async (t) => {
  const { broker, client, deliver, said } = await streaming(t);
  const consumer = client.consume("/a", { consumer: "one", manual: true });
  await consumer.ready;
  deliver("one", 1);
  const [first] = await take(consumer, 1);
  deliver("one", 1, 2);
  deliver("one", 2);
  await client.flush();
  first.ack();
  const [second] = await take(consumer, 1);
  assert.equal(second.seq, 2);
  broker.cut();
  await reached(client, "disconnected");
  await reached(client, "connected");
  await client.flush();
  // It is not this client's any more.
  assert.equal(second.nak(), false);
  await client.flush();
  assert.equal(said("nak").length, 0);
});

test("last messages that came in part are asked for again", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  const value = { command: "value", topic: "/a", stream: "s", time: "2026-11-29T17:00:00.123Z" };
  broker.intercept = ({ command, topic }, { send }) => {
    if (command !== "get") return false;
    send({ ...value, seq: 1, message: 1 });
    if (broker.count === 1) send({ command: "pong", id: 99 });
    else send({ command: "values", topic, count: 1 });
    return true;
  };
  const seen = once(client, "damaged");
  const got = client.getLast("/a", 2);
  await broker.request(({ command }) => command === "get");
  broker.say(refusal("damaged"));
  await seen;
  broker.cut();
  assert.equal((await got).length, 1);
});

test("what comes for a consumer that was left, or not answered yet, is nobody's", async (t) => {
  const { broker, client, deliver } = await streaming(t);
  const left = client.consume("/a", { consumer: "one", manual: true });
  await left.ready;
  deliver("one", 1);
  const [message] = await take(left, 1);
  deliver("one", 2);
  await client.flush();
  left.cancel();
  assert.deepEqual(await left.next(), { value: undefined, done: true });
  assert.equal(message.ack(), false);
  const again = client.consume("/a", { consumer: "one" });
  broker.intercept = ({ command }) => {
    if (command === "subscribe") deliver("one", 3);
    return false;
  };
  await again.ready;
  deliver("one", 2, 2);
  assert.deepEqual(await values(again, 1), [2]);
  await client.flush();
  assert.equal(broker.heard.filter(({ command }) => command === "ack").length, 0);
});

test("a follower goes on behind what it has", async (t) => {
  const { broker, client, deliver, said } = await streaming(t);
  const follower = client.subscribe("/a", { start: "all", stream: "s" });
  await follower.ready;
  for (const seq of [5, 6]) deliver(undefined, seq);
  await client.flush();
  broker.cut();
  await reached(client, "disconnected");
  await reached(client, "connected");
  assert.deepEqual(await values(follower, 2), [5, 6]);
  await client.flush();
  const starts = said("subscribe").map(({ start, stream }) => [start, stream]);
  assert.deepEqual(starts, [
    ["all", "s"],
    [7, "s"],
  ]);
});

test("a follower that has had no message yet misses none", async (t) => {
  const { broker, client, said } = await streaming(t);
  const answer = broker.answer;
  broker.answer = (frame) =>
    frame.command === "subscribed" ? { ...answer(frame), next: 8 } : answer(frame);
  const follower = client.subscribe("/a", { start: "new" });
  await follower.ready;
  broker.cut();
  await reached(client, "disconnected");
  await reached(client, "connected");
  await client.flush();
  assert.deepEqual(
    said("subscribe").map(({ start }) => start),
    ["new", 8],
  );
});

test("a refused settlement is an error of flush, and of no question", async (t) => {
  const { broker, client, deliver } = await streaming(t);
  const consumer = client.consume("/a", { consumer: "one", manual: true });
  await consumer.ready;
  deliver("one", 1);
  const [message] = await take(consumer, 1);
  broker.intercept = ({ command }, { send }) => {
    if (command === "ack") send(refusal("no-consumer"));
    return command === "ack";
  };
  message.ack();
  assert.equal(await client.get("/b"), undefined);
  await assert.rejects(client.flush(), { code: "no-consumer" });
});

test("messages that cannot be read are an event, and no answer", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  const damaged = once(client, "damaged");
  const seen = [];
  client.ondamaged = ({ error }) => seen.push(error.reason);
  broker.intercept = ({ command, topic }, { send }) => {
    if (command !== "get") return false;
    send(refusal("damaged"));
    const time = "2026-11-29T17:00:00.123Z";
    send({ command: "value", topic, stream: "s", seq: 5, time, message: 7 });
    send({ command: "values", topic, count: 1 });
    return true;
  };
  const [{ seq, time, value }] = await client.getLast("/a", 3);
  assert.deepEqual([seq, time.getTime(), value], [5, Date.parse("2026-11-29T17:00:00.123Z"), 7]);
  assert.equal((await damaged)[0].error.code, "damaged");
  assert.deepEqual(seen, ["the reason of damaged"]);
  await client.flush();
});

test("a pong that nobody waits for answers nothing else", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command }) => command === "get";
  const got = client.get("/a");
  await broker.request(({ command }) => command === "get");
  broker.say({ command: "pong", id: 99 });
  broker.say({ command: "value", topic: "/a", message: 5 });
  assert.equal(await got, 5);
});

test("what can be no id is refused at once", async (t) => {
  const { client } = await both(t);
  await assert.rejects(client.publish("/a", 1, { id: 5 }), TypeError);
  for (const id of ["", "é".repeat(65)]) {
    await assert.rejects(client.publish("/a", 1, { id }), RangeError);
  }
  await client.publish("/a", 1, { id: "é".repeat(64) });
});
