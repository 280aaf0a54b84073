// A queue that is cheap at both ends: an array, and where in it the first item is.

const LEAST_CUT = 1024;

export class Queue {
  #items = [];
  #first = 0;

  get length() {
    return this.#items.length - this.#first;
  }

  /** The item that comes next. */
  get first() {
    return this.#items[this.#first];
  }

  push(item) {
    this.#items.push(item);
  }

  shift() {
    if (this.length === 0) return undefined;
    const item = this.#items[this.#first];
    this.#items[this.#first++] = undefined;
    // Half of it and more is free: what is left moves, so each item moves once on average.
    if (this.#first > LEAST_CUT && this.#first * 2 > this.#items.length) this.#cut();
    return item;
  }

  /** Puts items before all others, in their order. */
  prepend(items) {
    this.#items = [...items, ...this];
    this.#first = 0;
  }

  /** Takes out all items that are not wanted any more, and returns them. */
  remove(isUnwanted) {
    const unwanted = [];
    this.#items = [...this].filter((item) => !isUnwanted(item) || void unwanted.push(item));
    this.#first = 0;
    return unwanted;
  }

  *[Symbol.iterator]() {
    for (let at = this.#first; at < this.#items.length; at++) yield this.#items[at];
  }

  #cut() {
    this.#items.splice(0, this.#first);
    this.#first = 0;
  }
}
