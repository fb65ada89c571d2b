// Makes elements, and writes what they say. No text ever becomes markup.

/** Makes an element with properties and children; a text child has its control characters escaped. */
export function el(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children.flat().filter((child) => child != null).map((child) =>
    typeof child === "string" ? plain(child) : child));
  return element;
}

export const byId = (id) => document.getElementById(id);

// Control characters, and those that change the direction of text or hide in it.
const INVISIBLE = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;

/** Escapes the characters of a text that do not show as themselves. */
export function plain(text) {
  return String(text).replace(INVISIBLE, (c) =>
    `\\u{${c.codePointAt(0).toString(16)}}`);
}

/** Removes a terminal's colours. */
export const uncoloured = (text) => text.replace(/\u001b\[[0-9;]*m/g, "");

/** Sets an element's text if it differs, so that a screen reader is told of changes alone. */
export function say(element, text) {
  const shown = plain(text ?? "");
  if (element.textContent !== shown) element.textContent = shown;
}

export function milliseconds(ms) {
  if (ms == null) return "";
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

export function size(bytes) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let unit = 0;
  while (bytes >= 1000 && unit < units.length - 1) {
    bytes /= 1000;
    unit += 1;
  }
  return `${bytes < 10 && unit > 0 ? bytes.toFixed(1) : Math.round(bytes)} ${units[unit]}`;
}

/** The time of day, with the date where it is not today's. */
export function clock(time) {
  const date = new Date(time);
  if (Number.isNaN(date.getTime())) return "";
  const two = (number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())} `;
  const of_day = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return date.toDateString() === new Date().toDateString() ? of_day : day + of_day;
}

export const count = (number, noun) => `${number} ${noun}${number === 1 ? "" : "s"}`;

let forget;

/** Tells the result of an action, to all readers, for a while. */
export function tell(text, is_bad = false) {
  const said = byId("said");
  said.classList.toggle("bad", is_bad);
  say(said, text);
  clearTimeout(forget);
  forget = setTimeout(() => say(said, ""), 12_000);
}

/** A list of facts, from pairs of a name and a text or an element. */
export function facts(pairs) {
  const list = el("dl", { class: "facts" });
  for (const [name, value] of pairs) {
    if (value != null && value !== "") list.append(el("dt", {}, name), el("dd", {}, value));
  }
  return list;
}
