// What the package exports: in browsers, and wherever `WebSocket` is a global.

import { checkInteger, resolveAddress } from "./address.js";
import { Client } from "./client.js";

export { Client } from "./client.js";
export { Consumer } from "./consumer.js";
export { Delivery } from "./delivery.js";
export {
  BabelmqError,
  CertificateError,
  ConnectionLost,
  LoginFailed,
  NotPlainData,
} from "./errors.js";
export { DamagedEvent, RefusedEvent, StateEvent } from "./events.js";
export { Subscription } from "./subscription.js";
export {
  ClassObject,
  Complex,
  DateOnly,
  DateTime,
  Decimal,
  Fraction,
  FrozenSet,
  NDArray,
  TimeDelta,
  TimeOnly,
  Tuple,
  UUID,
} from "./types.js";

/** Milliseconds of silence after which the broker is asked whether it is there. */
const KEEPALIVE = 30_000;
/** Characters of messages that may wait to be sent. */
const BUFFER = 16 << 20;
const OPTIONS = [
  "allowPlainLogin",
  "buffer",
  "exact",
  "keepalive",
  "password",
  "reconnect",
  "reliable",
  "token",
  "user",
  "WebSocket",
];

/** A client of the broker at `address`; it connects by itself, and again when it has to. */
export function connect(address, options = {}) {
  const unknown = Object.keys(options).find((name) => !OPTIONS.includes(name));
  if (unknown !== undefined) throw new TypeError(`connect: there is no option ${unknown}`);
  const { exact = true, keepalive = KEEPALIVE, buffer = BUFFER } = options;
  const { reconnect = true, reliable = false } = options;
  if (keepalive !== null) checkInteger("keepalive", keepalive, 1, 0x7fff_ffff);
  checkInteger("buffer", buffer, 1, Number.MAX_SAFE_INTEGER);
  const WebSocket = options.WebSocket ?? globalThis.WebSocket;
  if (WebSocket === undefined) {
    throw new TypeError("connect: there is no WebSocket here; give one as the option WebSocket");
  }
  const place = resolveAddress(address, options);
  const link = { ...place, WebSocket, keepalive, reconnect };
  return new Client(link, { exact: exact ? "js" : false, buffer, reliable: Boolean(reliable) });
}
