// The subscriptions of streams that a client has, and which of them a delivery is for.

import { BabelmqError } from "./errors.js";
import { overlap } from "./filter.js";

export class Streams {
  #all = new Set();

  [Symbol.iterator]() {
    return this.#all[Symbol.iterator]();
  }

  add(subscription) {
    this.#all.add(subscription);
  }

  delete(subscription) {
    return this.#all.delete(subscription);
  }

  has(subscription) {
    return this.#all.has(subscription);
  }

  /** Those of a filter. */
  of(key) {
    return [...this.#all].filter(({ _key }) => _key === key);
  }

  /** How many are members of a consumer. */
  get consumers() {
    let count = 0;
    for (const { consumer } of this.#all) if (consumer !== undefined) count++;
    return count;
  }

  /** The one that a delivery is for; undefined where that one has left. */
  readerOf({ stream, consumer, topic }) {
    for (const one of this.#all) {
      if (!one._isLive || one._stream !== stream || one.consumer !== consumer) continue;
      if (consumer !== undefined || one._matches(topic)) return one;
    }
    return undefined;
  }

  /** Why a subscription cannot stand beside one that there is, on one connection. */
  conflict(wanted) {
    const { filter, consumer, _key, _stream } = wanted;
    for (const one of this.#all) {
      const mayBeOne = (one._stream ?? _stream) === (_stream ?? one._stream);
      if (one.consumer !== consumer) continue;
      if (consumer !== undefined && mayBeOne) {
        const reason =
          `this client consumes ${one.filter} as ${consumer} already; iterate over that, end it, ` +
          "or use another client";
        return new BabelmqError("in-use", reason, { topic: filter });
      }
      // A delivery does not say which of them it is for.
      if (consumer === undefined && (one._key === _key || (mayBeOne && overlap(one._key, _key)))) {
        const reason =
          `this client follows ${one.filter} already, which has topics of ${filter}; iterate ` +
          "over that, end it, or use another client";
        return new BabelmqError("in-use", reason, { topic: filter });
      }
    }
    return undefined;
  }
}
