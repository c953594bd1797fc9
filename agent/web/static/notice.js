/* A browser notification when a critical draft arrives, for people who enabled it. It names no patient. */
const STORE = "echo-notice", SEEN = "echo-notice-seen", AGAIN_MS = 10000;
const button = document.getElementById("notice");
const wanted = () => localStorage.getItem(STORE) === "yes" && window.Notification?.permission === "granted";
let source = null;

function show() {
  const notice = new Notification("ECHO Agent", { body: "A critical draft has arrived.", tag: "echo-critical" });
  notice.addEventListener("click", () => { window.focus(); notice.close(); });
  document.getElementById("critical-news").hidden = false;
}
/* The newest draft that a stream has told of: what arrives while a page gives way to the next one, or while the
   server does not answer, is told by the next stream. */
function seen(event) { localStorage.setItem(SEEN, parseInt(event.data, 10)); }
/* A stream that the server ended, as when a session ends, is opened again: notifications must not stop silently. */
function open() {
  const last = localStorage.getItem(SEEN);
  source = new EventSource(last ? `/live?seen=${last}` : "/live");
  source.addEventListener("critical", show);
  for (const kind of ["critical", "ready", "changed"]) source.addEventListener(kind, seen);
  source.addEventListener("error", () => {
    if (source?.readyState === EventSource.CLOSED) setTimeout(() => { if (source) open(); }, AGAIN_MS);
  });
}
/* Only one tab of this browser listens, even while it is hidden. */
function listen() {
  button.setAttribute("aria-pressed", String(wanted()));
  if (!wanted()) { source?.close(); source = null; return; }
  navigator.locks?.request("echo-notice", () => new Promise((done) => {
    if (source || !wanted()) { done(); return; }
    open();
    window.addEventListener("pagehide", () => { source?.close(); source = null; done(); }, { once: true });
    button.addEventListener("click", () => { if (!wanted()) done(); });
  }));
}
if (button && window.Notification) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const off = wanted();
    localStorage.setItem(STORE, off ? "no" : "yes");
    localStorage.removeItem(SEEN);
    if (!off && Notification.permission !== "granted") await Notification.requestPermission();
    listen();
  });
  listen();
}
