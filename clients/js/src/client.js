// The client: what it publishes and asks, in order, and what comes back for it.
//
// The broker answers in the order of the requests, but a publish that it refuses is answered by an
// error that does not say so. Before each question goes a ping if anything was published since the
// last one: refusals that come before its pong are of publishes, those after it of the question.

import { checkInteger, checkTopic } from "./address.js";
import { BabelmqError, closed, ConnectionLost, errorOf } from "./errors.js";
import { keyOf } from "./filter.js";
import { Link } from "./link.js";
import { Queue } from "./queue.js";
import { Subscription } from "./subscription.js";
import { encode } from "./values.js";

/** Characters of messages that are on their way to the broker and not confirmed, at most. */
const WINDOW = 1 << 20;
/** Characters after which a confirmation is asked for. */
const STEP = WINDOW / 4;
/** Milliseconds after which a confirmation of less is asked for. */
const IDLE = 1_000;
/** Refusals that are kept until somebody flushes. */
const MOST_REFUSED = 100;
/** Milliseconds that close() waits for the broker. */
const FAREWELL = 5_000;
const UINT32 = 0xffff_ffff;
const OVERFLOWS = ["disconnect", "drop-oldest", "latest"];
const quote = JSON.stringify;

/** The state of a client has changed. */
export class StateEvent extends Event {
  constructor(state, error) {
    super("state");
    this.state = state;
    this.error = error;
  }
}

/** The broker refused something that was published; flush() will say so too. */
export class RefusedEvent extends Event {
  constructor(error) {
    super("refused");
    this.error = error;
  }
}

export class Client extends EventTarget {
  /** "connecting", "connected", "disconnected" (an attempt is due) or "closed". */
  state = "connecting";
  /** Why there is no connection; undefined while there is one. */
  error;
  onstate = null;
  onrefused = null;
  /** Resolves when the first connection is made and logged in. */
  ready;

  #link;
  #exact;
  #most;
  /** What is to be sent: `{ text, ask }` of a question, `{ text, topic, done }` of a publish. */
  #outgoing = new Queue();
  #waitingCharacters = 0;
  /** Questions that were sent, in the order in which they will be answered. */
  #asked = new Queue();
  /** Subscriptions by the key of their filter, and what the newest of them asked for. */
  #filters = new Map();
  #unconfirmed = 0;
  /** What was published since the last ping: how much, and to which topics. */
  #since = { characters: 0, topics: new Set() };
  #pings = 0;
  #refused = [];
  #lost;
  #idle;
  /** Why all is over. */
  #final;
  #closing;
  #ready;

