/* The page of a disagreement: keys that lead to other pages. */
import { act } from "./keys.js";
const go = (selector) => () => { const link = document.querySelector(selector); if (link) location.href = link.href; };
act("list", "back to the disagreements", "g l", go("a.back"), { leaves: true });
act("next", "next disagreement", "g n", go("a[rel=next]"), { leaves: true });
act("previous", "previous disagreement", "g p", go("a[rel=prev]"), { leaves: true });
