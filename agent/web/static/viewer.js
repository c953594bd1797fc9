/* A film on a canvas: 16-bit values through a window, zoom, pan, invert. Nothing but what reading needs. */
"use strict";
class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.output = canvas.parentElement.querySelector(".window");
    this.image = document.createElement("canvas");
    this.inverted = false;
    this.full = false;
    canvas.viewer = this;
    canvas.addEventListener("pointerdown", (event) => this.begin(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", () => { this.from = null; });
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.show();
  }
  /* A film that nobody looks at (a prior's) is not fetched, nor audited as seen. */
  show() {
    if (this.asked || this.canvas.closest("[hidden]")) return;
    this.asked = true;
    this.load("").catch(() => { this.output.textContent = "this image cannot be shown"; });
  }
  async load(query) {
    const answer = await fetch(this.canvas.dataset.film + query);
    if (!answer.ok) throw new Error(answer.status);
    const about = JSON.parse(answer.headers.get("x-film"));
    const values = new Uint16Array(await answer.arrayBuffer());
    const scale = this.about ? about.columns / this.about.columns : 1;
    this.values = values;
    this.image.width = about.columns;
    this.image.height = about.rows;
    if (!this.about) { this.about = about; this.reset(); } else { this.about = about; this.zoom /= scale; this.window(); }
    this.canvas.dataset.ready = "yes";
  }
  reset() {
    this.low = this.about.low; this.high = this.about.high;
    this.zoom = 0; this.x = this.y = 0; this.inverted = false; this.turn = 0; this.mirror = false;
    this.window();
  }
  invert() { this.inverted = !this.inverted; this.window(); }
  window() {
    const context = this.image.getContext("2d");
    const pixels = context.createImageData(this.image.width, this.image.height);
    const words = new Uint32Array(pixels.data.buffer);
    const table = new Uint32Array(65536);
    const span = Math.max(1, this.high - this.low);
    for (let value = 0; value < 65536; value += 1) {
      let grey = Math.min(255, Math.max(0, Math.round(((value - this.low) / span) * 255)));
      if (this.inverted) grey = 255 - grey;
      table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
    }
    for (let index = 0; index < words.length; index += 1) words[index] = table[this.values[index]];
    context.putImageData(pixels, 0, 0);
    const width = Math.round(span / 65.535) / 10, level = Math.round((this.low + span / 2) / 65.535) / 10;
    this.canvas.dataset.window = `${Math.round(this.low)},${Math.round(this.high)}`;
    this.output.textContent = `W ${width} % L ${level} %`;
    this.draw();
  }
  fit() {
    const [across, down] = this.turn % 2 ? [this.image.height, this.image.width] : [this.image.width, this.image.height];
    return Math.min(this.canvas.width / across, this.canvas.height / down);
  }
  rotate() { this.turn = (this.turn + 1) % 4; this.draw(); }
  flip() { this.mirror = !this.mirror; this.draw(); }
  /* One pixel of the film is one of the screen. */
  pixel() { this.scale(1 / (this.zoom || this.fit())); }
  /* Part of the film's own window, around its middle or its darker part. */
  preset(name) {
    const [share, place] = { stored: [1, 0.5], wide: [1.6, 0.5], lung: [0.7, 0.3], bone: [0.6, 0.65] }[name];
    const span = this.about.high - this.about.low, middle = this.about.low + span * place;
    this.low = middle - (span * share) / 2; this.high = middle + (span * share) / 2;
    this.window();
  }
  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.canvas.clientWidth * ratio;
    this.canvas.height = this.canvas.clientHeight * ratio;
    if (!this.about) return;
    const scale = this.zoom || this.fit();
    // However far it is moved, a part of the film stays in sight.
    const reach = (film, room) => Math.max(0, (film * scale + room) / 2 - 60 * ratio) / ratio;
    const [across, down] = this.turn % 2 ? [this.image.height, this.image.width] : [this.image.width, this.image.height];
    const far = [reach(across, this.canvas.width), reach(down, this.canvas.height)];
    this.x = Math.min(far[0], Math.max(-far[0], this.x));
    this.y = Math.min(far[1], Math.max(-far[1], this.y));
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    const cos = scale * [1, 0, -1, 0][this.turn], sin = scale * [0, 1, 0, -1][this.turn], side = this.mirror ? -1 : 1;
    context.setTransform(
      side * cos, sin * side, -sin, cos, this.canvas.width / 2 + this.x * ratio, this.canvas.height / 2 + this.y * ratio,
    );
    context.drawImage(this.image, -this.image.width / 2, -this.image.height / 2);
    context.setTransform(1, 0, 0, 1, 0, 0);
  }
  begin(event) {
    this.from = [event.clientX, event.clientY];
    this.panning = event.shiftKey || event.button !== 0;
    this.canvas.setPointerCapture(event.pointerId);
    this.canvas.focus();
  }
  move(event) {
    if (!this.from || !this.about) return;
    const dx = event.clientX - this.from[0], dy = event.clientY - this.from[1];
    this.from = [event.clientX, event.clientY];
    if (this.panning) together(this, (viewer) => viewer.shift(dx, dy, true)); else this.shift(dx, dy, false);
  }
  key(event) {
    const step = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] }[event.key];
    const factor = { "+": 1.25, "=": 1.25, "-": 0.8 }[event.key];
    if (!this.about || event.ctrlKey || event.metaKey || event.altKey || !(step || factor)) return;
    event.preventDefault();
    if (factor) this.scale(factor); else this.shift(...step, event.shiftKey);
  }
  shift(dx, dy, panning) {
    if (panning) { this.x += dx; this.y += dy; this.draw(); return; }
    // To the right widens the window, upwards makes the image brighter.
    const level = (this.low + this.high) / 2 + dy * 100;
    const width = Math.max(200, this.high - this.low + dx * 150);
    this.low = level - width / 2; this.high = level + width / 2;
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.window());
  }
  wheel(event) {
    event.preventDefault();
    if (!this.about) return;
    const box = this.canvas.getBoundingClientRect();
    const at = [event.clientX - box.left - box.width / 2, event.clientY - box.top - box.height / 2];
    together(this, (viewer) => viewer.scale(Math.exp(-event.deltaY / 500), at));
  }
  /* `at` (CSS px from the middle) is the point that stays where it is. */
  scale(factor, at = [0, 0]) {
    const before = this.zoom || this.fit();
    this.zoom = Math.min(20, Math.max(this.fit() / 2, before * factor));
    const grown = this.zoom / before;
    this.x = at[0] - (at[0] - this.x) * grown;
    this.y = at[1] - (at[1] - this.y) * grown;
    this.draw();
    // Beyond the reduced film's own pixels the whole one is worth fetching, once.
    if (this.zoom > 1.2 && !this.full && Math.max(this.image.width, this.image.height) >= 1536) {
      this.full = true;
      this.load("?size=full").catch(() => { this.full = false; });
    }
  }
}
function choosePrior() {
  const shown = document.querySelector("[data-do=prior]").getAttribute("aria-pressed") === "true";
  const chosen = document.getElementById("which-prior").value;
  for (const prior of document.querySelectorAll(".prior")) prior.hidden = !shown || prior.dataset.prior !== chosen;
  for (const viewer of viewers) viewer.show();
}
const viewers = [...document.querySelectorAll("canvas[data-film]")].map((canvas) => new Viewer(canvas));
const chosenViewers = () => (document.activeElement.viewer ? [document.activeElement.viewer] : viewers);
/* Zoom and pan go for every film that is shown while they are linked. */
let linked = false;
function together(viewer, act) {
  for (const one of linked ? viewers : [viewer]) if (one.about && !one.canvas.closest("[hidden]")) act(one);
}
const each = (act) => () => chosenViewers().forEach((viewer) => viewer.about && act(viewer));
const acts = {
  rotate: each((viewer) => viewer.rotate()),
  flip: each((viewer) => viewer.flip()),
  pixel: each((viewer) => viewer.pixel()),
  stored: each((viewer) => viewer.preset("stored")),
  wide: each((viewer) => viewer.preset("wide")),
  lung: each((viewer) => viewer.preset("lung")),
  bone: each((viewer) => viewer.preset("bone")),
  link: () => {
    linked = !linked;
    document.querySelector("[data-do=link]").setAttribute("aria-pressed", String(linked));
  },
  invert: () => chosenViewers().forEach((viewer) => viewer.about && viewer.invert()),
  reset: () => chosenViewers().forEach((viewer) => viewer.about && viewer.reset()),
  prior: () => {
    const button = document.querySelector("[data-do=prior]");
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    choosePrior();
  },
};
for (const button of document.querySelectorAll("[data-do]")) button.addEventListener("click", acts[button.dataset.do]);
document.addEventListener("keydown", (event) => {
  if (event.target.matches("input, textarea, select") || event.ctrlKey || event.metaKey || event.altKey) return;
  const name = {
    i: "invert", r: "reset", p: "prior", o: "rotate", f: "flip", x: "pixel", k: "link",
    1: "stored", 2: "wide", 3: "lung", 4: "bone",
  }[event.key];
  if (name && (name !== "prior" || document.querySelector(".prior"))) acts[name]();
});
document.getElementById("which-prior")?.addEventListener("change", () => {
  document.querySelector("[data-do=prior]").setAttribute("aria-pressed", "true");
  choosePrior();
});
