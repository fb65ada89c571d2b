// Sends requests to a running site while the board is open, loads the page anew with the requests of before, and
// prints the longest tasks of the page in both parts, with what they did.
//
//   node trace.mjs SUMMARY REQUESTS [PER_SECOND]
//
// Without PER_SECOND 20 clients send as fast as they can: the machine is full, and tasks wait for a processor.

import { readFileSync } from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { launch } from "./browser.mjs";

/** The longest task that the page may have. */
const GOAL_MS = 100;

const CATEGORIES = ["devtools.timeline", "v8", "disabled-by-default-devtools.timeline", "toplevel", "__metadata"];

const [summary, requests, perSecond] = process.argv.slice(2);
const { board, stages } = JSON.parse(readFileSync(summary, "utf8").split("\n")[0]);
const site = stages.find((stage) => stage.name === "staging").port_url;
const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
const browser = await launch();
// Without the scripts by which tests watch the page: they work at each change of it.
const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage();

const send = () => new Promise((resolve) => {
  http.get(`${site}/api/guestbook`, { agent }, (response) => response.resume().on("end", resolve)).on("error", resolve);
});

let sent = 0;

async function sendAll() {
  const began = Date.now();
  await Promise.all(Array.from({ length: 20 }, async () => {
    while (sent < Number(requests)) {
      const due = perSecond ? began + (sent / Number(perSecond)) * 1000 - Date.now() : 0;
      sent += 1;
      if (due > 0) await sleep(due);
      await send();
    }
  }));
  return (Date.now() - began) / 1000;
}

/** Returns the events of the page's main thread while `work` goes on. */
async function trace(work) {
  await browser.startTracing(page, { categories: CATEGORIES });
  await work();
  await sleep(3000);
  const events = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
  // Chromium has more pages than this one, each with its own thread of the name.
  const isOwn = ({ args }) => args?.data?.url?.startsWith(new URL(board.url).origin);
  const processes = new Set(events.filter(isOwn).map(({ pid }) => pid));
  const isMain = ({ name, args, pid }) => name === "thread_name" && args.name === "CrRendererMain" && processes.has(pid);
  const threads = new Set(events.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
  return events.filter(({ ph, pid, tid }) => ph === "X" && threads.has(`${pid} ${tid}`));
}

const inMs = (us) => Number((us / 1000).toFixed(1));

/** Returns what a task did: for each kind of event its time without the events within it, by the clock and the processor. */
function within(task, events) {
  const inner = events.filter(({ pid, ts, dur = 0 }) => pid === task.pid && ts >= task.ts && ts + dur <= task.ts + task.dur);
  const sums = new Map();
  const open = [];
  const add = (name, clock, processor) => {
    const [one, other] = sums.get(name) ?? [0, 0];
    sums.set(name, [one + clock, other + processor]);
  };
  for (const { name, ts, dur = 0, tdur = 0 } of inner.sort((one, other) => one.ts - other.ts || other.dur - one.dur)) {
    while (open.length > 0 && ts >= open.at(-1).ends) open.pop();
    if (open.length > 0) add(open.at(-1).name, -dur, -tdur);
    add(name, dur, tdur);
    open.push({ name, ends: ts + dur });
  }
  const most = [...sums].sort(([, one], [, other]) => other[0] - one[0]).slice(0, 6);
  return Object.fromEntries(most.map(([name, times]) => [name, times.map(inMs)]));
}

/** Returns the longest tasks among the events. */
function report(events) {
  const tasks = events.filter(({ name }) => name === "RunTask");
  if (tasks.length === 0) throw new Error("the trace has no task of the page");
  const longest = (time) => tasks.toSorted((one, other) => (other[time] ?? 0) - (one[time] ?? 0)).slice(0, 5);
  // On a machine that does other work, too, a task waits for its processor: `tdur` is without the wait.
  const [clock, processor] = [longest("dur"), longest("tdur")];
  return {
    tasks: tasks.length,
    processor_seconds: Number((tasks.reduce((sum, { tdur = 0 }) => sum + tdur, 0) / 1e6).toFixed(2)),
    longest_ms: clock.map(({ dur }) => inMs(dur)),
    longest_processor_ms: processor.map(({ tdur }) => inMs(tdur)),
    within_the_longest: within(clock[0], events),
    within_the_longest_of_the_processor: within(processor[0], events),
  };
}

await page.goto(board.url);
await page.locator(".stage dl").first().waitFor();
let seconds;
const load = report(await trace(async () => { seconds = await sendAll(); }));
const reload = report(await trace(() => page.reload()));
const rows = await page.locator("#requests li").count();
if (rows < Math.min(sent, 1000)) throw new Error(`the list has ${rows} rows: the page was not measured at its work`);
await browser.close();
agent.destroy();
// The times within a task are pairs: by the clock, and by the processor.
console.log(JSON.stringify({ requests: sent, seconds, rows, load, reload }, null, 1));
for (const [part, { longest_ms: [longest] }] of Object.entries({ load, reload })) {
  if (longest <= GOAL_MS) continue;
  console.error(`missed: a task of ${longest} ms by the clock (${part}), the goal is none over ${GOAL_MS} ms`);
  process.exitCode = 1;
}
