/* A confirmation dialog of the page; resolves to whether the person agrees. */
const dialog = document.getElementById("ask");
let last = Promise.resolve();
/* One after the other: a dialog that has just been closed still has its `close` event to come, and the next
   question would take that for its own answer. */
export function ask(words, yes, lines = []) {
  last = last.then(() => put(words, yes, lines));
  return last;
}
function put(words, yes, lines) {
  dialog.querySelector("p").textContent = words;
  dialog.querySelector("ul").replaceChildren(...lines.map((line) => {
    const one = document.createElement("li");
    one.textContent = line;
    return one;
  }));
  dialog.querySelector("button[value=yes]").textContent = yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}
