// The broker that is tested against: the program at BABELMQ_BIN.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

export const BINARY = process.env.BABELMQ_BIN;
export const JSON_FORMAT = 0;
export const XML_FORMAT = 1;
export const PICKLE_FORMAT = 2;

/** Brokers that run, which do not outlive the tests, however these end. */
const running = new Set();
process.on("exit", () => running.forEach((child) => child.kill("SIGKILL")));
for (const signal of ["SIGTERM", "SIGINT"]) process.once(signal, () => process.exit(1));

/** A `babelmq serve` on free ports. `http`, `tcp` and, where it has one, `mqtt` are addresses. */
export class Broker {
  static start(...options) {
    return Broker.startAt("http://127.0.0.1:0", ...options);
  }

  static async startAt(http, ...options) {
    if (!BINARY) throw new Error("BABELMQ_BIN is to be the path of the program babelmq");
    const broker = new Broker();
    broker.options = options;
    broker.listen = ["tcp://127.0.0.1:0", http];
    await broker.start();
    return broker;
  }

  /** One that keeps streams, each as `--stream` has it, in a folder that `remove` removes. */
  static async startWith(streams, ...options) {
    const folder = mkdtempSync(join(tmpdir(), "babelmq-streams-"));
    const kept = streams.flatMap((stream) => ["--stream", stream]);
    const broker = await Broker.start("--data-dir", folder, ...kept, ...options);
    broker.folder = folder;
    return broker;
  }

  /** Ends it, and what it has kept. */
  async remove() {
    await this.kill();
    rmSync(this.folder, { recursive: true });
  }

  /** Starts it, again where it was if it was killed, and waits until it listens. */
  async start() {
    const listen = this.listen.flatMap((url) => ["--listen", url]);
    const stdio = ["ignore", "pipe", "ignore"];
    const child = spawn(BINARY, ["serve", ...listen, ...this.options], { stdio });
    this.process = child;
    running.add(child);
    child.on("exit", () => running.delete(child));
    const lines = createInterface(child.stdout);
    const [line = "nothing"] = await Promise.race([once(lines, "line"), once(lines, "close")]);
    const [, found = ""] = line.match(/^babelmq listening on (.*)$/) ?? [];
    [this.tcp, this.http, this.mqtt] = found.split(", ");
    if (!this.http) throw new Error(`${BINARY} said ${line}`);
    this.listen = [`tcp://${this.tcp}`, this.http];
  }

  /** Ends it without a warning. */
  async kill() {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill("SIGKILL");
    await once(this.process, "exit");
  }
}

/** A connection of native frames, to publish and to read what JavaScript cannot. */
export class Native {
  static async connect(address) {
    const [host, port] = address.split(":");
    const native = new Native();
    native.socket = connect(Number(port), host);
    await once(native.socket, "connect");
    native.chunks = native.socket[Symbol.asyncIterator]();
    native.bytes = Buffer.alloc(0);
    return native;
  }

  /** Sends the body of a frame; a string, or fields, are JSON. */
  send(body, format = JSON_FORMAT) {
    const text = typeof body === "string" || Buffer.isBuffer(body) ? body : JSON.stringify(body);
    const bytes = Buffer.from(text);
    const header = Buffer.alloc(5);
    header.writeUInt8(format, 0);
    header.writeUInt32BE(bytes.length, 1);
    this.socket.write(Buffer.concat([header, bytes]));
  }

  /** The body of the next frame. */
  async receive() {
    while (this.bytes.length < 5 || this.bytes.length < 5 + this.bytes.readUInt32BE(1)) {
      const { value, done } = await this.chunks.next();
      if (done) throw new Error("the broker has closed the connection");
      this.bytes = Buffer.concat([this.bytes, value]);
    }
    const end = 5 + this.bytes.readUInt32BE(1);
    const body = this.bytes.subarray(5, end);
    this.bytes = this.bytes.subarray(end);
    return body;
  }

  /** The next frame of JSON, as an object. */
  async json() {
    return JSON.parse(await this.receive());
  }

  close() {
    this.socket.destroy();
  }
}
