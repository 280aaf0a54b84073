// What the package holds, and that it works where it is all there is.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import * as inNode from "babelmq";
import * as inBrowsers from "../src/index.js";

const run = promisify(execFile);
const here = fileURLToPath(new URL("..", import.meta.url));
const root = join(here, "../..");
const text = (...path) => readFileSync(join(...path), "utf8");
const manifest = JSON.parse(text(here, "package.json"));

/** A folder that is removed after the test. */
function folderOf(t) {
  const folder = mkdtempSync(join(tmpdir(), "babelmq-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}

test("the package holds its sources, its licences and its page", async (t) => {
  const { stdout } = await run("npm", ["pack", "--dry-run", "--json"], { cwd: here });
  const [{ files }] = JSON.parse(stdout);
  assert.deepEqual(files.map(({ path }) => path).sort(), [
    "LICENSE",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "package.json",
    "src/address.js",
    "src/backoff.js",
    "src/base64.js",
    "src/client.js",
    "src/consumer.js",
    "src/delivery.js",
    "src/durable.js",
    "src/errors.js",
    "src/events.js",
    "src/filter.js",
    "src/follower.js",
    "src/index.d.ts",
    "src/index.js",
    "src/kept.js",
    "src/link.js",
    "src/node.js",
    "src/publish.js",
    "src/queue.js",
    "src/streams.js",
    "src/subscription.js",
    "src/types.js",
    "src/unconfirmed.js",
    "src/values.js",
  ]);
});

test("what was packed works with nothing but what it asks for", async (t) => {
  const folder = folderOf(t);
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], {
    cwd: here,
  });
  const [{ filename }] = JSON.parse(stdout);
  const modules = join(folder, "node_modules");
  await mkdir(join(modules, "babelmq"), { recursive: true });
  const into = ["-C", join(modules, "babelmq"), "--strip-components=1"];
  await run("tar", ["-xzf", join(folder, filename), ...into]);
  for (const name of Object.keys(manifest.dependencies)) {
    symlinkSync(join(here, "node_modules", name), join(modules, name));
  }
  const program =
    'import { connect, Decimal } from "babelmq"; await connect("ws://127.0.0.1:1").close();' +
    'console.log(String(new Decimal("1.10")));';
  writeFileSync(join(folder, "program.mjs"), program);
  const ran = await run(process.execPath, [join(folder, "program.mjs")]);
  assert.equal(ran.stdout, "1.10\n");
});

test("a browser is given no import that is not a file", () => {
  const seen = new Set();
  const look = (name) => {
    if (seen.has(name)) return;
    seen.add(name);
    for (const [, from] of text(here, "src", name).matchAll(/(?:from|import\()\s*"([^"]+)"/g)) {
      assert.match(from, /^\.\/[a-z0-9]+\.js$/, `${name} imports ${from}`);
      look(from.slice(2));
    }
  };
  look("index.js");
  assert(seen.size > 8, [...seen].join());
});

test("the types declare what there is", () => {
  const types = text(here, "src/index.d.ts");
  const declared = [...types.matchAll(/^export (?:declare )?(?:class|function) (\w+)/gm)];
  const names = declared.map(([, name]) => name).sort();
  assert.deepEqual(Object.keys(inNode).sort(), names);
  assert.deepEqual(Object.keys(inBrowsers).sort(), names);
  for (const name of ["Client", "Consumer", "Delivery", "Subscription"]) {
    const [, body] = types.match(new RegExp(`^export class ${name}\\b[^{]*\\{([^]*?)^\\}`, "m"));
    const members = [...body.matchAll(/^  (?!private)(?:readonly )?(\w+)[(<:]/gm)];
    const methods = Object.getOwnPropertyNames(inNode[name].prototype);
    const here = methods.filter((method) => method !== "constructor" && !method.startsWith("_"));
    for (const method of here) {
      assert(
        members.some(([, member]) => member === method),
        `${name}.${method} has no type`,
      );
    }
  }
});

test("the version and the licences are those of the project", () => {
  const [, version] = text(root, "Cargo.toml").match(/^version = "(.*)"$/m);
  assert.equal(manifest.version, version);
  for (const name of ["LICENSE", "LICENSE-MIT", "LICENSE-APACHE"]) {
    assert.equal(text(here, name), text(root, name));
  }
});

test("no file is longer than one idea, and no line than 100 characters", () => {
  const names = ["src", "test"].flatMap((folder) =>
    readdirSync(join(here, folder), { recursive: true }).map((name) => join(folder, name)),
  );
  const sources = names.filter((name) => /\.(js|ts|py)$/.test(name));
  assert(sources.length > 20, sources.join());
  for (const name of sources) {
    const lines = text(here, name).split("\n");
    assert(lines.length <= 700, `${name} has ${lines.length} lines`);
    const long = lines.findIndex((line) => line.length > 100);
    assert.equal(long, -1, `${name}:${long + 1}`);
  }
});
