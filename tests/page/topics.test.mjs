// Topics and values: what is published is seen, as it is, while it comes.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, afterEach, test } from "node:test";
import {
  PICKLE_FORMAT, client, makeCertificates, openPage, startBroker, startBrowser,
} from "./support.mjs";

let browser;
let broker;
let producer;

before(async () => { browser = await startBrowser(); });
after(() => browser.close());
beforeEach(async () => {
  broker = await startBroker();
  producer = await client(broker.port);
});
afterEach(async () => {
  producer.close();
  await broker.stop();
});

const text = (locator) => () => locator.textContent();

test("values are there and change as they are published", async () => {
  producer.publish("/weather/oslo", { temp: 21.5 });
  producer.publish("/weather/oslo/wind", "NW");
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("oslo").locator(".text").getByText('{"temp":21.5}').waitFor();
  await row("oslo").locator(".age").getByText("> ").waitFor();
  await until(text(page.locator("#topics-count")), "2");
  producer.publish("/weather/oslo", { temp: 22 });
  await row("oslo").locator(".text").getByText('{"temp":22}').waitFor();
  await row("oslo").locator(".age").getByText(/^\d+ s$/).waitFor();
  await until(text(row("oslo").locator(".size")), "11 B");
  producer.publish("/weather/rome", 30);
  await row("rome").locator(".text").getByText("30", { exact: true }).waitFor();
  // The one that is looked at goes with it.
  await row("rome").click();
  await until(text(page.locator("#value-text")), "30");
  producer.publish("/weather/rome", 31);
  await until(text(page.locator("#value-text")), "31");
  producer.send('{"command":"clear","topic":"/weather/rome"}');
  await row("rome").waitFor({ state: "detached" }).catch(() => {});
  await until(() => row("rome").count(), 0);
  await until(text(page.locator("#topics-count")), "2");
  await opened.close();
});

