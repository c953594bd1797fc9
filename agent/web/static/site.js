/* Common to all pages: theme, ages, and the modules for session, keys and notifications. */
import "./session.js";
import "./notice.js";
import "./keys.js";
const remember = (name, value) => {
  document.cookie = `${name}=${value}; Path=/; SameSite=Strict; Max-Age=31536000`;
};
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
  remember("echo_theme", root.dataset.theme);
});
document.getElementById("rows-style")?.addEventListener("click", (event) => {
  const root = document.documentElement;
  root.dataset.rows = root.dataset.rows === "compact" ? "roomy" : "compact";
  event.currentTarget.setAttribute("aria-pressed", String(root.dataset.rows === "compact"));
  remember("echo_rows", root.dataset.rows);
});
function age(moment) {
  const seconds = Math.max(0, Math.floor((Date.now() - moment) / 1000));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= size) return `${Math.floor(seconds / size)} ${unit}`;
  }
  return `${seconds} s`;
}
setInterval(() => {
  for (const one of document.querySelectorAll("time[datetime]")) one.textContent = age(new Date(one.dateTime));
}, 15000);
