/* Refreshes the list when the server reports a change and the rows are not in use. */
// The list stays still under a moving pointer, so that nobody opens a row that has just replaced another.
const STILL_MS = 700, LONGEST_STILL_MS = 15000, LOOK_MS = 100, AGAIN_MS = 5000;

/* latest() is the mark of the rows shown, load() refreshes them; lost() and back() report the connection. */
export function follow(list, { latest, load, lost, back }) {
  let moved = 0, due = false, source = null, silent = 0;
  const held = () => {
    const chosen = getSelection();
    return Date.now() - moved < STILL_MS || (!chosen.isCollapsed && list.contains(chosen.anchorNode));
  };
  /* Resolves when the rows may be replaced: at once, or when they are no longer in use. */
  async function calm() {
    const since = Date.now();
    while (held() && Date.now() - since < LONGEST_STILL_MS) await new Promise((done) => { setTimeout(done, LOOK_MS); });
  }
  async function changed() {
    if (due) return;
    due = true;
    await calm();
    due = false;
    load();
  }
  function hear(event) {
    clearTimeout(silent);
    silent = 0;
    back();
    // Changes between loading the page and this connection are not missed, and nothing is requested twice.
    if (event.data !== latest()) changed();
  }
  // A browser has six connections for this site; a hidden list uses none of them.
  function listen() {
    if (document.hidden) { hush(); return; }
    if (source) return;
    source = new EventSource("/live");
    source.addEventListener("ready", hear);
    source.addEventListener("changed", hear);
    source.addEventListener("error", () => {
      silent ||= setTimeout(lost, AGAIN_MS);
      if (source?.readyState !== EventSource.CLOSED) return;
      // Refused, for example because the session has ended: requesting the rows leads to sign-in.
      source = null;
      setTimeout(() => { listen(); changed(); }, AGAIN_MS);
    });
  }
  function hush() {
    clearTimeout(silent);
    silent = 0;
    source?.close();
    source = null;
  }
  for (const kind of ["pointermove", "pointerdown"]) {
    list.addEventListener(kind, () => { moved = Date.now(); }, { passive: true });
  }
  document.addEventListener("visibilitychange", listen);
  window.addEventListener("pagehide", hush);
  window.addEventListener("pageshow", (event) => { if (event.persisted) listen(); });
  listen();
  return { changed, calm };
}
