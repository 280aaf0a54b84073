// Whoever looks at the page: by keyboard, by ear, in the dark, on a small screen.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { client, endAll, openPage, startBroker, startBrowser } from "./support.mjs";

let broker;
let producer;

before(async () => {
  await startBrowser();
  broker = await startBroker();
  producer = await client(broker.port);
  for (const topic of ["/a/one", "/a/two", "/b/one/x", "c"]) producer.publish(topic, { of: topic });
  await producer.flush();
});
after(async () => {
  producer?.close();
  await endAll();
});

/** The row that has the cursor, as a screen reader is told. */
const here = (page) => () => page.evaluate(() => {
  const active = document.getElementById("tree").getAttribute("aria-activedescendant");
  const row = active && document.getElementById(active);
  return row ? `${row.querySelector("bdi").textContent} ${row.getAttribute("aria-level")} `
    + `${row.getAttribute("aria-expanded")} ${row.getAttribute("aria-selected")}` : "";
});

test("everything can be reached and done by keyboard", async () => {
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("two").waitFor();
  const order = [];
  for (let at = 0; at < 14; at += 1) {
    await page.keyboard.press("Tab");
    order.push(await page.evaluate(() => document.activeElement.id || document.activeElement.name));
  }
  assert.deepEqual(order, ["", "theme", "account", "search", "part", "tree", "view",
    "publish-topic", "publish-message", "format", "publish-retain", "publish-ttl", "",
    "clients-room"]);
  await page.keyboard.press("/");
  assert.equal(await page.evaluate(() => document.activeElement.id), "search");
  await page.keyboard.press("ArrowDown");
  await until(here(page), "/a 1 true true");
  await page.keyboard.press("ArrowDown");
  await until(here(page), "one 2 null true");
  await until(() => page.locator("#value-text").textContent(), '{"of": "/a/one"}');
  await page.keyboard.press("ArrowLeft");
  await until(here(page), "/a 1 true true");
  await page.keyboard.press("ArrowLeft");
  await until(here(page), "/a 1 false true");
  await page.keyboard.press("ArrowDown");
  await until(here(page), "/b 1 true true");
  await page.keyboard.press("ArrowUp");
  await page.keyboard.press("ArrowRight");
  await until(here(page), "/a 1 true true");
  await page.keyboard.press("Enter");
  await until(here(page), "/a 1 false true");
  await page.keyboard.press(" ");
  await until(here(page), "/a 1 true true");
  await page.keyboard.press("End");
  await until(here(page), "c 1 null true");
  await page.keyboard.press("Home");
  await until(here(page), "/a 1 true true");
  // In a field a slash is a slash.
  await page.locator("#publish-topic").fill("");
  await page.locator("#publish-topic").press("/");
  assert.equal(await page.locator("#publish-topic").inputValue(), "/");
  await page.keyboard.press("Escape");
  await page.locator("#search").fill("two");
  await until(() => page.locator("#topics-count").textContent(), "1 of 4");
  await page.keyboard.press("Escape");
  await until(() => page.locator("#topics-count").textContent(), "4");
  await page.keyboard.press("Escape");
  assert.equal(await page.evaluate(() => document.activeElement.id), "tree");
  await opened.close();
});

test("what a screen reader needs is said, and what changes all the time is not announced", async () => {
  const opened = await openPage(broker);
  const { page, row, until } = opened;
  await row("two").waitFor();
  await until(() => page.getByRole("status").first().textContent(), "Live");
  const nameless = await page.evaluate(() => {
    const labelled = (node) => node.labels?.length || node.getAttribute("aria-label")
      || node.getAttribute("aria-labelledby") || node.textContent.trim();
    return [...document.querySelectorAll("button, input, select, textarea, section, dialog, [role=img]")]
      .filter((node) => !labelled(node)).map((node) => node.outerHTML);
  });
  assert.deepEqual(nameless, []);
  const tree = page.getByRole("treegrid", { name: "Topics" });
  assert.equal(await tree.getAttribute("aria-rowcount"), "8");
  assert.equal(await row("two").getAttribute("aria-rowindex"), "4");
  assert.deepEqual(await row("two").getByRole("gridcell").allTextContents()
    .then(([name, value, size]) => [name, value, size]), ["two", '{"of":"/a/two"}', "15 B"]);
  // Whatever is announced says the same as long as nothing happens to the connection.
  await page.evaluate(() => {
    window.announced = [];
    const live = document.querySelectorAll("[role=status], [role=alert], [aria-live]");
    for (const node of live) {
      new MutationObserver(() => window.announced.push(node.id))
        .observe(node, { childList: true, characterData: true, subtree: true });
    }
  });
  producer.publish("/a/two", "changed");
  await row("two").locator(".text").getByText("changed").waitFor();
  const rate = await page.locator(".meter .chart").first().getAttribute("aria-label");
  await until(async () => rate !== await page.locator(".meter .chart").first()
    .getAttribute("aria-label"), true);
  assert.deepEqual(await page.evaluate(() => window.announced), []);
  producer.publish("/a/two", { of: "/a/two" });
  await producer.flush();
  await opened.close();
});