  constructor(link, { exact, buffer }) {
    super();
    this.#exact = exact;
    this.#most = buffer;
    this.ready = new Promise((resolve, reject) => (this.#ready = { resolve, reject }));
    this.ready.catch(() => {});
    this.addEventListener("state", (event) => this.onstate?.(event));
    this.addEventListener("refused", (event) => this.onrefused?.(event));
    this.#link = new Link(this.#owner(), link);
    // Who listens for states can begin to before there is one.
    queueMicrotask(() => this.#final === undefined && this.#link.open());
  }

  // --- what programs call ------------------------------------------------------------------------

  async publish(topic, value, { retain = true, ttl, signal } = {}) {
    checkTopic(topic);
    checkInteger("ttl", ttl, 1, UINT32);
    const passing = retain ? "" : ',"retain":false';
    const limited = ttl === undefined ? "" : `,"ttl":${ttl}`;
    const text =
      `{"command":"publish","topic":${quote(topic)}${passing}${limited},` +
      `"message":${encode(value)}}`;
    await this.#send(text, topic, signal);
  }

  async clear(topic, { signal } = {}) {
    const text = `{"command":"clear","topic":${quote(checkTopic(topic))}}`;
    await this.#send(text, topic, signal);
  }

  async flush({ signal } = {}) {
    this.#throwLost();
    await this.#ask("ping", { signal, isFlush: true });
    this.#throwRefused();
  }

  subscribe(filter, { overflow, queue, cleared = false, below = true, signal } = {}) {
    checkTopic(filter);
    checkInteger("queue", queue, 1, UINT32);
    if (overflow !== undefined && !OVERFLOWS.includes(overflow)) {
      throw new TypeError(`overflow is one of ${OVERFLOWS.join(", ")}`);
    }
    const options = { overflow, queue, below };
    const subscription = new Subscription(filter, options, (left) => this.#leave(left));
    if (this.#final !== undefined) {
      subscription._finish(this.#final);
      return subscription;
    }
    const key = subscription._key;
    subscription._cleared = Boolean(cleared);
    subscription._early = new Set();
    const fields = { topic: key, exact: this.#exact };
    if (overflow !== undefined) fields.overflow = overflow;
    // With "disconnect" it would bound the whole connection, and a burst is enough to pass it.
    if (queue !== undefined && subscription._overflow !== "disconnect") fields.queue = queue;
    if (cleared) fields.cleared = true;
    const entry = this.#filters.get(key) ?? { subscriptions: new Set() };
    // What is below comes to the connection if it is for one of them. "a/#" is known as "a" here.
    const alone = !below && !filter.endsWith("#");
    if (alone && (entry.fields === undefined || "below" in entry.fields)) fields.below = false;
    entry.subscriptions.add(subscription);
    // Notices for one of them are notices for the connection.
    entry.fields = entry.fields?.cleared ? { ...fields, cleared: true } : fields;
    this.#filters.set(key, entry);
    if (this.#link.isUp) this.#subscribe(key, [subscription]);
    const onAbort = () => subscription.cancel();
    signal?.addEventListener("abort", onAbort);
    subscription._onEnd = () => signal?.removeEventListener("abort", onAbort);
    if (signal?.aborted) subscription.cancel();
    return subscription;
  }

  async get(topic, { signal } = {}) {
    return this.#ask("get", { topic: checkTopic(topic), exact: this.#exact, signal });
  }

  async list(filter, { signal } = {}) {
    return this.#ask("list", { topic: filter === undefined ? filter : checkTopic(filter), signal });
  }

  async stats({ signal } = {}) {
    return this.#ask("stats", { signal });
  }

  close() {
    return (this.#closing ??= this.#close());
  }

  async #close() {
    if (this.state === "closed") return;
    let failure;
    if (this.#link.isUp && (this.#unconfirmed > 0 || this.#outgoing.length > 0)) {
      const signal = AbortSignal.timeout(FAREWELL);
      await this.flush({ signal }).catch((error) => (failure = error));
    }
    failure ??= this.#lost ?? this.#takeRefused();
    this.#lost = undefined;
    this.#finish(closed());
    await this.#link.close(FAREWELL);
    if (failure !== undefined) throw failure;
  }

  // --- what goes out -----------------------------------------------------------------------------

  /** Sends what has no answer; resolves when the socket has it. */
  #send(text, topic, signal) {
    return this.#promise(signal, (done) => {
      const waiting = this.#waitingCharacters + text.length;
      if (this.#outgoing.length > 0 && waiting > this.#most) {
        const reason =
          `${this.#waitingCharacters} characters wait to be sent, and ${this.#most} may; ` +
          "await publish(), or connect with a larger buffer";
        throw new BabelmqError("buffer-full", reason, { topic });
      }
      const entry = { text, topic, done };
      this.#waitingCharacters = waiting;
      this.#outgoing.push(entry);
      this.#pump();
      return () => {
        for (const { text } of this.#outgoing.remove((other) => other === entry)) {
          this.#waitingCharacters -= text.length;
        }
      };
    });
  }

  /** Asks the broker; resolves with the answer. */
  #ask(command, { signal, isFlush = false, ...fields } = {}) {
    return this.#promise(signal, (done) => {
      const ask = this.#question(command, fields, done);
      ask.isFlush = isFlush;
      this.#outgoing.push({ text: ask.text, ask });
      this.#pump();
      // The answer comes nonetheless, and nobody waits for it.
      return () => void this.#outgoing.remove((entry) => entry.ask === ask);
    });
  }

  #question(command, fields, done) {
    if (command === "ping") fields.id = ++this.#pings;
    return { command, ...fields, text: quote({ command, ...fields }), done, covers: undefined };
  }

