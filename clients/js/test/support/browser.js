// Chromium, and a server of files for its pages.

import { readFile } from "node:fs/promises";
import { once } from "node:events";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";

const TYPES = { ".html": "text/html", ".js": "text/javascript", ".json": "application/json" };
const PACKAGE = fileURLToPath(new URL("../..", import.meta.url));
const MODULES = "/node_modules/babelmq/";

/** A server of the package, as npm would have installed it, and of pages by their path. */
export async function servePages(pages) {
  const server = createServer(async (request, response) => {
    const path = normalize(request.url);
    const page = pages[path];
    const type = TYPES[page === undefined ? extname(path) : ".html"] ?? "text/plain";
    try {
      const body = page ?? (await readFile(join(PACKAGE, path.slice(MODULES.length))));
      response.writeHead(200, { "content-type": type }).end(body);
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

/** A browser for which each `host:port` of the map is a port of this machine. */
export async function launch(ports) {
  const rules = Object.entries(ports).map(([host, port]) => `MAP ${host} 127.0.0.1:${port}`);
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", `--host-resolver-rules=${rules.join(",")}`],
  });
}
