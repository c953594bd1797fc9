/* A magnifier: a circle in which the film is enlarged; the pixel at its centre stays in place. */
const RADIUS = 95, LARGER = 2.5;

export function drawLens(context, image, film, [a, b, c, d, e, f], [x, y], ratio) {
  context.save();
  context.beginPath();
  context.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
  context.clip();
  context.fillStyle = "#000";
  context.fillRect(0, 0, context.canvas.width, context.canvas.height);
  context.setTransform(
    a * LARGER, b * LARGER, c * LARGER, d * LARGER, x + (e - x) * LARGER, y + (f - y) * LARGER,
  );
  context.drawImage(image, 0, 0, film.width, film.height);
  context.restore();
  context.strokeStyle = "#ffd34d";
  context.lineWidth = 1.5 * ratio;
  context.beginPath();
  context.arc(x, y, RADIUS * ratio, 0, 2 * Math.PI);
  context.stroke();
}
