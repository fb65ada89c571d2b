// Makes the screenshots of the board, of the project whose `stagelink dev --json` wrote SUMMARY.
//
//   node screenshots.mjs SUMMARY FOLDER

import { readFileSync } from "node:fs";
import { launch, open, until } from "./browser.mjs";

const [summary, folder] = process.argv.slice(2);
const { board, stages } = JSON.parse(readFileSync(summary, "utf8").split("\n")[0]);
const [staging, production] = ["staging", "production"].map((name) => stages.find((stage) => stage.name === name).port_url);
const browser = await launch();

async function ask(site, path, options) {
  await (await fetch(site + path, options)).arrayBuffer();
}

const sign = (name) => ({
  method: "POST",
  headers: { "content-type": "application/json" },
  body: JSON.stringify({ name, message: "hello" }),
});

await ask(production, "/api/guestbook");
await ask(production, "/api/health");
await ask(staging, "/api/guestbook", sign("Ada"));
for (let number = 0; number < 3; number += 1) await ask(staging, "/api/guestbook");
await ask(staging, "/api/guestbook", { method: "POST", body: "no JSON" });
await ask(staging, "/api/health");
await ask(production, "/api/guestbook", sign("Grace"));

for (const colorScheme of ["light", "dark"]) {
  const page = await open(browser, board.url, { colorScheme, viewport: { width: 1080, height: 1000 } });
  await page.getByText("SCRAM channel binding").nth(1).waitFor();
  await until("the requests are shown", async () => (await page.locator("#requests li").count()) >= 9);
  await page.screenshot({ path: `${folder}/board-${colorScheme}.png` });
  await page.context().close();
}
await browser.close();
