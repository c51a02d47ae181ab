// One picture or clip in full, with what is known of it and what can be done with it.

import { api, fileUrl, part } from "./api.js";
import { removeImages, takeAnswer } from "./changes.js";
import { ask } from "./dialogs.js";
import { $, chip, clockDoubt, make, press, say, setTime } from "./dom.js";
import { focusTile } from "./gallery.js";
import { renew as renewLinks } from "./links.js";
import { showList } from "./lists.js";
import { complain, statusSoon } from "./load.js";
import { known, label, offset, watch } from "./state.js";
import { fullTime, lengthOf, since, when } from "./time.js";
import { bytes, CAUSE, KIND, plural, sentence, targetName, uploadState } from "./words.js";

/** How an upload stands, after its state. */
export function uploadWords(upload) {
  const { state, attempts, last_error: error, delivered_at: delivered, answer } = upload;
  const words = [targetName(upload)];
  if (delivered) words.push(since(delivered));
  if (attempts > 0) words.push(plural(attempts, "attempt"));
  const why = error && state !== "delivered" ? `. ${sentence(error)}` : "";
  const said = answer && state === "delivered" ? `. Answered ${answer}` : "";
  return ` ${words.join(", ")}${why}${said}`;
}

function takenAt(image) {
  const time = make("time");
  setTime(time, image.taken_at);
  time.textContent = fullTime(image.taken_at_ms) + clockDoubt(image.clock);
  return time;
}

function factsOf(image) {
  const isClip = image.kind === "clip";
  const distance = offset(image);
  return [
    ...(image.note ? [["Note", sentence(image.note)]] : []),
    ["File", image.filename],
    ["Kind", KIND[image.kind] ?? image.kind],
    ["Camera", `${label(image.camera)} (${image.camera})`],
    ["Taken", takenAt(image)],
    ["Cause", CAUSE[image.cause] ?? image.cause],
    [isClip ? "Begins" : "Frame", distance ? `${distance} from the edge` : "distance unknown"],
    ...(isClip ? [["Length", lengthOf(image.duration_ms ?? 0)]] : []),
    ["Size", `${image.width} × ${image.height}, ${bytes(image.bytes)}`],
    ["SHA-256", make("code", { textContent: image.sha256 })],
    ["Kept", image.protected ? "until you end its protection" : "as long as retention says"],
  ];
}

function drawView(image) {
  const url = fileUrl(image.filename);
  const isClip = image.kind === "clip";
  const views = [$("picture-image"), $("picture-video")];
  const [view, other] = isClip ? views.reverse() : views;
  if (view.getAttribute("src") !== url) view.src = url;
  if (isClip) view.poster = `${url}?thumb=1`;
  other.removeAttribute("src");
  $("picture-video").hidden = !isClip;
  $("picture-link").hidden = isClip;
  $("picture-image").alt = `Picture ${image.filename}`;
  $("picture-link").href = url;
  $("download").href = url;
  $("download").download = image.filename;
}

function fillUpload(item, upload) {
  const state = make("span");
  chip(state, uploadState(upload));
  item.replaceChildren(state, uploadWords(upload));
}

/** What was read in it, where that is of interest. */
async function drawPlates(image) {
  const isOfInterest = image.kind !== "clip" && (known.status.analysis || image.analysis);
  if (isOfInterest) (await part("/page/plates.js")).draw(image);
  else $("picture-plates").hidden = true;
}

const place = () => known.images.findIndex((one) => one.filename === known.shown.filename);

function draw() {
  const image = known.shown;
  if (!image) {
    $("picture").close();
    return;
  }
  $("picture-title").textContent = `${label(image.camera)}, ${when(image.taken_at_ms)}`;
  drawView(image);
  const facts = factsOf(image).flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
  $("picture-facts").replaceChildren(...facts);
  showList($("picture-uploads"), image.uploads, {
    key: (upload) => upload.target, make: () => make("p"), fill: fillUpload,
  });
  drawPlates(image).catch(complain);
  $("protect").textContent = image.protected ? "End protection" : "Protect";
  $("delete").disabled = image.protected;
  $("delete").title = image.protected ? "End its protection first" : "";
  $("retry").hidden = !image.uploads.some((upload) => ["pending", "dead"].includes(upload.state));
  const index = place();
  $("newer").disabled = index <= 0;
  $("older").disabled = index < 0 || index >= known.images.length - 1;
}

export function open(image) {
  known.shown = image;
  say($("picture-note"), "");
  renewLinks();
  draw();
  if (!$("picture").open) $("picture").showModal();
}

function step(by) {
  const index = place();
  const image = known.images[index + by];
  if (index >= 0 && image) open(image);
}

async function remove() {
  const { filename, kind } = known.shown;
  const what = kind === "clip" ? "clip" : "picture";
  const text = `${filename} is deleted from this machine. This cannot be undone.`;
  if (!(await ask(`Delete this ${what}?`, text))) return;
  try {
    await api(fileUrl(filename), "DELETE");
  } catch (error) {
    if (error.code !== "upload_owed") throw error;
    const loss = `${filename} has not been delivered yet. If it is deleted here, it is lost.`;
    if (!(await ask("Delete it although it was not delivered?", loss))) return;
    await api(`${fileUrl(filename)}?force=true`, "DELETE");
  }
  removeImages([filename]);
  statusSoon();
}

/** A button of the picture; what goes wrong is said below the picture. */
function action(id, act) {
  $(id).addEventListener("click", async () => {
    say($("picture-note"), "");
    await press($(id), act, (error) => say($("picture-note"), error.message, "bad"));
    if (known.shown) draw();
  });
}

async function protect() {
  const { filename, protected: isProtected } = known.shown;
  takeAnswer(await api(`${fileUrl(filename)}/protect`, "POST", { protected: !isProtected }));
}

async function retry() {
  takeAnswer(await api(`${fileUrl(known.shown.filename)}/retry`, "POST"));
}

// Once: a module is run once, however often it is asked for.
watch(["shown"], () => $("picture").open && draw());
action("protect", protect);
action("retry", retry);
action("delete", remove);
$("newer").addEventListener("click", () => step(-1));
$("older").addEventListener("click", () => step(1));
$("picture").addEventListener("keydown", (event) => {
  if (event.target === $("picture-video")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
$("picture").addEventListener("close", () => {
  $("picture-video").removeAttribute("src");
  $("picture-video").load();
  focusTile(known.shown?.filename);
  known.shown = null;
  renewLinks();
});
