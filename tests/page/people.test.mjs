// What a person does with a broker: publishes, logs in, looks at its clients and its figures.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, test } from "node:test";
import {
  client, endAll, mqttClient, openPage, startBroker, startBrowser, userEntry,
} from "./support.mjs";

before(startBrowser);
after(endAll);

const text = (locator) => () => locator.textContent();

test("what is published arrives, and what is refused is said in the broker's words", async () => {
  const broker = await startBroker();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  const answer = page.locator("#publish-answer");
  const form = page.locator("#publish");
  const publish = async (topic, message, format = "JSON") => {
    await page.locator("#publish-topic").fill(topic);
    await page.locator("#publish-message").fill(message);
    await form.getByRole("radio", { name: format }).check();
    await form.getByRole("button", { name: "Publish" }).click();
  };
  await publish("/p/json", '{"n": 1.50}');
  await until(text(answer), /^Published to \/p\/json at /);
  await row("json").locator(".text").getByText('{"n": 1.50}').waitFor();
  await publish("/p/xml", '<message type="tuple"><item type="int">5</item></message>', "XML");
  await row("xml").locator(".text").getByText("[5]").waitFor();
  await publish("/p/text", "5 < 6 & \"so\" – ü", "Text");
  await row("text").locator(".text").getByText('"5 < 6 & \\"so\\" – ü"').waitFor();
  // Of what was not retained a page that comes later knows nothing.
  await page.getByLabel("Retain").uncheck();
  await publish("/p/once", "1");
  await row("once").waitFor();
  await page.getByLabel("Retain").check();
  await page.getByLabel("TTL").fill("4000");
  await publish("/p/ttl", "1");
  await row("ttl").waitFor();
  const later = await openPage(broker);
  await later.row("ttl").waitFor();
  await later.row("text").waitFor();
  assert.equal(await later.row("once").count(), 0);
  await later.close();
  // A key does as well.
  await page.locator("#publish-topic").fill("/p/key");
  await page.locator("#publish-message").press("Control+Enter");
  await row("key").waitFor();
  for (const [topic, message, words] of [
    ["/p/json", "{", /^malformed-json: /], ["/p//x", "1", /^invalid-topic: .*empty segment/],
    ["/p/+", "1", /^invalid-topic: /], ["/p/json", "[".repeat(200), /^(too-deep|malformed-json): /],
  ]) {
    await publish(topic, message);
    await until(text(answer), words);
    assert.ok(await answer.evaluate((node) => node.classList.contains("alarm")));
  }
  await opened.close();
  await broker.stop();
});

const TOKEN = "a token of a test";
const USERS = () => [
  userEntry("ada", "correct horse", "all"),
  userEntry("bob", "battery staple", "reader"),
  `[[user]]\nname = "ci"\ntoken-sha256 = "${createHash("sha256").update(TOKEN).digest("hex")}"`,
  'roles = ["all"]',
  '[role.all]\npublish = ["#"]\nsubscribe = ["#"]\nstats = true\nadmin = true',
  '[role.reader]\npublish = ["public"]\nsubscribe = ["public"]\n',
].join("\n");

test("a broker with users wants a login, by password or token", async () => {
  const broker = await startBroker({ args: ["--users", "users.toml"],
    files: { "users.toml": USERS() } });
  const producer = await client(broker.port);
  producer.send(JSON.stringify({ command: "login", token: TOKEN }));
  producer.publish("public/news", "seen");
  producer.publish("secret", "not seen");
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  const dialog = page.getByRole("dialog", { name: "Log in" });
  const state = page.locator("#state");
  await dialog.waitFor();
  await until(text(state), "Not logged in");
  await page.getByText("Rates and figures take the right stats. Log in to see them.").waitFor();
  await page.getByText("Clients take the right admin. Log in to see them.").waitFor();
  const login = async (fields) => {
    for (const [label, value] of Object.entries(fields)) await dialog.getByLabel(label).fill(value);
    await dialog.getByRole("button", { name: "Log in" }).click();
  };
  await login({ User: "ada", Password: "wrong" });
  await dialog.getByRole("alert").getByText(/login-failed: /).waitFor();
  await login({ User: "ada", Password: "correct horse" });
  await dialog.waitFor({ state: "hidden" });
  await row("secret").waitFor();
  await until(text(state), "Live");
  await page.getByRole("button", { name: "ada: log out" }).waitFor();
  await page.getByText(/^version /).waitFor();
  await page.locator("#clients-rows tr", { hasText: "ada" }).first().waitFor();
  // Nothing of it is left where another page, or the next one at this machine, could read it.
  const kept = await page.evaluate(() =>
    JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie, location.href]));
  assert.ok(!kept.includes("correct") && !kept.includes("ada"), kept);
  assert.equal(await page.locator("#login-password").inputValue(), "");

  await page.getByRole("button", { name: "ada: log out" }).click();
  await until(text(state), "Not logged in");
  await until(() => page.locator("#rows .row:visible").count(), 0);
  await page.getByRole("button", { name: "Log in" }).first().click();
  await login({ User: "bob", Password: "battery staple" });
  await row("news").waitFor();
  await page.getByText("You may see a part of these topics only.").waitFor();
  assert.equal(await row("secret").count(), 0);
  await page.getByText(/^Rates and figures take the right stats\. not-permitted: /).waitFor();
  await page.getByText(/^Clients take the right admin\. not-permitted: /).waitFor();
  await page.locator("#publish-topic").fill("secret");
  await page.locator("#publish-message").fill("1");
  await page.locator("#publish").getByRole("button", { name: "Publish" }).click();
  await until(text(page.locator("#publish-answer")),
    /not-permitted: user "bob" may not publish to "secret"/);

  await page.getByRole("button", { name: "bob: log out" }).click();
  await page.getByRole("button", { name: "Log in" }).first().click();
  await login({ User: "", Password: "", "or a token": TOKEN });
  await row("secret").waitFor();
  await page.getByRole("button", { name: "ci: log out" }).waitFor();
  // It may be put off, and is not asked for again and again.
  await page.reload();
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await opened.close();
  producer.close();
  await broker.stop();
});

