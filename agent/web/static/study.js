/* The report beside its findings: the sentence of a finding is marked, and the button says what it does. */
"use strict";
const editors = [...document.querySelectorAll(".editor")];
const plain = (text) => text.replace(/\s+/g, " ").trim();
const doubted = new Set([...document.querySelectorAll(".doubtful li")].map((one) => plain(one.dataset.sentence)));
const listed = sessionStorage.getItem("echo-list");
if (listed?.startsWith("/")) document.querySelector("a.back").href = listed;
let marked = "", going = false;
function paint() {
  for (const editor of editors) {
    const mirror = editor.querySelector(".mirror"), text = editor.querySelector("textarea").value;
    mirror.replaceChildren(...text.split("\n").map((line) => {
      const one = document.createElement("div");
      one.textContent = line || "\u200b";
      const words = plain(line);
      if (marked && words && (words.includes(marked) || marked.includes(words))) one.className = "evidence";
      if (doubted.has(words)) one.classList.add("doubted");
      return one;
    }));
    // A doubtful sentence that was changed or taken out is no longer the network's.
    const lines = new Set(text.split("\n").map(plain));
    for (const one of editor.nextElementSibling.children) one.hidden = !lines.has(plain(one.dataset.sentence));
  }
  const accept = document.getElementById("accept");
  if (!accept) return;
  const changed = editors.some((editor) => {
    const area = editor.querySelector("textarea");
    const lines = (text) => text.split("\n").map(plain).filter(Boolean).join("\n");
    return lines(area.value) !== lines(area.dataset.kept);
  });
  accept.textContent = changed ? "Accept with changes" : "Accept";
}
for (const editor of editors) editor.querySelector("textarea").addEventListener("input", paint);
function point(event) {
  const row = event.target.closest ? event.target.closest("tr[data-evidence]") : null;
  const evidence = row ? plain(row.dataset.evidence) : "";
  if (evidence !== marked) { marked = evidence; paint(); }
}
document.addEventListener("mouseover", point);
document.addEventListener("focusin", point);
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (event.target.matches("input, textarea, select")) event.target.blur();
  }
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey) return;
  if (event.altKey) return;
  // No single key leaves the page: it takes `g` and then `l`.
  if (event.key === "l" && going) { location.href = document.querySelector("a.back").href; return; }
  going = event.key === "g";
  if (event.key === "c") { document.getElementById("copy")?.click(); return; }
  if (event.key === "e") { event.preventDefault(); document.getElementById("text-findings")?.focus(); }
});
paint();
/* The report as plain text with its sections, for a dictation system. A draft says that it is one. */
document.getElementById("copy")?.addEventListener("click", async (event) => {
  const mark = event.currentTarget.dataset.mark;
  const sections = ["findings", "impression"].map((name) =>
    `${name.toUpperCase()}:\n${document.getElementById(`text-${name}`).value.trim()}`);
  const said = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText([mark, ...sections].filter(Boolean).join("\n\n"));
    said.textContent = "copied";
  } catch { said.textContent = "the browser does not allow it: select the text and copy it by hand"; }
});
/* Whether this is still the newest revision: asked for now and then, while somebody looks. */
const outdated = document.getElementById("outdated");
async function look() {
  if (document.hidden || !outdated.hidden) return;
  const answer = await fetch(outdated.dataset.state);
  if (!answer.ok || answer.redirected) return;
  const now = await answer.json();
  outdated.hidden = String(now.draft) === outdated.dataset.draft && String(now.revision) === outdated.dataset.revision;
}
const tick = () => look().catch(() => {});
setInterval(tick, 10000);
document.addEventListener("visibilitychange", tick);
