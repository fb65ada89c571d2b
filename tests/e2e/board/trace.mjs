// Sends requests to a running site while the board is open, and prints the longest tasks of the page.
//
//   node trace.mjs SUMMARY REQUESTS [PER_SECOND]
//
// Without PER_SECOND 20 clients send as fast as they can: the machine is full, and tasks wait for a processor.

import { readFileSync } from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { launch, open } from "./browser.mjs";

/** The longest task that the page may have. */
const GOAL_MS = 100;

const [summary, requests, perSecond] = process.argv.slice(2);
const { board, stages } = JSON.parse(readFileSync(summary, "utf8").split("\n")[0]);
const site = stages.find((stage) => stage.name === "staging").port_url;
const agent = new http.Agent({ keepAlive: true, maxSockets: 20 });
const browser = await launch();
const page = await open(browser, board.url);
await browser.startTracing(page, { categories: ["devtools.timeline", "v8", "disabled-by-default-devtools.timeline", "toplevel", "__metadata"] });

const send = () => new Promise((resolve) => {
  http.get(`${site}/api/guestbook`, { agent }, (response) => response.resume().on("end", resolve)).on("error", resolve);
});
const began = Date.now();
let sent = 0;
await Promise.all(Array.from({ length: 20 }, async () => {
  while (sent < Number(requests)) {
    const due = perSecond ? began + (sent / Number(perSecond)) * 1000 - Date.now() : 0;
    sent += 1;
    if (due > 0) await sleep(due);
    await send();
  }
}));
const seconds = (Date.now() - began) / 1000;
await page.waitForTimeout(3000);
const tasks = JSON.parse((await browser.stopTracing()).toString()).traceEvents;
const isMain = (thread) => thread.name === "thread_name" && thread.args.name === "CrRendererMain";
const mains = new Set(tasks.filter(isMain).map(({ pid, tid }) => `${pid} ${tid}`));
const own = tasks.filter(({ name, pid, tid }) => name === "RunTask" && mains.has(`${pid} ${tid}`));
if (own.length === 0) throw new Error("the trace has no task of the page");
const longest = (times) => times.map((us = 0) => us / 1000).sort((one, other) => other - one);
const wall = longest(own.map(({ dur }) => dur));
// On a machine that does other work, too, a task waits for its processor: this is without the wait.
const cpu = longest(own.map(({ tdur }) => tdur));
const five = (times) => times.slice(0, 5).map((ms) => Number(ms.toFixed(1)));
// The events within the task that took the processor for longest: of those that hold others, both count.
const [heaviest] = own.toSorted((one, other) => (other.tdur ?? 0) - (one.tdur ?? 0));
const sums = new Map();
for (const { name, pid, tid, ts, dur, tdur } of tasks) {
  const isWithin = pid === heaviest.pid && tid === heaviest.tid && ts >= heaviest.ts && ts + (dur ?? 0) <= heaviest.ts + heaviest.dur;
  if (isWithin && tdur > 0 && !name.endsWith("RunTask")) sums.set(name, (sums.get(name) ?? 0) + tdur / 1000);
}
const parts = [...sums].sort(([, one], [, other]) => other - one).slice(0, 6);
const rows = await page.locator("#requests li").count();
await browser.close();
console.log(JSON.stringify({
  requests: sent,
  seconds,
  rows,
  tasks: own.length,
  longest_ms: five(wall),
  longest_processor_ms: five(cpu),
  within_the_longest_ms: Object.fromEntries(parts.map(([name, ms]) => [name, Number(ms.toFixed(1))])),
}));
agent.destroy();
if (wall[0] > GOAL_MS) {
  console.error(`missed: a task of ${wall[0].toFixed(1)} ms by the clock, the goal is none over ${GOAL_MS} ms`);
  process.exitCode = 1;
}
