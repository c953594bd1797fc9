/* Rulers: two points on a film (its own pixels), and the length between them in words. */
const HANDLE = 4;

export function lengthOf([from, to], about) {
  const dx = to[0] - from[0], dy = to[1] - from[1];
  if (!about.mm) return `${Math.round(Math.hypot(dx, dy))} px, not calibrated`;
  const millimetres = Math.hypot(dx * about.mm[1], dy * about.mm[0]).toFixed(1);
  return about.calibrated ? `${millimetres} mm` : `${millimetres} mm (${about.basis})`;
}
/* `place` maps the film's pixels to the canvas. */
export function drawRulers(context, rulers, about, place, ratio) {
  context.lineWidth = 1.5 * ratio;
  context.font = `${12 * ratio}px system-ui, sans-serif`;
  for (const ruler of rulers) {
    const [from, to] = ruler.map(place);
    context.strokeStyle = "#ffd34d";
    context.beginPath();
    context.moveTo(...from);
    context.lineTo(...to);
    context.stroke();
    for (const [x, y] of [from, to]) context.strokeRect(x - HANDLE * ratio, y - HANDLE * ratio, 2 * HANDLE * ratio, 2 * HANDLE * ratio);
    const words = lengthOf(ruler, about), wide = context.measureText(words).width;
    const x = Math.max(0, Math.min(context.canvas.width - wide - 8 * ratio, to[0] + 8 * ratio));
    const y = Math.max(16 * ratio, Math.min(context.canvas.height - 6 * ratio, to[1] - 8 * ratio));
    context.fillStyle = "rgba(0, 0, 0, .7)";
    context.fillRect(x - 3 * ratio, y - 13 * ratio, wide + 6 * ratio, 17 * ratio);
    context.fillStyle = "#ffd34d";
    context.fillText(words, x, y);
  }
}
