
// site NAME_OR_ID: prints the account and the id of a site.
actions.site = (site) => {
  const isId = /^[0-9a-f-]{36}$/i.test(site);
  const named = isId ? [] : netlify("listSites", { name: site, filter: "all" });
  const found =
    named.find(({ name }) => name === site) ?? netlify("getSite", { site_id: site });
  console.log(JSON.stringify({ account_id: found.account_slug ?? found.account_id, site_id: found.id }));
};
