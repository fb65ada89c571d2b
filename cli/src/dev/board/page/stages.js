// The stages as columns. Each text is changed in place, so that focus and reading position stay.

import { openPlan } from "./actions.js";
import { byId, clock, count, el, say, size } from "./elements.js";

const columns = new Map();
let shownNames = "";

/** Shows the stages as they are now. */
export function showStages(board) {
  const names = board.stages.map((stage) => stage.name).join("\n");
  if (names !== shownNames) {
    shownNames = names;
    columns.clear();
    byId("stages").replaceChildren(
      ...board.missing.map(missingColumn),
      ...board.stages.map((stage) => newColumn(stage, board.stages)),
    );
    const filter = byId("filter-stage");
    filter.append(...board.stages.map((stage) => el("option", { value: stage.name }, stage.name)));
  }
  for (const stage of board.stages) columns.get(stage.name)(stage);
}

function heading(stage) {
  const title = el("h3", { id: `stage-${stage.name}` }, stage.name);
  if (stage.remote) title.append(" ", el("span", { class: "kind" }, "remote"));
  if (stage.kind !== stage.name) title.append(" ", el("span", { class: "kind" }, `of kind ${stage.kind}`));
  return title;
}

function missingColumn(stage) {
  return el("article", { class: "stage missing", "aria-labelledby": `stage-${stage.name}` },
    heading(stage), el("p", { class: "quiet" }, stage.reason));
}

/** The lines of a stage whose database is a real one: what the look-ups for its functions found. */
function remoteFacts({ remote }) {
  return [
    ["database", `${remote.database} on ${remote.server}`, remote.version && `Postgres ${remote.version}`],
    ["access", remote.is_proved ? "read-only" : "guarded", remote.access.replace(/^[^:]*: /, ""), !remote.is_proved],
    ["proof", remote.server_auth, "what the server showed at a login"],
    ["credentials", `generation ${remote.generation}`, `${remote.origin}, role ${remote.role}, since ${clock(remote.since)}`],
  ];
}

function newColumn(stage, all) {
  const list = el("dl");
  const fact = (name) => {
    const main = el("span");
    const more = el("small");
    list.append(el("dt", {}, name), el("dd", {}, main, more));
    return (text, small = "", isBad = false) => {
      say(main, text);
      say(more, small);
      main.classList.toggle("bad", isBad);
    };
  };
  const site = el("a", { href: stage.url, target: "_blank", rel: "noopener" }, stage.url);
  list.append(el("dt", {}, "site"), el("dd", {}, site));
  if (stage.remote) {
    const show = { app: fact("app"), code: fact("code") };
    const facts = remoteFacts(stage).map(([name]) => fact(name));
    columns.set(stage.name, (now) => {
      showCode(show, now);
      remoteFacts(now).forEach(([, text, ...more], number) => facts[number](text, ...more));
    });
    return el("article", { class: `stage ${stage.kind} remote`, "aria-labelledby": `stage-${stage.name}` },
      heading(stage), list, el("div", { class: "buttons" }, buttonsOf(stage, stage.targets)));
  }
  const show = {
    app: fact("app"),
    code: fact("code"),
    deploy: fact("deploy"),
    database: fact("database"),
    proof: fact("proof"),
    connections: fact("connections"),
    credentials: fact("credentials"),
    migrations: fact("migrations"),
  };
  const bar = el("i");
  const meter = el("span", { class: "meter", "aria-hidden": "true" }, bar);
  list.querySelectorAll("dd")[6].append(meter);
  columns.set(stage.name, (now) => fill(show, now, meter, bar));
  return el("article", { class: `stage ${stage.kind}`, "aria-labelledby": `stage-${stage.name}` },
    heading(stage), list, el("div", { class: "buttons" }, buttonsOf(stage, namesOfKind(all, "production"))));
}

function namesOfKind(all, kind) {
  return all.filter((stage) => stage.kind === kind).map((stage) => stage.name);
}

/** The buttons of a stage that may be promoted to `targets`. */
function buttonsOf(stage, targets) {
  const button = (text, wish) =>
    el("button", { type: "button", onclick: () => openPlan(text, wish) }, `${text} …`);
  if (stage.kind === "production") {
    return [button(`Roll back ${stage.name}`, { action: "rollback", stage: stage.name })];
  }
  return targets.map((to) =>
    button(`Promote ${stage.name} to ${to}`, { action: "promote", from: stage.name, to }));
}

/** The value of a look-up, or else what to say of it. */
function found(lookup, known) {
  if (lookup == null) return ["looking …"];
  if (lookup.state === "known") return known(lookup.value);
  return [lookup.state === "absent" ? "none" : "not known", lookup.reason, lookup.state !== "absent"];
}

function showCode(show, stage) {
  show.app(stage.app);
  show.code("the build of this folder",
    `${stage.functions.join(", ")}; since ${clock(stage.served_since)}, in ${count(stage.instances, "instance")}`);
}

function fill(show, stage, meter, bar) {
  const { status, database } = stage;
  showCode(show, stage);
  show.deploy(...found(status?.code, (deploy) => [
    (deploy.commit ?? deploy.digest?.value ?? deploy.id).slice(0, 12),
    [deploy.title, deploy.since && `since ${clock(deploy.since)}`].filter(Boolean).join(", "),
  ]));
  if (database.error) {
    show.database("not known", database.error, true);
  } else {
    show.database(`Postgres ${database.version}, ${size(database.size_bytes)}`, databaseMore(stage));
  }
  show.proof(...found(status?.login, (login) => login.works
    ? [login.proved_by, "what the server showed at a login"]
    : ["the login fails", login.reason, true]));
  showConnections(show, database, meter, bar);
  show.credentials(`generation ${stage.generation}`, `since ${clock(stage.generation_since)}`);
  show.migrations(...found(status?.migrations, migrationsOf));
}

function databaseMore(stage) {
  const found = stage.status?.database?.value;
  const parts = [count(stage.database.tables, "table")];
  if (found?.mark) parts.push(`marked ${found.mark}`);
  if (found?.is_read_only) parts.push("read-only");
  return parts.join(", ");
}

function showConnections(show, database, meter, bar) {
  const { connections, connection_limit: limit } = database;
  meter.hidden = limit == null || connections == null;
  if (connections == null) return show.connections("not known");
  if (limit == null) return show.connections(String(connections), "no limit");
  const share = connections / limit;
  bar.style.width = `${Math.min(100 * share, 100)}%`;
  meter.className = `meter ${share >= 1 ? "full" : share >= 0.9 ? "near" : ""}`;
  show.connections(`${connections} of ${limit}`, "", share >= 1);
}

function migrationsOf(migrations) {
  const { applied, pending, problems, unknown } = migrations;
  const open = pending.value?.length ?? 0;
  const text = `${applied.length} applied${open > 0 ? `, ${open} pending` : ""}`;
  const worries = [...problems, ...unknown.map((name) => `${name} is not in the folder`)];
  if (worries.length > 0) return [text, worries.join("; "), true];
  return [text, applied.at(-1) ? `the newest is ${applied.at(-1)}` : ""];
}
