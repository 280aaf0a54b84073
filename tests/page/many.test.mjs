// Many topics, and many messages: the page answers all the same, and stays small.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { client, openPage, startBroker, startBrowser } from "./support.mjs";

const TOPICS = 100_000;
/** What a person takes for at once, in milliseconds. */
const AT_ONCE = 200;

let browser;
let broker;
let producer;

before(async () => {
  browser = await startBrowser();
  broker = await startBroker();
  producer = await client(broker.port);
  for (let number = 0; number < TOPICS; number += 1) {
    const name = String(number).padStart(6, "0");
    producer.publish(number % 2 ? `flat/${name}` : `site/${number % 100}/${name}/temp`, number);
  }
  await producer.flush();
});
after(async () => {
  producer.close();
  await browser.close();
  await broker.stop();
});

/** From the event to the picture that shows what came of it, in milliseconds. */
async function answered(page, act) {
  await page.evaluate(() => {
    window.painted = new Promise((resolve) => {
      const seen = ({ timeStamp }) => requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => resolve(performance.now() - timeStamp);
        port2.postMessage(0);
      });
      for (const kind of ["click", "keydown"]) {
        window.addEventListener(kind, seen, { once: true, capture: true });
      }
    });
  });
  await act();
  return page.evaluate(() => window.painted);
}

/** Half of them are at once; the slowest may have met what else the machine does. */
function isAtOnce(times) {
  const sorted = [...times].sort((a, b) => a - b);
  assert.ok(sorted[Math.floor(sorted.length / 2)] < AT_ONCE, sorted.join(" "));
  assert.ok(sorted.at(-1) < 5 * AT_ONCE, sorted.join(" "));
}

const elements = (page) => page.evaluate(() => document.getElementsByTagName("*").length);

test("a hundred thousand topics are looked through without waiting", async () => {
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  // A click while they are being loaded.
  await row("flat").waitFor();
  const times = [];
  for (const what of ["loading", "loading", "loading"]) {
    times.push([what, await answered(page, () => row("site").click())]);
  }
  await until(() => page.locator("#topics-count").textContent(), "100,000");
  times.push(["closed", await answered(page, () => row("site").click())]);
  times.push(["opened", await answered(page, () => row("flat").click())]);
  await row("000001").waitFor();
  times.push(["end", await answered(page, () => page.keyboard.press("End"))]);
  await row("site").waitFor();
  times.push(["top", await answered(page, () => page.keyboard.press("Home"))]);
  times.push(["typed", await answered(page, () => page.keyboard.press("/"))]);
  await opened.search("099");
  await until(() => page.locator("#topics-count").textContent(), /^[\d,]+ of 100,000$/);
  times.push(["typed", await answered(page, () => page.keyboard.press("9"))]);
  await until(() => page.locator("#topics-count").textContent(), /^\d+ of 100,000$/);
  times.push(["chosen", await answered(page, () => page.locator("#rows .row").nth(2).click())]);
  console.log(times.map(([what, time]) => `${what} ${Math.round(time)} ms`).join(", "));
  isAtOnce(times.map(([, time]) => time));
  const nodes = await elements(page);
  assert.ok(nodes < 2000, `${nodes} elements`);

  // A flood of messages leaves it as it was.
  await opened.search("");
  await row("flat").waitFor();
  await row("000001").waitFor();
  const places = await page.locator("#rows .row").evaluateAll((rows) =>
    rows.slice(2, 9).map((row) => row.getBoundingClientRect().y + 5));
  const left = await row("000001").boundingBox().then(({ x }) => x + 200);
  let isOver = false;
  let sent = 0;
  const flood = (async () => {
    while (!isOver) {
      for (let at = 0; at < 500; at += 1, sent += 1) {
        const name = String((sent * 2 + 1) % TOPICS).padStart(6, "0");
        producer.publish(`flat/${name}`, { sent, long: "x".repeat(100) });
      }
      await producer.flush();
    }
  })();
  await row("000001").locator(".text").getByText("sent").waitFor();
  const flooded = [];
  for (const y of places) flooded.push(await answered(page, () => page.mouse.click(left, y)));
  isOver = true;
  await flood;
  console.log(`${sent} messages, ${flooded.map((time) => Math.round(time)).join(", ")} ms`);
  isAtOnce(flooded);
  assert.ok(await elements(page) < 2000);
  await opened.close();
});
