// Streams, consumers and dead letters: what is behind is seen, and what died can be tried again.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import {
  client, endAll, openPage, startBroker, startBrowser, userEntry,
} from "./support.mjs";

const KEPT = ["--data-dir", "data", "--stream", "orders:filter=orders/#"];

before(startBrowser);
after(endAll);

const text = (locator) => () => locator.textContent();

/** A client that consumes: it has got as many messages as it waits for. */
async function consume(broker, name, fields = {}) {
  const consumer = await client(broker.port);
  consumer.send(JSON.stringify({
    command: "subscribe", topic: "orders", consumer: name, ...fields,
  }));
  await consumer.flush();
  return consumer;
}

/** Waits until a client was sent so many messages. */
async function sent(consumer, number) {
  const deliveries = () => consumer.frames.filter((body) =>
    body.startsWith('{"command":"publish"'));
  while (deliveries().length < number) await consumer.flush();
  return deliveries();
}

test("a broker without streams has no such sections", async () => {
  const broker = await startBroker();
  const opened = await openPage(broker);
  const asked = opened.page.waitForResponse(/\/api\/v1\/streams$/);
  await (await asked).finished();
  for (const id of ["streams", "consumers", "letters"]) {
    assert.equal(await opened.page.locator(`#${id}`).isVisible(), false, id);
  }
  await opened.close();
  await broker.stop();
});

