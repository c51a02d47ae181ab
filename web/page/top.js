// The head of the page: verdict, summary, triggers without a picture, alarms.

import { api } from "./api.js";
import { $, clockDoubt, colour, make, press, say, setTime } from "./dom.js";
import { showList } from "./lists.js";
import { complain, loadStatus } from "./load.js";
import { known, label, watch } from "./state.js";
import { MARKS, shownAlarms, strip, verdict } from "./summary.js";
import { since } from "./time.js";
import { plural, sentence, SEVERITY } from "./words.js";

const NAME = globalThis.document?.title;

function drawVerdict() {
  if (!known.status && known.link === "open") return;
  const { kind, text, link, how, more } = verdict(known);
  const isStale = known.link !== "open";
  document.body.classList.toggle("is-stale", isStale);
  $("verdict").hidden = false;
  colour($("verdict"), kind);
  const words = `${MARKS[kind]} ${text}`;
  // Said once, not whenever something else is drawn.
  if ($("verdict-text").textContent !== words) $("verdict-text").textContent = words;
  say($("verdict-more"), more > 0 ? `and ${plural(more, "more problem")}` : "");
  $("verdict-link").hidden = !link;
  $("verdict-link").textContent = how ?? "";
  if (link) $("verdict-link").href = link;
  const unseen = known.status?.failures.unseen ?? 0;
  document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${isStale ? "✕ not connected · " : ""}${NAME}`;
}

function drawStrip() {
  showList($("strip"), strip(known.status), {
    make: () => make("li"),
    fill: (item, { text, kind }) => Object.assign(item, { className: kind, textContent: text }),
  });
}

function fillFailure(item, { camera, event }) {
  const time = make("time");
  setTime(time, event.edge_at, event.clock);
  const head = make("strong", {}, `${camera}: no picture of `, time);
  item.replaceChildren(head, ` ${sentence(event.reason ?? "")}`);
}

/** Triggers without a picture, until a person says that they were seen. */
function drawFailures() {
  const { unseen, newest } = known.status.failures;
  $("failures").hidden = unseen === 0;
  const items = newest.map((event) =>
    ({ key: event.id, camera: label(event.camera), doubt: clockDoubt(event.clock), event }));
  showList($("failures-list"), items, { make: () => make("li"), fill: fillFailure });
  const others = unseen - newest.length;
  say($("failures-more"), others > 0 ? `${plural(others, "earlier one")}, see Events.` : "");
}

/** First what is the matter, then why and what to do. */
function fillAlarm(item, alarm) {
  const [what, ...more] = alarm.message.split("; ").map(sentence);
  const { text, link } = alarm.action;
  const next = make(link ? "a" : "span", { textContent: sentence(text) });
  if (link) next.href = link;
  const rest = ` Since ${since(alarm.since)}. ${more.join(" ")} `;
  item.className = SEVERITY[alarm.severity];
  item.replaceChildren(make("strong", { textContent: what }), rest, next);
}

function drawAlarms() {
  const key = ({ code, args, since: at }) => JSON.stringify([code, args?.camera, args?.target, at]);
  showList($("alarms"), shownAlarms(known.status), { key, make: () => make("li"), fill: fillAlarm });
}

async function see() {
  const upTo = Math.max(...known.status.failures.newest.map((event) => event.id));
  await api("/api/events/seen", "POST", { up_to: upTo });
  await loadStatus();
  $("verdict").focus();
}

export function begin() {
  watch(["status", "link", "failures", "alarms", "targets", "cameras"], drawVerdict);
  watch(["status", "targets", "cameras"], drawStrip);
  watch(["status", "failures"], drawFailures);
  watch(["status", "alarms"], drawAlarms);
  $("seen").addEventListener("click", () => press($("seen"), see, complain));
}
