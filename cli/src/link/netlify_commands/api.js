// Calls Netlify's API through its command line, and says what fails. No message repeats a value.
const { spawnSync } = require("child_process");

const end = (message) => {
  console.error(message);
  process.exit(1);
};

// CI=1: without it the command line sends its arguments, and the values in them, as telemetry.
const call = (method, parameters, stderr = "inherit") =>
  spawnSync("netlify", ["api", method, "--data", JSON.stringify(parameters)], {
    env: { ...process.env, CI: "1" },
    encoding: "utf8",
    maxBuffer: 2 ** 28,
    stdio: ["ignore", "pipe", stderr],
  });

const netlify = (method, parameters, advice = "") => {
  const { error, status, stdout } = call(method, parameters);
  if (error) end(`could not run netlify (${error.code}): npm install --global netlify-cli`);
  const of = parameters.key ? ` of ${parameters.key}` : "";
  if (status !== 0) end(`netlify api ${method}${of} failed${advice}`);
  try {
    return JSON.parse(stdout);
  } catch {
    return end(`netlify api ${method}${of} printed no JSON`);
  }
};

// A deploy context as the arguments have it, such as production or branch:staging.
const label = ({ context, context_parameter: branch }) =>
  context === "branch" && branch ? `branch:${branch}` : (context ?? "all");

const withValue = (context, value) =>
  context.startsWith("branch:")
    ? { context: "branch", context_parameter: context.slice("branch:".length), value }
    : { context, value };

// The contexts whose values apply in a context, the closest first.
const closest = (context) =>
  context.startsWith("branch:") ? [context, "branch-deploy", "all"] : [context, "all"];

const actions = {};
