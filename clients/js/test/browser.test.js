// The client in Chromium, as a page loads it: no bundler, no WebSocket but the browser's.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test, { after, before } from "node:test";
import { Broker, Native, PICKLE_FORMAT } from "./support/broker.js";
import { launch, servePages } from "./support/browser.js";
import { clientOf, values } from "./support/client.js";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const [, WEATHER] = README.match(/```html\n([^]*?)```/);
const HARNESS = `<!doctype html>
<title>Harness</title>
<script type="module">
  import * as babelmq from "/node_modules/babelmq/src/index.js";
  import { encode } from "/node_modules/babelmq/src/values.js";
  Object.assign(globalThis, { babelmq, encode });
</script>
`;
/** What README.md says, where a page comes from and where the broker is. */
const PAGES = "localhost:3000";
const BROKER = "localhost:8080";

let broker, server, browser;
before(async () => {
  broker = await Broker.start("--http-origin", `http://${PAGES}`);
  server = await servePages({ "/weather": WEATHER, "/harness": HARNESS });
  const ports = { [PAGES]: server.address().port, [BROKER]: new URL(broker.http).port };
  browser = await launch(ports);
});
after(async () => {
  await browser?.close();
  server?.close();
  await broker?.kill();
});

/** A page that has loaded, whose errors fail the test. */
async function open(t, path) {
  const page = await browser.newPage();
  const errors = [];
  page.on("pageerror", (error) => errors.push(error));
  t.after(async () => {
    await page.close();
    assert.deepEqual(errors, []);
  });
  await page.goto(`http://${PAGES}${path}`);
  return page;
}

async function harness(t) {
  const page = await open(t, "/harness");
  await page.waitForFunction(() => "babelmq" in globalThis);
  return page;
}

test("the page of ten lines shows live values", async (t) => {
  assert.equal(WEATHER.trim().split("\n").length, 10);
  const client = clientOf(t, broker.http);
  await client.publish("/weather/oslo", 21.5);
  await client.flush();
  const page = await open(t, "/weather");
  const shows = (text) => page.waitForFunction((text) => document.body.innerText === text, text);
  await shows('{\n"/weather/oslo": 21.5\n}');
  await client.publish("/weather/oslo", 22);
  await client.publish("/weather/rome", 30);
  await shows('{\n"/weather/oslo": 22,\n"/weather/rome": 30\n}');
});

test("every value goes through a browser unchanged", async (t) => {
  const { rows, subscribe } = JSON.parse(
    readFileSync(new URL("fixtures/values.json", import.meta.url)),
  );
  const python = await Native.connect(broker.tcp);
  t.after(() => python.close());
  python.send(Buffer.from(subscribe, "base64"), PICKLE_FORMAT);
  await python.receive();
  const page = await harness(t);
  await page.evaluate(async () => {
    const client = babelmq.connect("http://localhost:8080");
    const subscription = client.subscribe("v");
    await subscription.ready;
    // Each value that is not its own echo goes back.
    (async () => {
      let isEcho = false;
      for await (const { topic, value } of subscription) {
        if (!isEcho) client.publish(topic, value);
        isEcho = !isEcho;
      }
    })();
  });
  for (const { name, body } of rows) {
    python.send(Buffer.from(body, "base64"), PICKLE_FORMAT);
    const pushed = await python.receive();
    assert((await python.receive()).equals(pushed), name);
  }
});

test("what a browser publishes arrives in Node as what it is", async (t) => {
  const page = await harness(t);
  const client = clientOf(t, broker.http);
  const subscription = client.subscribe("/b");
  await subscription.ready;
  await page.evaluate(async () => {
    const client = babelmq.connect("http://localhost:8080");
    const value = {
      at: new Date(0),
      id: 2n ** 64n,
      raw: new Uint8Array([0, 255]),
      places: new Map([[babelmq.Tuple.from([1]), new Set(["a"])]]),
      grid: new Float64Array([1, 2.5]),
    };
    await client.publish("/b", value);
    await client.close();
  });
  const [{ at, id, raw, places, grid }] = await values(subscription, 1);
  assert.equal(at.getTime(), 0);
  assert.equal(id, 2n ** 64n);
  assert.deepEqual(raw, new Uint8Array([0, 255]));
  assert.deepEqual([...places.values()], [new Set(["a"])]);
  assert.deepEqual(grid.values, new Float64Array([1, 2.5]));
});

