// Connections that break, and brokers that are not there.

import assert from "node:assert/strict";
import test from "node:test";
import { connect, ConnectionLost } from "babelmq";
import { Backoff } from "../src/backoff.js";
import { both, clientOf, reached, take, values } from "./support/client.js";

test("a client waits for a broker that is not there yet", async (t) => {
  const { broker, client: first } = await both(t);
  await first.close();
  await broker.close();
  const client = clientOf(t, broker.url);
  const error = await reached(client, "disconnected");
  assert(error instanceof ConnectionLost);
  assert.match(error.reason, /cannot connect to ws:.*ECONNREFUSED/);
  assert.equal(client.error, error);
  const published = client.publish("/a", 1);
  await broker.listen();
  await client.ready;
  await published;
  await client.flush();
  assert.equal(client.state, "connected");
  assert.equal(client.error, undefined);
  assert.equal(broker.values.get("/a"), 1);
});

test("a lost connection is made again, and subscribed again", async (t) => {
  const { broker, client } = await both(t);
  const states = [];
  client.onstate = ({ state }) => states.push(state);
  const subscription = client.subscribe("/a", { overflow: "latest" });
  await client.publish("/a/x", 1);
  assert.deepEqual(await values(subscription, 1), [1]);
  await client.flush();
  broker.cut();
  await reached(client, "disconnected");
  broker.values.set("/a/x", 2);
  assert.deepEqual(await take(subscription, 1), [{ topic: "/a/x", value: 2, retained: true }]);
  await client.publish("/a/x", 3);
  assert.deepEqual(await values(subscription, 1), [3]);
  assert.deepEqual(states, ["connected", "disconnected", "connecting", "connected"]);
  const asked = broker.heard.filter(({ command }) => command === "subscribe");
  const again = { command: "subscribe", topic: "/a", exact: "js", overflow: "latest" };
  assert.deepEqual(asked, [again, again]);
});

test("what was published and not confirmed is said to be lost, once", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command }) => command === "ping";
  await client.publish("/a", 1);
  const flushed = [client.flush(), client.flush()];
  await broker.request(({ command }) => command === "ping");
  broker.intercept = () => false;
  broker.cut();
  for (const flush of flushed) {
    await assert.rejects(flush, (error) => {
      assert(error instanceof ConnectionLost);
      assert.equal(error.code, "connection-lost");
      return true;
    });
  }
  await client.flush();
});

test("where nobody waits, the next flush says what is lost", async (t) => {
  const { broker, client } = await both(t);
  await client.publish("/a", 1);
  broker.cut();
  await reached(client, "disconnected");
  await reached(client, "connected");
  await assert.rejects(client.flush(), ConnectionLost);
  await client.flush();
});

test("a flush with nothing unconfirmed outlives its connection, as questions do", async (t) => {
  const { broker, client } = await both(t);
  await client.publish("/a", 1);
  await client.flush();
  broker.intercept = ({ command }) => command === "ping" || command === "get";
  const waiting = [client.flush(), client.get("/a"), client.flush()];
  await broker.request(({ command }) => command === "get");
  broker.intercept = () => false;
  broker.cut();
  assert.deepEqual(await Promise.all(waiting), [undefined, 1, undefined]);
});

test("what is little is confirmed by itself, and then it is not lost", async (t) => {
  const { broker, client } = await both(t);
  await client.publish("/a", 1);
  const ping = await broker.request(({ command }) => command === "ping");
  // The answer to a question comes behind that of the ping.
  await client.get("/a");
  assert.equal(broker.heard.filter(({ id }) => id === ping.id).length, 1);
  broker.cut();
  await reached(client, "disconnected");
  await client.flush();
});

test("without reconnect the first loss is the end", async (t) => {
  const { broker, client } = await both(t, { reconnect: false });
  await client.ready;
  const subscription = client.subscribe("/a");
  await subscription.ready;
  broker.cut();
  await assert.rejects(subscription.next(), ConnectionLost);
  assert.equal(client.state, "closed");
  await assert.rejects(client.get("/a"), ConnectionLost);
  await assert.rejects(client.subscribe("/a").next(), ConnectionLost);
});

test("a connection that is silent is given up, and one that answers is not", async (t) => {
  const { broker, client } = await both(t, { keepalive: 10 });
  await client.ready;
  const pings = () => broker.heard.filter(({ command }) => command === "ping").length;
  while (pings() < 5) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(broker.count, 1);
  broker.intercept = () => true;
  const error = await reached(client, "disconnected");
  assert.match(error.reason, /nothing came for 20 ms/);
  broker.intercept = () => false;
  await reached(client, "connected");
  assert.equal(broker.count, 2);
});

test("a client that slept looks for the answer before it gives up", async (t) => {
  const { broker, client } = await both(t, { keepalive: 20 });
  await client.ready;
  // Its process stands still while the answer to its ping arrives.
  await broker.request(({ command }) => command === "ping");
  for (const end = Date.now() + 100; Date.now() < end;);
  const pings = () => broker.heard.filter(({ command }) => command === "ping").length;
  while (pings() < 3) await new Promise((resolve) => setTimeout(resolve, 1));
  assert.equal(broker.count, 1);
});

test("the time between attempts grows, and is different for everybody", () => {
  const backoff = new Backoff();
  for (const bound of [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]) {
    const delay = backoff.next();
    assert(delay >= bound / 2 && delay <= bound, `${delay} of ${bound}`);
  }
  backoff.reset();
  assert(backoff.next() <= 50);
  assert.notEqual(new Backoff().next(), new Backoff().next());
});

test("a server that is no broker, or speaks otherwise, is tried again and said", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  await client.close();
  const nowhere = clientOf(t, broker.url.replace("/ws", "/other/ws"));
  assert.match((await reached(nowhere, "disconnected")).reason, /400/);

  const odd = clientOf(t, broker.url);
  await odd.ready;
  broker.say("this is no JSON");
  const error = await reached(odd, "disconnected");
  assert.equal(error.code, "protocol");
  await reached(odd, "connected");
  for (const { socket } of broker.connections) socket.send(Buffer.from([0]), { binary: true });
  assert.equal((await reached(odd, "disconnected")).code, "protocol");
});
