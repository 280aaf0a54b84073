// A small broker, for what a real one does not do when asked to: to refuse, to be cut off, to be
// silent, to say odd things. It knows what the tests need of docs/protocol.md.

import { once } from "node:events";
import { createServer } from "node:http";
import { WebSocketServer } from "ws";
import { matcher } from "../../src/filter.js";

export class FakeBroker {
  values = new Map();
  connections = new Set();
  /** How many connections there were. */
  count = 0;
  /** What every connection sent, in order. */
  heard = [];
  /** Changes or swallows an answer: `(frame, connection) => frame | undefined`. */
  answer = (frame) => frame;
  /** What is done with a request in the place of the usual: `(request, connection) => boolean`. */
  intercept = () => false;
  #waiting = [];

  static async start(options) {
    const broker = new FakeBroker();
    await broker.listen(options);
    return broker;
  }

  async listen({ port = 0 } = {}) {
    this.server = createServer((_, response) => response.writeHead(426).end());
    const upgrade = new WebSocketServer({ server: this.server, path: "/ws" });
    upgrade.on("connection", (socket) => this.#onConnection(socket));
    this.server.listen(this.port ?? port, "127.0.0.1");
    await once(this.server, "listening");
    this.port = this.server.address().port;
    this.url = `ws://127.0.0.1:${this.port}/ws`;
  }

  /** Cuts all connections, without a word. */
  cut() {
    for (const { socket } of this.connections) socket.terminate();
  }

  /** Cuts all connections, and takes no others. */
  async close() {
    this.server.close();
    this.cut();
    await once(this.server, "close");
  }

  /** Waits until a request is `wanted`. */
  async request(wanted) {
    const found = this.heard.find(wanted);
    if (found !== undefined) return found;
    return new Promise((resolve) => this.#waiting.push({ wanted, resolve }));
  }

  /** Sends a frame to everybody. */
  say(frame) {
    for (const connection of this.connections) connection.send(frame);
  }

  #onConnection(socket) {
    this.count++;
    const connection = { socket, filters: new Map() };
    connection.send = (frame) => {
      const said = this.answer(frame, connection);
      if (said !== undefined) socket.send(typeof said === "string" ? said : JSON.stringify(said));
    };
    this.connections.add(connection);
    socket.on("close", () => this.connections.delete(connection));
    socket.on("message", (data) => {
      const request = JSON.parse(data);
      this.heard.push(request);
      for (const { wanted, resolve } of this.#waiting) if (wanted(request)) resolve(request);
      if (!this.intercept(request, connection)) this.#take(request, connection);
    });
  }

  #take(request, connection) {
    const { command, topic, message, id, retain = true, below } = request;
    const say = (frame) => connection.send(frame);
    switch (command) {
      case "login":
        return say({ command: "welcome", user: request.user ?? "token", server: "0" });
      case "publish":
        if (retain) this.values.set(topic, message);
        for (const other of this.connections) {
          const isWanted = [...other.filters.values()].some((matches) => matches(topic));
          if (isWanted) other.send({ command: "publish", topic, message });
        }
        return undefined;
      case "subscribe": {
        const matches = matcher(topic, below);
        const found = [...this.values].filter(([name]) => matches(name));
        connection.filters.set(topic, matches);
        for (const [name, value] of found) {
          say({ command: "publish", topic: name, retained: true, message: value });
        }
        return say({ command: "subscribed", topic, values: found.length });
      }
      case "cancel":
        connection.filters.delete(topic);
        return say({ command: "cancelled", topic });
      case "get":
        return say({ command: "value", topic, message: this.values.get(topic) });
      case "list":
        return say({ command: "topics", topics: [...this.values.keys()].sort() });
      case "clear":
        return void this.values.delete(topic);
      default:
        return say({ command: "pong", id });
    }
  }
}

/** The error that a broker sends. */
export function refusal(code, topic, fatal = false) {
  return { command: "error", code, reason: `the reason of ${code}`, fatal, topic };
}
