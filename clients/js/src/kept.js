// What was published and is sent again on another connection, until it is confirmed.

/** Entries of a reliable client, in their order; and the ids by which streams know them again. */
export class Kept {
  #entries = new Set();
  #name;
  #ids = 0;

  constructor() {
    // 64 bits that no other client has.
    const bits = crypto.getRandomValues(new Uint32Array(2));
    this.#name = Array.from(bits, (part) => part.toString(16).padStart(8, "0")).join("");
  }

  nextId() {
    return `${this.#name}-${++this.#ids}`;
  }

  add(entry) {
    this.#entries.add(entry);
  }

  delete(entry) {
    this.#entries.delete(entry);
  }

  /** Takes out the longest; undefined where there is none. */
  takeLongest() {
    let longest;
    for (const entry of this.#entries) {
      if (longest === undefined || entry.text.length > longest.text.length) longest = entry;
    }
    this.#entries.delete(longest);
    return longest;
  }

  /** Takes out all. */
  take() {
    const entries = [...this.#entries];
    this.#entries.clear();
    return entries;
  }
}
