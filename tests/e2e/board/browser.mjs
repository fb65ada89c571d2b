// The browser of the board's tests and scripts.
//
// Needs the variables BOARD_TOOLS (the folder of the tools) and BOARD_CHROMIUM (see `install`).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const tools = createRequire(`${process.env.BOARD_TOOLS}/`);
const { chromium } = tools("playwright-core");

/** Starts the browser, with further arguments. */
export function launch(further = []) {
  // Chromium refuses its sandbox to root.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env.BOARD_CHROMIUM, args: [...args, ...further] });
}

/**
 * Opens the board, and keeps the texts of its feed and of other answers in `page.texts`. The page knows which
 * of its buttons were shown and which were pressed (`unpressed`), has its clocks in `intervals`, and loses its
 * feed by `dropFeed`.
 */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
  // A machine that does other work, too, may hold the page up.
  page.setDefaultTimeout(60_000);
  page.texts = [];
  page.errors = [];
  page.on("pageerror", (error) => page.errors.push(String(error)));
  page.on("console", (message) => {
    // A refusal of the server is shown on the page.
    const isRefusal = message.text().startsWith("Failed to load resource");
    if (message.type() === "error" && !isRefusal) page.errors.push(message.text());
  });
  page.on("response", async (response) => {
    if (response.url().endsWith("/api/events")) return;
    page.texts.push(await response.text().catch(() => ""));
  });
  await page.exposeFunction("keepFeed", (text) => page.texts.push(text));
  await page.addInitScript(() => {
    const own = window.fetch;
    window.fetch = async (...args) => {
      if (args[0] !== "/api/events") return own(...args);
      const feed = new AbortController();
      // As the browser says of a connection that breaks.
      window.dropFeed = () => feed.abort(new TypeError("network error"));
      const response = await own(args[0], { ...args[1], signal: feed.signal });
      if (!response.ok) return response;
      const [one, other] = response.body.tee();
      other.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: window.keepFeed })).catch(() => {});
      return new Response(one, response);
    };
    const repeat = window.setInterval;
    window.intervals = [];
    window.setInterval = (act, delay) => {
      const id = repeat(act, delay);
      window.intervals.push({ id, act, delay });
      return id;
    };
  });
  await page.addInitScript(() => {
    const nameOf = (button) => button.textContent.trim();
    window.shownButtons = new Set();
    window.pressedButtons = new Set();
    const look = () => document.querySelectorAll("button:not(.row)").forEach((button) => {
      if (button.checkVisibility()) window.shownButtons.add(nameOf(button));
    });
    document.addEventListener("DOMContentLoaded", () =>
      new MutationObserver(look).observe(document.body, { subtree: true, childList: true, attributes: true }));
    document.addEventListener("click", ({ target }) => {
      look();
      const button = target.closest("button");
      if (button) window.pressedButtons.add(nameOf(button));
    }, true);
  });
  await page.goto(url);
  await page.locator(".stage dl").first().waitFor();
  return page;
}

/** Returns the names of the buttons that the page has shown and no one has pressed. */
export function unpressed(page) {
  return page.evaluate(() => [...window.shownButtons].filter((name) => !window.pressedButtons.has(name)));
}

/** Makes sure that axe-core finds nothing on the page as it is now, and that nothing is beyond its width. */
export async function check(page, state) {
  // The policy of the page allows no script of another place; the devtools protocol runs it beside.
  if (!(await page.evaluate(() => "axe" in window))) {
    await page.evaluate(readFileSync(tools.resolve("axe-core/axe.min.js"), "utf8"));
  }
  const findings = await page.evaluate(async () => {
    // By default axe-core leaves out the rule of WCAG 2.2 that what is pressed is 24 pixels wide and high.
    const rules = { "target-size": { enabled: true } };
    const { violations } = await window.axe.run(document, { resultTypes: ["violations"], rules });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join("\n")}`);
  });
  assert.deepEqual(findings, [], state);
  const widths = await page.evaluate(() => [document.documentElement.scrollWidth, document.documentElement.clientWidth]);
  assert.ok(widths[0] <= widths[1], `${state}: the page is ${widths[0]} wide on ${widths[1]}`);
}

/** Makes sure that nothing on the page moves. */
export async function checkStill(page, state) {
  const moving = await page.evaluate(() => {
    const seconds = (times) => Math.max(...times.split(",").map(parseFloat));
    const moves = (element) => {
      const { transitionDuration, animationName, animationDuration, scrollBehavior } = getComputedStyle(element);
      const isAnimated = animationName !== "none" && seconds(animationDuration) > 0.01;
      return seconds(transitionDuration) > 0.01 || isAnimated || scrollBehavior === "smooth";
    };
    return [...document.querySelectorAll("*")].filter(moves).map((element) => element.outerHTML.slice(0, 120));
  });
  assert.deepEqual(moving, [], state);
}

/** Waits until a condition holds. */
export async function until(what, condition) {
  const ends = Date.now() + 60_000;
  while (Date.now() < ends) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`it never came to be: ${what}`);
}

export { assert };
