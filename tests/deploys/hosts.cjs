// The Netlify CLI asks one host that no setting of it names, api.netlifysdk.com, for the
// extensions of an account. Here the test's Netlify is that host, too.
const real = globalThis.fetch;
const own = "https://api.netlifysdk.com/";
globalThis.fetch = (resource, options) => {
  const url = String(resource?.url ?? resource);
  return url.startsWith(own)
    ? real(`${process.env.NETLIFY_API_URL}/${url.slice(own.length)}`, options)
    : real(resource, options);
};
