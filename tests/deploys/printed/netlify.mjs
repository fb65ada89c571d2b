// A quick stand-in of the Netlify command line, as far as printed lines use it: `netlify api`. The
// call that changes something and has the number FAIL_AT fails, FAIL_WHEN=after its request or
// before it. The file WRITES counts these calls.
import { appendFileSync, readFileSync } from "node:fs";

const { NETLIFY_API_URL, NETLIFY_AUTH_TOKEN, WRITES, FAIL_AT, FAIL_WHEN } = process.env;
const [command, method, option, data, ...more] = process.argv.slice(2);
if (command !== "api" || option !== "--data" || more.length > 0) {
  console.error(`unexpected arguments: ${command} ${option}`);
  process.exit(2);
}
const { account_id: account, site_id: site, key, id, body, ...query } = JSON.parse(data);
const variables = `accounts/${account}/env`;
const [verb, path] = {
  listSites: ["GET", "sites"],
  getSite: ["GET", `sites/${site}`],
  getEnvVars: ["GET", variables],
  createEnvVars: ["POST", variables],
  updateEnvVar: ["PUT", `${variables}/${key}`],
  setEnvVarValue: ["PATCH", `${variables}/${key}`],
  deleteEnvVarValue: ["DELETE", `${variables}/${key}/value/${id}`],
}[method];
let fails = false;
if (verb !== "GET") {
  appendFileSync(WRITES, ".");
  fails = readFileSync(WRITES).length === Number(FAIL_AT);
}
if (fails && FAIL_WHEN === "before") process.exit(1);
const url = new URL(`/api/v1/${path}`, NETLIFY_API_URL);
if (site && method !== "getSite") url.searchParams.set("site_id", site);
for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
const response = await fetch(url, {
  method: verb,
  headers: { Authorization: `Bearer ${NETLIFY_AUTH_TOKEN}`, "Content-Type": "application/json" },
  body: body && JSON.stringify(body),
});
const text = await response.text();
if (!response.ok || fails) {
  console.error(`${method}: ${response.status}`);
  process.exit(1);
}
process.stdout.write(text || '""');
