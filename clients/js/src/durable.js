// What may be asked of a stream, as fields of a `subscribe`.

import { checkInteger } from "./address.js";

const MAX_WINDOW = 65_536;
const MAX_PAUSES = 32;
const UINT32 = 0xffff_ffff;
/** Seconds that a time may have at most: a year. */
const YEAR = 31_536_000;
const ORDERS = ["none", "topic"];
const WORDS = ["new", "all", "last"];
const CONSUME = [
  "ackWait",
  "backoff",
  "consumer",
  "manual",
  "maxDeliver",
  "order",
  "signal",
  "start",
  "stream",
  "window",
];

/** The fields of a consumer; throws a TypeError or a RangeError for what they cannot be. */
export function consumerFields(options) {
  const unknown = Object.keys(options).find((name) => !CONSUME.includes(name));
  if (unknown !== undefined) throw new TypeError(`consume: there is no option ${unknown}`);
  const { consumer, stream, start, window, ackWait, maxDeliver, backoff, order } = options;
  if (consumer === undefined) {
    throw new TypeError('consume: a consumer has a name, as in { consumer: "billing" }');
  }
  if (order !== undefined && !ORDERS.includes(order)) {
    throw new TypeError(`order is one of ${ORDERS.join(", ")}`);
  }
  return present({
    consumer: checkName("consumer", consumer),
    stream: checkName("stream", stream),
    start: startField(start),
    window: checkInteger("window", window, 1, MAX_WINDOW),
    "ack-wait": checkSeconds("ackWait", ackWait, 0.001),
    "max-deliver": checkInteger("maxDeliver", maxDeliver, 1, UINT32),
    backoff: checkPauses(backoff),
    order,
  });
}

/** The fields of a follower. */
export function followerFields({ start, stream }) {
  return present({ start: startField(start), stream: checkName("stream", stream) });
}

/** `seconds`, if they are a number of them. */
export function checkSeconds(name, seconds, least = 0) {
  const isFine = typeof seconds === "number" && seconds >= least && seconds <= YEAR;
  if (seconds === undefined || isFine) return seconds;
  throw new RangeError(`${name} is a number of seconds from ${least} to ${YEAR}`);
}

function startField(start) {
  if (start instanceof Date) return start.toISOString();
  if (typeof start === "number") return checkInteger("start", start, 1, Number.MAX_SAFE_INTEGER);
  // A text that is none of the words is a time, which the broker judges.
  if (start === undefined || typeof start === "string") return start;
  throw new TypeError(`start is one of ${WORDS.join(", ")}, a seq, or a Date`);
}

function checkName(what, name) {
  if (name === undefined || (typeof name === "string" && name !== "")) return name;
  throw new TypeError(`${what} is a name, as "orders"`);
}

function checkPauses(backoff) {
  if (backoff === undefined) return backoff;
  if (!Array.isArray(backoff) || backoff.length < 1 || backoff.length > MAX_PAUSES) {
    throw new TypeError(`backoff is an array of 1 to ${MAX_PAUSES} numbers of seconds`);
  }
  for (const pause of backoff) checkSeconds("a pause of backoff", pause ?? NaN);
  return backoff;
}

function present(fields) {
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined));
}
