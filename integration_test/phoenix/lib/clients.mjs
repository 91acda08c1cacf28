// The unmodified clients, by the name of their alias in package.json.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import WebSocket from "ws";

const require = createRequire(import.meta.url);

export const PHOENIX = ["phoenix-1-4", "phoenix-1-5", "phoenix-1-6", "phoenix-1-7", "phoenix-1-8"];
export const REALTIME = ["realtime-js-2-10", "realtime-js-2-15", "realtime-js-latest"];

// The browser build of phoenix.js 1.4 and 1.5 looks at self or window.
export function phoenix(name) {
  if (!PHOENIX.includes(name)) throw new Error(`no such client: ${name}`);
  globalThis.self ??= globalThis;
  const lib = require(name);
  // 1.4 and 1.5 hand onJoin the very object into which they merge what they had of the user.
  // 1.4 gives a topic's new join what is for its ended one: isMember looks at the name of the join only in phx_… frames.
  return { name, version: version(name), merges: /1-[45]$/.test(name), mixesJoins: /1-4$/.test(name), Socket: lib.Socket,
    Presence: lib.Presence, WebSocket };
}

export function realtime(name) {
  if (!REALTIME.includes(name)) throw new Error(`no such client: ${name}`);
  const lib = require(name);
  return { name, version: version(name), RealtimeClient: lib.RealtimeClient, WebSocket };
}

function version(name) {
  return JSON.parse(readFileSync(new URL(`../node_modules/${name}/package.json`, import.meta.url), "utf8")).version;
}
