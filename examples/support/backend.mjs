// A back end for the support desk: it is told by a hook who is there, and mails what is said to who is not.
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const SECRET = process.env.HOOK_SECRET;
const MOMENT = 1000; // ms: hooks tell within so much who has gone, and who has just gone wants a mail too

// Keep these in a database; of a request all or nothing, with its id.
const seen = new Set(); // ids of requests
const here = new Map(); // channel → the users who are there
const unread = new Map(); // channel → how many messages nobody there has read

createServer(async (req, res) => {
  const chunks = [];
  for await (const c of req) chunks.push(c);
  const body = Buffer.concat(chunks);
  if (req.method === "GET") {
    res.writeHead(200, { "Content-Type": "application/json" })
      .end(JSON.stringify({ here: [...here.keys()].sort(), unread: Object.fromEntries(unread) }));
  } else if (req.method === "POST" && req.url === "/presence") {
    if (!signed(req.headers, body)) return res.writeHead(401).end();
    const { id, events } = JSON.parse(body);
    if (!seen.has(id)) events.forEach(fold); // else it came again
    seen.add(id);
    res.writeHead(204).end();
  } else if (req.method === "POST" && req.url === "/said") { // by our own handler, in our own network
    const { to, text } = JSON.parse(body);
    setTimeout(() => here.has(to) || mail(to, text), MOMENT);
    res.writeHead(204).end();
  } else {
    res.writeHead(404).end();
  }
}).listen(process.env.PORT, "127.0.0.1", function () {
  console.log(`the back end listens on port ${this.address().port}`);
});

function signed(headers, body) {
  const content = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), body]);
  const want = Buffer.from("v1," + createHmac("sha256", SECRET).update(content).digest("base64"));
  const given = (headers["webhook-signature"] ?? "").split(" ").map((s) => Buffer.from(s));
  const late = Math.abs(Date.now() / 1000 - headers["webhook-timestamp"]) > 300;
  return !late && given.some((s) => s.length === want.length && timingSafeEqual(s, want));
}

function fold({ type, channel, user_id, users = [] }) {
  if (type === "reset") here.clear();
  if (type === "join") enter(channel, user_id);
  if (type === "sync") for (const u of users) enter(channel, u.user_id);
  if (type === "leave" && here.get(channel)?.delete(user_id) && !here.get(channel).size) here.delete(channel);
}

function enter(channel, user) {
  if (!here.has(channel)) here.set(channel, new Set());
  here.get(channel).add(user);
  unread.delete(channel); // the page has shown them
}

function mail(to, text) {
  unread.set(to, (unread.get(to) ?? 0) + 1);
  console.log(`mail to ${to}: ${text} (${unread.get(to)} unread)`);
}
