// Who is at this page: an id that stays, a name that can be changed, and what device this is.
//
// The identity lies in localStorage, so all tabs of a browser are devices of one user. A tab that was opened with
// ?user=…&name=… or ?guest is somebody else; that lies in sessionStorage, which is the tab's own.

const KEY = "rollcall-chat.me";

// Guests are named by one word of each list: 4,096 names.
const FIRST = `Agile Amber Ardent Autumn Balmy Blithe Bold Brave Breezy Bright Brisk Calm Candid Cheery Clever Copper Coral Cosy
  Crisp Curious Daring Dapper Eager Early Earnest Fleet Fond Gentle Gilded Glad Golden Hardy Hazel Honest Jolly Keen Kind Lively
  Loyal Lucky Lunar Mellow Merry Misty Modest Nimble Noble Patient Plucky Polar Proud Quick Quiet Rosy Russet Silver Smiling Snowy
  Solar Steady Sunny Swift Velvet Witty`.split(/\s+/);
const SECOND = `Badger Beaver Bison Bittern Bunting Caribou Chough Cormorant Crane Curlew Deer Dolphin Dormouse Dove Egret Elk Falcon
  Fawn Finch Fox Gannet Gecko Goose Grebe Hare Hedgehog Heron Ibex Ibis Jackdaw Kestrel Kite Lapwing Lark Linnet Lynx Magpie Marmot
  Marten Merlin Mink Moose Newt Nightjar Oriole Osprey Otter Owl Petrel Pika Plover Puffin Raven Robin Seal Shrew Siskin Sparrow
  Starling Stoat Swallow Tern Vole Wren`.split(/\s+/);

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

export function randomName() {
  const one = (words) => words[Math.floor(Math.random() * words.length)];
  return `${one(FIRST)} ${one(SECOND)}`;
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
