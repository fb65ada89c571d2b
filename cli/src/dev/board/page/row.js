// A row of the list of requests: a button with what came and how it ended, and the bars of its time.

import { clock, count, el, milliseconds, say } from "./elements.js";
import { waterfall } from "./waterfall.js";

const span = (name, ...children) => el("span", { class: name }, ...children);

// Its list is divided into groups, which only its explicit role reaches across.
const EMPTY = el("li", { role: "listitem" },
  el("button", { type: "button", class: "row", tabindex: "-1" },
    span("time"), span("stage-name"), span("what", el("b"), " ", el("bdi")), span("status"), span("ms"), span("more")),
  el("div"));

export const newRow = () => EMPTY.cloneNode(true);

/** Shows a record in a row. What stays as it was is not written again. */
export function fill(row, record) {
  row.record = record;
  const [time, stage, what, status, ms, more] = row.firstChild.children;
  say(time, clock(record.time));
  say(stage, record.stage);
  say(what.firstChild, methodOf(record));
  say(what.lastChild, record.path);
  say(status, statusOf(record));
  status.className = `status ${classOf(record)}`;
  say(ms, milliseconds(record.duration_ms));
  say(more, moreOf(record));
  row.lastChild.replaceWith(waterfall(record));
}

export const isFailed = (record) =>
  record.error != null || (record.status ?? 0) >= 500 || (record.is_finished && record.status == null);

const TRIGGERS = { schedule: "clock", invoke: "invoke", repeat: "again" };

function methodOf(record) {
  const trigger = TRIGGERS[record.trigger];
  return record.trigger === "repeat" ? `${trigger} ${record.method}` : trigger ?? record.method;
}

function statusOf(record) {
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
