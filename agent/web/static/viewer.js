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
    this.zoom = 0; this.x = this.y = 0; this.inverted = false;
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
  fit() { return Math.min(this.canvas.width / this.image.width, this.canvas.height / this.image.height); }
  draw() {
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = this.canvas.clientWidth * ratio;
    this.canvas.height = this.canvas.clientHeight * ratio;
    if (!this.about) return;
    const scale = this.zoom || this.fit();
    const context = this.canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.setTransform(scale, 0, 0, scale, this.canvas.width / 2 + this.x * ratio, this.canvas.height / 2 + this.y * ratio);
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
    this.shift(dx, dy, this.panning);
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
    if (this.about) this.scale(Math.exp(-event.deltaY / 500));
  }
  scale(factor) {
    this.zoom = Math.min(20, Math.max(this.fit() / 2, (this.zoom || this.fit()) * factor));
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
const acts = {
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
  const name = { i: "invert", r: "reset", p: "prior" }[event.key];
  if (name && (name !== "prior" || document.querySelector(".prior"))) acts[name]();
});
document.getElementById("which-prior")?.addEventListener("change", () => {
  document.querySelector("[data-do=prior]").setAttribute("aria-pressed", "true");
  choosePrior();
});
