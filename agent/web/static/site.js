/* What every page does: the forms' token, theme, ages, live updates, keys of the list. */
"use strict";
const token = document.querySelector("meta[name=form-token]").content;
document.addEventListener("htmx:configRequest", (event) => { event.detail.headers["X-Form-Token"] = token; });
document.getElementById("theme").addEventListener("click", () => {
  const root = document.documentElement;
  root.dataset.theme = root.dataset.theme === "light" ? "dark" : "light";
  document.cookie = `echo_theme=${root.dataset.theme}; Path=/; SameSite=Strict; Max-Age=31536000`;
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
const list = document.getElementById("list");
if (list) {
  // Filters, order and row live in the address: it can be kept, and the way back from a study leads to it.
  let chosen = new URLSearchParams(location.hash.slice(1)).get("row") || "";
  const remember = () => {
    const plain = { show: "open", urgent: "any", order: "urgency" };
    const asked = [...new FormData(document.getElementById("filters"))].filter(([name, value]) =>
      value && value !== plain[name]);
    const query = new URLSearchParams(asked).toString();
    history.replaceState(null, "", `/${query ? `?${query}` : ""}${chosen ? `#row=${chosen}` : ""}`);
    sessionStorage.setItem("echo-list", location.pathname + location.search + location.hash);
  };
  document.getElementById("filters").addEventListener("change", remember);
  document.getElementById("search").addEventListener("input", remember);
  const rows = () => [...list.querySelectorAll("tr.study")];
  const mark = () => rows().forEach((row) => row.classList.toggle("chosen", row.dataset.study === chosen));
  let focused = "";
  document.addEventListener("htmx:beforeSwap", () => {
    focused = document.activeElement.closest?.("tr.study")?.dataset.study || "";
  });
  const refresh = () => {
    // Rows that were asked for by "Show more" stay: as many are asked for again.
    const shown = Math.min(500, Math.max(50, rows().length));
    htmx.ajax("GET", "/", { target: "#list", source: "#filters", values: { limit: shown }, headers: { "X-Poll": "yes" } });
    document.getElementById("news").textContent = "The list has been updated.";
  };
  // A browser has six connections for us; a list that nobody looks at holds none of them.
  let live = null;
  const listen = () => {
    if (document.hidden) { live?.close(); live = null; return; }
    if (live) return;
    const again = list.dataset.listened === "yes";
    live = new EventSource("/live");
    live.addEventListener("changed", refresh);
    list.dataset.listened = "yes";
    if (again) refresh();
  };
  mark();
  remember();
  listen();
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", () => { live?.close(); live = null; });
  window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  document.addEventListener("htmx:afterSwap", () => {
    mark();
    if (focused) list.querySelector(`tr.study[data-study="${focused}"] a`)?.focus({ preventScroll: true });
  });
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input, select, textarea");
    if (event.key === "Escape" && typing) event.target.blur();
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const all = rows();
    const at = all.findIndex((row) => row.dataset.study === chosen);
    if (event.key === "/") { event.preventDefault(); document.getElementById("search").focus(); return; }
    const step = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 }[event.key];
    if (!step || !all.length) return;
    event.preventDefault();
    const next = all[Math.min(all.length - 1, Math.max(0, at + step))];
    chosen = next.dataset.study;
    mark();
    remember();
    next.querySelector("a").focus();
    next.scrollIntoView({ block: "nearest" });
  });
  document.addEventListener("click", (event) => {
    const chip = event.target.closest("a.chip");
    if (chip && !event.ctrlKey && !event.metaKey) {
      const choice = document.querySelector("#filters [name=finding]");
      event.preventDefault();
      choice.value = chip.dataset.finding;
      choice.dispatchEvent(new Event("change", { bubbles: true }));
      return;
    }
    const row = event.target.closest("tr.study");
    if (row) { chosen = row.dataset.study; remember(); }
    if (row && !event.target.closest("a, button")) location.href = row.querySelector("a").href;
  });
}
