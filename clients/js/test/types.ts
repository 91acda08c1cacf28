// What users of the types write, checked by tsc --strict; each line after @ts-expect-error must be refused.

import { connect, wait, type Client, type Options, type Presence, type User } from "../rollcall.js";

const options: Options = {
  token: async () => "jwt",
  renew: true,
  resume: true,
  fallback: "sse",
  outbox: 10,
  reconnectOn: (code) => code === 4999,
  WebSocket: class {},
};
const c: Client = connect(() => new URL("wss://host/ws/room/1"), options);
connect("/ws", { token: () => undefined });

const end: () => void = c.on("status", (status, { code, reason, retryIn }) => {
  if (status === "waiting" && retryIn !== undefined) console.log(code?.toFixed(), reason?.trim(), retryIn * 2);
  // @ts-expect-error there is no such status
  if (status === "lost") end();
});
c.on("message", (data, { channel, position, missed }) => console.log(data.anything, channel?.length, position?.length, !missed));
c.on("lost", ({ channel, why }) => console.log(channel.length, why === "fork"));
c.on("token", ({ expires_at, error }) => console.log(expires_at, error));
const sent: Promise<void> = c.send({ text: "hello" });
const later: number | null = wait(1006, 0);

const room: Presence<{ name: string }> = c.presence<{ name: string }>("room:1");
room.on("sync", () => console.log(room.count, [...room.users.values()].map(({ metas }) => metas[0]?.name)));
room.on("join", (id, user) => console.log(id.length, user.metas.map(({ state, online_at }) => state + online_at)));
room.on("update", (id, now: User<{ name: string }>, before) => console.log(id, now.metas.length - before.metas.length));
c.reconnect();
c.close(4000, "bye");
export { later, sent };

// @ts-expect-error no such event
c.on("mesage", () => {});
// @ts-expect-error no such event of a channel
room.on("joined", () => {});
// @ts-expect-error the list is the client's
room.users.clear();
// @ts-expect-error the status is read
c.status = "open";
// @ts-expect-error another fallback
connect("/ws", { fallback: "polling" });
// @ts-expect-error a meta without this field
room.users.get("ada")?.metas[0]?.nick;
// @ts-expect-error no address
connect(5);
