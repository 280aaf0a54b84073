// The client: what it publishes and asks, in order, and what comes back for it.
//
// The broker answers in the order of the requests, but a publish that it refuses is answered by an
// error that does not say so. Before each question goes a ping if anything was published since the
// last one: refusals that come before its pong are of publishes, those after it of the question.

import { checkInteger, checkTopic } from "./address.js";
import { Consumer } from "./consumer.js";
import { keptFields } from "./delivery.js";
import { consumerFields, followerFields } from "./durable.js";
import { BabelmqError, closed, ConnectionLost, errorOf } from "./errors.js";
import { DamagedEvent, RefusedEvent, StateEvent } from "./events.js";
import { keyOf } from "./filter.js";
import { Follower } from "./follower.js";
import { Kept } from "./kept.js";
import { Link } from "./link.js";
import { publishText } from "./publish.js";
import { Queue } from "./queue.js";
import { Streams } from "./streams.js";
import { checkWaiting, endOn, Subscription } from "./subscription.js";
import { Unconfirmed } from "./unconfirmed.js";

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
/** Messages that getLast() may ask for. */
const MOST_LAST = 10_000;
/** What answers a ping in the place of a pong, where it names no topic. */
const OF_PING = ["backbone-unavailable", "storage-failed"];
const quote = JSON.stringify;

export class Client extends EventTarget {
  /** "connecting", "connected", "disconnected" (an attempt is due) or "closed". */
  state = "connecting";
  /** Why there is no connection; undefined while there is one. */
  error;
  onstate = null;
  onrefused = null;
  ondamaged = null;
  /** Resolves when the first connection is made and logged in. */
  ready;

  #link;
  #exact;
  #most;
  /** What was published and not confirmed; undefined where that is not kept. */
  #kept;
  /**
   * What is to be sent: `{ text, ask }` of a question, `{ text, topic, done }` of a publish,
   * `{ text, settlement }` of what a consumer says.
   */
  #outgoing = new Queue();
  #waitingCharacters = 0;
  /** Questions that were sent, in the order in which they will be answered. */
  #asked = new Queue();
  /** Subscriptions by the key of their filter, and what the newest of them asked for. */
  #filters = new Map();
  #streams = new Streams();
  #unconfirmed = new Unconfirmed();
  #pings = 0;
  #refused = [];
  #lost;
  #idle;
  /** Why all is over. */
  #final;
  #closing;
  #ready;

