
// variable SITE NAME [functions] [secret] [keep CONTEXT | remove CONTEXT | set CONTEXT VALUE]…
// changes a variable of the site. Values of other contexts stay. `functions` and `secret` are the
// form that a variable gets whose values are set; `keep` makes an inherited value the context's own.
actions.variable = (siteText, key, ...words) => {
  const site = JSON.parse(siteText);
  let scopes;
  let isSecret = false;
  const [keep, remove, set] = [[], [], new Map()];
  while (words.length > 0) {
    const word = words.shift();
    if (word === "functions") scopes = ["functions"];
    else if (word === "secret") isSecret = true;
    else if (word === "keep") keep.push(words.shift());
    else if (word === "remove") remove.push(words.shift());
    else set.set(words.shift(), words.shift());
  }
  const advice = scopes && "; on a Netlify plan without scopes print the lines with --without-scopes";
  const whole = (values) => ({
    key,
    is_secret: isSecret,
    values: values.map(([context, value]) => withValue(context, value)),
    ...(scopes && { scopes }),
  });
  const done = (what) => console.log(`${key}: ${what}`);

  const current = netlify("getEnvVars", site).find((variable) => variable.key === key);
  if (!current) {
    if (set.size > 0) {
      netlify("createEnvVars", { ...site, body: [whole([...set])] }, advice);
      done("created");
    }
    return;
  }
  const values = new Map((current.values ?? []).map((value) => [label(value), value]));
  const isSecretNow = current.is_secret ?? false;
  const isRemoved = (context) =>
    remove.includes(context) || (context.startsWith("branch:") && remove.includes("branch:*"));

  const hasForm = isSecretNow === isSecret && (!scopes || String(current.scopes) === "functions");
  if (set.size > 0 && !hasForm) {
    const rest = [...values.keys()].filter((context) => !set.has(context) && !isRemoved(context));
    const removal = `remove it with \`netlify env:unset ${key}\`, and run these lines again`;
    if (isSecretNow && rest.length > 0)
      end(`${key} needs another form, but its secret for ${rest[0]} cannot be read: ${removal}`);
    if (isSecret && rest.includes("all"))
      end(`${key} has to become a secret, but has a value for all contexts: ${removal}`);
    const all = [...set, ...rest.map((context) => [context, values.get(context).value])];
    netlify("updateEnvVar", { ...site, key, body: whole(all) }, advice);
    return done("replaced");
  }
  const setOne = (context, value) => {
    netlify("setEnvVarValue", { ...site, key, body: withValue(context, value) });
    done(`set for ${context}`);
  };
  for (const context of keep) {
    const from = closest(context).find((context) => values.has(context));
    if (from === undefined || from === context) continue;
    if (isSecretNow) end(`${key} for ${from} has become a secret, which cannot be read: link again`);
    setOne(context, values.get(from).value);
  }
  for (const [context, { id }] of values) {
    if (!isRemoved(context)) continue;
    netlify("deleteEnvVarValue", { ...site, key, id });
    done(`removed for ${context}`);
  }
  for (const [context, value] of set)
    if (isSecretNow || values.get(context)?.value !== value) setOne(context, value);
};
