/* Window and level: from 16-bit values to grey levels on the screen. Pure except for the canvas that it paints. */
export const NARROWEST = 200;
/* The width as a share of the film's own window, and the position of its centre. */
const PRESETS = { stored: [1, 0.5], wide: [1.6, 0.5], lung: [0.7, 0.3], bone: [0.6, 0.65] };

export function preset(name, { low, high }) {
  const [share, place] = PRESETS[name], span = high - low, middle = low + span * place;
  return { low: middle - (span * share) / 2, high: middle + (span * share) / 2 };
}
/* Dragging to the right widens the window, upwards makes the film brighter. */
export function dragged({ low, high }, dx, dy) {
  const level = (low + high) / 2 + dy * 100, width = Math.max(NARROWEST, high - low + dx * 150);
  return { low: level - width / 2, high: level + width / 2 };
}
export function greyOf(value, low, high, inverted) {
  const grey = Math.min(255, Math.max(0, Math.round(((value - low) / Math.max(1, high - low)) * 255)));
  return inverted ? 255 - grey : grey;
}
export function paint(canvas, values, { low, high }, inverted) {
  const table = new Uint32Array(65536);
  for (let value = 0; value < 65536; value += 1) {
    const grey = greyOf(value, low, high, inverted);
    table[value] = 0xff000000 | (grey << 16) | (grey << 8) | grey;
  }
  const context = canvas.getContext("2d");
  const pixels = context.createImageData(canvas.width, canvas.height);
  const words = new Uint32Array(pixels.data.buffer);
  for (let index = 0; index < words.length; index += 1) words[index] = table[values[index]];
  context.putImageData(pixels, 0, 0);
}
export function said({ low, high }) {
  const share = (value) => Math.round(value / 65.535) / 10;
  return `W ${share(high - low)} % L ${share((low + high) / 2)} %`;
}
