// What all dialogs have in common, and the question with two answers.

import { $ } from "./dom.js";

const DIALOGS = ["picture", "settings", "live", "tryout"];

/** Asks; true when the answer is `yes`. Escape is a no. */
export function ask(title, text, yes = "Delete", no = "Keep it") {
  const dialog = $("confirm");
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  const [refuse, agree] = dialog.querySelectorAll("button");
  [refuse.textContent, agree.textContent] = [no, yes];
  agree.className = yes === "Delete" ? "danger" : "primary";
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export function begin() {
  for (const dialog of DIALOGS.map($)) {
    dialog.querySelector(".close").addEventListener("click", () => dialog.close());
    // Beside the dialog.
    dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  }
}
