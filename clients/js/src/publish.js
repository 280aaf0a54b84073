// A publish, as it is sent.

import { checkInteger } from "./address.js";
import { encode } from "./values.js";

const MAX_ID_BYTES = 128;
const UINT32 = 0xffff_ffff;
const quote = JSON.stringify;

/** The frame; `nextId` is asked for an id where none is given. */
export function publishText(topic, value, { retain = true, ttl, id }, nextId) {
  checkInteger("ttl", ttl, 1, UINT32);
  checkId(id);
  const message = encode(value);
  const name = id ?? nextId();
  const passing = retain ? "" : ',"retain":false';
  const limited = ttl === undefined ? "" : `,"ttl":${ttl}`;
  const named = name === undefined ? "" : `,"id":${quote(name)}`;
  return (
    `{"command":"publish","topic":${quote(topic)}${passing}${limited}${named},` +
    `"message":${message}}`
  );
}

/** `id`, if something may be published with it. */
function checkId(id) {
  if (id === undefined) return id;
  if (typeof id !== "string") throw new TypeError(`an id is a string; this is ${typeof id}`);
  const length = new TextEncoder().encode(id).length;
  if (length >= 1 && length <= MAX_ID_BYTES) return id;
  throw new RangeError(`an id has 1 to ${MAX_ID_BYTES} bytes in UTF-8; this has ${length}`);
}
