// Who is in the room, as the list shows it. The client keeps users: Map of user id → {metas: [oldest device, …, newest]}.

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
