/* A film on a canvas: fetched as 16-bit values, displayed through a window, zoomed, moved, rotated and measured. */
import { read } from "../session.js";
import * as geometry from "./geometry.js";
import { drawLens } from "./lens.js";
import { drawRulers, lengthOf } from "./ruler.js";
import * as levels from "./window.js";

export class Film {
  constructor(canvas) {
    this.canvas = canvas;
    this.caption = canvas.parentElement.querySelector(".window");
    this.pointed = canvas.parentElement.querySelector(".pointed");
    this.image = document.createElement("canvas");
    this.view = geometry.upright();
    this.rulers = [];
    this.lens = false;
    this.at = null;
    new ResizeObserver(() => this.draw()).observe(canvas);
    this.show();
  }
  get ratio() { return window.devicePixelRatio || 1; }
  get shown() { return Boolean(this.about) && !this.canvas.closest("[hidden]"); }
  get matrix() { return geometry.matrix(this.view, this.film, this.canvas); }

  /* A film that is not displayed (a prior's) is neither fetched nor audited as viewed. */
  show() {
    if (this.asked || this.canvas.closest("[hidden]")) return;
    this.asked = true;
    this.load("").catch(() => { this.asked = false; this.caption.textContent = "this image cannot be shown"; });
  }
  async fetch(query) {
    const answer = await read(this.canvas.dataset.film + query);
    if (!answer) throw new Error("no image");
    const about = JSON.parse(answer.headers.get("x-film"));
    return [about, new Uint16Array(await answer.arrayBuffer())];
  }
  async load(query) {
    const [about, values] = await this.fetch(query);
    const first = !this.about;
    this.values = values;
    this.about = about;
    this.film = { height: about.whole[0], width: about.whole[1] };
    this.image.width = about.columns;
    this.image.height = about.rows;
    if (first) this.reset(); else this.paint();
    this.canvas.dataset.ready = "yes";
    if (about.columns === about.whole[1]) this.canvas.dataset.whole = "yes";
  }
  /* The whole film is fetched once its own pixels become visible. */
  complete() {
    if (this.completing || this.canvas.dataset.whole) return;
    this.completing = true;
    this.load("?size=full").catch(() => { this.completing = false; });
  }
  reset() {
    this.window = { low: this.about.low, high: this.about.high };
    this.inverted = false;
    this.rulers = [];
    this.view = geometry.upright();
    this.paint();
  }
  paint() {
    levels.paint(this.image, this.values, this.window, this.inverted);
    this.canvas.dataset.window = `${Math.round(this.window.low)},${Math.round(this.window.high)}`;
    this.draw();
  }
  invert() { this.inverted = !this.inverted; this.paint(); }
  preset(name) { this.window = levels.preset(name, this.about); this.paint(); }
  drag(dx, dy) {
    this.window = levels.dragged(this.window, dx, dy);
    cancelAnimationFrame(this.frame);
    this.frame = requestAnimationFrame(() => this.paint());
  }
  pan(dx, dy) { this.view = { ...this.view, x: this.view.x + dx * this.ratio, y: this.view.y + dy * this.ratio }; this.draw(); }
  /* at: the point (CSS pixels on the canvas) that stays in place; the middle if left out. */
  zoom(factor, at) {
    const place = at ? at.map((one) => one * this.ratio) : [this.canvas.width / 2, this.canvas.height / 2];
    this.view = geometry.zoomed(this.view, this.film, this.canvas, factor, place);
    if (this.view.zoom * this.about.whole[1] > 1.2 * this.about.columns) this.complete();
    this.draw();
  }
  /* One pixel of the film per pixel of the screen. */
  actual() { this.complete(); this.zoom(1 / geometry.scaleOf(this.view, this.film, this.canvas)); }
  rotate() { this.view = geometry.turned(this.view); this.draw(); }
  flip() { this.view = geometry.flipped(this.view); this.draw(); }

