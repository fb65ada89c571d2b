// A build that fails is shown with the compiler's messages, until the next one is served.
//
//   node build.mjs URL SOURCE

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert, check, launch, open, until } from "./browser.mjs";

const [url, source] = process.argv.slice(2);
const browser = await launch();
const page = await open(browser, url);
const good = readFileSync(source, "utf8");
await page.locator("#build.served").waitFor();
// A phase that is short would be missed by one who looks at the page from time to time.
await page.evaluate(() => {
  window.buildNews = [];
  const build = document.querySelector("#build");
  const changes = { attributeFilter: ["class"], attributeOldValue: true, childList: true, subtree: true };
  new MutationObserver((records) => {
    for (const { oldValue, addedNodes } of records) {
      window.buildNews.push(oldValue ?? "", ...[...addedNodes].map((node) => node.textContent));
    }
    window.buildNews.push(build.className);
  }).observe(build, changes);
});

/** Saves, and waits until the page has shown each of these texts and then that the change is served. */
async function servedAfter(save, texts) {
  await page.evaluate(() => { window.buildNews = []; });
  save();
  for (const text of texts) {
    const isShown = async () => (await page.evaluate(() => window.buildNews)).some((news) => text.test(news));
    await until(`${text} is shown`, isShown);
  }
  await page.locator("#build.served").waitFor({ timeout: 120_000 });
}

const builds = /^build building$/;
// While it builds, the page shows what the compiler does.
const script = join(dirname(source), "../build.rs");
const slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(4)); }\n";
await servedAfter(() => writeFileSync(script, slow), [builds, /compiling \d+ of \d+/]);
assert.equal(await page.locator("#build-activity").textContent(), "");
await servedAfter(() => rmSync(script), [builds]);
writeFileSync(source, `${good}\nfn broken() { nothing_of_this_name }\n`);
await page.locator("#build.failed").waitFor({ timeout: 120_000 });
const error = await page.locator("#build-error").textContent();
assert.match(error, /cannot find value `nothing_of_this_name`/);
assert.match(error, /goes on with the programs that it has/);
await check(page, "a build that failed");
writeFileSync(source, good.replace("a line of the function", "another line"));
await page.locator("#build.served").waitFor({ timeout: 120_000 });
assert.ok(await page.locator("#build-failed").isHidden());
assert.deepEqual(page.errors, []);
await browser.close();
console.log("{}");
