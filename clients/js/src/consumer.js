// A member of a durable consumer: an async iterator over messages that are to be settled.

import { Delivery } from "./delivery.js";
import { Subscription } from "./subscription.js";

/**
 * The broker lets no more than `window` messages wait here. Those that wait when the connection
 * ends are dropped: they are delivered again, to whichever member. What was said of messages, and
 * no pong has confirmed, is said again on the next connection.
 */
export class Consumer extends Subscription {
  /** The stream that it is of; undefined until the broker has answered. */
  stream;
  /** Messages that were to come, or to be settled, when the broker answered. */
  pending;

  #fields;
  #manual;
  #owner;
  #buffer;
  /** The message that the iteration is at, which the next step acknowledges. */
  #last;
  /** What is to be said of messages until the broker has confirmed it, by their numbers. */
  #unconfirmed = new Map();

  /**
   * Made by `Client.consume`. `owner` has `leave(consumer)`, and `say(settlement)`, which returns
   * whether there is a connection to say it on.
   */
  constructor(filter, fields, manual, owner) {
    const buffer = new Numbered();
    super(filter, { overflow: "window" }, (left) => owner.leave(left), buffer);
    this.consumer = fields.consumer;
    this.#fields = fields;
    this.#manual = manual;
    this.#owner = owner;
    this.#buffer = buffer;
    /** The `subscribe` that counts, and whether it is answered. */
    this._ask = undefined;
    this._isLive = false;
    this._hasEnded = false;
  }

  /** The next message; the one before is acknowledged, unless it is settled, or `manual` is on. */
  async next() {
    const last = this.#last;
    this.#last = undefined;
    if (!this.#manual) last?.ack();
    const result = await super.next();
    if (!result.done) this.#last = result.value;
    return result;
  }

  /** What a `subscribe` says of it. */
  _request() {
    return this.#fields;
  }

  /** The name of its stream, as far as it is known. */
  get _stream() {
    return this.stream ?? this.#fields.stream;
  }

  _onSubscribed(frame, ask) {
    if (ask !== this._ask) return;
    this._isLive = true;
    this.stream = frame.stream;
    this.pending = frame.pending;
    super._onSubscribed(frame);
  }

  _onFrame(frame, length) {
    const settlement = this.#unconfirmed.get(frame.seq);
    // Its settlement was lost, or on its way when this was delivered. A first attempt on the same
    // connection is another matter: somebody has reset the consumer.
    if (settlement !== undefined && (settlement.ask !== this._ask || frame.attempt > 1)) {
      settlement.ask = this._ask;
      this.#owner.say(settlement);
      return;
    }
    const ask = this._ask;
    this._onMessage(new Delivery(frame, (...said) => this.#say(ask, ...said)), length);
  }

  /** Tells the broker what becomes of a message that came by the answer to `ask`. */
  #say(ask, { seq }, command, fields) {
    if (this._hasEnded) return false;
    const isFinal = command === "ack" || command === "reject";
    // On another connection the message is delivered again anyway.
    if (!isFinal && !(this._isLive && ask === this._ask)) return false;
    const settlement = { consumer: this, ask, seq, said: { command, seq, ...fields } };
    if (isFinal) {
      this.#unconfirmed.set(seq, settlement);
      this.#buffer.remove(seq);
    }
    return this.#owner.say(settlement) || isFinal;
  }

  /** The broker has taken a settlement. */
  _onConfirmed(settlement) {
    const { seq } = settlement;
    if (this.#unconfirmed.get(seq) === settlement) this.#unconfirmed.delete(seq);
  }

  /** What is to be said again, on another connection. */
  get _unconfirmed() {
    return this.#unconfirmed.values();
  }

  /** It is no member any more, and will be asked to be one again. */
  _onLost() {
    this._isLive = false;
    this.#buffer.clear();
  }

  _finish(error) {
    this._hasEnded = true;
    // Nothing that waits could be settled.
    this._onLost();
    super._finish(error);
  }
}

/** Messages by their numbers: what is delivered again takes the place of what waits. */
class Numbered {
  #messages = new Map();

  push(message) {
    this.#messages.set(message.seq, message);
    return 0;
  }

  shift() {
    for (const [seq, message] of this.#messages) {
      this.#messages.delete(seq);
      return message;
    }
    return undefined;
  }

  remove(seq) {
    this.#messages.delete(seq);
  }

  clear() {
    this.#messages.clear();
  }
}
