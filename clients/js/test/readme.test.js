// The programs of README.md, as they stand there but for the address.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import test, { after, before } from "node:test";
import { fileURLToPath } from "node:url";
import { Broker } from "./support/broker.js";

const README = readFileSync(new URL("../README.md", import.meta.url), "utf8");
const PROGRAMS = [...README.matchAll(/```js\n([^]*?)```/g)].map(([, program]) => program);
const SAID = [
  ["{ celsius: 21.5, wind: [ 270, 4 ] }", "[ '/weather/oslo' ]", "/weather/oslo 21.5 true"],
  ["1.10 1795951800000 2026-11-29T12:30:00.000001+01:00[Europe/Berlin]"],
  ["1 /jobs/7 12 1", "2 /jobs/8 30 1", "jobs 1 true"],
  ["connected ", "closed "],
];

let broker;
before(async () => (broker = await Broker.startWith(["jobs:filter=/jobs/#"])));
after(() => broker?.remove());

test("each program of the page has its output here", () => {
  assert.equal(PROGRAMS.length, SAID.length);
});

for (const [at, program] of PROGRAMS.entries()) {
  test(`program ${at + 1} of the page runs, and says what it should`, async () => {
    const source = program.replace("http://localhost:8080", broker.http);
    const cwd = fileURLToPath(new URL("..", import.meta.url));
    const ran = spawn(process.execPath, ["--input-type=module", "-e", source], {
      cwd,
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exit = once(ran, "exit");
    assert.deepEqual((await text(ran.stdout)).split("\n").slice(0, -1), SAID[at]);
    assert.deepEqual(await exit, [0, null]);
  });
}
