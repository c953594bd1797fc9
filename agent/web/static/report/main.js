/* A study's page: its report, and keys that lead to other pages. */
import { act } from "../keys.js";
import "./claim.js";
import "./copy.js";
import "./editor.js";
import "./send.js";
import "./templates.js";
import "./typed.js";
const back = document.querySelector("a.back"), listed = sessionStorage.getItem("echo-list");
// The list as this tab left it, with the same number of rows and this study selected.
if (listed?.startsWith("/") && back.pathname === "/") back.href = listed + back.hash;
const go = (selector) => () => { const link = document.querySelector(selector); if (link) location.href = link.href; };
act("list", "back to the list", "g l", go("a.back"), { leaves: true });
act("next", "next study of the list", "g n", go("a[rel=next]"), { leaves: true });
act("previous", "previous study of the list", "g p", go("a[rel=prev]"), { leaves: true });
act("edit", "report: to the text", "e", () => document.getElementById("text-findings")?.focus());
act("copy", "report: copy as plain text", "c", () => document.getElementById("copy")?.click());
act("claim", "study: claim, take over or release", "b", () => document.querySelector("#claim button")?.click());
if (document.getElementById("template")) {
  act("template", "report: to the text templates", "t", () => document.getElementById("template").focus());
}