  /* The point of the film (its own pixels) under a point of the canvas (CSS pixels). */
  under(at) { return geometry.toFilm(this.matrix, at.map((one) => one * this.ratio)); }
  startRuler(at) { const point = this.under(at); this.rulers.push([point, point]); this.draw(); }
  stretchRuler(at) { this.rulers.at(-1)[1] = this.under(at); this.draw(); }
  /* A ruler without length comes from a plain click. */
  endRuler() {
    const [from, to] = this.rulers.at(-1);
    if (Math.hypot(to[0] - from[0], to[1] - from[1]) < 1) this.rulers.pop();
    this.draw();
  }
  takeRuler() { this.rulers.pop(); this.draw(); }

  async showValues(wanted) {
    this.valued = wanted;
    if (wanted && !this.stored) {
      this.pointed.textContent = "fetching the stored values";
      try { this.stored = await this.fetch("?size=stored"); } catch { this.pointed.textContent = "no stored values"; return; }
    }
    this.hover(this.at);
  }
  /* at: where the pointer is (CSS pixels on the canvas), null when it is elsewhere. */
  hover(at, byKeys = false) {
    this.at = at;
    const crossed = this.crossed;
    this.crossed = byKeys;
    this.pointed.textContent = this.valued && this.stored && at ? this.valueAt(at) : "";
    if (this.lens || crossed || byKeys) this.draw();
  }
  valueAt(at) {
    const [about, values] = this.stored, [x, y] = this.under(at);
    const column = Math.floor((x / this.film.width) * about.columns), row = Math.floor((y / this.film.height) * about.rows);
    if (column < 0 || row < 0 || column >= about.columns || row >= about.rows) return "";
    return `value ${values[row * about.columns + column] + about.lowest} at column ${column + 1}, row ${row + 1}`;
  }
  draw() {
    const width = Math.round(this.canvas.clientWidth * this.ratio), height = Math.round(this.canvas.clientHeight * this.ratio);
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
    if (!this.about || !width || !height) return;
    this.view = geometry.bounded(this.view, this.film, this.canvas);
    const context = this.canvas.getContext("2d"), matrix = this.matrix;
    const scale = geometry.scaleOf(this.view, this.film, this.canvas);
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    context.setTransform(...matrix);
    // Enlarged pixels are shown unsmoothed; a reduced film is smoothed.
    context.imageSmoothingEnabled = scale < 2;
    context.imageSmoothingQuality = "high";
    context.drawImage(this.image, 0, 0, this.film.width, this.film.height);
    context.setTransform(1, 0, 0, 1, 0, 0);
    if (this.lens && this.at) drawLens(context, this.image, this.film, matrix, this.at.map((one) => one * this.ratio), this.ratio);
    if (this.crossed && this.at) this.drawCross(context, this.at.map((one) => one * this.ratio));
    drawRulers(context, this.rulers, this.about, (point) => geometry.toCanvas(matrix, point), this.ratio);
    this.say(scale);
  }
  drawCross(context, [x, y]) {
    context.strokeStyle = "#ffd34d";
    context.lineWidth = this.ratio;
    context.beginPath();
    for (const [dx, dy] of [[9, 0], [0, 9]]) {
      context.moveTo(x - dx * this.ratio, y - dy * this.ratio);
      context.lineTo(x + dx * this.ratio, y + dy * this.ratio);
    }
    context.stroke();
  }
  say(scale) {
    const words = [levels.said(this.window), `${Math.round(scale * 100)} %`, geometry.turnOf(this.view)];
    words.push(this.inverted ? "inverted" : "", this.about.mm ? this.about.basis : "not calibrated");
    words.push(...this.rulers.map((one, index) => `ruler ${index + 1}: ${lengthOf(one, this.about)}`));
    this.caption.textContent = words.filter(Boolean).join(" · ");
    Object.assign(this.canvas.dataset, { zoom: scale.toFixed(4), turn: this.view.turn, mirrored: this.view.mirrored });
  }
}
