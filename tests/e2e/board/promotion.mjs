// Promotes and rolls back by the board's buttons.
//
//   node promotion.mjs URL

import { assert, check, launch, open, until } from "./browser.mjs";

const browser = await launch();
const page = await open(browser, process.argv[2]);
const dialog = page.locator("#action");
const button = (name) => page.getByRole("button", { name });

// The plan alone changes nothing.
await button(/^Promote staging to production/).click();
await dialog.getByText("Nothing is changed yet").waitFor({ timeout: 60_000 });
const plan = await dialog.locator("dl").textContent();
for (const part of ["staging", "production", "guestbook, health", "migrations"]) assert.ok(plan.includes(part), plan);
await check(page, "a plan");
await button("Leave it").click();
await button(/^Promote staging to production/).click();
await button("Promote by this plan").click({ timeout: 60_000 });
await dialog.getByText(/^Done in /).waitFor({ timeout: 120_000 });
const steps = await dialog.locator("li").allTextContents();
assert.ok(steps.length > 2 && steps.every((step) => step.endsWith("✓")), steps.join("\n"));
await check(page, "the end of a promotion");
await button("Close").click();

// There is nothing to promote any more, and there is a way back.
await button(/^Promote staging to production/).click();
await dialog.getByText("there is nothing to promote").waitFor({ timeout: 60_000 });
await button("Close").click();
await button(/^Roll back production/).click();
await button("Roll back by this plan").click({ timeout: 60_000 });
await dialog.getByText(/^Done in /).waitFor({ timeout: 120_000 });
await button("Close").click();
await until("it is closed", async () => !(await dialog.isVisible()));
assert.deepEqual(page.errors, []);
const texts = page.texts.join("\n");
await browser.close();
console.log(JSON.stringify({ texts }));
