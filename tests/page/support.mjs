// What the tests of the page share: a broker, a browser, and a client in a few lines.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const BROKER = resolve(process.env.BABELMQ_BIN ?? "../../target/debug/babelmq");
/** So long an event is waited for: much longer than it takes, and a test that fails ends. */
export const PATIENCE = 20_000;
export const [JSON_FORMAT, XML_FORMAT, PICKLE_FORMAT] = [0, 1, 2];

const brokers = new Set();
let browser = null;

/** Ends the browser, and what a test that failed has left: its process would wait for that. */
export async function endAll() {
  await browser?.close();
  for (const child of brokers) child.kill("SIGKILL");
}

/** A broker on ports of its own, or those of one that was, with files of a test beside it. */
export async function startBroker({ args = [], files = {}, ports = { http: 0, tcp: 0 } } = {}) {
  const folder = mkdtempSync(join(tmpdir(), "babelmq-page-"));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
  const listen = Object.entries(ports).flatMap(([scheme, port]) =>
    ["--listen", `${scheme}://127.0.0.1:${port}`]);
  const child = spawn(BROKER, ["serve", ...listen, ...args], {
    cwd: folder, stdio: ["ignore", "pipe", "pipe"],
  });
  brokers.add(child);
  const log = [];
  child.stderr.on("data", (data) => log.push(data));
  const ended = new Promise((resolve) => { child.on("exit", resolve); });
  const found = {};
  const giveUp = setTimeout(() => child.kill(), PATIENCE);
  for await (const line of createInterface({ input: child.stdout })) {
    for (const [, scheme = "tcp", port] of line.matchAll(/(?:(\w+):\/\/)?127\.0\.0\.1:(\d+)/g)) {
      found[scheme] = Number(port);
    }
    if (found.http && found.tcp) break;
  }
  clearTimeout(giveUp);
  assert.ok(found.http && found.tcp, `the broker did not start: ${Buffer.concat(log)}`);
  return {
    url: `http://127.0.0.1:${found.http}/`,
    port: found.tcp,
    ports: found,
    async stop() {
      child.kill("SIGTERM");
      await ended;
      brokers.delete(child);
      rmSync(folder, { recursive: true });
    },
  };
}

function frame(body, format) {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(body);
  const header = Buffer.alloc(5);
  header[0] = format;
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

/** A certificate for this machine and its key, made by `babelmq certs` in a folder. */
export function makeCertificates(folder) {
  execFileSync(BROKER, ["certs", folder], { stdio: "ignore" });
  return ["--tls-cert", join(folder, "server.crt"), "--tls-key", join(folder, "server.key")];
}

/** The entry of a user who has a password, as `babelmq passwd` makes it. */
export function userEntry(name, password, role) {
  const args = ["passwd", name, "--role", role];
  return execFileSync(BROKER, args, { input: password, encoding: "utf8" });
}

/** A client that speaks frames, and waits until what it sent was routed. */
export async function client(port) {
  const socket = connect(port, "127.0.0.1");
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("error", reject);
  });
  let arrived = Buffer.alloc(0);
  const waiting = [];
  const frames = [];
  socket.on("data", (data) => {
    arrived = Buffer.concat([arrived, data]);
    while (arrived.length >= 5 && arrived.length >= 5 + arrived.readUInt32BE(1)) {
      const end = 5 + arrived.readUInt32BE(1);
      const body = arrived.subarray(5, end).toString();
      arrived = arrived.subarray(end);
      frames.push(body);
      if (body.startsWith('{"command":"pong"')) waiting.shift()?.();
    }
  });
  return {
    frames,
    socket,
    send(body, format = JSON_FORMAT) { socket.write(frame(body, format)); },
    publish(topic, message, fields = {}) {
      this.send(JSON.stringify({ command: "publish", topic, ...fields, message }));
    },
    async flush() {
      const answered = new Promise((resolve) => { waiting.push(resolve); });
      this.send('{"command":"ping"}');
      await answered;
      const refused = frames.filter((body) => body.startsWith('{"command":"error"'));
      assert.deepEqual(refused, []);
    },
    /** Reads nothing more, as a client that hangs. */
    hang() { socket.pause(); },
    close() { socket.destroy(); },
  };
}