test("a value is seen as JSON, as XML and as Python has it", async () => {
  const value = { at: new Date(0).toISOString(), list: [1, 2], none: null };
  producer.publish("a/b", { at: { $datetime: "1970-01-01T00:00:00+00:00" }, list: value.list,
    none: null, big: { $int: "9007199254740993" }, raw: { $bytes: "AP8=" } });
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("b").click();
  const shown = page.locator("#value-text");
  await until(text(shown), /^\{\n {2}"at": .*"big": \{?.*9007199254740993/s);
  await page.getByRole("radio", { name: "Python" }).check();
  await until(text(shown), /'at': datetime\.datetime\(1970, 1, 1, 0, 0, tzinfo=/);
  const python = await shown.textContent();
  for (const part of ["'list': [1, 2]", "'none': None", "'big': 9007199254740993",
    "'raw': b'\\x00\\xff'"]) assert.ok(python.includes(part), `${part}: ${python}`);
  await page.locator("#value").getByRole("radio", { name: "XML" }).check();
  await until(text(shown), /^<message type="dict">\n {2}<at type="datetime">1970-01-01T00:00:00/);
  assert.match(await shown.textContent(), /\n {4}<item type="int">1<\/item>\n/);
  // It is as live as JSON is.
  producer.publish("a/b", 7);
  await until(text(shown), '<message type="int">7</message>');
  await page.getByRole("radio", { name: "Python" }).check();
  producer.publish("a/b", { $tuple: [{ $float: "nan" }] });
  await until(text(shown), "(float('nan'),)");
  await opened.close();
});

test("what Python reads of it is what was pickled", async () => {
  const run = (...args) => execFileSync("python3", ["values.py", ...args], { encoding: "utf8" });
  producer.send(Buffer.from(run("make"), "base64"), PICKLE_FORMAT);
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row } = opened;
  await page.getByRole("radio", { name: "Python" }).check();
  await row("values").click();
  await page.locator("#value-text[aria-busy=false]").waitFor();
  const input = await page.locator("#value-text").textContent();
  execFileSync("python3", ["values.py", "check"], { input });
  await opened.close();
});

test("a message that was not retained is seen, and said to be one", async () => {
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await page.getByText("No topic holds a value yet.").waitFor();
  producer.publish("once", { $tuple: [1] }, { retain: false });
  await row("once").click();
  await until(text(page.locator("#value-text")), /1/);
  await page.getByRole("radio", { name: "Python" }).check();
  await page.getByText("It was not retained: this is what a consumer of JSON got.").waitFor();
  await page.locator("#value").getByRole("radio", { name: "XML" }).check();
  await page.getByText("It was not retained, so the broker cannot write it").waitFor();
  await opened.close();
});

test("the page and what it is sent come by TLS where the broker has it", async () => {
  const folder = mkdtempSync(join(tmpdir(), "babelmq-page-"));
  const args = ["--listen", "https://127.0.0.1:0", ...makeCertificates(folder)];
  const sealed = await startBroker({ args });
  const url = `https://127.0.0.1:${sealed.ports.https}/`;
  const opened = await openPage({ url }, { ignoreHTTPSErrors: true });
  const { page, row, until } = opened;
  await page.locator("#publish-topic").fill("sealed");
  await page.locator("#publish-message").fill("1");
  await page.locator("#publish").getByRole("button", { name: "Publish" }).click();
  await row("sealed").click();
  await until(text(page.locator("#value-text")), "1");
  await until(text(page.locator("#facts-list dt:text-is('Certificate') + dd")), /^until \d{4}-/);
  await opened.close();
  await sealed.stop();
  rmSync(folder, { recursive: true });
});

test("a search finds topics and values, and a filter takes a part of the tree", async () => {
  for (const [topic, value] of [["a/oslo", 1], ["a/rome", "sun"], ["b/oslo", 2], ["c", "Sunday"]]) {
    producer.publish(topic, value);
  }
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  const found = async () => (await page.locator("#rows .row:visible .name bdi").allTextContents())
    .join();
  await until(found, "a,oslo,rome,b,oslo,c");
  await opened.search("OSLO");
  await until(found, "a/oslo,b/oslo");
  await until(text(page.locator("#topics-count")), "2 of 4");
  await opened.search("sun");
  await until(found, "a/rome,c");
  await opened.search("oslo b/");
  await until(found, "b/oslo");
  await opened.search("nowhere [(");
  await page.getByText("Nothing found.").waitFor();
  await opened.search("");
  await until(found, "a,oslo,rome,b,oslo,c");
  await page.getByLabel("Filter").fill("a/#");
  await page.getByLabel("Filter").press("Enter");
  await until(found, "a,oslo,rome");
  producer.publish("b/oslo", 3);
  producer.publish("a/oslo", 4);
  await row("oslo").locator(".text").getByText("4", { exact: true }).waitFor();
  assert.equal(await found(), "a,oslo,rome");
  await page.getByLabel("Filter").fill("a//b");
  await page.getByLabel("Filter").press("Enter");
  await page.getByText(/invalid-topic: .*empty segment/).waitFor();
  await opened.close();
});

test("a value of a megabyte is cut, and all of it is there for who wants it", async () => {
  const long = "x".repeat(1_000_000);
  producer.publish("long", { long, end: "the end" });
  producer.publish("short", 1);
  await producer.flush();
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  assert.ok((await row("long").locator(".text").textContent()).length < 300);
  await until(text(row("long").locator(".size")), "977 KiB");
  await row("long").click();
  const shown = page.locator("#value-text");
  await until(async () => (await shown.textContent()).length, 16_384);
  await page.getByText("The first 16,384 of 1M characters.").waitFor();
  await page.getByRole("button", { name: "Show all" }).click();
  await until(async () => (await shown.textContent()).endsWith('"end": "the end"\n}'), true);
  await row("short").click();
  await until(text(shown), "1");
  await page.getByRole("button", { name: "Show all" }).waitFor({ state: "hidden" });
  await opened.close();
});

test("hostile names and values are text", async () => {
  const image = "<img src=x onerror=alert(1)>";
  const bold = "<b>bold</b>";
  const turned = "abc\u202edcba\u2066";
  const deep = `${"[".repeat(120)}${"]".repeat(120)}`;
  const names = [image, "<script>alert(1)</" + "script>", turned, "$&`'\"", "__proto__",
    "constructor", "\u{e0041}tag", "x".repeat(1020)];
  for (const name of names) producer.publish(`h/${name}`, { [bold]: image, __proto__: 1 });
  for (const name of names.slice(0, 3)) producer.publish(name, `${image}${turned}`);
  producer.send(`{"command":"publish","topic":"deep","message":${deep}}`);
  producer.publish("tags", [{ $float: "nan" }, { $unknown: image }, { $tuple: [] },
    { $set: [{ $bytes: "PGI+" }] }]);
  producer.publish("", 1);
  producer.publish("/slash", 1);
  await producer.flush().catch(() => {});
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("tags").waitFor();
  await opened.search("h/");
  for (const name of names.slice(0, 2)) await row(`h/${name}`).waitFor();
  const seen = await page.locator("#rows .row:visible .name bdi").allTextContents();
  assert.ok(seen.includes("h/abc\\u202edcba\\u2066"), seen.join());
  assert.ok(seen.includes("h/\\udb40\\udc41tag"), seen.join());
  for (const view of ["JSON", "XML", "Python"]) {
    await page.locator("#value").getByRole("radio", { name: view }).check();
    for (const name of [`h/${image}`, "h/__proto__", `h/${"x".repeat(1020)}`]) {
      await row(name).click();
      await until(text(page.locator("#value-text")), /onerror=alert\(1\)/);
    }
    await opened.search("deep");
    await row("deep").click();
    await until(text(page.locator("#value-text")), view === "XML" ? /type="list"/ : /\[\n? *\[/);
    await opened.search("tags");
    await row("tags").click();
    await until(text(page.locator("#value-text")), /nan|NaN/);
    await opened.search("h/");
  }
  // Nothing of it became an element, and nothing is as wide as a name may be.
  const made = await page.evaluate(() =>
    [...document.querySelectorAll("img, script, b, object, iframe")].map(({ localName }) => localName));
  assert.deepEqual(made.filter((name) => name !== "b"), ["script"]);
  assert.equal(await page.locator("b", { hasText: "bold" }).count(), 0);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
  // What would make markup of text is forbidden to the page itself.
  const forbidden = await page.evaluate(() => {
    try { document.body.insertAdjacentHTML("beforeend", "<i></i>"); return ""; } catch (error) {
      return error.name;
    }
  });
  assert.equal(forbidden, "TypeError");
  opened.troubles.length = 0;
  await opened.close();
});
