// Shows the guestbook of the stage that this site is, and lets people sign it.

const at = (id) => document.getElementById(id);
const form = at("form");
const list = at("entries");
let next = null;
// The entry that is being sent, and its key: sent again after a failure, it is kept once.
let sending = { body: null, key: null };

async function ask(path, options) {
  const response = await fetch(path, options);
  const body = await response.json().catch(() => ({}));
  if (!response.ok) throw Object.assign(new Error(body.detail ?? `HTTP ${response.status}`), body);
  return body;
}

function item(entry) {
  const when = new Date(entry.created_at);
  const time = Object.assign(document.createElement("time"), {
    dateTime: entry.created_at,
    textContent: when.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" }),
  });
  const name = Object.assign(document.createElement("strong"), { textContent: entry.name });
  const head = document.createElement("header");
  head.append(name, time);
  const message = Object.assign(document.createElement("p"), { textContent: entry.message });
  const li = document.createElement("li");
  li.append(head, message);
  return li;
}

function complain(error) {
  at("problem").textContent = error.message;
  at("problem").hidden = false;
  const wrong = new Set((error.errors ?? []).map((one) => one.field));
  for (const field of ["name", "message"]) {
    form.elements[field].setAttribute("aria-invalid", String(wrong.has(field)));
  }
}

function settle() {
  at("problem").hidden = true;
  for (const field of ["name", "message"]) form.elements[field].removeAttribute("aria-invalid");
}

async function show(cursor) {
  const page = await ask(`/api/guestbook${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);
  document.body.dataset.stage = page.stage;
  at("stage").textContent = page.stage;
  document.title = `Guestbook · ${page.stage}`;
  list.append(...page.entries.map(item));
  next = page.next;
  at("more").hidden = next === null;
  at("empty").hidden = list.childElementCount > 0;
}

async function health() {
  try {
    const { phases } = await ask("/api/health");
    at("health").textContent = `The database answered in ${phases.query_ms} ms.`;
  } catch (error) {
    at("health").textContent = error.message;
  }
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const button = form.querySelector("button");
  button.disabled = true;
  const body = JSON.stringify(Object.fromEntries(new FormData(form)));
  if (sending.body !== body) sending = { body, key: crypto.randomUUID() };
  try {
    const entry = await ask("/api/guestbook", {
      method: "POST",
      headers: { "content-type": "application/json", "idempotency-key": sending.key },
      body,
    });
    sending = { body: null, key: null };
    settle();
    list.prepend(item(entry));
    at("empty").hidden = true;
    form.elements.message.value = "";
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
});

at("more").addEventListener("click", () => show(next).catch(complain));

show(null)
  .catch((error) => {
    at("stage").textContent = "no database";
    complain(error);
  })
  .then(health);
