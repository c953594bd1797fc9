/* The report beside its findings: the sentence of a finding is marked, and the button says what it does. */
"use strict";
const editors = [...document.querySelectorAll(".editor")];
const plain = (text) => text.replace(/\s+/g, " ").trim();
let marked = "";
function paint() {
  for (const editor of editors) {
    const mirror = editor.querySelector(".mirror"), text = editor.querySelector("textarea").value;
    mirror.replaceChildren(...text.split("\n").map((line) => {
      const one = document.createElement("div");
      one.textContent = line || "\u200b";
      const words = plain(line);
      if (marked && words && (words.includes(marked) || marked.includes(words))) one.className = "evidence";
      return one;
    }));
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
    if (event.target.matches("input, textarea")) event.target.blur(); else location.href = "/";
  }
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey) return;
  if (event.key === "e") { event.preventDefault(); document.getElementById("text-findings")?.focus(); }
});
paint();
