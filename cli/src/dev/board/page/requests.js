// The list of requests: the newest 1,000 and at most 50 more, the newest first, a part of them in each frame.
//
// Its rows are in groups. The browser neither lays out nor paints a group that is far from what the window shows
// (`content-visibility` in requests.css), and new rows above move whole groups. So a frame costs what the groups
// near the window do, and next to nothing for the rest. With `content-visibility` on each row it looked at each
// of the 1,000 rows several times in each frame.

import { byId, count, el, say } from "./elements.js";
import { openRequest } from "./request.js";
import { fill, isFailed, newRow } from "./row.js";
import { PHASES } from "./waterfall.js";

const KEPT_ROWS = 1000;
const ROWS_PER_GROUP = 25;
const ROWS_PER_FRAME = 20;
/** The time of a frame after which the other rows wait for the next one. */
const FRAME_MS = 4;

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
  while (waiting.size > KEPT_ROWS) waiting.delete(waiting.keys().next().value);
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
  // A frame that removes rows adds none: each of the two takes its time.
  if (!removeOldest()) addWaiting();
  keepOneStop();
  byId("no-requests").hidden = rows.size > 0;
  request();
}

/** Shows as many of the waiting records as a frame has time for. */
function addWaiting() {
  const ends = performance.now() + FRAME_MS;
  const changed = new Set();
  let left = ROWS_PER_FRAME;
  for (const [id, record] of waiting) {
    if (left === 0 || performance.now() > ends) break;
    left -= 1;
    waiting.delete(id);
    const row = rows.get(id) ?? newRow();
    fill(row, record);
    row.hidden = !isWanted(record);
    if (!rows.has(id)) {
      rows.set(id, row);
      newestGroup().prepend(row);
    }
    changed.add(row.parentElement);
  }
  changed.forEach(measure);
}

/** Returns the group that takes the next row. */
function newestGroup() {
  const group = list.firstElementChild;
  if (group && group.childElementCount < ROWS_PER_GROUP) return group;
  list.prepend(el("ol", { class: "group", role: "presentation" }));
  return list.firstElementChild;
}

/** Removes the group of the oldest rows if the others are enough. Returns whether they were. */
function removeOldest() {
  const group = list.lastElementChild;
  if (group == null || rows.size - group.childElementCount < KEPT_ROWS) return false;
  for (const row of group.children) rows.delete(row.record.id);
  group.remove();
  return true;
}

/** Writes the height of a group that is not laid out, and hides one without a row to show. */
function measure(group) {
  const shown = group.querySelectorAll("li:not([hidden])").length;
  group.hidden = shown === 0;
  group.style.containIntrinsicBlockSize = `calc(${shown} * var(--row-height))`;
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

/** Returns the button of the row that is shown next, above or below. */
function neighbour(row, isBelow) {
  const [step, end] = isBelow ? ["nextElementSibling", "firstElementChild"] : ["previousElementSibling", "lastElementChild"];
  do row = row[step] ?? row.parentElement[step]?.[end]; while (row?.hidden);
  return row?.querySelector("button");
}

list.addEventListener("focusin", (event) => {
  if (event.target.matches("button")) stopAt(event.target);
});

list.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const button = neighbour(event.target.closest("li"), event.key === "ArrowDown");
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
  for (const group of list.children) measure(group);
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
