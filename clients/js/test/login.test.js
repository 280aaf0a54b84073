// Who a client is, and where it goes.

import assert from "node:assert/strict";
import test from "node:test";
import { connect, LoginFailed } from "babelmq";
import { both, reached } from "./support/client.js";
import { refusal } from "./support/fake.js";

test("a login is the first frame of each connection", async (t) => {
  const { broker, client } = await both(t, { user: "ada", password: "secret" });
  await client.publish("/a", 1);
  await client.flush();
  broker.cut();
  await reached(client, "disconnected");
  await client.flush();
  const login = { command: "login", user: "ada", password: "secret" };
  const logins = broker.heard.filter(({ command }) => command === "login");
  assert.deepEqual(logins, [login, login]);
  assert.deepEqual(broker.heard[0], login);
});

test("a login that fails is final, and every call says so", async (t) => {
  const { broker, client } = await both(t, { token: "secret" });
  broker.intercept = ({ command }, { socket, send }) => {
    if (command !== "login") return false;
    send(refusal("login-failed", undefined, true));
    socket.close();
    return true;
  };
  const published = client.publish("/a", 1);
  const subscription = client.subscribe("/a");
  const failed = (error) => error instanceof LoginFailed && error.code === "login-failed";
  await assert.rejects(client.ready, failed);
  await assert.rejects(published, failed);
  await assert.rejects(subscription.next(), failed);
  await assert.rejects(client.get("/a"), failed);
  await assert.rejects(client.flush(), failed);
  assert.equal(client.state, "closed");
  assert(client.error instanceof LoginFailed);
  assert.equal(broker.count, 1);
});

test("a broker that wants a login ends a client without one", async (t) => {
  const { broker, client } = await both(t);
  await client.ready;
  broker.say(refusal("login-required", undefined, true));
  await reached(client, "closed");
  await assert.rejects(client.get("/a"), { name: "LoginFailed", code: "login-required" });
});

test("a broker that is full is asked again", async (t) => {
  const { broker, client } = await both(t, { user: "ada", password: "x" });
  let refusals = 0;
  broker.intercept = ({ command }, { socket, send }) => {
    if (command !== "login" || refusals++ > 1) return false;
    send(refusal("too-many-connections", undefined, true));
    socket.close();
    return true;
  };
  await client.ready;
  assert.equal(broker.count, 3);
});

test("an address and a login are judged before anything is sent", () => {
  const rows = [
    ["ftp://host/ws"],
    ["ws://"],
    ["ws://host/ws?token=x"],
    ["ws://host/ws#x"],
    ["wss://ada@host/ws"],
    ["wss://ada:x@host/ws", { user: "ada" }],
    ["wss://host/ws", { user: "ada" }],
    ["wss://host/ws", { password: "x" }],
    ["wss://host/ws", { token: "x", user: "ada" }],
    ["wss://host/ws", { token: "x".repeat(4096) }],
    ["wss://a%GG:x@host/ws"],
    ["wss://host/ws", { tokens: "x" }],
    ["wss://host/ws", { token: 5 }],
    ["wss://host/ws", { keepalive: 0 }],
  ];
  for (const [address, options] of rows) {
    const error = { name: /TypeError|RangeError/ };
    assert.throws(() => connect(address, { WebSocket: Never, ...options }), error, address);
  }
  const secrets = [
    ["ws://ada:hunter2@host/ws", {}],
    ["ws://host/ws", { token: "hunter2" }],
    ["ws://ada:hunter2@ho st/ws", {}],
  ];
  for (const [address, options] of secrets) {
    assert.throws(
      () => connect(address, { WebSocket: Never, ...options }),
      ({ message }) => !message.includes("hunter2"),
      address,
    );
  }
});

/** A WebSocket that says where it would connect to. */
class Never extends EventTarget {
  static urls = [];
  constructor(url, protocol) {
    super();
    Never.urls.push([url, protocol]);
  }
  close() {
    this.dispatchEvent(new Event("close"));
  }
}

test("an address may be that of the HTTP listener", async () => {
  const rows = [
    ["http://host", "ws://host/ws"],
    ["https://host/", "wss://host/ws"],
    ["https://host/mq", "wss://host/mq/ws"],
    ["http://host/ws", "ws://host/ws"],
    ["ws://host", "ws://host/ws"],
    ["ws://host/other", "ws://host/other"],
    ["wss://ada:p%40ss@host:8080", "wss://host:8080/ws"],
    ["ws://ada:x@[::1]:8080/ws", "ws://[::1]:8080/ws"],
    ["ws://ada:x@127.0.0.1:8080/ws", "ws://127.0.0.1:8080/ws"],
    [new URL("http://localhost:8080"), "ws://localhost:8080/ws"],
  ];
  for (const [address, url] of rows) {
    const client = connect(address, { WebSocket: Never });
    await Promise.resolve();
    assert.deepEqual(Never.urls.at(-1), [url, "babelmq.json"]);
    await client.close();
  }
});
