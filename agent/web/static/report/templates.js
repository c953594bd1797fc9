/* Text templates: inserted as separate lines, after asking if they contradict the report. */
import { ask } from "../ask.js";
import { post } from "../session.js";
import { texts } from "./editor.js";
const choice = document.getElementById("template"), said = document.getElementById("template-said");

/* After the line of the cursor, never inside a sentence; an empty line is filled. */
function inserted(area, text) {
  const value = area.value, end = value.indexOf("\n", area.selectionEnd), at = end < 0 ? value.length : end;
  const line = value.slice(value.lastIndexOf("\n", at - 1) + 1, at).trim();
  return { at, words: line || !value.trim() && value ? `\n${text}` : text };
}
async function insert() {
  const option = choice.selectedOptions[0], area = document.getElementById(`text-${option.dataset.section}`);
  const before = texts(), { at, words } = inserted(area, option.dataset.text);
  const after = { ...before, [area.name]: before[area.name].slice(0, at) + words + before[area.name].slice(at) };
  const answer = await post("/templates/check", {
    template: option.value, ...before, new_findings: after.findings, new_impression: after.impression,
  });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const { opposed } = await answer.json();
  if (opposed.length && !(await ask("This template does not agree with the report:", "Insert it all the same", opposed))) return;
  if (JSON.stringify(texts()) !== JSON.stringify(before)) { said.textContent = "The text has changed meanwhile: choose again."; return; }
  area.focus();
  area.setSelectionRange(at, at);
  // The editing command preserves the browser's undo.
  if (!document.execCommand("insertText", false, words)) {
    area.setRangeText(words, at, at, "end");
    area.dispatchEvent(new Event("input", { bubbles: true }));
  }
  said.textContent = "";
}
let inserting = false;
document.getElementById("insert-template")?.addEventListener("click", (event) => {
  if (inserting || event.detail > 1) return;
  inserting = true;
  insert().catch(() => { said.textContent = "The server does not answer. Nothing was inserted."; })
    .finally(() => { inserting = false; });
});
