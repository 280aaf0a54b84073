// What was sent and has no answer, until the pong of a ping behind it confirms it.

/**
 * What is lost with the connection is only counted. What is said again on another one is kept: an
 * entry, with what is called when it is confirmed.
 */
export class Unconfirmed {
  /** Characters of all of it. */
  characters = 0;
  /** Characters of what is lost with the connection. */
  atRisk = 0;
  /** What no ping stands behind. */
  #since = nothing();

  /** Characters that no ping stands behind. */
  get unasked() {
    return this.#since.characters;
  }

  /** Counts what was sent. Without `onConfirmed` it is lost with the connection. */
  add(characters, topic, onConfirmed) {
    const since = this.#since;
    this.characters += characters;
    since.characters += characters;
    if (topic !== undefined) since.topics.add(topic);
    if (onConfirmed !== undefined) {
      since.kept.push({ characters, onConfirmed });
    } else {
      this.atRisk += characters;
      since.atRisk += characters;
    }
  }

  /** What a ping that is sent now confirms. */
  ask() {
    const covers = this.#since;
    this.#since = nothing();
    return covers;
  }

  confirm({ characters, atRisk, kept }) {
    this.characters -= characters;
    this.atRisk -= atRisk;
    for (const { onConfirmed } of kept) onConfirmed();
  }

  /** It was delivered, and is on no disk yet: what is kept is to be asked about again. */
  unsaved({ kept, ...covers }) {
    this.confirm({ ...covers, kept: [] });
    for (const { characters, onConfirmed } of kept) this.add(characters, undefined, onConfirmed);
  }

  /** Whether something was sent about a topic that no ping stands behind. */
  has(topic) {
    return this.#since.topics.has(topic);
  }

  /** The connection has ended. */
  clear() {
    this.characters = this.atRisk = 0;
    this.#since = nothing();
  }
}

function nothing() {
  return { characters: 0, atRisk: 0, topics: new Set(), kept: [] };
}
