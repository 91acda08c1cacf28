// What is published: its size, its version, its files.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import * as client from "../rollcall.js";

const read = (path) => readFileSync(new URL(path, import.meta.url), "utf8");
const about = JSON.parse(read("../package.json"));

test("what a page loads is at most 5 KB", () => {
  const size = gzipSync(read("../rollcall.js"), { level: 9 }).length;
  assert.ok(size <= 5000, `${size} bytes`);
});

test("the version is the newest of CHANGELOG.md", () => {
  const [, version = "0.0.0-unreleased"] = read("../../../CHANGELOG.md").match(/^## v?(\d+\.\d+\.\d+)/m) ?? [];
  assert.equal(about.version, version);
  assert.equal(JSON.parse(read("../package-lock.json")).version, version);
});

test("the package has these files and no dependencies", () => {
  const [packed] = JSON.parse(execFileSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], { cwd: new URL("..", import.meta.url), encoding: "utf8" }));
  assert.deepEqual(packed.files.map(({ path }) => path).sort(), ["README.md", "package.json", "rollcall.d.ts", "rollcall.js"]);
  assert.equal(about.dependencies, undefined);
  assert.equal(about.sideEffects, false);
});

test("versions of tools are exact, and the lock names no registry", () => {
  for (const version of Object.values(about.devDependencies)) assert.match(version, /^\d+\.\d+\.\d+$/);
  assert.doesNotMatch(read("../package-lock.json"), /https?:/);
});

test("the types name what there is", () => {
  const types = read("../rollcall.d.ts");
  const functions = [...types.matchAll(/^export function (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(functions.sort(), Object.keys(client).sort());
  const c = client.connect("ws://127.0.0.1:1", { WebSocket: class { close() {} } });
  const members = (name) => [...types.match(new RegExp(`interface ${name}\\b.*?\\n}`, "s"))[0].matchAll(/^  (?:readonly )?(\w+)[<(:]/gm)].map(([, member]) => member);
  const own = ["on", ...Object.getOwnPropertyNames(Object.getPrototypeOf(c)).filter((name) => name !== "constructor")];
  assert.deepEqual(members("Client").sort(), own.sort());
  assert.deepEqual(members("Presence").sort(), Object.keys(c.presence("room")).sort());
  for (const event of members("Events")) c.on(event, () => {});
  for (const event of members("PresenceEvents")) c.presence("room").on(event, () => {});
  c.close();
});
