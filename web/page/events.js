// The events: each trigger and what became of it.

import { $, chip, clone, make, say, setTime } from "./dom.js";
import { showList } from "./lists.js";
import { later, loadEvents } from "./load.js";
import { known, label, watch } from "./state.js";
import { CAUSE, OUTCOME, sentence } from "./words.js";

export const outcome = (event) => OUTCOME[event.outcome] ?? ["Under way", "info"];

/** Why it went as it did. */
export const reasons = ({ reason, remark }) => [reason, remark].map(sentence).filter(Boolean).join(" ");

function makeEvent() {
  const item = clone("event-template");
  item.querySelector("time").after(make("span", { className: "hint event-after" }));
  return item;
}

function fillEvent(item, { name, event }) {
  const find = (selector) => item.querySelector(selector);
  find(".event-camera").textContent = name;
  find(".event-cause").textContent = CAUSE[event.cause] ?? event.cause;
  chip(find(".chip"), outcome(event));
  setTime(find("time"), event.edge_at, event.clock);
  const { latency_ms: after } = event;
  find(".event-after").textContent = after === null ? "" : ` · stored after ${after.toLocaleString()} ms`;
  say(find(".event-reason"), reasons(event));
}

function draw() {
  const items = known.events.map((event) => ({ key: event.id, name: label(event.camera), event }));
  showList($("events"), items, { make: makeEvent, fill: fillEvent });
  const nothing = known.onlyFailed ? "No failure. Good." : "Nothing has happened yet.";
  say($("events-empty"), items.length > 0 ? "" : nothing);
  $("events-more").hidden = !known.eventsNext;
}

async function choose() {
  known.onlyFailed = $("only-failed").checked;
  await loadEvents();
}

export function begin() {
  watch(["events"], draw);
  $("only-failed").addEventListener("change", later(choose));
  $("events-more").addEventListener("click", later(() => loadEvents(true)));
}
