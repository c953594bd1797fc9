/* A verdict is sent once, in a valid session: if the session has ended, sign-in comes first, in place. */
import { fresh } from "../session.js";
import { sent } from "./typed.js";
const form = document.getElementById("report"), said = document.getElementById("sending");
let state = "idle";

form?.addEventListener("submit", async (event) => {
  if (state === "ready") { state = "going"; sent(); return; }
  event.preventDefault();
  if (state !== "idle") return;
  const button = event.submitter;
  state = "asking";
  said.textContent = "Sending…";
  try {
    await fresh();
    state = "ready";
    form.requestSubmit(button);
    if (state === "ready") { state = "idle"; said.textContent = ""; }
  } catch {
    state = "idle";
    said.textContent = "The server does not answer. Nothing was sent; your text is kept. Try again.";
  }
});
/* Enter in a field never gives a verdict by accident; in the reason field it rejects. */
form?.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.target.tagName !== "INPUT") return;
  event.preventDefault();
  if (event.target.name === "reason") form.querySelector("button[value=reject]").click();
});
/* Asks before leaving the page while a verdict is unsent, because it would be lost; not when it is being sent. */
window.addEventListener("beforeunload", (event) => {
  if (state === "going") state = "gone";
  else if (state !== "idle") event.preventDefault();
});
document.addEventListener("echo:leave", () => { state = "idle"; });
window.addEventListener("pageshow", (event) => { if (event.persisted) { state = "idle"; said.textContent = ""; } });
