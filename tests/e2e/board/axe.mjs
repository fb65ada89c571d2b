// axe-core finds nothing on the board, in either scheme, on a phone and a desk, in each of its states.
//
//   node axe.mjs URL

import { assert, check as checkState, checkStill, launch, open } from "./browser.mjs";

const url = process.argv[2];
const browser = await launch();
let states = 0;

async function check(page, state) {
  await checkState(page, state);
  await checkStill(page, state);
  states += 1;
}

for (const colorScheme of ["light", "dark"]) {
  for (const width of [320, 1280]) {
    const page = await open(browser, url, { colorScheme, viewport: { width, height: 800 }, reducedMotion: "reduce" });
    const named = (state) => `${state}, ${colorScheme}, ${width} px`;
    await page.locator("#requests li").first().waitFor();
    await check(page, named("the page"));
    await page.locator("#faults > summary").click();
    await check(page, named("faults"));
    await page.locator("#requests button", { hasText: "POST" }).first().click();
    await page.getByRole("button", { name: "Send again" }).click();
    await check(page, named("a request"));
    await page.keyboard.press("Escape");
    await page.getByRole("button", { name: /^Promote staging/ }).click();
    await page.locator("#action pre").waitFor();
    await check(page, named("a plan that cannot be made"));
    assert.deepEqual(page.errors, []);
    await page.context().close();
  }
}
// Without its key the page says so, and shows nothing.
const page = await (await browser.newContext()).newPage();
await page.goto(url.split("#")[0]);
await page.locator("#locked:not([hidden])").waitFor();
await check(page, "locked");
assert.equal(await page.locator(".stage").count(), 0);
await browser.close();
console.log(JSON.stringify({ states }));
