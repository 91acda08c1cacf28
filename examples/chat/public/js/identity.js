// Who is at this page: an id that stays, a name that can be changed, and what device this is.
//
// The identity lies in localStorage, so all tabs of a browser are devices of one user. A tab that was opened with
// ?user=…&name=… or ?guest is somebody else; that lies in sessionStorage, which is the tab's own.

const KEY = "rollcall-chat.me";

const NAMES = ["Quiet Otter", "Brave Heron", "Lucky Fox", "Amber Finch", "Swift Hare", "Merry Badger", "Calm Lynx",
  "Bright Wren", "Kind Marten", "Bold Robin"];

export function loadIdentity() {
  const query = new URLSearchParams(location.search);
  if (query.has("guest")) {
    return keep(sessionStorage, fresh());
  }
  const user = query.get("user");
  if (user && user !== (read(sessionStorage) ?? read(localStorage))?.id) {
    return keep(sessionStorage, { id: user, name: query.get("name") || randomName(), namedAt: 0 });
  }
  return read(sessionStorage) ?? read(localStorage) ?? keep(localStorage, fresh());
}

// rename gives the same person with another name, and remembers it. at is when the name was chosen, in ms: of the names
// that the devices of one person have, the last chosen counts.
export function rename(me, name, at = Date.now()) {
  return keep(read(sessionStorage) ? sessionStorage : localStorage, { ...me, name, namedAt: at });
}

function fresh() {
  return { id: newID(), name: randomName(), namedAt: Date.now() };
}

function randomName() {
  return NAMES[Math.floor(Math.random() * NAMES.length)];
}

// newID is a random id; crypto.randomUUID is only there on https and localhost.
export function newID() {
  if (crypto.randomUUID) {
    return crypto.randomUUID();
  }
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

function read(storage) {
  try {
    const me = JSON.parse(storage.getItem(KEY));
    return me && me.id && me.name ? me : null;
  } catch {
    return null;
  }
}

function keep(storage, me) {
  try {
    storage.setItem(KEY, JSON.stringify(me));
  } catch {
    // Storage is full or forbidden: the identity lives as long as the page.
  }
  return me;
}

// device says what this is: {kind: "desktop" | "phone" | "tablet", client: "Firefox on Linux"}.
export function device(ua = navigator.userAgent, touchPoints = navigator.maxTouchPoints) {
  const tablet = /iPad|Tablet/.test(ua) || (/Android/.test(ua) && !/Mobile/.test(ua)) || (/Macintosh/.test(ua) && touchPoints > 1);
  const phone = !tablet && /Mobi|iPhone/.test(ua);
  return { kind: tablet ? "tablet" : phone ? "phone" : "desktop", client: `${browser(ua)} on ${system(ua)}` };
}

function browser(ua) {
  if (/Edg\//.test(ua)) return "Edge";
  if (/OPR\//.test(ua)) return "Opera";
  if (/Firefox\/|FxiOS\//.test(ua)) return "Firefox";
  if (/Chrom(e|ium)\/|CriOS\//.test(ua)) return "Chrome";
  if (/Safari\//.test(ua)) return "Safari";
  return "Browser";
}

function system(ua) {
  if (/iPhone|iPod/.test(ua)) return "iPhone";
  if (/iPad/.test(ua)) return "iPad";
  if (/Android/.test(ua)) return "Android";
  if (/Windows/.test(ua)) return "Windows";
  if (/Mac OS X|Macintosh/.test(ua)) return "macOS";
  if (/CrOS/.test(ua)) return "ChromeOS";
  if (/Linux|X11/.test(ua)) return "Linux";
  return "a device";
}
