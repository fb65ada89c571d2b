// Promotions and rollbacks: the plan first, then its course.

import { byId, el, facts, plain, say, tell } from "./elements.js";
import { call, textOf } from "./server.js";

const dialog = byId("action");
const body = byId("action-body");

/** The plan that the dialog shows, or whose course it shows. */
let shown = null;
/** The lines of the course's steps. */
let steps = null;

const close = (text = "Close") => el("button", { type: "button", onclick: () => dialog.close() }, text);
const buttons = (...all) => el("div", { class: "buttons" }, all);

/** Looks, and shows the plan. */
export async function openPlan(title, wish) {
  shown = { title };
  const current = shown;
  byId("action-title").textContent = plain(title);
  body.replaceChildren(el("p", { role: "status" }, "looking: nothing is changed …"), buttons(close()));
  dialog.showModal();
  try {
    const plan = await call("POST", "/api/plans", wish);
    if (shown !== current) return;
    shown = plan;
    showPlan(plan, wish);
  } catch (error) {
    if (shown !== current) return;
    body.replaceChildren(el("p", { role: "alert", class: "bad" }, "It cannot be done now."),
      el("pre", { tabindex: "0", "aria-label": "Reason" }, error.message), buttons(close()));
  }
}

const NAMES = {
  from: "from", to: "to", stage: "stage", site: "site", artifact: "artifact", commit: "commit",
  source_deploy: "deploy", deploy: "to deploy", published_deploy: "live now", replaced_artifact: "replaces",
  functions: "functions", files: "static files", deployed_at: "was live from", is_locked: "publishing",
  migrations: "migrations", possible_after: "possible later", tested_paths: "tested paths",
};

function valueOf(name, value) {
  if (Array.isArray(value)) return value.join(", ") || "none";
  if (name === "is_locked") return value ? "locked, and stays so" : "not locked";
  if (/artifact|commit/.test(name)) return value == null ? "not known" : value.slice(0, 12);
  return value == null ? null : String(value);
}

function showPlan(plan, wish) {
  const pairs = Object.entries(NAMES)
    .filter(([name]) => name in plan.summary)
    .map(([name, label]) => [label, valueOf(name, plan.summary[name])]);
  const verb = wish.action === "promote" ? "Promote by this plan" : "Roll back by this plan";
  const go = el("button", { type: "button", class: "main", onclick: run }, verb);
  body.replaceChildren(
    el("p", { role: "status" }, "The plan. Nothing is changed yet."),
    facts(pairs),
    el("ul", { class: "notes" }, plan.summary.notes.map((note) => el("li", {}, note))),
    buttons(go, close("Leave it")),
  );
  go.focus();
}

async function run() {
  steps = null;
  body.replaceChildren(el("p", { role: "status" }, "it begins …"), buttons(close()));
  try {
    await call("POST", `/api/plans/${encodeURIComponent(shown.id)}/run`, {});
  } catch (error) {
    body.replaceChildren(el("p", { role: "alert", class: "bad" }, error.message), buttons(close()));
  }
}

/** Shows the course of what runs. */
export function showCourse(course) {
  if (course == null) return;
  if (course.id !== shown?.id || !dialog.open) {
    if (!["asks", "running"].includes(course.state) && course.id === shown?.id) tell(`${course.title}: ${course.state}`, course.state === "failed");
    return;
  }
  if (steps == null) {
    steps = { list: el("ol", { class: "steps" }), end: el("div", { role: "status" }) };
    body.replaceChildren(steps.list, steps.end, buttons(close()));
  }
  if (course.state === "asks") {
    say(steps.end, `Confirm it at the terminal of stagelink dev: type ${plain(course.word)} there within two minutes.`);
  } else if (course.state === "running") {
    say(steps.end, "");
  }
  course.steps.forEach((step, number) => {
    const line = steps.list.children[number] ?? steps.list.appendChild(el("li"));
    say(line, `${step.name}: ${step.text || "…"}${step.is_done ? " ✓" : ""}`);
  });
  if (course.state === "done") {
    const { live, deploy, seconds } = course.report;
    say(steps.end, `Done in ${seconds} s: deploy ${deploy} is live at ${live}.`);
  } else if (course.state === "left") {
    steps.end.replaceChildren(el("p", { class: "bad" }, course.failure.error));
  } else if (course.state === "failed") {
    steps.end.replaceChildren(el("p", { class: "bad" }, "It failed, and what it did is taken back."),
      el("pre", { tabindex: "0", "aria-label": "Reason" }, textOf(course.failure)));
  }
}
