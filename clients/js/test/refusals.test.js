// Which call hears of what the broker refused.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import { BabelmqError, NotPlainData } from "babelmq";
import { both, values } from "./support/client.js";
import { refusal } from "./support/fake.js";

test("what was refused is an error of flush, once, and an event at once", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command, topic }, connection) => {
    if (command !== "publish" || topic === "/ok") return false;
    connection.send(refusal("not-permitted", topic));
    return true;
  };
  const refused = once(client, "refused");
  client.onrefused = ({ error }) => seen.push(error.topic);
  const seen = [];
  await client.publish("/no", 1);
  await client.publish("/ok", 1);
  await client.publish("/neither", 1);
  await assert.rejects(client.flush(), (error) => {
    assert(error instanceof BabelmqError);
    const { code, topic, reason, fatal, more } = error;
    assert.deepEqual([code, topic, fatal], ["not-permitted", "/no", false]);
    assert.equal(reason, "the reason of not-permitted");
    assert.deepEqual(
      more.map((other) => other.topic),
      ["/neither"],
    );
    return true;
  });
  assert.equal((await refused)[0].error.topic, "/no");
  assert.deepEqual(seen, ["/no", "/neither"]);
  await client.flush();
});

test("a refusal is of the question that it answers, not of what was published", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command, topic }, connection) => {
    if (topic !== "/no") return false;
    connection.send(refusal(command === "publish" ? "store-full" : "not-permitted", topic));
    return true;
  };
  client.publish("/no", 1);
  const got = client.get("/no");
  client.publish("/no", 2);
  const listed = client.list("/no");
  const subscription = client.subscribe("/no");
  await assert.rejects(got, { code: "not-permitted", topic: "/no" });
  await assert.rejects(listed, { code: "not-permitted" });
  await assert.rejects(subscription.next(), { code: "not-permitted" });
  await assert.rejects(subscription.ready, { code: "not-permitted" });
  assert.deepEqual(await subscription.next(), { value: undefined, done: true });
  await assert.rejects(
    client.flush(),
    ({ code, more }) => code === "store-full" && more.length === 1,
  );
  assert.equal(await client.get("/other"), undefined);
});

test("a question is refused without a topic too", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command }, connection) => {
    if (command !== "stats") return false;
    connection.send(refusal("not-permitted"));
    return true;
  };
  await assert.rejects(client.stats(), { code: "not-permitted" });
});

test("a question that is not answered before the next one was refused", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command }) => command === "get";
  const got = client.get("/a");
  await client.flush();
  await assert.rejects(got, { code: "protocol" });
});

test("a subscription whose right is lost ends with the reason", async (t) => {
  const { broker, client } = await both(t);
  const subscription = client.subscribe("/a");
  const other = client.subscribe("/b");
  await other.ready;
  // What is published is refused with the same words; a topic can be a filter.
  broker.intercept = ({ command, topic }, connection) => {
    if (command === "publish") connection.send(refusal("not-permitted", topic));
    return command === "publish";
  };
  await client.publish("/b", 1);
  await assert.rejects(client.flush(), { code: "not-permitted", topic: "/b" });
  broker.say(refusal("not-permitted", "/a"));
  await assert.rejects(subscription.next(), { code: "not-permitted", topic: "/a" });
  broker.say({ command: "publish", topic: "/b", message: 5 });
  assert.deepEqual(await values(other, 1), [5]);
  await client.flush();
});

test("a broker that cannot write to its disk is an error of flush", async (t) => {
  const { broker, client } = await both(t);
  broker.intercept = ({ command }, connection) => {
    if (command === "ping") connection.send(refusal("storage-failed"));
    return command === "ping";
  };
  await client.publish("/a", 1);
  await assert.rejects(client.flush(), { code: "storage-failed" });
  broker.intercept = () => false;
  await client.flush();
});

test("what cannot be published is refused at once, and nothing is sent", async (t) => {
  const { broker, client } = await both(t);
  await assert.rejects(client.publish("/a", { f: () => 1 }), NotPlainData);
  await assert.rejects(client.publish(5, 1), TypeError);
  await assert.rejects(client.publish("/a", 1, { ttl: 0 }), RangeError);
  await assert.rejects(client.publish("/a", 1, { ttl: 1.5 }), RangeError);
  assert.throws(() => client.subscribe("/a", { queue: 0 }), RangeError);
  assert.throws(() => client.subscribe("/a", { overflow: "block" }), TypeError);
  assert.throws(() => client.subscribe(), TypeError);
  await client.flush();
  assert.deepEqual(
    broker.heard.map(({ command }) => command),
    ["ping"],
  );
});
