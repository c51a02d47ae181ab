// What was read in the pictures: the card, and the part of a picture's window. Loaded only where a server reads them.

import { api, fileUrl } from "./api.js";
import { takeAnswer } from "./changes.js";
import { $, chip, make, press, say } from "./dom.js";
import { openPicture } from "./gallery.js";
import { showList } from "./lists.js";
import { complain, statusSoon } from "./load.js";
import { known, watch } from "./state.js";
import { since, when } from "./time.js";
import { plateChip, plural, sentence } from "./words.js";

/** The card is read anew so long after a change; pictures come in bursts. */
const PAUSE_MS = 1000;
/** How high a plate is shown, pixels, and how much of what is around it, in its own heights. */
const CROP_PX = 56;
const MARGIN = 0.35;

/** Where a picture lies behind a window on a part of it, in pixels; nothing of it is beyond the picture. */
export function cropOf({ width, height }, { xmin, ymin, xmax, ymax }, high = CROP_PX) {
  const margin = (ymax - ymin) * MARGIN;
  const left = Math.max(0, xmin - margin);
  const top = Math.max(0, ymin - margin);
  const right = Math.min(width, xmax + margin);
  const bottom = Math.min(height, ymax + margin);
  if (right <= left || bottom <= top) return null;
  const scale = high / (bottom - top);
  const px = (pixels) => Math.round(pixels * scale);
  return {
    wide: px(right - left), high: px(bottom - top), left: -px(left), top: -px(top),
    width: px(width), height: px(height),
  };
}

/** How sure the server was, and who said what it is. */
export function readingWords({ read, score, corrected, checked_by: by, checked_at: at, watched, unsure }) {
  const sure = score === null ? "no score" : `score ${Math.round(score * 100)} %`;
  const words = [`Read as ${read}, ${sure}.`];
  if (corrected === "") words.push(`No text at all, said ${by}, ${since(at)}.`);
  if (corrected) words.push(`${corrected}, said ${by}, ${since(at)}.`);
  if (unsure) words.push("Please confirm or correct it.");
  if (watched) words.push(`Taken for ${watched}, which is watched for.`);
  return words.join(" ");
}

/** How the analysis of a picture stands, where that is not seen by what was read. */
export function analysisWords(analysis) {
  if (!analysis) return "Not asked about yet.";
  const { state, readings, last_error: error, attempts } = analysis;
  if (state === "pending") return error ? `Asked again. ${sentence(error)}` : "Being read.";
  if (state === "dead") return `Put aside after ${plural(attempts, "attempt")}. ${sentence(error ?? "")}`;
  return readings.length > 0 ? "" : "No number plate was read.";
}

/** Limits and faults of the server, for the card. */
export function serverWords(server) {
  const { waiting, unsure, dead, paused_by: why, paused_until: until, last_error: error } = server;
  const limited = (limit) => (limit ? ` of ${limit.toLocaleString()}` : "");
  const spent = (asked, limit, word) => `${asked.toLocaleString()}${limited(limit)} ${word}`;
  const words = [
    `Asked ${spent(server.asked_today, server.per_day, "today")}, `
      + `${spent(server.asked_this_month, server.per_month, "this month")} (UTC).`,
  ];
  if (waiting > 0) words.push(`${plural(waiting, "picture")} wait${waiting === 1 ? "s" : ""}.`);
  if (unsure > 0) words.push(`${plural(unsure, "reading")} to be confirmed.`);
  if (dead > 0) words.push(`${plural(dead, "picture")} put aside.`);
  if (why === "cost") words.push(`The limit is reached: nothing is asked before ${when(Date.parse(until))}.`);
  else if (error) words.push(sentence(error));
  return words.join(" ");
}

function serverState({ enabled, paused_by: why, last_error: error }) {
  if (!enabled) return ["Off", ""];
  if (why === "cost") return ["Limit reached", "warn"];
  return error ? ["Fails", "bad"] : ["Reads", "ok"];
}

/** A window on a part of the picture, which the browser has already. */
function crop(image, box) {
  const place = box && cropOf(image, box);
  const view = make("div", { className: "plate-crop", hidden: !place });
  if (!place) return view;
  const picture = make("img", { src: fileUrl(image.filename), alt: "" });
  const px = (element, sizes) => Object.entries(sizes).forEach(([name, value]) => {
    element.style[name] = `${value}px`;
  });
  px(view, { width: place.wide, height: place.high });
  px(picture, { width: place.width, height: place.height, left: place.left, top: place.top });
  view.append(picture);
  return view;
}

