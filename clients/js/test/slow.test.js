// Clients that are slower than the broker, and the other way round.

import assert from "node:assert/strict";
import test from "node:test";
import { both, reached, take, values } from "./support/client.js";
import { refusal } from "./support/fake.js";

test("too many messages that wait end the iteration, after those that are there", async (t) => {
  const { broker, client } = await both(t);
  const slow = client.subscribe("/a", { queue: 3 });
  const other = client.subscribe("/b");
  await other.ready;
  for (let n = 0; n < 5; n++) broker.say({ command: "publish", topic: "/a", message: n });
  await broker.request(({ command, topic }) => command === "cancel" && topic === "/a");
  assert.deepEqual(await values(slow, 3), [0, 1, 2]);
  await assert.rejects(slow.next(), { code: "slow-consumer", topic: "/a" });
  assert.deepEqual(await slow.next(), { value: undefined, done: true });
  broker.say({ command: "publish", topic: "/b", message: 7 });
  assert.deepEqual(await values(other, 1), [7]);
});

test("with drop-oldest the oldest make room, counted with those of the broker", async (t) => {
  const { broker, client } = await both(t);
  const slow = client.subscribe("/a", { overflow: "drop-oldest", queue: 3 });
  await slow.ready;
  for (let n = 0; n < 10; n++) broker.say({ command: "publish", topic: "/a", message: n });
  broker.say({ command: "dropped", topic: "/a", count: 5 });
  await client.flush();
  assert.deepEqual(await values(slow, 3), [7, 8, 9]);
  assert.equal(slow.dropped, 12);
});

test("with latest one message of each topic waits", async (t) => {
  const { broker, client } = await both(t);
  const slow = client.subscribe("/a", { overflow: "latest", queue: 2 });
  await slow.ready;
  for (const [topic, message] of [
    ["/a", 1],
    ["/a/b", 2],
    ["/a", 3],
  ]) {
    broker.say({ command: "publish", topic, message });
  }
  await client.flush();
  assert.equal(slow.dropped, 0);
  broker.say({ command: "publish", topic: "/a/c", message: 5 });
  await client.flush();
  assert.deepEqual(await values(slow, 2), [2, 5]);
  assert.equal(slow.dropped, 1);
});

test("messages are bounded by their length too", async (t) => {
  const { broker, client } = await both(t);
  const slow = client.subscribe("/a", { overflow: "drop-oldest" });
  await slow.ready;
  const message = "x".repeat(24 << 20);
  for (let n = 0; n < 3; n++) broker.say({ command: "publish", topic: "/a", message });
  await client.flush();
  assert.equal(slow.dropped, 1);
  assert.equal((await take(slow, 2)).length, 2);
});

test("a broker that cuts off a slow client ends what shares the connection's queue", async (t) => {
  const { broker, client } = await both(t);
  const ended = client.subscribe("/a");
  const goesOn = client.subscribe("/b", { overflow: "latest" });
  await goesOn.ready;
  broker.say(refusal("slow-consumer", undefined, true));
  await assert.rejects(ended.next(), { code: "slow-consumer", fatal: true });
  await reached(client, "connected");
  await client.publish("/b", 1);
  assert.deepEqual(await values(goesOn, 1), [1]);
});

test("what is on its way to the broker is bounded, and waits for its confirmation", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  const held = [];
  broker.intercept = ({ command, id }, { send }) => {
    if (command === "ping") held.push(() => send({ command: "pong", id }));
    return command === "ping";
  };
  const text = "x".repeat(200_000);
  let resolved = 0;
  const published = Array.from({ length: 20 }, () => {
    return client.publish("/a", text).then(() => resolved++);
  });
  await published[4];
  await client.ready;
  // Five of them are less than a mebibyte, and six are more.
  assert.equal(resolved, 5);
  await broker.request(({ command }) => command === "ping");
  broker.intercept = () => false;
  for (const answer of held) answer();
  await Promise.all(published);
  await client.flush();
  assert.equal(broker.heard.filter(({ command }) => command === "publish").length, 20);
});

test("a buffer that is full refuses", async (t) => {
  const { client } = await both(t, { buffer: 1_000 });
  const text = "x".repeat(700);
  const first = client.publish("/a", text);
  await assert.rejects(client.publish("/b", text), { code: "buffer-full", topic: "/b" });
  await first;
  await client.publish("/c", text);
});
