// Where the broker is, and who this client is to it.

const PATH = "/ws";
/** Bytes of body in the longest frame that a broker takes before a login. */
const LONGEST_LOGIN = 4096;
const SCHEMES = { "ws:": "ws:", "wss:": "wss:", "http:": "ws:", "https:": "wss:" };

/**
 * The URL of the WebSocket and the text of the login, undefined where there is none. Throws a
 * TypeError for what is no address or no login; no secret is in its message.
 */
export function resolveAddress(address, options, page = globalThis.location?.href) {
  const url = parse(address, page);
  const user = one("user", options.user, decoded(url.username));
  const password = one("password", options.password, decoded(url.password));
  url.username = url.password = "";
  const login = loginOf(user, password, options.token);
  if (login !== undefined && !isPrivate(url) && !options.allowPlainLogin) {
    const what = options.token === undefined ? "password" : "token";
    throw new TypeError(
      `a ${what} would go to ${url.host} unencrypted; with TLS the address is wss://${url.host} ` +
        "(allowPlainLogin: true sends it nonetheless)",
    );
  }
  return { url: url.href, login };
}

function parse(address = "/", page) {
  let url;
  try {
    url = new URL(address, page);
  } catch {
    // It may have a password in it, so it is not shown.
    throw new TypeError("connect: this is no address; one looks like wss://broker.example/ws");
  }
  const scheme = SCHEMES[url.protocol];
  if (scheme === undefined) {
    const known = "ws://, wss://, http:// and https://";
    throw new TypeError(`connect: the scheme ${url.protocol}// is unknown; there are ${known}`);
  }
  if (url.search || url.hash) {
    throw new TypeError("connect: an address has no query and no fragment; leave that out");
  }
  const isHttp = url.protocol.startsWith("http");
  url.protocol = scheme;
  const path = url.pathname.replace(/\/$/, "");
  const isWhole = path.endsWith(PATH) || (!isHttp && path !== "");
  if (!isWhole) url.pathname = path + PATH;
  return url;
}

function decoded(text) {
  try {
    return text === "" ? undefined : decodeURIComponent(text);
  } catch {
    throw new TypeError(
      "connect: in a user or a password of an address two hexadecimal digits follow each '%'",
    );
  }
}

function one(name, option, inAddress) {
  if (option !== undefined && inAddress !== undefined) {
    throw new TypeError(`connect: ${name} is given, and the address has one too; leave one out`);
  }
  return option ?? inAddress;
}

function loginOf(user, password, token) {
  const given = { user, password, token };
  for (const [name, value] of Object.entries(given)) {
    if (value !== undefined && typeof value !== "string") {
      throw new TypeError(`connect: ${name} is a string`);
    }
  }
  if (token !== undefined) {
    if (user !== undefined || password !== undefined) {
      throw new TypeError("connect: a token says who it is of, so leave user and password out");
    }
  } else if (user === undefined && password === undefined) {
    return undefined;
  } else if (user === undefined || password === undefined) {
    throw new TypeError("connect: a login is a user and a password, or a token");
  }
  const text = JSON.stringify({ command: "login", ...given });
  const length = new TextEncoder().encode(text).length;
  if (length > LONGEST_LOGIN) {
    throw new TypeError(
      `connect: the login is a message of ${length} bytes, and a broker takes ${LONGEST_LOGIN}`,
    );
  }
  return text;
}

/** Whether what is sent there is encrypted, or does not leave this machine. */
function isPrivate(url) {
  return (
    url.protocol === "wss:" ||
    url.hostname === "localhost" ||
    url.hostname.endsWith(".localhost") ||
    url.hostname === "[::1]" ||
    /^127(?:\.\d+){3}$/.test(url.hostname)
  );
}

/** `value`, if it is an integer in the bounds; else a RangeError that says so. */
export function checkInteger(name, value, least, most) {
  if (value === undefined || (Number.isInteger(value) && value >= least && value <= most)) {
    return value;
  }
  throw new RangeError(`${name} is an integer from ${least} to ${most}`);
}

/** `topic`, if it is a string that can be a topic at all; the broker judges the rest. */
export function checkTopic(topic) {
  if (typeof topic === "string") return topic;
  throw new TypeError(`a topic is a string, as "/weather/oslo"; this is ${typeof topic}`);
}
