/* The list. Filters, order and row are in the URL, which can be bookmarked and works with the browser's `back`. */
import { act } from "./keys.js";
import { follow } from "./live.js";
import { MOST, PAGE, pageOf, rowsOf } from "./rows.js";
const PLAIN = { show: "open", urgent: "any", order: "urgency", reverse: "" };
const TYPING_MS = 150, AGAIN_MS = 5000;
const list = document.getElementById("list"), filters = document.getElementById("filters");
const search = document.getElementById("search"), news = document.getElementById("news");
const stale = document.getElementById("stale");
let chosen = new URLSearchParams(location.hash.slice(1)).get("row") || "";
// Rows that the URL requests and that are not loaded yet: until they are, the URL keeps their number.
let wanted = counted(new URLSearchParams(location.search));
let running = null, polling = false, missed = false, again = 0, since = new Date();

const rows = () => [...list.querySelectorAll("tr.study")];
const row = (study) => list.querySelector(`tr.study[data-study="${CSS.escape(study)}"]`);
const mark = () => rows().forEach((one) => one.classList.toggle("chosen", one.dataset.study === chosen));
const shown = () => Math.min(MOST, Math.max(PAGE, wanted, rows().length));

function counted(asked) { return Math.min(MOST, Math.max(PAGE, Number(asked.get("limit")) || PAGE)); }
function address() {
  const asked = [...new FormData(filters)].filter(([name, value]) => value && value !== (PLAIN[name] ?? ""));
  if (shown() > PAGE) asked.push(["limit", shown()]);
  const query = new URLSearchParams(asked).toString();
  return `/${query ? `?${query}` : ""}${chosen ? `#row=${chosen}` : ""}`;
}
function remember(push = false) {
  const now = address();
  if (push && now.split("#")[0] !== location.pathname + location.search) history.pushState(null, "", now);
  else if (now !== location.pathname + location.search + location.hash) history.replaceState(null, "", now);
  sessionStorage.setItem("echo-list", now.split("#")[0]);
}
/* The browser went back or forward: set the controls from the URL. */
function restore() {
  const asked = new URLSearchParams(location.search);
  chosen = new URLSearchParams(location.hash.slice(1)).get("row") || "";
  for (const field of filters.elements) if (field.name) field.value = asked.get(field.name) ?? PLAIN[field.name] ?? "";
  return show(counted(asked));
}
/* Load the rows for the controls, from the top, or one more page; a poll is a request that no person made. */
async function show(count, { poll = false, further = "" } = {}) {
  const mine = new AbortController();
  if (running) { running.abort(); missed ||= polling; }
  running = mine;
  polling = poll;
  if (!further) wanted = count;
  clearTimeout(again);
  list.setAttribute("aria-busy", String(!poll));
  try {
    if (further) append(await pageOf(further, false, mine.signal));
    else {
      const rows = await rowsOf(new URLSearchParams(new FormData(filters)), count, poll, mine.signal);
      // On a slow network the pointer may have begun to move meanwhile.
      if (poll) await live.calm();
      if (running !== mine) return;
      put(rows);
    }
    stale.hidden = true;
    if (poll) news.textContent = "The list has been updated.";
  } catch {
    if (running !== mine) return;
    outdated();
    // A request by a person is not lost with the connection.
    again = setTimeout(() => show(count, { poll, further }), AGAIN_MS);
  } finally {
    if (running === mine) {
      running = null;
      list.setAttribute("aria-busy", "false");
      if (missed) { missed = false; live.changed(); }
    }
  }
}
function put(content) {
  const here = document.activeElement.closest?.("tr.study")?.dataset.study;
  list.replaceChildren(content);
  wanted = 0;
  since = new Date();
  mark();
  remember();
  if (here) row(here)?.querySelector("th a")?.focus({ preventScroll: true });
}
function append(content) {
  const first = content.querySelector("tr.study");
  list.querySelector("tr.more").replaceWith(content);
  wanted = 0;
  mark();
  remember();
  first?.querySelector("th a").focus({ preventScroll: true });
}
function outdated() {
  stale.textContent = `The server does not answer. This list is as of ${since.toLocaleTimeString()}.`;
  stale.hidden = false;
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
  show(PAGE);
});
filters.addEventListener("submit", (event) => { event.preventDefault(); show(PAGE); });
let typing = 0;
search.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(() => show(PAGE), TYPING_MS); });
window.addEventListener("popstate", restore);
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
  // The second click of a double click would open the row that has replaced "Show more" or a chip.
  if (event.detail > 1) { event.preventDefault(); return; }
  const more = event.target.closest("tr.more button");
  if (more) { if (!running || polling) show(0, { further: more.dataset.more }); return; }
  const one = event.target.closest("tr.study");
  if (one) { chosen = one.dataset.study; mark(); remember(); }
  if (one && !event.target.closest("a, button") && !getSelection().toString()) location.href = one.querySelector("th a").href;
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

const live = follow(list, {
  latest: () => list.querySelector(".count")?.dataset.latest,
  load: () => { if (running) missed = true; else show(shown(), { poll: true }); },
  lost: outdated,
  back: () => { if (!running) stale.hidden = true; },
});
const scroll = () => { if (chosen) row(chosen)?.scrollIntoView({ block: "nearest" }); };
if (list.dataset.search !== location.search.slice(1)) {
  // On a slow network the browser went back or forward before this script ran: these are the rows of another URL.
  restore().then(scroll);
} else {
  const more = wanted > rows().length && list.querySelector("tr.more");
  if (!more) wanted = 0;
  mark();
  remember();
  scroll();
  if (more) show(wanted).then(scroll);
}
