
// unmoved SITE CONTEXT…: ends the lines where functions of one of the contexts have their database
// elsewhere than on Heroku.
actions.unmoved = (siteText, ...contexts) => {
  const site = JSON.parse(siteText);
  const own = netlify("getEnvVars", site);
  // Not every member of a team may read the account's variables.
  const { status, stdout } = call("getEnvVars", { account_id: site.account_id }, "ignore");
  const shared = status === 0 ? JSON.parse(stdout) : [];
  const valueIn = (key, context) => {
    const values = [own, shared].flatMap((list) => {
      const found = list.find((variable) => variable.key === key)?.values ?? [];
      return closest(context).map((near) => found.find((value) => label(value) === near));
    });
    return values.find((value) => value !== undefined);
  };
  for (const context of contexts) {
    const provider = valueIn("STAGELINK_PROVIDER", context)?.value?.trim().toLowerCase();
    const credentials = valueIn("STAGELINK_CREDENTIALS", context)?.value ?? "";
    const names = ["STAGELINK_NEON_BRANCH", "STAGELINK_NEON_PROJECT", "STAGELINK_RENDER_POSTGRES"];
    const elsewhere = provider
      ? ["neon", "render", "url"].includes(provider) && "STAGELINK_PROVIDER"
      : (names.find((key) => valueIn(key, context)) ??
        (/\.(neon\.tech|render\.com)[:/]/i.test(credentials) && "STAGELINK_CREDENTIALS"));
    if (elsewhere)
      end(
        `${elsewhere} for ${context} says that its stage was moved from Heroku: nothing was set; ` +
          "print these lines with a token of Netlify, or for other stages with --stage",
      );
  }
};
