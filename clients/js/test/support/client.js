// A client beside a broker that does what it is told, and what tests wait for.

import assert from "node:assert/strict";
import { connect } from "babelmq";
import { FakeBroker } from "./fake.js";

const QUICK = { first: 1, longest: 5 };

/** A broker and a client of it, both closed at the end of the test. */
export async function both(t, options = {}) {
  const broker = await FakeBroker.start();
  t.after(() => broker.close());
  return { broker, client: clientOf(t, broker.url, options) };
}

/** A client that is quick to connect again, and closed at the end of the test. */
export function clientOf(t, url, options = {}) {
  const client = connect(url, { reconnect: QUICK, ...options });
  t.after(() => client.close().catch(() => {}));
  return client;
}

/** Waits until the client is in a state, and returns the error that came with it. */
export function reached(client, wanted) {
  if (client.state === wanted) return client.error;
  return new Promise((resolve) => {
    client.addEventListener("state", ({ state, error }) => state === wanted && resolve(error));
  });
}

/** The next `count` messages. */
export async function take(subscription, count) {
  const messages = [];
  while (messages.length < count) {
    const { value, done } = await subscription.next();
    assert(!done, `only ${messages.length} messages came`);
    messages.push(value);
  }
  return messages;
}

/** The values of the next `count` messages. */
export async function values(subscription, count) {
  return (await take(subscription, count)).map(({ value }) => value);
}
