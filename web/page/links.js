// Public links of the picture that is shown: made, copied, revoked. An address is known to the page that asked for it,
// as long as the dialog is open.

import { api, fileUrl } from "./api.js";
import { ask } from "./dialogs.js";
import { $, make, press, say } from "./dom.js";
import { showList } from "./lists.js";
import { known } from "./state.js";
import { since } from "./time.js";
import { plural, targetName } from "./words.js";

const COPIED_MS = 2000;

const end = ({ expires_at: at }) => (at ? `until ${since(at)}` : "does not end");

/** What is said of a link. */
export function linkWords(link) {
  const by = link.target ? `for ${targetName(link)}, ` : "";
  const opens = link.opens ? `opened ${plural(link.opens, "time")}` : "not opened yet";
  return `Public link ${by}${end(link)}, ${opens}`;
}

const note = (text, kind = "") => say($("links-note"), text, kind);
const shown = () => known.shown?.filename;

function showAddress(address) {
  $("link-fresh").hidden = !address;
  $("link-address").textContent = address;
}

function row({ key }) {
  const button = make("button", { type: "button", textContent: "Revoke" });
  const item = make("li", {}, make("span"), " ", button);
  button.addEventListener("click", () => press(button, () => revoke(key), (error) => note(error.message, "bad")));
  return item;
}

function fill(item, { text }) {
  item.firstElementChild.textContent = text;
  item.lastElementChild.setAttribute("aria-label", `Revoke: ${text}`);
}

async function load() {
  const filename = shown();
  if (!filename) return;
  const { links } = await api(`${fileUrl(filename)}/links`);
  // Another picture may be shown meanwhile.
  if (shown() !== filename) return;
  const items = links.map((link) => ({ key: link.id, text: linkWords(link) }));
  showList($("links"), items, { make: row, fill });
}

async function revoke(id) {
  const text = "Whoever has it sees nothing from now on.";
  if (!(await ask("Revoke this public link?", text, "Revoke", "Keep it"))) return;
  await api(`/api/links/${id}`, "DELETE");
  showAddress("");
  note("The link leads nowhere any more.", "ok");
  await load();
}

async function copy() {
  try {
    await navigator.clipboard.writeText($("link-address").textContent);
    return true;
  } catch {
    // Browsers give the clipboard to https only: select it, to be copied by hand.
    getSelection().selectAllChildren($("link-address"));
    return false;
  }
}

async function share() {
  const filename = shown();
  const link = await api(`${fileUrl(filename)}/link`, "POST", {});
  if (shown() !== filename) return;
  showAddress(link.url ?? new URL(link.path, location.origin).href);
  const where = (await copy()) ? "copied to the clipboard" : "made; copy it from here";
  const what = known.shown.kind === "clip" ? "clip" : "picture";
  note(`The link is ${where}. Whoever has it sees this one ${what}: ${end(link)}.`, "ok");
  await load();
}

async function copyAgain() {
  if (!(await copy())) return;
  $("link-copy").textContent = "Copied";
  setTimeout(() => {
    $("link-copy").textContent = "Copy";
  }, COPIED_MS);
}

/** Another picture is shown, or none. */
export function renew() {
  showAddress("");
  note("");
  showList($("links"), [], { make: row, fill });
  // What goes wrong is said when a link is asked for.
  load().catch(() => {});
}

// Once: a module is run once, however often it is asked for.
$("share").addEventListener("click", () => press($("share"), share, (error) => note(error.message, "bad")));
$("link-copy").addEventListener("click", copyAgain);
