/* What was typed is never lost: kept in this browser per study, draft and revision, encrypted with a key that the
   server gives only to the same person after sign-in, until a verdict has taken it. */
const form = document.getElementById("report"), notice = document.getElementById("typed");
const OLDEST_MS = 7 * 86400 * 1000, PREFIX = "echo-typed:", WAIT_MS = 250;
const fields = form ? [...form.querySelectorAll("textarea:not([readonly]), input[name=reason], input[name=observer]")] : [];
const refused = document.getElementById("message") !== null;
const study = form?.dataset.study;
const here = form ? `${PREFIX}${study}:${form.elements.draft.value}:${form.elements.revision.value}` : "";
const present = () => Object.fromEntries(fields.map((field) => [field.name, field.value]));
// What the server has: on a slow network something may have been typed before this script runs. Of a verdict
// that was refused the page shows the text as it was sent, which the server has not.
const first = JSON.stringify(Object.fromEntries(fields.map((field) =>
  [field.name, refused ? (field.dataset.kept ?? "") : field.defaultValue])));
let leaving = false, turn = 0;
const dirty = () => !leaving && fields.length > 0 && JSON.stringify(present()) !== first;

function key() {
  const hex = document.querySelector("meta[name=typed-key]").content;
  const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}
async function keep() {
  const mine = ++turn;
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(present()));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await key(), text));
  const all = String.fromCharCode(...iv) + [...sealed].map((byte) => String.fromCharCode(byte)).join("");
  // Text discarded or typed meanwhile is not overwritten.
  if (!leaving && mine === turn) localStorage.setItem(here, JSON.stringify({ at: Date.now(), text: btoa(all) }));
}
/* Null if it does not exist, is too old, or is another person's. */
async function kept(name) {
  try {
    const { at, text } = JSON.parse(localStorage.getItem(name));
    if (Date.now() - at > OLDEST_MS) { localStorage.removeItem(name); return null; }
    const all = Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
    const opened = await crypto.subtle.decrypt({ name: "AES-GCM", iv: all.slice(0, 12) }, await key(), all.slice(12));
    return JSON.parse(new TextDecoder().decode(opened));
  } catch { return null; }
}
function put(values) {
  for (const field of fields) {
    if (typeof values[field.name] !== "string" || field.value === values[field.name]) continue;
    field.value = values[field.name];
    field.dispatchEvent(new Event("input", { bubbles: true }));
    if (field.value) field.closest("details")?.setAttribute("open", "");
  }
}
function say(words, label, act) {
  notice.querySelector("span").textContent = words;
  const button = notice.querySelector("button");
  button.hidden = !label;
  button.textContent = label;
  button.onclick = () => { notice.hidden = true; act(); };
  notice.hidden = false;
}
async function begin() {
  const sent = sessionStorage.getItem("echo-sent");
  sessionStorage.removeItem("echo-sent");
  // After an accepted verdict the page shows another draft, without a message.
  if (sent && sent !== here && !refused) localStorage.removeItem(sent);
  if (refused) { if (dirty()) await keep(); return; }
  const mine = await kept(here);
  if (mine && JSON.stringify(mine) !== first) {
    if (dirty() && JSON.stringify(mine) !== JSON.stringify(present())) {
      say("You had typed another text here before.", "Put it into the report", () => put(mine));
      return;
    }
    put(mine);
    say("The text that you had typed here is back.", "Discard it", () => { put(JSON.parse(first)); forget(); });
    return;
  }
  if (dirty()) await keep();
  for (const name of Object.keys(localStorage)) {
    if (!name.startsWith(`${PREFIX}${study}:`) || name === here) continue;
    const other = await kept(name);
    if (!other) continue;
    say("You typed a text on an earlier draft of this study.", "Put it into the report", () => put(other));
    return;
  }
}
let timer = 0;
function forget() { clearTimeout(timer); turn += 1; localStorage.removeItem(here); }
if (fields.length && window.crypto?.subtle) {
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => keep().catch(() => {}), WAIT_MS); });
  begin().catch(() => {});
  window.addEventListener("storage", (event) => {
    if (event.key === here && event.newValue) say("This draft is being edited in another tab too: only the last change is kept.", "", () => {});
  });
}
/* When the form is sent, the typed text is kept until the next page confirms that it was accepted. */
export function sent() { leaving = true; sessionStorage.setItem("echo-sent", here); }
document.addEventListener("echo:leave", () => { leaving = true; });
window.addEventListener("pageshow", (event) => { if (event.persisted) leaving = false; });
window.addEventListener("beforeunload", (event) => { if (dirty()) event.preventDefault(); });
