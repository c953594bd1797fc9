/* Mouse, touch, wheel and arrow keys on one film. Actions for all linked films go through `together`. */
const STEPS = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, -10], ArrowDown: [0, 10] };
const FACTORS = { "+": 1.25, "=": 1.25, "-": 0.8 };

/* desk: tool() is the effect of dragging (window, pan or ruler), together(film, act) acts on the linked films. */
export function listen(film, desk) {
  const canvas = film.canvas, fingers = new Map();
  let doing = "", by = -1;
  const place = (event) => {
    // The centre of the screen pixel under the pointer.
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft + 0.5, event.clientY - box.top - canvas.clientTop + 0.5];
  };
  const kind = (event) => {
    if (event.pointerType === "mouse" && (event.shiftKey || event.button !== 0)) return "pan";
    return desk.tool();
  };
  const middle = () => {
    const [one, other] = [...fingers.values()];
    return [[(one[0] + other[0]) / 2, (one[1] + other[1]) / 2], Math.hypot(one[0] - other[0], one[1] - other[1])];
  };
  const end = () => { if (doing === "ruler") film.endRuler(); doing = ""; by = -1; };

  canvas.addEventListener("contextmenu", (event) => event.preventDefault());
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    fingers.set(event.pointerId, place(event));
    if (!film.about) return;
    if (fingers.size > 1) {
      // A second finger turns the gesture of the first into a pinch.
      if (doing === "ruler") film.takeRuler();
      doing = "pinch";
      return;
    }
    doing = kind(event);
    by = event.pointerId;
    if (doing === "ruler") film.startRuler(place(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    const now = place(event), last = fingers.get(event.pointerId);
    if (film.about) film.hover(now);
    if (!last || !film.about) return;
    if (doing === "pinch" && fingers.size === 2) {
      const [from, before] = middle();
      fingers.set(event.pointerId, now);
      const [to, after] = middle();
      desk.together(film, (one) => {
        if (before > 0 && after > 0) one.zoom(after / before, from);
        one.pan(to[0] - from[0], to[1] - from[1]);
      });
      return;
    }
    fingers.set(event.pointerId, now);
    if (event.pointerId !== by) return;
    const dx = now[0] - last[0], dy = now[1] - last[1];
    if (doing === "pan") desk.together(film, (one) => one.pan(dx, dy));
    else if (doing === "window") film.drag(dx, dy);
    else if (doing === "ruler") film.stretchRuler(now);
  });
  for (const over of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(over, (event) => {
      fingers.delete(event.pointerId);
      if (fingers.size === 0) end();
    });
  }
  canvas.addEventListener("pointerleave", () => { if (film.about && !fingers.size) film.hover(null); });
  canvas.addEventListener("dblclick", () => { if (film.about && desk.tool() !== "ruler") film.reset(); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (!film.about || event.ctrlKey && event.deltaMode) return;
    const lines = event.deltaMode === 1 ? 33 : 1, at = place(event);
    desk.together(film, (one) => one.zoom(Math.exp((-event.deltaY * lines) / 500), at));
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => keyed(event, film, desk));
}

/* Without a mouse: the arrow keys act like dragging; for the ruler they move a point that Enter sets. */
function keyed(event, film, desk) {
  const step = STEPS[event.key], factor = FACTORS[event.key];
  if (!film.about || event.ctrlKey || event.metaKey || event.altKey) return;
  const pointing = desk.tool() === "ruler" || film.lens || film.valued;
  if (factor) desk.together(film, (one) => one.zoom(factor));
  else if (event.key === "Backspace" || event.key === "Delete") film.takeRuler();
  else if (event.key === "Enter" && desk.tool() === "ruler") point(film);
  else if (step && event.shiftKey) desk.together(film, (one) => one.pan(...step));
  else if (step && pointing) {
    const from = film.at ?? [film.canvas.clientWidth / 2, film.canvas.clientHeight / 2];
    film.hover([from[0] + step[0], from[1] + step[1]], true);
    if (film.measuring) film.stretchRuler(film.at);
  } else if (step) film.drag(...step);
  else return;
  event.preventDefault();
}
function point(film) {
  film.hover(film.at ?? [film.canvas.clientWidth / 2, film.canvas.clientHeight / 2], true);
  if (film.measuring) film.endRuler(); else film.startRuler(film.at);
  film.measuring = !film.measuring;
}
