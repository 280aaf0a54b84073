// A message that a stream has kept; and one that a consumer was given, which it answers for.

import { checkSeconds } from "./durable.js";

/** Characters of the reason of a `reject`: a broker keeps 1,024 bytes. */
const MOST_REASON = 1_024;

/** What a message of a stream has beside its topic and its value. */
export function keptFields({ stream, seq, time }) {
  return { stream, seq, time: new Date(time) };
}

/** A message that a consumer was given. It is settled once: what comes later is passed over. */
export class Delivery {
  /** Whether it was acknowledged, given back or rejected, by this object. */
  settled = false;
  #say;

  /** Made by `Consumer`; `say(delivery, command, fields)` returns whether the broker is told. */
  constructor(frame, say) {
    this.topic = frame.topic;
    this.value = frame.message;
    Object.assign(this, keptFields(frame));
    this.consumer = frame.consumer;
    this.attempt = frame.attempt ?? 1;
    this.#say = say;
  }

  /** It is done. */
  ack() {
    return this.#settle("ack");
  }

  /** It could not be done: it is delivered again, after so many seconds if they are given. */
  nak(delay) {
    return this.#settle("nak", { delay: checkSeconds("delay", delay) });
  }

  /** It can never be done: it becomes a dead letter. */
  reject(reason) {
    if (reason !== undefined && typeof reason !== "string") {
      throw new TypeError(`a reason is a string; this is ${typeof reason}`);
    }
    // Half a character is none that a broker takes.
    const text = reason?.slice(0, MOST_REASON).replace(/\p{Surrogate}/gu, "\ufffd");
    return this.#settle("reject", { reason: text });
  }

  /** It takes longer: the time in which it is to be settled begins anew. */
  touch() {
    return !this.settled && this.#say(this, "touch", {});
  }

  #settle(command, fields = {}) {
    if (this.settled) return false;
    this.settled = true;
    return this.#say(this, command, fields);
  }
}