  /** A promise that is settled by `done`; if `signal` is first, `begin`'s result is called. */
  #promise(signal, begin) {
    return new Promise((resolve, reject) => {
      if (this.#final !== undefined) throw this.#final;
      signal?.throwIfAborted();
      let withdraw;
      const onAbort = () => {
        withdraw();
        reject(signal.reason);
      };
      const settled = () => signal?.removeEventListener("abort", onAbort);
      signal?.addEventListener("abort", onAbort);
      withdraw = begin({
        resolve: (value) => (settled(), resolve(value)),
        reject: (error) => (settled(), reject(error)),
      });
    });
  }

  #pump() {
    while (this.#link.isUp && this.#outgoing.length > 0) {
      const { text, ask, topic, done } = this.#outgoing.first;
      if (ask !== undefined) {
        if (ask.command !== "ping") this.#confirm();
        this.#outgoing.shift();
        this.#sendQuestion(ask);
        continue;
      }
      if (this.#unconfirmed > 0 && this.#unconfirmed + text.length > WINDOW) {
        this.#confirm();
        return;
      }
      this.#outgoing.shift();
      this.#waitingCharacters -= text.length;
      this.#link.send(text);
      this.#unconfirmed += text.length;
      this.#since.characters += text.length;
      this.#since.topics.add(topic);
      if (this.#since.characters >= STEP) this.#confirm();
      else this.#idle ??= setTimeout(() => this.#onIdle(), IDLE);
      done.resolve();
    }
  }

  /** Asks for a confirmation of what was published since the last one. */
  #confirm() {
    if (this.#since.characters > 0) this.#sendQuestion(this.#question("ping", {}));
  }

  #onIdle() {
    this.#idle = undefined;
    if (this.#link.isUp) this.#confirm();
  }

  #sendQuestion(ask) {
    if (ask.command === "ping") {
      ask.covers = this.#since;
      this.#since = { characters: 0, topics: new Set() };
      clearTimeout(this.#idle);
      this.#idle = undefined;
    }
    this.#asked.push(ask);
    this.#link.send(ask.text);
  }

