/* Fetches the rows of the list. The server gives at most 500 at a time; more are put together here, so that a list
   that was made longer stays as long when it is refreshed. */
import { read } from "./session.js";
export const PAGE = 50, MOST = 5000;
const LONGEST_PAGE = 500;

/* One answer of the server, as a document fragment. */
export async function pageOf(address, poll, signal) {
  const answer = await read(address, { "HX-Request": "true", ...(poll ? { "X-Poll": "yes" } : {}) }, signal);
  if (!answer) throw new Error("no rows");
  const holder = document.createElement("template");
  holder.innerHTML = await answer.text();
  return holder.content;
}
/* The first `count` requested rows, or as many as there are. */
export async function rowsOf(asked, count, poll, signal) {
  asked.set("limit", Math.min(count, LONGEST_PAGE));
  const all = await pageOf(`/?${asked}`, poll, signal);
  for (;;) {
    const more = all.querySelector("tr.more"), missing = count - all.querySelectorAll("tr.study").length;
    if (!more || missing <= 0) return all;
    const next = `${more.querySelector("button").dataset.more}&limit=${Math.min(missing, LONGEST_PAGE)}`;
    more.replaceWith(await pageOf(next, poll, signal));
  }
}
