// The pictures, newest first.

import { fileUrl, part } from "./api.js";
import { $, chip, clone, say, setTime } from "./dom.js";
import { elementOf, showList } from "./lists.js";
import { complain, later, loadImages } from "./load.js";
import { known, label, offset, watch } from "./state.js";
import { lengthOf, when } from "./time.js";
import { delivery, plateChip } from "./words.js";

/** What is written over a small picture: what it is, unless an ordinary one, and that there is a note. */
export function mark({ kind, duration_ms: length, note }) {
  const what = { clip: `▶ ${lengthOf(length ?? 0)}`, best: "★ Best" }[kind] ?? "";
  return `${what}${note ? " ⚠" : ""}`;
}

/** Shows a picture in full. Its dialog is loaded after the page. */
export async function openPicture(image) {
  if (image) (await part("/page/picture.js")).open(image);
}

/** Puts the focus where it was before a picture was opened. */
export const focusTile = (filename) => elementOf($("gallery"), filename)?.querySelector("button").focus();

function makeTile({ key }) {
  const item = clone("tile-template");
  item.querySelector("img").src = `${fileUrl(key)}?thumb=1`;
  item.querySelector("button").addEventListener("click", () => {
    openPicture(known.images.find((one) => one.filename === key)).catch(complain);
  });
  return item;
}

function fillTile(item, { image, name }) {
  const find = (selector) => item.querySelector(selector);
  find("img").alt = `${image.kind === "clip" ? "Clip: " : ""}${name}, ${when(image.taken_at_ms)}`;
  find(".tile-camera").textContent = image.protected ? `${name} 🔒` : name;
  chip(find(".chip"), delivery(image));
  const plate = plateChip(image);
  find(".tile-plate").hidden = !plate;
  if (plate) chip(find(".tile-plate"), plate);
  setTime(find("time"), image.taken_at, image.clock);
  say(find(".tile-mark"), mark(image));
  find(".tile-offset").textContent = offset(image);
  find(".tile-offset").title = "the frame's distance from the moment asked for";
}

function nothing({ camera, state, text }) {
  if (camera || state || text) return "No picture fits this choice.";
  return "No picture yet. The first one appears here as soon as a contact closes or you press Capture.";
}

function draw() {
  const items = known.images.map((image) => ({ key: image.filename, name: label(image.camera), image }));
  showList($("gallery"), items, { make: makeTile, fill: fillTile });
  elementOf($("gallery"), known.arrived)?.querySelector("button").classList.add("is-new");
  known.arrived = "";
  say($("gallery-empty"), items.length > 0 ? "" : nothing(known.filter));
  $("gallery-more").hidden = !known.imagesNext;
}

/** The choice of cameras follows the configuration. */
function drawFilter() {
  const select = $("filter").elements.camera;
  const { cameras, devices } = known.status;
  const own = devices.filter(({ camera, name }) => camera === name);
  if (select.options.length === cameras.length + own.length + 1) return;
  const options = [
    ...cameras.map((one) => new Option(`${one.label} (${one.key})`, one.key)),
    ...own.map(({ name }) => new Option(name, name)),
  ];
  select.replaceChildren(select.options[0], ...options);
}

async function choose() {
  const { camera, state, text } = $("filter").elements;
  known.filter = { camera: camera.value, state: state.value, text: text.value.trim() };
  await loadImages();
}

/** Shows the pictures whose uploads are in a state. */
export async function showState(state) {
  $("filter").elements.state.value = state;
  $("gallery-title").scrollIntoView();
  await choose();
}

export function begin() {
  watch(["status"], drawFilter);
  watch(["images"], draw);
  $("filter").addEventListener("change", later(choose));
  $("filter").addEventListener("submit", (event) => event.preventDefault());
  $("gallery-more").addEventListener("click", later(() => loadImages(true)));
}
