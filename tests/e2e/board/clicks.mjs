// Clicks through all that the board does with requests and faults, with the mouse and the keyboard.
//
//   node clicks.mjs URL SITE_OF_STAGING

import { assert, check, launch, open, unpressed, until } from "./browser.mjs";

const [url, site] = process.argv.slice(2);
const browser = await launch();
const page = await open(browser, url);
const rows = page.locator("#requests li:visible");
const said = page.locator("#said");
const button = (name) => page.getByRole("button", { name, exact: true });

// The columns.
const staging = page.getByRole("article", { name: "staging", exact: true });
await staging.getByText("SCRAM channel binding").waitFor();
for (const text of [/^Postgres \d+/, "1 applied", "generation 1", /^\d+ of 20$/]) await staging.getByText(text).waitFor();
for (const text of [/-staging$/, "the build of this folder", /^Postgres \d+[.\d]*, \d+(\.\d)? MB$/, /^.*notes; since \d\d:\d\d:\d\d, in \d+ instances?$/]) {
  await staging.getByText(text).first().waitFor();
}
const connections = async () => parseInt(await staging.getByText(/^\d+ of 20$/).textContent(), 10);
const names = await page.locator(".stage h3").allTextContents();
assert.deepEqual(names, ["review", "staging", "qa of kind staging", "production"]);
assert.ok(!page.url().includes("#"), "the key is out of the address");

// Requests as they come: a cold one, one that fails, a write.
const count = async () => rows.count();
const ask = async (path, options) => {
  const before = await count();
  await fetch(site + path, options);
  await until(`${path} is in the list`, async () => (await count()) > before);
};
await ask("/api/notes?secret=in-the-query");
await ask("/api/fail");
await ask("/api/notes", { method: "POST", body: "{}" });
await until("the phases are shown", async () => (await rows.nth(0).locator(".fall i.query").count()) === 1);
assert.match(await rows.nth(2).locator(".fall").getAttribute("aria-label"), /credentials.*TCP.*TLS.*login.*query.*answer.*1 round trip/);
assert.match(await rows.nth(2).locator(".more").textContent(), /^cold .*, 1 round trip$/);
assert.ok(!(await page.locator("#requests").textContent()).includes("in-the-query"));

// The connection that the test holds is one of those that the server counts now.
await until("the connections are live", async () => (await connections()) >= 1);

// The filters, and the pause.
await page.getByLabel("only failed ones").check();
assert.deepEqual(await rows.locator(".status").allTextContents(), ["500"]);
await page.getByLabel("only failed ones").uncheck();
await page.locator("#filter-stage").selectOption("production");
assert.equal(await count(), 0);
await page.locator("#filter-stage").selectOption("");
await button("Pause").click();
await fetch(`${site}/api/notes`);
await new Promise((resolve) => setTimeout(resolve, 500));
assert.equal(await count(), 3);
await button("Pause").click();
await until("the list goes on", async () => (await count()) === 4);

// The keyboard: Tab comes to one row, the arrows go on, Enter opens it, Escape goes back to it.
await rows.nth(0).locator("button").focus();
await page.keyboard.press("ArrowDown");
await page.keyboard.press("Enter");
await page.locator("#request dl").waitFor();
assert.match(await page.locator("#request-title").textContent(), /^POST \/api\/notes/);
assert.equal(await page.getByLabel("Log lines", { exact: true }).textContent(), "INFO notes: a line of the function");
// The runtime's own lines are folded.
assert.ok(!(await page.getByLabel("All log lines").isVisible()));
await page.getByText("All lines, with 1 line of the runtime").click();
assert.match(await page.getByLabel("All log lines").textContent(), /^START RequestId: /);
assert.match(await page.getByLabel("Event").textContent(), /"httpMethod": "POST"/);

// A write asks first, a read does not.
await button("Send again").click();
await page.getByText("POST may write to the database of staging").waitFor();
assert.equal(await count(), 4);
await button("Yes, send it again").click();
await until("it is sent again", async () => (await count()) === 5);
assert.equal(await rows.nth(0).locator("b").textContent(), "again POST");
await rows.nth(1).locator("button").click();
await page.locator("#request dl").waitFor();
await button("Send again").click();
await until("the read is sent again", async () => (await count()) === 6);
await rows.nth(0).locator("button").click();
await button("Close").click();
await until("it is closed", async () => !(await page.locator("#request").isVisible()));

