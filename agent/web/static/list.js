/* The list. Filters, order and row live in the address: it can be kept, and the browser's way back leads to it. */
import { act } from "./keys.js";
const PLAIN = { show: "open", urgent: "any", order: "urgency", reverse: "" };
const PAGE = 50, LONGEST = 500;
// The list stays still under a pointer that moves, so that nobody opens the row that has just taken another's place.
const STILL_MS = 700, LONGEST_STILL_MS = 15000;
const list = document.getElementById("list"), filters = document.getElementById("filters");
const search = document.getElementById("search"), news = document.getElementById("news");
let chosen = new URLSearchParams(location.hash.slice(1)).get("row") || "";
let focused = "", moved = 0, due = 0;

const rows = () => [...list.querySelectorAll("tr.study")];
const row = (study) => list.querySelector(`tr.study[data-study="${CSS.escape(study)}"]`);
const mark = () => rows().forEach((one) => one.classList.toggle("chosen", one.dataset.study === chosen));
const shown = () => Math.min(LONGEST, Math.max(PAGE, rows().length));

function address() {
  const asked = [...new FormData(filters)].filter(([name, value]) => value && value !== (PLAIN[name] ?? ""));
  if (shown() > PAGE) asked.push(["limit", shown()]);
  const query = new URLSearchParams(asked).toString();
  return `/${query ? `?${query}` : ""}${chosen ? `#row=${chosen}` : ""}`;
}
function remember(push = false) {
  const now = address();
  if (push && now.split("#")[0] !== location.pathname + location.search) history.pushState(null, "", now);
  else history.replaceState(null, "", now);
  sessionStorage.setItem("echo-list", now.split("#")[0]);
}
/* The browser went back or forth: the controls say what the address says. */
function restore() {
  const asked = new URLSearchParams(location.search);
  chosen = new URLSearchParams(location.hash.slice(1)).get("row") || "";
  for (const field of filters.elements) if (field.name) field.value = asked.get(field.name) ?? PLAIN[field.name] ?? "";
  load({}, Math.min(LONGEST, Math.max(PAGE, Number(asked.get("limit")) || PAGE)));
}
const load = (headers, limit = shown()) =>
  htmx.ajax("GET", "/", { target: "#list", source: "#filters", values: { limit }, headers });
function refresh() {
  const now = Date.now(), first = !due;
  due ||= now;
  if (now - moved < STILL_MS && now - due < LONGEST_STILL_MS) {
    if (first) setTimeout(function again() {
      if (Date.now() - moved < STILL_MS && Date.now() - due < LONGEST_STILL_MS) setTimeout(again, 100); else refresh();
    }, 100);
    return;
  }
  due = 0;
  load({ "X-Poll": "yes" });
  news.textContent = "The list has been updated.";
}
function order(name, reverse) {
  filters.elements.order.value = name;
  filters.elements.reverse.value = reverse;
  filters.elements.order.dispatchEvent(new Event("change", { bubbles: true }));
}
function move(step) {
  const all = rows();
  if (!all.length) return;
  const at = all.findIndex((one) => one.dataset.study === chosen);
  const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
  chosen = next.dataset.study;
  mark();
  remember();
  next.querySelector("th a").focus();
  next.scrollIntoView({ block: "nearest" });
}

filters.addEventListener("change", (event) => {
  if (event.target.name === "order" && event.isTrusted) filters.elements.reverse.value = "";
  remember(true);
});
search.addEventListener("input", () => remember());
window.addEventListener("popstate", restore);
list.addEventListener("pointermove", () => { moved = Date.now(); }, { passive: true });
list.addEventListener("pointerdown", () => { moved = Date.now(); }, { passive: true });
list.addEventListener("click", (event) => {
  const plainClick = !event.ctrlKey && !event.metaKey && !event.shiftKey;
  const chip = event.target.closest("a.chip"), head = event.target.closest("a[data-order]");
  if (chip && plainClick) {
    event.preventDefault();
    filters.elements.finding.value = chip.dataset.finding;
    filters.elements.finding.dispatchEvent(new Event("change", { bubbles: true }));
    return;
  }
  if (head && plainClick) { event.preventDefault(); order(head.dataset.order, head.dataset.reverse); return; }
  const one = event.target.closest("tr.study");
  if (one) { chosen = one.dataset.study; mark(); remember(); }
  if (one && !event.target.closest("a, button") && !getSelection().toString()) location.href = one.querySelector("th a").href;
});
document.addEventListener("htmx:beforeSwap", () => {
  const here = document.activeElement.closest?.("tr.study");
  focused = here ? here.dataset.study : "";
});
document.addEventListener("htmx:afterSwap", () => {
  mark();
  remember();
  if (focused) row(focused)?.querySelector("th a")?.focus({ preventScroll: true });
});
act("down", "list: next row", "j", () => move(1), { repeats: true });
act("up", "list: previous row", "k", () => move(-1), { repeats: true });
act("search", "list: search", "/", () => search.focus());
document.addEventListener("keydown", (event) => {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step || event.target.matches("input, select, textarea") || document.querySelector("dialog[open]")) return;
  event.preventDefault();
  move(step);
});

// A browser has six connections for this site; a list that nobody looks at holds none of them.
let live = null, before = false;
function listen() {
  if (document.hidden) { live?.close(); live = null; return; }
  if (live) return;
  live = new EventSource("/live");
  live.addEventListener("changed", refresh);
  if (before) refresh();
  before = true;
}
mark();
remember();
listen();
if (chosen) row(chosen)?.scrollIntoView({ block: "nearest" });
document.addEventListener("visibilitychange", listen);
window.addEventListener("pagehide", () => { live?.close(); live = null; });
window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
