/* Where a film lies on its canvas. Pure.
   A film has a width and height (its own pixels), a canvas too (device pixels). A view has zoom (device pixels per
   pixel of the film; 0 fits the film into the canvas), x and y (device pixels from the middle of the canvas to that
   of the film), turn (quarters clockwise) and mirrored (left and right of the screen are exchanged). */
export const upright = () => ({ zoom: 0, x: 0, y: 0, turn: 0, mirrored: false });
// This much of the film (device pixels) stays on the canvas, however far it is moved.
const IN_SIGHT = 60;
const LARGEST = 20;

const size = (view, film) => (view.turn % 2 ? [film.height, film.width] : [film.width, film.height]);

export function fit(view, film, canvas) {
  const [across, down] = size(view, film);
  return Math.min(canvas.width / across, canvas.height / down);
}
export const scaleOf = (view, film, canvas) => view.zoom || fit(view, film, canvas);

/* [a, b, c, d, e, f] as for CanvasRenderingContext2D.setTransform, from the film's pixels to the canvas. */
export function matrix(view, film, canvas) {
  const scale = scaleOf(view, film, canvas), side = view.mirrored ? -1 : 1;
  const cos = scale * [1, 0, -1, 0][view.turn], sin = scale * [0, 1, 0, -1][view.turn];
  const [a, b, c, d] = [side * cos, sin, -side * sin, cos];
  const middle = [film.width / 2, film.height / 2];
  return [
    a, b, c, d,
    canvas.width / 2 + view.x - a * middle[0] - c * middle[1],
    canvas.height / 2 + view.y - b * middle[0] - d * middle[1],
  ];
}
export const toCanvas = ([a, b, c, d, e, f], [x, y]) => [a * x + c * y + e, b * x + d * y + f];
export function toFilm([a, b, c, d, e, f], [x, y]) {
  const whole = a * d - b * c, dx = x - e, dy = y - f;
  return [(d * dx - c * dy) / whole, (a * dy - b * dx) / whole];
}
/* The view zoomed by a factor; the point `at` (device pixels on the canvas) stays in place. */
export function zoomed(view, film, canvas, factor, at) {
  const before = scaleOf(view, film, canvas);
  const least = Math.min(1, fit(view, film, canvas) / 2);
  const zoom = Math.min(LARGEST, Math.max(least, before * factor)), grown = zoom / before;
  const from = [at[0] - canvas.width / 2, at[1] - canvas.height / 2];
  return { ...view, zoom, x: from[0] - (from[0] - view.x) * grown, y: from[1] - (from[1] - view.y) * grown };
}
export function turned(view) {
  return { ...view, turn: (view.turn + (view.mirrored ? 3 : 1)) % 4, x: -view.y, y: view.x };
}
export const flipped = (view) => ({ ...view, mirrored: !view.mirrored, x: -view.x });
export function bounded(view, film, canvas) {
  const scale = scaleOf(view, film, canvas), [across, down] = size(view, film);
  const within = (value, length, room) => {
    const far = Math.max(0, (length * scale + room) / 2 - IN_SIGHT);
    return Math.min(far, Math.max(-far, value));
  };
  return { ...view, x: within(view.x, across, canvas.width), y: within(view.y, down, canvas.height) };
}
/* How the display of the film differs from its original orientation, in words. */
export function turnOf(view) {
  const words = [view.turn ? `rotated ${view.turn * 90}°` : "", view.mirrored ? "MIRRORED" : ""];
  return words.filter(Boolean).join(", ");
}
