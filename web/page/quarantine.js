// What devices brought that was refused and kept: saved by whoever mends them, never shown.

import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { make, press } from "./dom.js";
import { showList } from "./lists.js";
import { complain, loadStatus } from "./load.js";
import { since } from "./time.js";
import { bytes, plural, sentence } from "./words.js";

/** The newest of them; all are in the folder. */
const SHOWN = 5;

const urlOf = (name) => `/api/quarantine/${encodeURIComponent(name)}`;

/** Which it is, and why it was refused. */
export const refusedWords = ({ device, at, bytes: size, reason }) =>
  `${device}, ${since(at)}, ${bytes(size)}${reason ? `: ${sentence(reason)}` : ""}`;

async function remove(name) {
  if (!(await ask("Delete this refused picture?", "It is the only one there is of it.", "Delete", "Keep it"))) return;
  await api(urlOf(name), "DELETE");
  await loadStatus();
}

function row({ key }) {
  const save = make("a", { href: urlOf(key), download: key, textContent: "Save" });
  const button = make("button", { type: "button", textContent: "Delete" });
  button.addEventListener("click", () => press(button, () => remove(key), complain));
  return make("li", {}, make("p", { className: "hint" }, make("span"), " ", save), button);
}

function fill(item, { text }) {
  const [words, save, button] = item.querySelectorAll("span, a, button");
  words.textContent = text;
  save.setAttribute("aria-label", `Save: ${text}`);
  button.setAttribute("aria-label", `Delete: ${text}`);
}

/** The list, and what draws it anew: `kept` is what the status has of it. */
export function makeQuarantine() {
  const title = make("summary");
  const list = make("ul", { className: "tokens stack" });
  const element = make("details", { hidden: true }, title, list);
  let seen = "";
  async function draw(kept) {
    element.hidden = !kept?.pictures;
    const now = JSON.stringify(kept);
    if (element.hidden || now === seen) return;
    seen = now;
    const { pictures } = await api("/api/quarantine");
    const shown = pictures.slice(0, SHOWN);
    title.textContent = plural(pictures.length, "refused picture")
      + (pictures.length > SHOWN ? `, the newest ${SHOWN} of them` : "");
    showList(list, shown.map((one) => ({ key: one.name, text: refusedWords(one) })), { make: row, fill });
  }
  return { element, draw: (kept) => draw(kept).catch((error) => {
    seen = "";
    complain(error);
  }) };
}
