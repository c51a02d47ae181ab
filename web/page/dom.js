// What every card does with the document. Data gets into it as text only.

import { known } from "./state.js";
import { inUtc, when } from "./time.js";
import { doubt } from "./words.js";

export const $ = (id) => document.getElementById(id);

export const clone = (id) => $(id).content.firstElementChild.cloneNode(true);

/** A new element with properties and content. */
export function make(tag, properties = {}, ...content) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...content);
  return element;
}

/** Gives an element the colour of a kind, and no other. */
export function colour(element, kind) {
  element.classList.remove("ok", "info", "warn", "bad");
  if (kind) element.classList.add(kind);
}

export function chip(element, [text, kind]) {
  element.classList.add("chip");
  colour(element, kind);
  element.textContent = text;
}

/** Shows a text, or hides its element when there is none. */
export function say(element, text, kind = "") {
  element.hidden = !text;
  element.textContent = text;
  if (kind) colour(element, kind);
}

/** The demonstration's clock is nobody's concern. */
export const clockDoubt = (clock) => (known.status?.demo ? "" : doubt(clock));

export function setTime(element, iso, clock) {
  element.dateTime = iso;
  element.textContent = when(Date.parse(iso)) + clockDoubt(clock);
  element.title = inUtc(iso);
}

/** Runs what a button asks for; the button cannot be pressed again meanwhile. `failed` gets what went wrong. */
export async function press(button, act, failed) {
  button.disabled = true;
  try {
    await act();
  } catch (error) {
    failed(error);
  }
  button.disabled = false;
}
