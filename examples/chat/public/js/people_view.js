// The list of people with their devices, and the line that says who is writing.

import { avatar, el, icon, plural } from "./dom.js";

const MOST = 200; // people shown; the others are counted

export function showPeople(root, list, writers) {
  const shown = list.slice(0, MOST).map((p) => personItem(p, writers.has(p.id)));
  if (list.length > MOST) {
    shown.push(el("li", { class: "more" }, `and ${list.length - MOST} more`));
  }
  root.replaceChildren(...shown);
}

function personItem(p, writing) {
  const face = avatar(p.id, p.name);
  face.append(el("span", { class: "dot", data: { state: p.state } }));
  const name = el("span", { class: "person-name" }, p.name);
  const title = el("span", { class: "person-title" }, name);
  if (p.me) {
    title.append(el("span", { class: "you" }, "you"));
  }
  const detail = el("span", { class: "person-detail" }, writing ? el("span", { class: "writing" }, "writing…") : detailText(p));
  return el("li", { class: "person", data: { user: p.id, state: p.state, devices: p.devices.length } },
    face, el("span", { class: "person-text" }, title, detail), deviceIcons(p.devices));
}

function detailText(p) {
  const where = p.devices.length === 1 ? p.devices[0].client : plural(p.devices.length, "device");
  return p.state === "away" ? `Away · ${where}` : where;
}

function deviceIcons(devices) {
  const shown = devices.slice(0, 4).map((d) =>
    el("li", { class: "device", data: { state: d.state, kind: d.kind } }, icon(iconOf(d.kind), `${d.client}, ${d.state}`)));
  if (devices.length > 4) {
    shown.push(el("li", { class: "device" }, `+${devices.length - 4}`));
  }
  return el("ul", { class: "devices", "aria-label": plural(devices.length, "device") }, ...shown);
}

function iconOf(kind) {
  return kind === "phone" || kind === "tablet" ? kind : "desktop";
}

// summary is the line below the room's name: "3 people on 4 devices".
export function summary(list) {
  const devices = list.reduce((n, p) => n + p.devices.length, 0);
  return `${plural(list.length, "person", "people")} on ${plural(devices, "device")}`;
}

// writingText: "Ada is writing", "Ada and Bo are writing", "Several people are writing".
export function writingText(names) {
  switch (names.length) {
    case 0: return "";
    case 1: return `${names[0]} is writing`;
    case 2: return `${names[0]} and ${names[1]} are writing`;
    default: return "Several people are writing";
  }
}
