// The browser of the board's tests and scripts.
//
// Needs the variables BOARD_TOOLS (the folder of the tools) and BOARD_CHROMIUM (see `install`).

import assert from "node:assert/strict";
import { createRequire } from "node:module";

const tools = createRequire(`${process.env.BOARD_TOOLS}/`);
const { chromium } = tools("playwright-core");

/** Starts the browser. */
export function launch() {
  // Chromium refuses its sandbox to root.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env.BOARD_CHROMIUM, args });
}

/** Opens the board, and keeps the texts of its feed and of other answers in `page.texts`. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  const page = await context.newPage();
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
      const response = await own(...args);
      if (args[0] !== "/api/events" || !response.ok) return response;
      const [one, other] = response.body.tee();
      other.pipeThrough(new TextDecoderStream()).pipeTo(new WritableStream({ write: window.keepFeed })).catch(() => {});
      return new Response(one, response);
    };
  });
  await page.goto(url);
  await page.locator(".stage dl").first().waitFor();
  return page;
}

/** Waits until a condition holds. */
export async function until(what, condition) {
  const ends = Date.now() + 20_000;
  while (Date.now() < ends) {
    if (await condition()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  assert.fail(`it never came to be: ${what}`);
}

export const axe = () => tools.resolve("axe-core/axe.min.js");

export { assert };