  #subscribe(key, subscriptions) {
    const { fields } = this.#filters.get(key);
    const ask = this.#question("subscribe", fields);
    ask.subscriptions = subscriptions;
    this.#outgoing.push({ text: ask.text, ask });
    this.#pump();
  }

  #leave(subscription) {
    const key = subscription._key;
    const entry = this.#filters.get(key);
    if (!entry?.subscriptions.delete(subscription) || entry.subscriptions.size > 0) return;
    this.#filters.delete(key);
    if (!this.#link.isUp) return;
    const ask = this.#question("cancel", { topic: key });
    this.#outgoing.push({ text: ask.text, ask });
    this.#pump();
  }

  // --- what comes in -----------------------------------------------------------------------------

  #owner() {
    return {
      onUp: () => this.#onUp(),
      onAttempt: () => this.#become("connecting", this.error),
      onFrame: (frame, length) => this.#onFrame(frame, length),
      onDown: (error, isFinal) => this.#onDown(error, isFinal),
      onSilence: () => this.#sendQuestion(this.#question("ping", {})),
    };
  }

  #onUp() {
    this.#become("connected");
    this.#ready.resolve();
    // The broker sends the stored values again, to all of them.
    const again = [...this.#filters].map(([key, { fields, subscriptions }]) => {
      const ask = this.#question("subscribe", fields);
      ask.subscriptions = [...subscriptions];
      for (const subscription of subscriptions) subscription._early = new Set();
      return { text: ask.text, ask };
    });
    this.#outgoing.prepend(again);
    this.#pump();
  }

  #onFrame(frame, length) {
    switch (frame.command) {
      case "publish":
        return this.#onMessage(frame, length);
      case "cleared":
        return this.#onCleared(frame, length);
      case "dropped":
        return this.#onDropped(frame);
      case "error":
        return this.#onError(errorOf(frame));
      case "pong":
        return this.#onPong(frame);
      case "subscribed":
        return this.#onSubscribed(frame);
      case "cancelled":
        return this.#answered("cancel");
      case "value":
        return this.#answered("get", frame.message);
      case "topics":
        return this.#answered("list", frame.topics);
      case "stats":
        return this.#answered("stats", frame.message);
      default:
      // What a newer broker may say and this client did not ask for.
    }
  }

  #onMessage({ topic, message, retained = false }, length) {
    const first = this.#asked.first;
    // A stored value is for the subscription that is being made.
    if (retained && first?.command === "subscribe") {
      for (const subscription of first.subscriptions) {
        // What came for an older subscription meanwhile is not older.
        if (subscription._early?.has(topic) || !subscription._matches(topic)) continue;
        subscription._onMessage({ topic, value: message, retained }, length);
      }
      return;
    }
    for (const subscription of this.#readersOf(topic)) {
      subscription._early?.add(topic);
      subscription._onMessage({ topic, value: message, retained }, length);
    }
  }

  #onCleared({ topic }, length) {
    for (const subscription of this.#readersOf(topic)) {
      if (!subscription._cleared) continue;
      const notice = { topic, value: undefined, retained: false, cleared: true };
      subscription._onMessage(notice, length);
    }
  }

  /** A message comes once, however many subscriptions have its topic. */
  *#readersOf(topic) {
    for (const { subscriptions } of this.#filters.values()) {
      for (const subscription of subscriptions) {
        if (subscription._matches(topic)) yield subscription;
      }
    }
  }

  #onDropped({ topic, count }) {
    const entry = this.#filters.get(keyOf(topic));
    for (const subscription of entry?.subscriptions ?? []) subscription.dropped += count;
  }

  #onSubscribed({ limited = false }) {
    const ask = this.#answered("subscribe");
    for (const subscription of ask?.subscriptions ?? []) subscription._onSubscribed(limited);
  }

  #onPong({ id }) {
    // A question before it that has no answer was refused without its topic.
    while (this.#asked.length > 0 && this.#asked.first.id !== id) {
      this.#refuse(this.#asked.shift(), new BabelmqError("protocol", "the broker did not answer"));
    }
    this.#confirmed(this.#answered("ping"));
  }

  #confirmed(ping) {
    this.#unconfirmed -= ping?.covers.characters ?? 0;
    this.#pump();
  }

  /** Takes the question that this is the answer to, and settles it. */
  #answered(command, answer) {
    if (this.#asked.first?.command !== command) return undefined;
    const ask = this.#asked.shift();
    ask.done?.resolve(answer);
    return ask;
  }

  #onError(error) {
    const ask = this.#asked.first;
    const isAbout = error.topic === undefined || error.topic === ask?.topic;
    if (ask?.command === "ping" && error.code === "storage-failed" && !error.topic) {
      this.#asked.shift();
      if (ask.isFlush) ask.done.reject(error);
      else this.#onRefused(error);
      this.#confirmed(ask);
    } else if (ask !== undefined && ask.command !== "ping" && isAbout) {
      this.#refuse(this.#asked.shift(), error);
    } else if (error.code === "not-permitted" && error.topic && !this.#wasPublished(error.topic)) {
      // The right to it was lost. Where nobody reads it, it was cancelled meanwhile.
      this.#failAll(keyOf(error.topic), error);
    } else {
      this.#onRefused(error);
    }
  }

  #refuse(ask, error) {
    if (ask.command === "subscribe") {
      for (const subscription of ask.subscriptions) this.#fail(subscription, error);
    } else {
      ask.done?.reject(error);
    }
  }

  #failAll(key, error) {
    for (const subscription of [...(this.#filters.get(key)?.subscriptions ?? [])]) {
      this.#fail(subscription, error);
    }
  }

  /** Ends a subscription that the broker does not have any more. */
  #fail(subscription, error) {
    const entry = this.#filters.get(subscription._key);
    entry?.subscriptions.delete(subscription);
    if (entry?.subscriptions.size === 0) this.#filters.delete(subscription._key);
    subscription._finish(error);
  }

  /** Whether something was published there of which it is not known that it was taken. */
  #wasPublished(topic) {
    if (this.#since.topics.has(topic)) return true;
    return [...this.#asked].some((ask) => ask.covers?.topics.has(topic));
  }

  #onRefused(error) {
    if (this.#refused.length < MOST_REFUSED) this.#refused.push(error);
    this.dispatchEvent(new RefusedEvent(error));
  }

  #takeRefused() {
    const [first, ...more] = this.#refused.splice(0);
    if (first !== undefined) first.more = more;
    return first;
  }

  #throwRefused() {
    const error = this.#takeRefused();
    if (error !== undefined) throw error;
  }

  #throwLost() {
    const error = this.#lost;
    this.#lost = undefined;
    if (error !== undefined) throw error;
  }

  // --- when the connection ends ------------------------------------------------------------------

  #onDown(error, isFinal) {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    if (this.#unconfirmed > 0) this.#lose(error);
    this.#unconfirmed = 0;
    this.#since = { characters: 0, topics: new Set() };
    if (error.code === "slow-consumer") this.#cutOff(error);
    if (isFinal) {
      this.#finish(error);
      return;
    }
    // The next connection subscribes by itself; all other questions are asked again.
    const isDone = ({ ask }) => ask?.command === "subscribe" || ask?.command === "cancel";
    this.#outgoing.remove(isDone);
    const again = [...this.#asked].map((ask) => ({ text: ask.text, ask }));
    this.#asked = new Queue();
    // A ping that nobody waits for has nothing left to confirm.
    this.#outgoing.prepend(again.filter((entry) => !isDone(entry) && entry.ask.done));
    this.#become("disconnected", error);
  }

  /** What is not confirmed may be lost: every flush that waits says so, or else the next. */
  #lose(why) {
    const reason = `what was published since the last flush() may be lost: ${why.message}`;
    const lost = new ConnectionLost(reason, { cause: why });
    const isFlush = (ask) => ask?.isFlush === true;
    const waiting = [
      ...this.#asked.remove(isFlush),
      ...this.#outgoing.remove(({ ask }) => isFlush(ask)).map(({ ask }) => ask),
    ];
    for (const ask of waiting) ask.done.reject(lost);
    if (waiting.length === 0) this.#lost = lost;
  }

  /** The broker let messages go of all subscriptions that share the queue of the connection. */
  #cutOff(error) {
    for (const { subscriptions } of [...this.#filters.values()]) {
      for (const subscription of [...subscriptions]) {
        if (subscription._overflow === "disconnect") this.#fail(subscription, error);
      }
    }
  }

  /** Nothing is sent or received any more; whoever waits is told why. */
  #finish(error) {
    this.#final = error;
    clearTimeout(this.#idle);
    this.#ready.reject(error);
    for (const ask of this.#asked) ask.done?.reject(error);
    for (const { ask, done } of this.#outgoing) (ask?.done ?? done)?.reject(error);
    this.#asked = new Queue();
    this.#outgoing = new Queue();
    this.#waitingCharacters = 0;
    const isClosed = error.code === "closed";
    for (const { subscriptions } of [...this.#filters.values()]) {
      for (const subscription of [...subscriptions]) {
        this.#fail(subscription, isClosed ? undefined : error);
      }
    }
    this.#become("closed", isClosed ? undefined : error);
  }

  #become(state, error) {
    this.state = state;
    this.error = error;
    this.dispatchEvent(new StateEvent(state, error));
  }
}

if (Symbol.asyncDispose) {
  Client.prototype[Symbol.asyncDispose] = Client.prototype.close;
  Subscription.prototype[Symbol.asyncDispose] = async function dispose() {
    this.cancel();
  };
}
