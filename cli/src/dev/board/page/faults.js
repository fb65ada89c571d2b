// The faults: buttons that inject them, those that last, and what requests saw since.

import { byId, clock, count, el, milliseconds, say, tell } from "./elements.js";
import { isFailed } from "./row.js";
import { call } from "./server.js";

/** Kinds that happen once, and have no duration. */
const ONCE = new Set(["rotate_credentials", "fail_over", "kill"]);

/** The groups of faults: the type, the text of its button, and its numbers with name, default and unit. */
const GROUPS = {
  "Database server": [
    ["rotate_credentials", "Rotate credentials"],
    ["fail_over", "Fail over"],
    ["restart", "Restart (all stages)"],
    ["connections_full", "Take all connections"],
    ["read_only", "Read-only"],
  ],
  "Network to the database": [
    ["latency", "Latency", ["latency", 200, "ms"], ["jitter", 0, "ms jitter"]],
    ["bandwidth", "Bandwidth", ["rate", 20, "KB/s"]],
    ["reset_peer", "Reset connections"],
    ["stall", "Stall"],
  ],
  "Provider": [
    ["expired_token", "Expired token"],
    ["api_429", "API: 429 (all stages)", ["retry_after", 1, "s Retry-After"]],
    ["api_500", "API: 500 (all stages)"],
    ["api_hang", "API: hangs (all stages)"],
  ],
  "Instances of functions": [
    ["freeze", "Freeze"],
    ["kill", "Kill"],
  ],
};

const DURATIONS = [["", "until it is ended"], ["5000", "5 s"], ["30000", "30 s"], ["300000", "5 min"]];

let form = null;
let shownForm = "";

/** Shows the form for the stages, once for the same stages and functions. */
export function showFaultForm(stages) {
  const key = JSON.stringify(stages.map((stage) => [stage.name, stage.functions]));
  if (key === shownForm) return;
  shownForm = key;
  const choice = (options) => el("select", {}, options.map(([value, text]) => el("option", { value }, text)));
  const names = [...new Set(stages.flatMap((stage) => stage.functions))];
  form = {
    stage: choice(stages.map((stage) => [stage.name, stage.name])),
    duration: choice(DURATIONS),
    function: choice([["", "each function"], ...names.map((name) => [name, name])]),
  };
  const groups = Object.entries(GROUPS).map(([title, faults]) =>
    el("fieldset", {}, el("legend", {}, title),
      title === "Instances of functions" ? el("div", { class: "fault" }, el("label", {}, "of ", form.function)) : null,
      faults.map(faultRow)));
  groups.at(-1).append(el("div", { class: "fault" }, el("button", { type: "button", onclick: () => clear(true) }, "Thaw")));
  byId("fault-form").replaceChildren(
    el("div", { class: "fault-where" },
      el("label", {}, "Stage ", form.stage), el("label", {}, "It lasts ", form.duration)),
    el("div", { class: "fault-groups" }, groups),
  );
}

function faultRow([type, text, ...numbers]) {
  const inputs = numbers.map(([name, value, unit]) => {
    const input = el("input", { type: "number", min: "0", value: String(value) });
    return { name, input, label: el("label", {}, input, unit) };
  });
  const button = el("button", { type: "button" }, text);
  button.addEventListener("click", () => inject(type, text, inputs));
  return el("div", { class: "fault" }, button, inputs.map((input) => input.label));
}

async function inject(type, text, inputs) {
  const attributes = Object.fromEntries(inputs.map(({ name, input }) => [name, input.valueAsNumber || 0]));
  if (["freeze", "kill"].includes(type)) attributes.function = form.function.value || null;
  const stage = form.stage.value;
  const fault = Object.keys(attributes).length > 0 ? { type, attributes } : { type };
  const duration = ONCE.has(type) ? "" : form.duration.value;
  const effect = newEffect(`${text.replace(/ \(.*/, "")} in ${stage}`);
  try {
    await call("POST", "/api/faults", { stage, fault, duration_ms: duration ? Number(duration) : null });
    tell(`injected: ${effect.title}`);
  } catch (error) {
    effects.shift();
    tell(error.message, true);
  }
  showEffects();
}

async function clear(thaw, stage = form.stage.value) {
  try {
    const { ended } = await call("POST", "/api/faults/clear", { stage: stage || null, thaw });
    tell(ended.length > 0 ? `ended: ${ended.join(", ")}` : "nothing was to end");
  } catch (error) {
    tell(error.message, true);
  }
}

let active = [];
let endsAt = [];

/** Shows the faults that last. */
export function showFaults(faults) {
  const isSame = faults.length === active.length;
  active = faults;
  endsAt = faults.map((fault) => fault.ends_in_ms == null ? null : Date.now() + fault.ends_in_ms);
  const badge = byId("faults-count");
  badge.hidden = faults.length === 0;
  say(badge, faults.length > 0 ? `${count(faults.length, "fault")} now` : "");
  const box = byId("active-faults");
  if (!isSame || box.childElementCount === 0) {
    const lines = faults.map(() => el("li"));
    const end = el("button", { type: "button", onclick: () => clear(false, "") }, "End all faults");
    box.replaceChildren(...(faults.length > 0
      ? [el("ul", { class: "active", "aria-label": "Faults that last" }, lines), el("div", { class: "buttons" }, end)]
      : []));
  }
  showEnds();
}

function showEnds() {
  const lines = byId("active-faults").querySelectorAll("li");
  active.forEach((fault, number) => {
    const attributes = Object.entries(fault.fault.attributes ?? {}).filter(([, value]) => value != null && value !== 0);
    const words = attributes.map(([name, value]) => `${name} ${value}`).join(", ");
    const left = endsAt[number] && Math.max(0, Math.round((endsAt[number] - Date.now()) / 1000));
    say(lines[number], `${fault.fault.type.replaceAll("_", " ")}${words && ` (${words})`} in ${fault.stage ?? "all stages"}, `
      + (left == null ? "until it is ended" : `for ${left} s more`));
  });
}

setInterval(showEnds, 1000);

// What requests saw since a fault.

const effects = [];
const MOST_EFFECTS = 5;

function newEffect(title) {
  const effect = { title, at: Date.now(), requests: 0, failed: 0, slowest: 0 };
  effects.unshift(effect);
  effects.length = Math.min(effects.length, MOST_EFFECTS);
  return effect;
}

/** Counts requests that have ended for the faults before them. Each comes here once. */
export function countEffects(records) {
  if (effects.length === 0) return;
  for (const record of records) {
    const ends = Date.parse(record.time) + (record.duration_ms ?? 0);
    for (const effect of effects.filter((effect) => ends >= effect.at)) {
      effect.requests += 1;
      if (isFailed(record)) effect.failed += 1;
      effect.slowest = Math.max(effect.slowest, record.duration_ms ?? 0);
    }
  }
  showEffects();
}

function showEffects() {
  const box = byId("effects");
  box.hidden = effects.length === 0;
  box.replaceChildren(el("ol", { class: "effects" }, effects.map((effect) => el("li", {},
    `${clock(effect.at)} ${effect.title}: since then ${count(effect.requests, "request")}, ${effect.failed} failed`
    + (effect.requests > 0 ? `, the slowest took ${milliseconds(effect.slowest)}` : "")))));
}
