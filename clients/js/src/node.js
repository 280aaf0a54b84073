// What the package exports in Node, which has no WebSocket before version 22: that of `ws`.

import WebSocket from "ws";
import { connect as connectBy } from "./index.js";

export * from "./index.js";

/** Bytes of the longest frame that a broker may be told to send. */
const MAX_PAYLOAD = 1 << 30;

/** As in browsers; `ca`, `cert` and `key` are those of `tls.connect`, in PEM. */
export function connect(address, { ca, cert, key, ...options } = {}) {
  class Socket extends WebSocket {
    constructor(url, subprotocol) {
      const settings = { perMessageDeflate: false, maxPayload: MAX_PAYLOAD };
      super(url, subprotocol, { ...settings, ca, cert, key });
    }
  }
  return connectBy(address, { WebSocket: Socket, ...options });
}
