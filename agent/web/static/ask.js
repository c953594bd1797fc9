/* A question in a dialog of the page; the answer is whether the person agrees. */
const dialog = document.getElementById("ask");
export function ask(words, yes, lines = []) {
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
