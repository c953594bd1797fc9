/* What was typed is never lost: kept in this browser per study, draft and revision, encrypted with a key that only
   the same person gets from the server after sign-in, until a verdict has taken it. */
"use strict";
const form = document.getElementById("report");
const notice = document.getElementById("typed");
const areas = form ? [...form.querySelectorAll("textarea:not([readonly])")] : [];
const OLDEST_MS = 7 * 86400 * 1000;
const PREFIX = "echo-typed:";
const study = form ? form.action.split("/").at(-2) : "";
const here = form ? `${PREFIX}${study}:${form.elements.draft.value}:${form.elements.revision.value}` : "";
const present = () => Object.fromEntries(areas.map((area) => [area.name, area.value]));
let sending = false;
const first = JSON.stringify(present());
const dirty = () => !sending && areas.length > 0 && JSON.stringify(present()) !== first;
function key() {
  const hex = document.querySelector("meta[name=typed-key]").content;
  const bytes = Uint8Array.from(hex.match(/../g), (pair) => parseInt(pair, 16));
  return crypto.subtle.importKey("raw", bytes, "AES-GCM", false, ["encrypt", "decrypt"]);
}
async function keep() {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const text = new TextEncoder().encode(JSON.stringify(present()));
  const sealed = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, await key(), text));
  const all = String.fromCharCode(...iv) + [...sealed].map((byte) => String.fromCharCode(byte)).join("");
  if (!sending) localStorage.setItem(here, JSON.stringify({ at: Date.now(), text: btoa(all) }));
}
/* Null for what is not there, too old, or another person's. */
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
  for (const area of areas) {
    if (typeof values[area.name] !== "string") continue;
    area.value = values[area.name];
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
function say(words, label, act) {
  notice.querySelector("span").textContent = words;
  const button = notice.querySelector("button");
  button.textContent = label;
  button.onclick = () => { notice.hidden = true; act(); };
  notice.hidden = false;
}
async function begin() {
  const sent = sessionStorage.getItem("echo-sent");
  sessionStorage.removeItem("echo-sent");
  // A verdict that was taken shows another draft, without a message.
  if (sent && sent !== here && !document.getElementById("message")) localStorage.removeItem(sent);
  const mine = await kept(here);
  if (mine && JSON.stringify(mine) !== first && !document.getElementById("message")) {
    const before = JSON.parse(first);
    put(mine);
    say("The text that you had typed here is back.", "Discard it", () => { put(before); localStorage.removeItem(here); });
    return;
  }
  for (const name of Object.keys(localStorage)) {
    if (!name.startsWith(`${PREFIX}${study}:`) || name === here) continue;
    const other = await kept(name);
    if (!other) continue;
    say("You typed a text on an earlier draft of this study.", "Put it into the report", () => put(other));
    return;
  }
}
if (areas.length && window.crypto?.subtle) {
  let timer = 0;
  form.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => keep().catch(() => {}), 250); });
  begin().catch(() => {});
}
form?.addEventListener("submit", () => { sending = true; sessionStorage.setItem("echo-sent", here); });
window.addEventListener("pageshow", (event) => { if (event.persisted) sending = false; });
window.addEventListener("beforeunload", (event) => { if (dirty()) event.preventDefault(); });
