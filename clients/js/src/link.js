// The connection: a WebSocket that is made again when it breaks, and logged in.

import { Backoff } from "./backoff.js";
import { BabelmqError, CertificateError, ConnectionLost, errorOf, LoginFailed } from "./errors.js";
import { decodeFrame } from "./values.js";

const SUBPROTOCOL = "babelmq.json";
/** Milliseconds for a connection to be made and logged in. */
const PATIENCE = 30_000;
/** Milliseconds after which a connection is one that held. */
const HELD = 5_000;
const NO_LOGIN = new Set(["login-failed", "login-required"]);
/** What Node calls a certificate that is not accepted, by either end. */
const CERTIFICATE = /CERT|UNABLE_TO_VERIFY|UNKNOWN_CA/;
const NORMAL = 1000;

/**
 * What happens is told to `owner`: `onUp()`, `onFrame(frame, length)`, `onSilence()` when a ping is
 * due, `onDown(error, isFinal)` once for each connection and each attempt that failed, and
 * `onAttempt()` before the next one.
 */
export class Link {
  #url;
  #login;
  #WebSocket;
  #keepalive;
  #reconnects;
  #backoff;
  #owner;
  #socket;
  /** "opening", "login", "up", or undefined where there is no socket. */
  #phase;
  #since = 0;
  #heard = false;
  #asked = false;
  #retry;
  #timer;
  /** What the broker, or the socket, said before it closed. */
  #why;

  constructor(owner, { url, login, WebSocket, keepalive, reconnect }) {
    this.#owner = owner;
    this.#url = url;
    this.#login = login;
    this.#WebSocket = WebSocket;
    this.#keepalive = keepalive;
    this.#reconnects = reconnect !== false;
    this.#backoff = new Backoff(typeof reconnect === "object" ? reconnect : undefined);
  }

  get isUp() {
    return this.#phase === "up";
  }

  /** Begins an attempt to connect. */
  open() {
    this.#retry = undefined;
    this.#why = undefined;
    this.#phase = "opening";
    let socket;
    try {
      socket = new this.#WebSocket(this.#url, SUBPROTOCOL);
    } catch (error) {
      // A page loaded by https may not connect to ws://, and no attempt changes that.
      this.#end(new ConnectionLost(`cannot connect to ${this.#url}`, { cause: error }), true);
      return;
    }
    this.#socket = socket;
    const ours = (then) => (event) => socket === this.#socket && then(event);
    socket.addEventListener(
      "open",
      ours(() => this.#onOpen()),
    );
    socket.addEventListener(
      "message",
      ours((event) => this.#onMessage(event.data)),
    );
    socket.addEventListener(
      "error",
      ours((event) => this.#onError(event)),
    );
    socket.addEventListener(
      "close",
      ours((event) => this.#onClose(event)),
    );
    this.#timer = setTimeout(() => this.drop(`no answer within ${PATIENCE} ms`), PATIENCE);
  }

  send(text) {
    this.#socket.send(text);
  }

  /** Gives the connection up, and makes another one. */
  drop(reason) {
    const socket = this.#socket;
    this.#end(reason instanceof Error ? reason : this.#lost(reason));
    // A handshake that hangs, or a close that nobody answers, is not waited for.
    (socket?.terminate ?? socket?.close)?.call(socket);
  }

  /** Ends it for good; resolves when the broker has heard of it, or after `patience` ms. */
  close(patience) {
    clearTimeout(this.#retry);
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = this.#phase = undefined;
    if (socket === undefined) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        socket.terminate?.();
        resolve();
      }, patience);
      socket.addEventListener("close", () => {
        clearTimeout(timer);
        resolve();
      });
      socket.addEventListener("error", () => {});
      socket.close(NORMAL);
    });
  }

  #onOpen() {
    if (this.#socket.protocol !== SUBPROTOCOL) {
      const found = this.#socket.protocol || "none";
      this.drop(`the server speaks another subprotocol than ${SUBPROTOCOL} (${found})`);
      return;
    }
    if (this.#login === undefined) return this.#onReady();
    this.#phase = "login";
    this.send(this.#login);
  }

  #onReady() {
    clearTimeout(this.#timer);
    this.#phase = "up";
    this.#since = Date.now();
    this.#watch();
    this.#owner.onUp();
  }

  #onMessage(data) {
    this.#heard = true;
    let frame;
    try {
      frame = decodeFrame(data);
    } catch (error) {
      this.drop(
        new BabelmqError("protocol", "this is no frame of a broker", { cause: error, fatal: true }),
      );
      return;
    }
    if (this.#phase === "login" && frame.command === "welcome") {
      this.#onReady();
    } else if (frame.command === "error" && (frame.fatal || this.#phase === "login")) {
      this.#onFatal(errorOf(frame));
    } else {
      this.#owner.onFrame(frame, data.length);
    }
  }

  #onFatal(error) {
    if (!NO_LOGIN.has(error.code)) {
      this.drop(error);
      return;
    }
    // Trying again does not change it.
    const final = new LoginFailed(error.code, error.reason, { fatal: true });
    const socket = this.#socket;
    this.#end(final, true);
    socket.close(NORMAL);
  }

  /** Node says why; a browser keeps it from scripts. */
  #onError({ message, error }) {
    this.#why ??= message || undefined;
    if (!CERTIFICATE.test(error?.code)) return;
    // Trying again does not change it.
    const why = `${this.#url}: the certificate is not accepted: ${message}`;
    this.#end(new CertificateError(why, { cause: error }), true);
  }

  #onClose({ code, reason }) {
    const said = reason || this.#why || (this.#phase === "opening" ? "no broker answers" : "");
    this.#end(this.#lost(`${said}${said && ", "}code ${code}`));
  }

  #lost(why) {
    const what = this.#phase === "opening" ? "cannot connect to" : "lost the connection to";
    return new ConnectionLost(`${what} ${this.#url}: ${why}`);
  }

  #end(error, isFinal = !this.#reconnects) {
    clearTimeout(this.#timer);
    clearTimeout(this.#retry);
    const held = this.#phase === "up" && Date.now() - this.#since >= HELD;
    this.#socket = this.#phase = undefined;
    if (!isFinal) {
      if (held) this.#backoff.reset();
      this.#retry = setTimeout(() => this.#again(), this.#backoff.next());
    }
    this.#owner.onDown(error, isFinal);
  }

  #again() {
    this.#owner.onAttempt();
    this.open();
  }

  /** After a time without a word asks whether the broker is there, and after another gives up. */
  #watch() {
    if (this.#keepalive === null) return;
    this.#heard = this.#asked = false;
    let due;
    const wait = () => {
      due = Date.now() + this.#keepalive;
      this.#timer = setTimeout(look, this.#keepalive);
    };
    const look = () => {
      // A page that slept has answers that it did not look at yet.
      const isLate = Date.now() - due > this.#keepalive / 2;
      if (this.#heard) {
        this.#heard = this.#asked = false;
      } else if (this.#asked && isLate) {
        // Another look is due when these have come.
      } else if (this.#asked) {
        this.drop(`nothing came for ${2 * this.#keepalive} ms`);
        return;
      } else {
        this.#asked = true;
        this.#owner.onSilence();
      }
      wait();
    };
    wait();
  }
}
