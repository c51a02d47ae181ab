// The devices that bring their pictures, and what the receiver has of them. Loaded only where there are some.

import { api, fileUrl } from "./api.js";
import { $, chip, make, say } from "./dom.js";
import { openPicture } from "./gallery.js";
import { showList } from "./lists.js";
import { complain, loadStatus } from "./load.js";
import { makeQuarantine } from "./quarantine.js";
import { known, label, now, watch } from "./state.js";
import { ago, since } from "./time.js";
import { plural, sentence, targetName } from "./words.js";

/** What was sent once more or only counted tells no event; within ten seconds it is seen. */
const REFRESH_MS = 8_000;
/** A device that was quiet for a day is silent. */
const SILENT_MS = 24 * 60 * 60 * 1000;
/** The last picture of a device is looked for among so many of its camera. */
const LOOKED_THROUGH = 20;

const WAY = { http_token: "HTTP", http_address: "HTTP", ftp: "FTP", folder: "a folder" };

/** When something of a device was taken last, also before the start of the program. */
export const lastOf = ({ last_at: at, last_image: image }) => at ?? image?.taken_at ?? null;

/** How a device stands, in a word. */
export function deviceState(device, at) {
  const last = Date.parse(lastOf(device) ?? 0);
  if (Date.parse(device.last_refusal?.at ?? 0) > last) return ["Last one refused", "bad"];
  if (last === Date.parse(0)) return ["Nothing yet", ""];
  return at - last > SILENT_MS ? ["Silent", "warn"] : ["Brings pictures", "ok"];
}

function lastWords(device, at) {
  const last = lastOf(device);
  if (!last) return "Waits for its first picture.";
  if (at - Date.parse(last) > SILENT_MS) return `Silent since ${since(last)}.`;
  return `Last picture ${since(last)}, ${ago(Date.parse(last), at)}.`;
}

/** How it comes, when it came last, how much, and why something of it was refused. */
export function deviceWords(device, at) {
  const ways = [...new Set(device.ways.map((way) => WAY[way] ?? way))].join(" and ");
  const { camera, name, known: again, refused, last_refusal: refusal } = device;
  const number = (count) => count.toLocaleString();
  const isNew = device.stored_in_all + again + refused === 0;
  return [
    `By ${ways}${camera === name ? "" : `, for ${label(camera)}`}. ${lastWords(device, at)}`,
    isNew ? "" : `Received ${number(device.stored + again)}${again > 0 ? ` (${number(again)} once more)` : ""}, `
      + `stored in all ${number(device.stored_in_all)}, sent on ${number(device.sent_on)}, refused ${number(refused)}.`,
    refusal ? `Refused ${since(refusal.at)}: ${sentence(refusal.reason)}` : "",
  ].filter(Boolean);
}

/** Where the pictures go and where they lie, and whether a way that devices have is closed. */
export function receiverWords({ place, refused_kept: refused, ftp_port: ftpPort }, targets, devices = []) {
  const isOff = ftpPort === null && devices.some(({ ways }) => ways.includes("ftp"));
  const off = isOff ? " The FTP server is off: FTP_PORT=2121 switches it on." : "";
  const names = targets.map(targetName).join(", ");
  const others = refused ? ` ${plural(refused.pictures, "refused picture")} kept in ${refused.place}.` : "";
  return `${names ? `Sent on to ${names}` : "Sent on to nobody"}. Kept in ${place}.${others}${off}`;
}

/** How a picture is brought, for each way that is open. The words in capitals stand for what the settings say. */
export function pushCommands(devices, ftpPort, { origin, hostname }) {
  const has = (way) => devices.some((device) => device.ways.includes(way));
  const post = "curl --data-binary @photo.jpg";
  return [
    has("http_address") ? ["From a device's own address:", `${post} ${origin}/upload`] : null,
    has("http_token")
      ? ["With a device's token:", `${post} -H 'Authorization: Bearer TOKEN' ${origin}/upload`] : null,
    has("ftp") && ftpPort !== null
      ? ["By FTP:", `curl -T photo.jpg ftp://USER:PASSWORD@${hostname}:${ftpPort}/`] : null,
  ].filter(Boolean);
}

