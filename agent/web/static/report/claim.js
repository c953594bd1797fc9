/* Who is reading this study, and whether the page still shows its newest revision; polled regularly. */
import { ask } from "../ask.js";
import { post, read } from "../session.js";
const EVERY_MS = 10000;
const outdated = document.getElementById("outdated");
const line = () => document.getElementById("claim");
let acted = false, claiming = false;

function put(html) {
  const parsed = new DOMParser().parseFromString(html, "text/html").getElementById("claim");
  if (parsed) line().replaceWith(parsed);
}
async function send(path, fields = {}) {
  const answer = await post(`/studies/${line().dataset.study}/${path}`, fields);
  if (answer.ok) put(await answer.text());
}
document.addEventListener("click", async (event) => {
  const button = event.target.closest("#claim button");
  // The second click of a double click would press the button that has replaced this one.
  if (!button || event.detail > 1) return;
  const { holder, name } = line().dataset;
  if (button.dataset.claim === "over") {
    if (await ask(`${name} is reading this study. Take it over?`, "Take over")) send("claim", { over: holder });
  } else send(button.dataset.claim);
});
/* Typing claims a study that nobody is reading. */
document.getElementById("report")?.addEventListener("input", (event) => {
  if (claiming || line().dataset.holder || line().dataset.may !== "yes" || event.target.readOnly) return;
  claiming = true;
  send("claim").catch(() => {}).finally(() => { claiming = false; });
});
for (const kind of ["pointerdown", "keydown", "wheel"]) {
  document.addEventListener(kind, () => { acted = true; }, { capture: true, passive: true });
}
async function look() {
  if (document.hidden) return;
  const act = acted ? "?act=1" : "";
  acted = false;
  const answer = await read(outdated.dataset.state + act);
  if (!answer) return;
  const now = await answer.json();
  outdated.hidden = String(now.draft) === outdated.dataset.draft && String(now.revision) === outdated.dataset.revision;
  const holder = now.claim?.holder ?? "", before = line().dataset;
  if (holder === before.holder) return;
  const lost = before.mine === "yes" && holder;
  const fresh = await read(`/studies/${before.study}/claim`, { "X-Poll": "yes" });
  if (fresh) put(await fresh.text());
  if (lost) line().classList.add("lost");
}
const tick = () => look().catch(() => {});
setInterval(tick, EVERY_MS);
document.addEventListener("visibilitychange", tick);