test("clients are shown with what waits for them, and can be ended", async () => {
  const broker = await startBroker();
  const [reader, slow] = [await client(broker.port), await client(broker.port)];
  reader.send('{"command":"subscribe","topic":"seen/by"}');
  await reader.flush();
  slow.send('{"command":"subscribe","topic":"load"}');
  await slow.flush();
  slow.hang();
  const producer = await client(broker.port);
  const ended = new Promise((resolve) => { slow.socket.on("close", resolve); });
  const opened = await openPage(broker);
  const { page, until } = opened;
  const rows = page.locator("#clients-rows tr:visible");
  await rows.filter({ hasText: "seen/by (json)" }).waitFor();
  for (let at = 0; at < 400; at += 1) {
    producer.publish("load", "x".repeat(100_000), { retain: false });
    await producer.flush();
  }
  const hanging = rows.filter({ hasText: "load (json)" });
  await until(text(hanging.locator("td").nth(4)), /^\d+, \d.* MiB$/);
  await hanging.getByText("slow").waitFor();
  await until(text(page.locator("#state")), /1 slow client/);
  assert.equal(await rows.first().textContent(), await hanging.textContent());
  // Nobody is ended by one click.
  await hanging.getByRole("button", { name: /^End client \d+, 127\.0\.0\.1:/ }).click();
  const dialog = page.getByRole("dialog", { name: "End this connection?" });
  await dialog.getByText(/messages waiting/).waitFor();
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await hanging.getByRole("button").click();
  await dialog.getByRole("button", { name: "End it" }).click();
  await page.getByText(/^Client \d+ was ended\.$/).waitFor();
  await until(() => hanging.count(), 0);
  slow.socket.resume();
  await ended;
  await until(text(page.locator("#state")), "Live");
  await rows.filter({ hasText: "seen/by (json)" }).waitFor();
  for (const one of [reader, producer]) one.close();
  await opened.close();
  await broker.stop();
});

