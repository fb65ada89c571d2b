// Clicks through all that the board does with requests and faults, with the mouse and the keyboard.
//
//   node clicks.mjs URL SITE_OF_STAGING

import { assert, check, launch, open, unpressed, until } from "./browser.mjs";

const [url, site] = process.argv.slice(2);
// As for a screen reader, so that the tree of the page is whole.
const browser = await launch(["--force-renderer-accessibility"]);
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
assert.equal(await page.locator("#no-requests").textContent(), "No request fits the filters.");
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
// What a screen reader is told comes when the script wants it.
const pulse = () => page.evaluate(() => {
  const { id, act } = window.intervals.find(({ delay }) => delay === 10_000);
  clearInterval(id);
  act();
  return document.querySelector("#pulse").textContent;
});
await pulse();
await ask("/api/fail");
const effect = page.locator("#effects li").first();
await effect.filter({ hasText: /since then \d+ requests?, 1 failed/ }).waitFor();
// After a reconnect all requests come again, and none counts again.
const [effectBefore, rowsBefore] = [await effect.textContent(), await count()];
await page.evaluate(() => window.dropFeed());
await page.locator("#link.lost").waitFor();
await page.locator("#link.live").waitFor();
await until("all requests are there again", async () => (await count()) === rowsBefore);
assert.equal(await effect.textContent(), effectBefore);
assert.equal(await pulse(), "in the last 10 s 1 request, 1 failed");
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
// The list keeps the newest 1,000 rows and few more, and the rest of the page goes on.
const make = (first, many) => page.evaluate(async ([first, many]) => {
  const { showRequests } = await import("/requests.js");
  const record = (number) => ({
    id: `made-${number}`, time: new Date().toISOString(), stage: "qa", method: "GET", path: `/${number}`,
    trigger: "request", status: number % 100 === 0 ? 500 : 200, duration_ms: 4, start: "warm", is_finished: true,
    database: { round_trips: 1, ms: 1, spans: [{ phase: "query", start_ms: 1, duration_ms: 1 }] },
  });
  for (let at = first; at < first + many; at += 250) {
    showRequests(Array.from({ length: Math.min(250, first + many - at) }, (_, of) => record(at + of)));
  }
}, [first, many]);
const isNewest = (number) => until(`${number} is the newest`, async () =>
  (await page.locator("#requests li .what").first().textContent()).endsWith(`/${number}`));
await make(0, 10_000);
await isNewest(9_999);
const all = await page.locator("#requests li").count();
assert.ok(all >= 1000 && all <= 1050, `${all} rows`);
const shownNumbers = await page.locator("#requests li bdi").allTextContents();
assert.deepEqual(shownNumbers.slice(0, 1000), Array.from({ length: 1000 }, (_, number) => `/${9_999 - number}`));

// Groups that are not seen cost a frame nothing, yet a screen reader has one list with each of its rows.
const groups = await page.locator("#requests > *").evaluateAll((all) =>
  all.map((group) => [group.childElementCount, getComputedStyle(group).contentVisibility]));
assert.ok(groups.length <= 42 && groups.every(([rows, visibility]) => rows <= 25 && visibility === "auto"), String(groups));
const devtools = await page.context().newCDPSession(page);
const { nodes } = await devtools.send("Accessibility.getFullAXTree");
const byNode = new Map(nodes.map((node) => [node.nodeId, node]));
const inside = (node) => node.childIds.map((id) => byNode.get(id)).flatMap((child) => (child.ignored ? inside(child) : [child]));
const [requests] = nodes.filter(({ role, name }) => role?.value === "list" && name?.value === "Requests");
const items = inside(requests);
assert.equal(items.length, all);
const isNumbered = (sets) => sets.every(([place, size], index) => place === String(index + 1) && size === String(all));
await until("the rows are numbered", async () => isNumbered(await page.locator("#requests li").evaluateAll((rows) =>
  rows.map((row) => [row.getAttribute("aria-posinset"), row.getAttribute("aria-setsize")]))));
for (const item of items) assert.deepEqual([item, ...inside(item)].map(({ role }) => role.value), ["listitem", "button", "image"]);

// Tab comes to the newest row, until another has the focus.
const stops = () => page.locator("#requests [tabindex='0'] bdi").allTextContents();
assert.deepEqual(await stops(), ["/9999"]);

// Who reads further down stays there while requests come, and the arrows go on from group to group.
const places = [30, 400, 900];
for (const [number, place] of places.entries()) {
  const row = page.locator("#requests li", { has: page.getByText(`/${9_999 - place}`, { exact: true }) });
  await row.locator("button").focus();
  const top = () => row.evaluate((row) => new Promise((resolve) =>
    requestAnimationFrame(() => requestAnimationFrame(() => resolve(row.getBoundingClientRect().top)))));
  const before = await top();
  await make(10_000 + 30 * number, 30);
  await isNewest(10_029 + 30 * number);
  const after = await top();
  assert.ok(Math.abs(after - before) < 2, `row ${place} went from ${before} to ${after}`);
}
await rows.first().locator("button").focus();
for (const [key, last] of [["ArrowDown", 60], ["ArrowUp", 0]]) {
  for (let presses = 0; presses < 60; presses += 1) await page.keyboard.press(key);
  assert.equal(await page.evaluate(() => document.activeElement.querySelector("bdi").textContent), `/${10_089 - last}`);
}
assert.equal(await page.locator("#requests [tabindex='0']").count(), 1);

// Groups without a row of the filter take no room.
const height = () => page.locator("#requests").evaluate((list) => list.getBoundingClientRect().height);
const whole = await height();
await page.getByLabel("only failed ones").check();
const failed = await rows.count();
assert.ok(failed >= 10 && failed < 20, `${failed} failed`);
assert.ok(Math.abs((await height()) - failed * 33) < 40, `${await height()} px`);
await page.getByLabel("only failed ones").uncheck();
assert.ok(Math.abs((await height()) - whole) < 2);
assert.deepEqual(page.errors, []);

const texts = page.texts.join("\n");
await browser.close();
console.log(JSON.stringify({ texts }));
