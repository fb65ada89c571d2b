// One request in full: its phases, its log lines and its event, which can be sent again.

import { byId, clock, count, el, facts, milliseconds, plain, tell, uncoloured } from "./elements.js";
import { call } from "./server.js";
import { phaseTable, waterfall } from "./waterfall.js";

const dialog = byId("request");
const body = byId("request-body");

const close = () => el("button", { type: "button", onclick: () => dialog.close() }, "Close");

/** Opens a request of the list. */
export async function openRequest(record) {
  byId("request-title").textContent = plain(`${record.method} ${record.path}`);
  body.replaceChildren(el("p", { class: "quiet" }, "looking …"), el("div", { class: "buttons" }, close()));
  dialog.showModal();
  try {
    show(await call("GET", `/api/requests/${encodeURIComponent(record.id)}`));
  } catch (error) {
    body.replaceChildren(el("p", {}, error.message), el("div", { class: "buttons" }, close()));
  }
}

function show(record) {
  const database = record.database;
  const start = record.start === "cold" ? `cold, ${milliseconds(record.init_ms)} from start to first event` : record.start;
  body.replaceChildren(
    facts([
      ["stage", record.stage],
      ["deploy", record.deploy],
      ["function", record.function ?? (record.status === 404 ? "none: nothing has this path" : "none: a file or a redirect")],
      ["came by", record.trigger],
      ["at", clock(record.time)],
      ["status", record.status == null ? record.error ?? "the client has gone" : `${record.status} ${record.error ?? ""}`],
      ["took", milliseconds(record.duration_ms)],
      ["first byte", milliseconds(record.first_byte_ms)],
      ["instance", record.instance == null ? null : `${record.instance}, ${start ?? "it failed before it had the event"}`],
      ["database", database && `${milliseconds(database.ms)} in ${count(database.round_trips, "round trip")}`],
      ["id", record.id],
    ]),
    waterfall(record),
    phaseTable(record) ?? "",
    el("h3", {}, "Log"),
    el("pre", { tabindex: "0", "aria-label": "Log lines" }, linesOf(record)),
    linesOfRuntime(record) ?? "",
    el("h3", {}, "Event"),
    el("pre", { tabindex: "0", "aria-label": "Event" }, eventOf(record)),
    again(record),
  );
}

/** The function's own lines, and the warnings of its runtime. */
function linesOf(record) {
  const lines = record.lines.filter((line) => !line.is_noise).map((line) => uncoloured(line.text));
  if (record.lines_left_out > 0) lines.push(`… and ${record.lines_left_out} more lines`);
  return lines.join("\n") || "no lines";
}

/** All lines as they came, where some are the runtime's or the platform's own. */
function linesOfRuntime(record) {
  const noise = record.lines.filter((line) => line.is_noise).length;
  if (noise === 0) return null;
  const all = record.lines.map((line) => uncoloured(line.line)).join("\n");
  return el("details", {}, el("summary", {}, `All lines, with ${count(noise, "line")} of the runtime`),
    el("pre", { tabindex: "0", "aria-label": "All log lines" }, all));
}

function eventOf(record) {
  if (record.event != null) return JSON.stringify(record.event, null, 2);
  return record.event_bytes > 0 ? `${record.event_bytes} bytes, too many to be kept` : "none";
}

/** The button that sends the event again. What may write asks first. */
function again(record) {
  const buttons = el("div", { class: "buttons" });
  const send = el("button", { type: "button", class: "main" }, "Send again");
  send.addEventListener("click", () => {
    if (record.is_read) return repeat(record, false);
    const question = el("p", { role: "alert" },
      `${record.method} may write to the database of ${record.stage}. Send it again?`);
    const yes = el("button", { type: "button", class: "main", onclick: () => repeat(record, true) }, "Yes, send it again");
    buttons.replaceChildren(question, yes, close());
    yes.focus();
  });
  send.disabled = record.event == null || record.deploy != null;
  buttons.append(send, close());
  const reason = reasonNotToSend(record);
  if (reason) {
    send.setAttribute("aria-describedby", "not-again");
    buttons.append(el("p", { class: "quiet", id: "not-again" }, reason));
  }
  return buttons;
}

/** Says why an event cannot be sent again, if it cannot. */
function reasonNotToSend(record) {
  if (record.deploy) return "A deploy of the local Netlify got it: send it to the address of that deploy again.";
  if (record.event != null) return null;
  return record.event_bytes > 0 ? "The event was too large to be kept." : "No function got it, so there is no event.";
}

async function repeat(record, isConfirmed) {
  try {
    await call("POST", `/api/requests/${encodeURIComponent(record.id)}/repeat`, { is_confirmed: isConfirmed });
    dialog.close();
    tell(`sent again: ${record.method} ${record.path} in ${record.stage}`);
  } catch (error) {
    dialog.close();
    tell(error.message, true);
  }
}