test("clients of MQTT are called by their names, and stay while they are away", async () => {
  const broker = await startBroker({ ports: { http: 0, tcp: 0, mqtt: 0 } });
  const producer = await client(broker.port);
  // The longest name that there is, and one that would turn around what stands beside it.
  const long = "sensor-".padEnd(1024, "x");
  const there = [
    await mqttClient(broker.ports.mqtt, "exe.\u202egpj<b>", "t", { window: 2 }),
    await mqttClient(broker.ports.mqtt, long, "t"),
  ];
  const phone = await mqttClient(broker.ports.mqtt, "phone", "t", { expiry: 7200 });
  phone.close();
  for (let at = 0; at < 5; at += 1) producer.publish("t", at);
  await producer.flush();
  for (const colorScheme of ["light", "dark"]) {
    const opened = await openPage(broker, { colorScheme });
    const { page, until } = opened;
    const row = (words) => page.locator("#clients-rows tr:visible", { hasText: words });
    const cell = (words, at) => row(words).locator("td").nth(at);
    await row("exe.\\u202egpj<b>").waitFor();
    await until(text(cell("exe.", 2)), "mqtt 5");
    await until(text(cell("exe.", 5)), "2 of 2");
    await until(text(cell("sensor-xx", 5)), "5 of 100");
    await row("phone").getByText(/^away \d+ s, [12] h left$/).waitFor();
    await until(text(page.locator("#clients-count")), /, 1 away$/);
    // What has neither is as it was.
    await until(text(cell("127.0.0.1", 2).first()), /^(tcp|websocket|http|mqtt 5)$/);
    // A long name makes its row no wider than another's, nor higher.
    const [box, other] = [await row("sensor-xx").boundingBox(), await row("phone").boundingBox()];
    assert.deepEqual([box.width, box.height], [other.width, other.height]);
    assert.ok((await row("sensor-xx").locator("bdi").boundingBox()).width < 200);
    const title = await row("sensor-xx").locator("bdi").getAttribute("title");
    assert.match(title, new RegExp(`^${long}, 127\\.0\\.0\\.1:\\d+$`));
    // What ends a client is there without scrolling.
    const room = await page.locator("#clients-room").boundingBox();
    const button = await row("sensor-xx").getByRole("button").boundingBox();
    assert.ok(button.x + button.width <= room.x + room.width, `${button.x} ${room.width}`);
    await opened.close();
  }
  const opened = await openPage(broker);
  const { page, until } = opened;
  const row = page.locator("#clients-rows tr:visible", { hasText: "phone" });
  await row.getByRole("button", { name: /^End client \d+, phone$/ }).click();
  const dialog = page.getByRole("dialog", { name: "End this session?" });
  await dialog.getByText(/^Client \d+, phone, 127\.0\.0\.1:\d+; 5 messages waiting$/).waitFor();
  await dialog.getByRole("button", { name: "End it" }).click();
  await until(() => row.count(), 0);
  const stuck = page.locator("#clients-rows tr:visible", { hasText: "exe." });
  await stuck.getByRole("button").click();
  await page.getByRole("dialog", { name: "End this connection?" })
    .getByRole("button", { name: "End it" }).click();
  await there[0].closed;
  await opened.close();
  for (const one of [...there, producer]) one.close();
  await broker.stop();
});

test("rates and figures are those of the broker", async () => {
  const broker = await startBroker({ args: ["--data-dir", "data"] });
  const producer = await client(broker.port);
  const opened = await openPage(broker);
  const { page, until } = opened;
  const meter = (name) => page.locator(".meter", { hasText: name });
  const rate = async (name) => Number((await meter(name).locator(".now b").textContent())
    .replace(/\D.*/, "") || -1);
  await until(async () => await rate("Published") === 0, true);
  const timer = setInterval(() => { for (let at = 0; at < 10; at += 1) producer.publish("t", at); }, 20);
  await until(async () => await rate("Published") > 100, true);
  await until(async () => await rate("Delivered") > 100, true);
  await until(text(meter("Received").locator(".now")), /KiB\/s/);
  await until(async () => (await meter("Published").locator("path.line").getAttribute("d"))
    .split("L").length > 2, true);
  clearInterval(timer);
  await producer.flush();
  const fact = (name) => page.locator(`#facts-list dt:text-is("${name}") + dd`);
  await until(text(fact("Values")), /^1( of |$)/);
  await until(text(fact("Published")), /^\d[\d,]* json, 0 xml, 0 pickle$/);
  await until(text(fact("Certificate")), "none");
  await until(text(fact("Not on the disk yet")), "nothing");
  await until(text(fact("Memory claimed")), / of .* [MG]iB$/);
  await until(text(page.locator("#about")), /^version \d+\.\d+\.\d+, up \d+ s$/);
  // The line can be read with a pointer.
  await until(async () => {
    await meter("Published").locator("svg").hover({ position: { x: 120, y: 10 } });
    return meter("Published").locator(".note").textContent();
  }, / at /);
  producer.close();
  await opened.close();
  await broker.stop();
});

test("a broker that was away is found again, and what is gone is gone", async () => {
  const broker = await startBroker();
  const producer = await client(broker.port);
  producer.publish("old", 1);
  producer.publish("both", 1);
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("old").waitFor();
  const { ports } = broker;
  producer.close();
  await broker.stop();
  await until(text(page.locator("#state")), "Connection lost");
  await page.getByText(/^next try in \d+ s$/).waitFor();
  assert.equal(await row("old").count(), 1);
  const next = await startBroker({ ports });
  const other = await client(next.port);
  other.publish("both", 2);
  await other.flush();
  // Where the page was quicker, there is nothing to be clicked any more.
  await page.evaluate(() => document.getElementById("retry-now").click());
  await row("both").locator(".text").getByText("2", { exact: true }).waitFor();
  await until(text(page.locator("#state")), "Live");
  await until(() => row("old").count(), 0);
  other.close();
  opened.troubles.length = 0;
  await opened.close();
  await next.stop();
});