function makeReading(image) {
  return ({ key, reading }) => {
    const item = make("li", { className: "plate" });
    const input = make("input", { name: "text", maxLength: 64, autocomplete: "off", spellcheck: false });
    input.value = reading.text;
    const label = make("label", {}, make("span", { className: "visually-hidden" }, "What it says"), input);
    const form = make("form", {}, label, make("button", { className: "confirm" }, "Confirm"),
      make("button", { type: "button", className: "quiet" }, "No text"));
    const send = (button, text) => press(button, async () => {
      takeAnswer(await api(`${fileUrl(image.filename)}/readings/${key}`, "POST", { text }));
      statusSoon();
    }, (error) => say($("picture-note"), error.message, "bad"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      send(form.querySelector(".confirm"), input.value);
    });
    form.querySelector(".quiet").addEventListener("click", (event) => send(event.target, ""));
    input.addEventListener("input", () => {
      form.querySelector(".confirm").textContent = input.value === input.dataset.text ? "Confirm" : "Correct";
    });
    item.append(crop(image, reading.box), make("span", { className: "chip" }), form, make("p", { className: "hint" }));
    return item;
  };
}

function fillReading(item, { reading }) {
  const input = item.querySelector("input");
  // What a person is typing stays.
  if (input.dataset.text !== reading.text && document.activeElement !== input) input.value = reading.text;
  input.dataset.text = reading.text;
  chip(item.querySelector(".chip"), plateChip({ analysis: { readings: [reading] } }) ?? ["No text", ""]);
  item.querySelector(".hint").textContent = readingWords(reading);
}

/** Draws what was read in the picture that is open. */
export function draw(image) {
  const { analysis, filename } = image;
  const box = $("picture-plates");
  box.hidden = false;
  if (box.dataset.of !== filename) {
    box.dataset.of = filename;
    const ask = make("button", { type: "button", className: "ask" });
    ask.addEventListener("click", () => press(ask, async () => {
      takeAnswer(await api(`${fileUrl(filename)}/analyse`, "POST"));
    }, (error) => say($("picture-note"), error.message, "bad")));
    const [list, words] = [make("ul", { className: "plates" }), make("p", { className: "hint" })];
    box.replaceChildren(make("h3", {}, "Number plates"), list, words, ask);
  }
  const items = (analysis?.readings ?? []).map((reading) => ({ key: String(reading.id), reading }));
  showList(box.querySelector("ul"), items, { make: makeReading(image), fill: fillReading });
  say(box.querySelector(":scope > p"), analysisWords(analysis));
  const button = box.querySelector(":scope > button");
  button.textContent = analysis ? "Read again" : "Read the number plates";
  button.hidden = !known.status.analysis || analysis?.state === "pending";
}

let server = null;

function drawCard() {
  chip($("plates-state"), serverState(server));
  $("plates-words").textContent = serverWords(server);
  const todo = (what, images) => images.map((image) => ({ key: `${what} ${image.filename}`, what, image }));
  const items = [
    ...todo("Watched for", server.watched), ...todo("Confirm", server.to_check), ...todo("Put aside", server.put_aside),
  ];
  showList($("plates-todo"), items, {
    make: () => make("li", {}, make("button", { type: "button", className: "quiet" })),
    fill(item, { what, image }) {
      const button = item.querySelector("button");
      const text = plateChip(image)?.[0];
      button.textContent = `${what}: ${text ? `${text}, ` : ""}${when(image.taken_at_ms)}`;
      button.onclick = () => openPicture(image).catch(complain);
    },
  });
  $("plates-seen").hidden = server.watched_unseen === 0;
  $("plates-again").hidden = server.dead === 0;
  $("plates-watch").hidden = server.watch.length === 0;
  const rows = server.watch.map(({ text, misreads }) => make("li", {}, make("strong", {}, text),
    misreads.length > 0 ? ` also read as ${misreads.join(", ")}` : ""));
  $("plates-watched").replaceChildren(...rows);
}

let timer = 0;

/** Reads the card anew, soon. */
function soon() {
  if (timer || document.hidden) return;
  timer = setTimeout(() => {
    timer = 0;
    read().catch(() => {});
  }, PAUSE_MS);
}

async function read() {
  server = await api("/api/analysis");
  drawCard();
}

let hasBegun = false;

/** Shows the card and the field to look for a text. */
export function begin() {
  if (hasBegun) return;
  hasBegun = true;
  $("plates").hidden = false;
  $("filter-text").hidden = false;
  $("plates-again").addEventListener("click", () => press($("plates-again"), async () => {
    await api("/api/analysis/retry", "POST");
    await read();
  }, complain));
  $("plates-seen").addEventListener("click", () => press($("plates-seen"), async () => {
    await api("/api/analysis/seen", "POST", { up_to: server.watched_up_to });
    await read();
  }, complain));
  watch(["images", "status"], soon);
  read().catch(complain);
}
