// Speaks with the board's server. The key comes in the address behind "#", which no server is sent.

const KEY = "stagelink-board-key";

/** Takes the key out of the address, and keeps it for this tab. */
function takeKey() {
  const key = location.hash.slice(1);
  if (key) {
    sessionStorage.setItem(KEY, key);
    history.replaceState(null, "", location.pathname);
  }
}

takeKey();

const headers = () => ({ Authorization: `Bearer ${sessionStorage.getItem(KEY)}` });

/** Sends a request, and returns the JSON of the answer. Throws the reason of a refusal. */
export async function call(method, path, body) {
  const options = { method, headers: headers(), cache: "no-store" };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(path, options);
  } catch {
    throw new Error("stagelink dev does not answer");
  }
  const text = await response.text();
  if (!response.ok) throw new Error(reasonOf(text, response.status));
  return text ? JSON.parse(text) : null;
}

/** Returns a failure as lines: the error, its parts, and its causes. */
export function textOf({ error, details = [], because = [] }) {
  // The sentence of the error ends with the parts.
  const parts = details.length > 0 ? error.indexOf(details[0]) : -1;
  const head = parts > 0 ? error.slice(0, parts).trimEnd() : error;
  return [head, ...details, ...because.map((cause) => `because: ${cause}`)].join("\n");
}

function reasonOf(text, status) {
  try {
    return textOf(JSON.parse(text));
  } catch {
    return text || `the answer is ${status}`;
  }
}

/**
 * Listens to the feed for ever. `on` has a function for each event by its name; `state` is told
 * "live", "lost" or "locked".
 */
export async function listen(on, state) {
  addEventListener("hashchange", () => {
    takeKey();
    location.reload();
  });
  for (;;) {
    if (!sessionStorage.getItem(KEY)) {
      state("locked");
      return;
    }
    try {
      const response = await fetch("/api/events", { headers: headers(), cache: "no-store" });
      if (response.status === 401) {
        sessionStorage.removeItem(KEY);
        continue;
      }
      if (response.ok) {
        state("live");
        await read(response.body, on);
      }
    } catch (error) {
      if (!(error instanceof TypeError)) console.error(error);
    }
    state("lost");
    await new Promise((resolve) => setTimeout(resolve, 1000));
  }
}

/** Reads server-sent events to their end. */
async function read(body, on) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    let end;
    while ((end = text.indexOf("\n\n")) >= 0) {
      dispatch(text.slice(0, end), on);
      text = text.slice(end + 2);
    }
  }
}

function dispatch(event, on) {
  let name = "";
  const data = [];
  for (const line of event.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    else if (line.startsWith("data:")) data.push(line.slice(5));
  }
  on[name]?.(JSON.parse(data.join("\n") || "null"));
}
