/* The report and its findings: a finding's sentence is highlighted, and the button shows what it will do. */
const editors = [...document.querySelectorAll(".editor")];
const plain = (text) => text.replace(/\s+/g, " ").trim();
const lines = (text) => text.split("\n").map(plain).filter(Boolean).join("\n");
const doubted = new Set([...document.querySelectorAll(".doubtful li")].map((one) => plain(one.dataset.sentence)));
let marked = "";

export const areas = editors.map((editor) => editor.querySelector("textarea"));
export const texts = () => Object.fromEntries(areas.map((area) => [area.name, area.value]));

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
    // A doubtful sentence that was changed or removed is no longer the network's.
    const present = new Set(text.split("\n").map(plain));
    for (const one of editor.nextElementSibling.children) one.hidden = !present.has(plain(one.dataset.sentence));
  }
  const accept = document.getElementById("accept");
  if (!accept) return;
  const changed = areas.some((area) => lines(area.value) !== lines(area.dataset.kept));
  accept.textContent = changed ? "Accept with changes" : "Accept";
}
function point(event) {
  const row = event.target.closest ? event.target.closest("tr[data-evidence]") : null;
  const evidence = row ? plain(row.dataset.evidence) : "";
  if (evidence !== marked) { marked = evidence; paint(); }
}
for (const area of areas) area.addEventListener("input", paint);
document.addEventListener("mouseover", point);
document.addEventListener("focusin", point);
paint();
