// The test of a target: each step to it in words.

import { api } from "./api.js";
import { $, chip, clone, say } from "./dom.js";
import { showList } from "./lists.js";
import { sentence, STEP } from "./words.js";

const RESULT = { true: ["OK", "ok"], false: ["Failed", "bad"], null: ["Not done", ""] };

/** The one that was asked for last; the answer for another comes too late. */
let latest = null;

export function reportWords(name, { ok, picture }) {
  if (!ok) return [`${name} did not pass. See the first step that failed.`, "bad"];
  return [`${name} took the test picture, ${picture.filename}. It stays there; here it is in no list.`, "ok"];
}

function makeStep() {
  const item = clone("event-template");
  item.querySelector("time").remove();
  return item;
}

function fillStep(item, { step, ok, ms, text }) {
  item.querySelector(".event-camera").textContent = STEP[step] ?? step;
  item.querySelector(".event-cause").textContent = ok === null ? "" : `${ms.toLocaleString()} ms`;
  chip(item.querySelector(".chip"), RESULT[ok]);
  say(item.querySelector(".event-reason"), sentence(text));
}

const showSteps = (steps) =>
  showList($("tryout-steps"), steps, { key: ({ step }) => step, make: makeStep, fill: fillStep });

/** Sends a test picture, and shows each step to the target in words. */
export async function tryOut(target, name) {
  latest = target;
  $("tryout-title").textContent = `Test of ${name}`;
  showSteps([]);
  $("tryout-again").disabled = true;
  $("tryout-again").onclick = () => tryOut(target, name);
  say($("tryout-said"), "A test picture is being sent. This can take up to a minute.", "info");
  if (!$("tryout").open) $("tryout").showModal();
  const ended = ([text, kind], steps) => {
    if (latest !== target) return;
    showSteps(steps);
    say($("tryout-said"), text, kind);
    $("tryout-again").disabled = false;
  };
  try {
    const report = await api(`/api/uploads/test/${target}`, "POST");
    ended(reportWords(name, report), report.steps);
  } catch (error) {
    ended([error.message, "bad"], []);
  }
}