  constructor(link, { exact, buffer, reliable }) {
    super();
    this.#exact = exact;
    this.#most = buffer;
    if (reliable) this.#kept = new Kept();
    this.ready = new Promise((resolve, reject) => (this.#ready = { resolve, reject }));
    this.ready.catch(() => {});
    this.addEventListener("state", (event) => this.onstate?.(event));
    this.addEventListener("refused", (event) => this.onrefused?.(event));
    this.addEventListener("damaged", (event) => this.ondamaged?.(event));
    this.#link = new Link(this.#owner(), link);
    // Who listens for states can begin to before there is one.
    queueMicrotask(() => this.#final === undefined && this.#link.open());
  }

  // --- what programs call ------------------------------------------------------------------------

  async publish(topic, value, { signal, ...options } = {}) {
    const text = publishText(checkTopic(topic), value, options, () => this.#kept?.nextId());
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

  subscribe(filter, options = {}) {
    const { overflow, queue, cleared = false, below = true, start, stream, signal } = options;
    checkTopic(filter);
    checkWaiting(options);
    if (start !== undefined) return this.#follow(filter, options);
    if (stream !== undefined) {
      throw new TypeError('stream is for what reads a stream: give a start, as { start: "all" }');
    }
    const how = { overflow, queue, below };
    const subscription = new Subscription(filter, how, (left) => this.#leave(left));
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
    return endOn(signal, subscription);
  }

  #follow(filter, options) {
    const { overflow, queue, cleared, below = true, signal } = options;
    if (cleared || !below) {
      throw new TypeError("cleared and below are not for what reads a stream, with a start");
    }
    const follower = new Follower(filter, { overflow, queue }, followerFields(options), {
      leave: (left) => this.#leaveStream(left),
      pause: ({ _key }) => this.#link.isUp && this.#cancel(_key),
      resume: (paused) => this.#link.isUp && this.#askStream(paused),
    });
    return this.#join(follower, signal);
  }

  consume(filter, options = {}) {
    const { manual = false, signal } = options;
    const consumer = new Consumer(checkTopic(filter), consumerFields(options), Boolean(manual), {
      leave: (left) => this.#leaveStream(left),
      say: (settlement) => this.#settle(settlement),
    });
    return this.#join(consumer, signal);
  }

  #join(subscription, signal) {
    const why = this.#final ?? this.#streams.conflict(subscription);
    if (why !== undefined) {
      subscription._finish(why);
      return subscription;
    }
    this.#streams.add(subscription);
    if (this.#link.isUp) this.#askStream(subscription);
    return endOn(signal, subscription);
  }

  async get(topic, { signal } = {}) {
    return this.#ask("get", { topic: checkTopic(topic), exact: this.#exact, signal });
  }

  async getLast(topic, count, { signal } = {}) {
    checkTopic(topic);
    const last = checkInteger("count", count ?? NaN, 1, MOST_LAST);
    return this.#ask("get", { topic, exact: this.#exact, last, signal });
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
    const waits = this.#unconfirmed.characters > 0 || this.#outgoing.length > 0;
    if (waits && (this.#link.isUp || this.#kept !== undefined)) {
      const signal = AbortSignal.timeout(FAREWELL);
      await this.flush({ signal }).catch((error) => (failure = error));
      if (failure !== undefined && signal.aborted && this.#kept !== undefined) {
        const reason = "the broker did not confirm what was published before close() gave up";
        failure = new ConnectionLost(reason, { cause: this.error });
      }
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
    const messages = fields.last === undefined ? undefined : [];
    const text = quote({ command, ...fields });
    return { command, ...fields, text, done, covers: undefined, messages };
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
      const entry = this.#outgoing.first;
      const { text, ask, topic, done, settlement } = entry;
      if (settlement !== undefined) {
        this.#outgoing.shift();
        this.#link.send(text);
        this.#count(text, undefined, () => settlement.consumer._onConfirmed(settlement));
        continue;
      }
      if (ask !== undefined) {
        if (ask.command !== "ping") this.#confirm();
        this.#outgoing.shift();
        this.#sendQuestion(ask);
        continue;
      }
      const { characters } = this.#unconfirmed;
      if (characters > 0 && characters + text.length > WINDOW) {
        this.#confirm();
        return;
      }
      this.#outgoing.shift();
      this.#waitingCharacters -= text.length;
      this.#link.send(text);
      this.#kept?.add(entry);
      this.#count(text, topic, this.#kept && (() => this.#kept.delete(entry)));
      done.resolve();
    }
  }

  /** Counts what was sent; `onConfirmed` is called when the broker has taken what is kept. */
  #count(text, topic, onConfirmed) {
    this.#unconfirmed.add(text.length, topic, onConfirmed);
    if (this.#unconfirmed.unasked >= STEP) this.#confirm();
    else this.#confirmLater();
  }

  #confirmLater() {
    this.#idle ??= setTimeout(() => this.#onIdle(), IDLE);
  }

  /** Asks for a confirmation of what was published since the last one. */
  #confirm() {
    if (this.#unconfirmed.unasked > 0) this.#sendQuestion(this.#question("ping", {}));
  }

  #onIdle() {
    this.#idle = undefined;
    if (this.#link.isUp) this.#confirm();
  }

  #sendQuestion(ask) {
    if (ask.command === "ping") {
      ask.covers = this.#unconfirmed.ask();
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
    if (this.#link.isUp) this.#cancel(key);
  }

  #leaveStream(subscription) {
    if (!this.#streams.delete(subscription)) return;
    if (this.#link.isUp && !subscription._isPaused) this.#cancel(subscription._key);
  }

  /** Ends what the broker knows under a filter, and begins again what is to stay of it. */
  #cancel(key) {
    const cancel = this.#question("cancel", { topic: key });
    this.#outgoing.push({ text: cancel.text, ask: cancel });
    // Nobody needs the stored values.
    if (this.#filters.has(key)) this.#subscribe(key, []);
    for (const other of this.#streams.of(key)) {
      if (!other._isPaused) this.#askStream(other);
    }
    this.#pump();
  }

  #askStream(subscription) {
    this.#outgoing.push(this.#streamQuestion(subscription));
    this.#pump();
  }

  #streamQuestion(subscription) {
    const fields = { topic: subscription._key, exact: this.#exact, ...subscription._request() };
    const ask = this.#question("subscribe", fields);
    ask.subscriptions = [subscription];
    subscription._onLost();
    subscription._ask = ask;
    return { text: ask.text, ask };
  }

  /** Tells the broker what becomes of a message; returns whether there is a connection. */
  #settle(settlement) {
    if (!this.#link.isUp) return false;
    const { said, consumer } = settlement;
    // The broker asks for the names only where there are more.
    const { stream, consumer: name } = consumer;
    const names = this.#streams.consumers > 1 ? { consumer: name, stream } : {};
    this.#outgoing.push({ text: quote({ ...said, ...names }), settlement });
    this.#pump();
    return true;
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
    const streams = [...this.#streams].filter(({ _isPaused }) => !_isPaused);
    again.push(...streams.map((subscription) => this.#streamQuestion(subscription)));
    this.#outgoing.prepend(again);
    for (const { _unconfirmed = [] } of streams) {
      for (const settlement of _unconfirmed) this.#settle(settlement);
    }
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
        return this.#onValue(frame);
      case "values":
        return this.#answered("get", this.#asked.first?.messages);
      case "topics":
        return this.#answered("list", frame.topics);
      case "stats":
        return this.#answered("stats", frame.message);
      default:
      // What a newer broker may say and this client did not ask for.
    }
  }

  #onMessage(frame, length) {
    if (frame.stream !== undefined) {
      this.#streams.readerOf(frame)?._onFrame(frame, length);
      return;
    }
    const { topic, message, retained = false } = frame;
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

  #onSubscribed(frame) {
    const ask = this.#answered("subscribe");
    for (const subscription of ask?.subscriptions ?? []) subscription._onSubscribed(frame, ask);
  }

  #onValue(frame) {
    if (frame.stream === undefined) {
      this.#answered("get", frame.message);
      return;
    }
    const { topic, message: value } = frame;
    this.#asked.first?.messages?.push({ topic, value, ...keptFields(frame) });
  }

  #onPong({ id }) {
    if (![...this.#asked].some((ask) => ask.id === id)) return;
    // A question before it that has no answer was refused without its topic.
    while (this.#asked.length > 0 && this.#asked.first.id !== id) {
      this.#refuse(this.#asked.shift(), new BabelmqError("protocol", "the broker did not answer"));
    }
    this.#confirmed(this.#answered("ping"));
  }

  #confirmed(ping) {
    if (ping !== undefined) this.#unconfirmed.confirm(ping.covers);
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
    if (error.code === "damaged") {
      this.dispatchEvent(new DamagedEvent(error));
    } else if (ask?.command === "ping" && OF_PING.includes(error.code) && !error.topic) {
      this.#asked.shift();
      if (ask.isFlush) ask.done.reject(error);
      else this.#onRefused(error);
      this.#unconfirmed.unsaved(ask.covers);
      // It is not hurried: a disk that has failed may fail for long.
      if (this.#unconfirmed.unasked > 0) this.#confirmLater();
      this.#pump();
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
    const named = [...(this.#filters.get(key)?.subscriptions ?? []), ...this.#streams.of(key)];
    for (const subscription of named) this.#fail(subscription, error);
  }

  /** Ends a subscription that the broker does not have any more. */
  #fail(subscription, error) {
    this.#streams.delete(subscription);
    const entry = this.#filters.get(subscription._key);
    entry?.subscriptions.delete(subscription);
    if (entry?.subscriptions.size === 0) this.#filters.delete(subscription._key);
    subscription._finish(error);
  }

  /** Whether something was published there of which it is not known that it was taken. */
  #wasPublished(topic) {
    if (this.#unconfirmed.has(topic)) return true;
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
    if (this.#unconfirmed.atRisk > 0) this.#lose(error);
    this.#unconfirmed.clear();
    for (const subscription of this.#streams) subscription._onLost();
    if (error.code === "slow-consumer") this.#cutOff(error);
    if (isFinal) {
      this.#finish(error);
      return;
    }
    // The next connection subscribes by itself; all other questions are asked again.
    const isDone = ({ ask }) => ask?.command === "subscribe" || ask?.command === "cancel";
    this.#outgoing.remove((entry) => entry.settlement !== undefined || isDone(entry));
    const again = [...this.#asked].map((ask) => ({ text: ask.text, ask }));
    for (const { ask } of again) if (ask.messages !== undefined) ask.messages = [];
    this.#asked = new Queue();
    // A ping that nobody waits for has nothing left to confirm.
    this.#outgoing.prepend(again.filter((entry) => !isDone(entry) && entry.ask.done));
    this.#outgoing.prepend(this.#unconfirmedAgain(error));
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

  /** What is to be published again, in its order. */
  #unconfirmedAgain(error) {
    // On another connection it is not taken either.
    const tooLong = error.code === "frame-too-large" ? this.#kept?.takeLongest() : undefined;
    if (tooLong !== undefined) {
      const { code, reason, fatal } = error;
      this.#onRefused(new BabelmqError(code, reason, { topic: tooLong.topic, fatal }));
    }
    const again = this.#kept?.take() ?? [];
    for (const { text } of again) this.#waitingCharacters += text.length;
    return again;
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
    const plain = [...this.#filters.values()].flatMap(({ subscriptions }) => [...subscriptions]);
    for (const subscription of [...plain, ...this.#streams]) {
      this.#fail(subscription, isClosed ? undefined : error);
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
}
