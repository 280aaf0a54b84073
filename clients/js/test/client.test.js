// What a client does beside a broker that does what it is told.

import assert from "node:assert/strict";
import { getEventListeners } from "node:events";
import test from "node:test";
import { ConnectionLost } from "babelmq";
import { both, clientOf, reached, take, values } from "./support/client.js";
import { refusal } from "./support/fake.js";

test("stored values come first, then what is published", async (t) => {
  const { client } = await both(t);
  await client.publish("/a/x", { n: 1n });
  await client.flush();
  const subscription = client.subscribe("/a");
  await subscription.ready;
  await client.publish("/a/y", new Set([2]));
  await client.publish("/b", 3);
  await client.publish("/a", 4);
  assert.deepEqual(await take(subscription, 3), [
    { topic: "/a/x", value: { n: 1 }, retained: true },
    { topic: "/a/y", value: new Set([2]), retained: false },
    { topic: "/a", value: 4, retained: false },
  ]);
});

test("what is asked and published before there is a connection is sent in order", async (t) => {
  const { broker, client } = await both(t);
  assert.equal(client.state, "connecting");
  const all = [
    client.publish("/a", 1),
    client.get("/a"),
    client.publish("/a", 2),
    client.get("/a"),
  ];
  assert.deepEqual(await Promise.all(all), [undefined, 1, undefined, 2]);
  assert.deepEqual(await client.list(), ["/a"]);
  await client.clear("/a");
  assert.equal(await client.get("/a"), undefined);
  assert.equal(broker.count, 1);
});

test("the options of a publish and of a subscribe are sent", async (t) => {
  const { broker, client } = await both(t, { exact: false });
  await client.publish("/a", 1, { retain: false, ttl: 30 });
  client.subscribe("/b/#", { overflow: "latest", queue: 5, cleared: true });
  await client.flush();
  const publish = { command: "publish", topic: "/a", retain: false, ttl: 30, message: 1 };
  assert.deepEqual(await broker.request(({ command }) => command === "publish"), publish);
  const options = { overflow: "latest", queue: 5, cleared: true };
  const subscribe = { command: "subscribe", topic: "/b", exact: false, ...options };
  assert.deepEqual(await broker.request(({ command }) => command === "subscribe"), subscribe);
  const { client: exact, broker: other } = await both(t);
  exact.subscribe("/b");
  // Of the whole connection it would be a bound.
  exact.subscribe("/c", { queue: 5 });
  await exact.flush();
  const strict = { command: "subscribe", topic: "/c", exact: "js" };
  assert.deepEqual(await other.request(({ topic }) => topic === "/c"), strict);
  const plain = { command: "subscribe", topic: "/b", exact: "js" };
  assert.deepEqual(await other.request(({ command }) => command === "subscribe"), plain);
});

test("a subscription of which a part is allowed says so", async (t) => {
  const { broker, client } = await both(t);
  broker.answer = (frame) => (frame.command === "subscribed" ? { ...frame, limited: true } : frame);
  const subscription = client.subscribe("/a");
  assert.equal(subscription.limited, false);
  await subscription.ready;
  assert.equal(subscription.limited, true);
});

test("break ends the subscription at the broker", async (t) => {
  const { broker, client } = await both(t);
  const subscription = client.subscribe("/a");
  await subscription.ready;
  await client.publish("/a", 1);
  for await (const { value } of subscription) {
    assert.equal(value, 1);
    break;
  }
  await broker.request(({ command, topic }) => command === "cancel" && topic === "/a");
  await client.publish("/a", 2);
  await client.flush();
  assert.deepEqual(await subscription.next(), { value: undefined, done: true });
});

test("two iterations of one topic get everything, and the last one ends it", async (t) => {
  const { broker, client } = await both(t);
  await client.publish("/a", 1);
  await client.flush();
  const first = client.subscribe("/a");
  assert.deepEqual(await values(first, 1), [1]);
  await first.ready;
  const second = client.subscribe("/a/#");
  await second.ready;
  await client.publish("/a", 2);
  // The stored value comes again, for the second alone.
  assert.deepEqual(await values(first, 1), [2]);
  assert.deepEqual(await values(second, 2), [1, 2]);
  first.cancel();
  await client.publish("/a", 3);
  assert.deepEqual(await values(second, 1), [3]);
  assert(!broker.heard.some(({ command }) => command === "cancel"));
  second.cancel();
  await client.flush();
  assert.equal(broker.heard.filter(({ command }) => command === "cancel").length, 1);
});

test("a live message before the answer is not followed by an older, stored one", async (t) => {
  const { broker, client } = await both(t);
  const wide = client.subscribe("#");
  await wide.ready;
  broker.intercept = ({ command, topic }, connection) => {
    if (command !== "subscribe") return false;
    // The live message overtakes the stored value.
    connection.send({ command: "publish", topic: "/a/b", message: 2 });
    connection.send({ command: "publish", topic: "/a/b", retained: true, message: 1 });
    connection.send({ command: "publish", topic: "/a/c", retained: true, message: 3 });
    connection.send({ command: "subscribed", topic, values: 2 });
    return true;
  };
  const narrow = client.subscribe("/a");
  await narrow.ready;
  assert.deepEqual(await take(narrow, 2), [
    { topic: "/a/b", value: 2, retained: false },
    { topic: "/a/c", value: 3, retained: true },
  ]);
  assert.deepEqual(await values(wide, 1), [2]);
});