/**
 * A client of MQTT 5 that subscribes to a filter with QoS 1, and acknowledges nothing. Its session
 * stays for `expiry` seconds when it goes.
 */
export async function mqttClient(port, name, filter, { window = 100, expiry = 0 } = {}) {
  const text = (string) => {
    const bytes = Buffer.from(string);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 255]), bytes]);
  };
  const packet = (first, ...parts) => {
    const body = Buffer.concat(parts.map((part) => Buffer.from(part)));
    const length = body.length < 128 ? [body.length] : [body.length & 127 | 128, body.length >> 7];
    return Buffer.concat([Buffer.from([first, ...length]), body]);
  };
  const socket = connect(port, "127.0.0.1");
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("error", reject);
  });
  const properties = Buffer.alloc(9);
  properties.writeUInt8(8);
  properties.writeUInt8(17, 1);
  properties.writeUInt32BE(expiry, 2);
  const hello = Buffer.concat([properties.subarray(0, 6), Buffer.from([33, 0, window])]);
  socket.write(packet(0x10, text("MQTT"), [5, 2, 0, 0], hello, text(name)));
  const subscribed = new Promise((resolve) => {
    let arrived = Buffer.alloc(0);
    socket.on("data", (data) => {
      arrived = Buffer.concat([arrived, data]);
      // CONNACK, and behind it SUBACK.
      if (arrived.length > 1 && arrived[arrived[1] + 2] === 0x90) resolve();
    });
  });
  socket.write(packet(0x82, [0, 9, 0], text(filter), [1]));
  await subscribed;
  const closed = new Promise((resolve) => { socket.on("close", resolve); });
  return { closed, close() { socket.destroy(); } };
}

export async function startBrowser() {
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"],
  });
}

/**
 * The page of a broker in a browser of its own, and whatever it complained of or asked for. A
 * failure is one of the test, wherever in the page it happens.
 */
export async function openPage(broker, options = {}) {
  const context = await browser.newContext({
    viewport: { width: 1240, height: 860 }, reducedMotion: "reduce", ...options,
  });
  context.setDefaultTimeout(PATIENCE);
  const page = await context.newPage();
  const troubles = [];
  const hosts = new Set();
  const asked = (url) => {
    if (!url.startsWith("data:")) hosts.add(new URL(url).host);
  };
  page.on("request", (request) => asked(request.url()));
  page.on("websocket", (socket) => asked(socket.url()));
  page.on("pageerror", (error) => troubles.push(error.stack));
  page.on("console", (message) => {
    // What the browser itself says of an answer that refuses is no complaint of the page.
    const isRefusal = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isRefusal) troubles.push(message.text());
  });
  page.on("dialog", (dialog) => {
    troubles.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(broker.url);
  return {
    page,
    troubles,
    row: (name) => page.getByRole("row").filter({
      has: page.locator(".name bdi").getByText(name, { exact: true }),
    }),
    async search(text) {
      await page.getByRole("searchbox").fill(text);
    },
    /** Waits until something is so, and says what was there instead. */
    async until(what, expected) {
      const began = Date.now();
      for (;;) {
        const found = await what();
        const isSo = expected instanceof RegExp ? expected.test(found) : found === expected;
        if (isSo) return;
        if (Date.now() - began > PATIENCE) {
          assert.fail(`${JSON.stringify(found)} and not ${expected}`);
        }
        await page.evaluate(() => new Promise(requestAnimationFrame));
      }
    },
    async close() {
      const { host } = new URL(broker.url);
      await context.close();
      assert.deepEqual(troubles, []);
      assert.deepEqual([...hosts], [host], "the page asked others than its broker");
    },
  };
}
