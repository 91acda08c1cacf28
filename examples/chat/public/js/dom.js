// Elements made from data. Texts only ever become text nodes, so nothing a user writes can become markup.

// el makes an element: el("li", { class: "person", data: { user: id } }, child, "text").
export function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "data") {
      Object.assign(node.dataset, value);
    } else if (value === true) {
      node.setAttribute(name, "");
    } else if (value !== false && value != null) {
      node.setAttribute(name, value);
    }
  }
  node.append(...children);
  return node;
}

// icon shows a symbol of index.html. Without a label it is decoration.
export function icon(name, label) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  if (label) {
    svg.setAttribute("role", "img");
    svg.setAttribute("aria-label", label);
    const title = document.createElementNS("http://www.w3.org/2000/svg", "title");
    title.textContent = label;
    svg.append(title);
  } else {
    svg.setAttribute("aria-hidden", "true");
  }
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

// dress makes an element the avatar of a user: initials on the user's colour.
export function dress(node, id, name) {
  node.textContent = initials(name);
  node.style.setProperty("--hue", hue(id));
  return node;
}

export function avatar(id, name) {
  return dress(el("span", { class: "avatar", "aria-hidden": "true" }), id, name);
}

// hue gives each user a colour, the same on every page.
export function hue(id) {
  let h = 2166136261;
  for (let i = 0; i < id.length; i++) {
    h = Math.imul(h ^ id.charCodeAt(i), 16777619);
  }
  h = Math.imul(h ^ (h >>> 15), 2246822507); // so that ids alike get colours apart
  return ((h ^ (h >>> 13)) >>> 0) % 360;
}

export function initials(name) {
  const words = name.trim().split(/\s+/);
  const letters = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return letters.map((w) => [...w][0] ?? "").join("").toUpperCase();
}

// plural: plural(2, "device") is "2 devices".
export function plural(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}
