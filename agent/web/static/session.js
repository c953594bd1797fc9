/* The session of an open page: the token of its forms, and sign-in in place when the session has ended, so that
   nothing that was typed is lost and the request is sent after all. */
const IN_PLACE = { "X-In-Place": "yes" };
const ACTIVE_EVERY_MS = 60000, ANSWER_WITHIN_MS = 60000;
const dialog = document.getElementById("sign-in-again");
const channel = new BroadcastChannel("echo-session");
const meta = (name) => document.querySelector(`meta[name=${name}]`);
// The number of sign-ins: a 401 to a request that was sent before the last one asks for no other.
let waiting = null, signIns = 0;

export const token = () => meta("form-token").content;

function take(session) {
  const person = meta("person");
  if (person.content && person.content !== session.name) {
    // Another person must not see what the first one typed; it stays in this browser, encrypted.
    document.dispatchEvent(new Event("echo:leave"));
    location.reload();
    return false;
  }
  person.content = session.name;
  meta("form-token").content = session.form_token;
  meta("typed-key").content = session.typed_key;
  for (const field of document.querySelectorAll("input[name=form_token]")) field.value = session.form_token;
  return true;
}

/* Make sure that there is a session and that the forms have its token; asks for sign-in if necessary. */
export async function fresh(headers = {}) {
  for (;;) {
    const before = signIns;
    const answer = await fetch("/session", { headers: { ...IN_PLACE, ...headers } });
    if (answer.status === 401) { await signIn(before); continue; }
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    if (!take(await answer.json())) await new Promise(() => {});
    return;
  }
}

/* Send a form's fields; after sign-in in place, send them again. */
export async function post(address, fields) {
  for (let attempt = 0; ; attempt += 1) {
    const body = new URLSearchParams({ ...fields, form_token: token() });
    const answer = await fetch(address, { method: "POST", body, headers: IN_PLACE });
    if (attempt || (answer.status !== 401 && answer.status !== 403)) return answer;
    await fresh();
  }
}

/* Read something; null if the answer is an error other than an ended session. */
export async function read(address, headers = {}, signal = null) {
  for (;;) {
    const before = signIns;
    const late = AbortSignal.timeout(ANSWER_WITHIN_MS);
    const ends = signal ? AbortSignal.any([signal, late]) : late;
    const answer = await fetch(address, { headers: { ...IN_PLACE, ...headers }, signal: ends });
    if (answer.status === 401) { await signIn(before); continue; }
    return answer.ok && !answer.redirected ? answer : null;
  }
}

/* Ask for sign-in, unless there was one since the request was sent, when there had been `before` of them. */
async function signIn(before) {
  if (before !== signIns) return;
  waiting ??= new Promise((done) => {
    // While nobody is signed in, neither page nor title shows a patient.
    const title = document.title;
    const finish = () => { document.title = title; dialog.close(); waiting = null; signIns += 1; done(); };
    document.title = "Sign in · ECHO Agent";
    dialog.finish = finish;
    say("");
    dialog.showModal();
  });
  await waiting;
}

function say(words) {
  const message = dialog.querySelector("[role=alert]");
  message.textContent = words;
  message.hidden = !words;
}

async function withPassword(form) {
  const start = await (await fetch("/sign-in", { headers: IN_PLACE })).json();
  const fields = { form_token: start.form_token, name: form.elements.name.value, password: form.elements.password.value };
  const answer = await fetch("/sign-in", { method: "POST", body: new URLSearchParams(fields), headers: IN_PLACE });
  form.elements.password.value = "";
  const said = await answer.json();
  if (!answer.ok) { say(said.message); form.elements.password.focus(); return; }
  channel.postMessage("signed-in");
  if (take(said)) dialog.finish();
}

/* Another window of this browser has signed in: a popup at the provider, or another tab. */
async function elsewhere() {
  if (!waiting) return;
  const answer = await fetch("/session", { headers: IN_PLACE });
  if (answer.ok && take(await answer.json())) dialog.finish();
}

dialog.addEventListener("cancel", (event) => event.preventDefault());
dialog.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  withPassword(event.target).catch(() => say("The server does not answer. Try again."));
});
dialog.querySelector(".openid")?.addEventListener("click", () => {
  if (!window.open("/sign-in/openid/?popup=1", "echo-sign-in", "popup,width=520,height=680")) {
    say("The browser did not open the window: allow pop-up windows for this site.");
  }
});
channel.addEventListener("message", () => elsewhere().catch(() => {}));

/* A person who reads without any request to the server keeps the session open too. */
let acted = false;
for (const kind of ["pointerdown", "keydown", "wheel"]) {
  document.addEventListener(kind, () => { acted = true; }, { capture: true, passive: true });
}
if (!document.querySelector(".sign-in")) {
  setInterval(() => { if (acted && !waiting) { acted = false; fresh().catch(() => {}); } }, ACTIVE_EVERY_MS);
}
/* The same for htmx: every request carries the token, and one without a session is repeated after sign-in. */
document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-Form-Token"] = token(); });
document.addEventListener("htmx:responseError", async (event) => {
  const { xhr, requestConfig } = event.detail;
  if ((xhr.status !== 401 && xhr.status !== 403) || requestConfig.headers["X-Again"]) return;
  await fresh();
  const { verb, path, elt } = requestConfig;
  htmx.ajax(verb.toUpperCase(), path, { source: elt, headers: { "X-Again": "yes" } });
});