test("streams are there, and the lag of consumers is marked", async () => {
  const broker = await startBroker({ args: KEPT });
  const consumer = await consume(broker, "billing", { window: 1 });
  const opened = await openPage(broker);
  const { page, until } = opened;
  const row = page.locator("#consumers-rows tr:visible");
  await row.getByText("billing").waitFor();
  const cells = (of) => async () => (await of.locator("td:visible").allTextContents()).join("|");
  await until(cells(row), /^orders ?billing.*\|orders\|0\|0 of 1\|1\|0\|0$/);
  assert.equal(await row.locator(".badge").isVisible(), false);
  const producer = await client(broker.port);
  producer.publish("orders/7", 1);
  producer.publish("orders/7", 2);
  await producer.flush();
  await until(cells(row), /\|2\|1 of 1\|1\|0\|0$/);
  const orders = page.locator("#streams-rows tr", { hasText: "orders/#" });
  await until(cells(orders), /^orders\|orders\/#\|2\|[\d.]+ K?i?B\|1 to 2\|everything$/);
  // Nobody is there to do what there is to do.
  consumer.close();
  await row.getByText("nobody reads").waitFor();
  await until(text(page.locator("#state")), "1 consumer behind");
  producer.close();
  await opened.close();
  await broker.stop();
});

test("a dead letter is shown as text, retried or deleted", async () => {
  const broker = await startBroker({ args: KEPT });
  const consumer = await consume(broker, "billing");
  const hostile = '<img src=x onerror="alert(1)">\u202e';
  const [topic, big] = ["orders/<b>x</b>", "12345678901234567890"];
  const producer = await client(broker.port);
  producer.publish(topic, { html: hostile });
  producer.send(`{"command":"publish","topic":"orders/8","message":${big}}`);
  producer.publish("orders/9", 9);
  await producer.flush();
  await sent(consumer, 3);
  const reason = 'no "customer", "message": <i>1</i>';
  consumer.send(JSON.stringify({ command: "reject", seq: 1, reason }));
  consumer.send(JSON.stringify({ command: "reject", seq: 2, reason: "too long" }));
  await consumer.flush();
  const opened = await openPage(broker);
  const { page, until } = opened;
  const letter = (of) => page.locator("#letters-rows tr:visible", { hasText: of });
  await letter("orders/8").getByText(big, { exact: true }).waitFor();
  await letter(topic).getByText(reason).waitFor();
  await letter(topic).getByText("\\u202e").waitFor();
  assert.equal(await page.locator("#letters img, #letters b, #letters i").count(), 0);
  assert.equal(await letter(topic).locator("td").nth(2).textContent(), "orders billing");
  // The next is there as it dies.
  consumer.send('{"command":"reject","seq":3}');
  await letter("orders/9").waitFor();
  await until(text(page.locator("#letters-count")), "3");
  // By keyboard: no question before a retry.
  await letter("orders/8").getByRole("button", { name: "Retry dead letter 2" }).focus();
  await page.keyboard.press("Enter");
  await until(() => letter("orders/8").count(), 0);
  assert.ok((await sent(consumer, 4))[3].includes(big));
  await until(text(page.locator("#letters-answer")), /^Dead letter 2 goes to orders billing again/);
  await letter(topic).getByRole("button", { name: "Delete dead letter 1" }).click();
  await page.getByRole("dialog").getByText(topic).waitFor();
  await page.keyboard.press("Escape");
  assert.equal(await letter(topic).count(), 1);
  await letter(topic).getByRole("button", { name: "Delete dead letter 1" }).click();
  await page.getByRole("button", { name: "Delete it" }).click();
  await until(() => letter(topic).count(), 0);
  // One that somebody else has deleted is not there any more.
  producer.send('{"command":"delete","stream":"$dead","seq":3}');
  await producer.flush();
  await letter("orders/9").getByRole("button", { name: "Retry dead letter 3" }).click();
  await until(text(page.locator("#letters-answer")), /^no-stream: there is no dead letter 3/);
  await until(() => letter("orders/9").count(), 0);
  for (const one of [producer, consumer]) one.close();
  await opened.close();
  await broker.stop();
});

test("who lacks a right is told so", async () => {
  const users = userEntry("ada", "correct horse battery", "looks")
    + userEntry("bob", "correct horse battery", "all")
    + '[role.looks]\nsubscribe = ["orders", "#", "$dead"]\nstats = true\n'
    + '[role.all]\nsubscribe = ["#", "$dead"]\npublish = ["#"]\nstats = true\n';
  const broker = await startBroker({ args: [...KEPT, "--users", "users.toml"],
    files: { "users.toml": users } });
  const consumer = await client(broker.port);
  consumer.send('{"command":"login","user":"bob","password":"correct horse battery"}');
  consumer.send('{"command":"subscribe","topic":"orders","consumer":"billing"}');
  consumer.send('{"command":"publish","topic":"orders/7","message":1}');
  await consumer.flush();
  await sent(consumer, 1);
  consumer.send('{"command":"reject","seq":1}');
  const opened = await openPage(broker);
  const { page, until } = opened;
  await page.getByLabel("User", { exact: true }).fill("ada");
  await page.getByLabel("Password", { exact: true }).fill("correct horse battery");
  await page.getByRole("dialog").getByRole("button", { name: "Log in" }).click();
  await page.getByRole("button", { name: "Retry dead letter 1" }).click();
  await until(text(page.locator("#letters-answer")), /^Dead letters take the right admin\. /);
  assert.equal(await page.locator("#letters-rows tr:visible").count(), 1);
  consumer.close();
  await opened.close();
  await broker.stop();
});

test("on a narrow page the tables fit, or are scrolled by themselves", async () => {
  const broker = await startBroker({ args: KEPT });
  const consumer = await consume(broker, "a-consumer-with-a-name-that-is-rather-long");
  consumer.publish("orders/7", "x".repeat(500));
  await sent(consumer, 1);
  consumer.send(JSON.stringify({ command: "reject", seq: 1, reason: "y".repeat(500) }));
  await consumer.flush();
  for (const colorScheme of ["light", "dark"]) {
    const opened = await openPage(broker, { viewport: { width: 375, height: 700 }, colorScheme });
    await opened.page.locator("#letters-rows tr:visible").waitFor();
    const wide = await opened.page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 375, `${wide}`);
    await opened.close();
  }
  consumer.close();
  await broker.stop();
});
