// A build that fails is shown with the compiler's messages, until the next one is served.
//
//   node build.mjs URL SOURCE

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { assert, check, launch, open } from "./browser.mjs";

const [url, source] = process.argv.slice(2);
const browser = await launch();
const page = await open(browser, url);
const good = readFileSync(source, "utf8");
await page.locator("#build.served").waitFor();
// While it builds, the page shows what the compiler does.
const script = join(dirname(source), "../build.rs");
writeFileSync(script, "fn main() { std::thread::sleep(std::time::Duration::from_secs(4)); }\n");
await page.locator("#build.building").waitFor({ timeout: 60_000 });
await page.locator("#build-activity", { hasText: /compiling \d+ of \d+/ }).waitFor({ timeout: 60_000 });
await page.locator("#build.served").waitFor({ timeout: 120_000 });
assert.equal(await page.locator("#build-activity").textContent(), "");
rmSync(script);
await page.locator("#build.building").waitFor({ timeout: 60_000 });
await page.locator("#build.served").waitFor({ timeout: 120_000 });
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
