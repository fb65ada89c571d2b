// The list of requests: the newest first, 1,000 rows at most, a part of them in each frame.

import { byId, clock, count, el, milliseconds, say } from "./elements.js";
import { openRequest } from "./request.js";
import { PHASES, waterfall } from "./waterfall.js";

const MOST_ROWS = 1000;
const ROWS_PER_FRAME = 30;
/** The time of a frame after which the other rows wait for the next one. */
const FRAME_MS = 8;

const list = byId("requests");
/** The rows by the ids of their requests, in the order of their arrival. */
const rows = new Map();
/** Records that wait for a frame, by id. */
const waiting = new Map();
let isPaused = false;
let isDue = false;
let since = { requests: 0, failed: 0 };

const LEGEND = { ...PHASES, unfinished: "did not end", own: "the function's own time" };
byId("legend").append(...Object.entries(LEGEND).map(([phase, name]) =>
  el("li", {}, el("i", { class: phase }), name)));

export const isFailed = (record) =>
  record.error != null || (record.status ?? 0) >= 500 || (record.is_finished && record.status == null);

/** Shows new and changed records. */
export function showRequests(records) {
  for (const record of records) {
    // A page that comes gets those of before, too.
    if (record.is_finished && Date.now() - Date.parse(record.time) - (record.duration_ms ?? 0) < 10_000) {
      since.requests += 1;
      if (isFailed(record)) since.failed += 1;
    }
    // A record that changes keeps its place.
    waiting.set(record.id, record);
  }
  while (waiting.size > MOST_ROWS) waiting.delete(waiting.keys().next().value);
  request();
}

/** Forgets all requests, before they come anew. */
export function forgetRequests() {
  waiting.clear();
  rows.clear();
  stop = null;
  list.replaceChildren();
}

function request() {
  if (isPaused || isDue || waiting.size === 0) return;
  isDue = true;
  // A page in the background has no frames.
  if (document.hidden) setTimeout(flush, 200);
  else requestAnimationFrame(flush);
}

function flush() {
  isDue = false;
  let left = ROWS_PER_FRAME;
  const ends = performance.now() + FRAME_MS;
  const added = document.createDocumentFragment();
  for (const [id, record] of waiting) {
    if (left === 0 || performance.now() > ends) break;
    left -= 1;
    waiting.delete(id);
    const known = rows.get(id);
    if (known) {
      fill(known, record);
    } else {
      const row = el("li");
      fill(row, record);
      rows.set(id, row);
      added.prepend(row);
    }
  }
  if (added.childNodes.length > 0) {
    list.prepend(added);
    for (const [id, row] of rows) {
      if (rows.size <= MOST_ROWS) break;
      rows.delete(id);
      row.remove();
    }
    keepOneStop();
  }
  byId("no-requests").hidden = rows.size > 0;
  request();
}

function fill(row, record) {
  row.record = record;
  const button = row.querySelector("button") ?? el("button", { type: "button", class: "row", tabindex: "-1" });
  button.replaceChildren(
    el("span", { class: "time" }, clock(record.time)),
    el("span", { class: "stage-name" }, record.stage),
    el("span", { class: "what" }, el("b", {}, methodOf(record)), " ", el("bdi", {}, record.path)),
    el("span", { class: `status ${classOf(record)}` }, statusOf(record)),
    el("span", { class: "ms" }, milliseconds(record.duration_ms)),
    el("span", { class: "more" }, moreOf(record)),
  );
  if (row.firstChild === button) row.lastChild.replaceWith(waterfall(record));
  else row.replaceChildren(button, waterfall(record));
  row.hidden = !isWanted(record);
}

const TRIGGERS = { schedule: "clock", invoke: "invoke", repeat: "again" };

export function methodOf(record) {
  const trigger = TRIGGERS[record.trigger];
  return record.trigger === "repeat" ? `${trigger} ${record.method}` : trigger ?? record.method;
}

export function statusOf(record) {
  if (!record.is_finished) return "runs";
  if (record.status != null) return String(record.status);
  return record.error == null ? "gone" : "failed";
}

function classOf(record) {
  if (!record.is_finished) return "quiet";
  if (isFailed(record)) return "broken";
  if (record.status >= 400) return "refused";
  return record.status >= 300 ? "moved" : "ok";
}

function moreOf(record) {
  const parts = [];
  if (record.deploy) parts.push("deploy");
  if (record.start === "cold") parts.push(`cold ${milliseconds(record.init_ms)}`);
  else if (record.start) parts.push(record.start);
  const trips = record.database?.round_trips;
  if (trips > 0) parts.push(count(trips, "round trip"));
  if (record.status == null && record.error) parts.push(record.error);
  return parts.join(", ");
}

// One row is a stop of the Tab key, and the arrow keys go from there.

let stop = null;

function keepOneStop() {
  if (!stop?.isConnected) stopAt(list.querySelector("li:not([hidden]) button"));
}

function stopAt(button) {
  stop?.setAttribute("tabindex", "-1");
  button?.setAttribute("tabindex", "0");
  stop = button;
}

function neighbour(row, step) {
  do row = row?.[step]; while (row?.hidden);
  return row?.querySelector("button");
}

list.addEventListener("focusin", (event) => {
  if (event.target.matches("button")) stopAt(event.target);
});

list.addEventListener("keydown", (event) => {
  const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
  const button = step && neighbour(event.target.closest("li"), step);
  if (button) {
    event.preventDefault();
    button.focus();
  }
});

list.addEventListener("click", (event) => {
  const row = event.target.closest("li");
  if (row) openRequest(row.record);
});

// The filters.

function isWanted(record) {
  const stage = byId("filter-stage").value;
  return (!stage || record.stage === stage) && (!byId("filter-failed").checked || isFailed(record));
}

function filter() {
  for (const row of rows.values()) row.hidden = !isWanted(row.record);
  if (stop?.closest("li").hidden) stopAt(null);
  keepOneStop();
}

byId("filter-stage").addEventListener("change", filter);
byId("filter-failed").addEventListener("change", filter);

byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  request();
});

// A screen reader is told of requests in sums: each one would be too much.
setInterval(() => {
  const { requests, failed } = since;
  since = { requests: 0, failed: 0 };
  const words = `in the last 10 s ${count(requests, "request")}, ${failed} failed`;
  say(byId("pulse"), requests > 0 ? words : "");
}, 10_000);
