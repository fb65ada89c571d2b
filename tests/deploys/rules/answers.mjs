// Asks Netlify's parsers and engine about sites. Reads `[site, …]` as JSON from standard input, and
// prints one answer for each. The packages are those of the folder in the first argument.
//
// A site has the texts of its files (`toml`, `redirects`, `headers`), the indices of the redirects
// that its requests are matched with (`matched`), and `requests`.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const tools = createRequire(pathToFileURL(join(process.argv[2], "package.json")));
const load = (name) => import(pathToFileURL(join(process.argv[2], "node_modules", name)));
const { parseAllRedirects } = await load("@netlify/redirect-parser/lib/index.js");
const { parseAllHeaders } = await load("@netlify/headers-parser/lib/index.js");
const engine = tools("netlify-redirector");
const options = { jwtSecret: "", jwtRole: "" };

// The engine's names for what the parser returns, as the Netlify CLI passes it on.
const engineRule = ({ from, query, signed, ...rule }) => ({ ...rule, origin: from, params: query });

const match = (matcher, { path, query, language, country, cookies }) => {
  const headers = { "x-language": language, "x-country": country };
  const found = matcher.match({
    scheme: "https",
    host: "site.test",
    path: decodeURIComponent(path),
    query,
    headers,
    cookieValues: cookies,
    getHeader: (name) => headers[name.toLowerCase()] ?? "",
    getCookie: (name) => cookies[name] ?? "",
    method: "GET",
  });
  return found && [found.to, found.status, found.force];
};

const answer = async (folder, { toml, redirects, headers, matched, requests }) => {
  const file = (name) => join(folder, name);
  await writeFile(file("netlify.toml"), toml);
  await writeFile(file("_redirects"), redirects);
  await writeFile(file("_headers"), headers);
  const netlifyConfigPath = file("netlify.toml");
  const redirectsFiles = [file("_redirects")];
  const parsed = await parseAllRedirects({ redirectsFiles, netlifyConfigPath, minimal: false });
  const headersFiles = [file("_headers")];
  const blocks = await parseAllHeaders({ headersFiles, netlifyConfigPath, minimal: false });
  const rules = JSON.stringify(matched.map((at) => engineRule(parsed.redirects[at])));
  const matcher = await engine.parseJSON(rules, options);
  return {
    redirects: parsed.redirects.map(({ scheme, host, path, proxy, ...rule }) => rule),
    redirectErrors: parsed.errors.map(({ message }) => message),
    headers: blocks.headers.map(({ for: path, values }) => ({ path, values })),
    headerErrors: blocks.errors.map(({ message }) => message),
    matches: requests.map((request) => match(matcher, request)),
    headerMatches: requests.map(({ path }) =>
      blocks.headers.map(({ forRegExp }) => forRegExp.test(decodeURIComponent(path))),
    ),
  };
};

let input = "";
for await (const part of process.stdin) input += part;
const folder = await mkdtemp(join(tmpdir(), "rules-"));
const answers = [];
for (const site of JSON.parse(input)) answers.push(await answer(folder, site));
await rm(folder, { recursive: true });
console.log(JSON.stringify(answers));
