// The broker's WebSocket as `ws` sees it, without the client: a judge that is not ours.

import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import test, { after, before } from "node:test";
import WebSocket from "ws";
import { Broker } from "./support/broker.js";

let broker;
before(async () => (broker = await Broker.start("--http-origin", "https://app.example")));
after(() => broker?.kill());

function urlOf() {
  return `${broker.http.replace("http", "ws")}/ws`;
}

/** An open WebSocket, and its messages in order. */
async function open(t, ...protocols) {
  const socket = new WebSocket(urlOf(), protocols, { perMessageDeflate: false });
  t.after(() => socket.terminate());
  const messages = [];
  const waiting = [];
  socket.on("message", (data, isBinary) => {
    const message = { data, isBinary };
    const next = waiting.shift();
    if (next) next(message);
    else messages.push(message);
  });
  const receive = () => messages.shift() ?? new Promise((resolve) => waiting.push(resolve));
  await once(socket, "open");
  return { socket, receive };
}

/** A native frame of JSON. */
function frame(fields) {
  const body = Buffer.from(JSON.stringify(fields));
  const header = Buffer.alloc(5);
  header.writeUInt32BE(body.length, 1);
  return Buffer.concat([header, body]);
}

/** The status of a handshake that is refused. */
async function refused(protocols, options) {
  const socket = new WebSocket(urlOf(), protocols, options);
  socket.on("error", () => {});
  const [handshake, response] = await once(socket, "unexpected-response");
  handshake.destroy();
  return response.statusCode;
}

async function closed(socket) {
  const [code] = await once(socket, "close");
  return code;
}

const PING = '{"command":"ping","id":7}';
const PONG = '{"command":"pong","id":7}';

test("the subprotocol that was asked for is chosen", async (t) => {
  for (const protocol of ["babelmq", "babelmq.json"]) {
    const { socket } = await open(t, protocol);
    assert.equal(socket.protocol, protocol);
    assert.equal(socket.extensions, "");
  }
  const { socket } = await open(t, "amqp", "babelmq.json");
  assert.equal(socket.protocol, "babelmq.json");
});

test("a text message is the body of a frame, both ways", async (t) => {
  const { socket, receive } = await open(t, "babelmq.json");
  socket.send('{"command":"subscribe","topic":"a"}');
  const { data, isBinary } = await receive();
  assert.equal(String(data), '{"command":"subscribed","topic":"a","values":0}');
  assert.equal(isBinary, false);
  socket.send('{"command":"publish","topic":"a","message":"é\u{1f600}"}');
  const message = '{"command":"publish","topic":"a","message":"é\u{1f600}"}';
  assert.equal(String((await receive()).data), message);
});

test("fragments are one message, with pings between them", async (t) => {
  const { socket, receive } = await open(t, "babelmq.json");
  const bytes = Buffer.from(PING);
  const pongs = [];
  socket.on("pong", (data) => pongs.push(String(data)));
  for (let at = 0; at < bytes.length; at += 3) {
    socket.send(bytes.subarray(at, at + 3), { binary: false, fin: at + 3 >= bytes.length });
    socket.ping(String(at));
  }
  assert.equal(String((await receive()).data), PONG);
  socket.ping("last");
  while (!pongs.includes("last")) await once(socket, "pong");
  // Of pings that come together the newest is enough (RFC 6455 §5.5.3).
  const pings = ["0", "3", "6", "9", "12", "15", "18", "21", "24", "last"];
  assert.deepEqual(
    pongs,
    pings.filter((ping) => pongs.includes(ping)),
  );
});

test("binary messages are a stream of native frames", async (t) => {
  const { socket, receive } = await open(t, "babelmq");
  const bytes = frame({ command: "ping", id: 7 });
  const both = Buffer.concat([bytes, bytes]);
  // The boundaries of messages mean nothing.
  for (const [from, to] of [
    [0, 3],
    [3, 20],
    [20, both.length],
  ]) {
    // prettier-ignore
    socket.send(both.subarray(from, to));
  }
  let received = Buffer.alloc(0);
  const expected = Buffer.concat([
    frame({ command: "pong", id: 7 }),
    frame({ command: "pong", id: 7 }),
  ]);
  while (received.length < expected.length) {
    const { data, isBinary } = await receive();
    assert.equal(isBinary, true);
    received = Buffer.concat([received, data]);
  }
  assert(received.equals(expected));
});

test("a close is answered with its code", async (t) => {
  for (const [protocol, code] of [
    ["babelmq", 1000],
    ["babelmq.json", 1001],
  ]) {
    // prettier-ignore
    const { socket } = await open(t, protocol);
    const end = closed(socket);
    socket.close(code);
    assert.equal(await end, code);
  }
});

test("what the subprotocol does not have closes with the code for it", async (t) => {
  const text = await open(t, "babelmq");
  text.socket.send("text");
  assert.equal(await closed(text.socket), 1003);

  const binary = await open(t, "babelmq.json");
  binary.socket.send(Buffer.from([0]));
  assert.equal(await closed(binary.socket), 1003);

  const invalid = await open(t, "babelmq.json");
  invalid.socket.send(Buffer.from([0xff]), { binary: false });
  assert.equal(await closed(invalid.socket), 1007);
});

test("a fatal error is sent before the close", async (t) => {
  const { socket, receive } = await open(t, "babelmq");
  socket.send(Buffer.from([9, 0, 0, 0, 0]));
  const { data } = await receive();
  assert.match(String(data), /"code":"unknown-format".*"fatal":true/);
  assert.equal(await closed(socket), 1008);
});

test("a handshake that is none is refused by its status", async () => {
  assert.equal(await refused(["amqp"]), 400);
  assert.equal(await refused(["babelmq.json"], { origin: "https://evil.example" }), 403);
  const response = await new Promise((resolve, reject) => {
    request(`${broker.http}/ws`, resolve).on("error", reject).end();
  });
  response.resume();
  assert.equal(response.statusCode, 426);
  assert.equal(response.headers.upgrade, "websocket");
});

test("a page of the host itself, or of an origin that is allowed, may connect", async (t) => {
  for (const origin of [broker.http, "https://app.example"]) {
    const socket = new WebSocket(urlOf(), ["babelmq.json"], { origin });
    t.after(() => socket.terminate());
    await once(socket, "open");
  }
});