async function openLast({ key }) {
  const device = known.status.devices.find(({ name }) => name === key);
  const isIt = (image) => image.filename === device?.last_image?.filename;
  const read = () => api(`/api/images?camera=${device.camera}&media_type=image/jpeg&limit=${LOOKED_THROUGH}`);
  await openPicture(known.images.find(isIt) ?? (await read()).images.find(isIt));
}

function makeDevice(item) {
  const image = make("img", { alt: "" });
  const open = make("button", { type: "button", className: "device-picture" }, image);
  open.addEventListener("click", () => openLast(item).catch(complain));
  const head = make("p", { className: "target-line" }, make("strong", { textContent: item.key }), make("span"));
  return make("article", { className: "target device" }, open, make("div", {}, head, make("div")));
}

function fillDevice(element, { key, state, words, last }) {
  const [open, text] = element.children;
  chip(text.querySelector("p > span"), state);
  text.lastElementChild.replaceChildren(...words.map((textContent) => make("p", { className: "hint", textContent })));
  open.hidden = !last;
  const image = open.firstElementChild;
  if (!last || image.dataset.name === last) return;
  image.dataset.name = last;
  image.src = `${fileUrl(last)}?thumb=1`;
  open.setAttribute("aria-label", `Last picture of ${key}; open it`);
}

/** The parts of the card, which stay; null before it is begun. */
let card = null;

function makeCard() {
  const part = (tag, className) => make(tag, { className });
  const parts = { counts: part("dl", "counts"), place: part("p", "hint"), list: part("div", "stack") };
  const commands = part("div", "stack");
  const how = make("details", {}, make("summary", { textContent: "How to bring a picture" }), commands);
  how.open = known.status.demo;
  const refused = makeQuarantine();
  $("devices").append(...Object.values(parts), refused.element, how);
  return { ...parts, commands, refused };
}

function makeCount({ key }) {
  return make("div", {}, make("dt", { textContent: key }), make("dd"));
}

function drawCounts({ received, stored, sent_on: sentOn }) {
  const items = [["Received", received], ["Stored in all", stored], ["Sent on", sentOn]];
  showList(card.counts, items.map(([key, count]) => ({ key, text: count.toLocaleString() })), {
    make: makeCount,
    fill: (item, { text }) => {
      item.lastElementChild.textContent = text;
    },
  });
}

function drawCommands(devices, ftpPort) {
  // The token of the demonstration's own device is known to nobody.
  const isOpen = ({ ways }) => !known.status.demo || ways.includes("http_address");
  const items = pushCommands(devices.filter(isOpen), ftpPort, location).map(([text, code]) => ({ key: text, code }));
  const command = (code) => make("div", {}, make("code", { className: "command", textContent: code }));
  showList(card.commands, items, {
    make: ({ key, code }) => make("div", { className: "hint" }, key, command(code)),
  });
}

function draw() {
  const { devices, receiver, targets } = known.status;
  $("devices").hidden = devices.length === 0;
  drawCounts(receiver);
  say(card.place, receiverWords(receiver, targets, devices));
  const items = devices.map((device) => ({
    key: device.name,
    state: deviceState(device, now()),
    words: deviceWords(device, now()),
    last: device.last_image?.filename ?? null,
  }));
  showList(card.list, items, { make: makeDevice, fill: fillDevice });
  drawCommands(devices, receiver.ftp_port);
  card.refused.draw(receiver.refused_kept);
}

export function begin() {
  if (card) return;
  card = makeCard();
  watch(["status"], draw);
  draw();
  setInterval(() => document.hidden || loadStatus().catch(() => {}), REFRESH_MS);
}
