// The cameras, a card each.

import { api, part } from "./api.js";
import { takeAnswer } from "./changes.js";
import { drawLamp } from "./contacts.js";
import { $, chip, clone, make, press, say } from "./dom.js";
import { openPicture } from "./gallery.js";
import { elementOf, showList } from "./lists.js";
import { complain } from "./load.js";
import { known, label, now, watch } from "./state.js";
import { ago, when } from "./time.js";
import { cameraState, sentence } from "./words.js";

/** What the camera is like, and what to change, in sentences. */
export function aboutCamera({ facts, changes }) {
  const things = changes.length === 1 ? "one thing" : `${changes.length} things`;
  return {
    title: changes.length > 0 ? `About this camera: ${things} to change` : "About this camera",
    items: [
      ...changes.map((text) => ({ key: text, kind: "change", text: `To change: ${text}.` })),
      ...facts.map((text) => ({ key: text, kind: "", text: sentence(text) })),
    ],
  };
}

export function streamWords(stream) {
  if (!stream) return "";
  const rate = stream.fps ? `, ${stream.fps.toFixed(1)} frames per second` : "";
  return `${stream.codec}, ${stream.width}×${stream.height}${rate}`;
}

/** When the newest picture was taken; it grows older without any event. */
export function newestWords({ last_image: last, enabled, state }, at) {
  if (enabled && state === "disabled") return "Its address comes by POST /streaming/setup-camera";
  if (last) return `${when(last.taken_at_ms)} · ${ago(last.taken_at_ms, at)}`;
  return enabled ? "Waits for its first picture" : "Switched off in the configuration";
}

/** A button of a card, which says what it does while it does it. */
function action(card, selector, waiting, act) {
  const button = card.querySelector(selector);
  const said = card.querySelector(".camera-said");
  const text = button.textContent;
  button.addEventListener("click", async () => {
    button.textContent = waiting;
    say(said, "");
    await press(button, act, (error) => say(said, error.message, "bad"));
    button.textContent = text;
  });
}

async function openNewest(key) {
  const name = known.status.cameras.find((camera) => camera.key === key)?.last_image?.filename;
  if (!name) return;
  const listed = known.images.find((image) => image.filename === name);
  const newest = async () => (await api(`/api/images?camera=${key}&media_type=image/jpeg&limit=1`)).images[0];
  await openPicture(listed ?? (await newest()));
}

function makeCard({ key }) {
  const card = clone("camera-template");
  card.id = `camera-${key}`;
  action(card, ".capture", "Taking…", async () => takeAnswer(await api(`/api/capture/${key}`, "POST")));
  action(card, ".watch", "Opening…", async () => (await part("/live.js")).openLive(key, label(key)));
  action(card, ".simulate", "Closing…", () => api(`/api/gpio/sim/${key}`, "POST", { pulse_ms: 500 }));
  card.querySelector(".camera-picture").addEventListener("click", () => openNewest(key).catch(complain));
  return card;
}

function fillAbout(details, about) {
  const { title, items } = aboutCamera(about);
  details.hidden = about.facts.length === 0;
  details.querySelector("summary").textContent = title;
  showList(details.querySelector("ul"), items, {
    make: () => make("li"),
    fill: (item, { kind, text }) => Object.assign(item, { className: kind, textContent: text }),
  });
}

function fillPicture(find, { label: name, last_image: last }) {
  const image = find(".camera-picture img");
  find(".camera-picture").disabled = !last;
  image.hidden = !last;
  find(".camera-none").hidden = Boolean(last);
  if (!last || image.dataset.name === last.filename) return;
  image.dataset.name = last.filename;
  image.src = last.url;
  image.alt = `Last picture of ${name}; open it`;
}

function fillCard(card, { camera, line, simulated }) {
  const find = (selector) => card.querySelector(selector);
  const isOff = camera.state === "disabled";
  card.classList.toggle("is-off", !camera.enabled);
  find(".camera-label").textContent = camera.label;
  find(".camera-key").textContent = camera.key;
  chip(find(".camera-state"), cameraState(camera));
  find(".camera-state").title = streamWords(camera.stream);
  say(find(".camera-error"), isOff ? "" : sentence(camera.last_error ?? ""));
  fillAbout(find(".camera-about"), camera.about);
  fillPicture(find, camera);
  fillLatency(find(".camera-latency"), camera);
  find(".lamp").hidden = !line;
  drawLamp(find(".lamp"), line, "Contact: ");
  find(".capture").hidden = find(".watch").hidden = isOff;
  find(".watch").setAttribute("aria-label", `Live picture of ${camera.label}`);
  find(".capture").setAttribute("aria-label", `Capture ${camera.label}`);
  find(".simulate").hidden = !(simulated && line && camera.enabled);
  find(".simulate").setAttribute("aria-label", `Close contact of ${camera.label}`);
}

function fillLatency(link, { key, latency }) {
  link.hidden = !latency;
  if (!latency) return;
  const text = latency.from === "unknown" ? "Measure its latency" : `Latency: ${latency.ms} ms`;
  Object.assign(link.firstElementChild, { href: `/latency?camera=${key}`, textContent: text });
}

function draw() {
  const { cameras, gpio, simulated } = known.status;
  const lineOf = (camera) => gpio.lines.find((one) => one.camera === camera.key) ?? null;
  const items = cameras.map((camera) => ({ key: camera.key, camera, line: lineOf(camera), simulated }));
  showList($("cameras"), items, { make: makeCard, fill: fillCard });
  drawAges();
}

function drawAges() {
  for (const camera of known.status?.cameras ?? []) {
    const text = elementOf($("cameras"), camera.key)?.querySelector(".camera-when");
    if (!text) continue;
    text.textContent = newestWords(camera, now());
    text.title = camera.last_image ? `${camera.last_image.taken_at} UTC` : "";
  }
}

export function begin() {
  watch(["status", "cameras", "contacts"], draw);
  setInterval(drawAges, 10_000);
}
