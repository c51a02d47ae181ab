// The contacts: the table of all of them, and the lamp of one.

import { $, clone, make, say, setTime } from "./dom.js";
import { showList } from "./lists.js";
import { known, label, watch } from "./state.js";
import { plural, sentence } from "./words.js";

export function lampWord(line) {
  if (!line || line.level === null) return "Unknown";
  return line.active ? "Closed" : "Open";
}

export function drawLamp(element, line, before = "") {
  element.className = `lamp${line?.active ? " closed" : ""}`;
  element.textContent = before + lampWord(line);
}

/** Why there is no contact to be seen, or that nothing is wrong. */
export function contactsNote({ enabled, error, lines }) {
  if (!enabled) return "Contacts are switched off (GPIO_ENABLED=false).";
  if (error) return sentence(error);
  return lines.length === 0 ? "No contact is watched yet." : "";
}

function fillLine(row, { name, line }) {
  const find = (selector) => row.querySelector(selector);
  find(".line-camera").textContent = name;
  drawLamp(find(".lamp"), line);
  find(".line-lamp").title = `GPIO ${line.pin}, level ${line.level ?? "unknown"}`;
  const time = make("time");
  if (line.last_edge) setTime(time, line.last_edge);
  find(".line-edge").replaceChildren(line.last_edge ? time : "none yet");
  find(".number").textContent = line.edges.toLocaleString();
  find(".number").title = `${plural(line.bounces, "bounce")} among them`;
}

function draw() {
  const { gpio } = known.status;
  say($("contacts-note"), contactsNote(gpio));
  $("contacts").hidden = gpio.lines.length === 0;
  const items = gpio.lines.map((line) => ({ key: line.pin, name: label(line.camera), line }));
  showList($("contacts").tBodies[0], items, { make: () => clone("line-template"), fill: fillLine });
}

export function begin() {
  watch(["status", "contacts"], draw);
}