/** Contrasts of texts to what is behind them that are less than WCAG 2 wants for AA (1.4.3). */
function faint() {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  const over = (...colors) => {
    context.clearRect(0, 0, 1, 1);
    for (const color of colors) { context.fillStyle = color; context.fillRect(0, 0, 1, 1); }
    return context.getImageData(0, 0, 1, 1).data;
  };
  const luminance = ([...color]) => {
    const [red, green, blue] = color.slice(0, 3).map((part) => part / 255)
      .map((part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ratio = (a, b) => {
    const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05);
  };
  const behind = (node) => {
    const colors = [];
    for (let at = node; at; at = at.parentElement) colors.unshift(getComputedStyle(at).backgroundColor);
    return colors;
  };
  const found = [];
  let looked = 0;
  const judge = (node, color, least, what) => {
    looked += 1;
    const grounds = behind(node);
    const contrast = ratio(over(...grounds, color), over(...grounds));
    if (contrast < least) found.push(`${what}: ${contrast.toFixed(2)}`);
  };
  for (const node of document.body.querySelectorAll("*")) {
    const hasText = [...node.childNodes].some(({ nodeType, data }) => nodeType === 3 && data.trim());
    if (!node.checkVisibility() || node.disabled) continue;
    const what = `${node.localName}.${node.className || node.id} ${node.textContent.slice(0, 20)}`;
    if (hasText) judge(node, getComputedStyle(node).color, 4.5, what);
    if (node.placeholder) {
      judge(node, getComputedStyle(node, "::placeholder").color, 4.5, `placeholder of ${node.id}`);
    }
    // What a control is seen by (1.4.11).
    if (node.matches("input:not([type=radio], [type=checkbox]), select, textarea")) {
      judge(node.parentElement, getComputedStyle(node).borderColor, 3, `edge of ${node.id}`);
    }
  }
  return { found, looked };
}

for (const colorScheme of ["light", "dark"]) {
  test(`everything is legible in ${colorScheme}`, async () => {
    const opened = await openPage(broker, { colorScheme });
    const { page, row, until } = opened;
    await row("two").click();
    await page.locator("#clients-rows tr").first().waitFor();
    await page.locator("#publish-topic").fill("a//b");
    await page.locator("#publish-message").fill("1");
    await page.locator("#publish").getByRole("button", { name: "Publish" }).click();
    await page.getByText("invalid-topic").waitFor();
    for (const dialog of ["", "login", "ending"]) {
      await page.evaluate((id) => {
        document.querySelector("dialog[open]")?.close();
        if (id) document.getElementById(id).showModal();
        for (const notice of document.querySelectorAll("dialog .notice")) {
          notice.hidden = false;
          notice.textContent = "something";
        }
        document.getElementById("state").classList.add("busy");
        document.querySelector("#clients-rows tr").classList.add("slow");
        document.querySelector(".badge").hidden = false;
      }, dialog);
      const { found, looked } = await page.evaluate(faint);
      assert.deepEqual(found, [], `with ${dialog || "no dialog"}`);
      assert.ok(looked > 100, `only ${looked} texts were looked at`);
    }
    await opened.close();
  });
}

test("the theme can be chosen, and is the same after a reload", async () => {
  const opened = await openPage(broker, { colorScheme: "light" });
  const { page, until } = opened;
  const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  const light = await ground();
  await page.getByLabel("Theme").selectOption("Dark");
  const dark = await ground();
  assert.notEqual(dark, light);
  await page.reload();
  await until(ground, dark);
  await page.getByLabel("Theme").selectOption("System theme");
  assert.equal(await ground(), light);
  await page.emulateMedia({ colorScheme: "dark" });
  assert.equal(await ground(), dark);
  await opened.close();
});

test("a small screen needs no scrolling to the side", async () => {
  const opened = await openPage(broker, { viewport: { width: 360, height: 740 } });
  const { page, row, until } = opened;
  producer.publish(`/a/${"long".repeat(60)}`, { text: "word".repeat(200) });
  await row("long".repeat(60)).click();
  await until(() => page.locator("#value-text").textContent(), /word/);
  await page.locator("#clients-rows tr").first().waitFor();
  const wide = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
  assert.equal(wide[0], wide[1]);
  for (const id of ["state", "search", "tree", "value-text", "publish-message", "facts-list"]) {
    const box = await page.locator(`#${id}`).boundingBox();
    assert.ok(box.x >= 0 && box.x + box.width <= 360, `${id}: ${JSON.stringify(box)}`);
  }
  producer.send(`{"command":"clear","topic":"/a/${"long".repeat(60)}"}`);
  await producer.flush();
  await opened.close();
});

test("nothing moves for those who do not want it", async () => {
  const opened = await openPage(broker);
  const { page, row } = opened;
  await row("two").waitFor();
  const moving = await page.evaluate(() => [...document.querySelectorAll("*")]
    .filter((node) => getComputedStyle(node).transitionDuration.split(", ").some((it) => it !== "0s"))
    .map((node) => node.className));
  assert.deepEqual(moving, []);
  await opened.close();
});
