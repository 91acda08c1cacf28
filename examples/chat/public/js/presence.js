// Who is in the room. The whole protocol is reduce: a presence_state replaces everybody, in a presence_diff the users of
// joins are replaced and those of leaves deleted. The rest of this file only reads the result.

// reduce gives the users after a frame: Map of user id → {metas: [oldest device, …, newest device]}.
export function reduce(users, frame) {
  if (frame.event === "presence_state") {
    return new Map(Object.entries(frame.payload));
  }
  const next = new Map(users);
  for (const [id, user] of Object.entries(frame.payload.joins)) {
    next.set(id, user);
  }
  for (const id of Object.keys(frame.payload.leaves)) {
    next.delete(id);
  }
  return next;
}

// people makes what the list shows: me first, then who is there, then who is away; each by name.
export function people(users, myID) {
  const list = Array.from(users, ([id, user]) => ({
    id,
    me: id === myID,
    name: nameOf(user),
    state: stateOf(user),
    devices: user.metas.map((m) => ({ ref: m.phx_ref, kind: m.device || "desktop", client: m.client || "Browser", state: m.state })),
  }));
  const rank = (p) => (p.me ? 0 : p.state === "online" ? 1 : 2);
  return list.sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
}

// named is the meta of the device on which the name was chosen last.
export function named(user) {
  return user.metas.reduce((best, m) => ((m.named_at || 0) >= (best.named_at || 0) ? m : best));
}

export function nameOf(user) {
  return named(user).name || "Guest";
}

// stateOf: somebody is away when all devices are.
export function stateOf(user) {
  return user.metas.some((m) => m.state === "online") ? "online" : "away";
}

// changes says who is new in a diff and who has gone, for the lines between the messages. Joins of users who are already
// there (another device, another state) are no news.
export function changes(users, diff) {
  return {
    joined: Object.keys(diff.payload.joins).filter((id) => !users.has(id)),
    left: Object.keys(diff.payload.leaves).filter((id) => users.has(id)),
  };
}
