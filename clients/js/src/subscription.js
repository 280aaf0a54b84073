// A subscription: an async iterator over what arrives, with a bounded buffer.

import { checkInteger } from "./address.js";
import { BabelmqError } from "./errors.js";
import { keyOf, matcher } from "./filter.js";
import { Queue } from "./queue.js";

/** Messages that may wait here, if nothing else is said. */
export const DEFAULT_QUEUE = 10_000;
/** Characters of JSON that may wait here, whatever is said. */
const LONGEST = 64 << 20;
const OVERFLOWS = ["disconnect", "drop-oldest", "latest"];

export class Subscription {
  /** Messages that made room for newer ones, here and at the broker. */
  dropped = 0;
  /** Whether the broker allows only a part of what was asked for. */
  limited = false;
  /** Resolves when the stored values have arrived: what follows is live. */
  ready;

  #buffer;
  #waiting = new Queue();
  #end;
  #leave;
  #ready;

  /**
   * Made by `Client.subscribe`; `leave` tells the client that nobody reads any more. What waits
   * does in `buffer`.
   */
  constructor(filter, options, leave, buffer) {
    const { overflow = "disconnect", queue = DEFAULT_QUEUE, below = true } = options;
    this.filter = filter;
    /** For the client alone, as all that begins with an underscore. */
    this._key = keyOf(filter);
    this._matches = matcher(filter, below);
    this._overflow = overflow;
    /** Called once when it has ended. */
    this._onEnd = undefined;
    /** The topics that were delivered since it was asked for; undefined when it is answered. */
    this._early = undefined;
    this.#buffer = buffer ?? (overflow === "latest" ? new Latest(queue) : new Ordered(queue));
    this.#leave = leave;
    this.ready = new Promise((resolve, reject) => (this.#ready = { resolve, reject }));
    // Whoever iterates hears of an error there, and need not look here.
    this.ready.catch(() => {});
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  /** The next message; `for await` calls it. */
  next() {
    const message = this.#buffer.shift();
    if (message !== undefined) return Promise.resolve({ value: message, done: false });
    if (this.#end?.error !== undefined) {
      const { error } = this.#end;
      // It is thrown once; then there is nothing more.
      this.#end = {};
      return Promise.reject(error);
    }
    if (this.#end !== undefined) return Promise.resolve({ value: undefined, done: true });
    return new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
  }

  /** Ends it, as `break` does; what waits is let go. */
  return() {
    this.cancel();
    return Promise.resolve({ value: undefined, done: true });
  }

  /** Ends it: the iteration is over, and the broker sends no more. */
  cancel() {
    this.#buffer.clear();
    this._finish();
    this.#leave(this);
  }

  _onSubscribed({ limited = false }) {
    this.limited = limited;
    this._early = undefined;
    this.#ready.resolve();
  }

  /** Takes a message that is `length` characters long. */
  _onMessage(message, length) {
    if (this.#end !== undefined) return;
    const waits = this.#waiting.shift();
    if (waits !== undefined) {
      waits.resolve({ value: message, done: false });
      return;
    }
    if (this._overflow === "disconnect" && this.#buffer.isFull(length)) this._onFull();
    else this.dropped += this.#buffer.push(message, length);
  }

  /** A message came for which there is no room. */
  _onFull() {
    const reason =
      `more than ${this._waiting} messages of ${this.filter} wait to be iterated over; ` +
      'take them faster, or subscribe with another overflow ("drop-oldest", "latest") or queue';
    this._finish(new BabelmqError("slow-consumer", reason, { topic: this.filter }));
    this.#leave(this);
  }

  /** Messages that wait, where all are kept in their order. */
  get _waiting() {
    return this.#buffer.length;
  }

  /** No message comes any more; what waits can be read, and then the error, if there is one. */
  _finish(error) {
    if (this.#end !== undefined) return;
    this.#end = { error };
    this._onEnd?.();
    if (error === undefined) this.#ready.resolve();
    else this.#ready.reject(error);
    for (let waits = this.#waiting.shift(); waits; waits = this.#waiting.shift()) {
      if (this.#end.error === undefined) waits.resolve({ value: undefined, done: true });
      else waits.reject(error);
      this.#end = {};
    }
  }
}

if (Symbol.asyncDispose) {
  Subscription.prototype[Symbol.asyncDispose] = async function dispose() {
    this.cancel();
  };
}

/** Throws a TypeError or a RangeError for options of what waits that cannot be. */
export function checkWaiting({ overflow, queue }) {
  checkInteger("queue", queue, 1, 0xffff_ffff);
  if (overflow !== undefined && !OVERFLOWS.includes(overflow)) {
    throw new TypeError(`overflow is one of ${OVERFLOWS.join(", ")}`);
  }
}

/** Has a subscription end with a signal. */
export function endOn(signal, subscription) {
  const onAbort = () => subscription.cancel();
  signal?.addEventListener("abort", onAbort);
  subscription._onEnd = () => signal?.removeEventListener("abort", onAbort);
  if (signal?.aborted) subscription.cancel();
  return subscription;
}

/** All messages in their order; of too many the oldest go. */
class Ordered {
  #queue = new Queue();
  #most;
  #characters = 0;

  constructor(most) {
    this.#most = most;
  }

  get length() {
    return this.#queue.length;
  }

  /** Whether another message of that length would have no room; alone, any has. */
  isFull(length) {
    return this.length > 0 && (this.length >= this.#most || this.#characters + length > LONGEST);
  }

  /** Adds a message, and returns how many made room for it. */
  push(message, length) {
    let dropped = 0;
    for (; this.isFull(length); dropped++) this.shift();
    this.#queue.push({ message, length });
    this.#characters += length;
    return dropped;
  }

  shift() {
    const entry = this.#queue.shift();
    this.#characters -= entry?.length ?? 0;
    return entry?.message;
  }

  clear() {
    this.#queue = new Queue();
    this.#characters = 0;
  }
}

/** Of each topic the newest message; of too many topics the oldest go. */
class Latest {
  #topics = new Map();
  #most;
  #characters = 0;

  constructor(most) {
    this.#most = most;
  }

  push(message, length) {
    const { topic } = message;
    const before = this.#topics.get(topic)?.length ?? 0;
    this.#characters += length - before;
    // It takes the place of the one before.
    this.#topics.set(topic, { message, length });
    let dropped = 0;
    while (
      this.#topics.size > 1 &&
      (this.#topics.size > this.#most || this.#characters > LONGEST)
    ) {
      this.shift();
      dropped++;
    }
    return dropped;
  }

  shift() {
    for (const [topic, { message, length }] of this.#topics) {
      this.#topics.delete(topic);
      this.#characters -= length;
      return message;
    }
    return undefined;
  }

  clear() {
    this.#topics.clear();
    this.#characters = 0;
  }
}
