// The waterfall of a request: where its time went, as bars and in words.

import { count, el, milliseconds } from "./elements.js";

/** The phases in their order, with what each is. */
export const PHASES = {
  start: "start of a cold instance",
  credentials: "credentials from the provider",
  tcp: "TCP",
  tls: "TLS",
  login: "login",
  query: "query",
  pause: "pause before another attempt",
  answer: "answer",
};

const nameOf = ([phase, , , isUnfinished]) => `${PHASES[phase] ?? phase}${isUnfinished ? ", did not end" : ""}`;

/**
 * Returns the parts of a request's time: phase, start and duration in milliseconds, and whether the phase has
 * begun and did not end.
 */
export function partsOf(record) {
  const parts = [];
  if (record.init_ms != null) parts.push(["start", 0, record.init_ms]);
  const spans = record.database?.spans ?? [];
  for (const span of spans) {
    // A span may have begun before the request did.
    const start = Math.max(span.start_ms, 0);
    parts.push([span.phase, start, span.start_ms + span.duration_ms - start, span.is_unfinished === true]);
  }
  const ends = spans.map((span) => span.start_ms + span.duration_ms);
  if (ends.length > 0 && record.duration_ms != null) {
    const end = Math.max(...ends);
    if (record.duration_ms > end) parts.push(["answer", end, record.duration_ms - end]);
  }
  return parts;
}

/** Returns the bars of a request, with their words for a screen reader. */
export function waterfall(record) {
  const parts = partsOf(record);
  const fall = el("div", { class: "fall", role: "img", "aria-label": inWords(record, parts) });
  const total = Math.max(record.duration_ms ?? 0, ...parts.map(([, start, ms]) => start + ms), 0.001);
  for (const part of parts) {
    const [phase, start, ms, isUnfinished] = part;
    const bar = document.createElement("i");
    bar.className = isUnfinished ? `${phase} unfinished` : phase;
    bar.title = `${nameOf(part)}: ${milliseconds(ms)}`;
    bar.style.marginInlineStart = `${(100 * start) / total}%`;
    bar.style.width = `${(100 * ms) / total}%`;
    fall.append(bar);
  }
  return fall;
}

function inWords(record, parts) {
  if (parts.length === 0) return "no phases are known";
  const sums = new Map();
  for (const part of parts) sums.set(nameOf(part), (sums.get(nameOf(part)) ?? 0) + part[2]);
  const words = [...sums].map(([name, ms]) => `${name}: ${milliseconds(ms)}`);
  const trips = record.database?.round_trips;
  return words.concat(trips == null ? [] : [count(trips, "round trip")]).join(", ");
}

/** Returns the phases as a table. */
export function phaseTable(record) {
  const parts = partsOf(record);
  if (parts.length === 0) return null;
  const cell = (tag, text) => el(tag, { class: "number" }, text);
  const rows = parts.map((part) => el("tr", {},
    el("th", { scope: "row" }, nameOf(part)),
    cell("td", milliseconds(part[1])),
    cell("td", milliseconds(part[2]))));
  return el("table", {},
    el("caption", { class: "hidden" }, "Phases of the request"),
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "phase"), cell("th", "begins at"), cell("th", "takes"))),
    el("tbody", {}, rows));
}