test("what is below comes to the connection if it is for one of its subscriptions", async (t) => {
  const { broker, client } = await both(t);
  const alone = client.subscribe("/a", { below: false });
  await alone.ready;
  const asked = { command: "subscribe", topic: "/a", exact: "js", below: false };
  assert.deepEqual(await broker.request(({ command }) => command === "subscribe"), asked);
  const subtree = client.subscribe("/a/#", { below: false });
  await subtree.ready;
  const again = client.subscribe("/a", { below: false });
  await again.ready;
  const asks = broker.heard.filter(({ command }) => command === "subscribe");
  assert.deepEqual(
    asks.map(({ below }) => below),
    [false, undefined, undefined],
  );
  await client.publish("/a/b", 1);
  await client.publish("/a", 2);
  assert.deepEqual(await values(subtree, 2), [1, 2]);
  assert.deepEqual(await values(alone, 1), [2]);
  assert.deepEqual(await values(again, 1), [2]);
  const later = client.subscribe("/a", { below: false });
  assert.deepEqual(await values(later, 1), [2], "only one of the stored values is for it");
});

test("a notice of a cleared value goes to those who asked for it", async (t) => {
  const { broker, client } = await both(t);
  const told = client.subscribe("/a", { cleared: true });
  const untold = client.subscribe("#");
  await untold.ready;
  broker.say({ command: "cleared", topic: "/a/b" });
  broker.say({ command: "publish", topic: "/a/c", message: 1 });
  const [notice, message] = await take(told, 2);
  assert.deepEqual(notice, { topic: "/a/b", value: undefined, retained: false, cleared: true });
  assert.deepEqual(message, { topic: "/a/c", value: 1, retained: false });
  assert.equal((await take(untold, 1))[0].topic, "/a/c");
});

test("close confirms what was published, and ends iterations", async (t) => {
  const { broker, client } = await both(t);
  const subscription = client.subscribe("/b");
  const next = subscription.next();
  await client.publish("/a", 1);
  client.publish("/a", 2);
  await Promise.all([client.close(), client.close()]);
  assert.equal(broker.values.get("/a"), 2);
  assert.deepEqual(await next, { value: undefined, done: true });
  assert.equal(client.state, "closed");
  assert.equal(client.error, undefined);
  await assert.rejects(client.publish("/a", 3), { code: "closed" });
  await assert.rejects(client.subscribe("/a").next(), { code: "closed" });
});

test("close says what was refused or lost", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command, topic }, { send }) => {
    if (command === "publish") send(refusal("store-full", topic));
    return command === "publish";
  };
  await client.publish("/a", 1);
  await assert.rejects(client.close(), { code: "store-full" });

  const other = clientOf(t, broker.url);
  await other.publish("/a", 1);
  broker.cut();
  await reached(other, "disconnected");
  await assert.rejects(other.close(), ConnectionLost);
  assert.equal(other.state, "closed");
});

test("close ends a client that never had a connection", async (t) => {
  const { broker, client: first } = await both(t);
  await first.close();
  await broker.close();
  const client = clientOf(t, broker.url);
  const published = client.publish("/a", 1);
  await reached(client, "disconnected");
  await client.close();
  await assert.rejects(published, { code: "closed" });
  await assert.rejects(client.ready, { code: "closed" });
});

test("a signal ends a wait, and takes back what was not sent", async (t) => {
  const { broker, client: first } = await both(t);
  await first.close();
  await broker.close();
  const client = clientOf(t, broker.url);
  const controller = new AbortController();
  const { signal } = controller;
  const waits = [
    client.publish("/a", 1, { signal }),
    client.get("/a", { signal }),
    client.flush({ signal }),
  ];
  const subscription = client.subscribe("/b", { signal });
  const reason = new Error("enough");
  controller.abort(reason);
  for (const wait of waits) await assert.rejects(wait, reason);
  await assert.rejects(client.get("/a", { signal }), reason);
  assert.deepEqual(await subscription.next(), { value: undefined, done: true });
  await broker.listen();
  await client.flush();
  assert.deepEqual(
    broker.heard.map(({ command }) => command),
    ["ping"],
  );
});

test("a signal that lasts keeps nothing of the calls that are done", async (t) => {
  const { client } = await both(t);
  const { signal } = new AbortController();
  await client.publish("/a", 1, { signal });
  await client.flush({ signal });
  assert.equal(await client.get("/a", { signal }), 1);
  for await (const { value } of client.subscribe("/a", { signal })) {
    assert.equal(value, 1);
    assert.equal(getEventListeners(signal, "abort").length, 1);
    break;
  }
  assert.equal(getEventListeners(signal, "abort").length, 0);
});

test("an answer that nobody waits for any more is passed over", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  let later;
  broker.intercept = (request, connection) => {
    if (request.command !== "get" || later) return false;
    later = () => connection.send({ command: "value", topic: "/a", message: 1 });
    return true;
  };
  const controller = new AbortController();
  const got = client.get("/a", { signal: controller.signal });
  await broker.request(({ command }) => command === "get");
  controller.abort();
  await assert.rejects(got, { name: "AbortError" });
  const next = client.get("/b");
  broker.values.set("/b", 2);
  later();
  assert.equal(await next, 2);
});
