// The client and the broker by TLS, in Node, which lets a program say what it trusts.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { after, before } from "node:test";
import { CertificateError } from "babelmq";
import { BINARY, Broker } from "./support/broker.js";
import { clientOf } from "./support/client.js";

const USERS = `
[[user]]
name = "ada"
certificate = true
roles = ["all"]

[role.all]
publish = ["#"]
subscribe = ["#"]
`;

const folder = mkdtempSync(join(tmpdir(), "babelmq-"));
const pem = (name) => readFileSync(join(folder, name), "utf8");
let broker;
before(async () => {
  execFileSync(BINARY, ["certs", folder, "--host", "localhost", "--client", "ada"]);
  execFileSync(BINARY, ["certs", join(folder, "other"), "--client", "ada"]);
  writeFileSync(join(folder, "users.toml"), USERS);
  const files = { "--tls-cert": "server.crt", "--tls-key": "server.key" };
  files["--tls-client-ca"] = "ca.crt";
  files["--users"] = "users.toml";
  const paths = Object.entries(files).flatMap(([flag, name]) => [flag, join(folder, name)]);
  const client = ["--tls-client-auth", "required", "--tls-user-from", "cn"];
  broker = await Broker.startAt("https://127.0.0.1:0", ...paths, ...client);
});
after(async () => {
  await broker?.kill();
  rmSync(folder, { recursive: true });
});

test("a certificate logs a client in, at a broker whose own it trusts", async (t) => {
  const files = { ca: pem("ca.crt"), cert: pem("ada.crt"), key: pem("ada.key") };
  const client = clientOf(t, broker.http.replace("127.0.0.1", "localhost"), files);
  await client.publish("/a", 1);
  await client.flush();
  assert.equal(await client.get("/a"), 1);
});

test("a certificate that is not accepted is final", async (t) => {
  const [ca, cert, key] = ["ca.crt", "ada.crt", "ada.key"].map(pem);
  const [otherCert, otherKey] = ["other/ada.crt", "other/ada.key"].map(pem);
  const rows = [
    // The broker's is of nobody that Node knows.
    [broker.http, { cert, key }],
    // The client has none, or one of somebody else.
    [broker.http, { ca }],
    [broker.http, { ca, cert: otherCert, key: otherKey }],
  ];
  for (const [address, files] of rows) {
    const client = clientOf(t, address, files);
    await assert.rejects(client.get("/a"), CertificateError);
    assert.equal(client.state, "closed");
    assert.equal(client.error.code, "certificate");
  }
});
