/* Keyboard shortcuts: each action has a name, a label and a key that a person may change; `?` lists them all. */
import { ask } from "./ask.js";
const STORE = "echo-keys";
const NEXT_WITHIN_MS = 1500;
const CAPTURE_MS = 700;
const acts = new Map();
const dialog = document.getElementById("keys");
const own = read();
let pending = "", timer = 0;

function read() {
  try { return JSON.parse(localStorage.getItem(STORE)) || {}; } catch { return {}; }
}
export const keyOf = (name) => (typeof own[name] === "string" ? own[name] : acts.get(name).key);

/* leaves: the action leaves the page, which takes two keys; repeats: holding the key down repeats it. */
export function act(name, words, key, run, { leaves = false, repeats = false } = {}) {
  acts.set(name, { words, key, run, leaves, repeats });
  label(name);
}
export function run(name) { acts.get(name)?.run(); }

function label(name) {
  for (const one of document.querySelectorAll(`kbd[data-key-of="${name}"]`)) one.textContent = keyOf(name);
}
const typing = (target) => target.matches?.("input, select, textarea");

document.addEventListener("keydown", (event) => {
  if (event.isComposing || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  // Esc leaves a field without clearing it, as it would a search field.
  if (event.key === "Escape" && typing(event.target)) { event.preventDefault(); event.target.blur(); return; }
  if (typing(event.target) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (["Shift", "Control", "Alt", "AltGraph", "Meta"].includes(event.key)) return;
  const pressed = pending ? `${pending} ${event.key}` : event.key;
  clearTimeout(timer);
  pending = "";
  const found = [...acts].find(([name]) => keyOf(name) === pressed);
  if (found) {
    event.preventDefault();
    if (!event.repeat || found[1].repeats) found[1].run();
  } else if ([...acts.keys()].some((name) => keyOf(name).startsWith(`${pressed} `))) {
    pending = pressed;
    timer = setTimeout(() => { pending = ""; }, NEXT_WITHIN_MS);
  }
});

/* Why an action cannot have this key; empty if it can. */
function objection(name, key) {
  if (acts.get(name).leaves && !key.includes(" ")) return "An act that leaves the page needs two keys, one after the other.";
  for (const [other, { words }] of acts) {
    const used = keyOf(other);
    if (other === name) continue;
    if (used === key || used.startsWith(`${key} `) || key.startsWith(`${used} `)) return `${key} is in use: ${words}.`;
  }
  return "";
}
function set(name, key) {
  const said = dialog.querySelector("[role=status]");
  const why = objection(name, key);
  said.textContent = why || `${acts.get(name).words}: ${key}`;
  if (!why) {
    if (key === acts.get(name).key) delete own[name]; else own[name] = key;
    localStorage.setItem(STORE, JSON.stringify(own));
    label(name);
  }
}
/* Wait for one key, or two in quick succession. */
function capture(name, button) {
  const pressed = [];
  let wait = 0;
  const end = () => {
    dialog.removeEventListener("keydown", listen, true);
    button.removeEventListener("blur", end);
    clearTimeout(wait);
    if (pressed.length) set(name, pressed.join(" "));
    button.textContent = keyOf(name);
  };
  const listen = (event) => {
    if (["Shift", "Control", "Alt", "AltGraph", "Meta", "Tab", "Enter", " "].includes(event.key)) return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Escape") { pressed.length = 0; end(); return; }
    pressed.push(event.key);
    clearTimeout(wait);
    if (pressed.length === 2) end(); else wait = setTimeout(end, CAPTURE_MS);
  };
  button.textContent = "press a key";
  dialog.addEventListener("keydown", listen, true);
  button.addEventListener("blur", end);
}
function show() {
  dialog.querySelector("tbody").replaceChildren(...[...acts].map(([name, { words }]) => {
    const row = document.createElement("tr"), head = document.createElement("th"), cell = document.createElement("td");
    const button = document.createElement("button");
    head.scope = "row";
    head.textContent = words;
    button.type = "button";
    button.textContent = keyOf(name);
    button.setAttribute("aria-label", `${keyOf(name)}: change the key for: ${words}`);
    button.addEventListener("click", () => capture(name, button));
    cell.append(button);
    row.append(head, cell);
    return row;
  }));
  dialog.querySelector("[role=status]").textContent = "";
  if (!dialog.open) dialog.showModal();
}
act("help", "show these keys", "?", show);
document.getElementById("help").addEventListener("click", show);
dialog.querySelector("[data-reset]").addEventListener("click", async () => {
  if (!(await ask("Give every act its first key again?", "Reset the keys"))) return;
  for (const name of Object.keys(own)) { delete own[name]; if (acts.has(name)) label(name); }
  localStorage.removeItem(STORE);
  show();
});
