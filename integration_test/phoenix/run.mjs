#!/usr/bin/env node
// Runs unmodified Phoenix clients against two nodes. Prints one JSON object; exit 1 when a check failed.
import { spawn } from "node:child_process";
import { PHOENIX, REALTIME, phoenix, realtime } from "./lib/clients.mjs";
import { Checks, sleep } from "./lib/check.mjs";
import { Proxy } from "./lib/proxy.mjs";
import { closeAll } from "./lib/peer.mjs";
import * as channels from "./scenarios/channels.mjs";
import * as presence from "./scenarios/presence.mjs";
import * as supabase from "./scenarios/supabase.mjs";
import * as interop from "./scenarios/interop.mjs";

const o = args({
  url: "ws://127.0.0.1:6745/socket", url2: "", pid: "", "kill-cmd": "", clients: "phoenix-1-5,phoenix-1-7,phoenix-1-8", scenarios: "all",
  "proxy-port": "0", seed: "1", rounds: "1", ops: "30", parallel: "", lax: "", first: "", seedws: "", api: "", "api-key": "", token: "", authurl: "",
});
o.url2 ||= o.url;
const target = (u) => { const x = new URL(u); return { host: x.hostname, port: +x.port }; };
const proxy = await new Proxy([target(o.url), target(o.url2)]).listen(+o["proxy-port"]);
const viaProxy = (u) => { const x = new URL(u); x.port = String(proxy.server.address().port); x.hostname = "127.0.0.1"; return x.toString().replace(/\/$/, ""); };

const ctx = {
  url: o.url, url2: o.url2, proxy, proxyUrl: viaProxy(o.url), seed: +o.seed, ops: +o.ops, seedws: o.seedws, api: o.api, apiKey: o["api-key"], token: o.token, authurl: o.authurl || o.url,
  endFirst: o.pid || o["kill-cmd"] ? async (signal) => {
    if (o.pid) process.kill(+o.pid, signal);
    else await new Promise((r) => spawn("sh", ["-c", o["kill-cmd"]], { stdio: "ignore" }).on("close", r));
  } : null,
};

const suites = [
  [PHOENIX, phoenix, { ...channels, ...presence, ...interop }],
  [REALTIME, realtime, supabase],
];
// These end the node at --url, so they run only when they are asked for.
const NODE_GOES = ["kill", "drain", "random_kill"];
const results = [];
// What a client throws out of a socket callback counts against the scenario that runs.
let uncaught = [], running = false;
process.on("uncaughtException", (e) => {
  if (!running) { console.error(e); process.exit(2); }
  uncaught.push(String(e?.stack ?? e));
});
all: for (const name of o.clients.split(",")) {
  const [, load, scenarios] = suites.find(([names]) => names.includes(name)) ?? [];
  if (!load) { console.error(`no such client: ${name}`); process.exit(2); }
  const lib = { ...load(name), lax: !!o.lax };
  const wanted = o.scenarios === "all" ? Object.keys(scenarios).filter((s) => !NODE_GOES.includes(s)) : o.scenarios.split(",").filter((s) => scenarios[s]);
  for (const scenario of wanted) {
    const rounds = scenario === "random" ? +o.rounds : 1, together = o.parallel ? rounds : 1;
    for (let round = 0; round < rounds; round += together) {
      const t = new Checks(), t0 = Date.now();
      let error;
      running = true;
      uncaught = [];
      try {
        await Promise.race([
          Promise.all(Array.from({ length: together }, (_, i) => scenarios[scenario](t, { ...ctx, lib, seed: ctx.seed + round + i }))),
          sleep(60000).then(() => { throw new Error("took longer than 60 s"); })]);
      } catch (e) { error = String(e?.stack ?? e); }
      await closeAll();
      if (uncaught.length) error = [error, ...uncaught].filter(Boolean).join("\n");
      const r = { client: `${name} (${lib.version})`, scenario, ok: !error && t.failed.length === 0, ms: Date.now() - t0, checks: t.list.length };
      if (error) r.error = error;
      if (t.failed.length) r.failed = t.failed;
      const notes = t.list.filter((c) => c.note !== undefined);
      if (notes.length) r.notes = Object.fromEntries(notes.map((c) => [c.name, c.note]));
      results.push(r);
      console.error(`${r.ok ? "ok  " : "FAIL"} ${r.client} ${scenario}${scenario === "random" ? ` seed ${ctx.seed + round}` : ""} ${r.ms} ms`);
      if (o.first && !r.ok) break all;
    }
  }
}
running = false;
const failed = results.filter((r) => !r.ok);
const text = JSON.stringify({ ok: failed.length === 0, scenarios: results.length, failed: failed.length, results }, null, 1);
process.stdout.write(`${text}\n`, () => process.exit(failed.length ? 1 : 0)); // a pipe loses what is not yet written

function args(defaults) {
  const out = { ...defaults };
  for (const a of process.argv.slice(2)) {
    const m = /^--([a-z0-9-]+)(?:=(.*))?$/s.exec(a);
    if (!m || !(m[1] in out)) { console.error(`unknown: ${a}; flags: ${Object.keys(out).map((k) => `--${k}`).join(" ")}`); process.exit(2); }
    out[m[1]] = m[2] ?? "1";
  }
  return out;
}
