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
  // A record that changes keeps its place.
  for (const record of records) waiting.set(record.id, record);
  for (const id of waiting.keys()) {
    if (waiting.size <= KEPT_ROWS) break;
    // The end of a request that is shown is not lost: its row would say "runs" for ever.
    if (!rows.has(id)) waiting.delete(id);
  }
  request();
}

/** Forgets all requests, before they come anew. */
export function forgetRequests() {
  waiting.clear();
  rows.clear();
  stop = null;
  list.replaceChildren();
  tellWhetherEmpty();
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
  const place = readingPlace();
  if (!removeOldest()) addWaiting();
  returnTo(place);
  keepOneStop();
  numberLater();
  tellWhetherEmpty();
  request();
}

/** Returns the first row that the window shows whole, if rows may come above it. */
function readingPlace() {
  if (list.getBoundingClientRect().top >= 0) return null;
  for (const group of list.children) {
    if (group.hidden || group.getBoundingClientRect().bottom <= 0) continue;
    for (const row of group.children) {
      const { top } = row.getBoundingClientRect();
      if (!row.hidden && top >= 0) return { row, top };
    }
  }
  return null;
}

/** Keeps a row where it was. The browser's own way to do so fails at times with groups that it skips. */
function returnTo(place) {
  if (!place?.row.isConnected) return;
  const moved = place.row.getBoundingClientRect().top - place.top;
  if (Math.abs(moved) >= 1) window.scrollBy({ top: moved, behavior: "instant" });
}

let isNumberingDue = false;

/** Numbers the rows a moment later: a screen reader is not told of those in groups that the browser skips. */
function numberLater() {
  if (isNumberingDue) return;
  isNumberingDue = true;
  setTimeout(() => {
    isNumberingDue = false;
    const shown = list.querySelectorAll("li:not([hidden])");
    shown.forEach((row, index) => {
      row.setAttribute("aria-posinset", index + 1);
      row.setAttribute("aria-setsize", shown.length);
    });
  }, 1000);
}

function tellWhetherEmpty() {
  const isEmpty = list.querySelector(".group:not([hidden])") == null;
  byId("no-requests").hidden = !isEmpty;
  say(byId("no-requests"), rows.size > 0 ? "No request fits the filters." : "No request yet. Open a stage's site.");
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
    // It ended after its row had gone.
    if (!rows.has(id) && rows.size >= KEPT_ROWS && record.time < list.lastElementChild.lastElementChild.record.time) continue;
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
  list.prepend(newGroup());
  return list.firstElementChild;
}

const newGroup = () => el("ol", { class: "group", role: "presentation" });

/** Removes the group of the oldest rows if the others are enough. Returns whether they were. */
function removeOldest() {
  const group = list.lastElementChild;
  if (group == null || rows.size - group.childElementCount < KEPT_ROWS) return false;
  const hadFocus = group.contains(document.activeElement);
  for (const row of group.children) rows.delete(row.record.id);
  group.remove();
  if (hadFocus) [...list.querySelectorAll("li:not([hidden]) button")].at(-1)?.focus();
  return true;
}

/** Writes the height of a group that is not laid out, and hides one without a row to show. */
function measure(group) {
  const shown = group.querySelectorAll("li:not([hidden])").length;
  group.hidden = shown === 0;
  group.style.containIntrinsicBlockSize = `calc(${shown} * var(--row-height))`;
}

/** Measures each group anew: the browser remembers the height of a group that it has laid out once. */
function measureAnew() {
  for (const group of list.children) {
    if (group.contains(document.activeElement)) continue;
    const fresh = newGroup();
    fresh.append(...group.children);
    group.replaceWith(fresh);
    measure(fresh);
  }
}

// As in requests.css, where a row has another height.
matchMedia("(max-width: 60rem)").addEventListener("change", measureAnew);

// One row is a stop of the Tab key, and the arrow keys go from there.

let stop = null;

/** Keeps the stop where the focus is; without one it is the newest row. */
function keepOneStop() {
  const isKept = stop?.isConnected && !stop.closest("li").hidden && list.contains(document.activeElement);
  if (!isKept) stopAt(list.querySelector("li:not([hidden]) button"));
}

function stopAt(button) {
  if (stop === button) return;
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

// The row of a request that was open may have gone, and the focus with it.
byId("request").addEventListener("close", () => {
  if (document.activeElement === document.body) stop?.focus();
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
  measureAnew();
  keepOneStop();
  numberLater();
  tellWhetherEmpty();
}

byId("filter-stage").addEventListener("change", filter);
byId("filter-failed").addEventListener("change", filter);

byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  byId("pause").setAttribute("aria-pressed", String(isPaused));
  request();
});

/** Counts requests that have ended for what a screen reader is told. Each comes here once. */
export function countRequests(records) {
  for (const record of records) {
    // A page that comes gets those of before, too.
    if (Date.now() - Date.parse(record.time) - (record.duration_ms ?? 0) >= 10_000) continue;
    since.requests += 1;
    if (isFailed(record)) since.failed += 1;
  }
}

// A screen reader is told of requests in sums: each one would be too much.
setInterval(() => {
  const { requests, failed } = since;
  since = { requests: 0, failed: 0 };
  const words = `in the last 10 s ${count(requests, "request")}, ${failed} failed`;
  say(byId("pulse"), requests > 0 ? words : "");
}, 10_000);
