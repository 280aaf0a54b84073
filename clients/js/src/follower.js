// A subscription that reads a stream: from a start that is kept, and then on, and settles nothing.

import { keptFields } from "./delivery.js";
import { DEFAULT_QUEUE, Subscription } from "./subscription.js";

/**
 * With `overflow` "disconnect" it pauses while too much waits here: it is cancelled, and subscribed
 * again behind the last message that it has, as after a lost connection.
 */
export class Follower extends Subscription {
  #fields;
  #owner;
  #resume;
  #last = 0;

  /** Made by `Client.subscribe`; `owner` has `leave`, `pause` and `resume`. */
  constructor(filter, options, fields, owner) {
    super(filter, options, (left) => owner.leave(left));
    const { queue = DEFAULT_QUEUE } = options;
    this.#fields = fields;
    this.#owner = owner;
    this.#resume = queue / 2;
    /** The `subscribe` that counts, and whether it is answered. */
    this._ask = undefined;
    this._isLive = false;
    this._isPaused = false;
    this._stream = fields.stream;
  }

  next() {
    const message = super.next();
    if (this._isPaused && this._waiting <= this.#resume) {
      this._isPaused = false;
      this.#owner.resume(this);
    }
    return message;
  }

  /** What a `subscribe` says of it. */
  _request() {
    return this.#last > 0 ? { ...this.#fields, start: this.#last + 1 } : this.#fields;
  }

  _onSubscribed(frame, ask) {
    if (ask !== this._ask) return;
    this._isLive = true;
    this._stream = frame.stream;
    // One that loses its connection before the first message goes on with that one.
    if (this.#last === 0 && frame.next > 0) this.#last = frame.next - 1;
    super._onSubscribed(frame);
  }

  _onFrame(frame, length) {
    const { topic, message: value, seq } = frame;
    this._onMessage({ topic, value, retained: false, ...keptFields(frame) }, length);
    if (!this._isPaused) this.#last = seq;
  }

  /** There is no room for another message. */
  _onFull() {
    this._isPaused = true;
    this._isLive = false;
    this.#owner.pause(this);
  }

  _onLost() {
    this._isLive = false;
  }

  _finish(error) {
    this._isLive = this._isPaused = false;
    super._finish(error);
  }
}
