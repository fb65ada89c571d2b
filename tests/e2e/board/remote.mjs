// Promotes the real stage of `stagelink dev --remote`; the caller types at the terminal.
//
//   node remote.mjs URL [SCREENSHOT]

import { assert, check, launch, open } from "./browser.mjs";

const browser = await launch();
const page = await open(browser, process.argv[2]);
const dialog = page.locator("#action");
const button = (name) => page.getByRole("button", { name });

await page.getByText("Remote: the data is real").waitFor();
assert.equal(await page.locator("#faults").isVisible(), false);
await check(page, "a stage with a real database");
assert.equal(await button(/^Roll back/).count(), 0);
await button(/^Promote staging to production/).click();
await button("Promote by this plan").click({ timeout: 60_000 });
await dialog.getByText("type production there").waitFor({ timeout: 60_000 });
await check(page, "a confirmation at the terminal");
if (process.argv[3]) await page.screenshot({ path: process.argv[3] });
await dialog.getByText(/^Done in /).waitFor({ timeout: 120_000 });
const steps = await dialog.locator("li").allTextContents();
assert.ok(steps.length > 2 && steps.every((step) => step.endsWith("✓")), steps.join("\n"));
await button("Close").click();
assert.deepEqual(page.errors, []);
const texts = page.texts.join("\n");
await browser.close();
console.log(JSON.stringify({ texts }));