test("a page hears of an outage, and of what it may have lost", async (t) => {
  const other = await Broker.start("--http-origin", `http://${PAGES}`);
  t.after(() => other.kill());
  const page = await harness(t);
  const states = await page.evaluateHandle((address) => {
    const states = [];
    globalThis.client = babelmq.connect(address, { reconnect: { first: 1, longest: 5 } });
    client.onstate = ({ state, error }) => states.push([state, error?.code]);
    return states;
  }, other.http);
  await page.evaluate(() => client.ready);
  await page.evaluate(async () => {
    globalThis.seen = [];
    (async () => {
      for await (const { value, retained } of client.subscribe("/a")) seen.push([value, retained]);
    })();
    await client.publish("/a", 1);
    await client.flush();
    await client.publish("/a", 2);
  });
  await other.kill();
  await page.waitForFunction(
    (states) => states.some(([state]) => state === "disconnected"),
    states,
  );
  await other.start();
  const lost = await page.evaluate(() => client.flush().catch(({ code }) => code));
  assert([undefined, "connection-lost"].includes(lost));
  await page.evaluate(() => client.publish("/a", 3));
  await page.waitForFunction(() => seen.some(([value]) => value === 3));
  const names = await states.evaluate((states) => states.map(([state]) => state));
  assert.deepEqual(names.slice(0, 3), ["connected", "disconnected", "connecting"]);
  assert.equal(names.at(-1), "connected");
});

test("a slow page drops, or ends its iteration, and nothing else", async (t) => {
  const page = await harness(t);
  const client = clientOf(t, broker.http);
  await page.evaluate(async () => {
    globalThis.client = babelmq.connect("http://localhost:8080");
    globalThis.newest = client.subscribe("/s", { overflow: "drop-oldest", queue: 10 });
    globalThis.strict = client.subscribe("/t", { queue: 10 });
    await Promise.all([newest.ready, strict.ready]);
  });
  for (let n = 0; n < 100; n++) {
    await client.publish("/s", n);
    await client.publish("/t", n);
  }
  await client.flush();
  // What was routed before comes before the answer.
  await page.evaluate(() => client.flush());
  const [seen, dropped, code] = await page.evaluate(async () => {
    const seen = [];
    for await (const { value } of newest) {
      seen.push(value);
      if (value === 99) break;
    }
    let code;
    try {
      for await (const _ of strict);
    } catch (error) {
      code = error.code;
    }
    return [seen, newest.dropped, code];
  });
  assert.equal(seen.length + dropped, 100);
  assert.deepEqual(seen, [90, 91, 92, 93, 94, 95, 96, 97, 98, 99]);
  assert.equal(code, "slow-consumer");
});

test("a page consumes, publishes reliably and follows, over an outage", async (t) => {
  const other = await Broker.startWith(["jobs:filter=/jobs"], "--http-origin", `http://${PAGES}`);
  t.after(() => other.remove());
  const page = await harness(t);
  await page.evaluate(async (address) => {
    const options = { reliable: true, reconnect: { first: 1, longest: 5 } };
    globalThis.client = babelmq.connect(address, options);
    globalThis.done = [];
    globalThis.followed = [];
    const consumer = client.consume("/jobs", { consumer: "page", start: "all" });
    const follower = client.subscribe("/jobs", { start: "all" });
    await Promise.all([consumer.ready, follower.ready]);
    (async () => {
      for await (const { value, time } of consumer) done.push([value, time instanceof Date]);
    })();
    (async () => {
      for await (const { value, seq } of follower) followed.push([value, seq]);
    })();
    await client.publish("/jobs", 1n, { id: "one" });
    await client.publish("/jobs", 2n);
    await client.flush();
  }, other.http);
  await page.waitForFunction(() => done.length === 2 && followed.length === 2);
  await page.evaluate(() => client.flush());
  await other.kill();
  await page.waitForFunction(() => client.state !== "connected");
  await page.evaluate(() => void client.publish("/jobs", 3n));
  await other.start();
  await page.waitForFunction(() => done.at(-1)?.[0] === 3 && followed.length === 3);
  const [done, followed, kept] = await page.evaluate(async () => {
    await client.flush();
    const kept = await client.getLast("/jobs", 9);
    await client.close();
    return [done, followed, kept.map(({ value }) => value)];
  });
  assert.deepEqual(
    done,
    [1, 2, 3].map((value) => [value, true]),
  );
  assert.deepEqual(
    followed,
    [1, 2, 3].map((value) => [value, value]),
  );
  assert.deepEqual(kept, [1, 2, 3]);
});

test("a page of another origin is not let in", async (t) => {
  const closed = await Broker.start();
  t.after(() => closed.kill());
  const page = await harness(t);
  const state = await page.evaluate(
    (address) =>
      new Promise((resolve) => {
        const client = babelmq.connect(address);
        client.onstate = ({ state }) => resolve(state);
      }),
    closed.http,
  );
  assert.equal(state, "disconnected");
});
