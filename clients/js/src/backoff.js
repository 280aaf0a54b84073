// How long to wait before the next attempt to connect.

/** Milliseconds before the second attempt, at most. */
const FIRST = 50;
/** Milliseconds before any attempt, at most. */
const LONGEST = 5_000;

/**
 * Delays that double, each a random part of its bound: the jitter keeps the thousand clients of a
 * broker that restarts from coming back in the same moment.
 */
export class Backoff {
  #first;
  #longest;
  #bound;

  constructor({ first = FIRST, longest = LONGEST } = {}) {
    this.#first = first;
    this.#longest = longest;
    this.#bound = first;
  }

  /** Milliseconds to wait now. */
  next() {
    const bound = this.#bound;
    this.#bound = Math.min(2 * bound, this.#longest);
    return bound * (0.5 + Math.random() / 2);
  }

  /** Begins again: a connection held for a while. */
  reset() {
    this.#bound = this.#first;
  }
}
