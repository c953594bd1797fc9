/* The viewer: the films, the tools, and the films that an action applies to. */
import { act, run } from "../keys.js";
import { Film } from "./film.js";
import { listen } from "./pointer.js";

const films = [...document.querySelectorAll("canvas[data-film]")].map((canvas) => new Film(canvas));
const button = (name) => document.querySelector(`[data-do=${name}]`);
const press = (name, on) => button(name)?.setAttribute("aria-pressed", String(on));
// A finger moves the film; a mouse changes the window until told otherwise.
let tool = window.matchMedia("(pointer: coarse)").matches ? "pan" : "window";
let linked = false, lens = false, valued = false;

const together = (film, change) => {
  for (const one of linked ? films : [film]) if (one.shown) change(one);
};
/* The film that has the focus, or all displayed films. */
function each(change, { link = false } = {}) {
  const focused = films.find((one) => one.canvas === document.activeElement);
  for (const one of focused && !(link && linked) ? [focused] : films) if (one.shown) change(one);
}
function use(name) {
  tool = name;
  for (const one of ["window", "pan", "ruler"]) press(one, one === tool);
  for (const film of films) film.canvas.dataset.tool = tool;
}
function choosePrior(on) {
  press("prior", on);
  const chosen = document.getElementById("which-prior").value;
  for (const prior of document.querySelectorAll(".prior")) prior.hidden = !on || prior.dataset.prior !== chosen;
  for (const film of films) { film.show(); film.draw(); }
}
const priorShown = () => button("prior")?.getAttribute("aria-pressed") === "true";

for (const film of films) listen(film, { tool: () => tool, together });
const ACTS = [
  ["window", "image: dragging changes window and level", "w", () => use("window")],
  ["pan", "image: dragging moves the film", "d", () => use("pan")],
  ["ruler", "image: dragging measures", "m", () => use(tool === "ruler" ? "window" : "ruler")],
  ["lens", "image: magnifier", "z", () => { lens = !lens; press("lens", lens); each((one) => { one.lens = lens; one.draw(); }, { link: true }); }],
  ["values", "image: stored values at the pointer", "v", () => { valued = !valued; press("values", valued); for (const one of films) if (one.shown) one.showValues(valued); }],
  ["invert", "image: invert", "i", () => each((one) => one.invert(), { link: true })],
  ["rotate", "image: rotate", "o", () => each((one) => one.rotate())],
  ["flip", "image: mirror", "f", () => each((one) => one.flip())],
  ["actual", "image: one pixel of the film is one of the screen", "x", () => each((one) => one.actual(), { link: true })],
  ["stored", "window: as stored", "1", () => each((one) => one.preset("stored"))],
  ["wide", "window: wide", "2", () => each((one) => one.preset("wide"))],
  ["lung", "window: lung", "3", () => each((one) => one.preset("lung"))],
  ["bone", "window: bone", "4", () => each((one) => one.preset("bone"))],
  ["link", "images: link zoom, pan and inversion", "k", () => { linked = !linked; press("link", linked); }],
  ["reset", "image: reset", "r", () => each((one) => one.reset(), { link: true })],
];
for (const one of ACTS) act(...one);
if (button("prior")) {
  act("prior", "images: prior beside", "p", () => choosePrior(!priorShown()));
  document.getElementById("which-prior").addEventListener("change", () => choosePrior(true));
}
for (const one of document.querySelectorAll("[data-do]")) one.addEventListener("click", () => run(one.dataset.do));
use(tool);
