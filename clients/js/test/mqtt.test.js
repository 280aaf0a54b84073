// The broker by MQTT, as MQTT.js sees it: by TCP and by WebSocket, beside a client of ours.

import assert from "node:assert/strict";
import { once } from "node:events";
import test from "node:test";
import mqtt from "mqtt";
import { Broker } from "./support/broker.js";
import { clientOf, take } from "./support/client.js";

/** A broker that speaks MQTT, for one test. */
async function brokerOf(t) {
  const broker = await Broker.start("--listen", "mqtt://127.0.0.1:0");
  t.after(() => broker.kill());
  return broker;
}

/** A client that is connected, for one test; `messages` has what has come. */
async function mqttOf(t, url, options) {
  const client = await mqtt.connectAsync(url, { reconnectPeriod: 0, ...options });
  t.after(() => client.endAsync(true));
  const messages = [];
  const waiting = [];
  client.on("message", (topic, payload, packet) => {
    messages.push({ topic, payload: String(payload), packet });
    waiting.shift()?.();
  });
  client.nextMessage = async () => {
    while (messages.length === 0) await new Promise((resolve) => waiting.push(resolve));
    return messages.shift();
  };
  return client;
}

for (const protocolVersion of [4, 5]) {
  for (const by of ["mqtt", "ws"]) {
    test(`every quality arrives with version ${protocolVersion} by ${by}`, async (t) => {
      const broker = await brokerOf(t);
      const url = by === "mqtt" ? broker.mqtt : `${broker.http.replace("http", "ws")}/mqtt`;
      const client = await mqttOf(t, url, { protocolVersion });
      const [granted] = await client.subscribeAsync("a/+", { qos: 2 });
      assert.equal(granted.qos, 2);
      for (const qos of [0, 1, 2]) {
        await client.publishAsync(`a/${qos}`, `{"qos": ${qos}}`, { qos, retain: qos === 1 });
        const { topic, payload, packet } = await client.nextMessage();
        assert.deepEqual([topic, payload], [`a/${qos}`, `{"qos": ${qos}}`]);
        assert.deepEqual([packet.qos, packet.retain], [qos, false]);
      }
      const later = await mqttOf(t, url, { protocolVersion });
      await later.subscribeAsync("a/#", { qos: 0 });
      const { topic, packet } = await later.nextMessage();
      assert.deepEqual([topic, packet.qos, packet.retain], ["a/1", 0, true]);
    });
  }
}

test("values go between MQTT and the client of ours", async (t) => {
  const broker = await brokerOf(t);
  const ours = clientOf(t, broker.http);
  const theirs = await mqttOf(t, broker.mqtt, { protocolVersion: 5 });
  await theirs.subscribeAsync("to/them", { qos: 1 });
  await ours.publish("to/them", { text: "κόσμε", set: new Set([1]) });
  const { payload, packet } = await theirs.nextMessage();
  // From JSON to JSON it is what was published, tags and all.
  assert.deepEqual(JSON.parse(payload), { text: "κόσμε", set: { $set: [1] } });
  assert.equal(packet.properties.contentType, "application/json");
  const subscription = ours.subscribe("to/us");
  await subscription.ready;
  for (const said of ['{"n": 1.5}', "plain", Buffer.from([0, 255])]) {
    await theirs.publishAsync("to/us", said, { qos: 1 });
  }
  const found = await take(subscription, 3);
  const values = found.map(({ value }) => value);
  assert.deepEqual(values, [{ n: 1.5 }, "plain", new Uint8Array([0, 255])]);
});

test("a session has what came while its client was away, and a will is published", async (t) => {
  const broker = await brokerOf(t);
  const session = {
    protocolVersion: 5,
    clientId: "sleeper",
    clean: false,
    properties: { sessionExpiryInterval: 60 },
  };
  const heir = await mqttOf(t, broker.mqtt, { protocolVersion: 5 });
  await heir.subscribeAsync("will", { qos: 1 });
  const will = { topic: "will", payload: "gone", qos: 1 };
  const first = await mqttOf(t, broker.mqtt, { ...session, will });
  await first.subscribeAsync("news", { qos: 2 });
  first.stream.destroy();
  assert.equal((await heir.nextMessage()).payload, "gone");
  await heir.publishAsync("news", "1", { qos: 1, properties: { userProperties: { a: "b" } } });
  await heir.publishAsync("news", "2", { qos: 2 });

  const again = mqtt.connect(broker.mqtt, { reconnectPeriod: 0, ...session });
  t.after(() => again.endAsync(true));
  const found = [];
  const both = new Promise((resolve) => {
    again.on("message", (_topic, payload, packet) => {
      if (found.push([String(payload), packet.qos, packet.properties?.userProperties?.a]) === 2)
        resolve();
    });
  });
  const [connack] = await once(again, "connect");
  assert.equal(connack.sessionPresent, true);
  await both;
  assert.deepEqual(found, [["1", 1, "b"], ["2", 2, undefined]]); // prettier-ignore
});
