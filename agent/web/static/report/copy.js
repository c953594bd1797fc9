/* The report as plain text with its sections, for a dictation system. A draft is labelled as one. */
const button = document.getElementById("copy");
export function plainReport() {
  const sections = ["findings", "impression"].map((name) =>
    `${name.toUpperCase()}:\n${document.getElementById(`text-${name}`).value.trim()}`);
  return [button.dataset.mark, ...sections].filter(Boolean).join("\n\n");
}
button?.addEventListener("click", async () => {
  const said = document.getElementById("copied");
  try {
    await navigator.clipboard.writeText(plainReport());
    said.textContent = "copied";
  } catch { said.textContent = "the browser does not allow it: select the text and copy it by hand"; }
});
