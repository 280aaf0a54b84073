// What can go wrong. All but wrong arguments, a TypeError or a RangeError, is a BabelmqError.

/** Something was refused, by the broker or by this client, or was lost. */
export class BabelmqError extends Error {
  /**
   * @param {string} code a stable word for programs: the broker's, or "connection-lost", "closed",
   *   "certificate", "buffer-full", "in-use", "not-plain-data", "protocol"
   * @param {string} reason what was wrong and what to do, for people
   */
  constructor(code, reason, { topic, fatal = false, more = [], cause } = {}) {
    super(`${code}: ${reason}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.reason = reason;
    this.topic = topic;
    this.fatal = fatal;
    this.more = more;
  }

  get name() {
    return this.constructor.name;
  }
}

/** The broker does not log this client in, or wants a login and there is none. This is final. */
export class LoginFailed extends BabelmqError {}

/**
 * The certificate of the broker, or this client's, is not accepted. This is final. Only Node tells
 * it from other reasons why there is no connection; a browser does not let scripts know.
 */
export class CertificateError extends BabelmqError {
  constructor(reason, options) {
    super("certificate", reason, options);
  }
}

/** There is no connection, or it broke with what was published and not confirmed. */
export class ConnectionLost extends BabelmqError {
  constructor(reason, options) {
    super("connection-lost", reason, options);
  }
}

/** A value holds something that no format can carry, so nothing was sent. */
export class NotPlainData extends BabelmqError {
  /** @param {string} path where it is, as JavaScript writes it: `value.rows[3]` */
  constructor(path, reason) {
    super("not-plain-data", `${path} ${reason}`);
    this.path = path;
  }
}

/** The error that a frame of the broker says. */
export function errorOf(frame) {
  const { code, reason, topic, fatal } = frame;
  return new BabelmqError(String(code), String(reason), { topic, fatal: fatal === true });
}

/** What calls of a client that was closed say. */
export function closed() {
  return new BabelmqError("closed", "the client was closed");
}