// Each fault.
await page.locator("#faults > summary").click();
const lasting = ["Take all connections", "Read-only", "Latency", "Bandwidth", "Stall", "Expired token",
  "API: 429 (all stages)", "API: 500 (all stages)", "API: hangs (all stages)", "Freeze"];
for (const [number, name] of lasting.entries()) {
  await button(name).click();
  await said.filter({ hasText: "injected:" }).waitFor();
  await until(`${name} lasts`, async () => (await page.locator("#active-faults li").count()) === number + 1);
}
await check(page, "faults that last");
await button("Thaw").click();
await said.filter({ hasText: "ended: freeze" }).waitFor();
await page.locator("#fault-form fieldset select").selectOption("notes");
await button("Freeze").click();
await page.locator("#active-faults li", { hasText: "freeze (function notes) in staging" }).waitFor();
await button("End all faults").click();
await until("no fault lasts", async () => (await page.locator("#active-faults li").count()) === 0);
for (const name of ["Rotate credentials", "Fail over", "Reset connections", "Kill", "Restart (all stages)"]) {
  if (name === "Kill") await ask("/api/notes");
  if (name === "Reset connections") await page.getByLabel("It lasts").selectOption("");
  // A fault that has no duration is no longer shown as soon as it has happened.
  if (name === "Reset connections" || name === "Restart (all stages)") {
    await page.getByLabel("It lasts").selectOption("5000");
  }
  await button(name).click();
  const title = `${name.replace(/ \(.*/, "")} in staging`;
  await said.filter({ hasText: `injected: ${title}` }).waitFor({ timeout: 30_000 });
  await page.getByLabel("It lasts").selectOption("");
}
await until("each change is a generation", () => staging.getByText("generation 3").isVisible());
await ask("/api/fail");
await page.locator("#effects li").first().filter({ hasText: /since then \d+ requests?, 1 failed/ }).waitFor();
// A phase that has begun and did not end is that phase, in the bars, in words and in the table.
await ask("/api/stall");
await until("the stalled phase is shown", async () => (await rows.nth(0).locator(".fall i.tls.unfinished").count()) === 1);
assert.match(await rows.nth(0).locator(".fall").getAttribute("aria-label"), /^TCP: 0\.2 ms, TLS, did not end: 40 ms, answer: /);
await rows.nth(0).locator("button").click();
await page.locator("#request th", { hasText: "TLS, did not end" }).waitFor();
await page.keyboard.press("Escape");
// A fault that cannot be is told.
await page.getByRole("spinbutton", { name: "KB/s" }).fill("0");
await button("Bandwidth").click();
await page.locator("#said.bad").waitFor();

// No button was left out but those whose plan another script carries out.
const left = (await unpressed(page)).filter((name) => !/^(Promote|Roll back) \w+.* …$/.test(name));
assert.deepEqual(left, []);

assert.deepEqual(page.errors, []);
// The list has 1,000 rows at most, and the rest of the page goes on.
await page.evaluate(async () => {
  const { showRequests } = await import("/requests.js");
  const record = (number) => ({
    id: `made-${number}`, time: new Date().toISOString(), stage: "qa", method: "GET", path: `/${number}`,
    trigger: "request", status: 200, duration_ms: 4, start: "warm", is_finished: true,
    database: { round_trips: 1, ms: 1, spans: [{ phase: "query", start_ms: 1, duration_ms: 1 }] },
  });
  for (let at = 0; at < 10_000; at += 250) showRequests(Array.from({ length: 250 }, (_, of) => record(at + of)));
});
const newest = () => page.locator("#requests li .what").first().textContent();
await until("the newest is first", async () => (await newest()).endsWith("/9999"));
assert.equal(await page.locator("#requests li").count(), 1000);

const texts = page.texts.join("\n");
await browser.close();
console.log(JSON.stringify({ texts }));
