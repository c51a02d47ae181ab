// The upload targets: how deliveries go, and what can be done for those that did not.

import { api, part } from "./api.js";
import { ask } from "./dialogs.js";
import { $, chip, clone, make, say } from "./dom.js";
import { showState } from "./gallery.js";
import { showList } from "./lists.js";
import { complain, loadImages, loadStatus } from "./load.js";
import { known, now, watch } from "./state.js";
import { since } from "./time.js";
import { plural, queue, sentence, targetName } from "./words.js";

const NONE = { key: "", text: "No upload target is configured. Pictures are kept on this machine only." };

const rests = (target, at) => Boolean(target.paused_until) && Date.parse(target.paused_until) > at;
/** A rest between two rounds is as it should be. */
const isPaused = (target, at) => rests(target, at) && target.paused_by !== "round";

/** How a target stands, in a word. */
export function targetState(target, counts, at) {
  if (target.paused_by === "window") return ["Outside its hours", "info"];
  if (target.online === false) return target.reachable ? ["Takes no pictures", "bad"] : ["Offline", "bad"];
  if (isPaused(target, at)) return ["Paused", "warn"];
  if (target.online === null) return ["Not tried yet", ""];
  return counts.dead ? ["Some failed", "warn"] : ["Online", "ok"];
}

/** When deliveries go on, if they do not. */
function goesOn(target, at) {
  if (target.paused_by === "window") {
    return `Sends only at ${target.backlog.window}, again from ${since(target.paused_until)}.`;
  }
  if (isPaused(target, at)) return `Next try at ${since(target.paused_until)}.`;
  if (target.online !== false) {
    const waits = rests(target, at) && target.backlog.pending > 0;
    return waits ? `Sends in rounds, the next at ${since(target.paused_until)}.` : "";
  }
  return `So since ${since(target.since)}; pictures stay in the queue and are sent by themselves.`;
}

/** The same in sentences. */
export function targetWords(target, at) {
  const isHeld = isPaused(target, at) && target.paused_by !== "window";
  const isWrong = isHeld || target.online === false;
  return [
    queue(target.backlog),
    isWrong ? sentence(target.last_error) : "",
    goesOn(target, at),
    target.last_delivered ? `Last delivery ${since(target.last_delivered)}.` : "",
  ].filter(Boolean).join(" ");
}

/** All that is shown of a target. */
export function targetItem(target, counts, at) {
  return {
    key: target.target,
    name: targetName(target),
    state: targetState(target, counts, at),
    text: targetWords(target, at),
    counts,
  };
}

/** Sends a test picture; the dialog for it is loaded after the page. */
async function tryOut(target, name) {
  await (await part("/page/tryout.js")).tryOut(target, name);
}

async function retryAll(target) {
  const { dead } = known.stats.uploads.targets[target];
  const text = `${plural(dead, "picture")}, refused before. What is refused again fails permanently again.`;
  if (!(await ask("Send the failed pictures again?", text, "Send again", "Not now"))) return;
  try {
    const { owed_again: sent } = await api("/api/uploads/retry", "POST", { target, state: "dead" });
    say($("delivery-said"), `${plural(sent, "picture")} will be sent again.`);
    await Promise.all([loadStatus(), loadImages()]);
  } catch (error) {
    say($("delivery-said"), error.message);
  }
}

function makeTarget({ key, name, text }) {
  if (!key) return make("p", { className: "hint", textContent: text });
  const element = clone("target-template");
  const find = (selector) => element.querySelector(selector);
  const on = (selector, act) => find(selector).addEventListener("click", () => act().catch(complain));
  find(".target-name").textContent = name;
  find(".try-target").setAttribute("aria-label", `Test ${name}`);
  find(".list-dead").href = `/api/uploads/dead?format=csv&target=${key}`;
  on(".try-target", () => tryOut(key, name));
  on(".send-dead", () => retryAll(key));
  on(".show-dead", () => showState("dead"));
  return element;
}

function fillTarget(element, { key, state, text, counts }) {
  if (!key) return;
  chip(element.querySelector(".chip"), state);
  element.querySelector(".target-text").textContent = text;
  element.querySelector(".target-dead").hidden = !counts.dead;
  for (const cell of element.querySelectorAll("[data-count]")) {
    cell.textContent = (counts[cell.dataset.count] ?? 0).toLocaleString();
  }
}

function draw() {
  const counts = (target) => known.stats.uploads.targets[target] ?? {};
  const items = known.status.targets.map((one) => targetItem(one, counts(one.target), now()));
  showList($("targets"), items.length > 0 ? items : [NONE], { make: makeTarget, fill: fillTarget });
}

export function begin() {
  watch(["status", "targets"], draw);
}
