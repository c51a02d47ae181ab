// Takes over what the server says by events, and what it answers to a button.

import { fileUrl } from "./api.js";
import { complain, load, statusSoon } from "./load.js";
import { changed, fits, known, newestOf, withEvent, withImage, withSeen, withTrigger, withUpload } from "./state.js";

/** A new picture, or one that is known already. */
function addImage(image) {
  const camera = known.status?.cameras.find((one) => one.key === image.camera);
  const newest = camera && newestOf(camera, image, fileUrl(image.filename));
  if (newest) {
    camera.last_image = newest;
    changed("cameras");
  }
  if (changeImage(image) || !fits(image, known.filter)) return;
  known.images = withImage(known.images, image, known.imagesNext);
  known.arrived = image.filename;
  changed("images");
}

/**
 * Takes over a picture that a request was answered with. While events come they tell the same and what followed, which
 * may be here before the answer; it would undo that.
 */
export function takeAnswer(image) {
  if (known.link !== "open") addImage(image);
}

/** Takes over what is new of a picture that is listed or open; false when it is not listed. */
function changeImage(image) {
  const isListed = known.images.some((one) => one.filename === image.filename);
  known.images = known.images.map((one) => (one.filename === image.filename ? image : one));
  if (known.shown?.filename === image.filename) known.shown = image;
  changed("images", "shown");
  return isListed;
}

function changeUpload(upload) {
  const isIt = (image) => image?.filename === upload.filename;
  const image = known.images.find(isIt) ?? (isIt(known.shown) ? known.shown : null);
  if (image) changeImage(withUpload(image, upload));
}

export function removeImages(names) {
  const gone = new Set(names);
  known.images = known.images.filter((image) => !gone.has(image.filename));
  if (gone.has(known.shown?.filename)) known.shown = null;
  changed("images", "shown");
}

const reload = () => load().catch(complain);

/** For each event of the stream what it changes; `stream.js` names them all. */
export const CHANGES = {
  image(image) {
    addImage(image);
    statusSoon();
  },
  changed: changeImage,
  upload(upload) {
    changeUpload(upload);
    statusSoon();
  },
  deleted({ filenames }) {
    removeImages(filenames);
    statusSoon();
  },
  missing(gone) {
    CHANGES.deleted(gone);
  },
  trigger(event) {
    const { status } = known;
    known.events = withEvent(known.events, event, known.onlyFailed);
    if (event.outcome === "failed" || status.failures.newest.some((one) => one.id === event.id)) statusSoon();
    status.failures = withTrigger(status.failures, event);
    changed("events", "failures");
  },
  seen(seen) {
    known.status.failures = withSeen(known.status.failures, seen);
    changed("failures");
    statusSoon();
  },
  alarms({ alarms }) {
    known.status.alarms = alarms;
    changed("alarms");
    statusSoon();
  },
  connectivity({ all_online: online, ...target }) {
    const { status } = known;
    status.online = online;
    status.targets = status.targets.map((one) => (one.target === target.target ? { ...one, ...target } : one));
    changed("targets");
    statusSoon();
  },
  camera(camera) {
    const { status } = known;
    status.cameras = status.cameras.map((one) => (one.key === camera.key ? { ...one, ...camera } : one));
    changed("cameras");
  },
  contact(line) {
    const { gpio } = known.status;
    const isKnown = gpio.lines.some((one) => one.pin === line.pin);
    const lines = gpio.lines.map((one) => (one.pin === line.pin ? line : one));
    CHANGES.contacts({ ...gpio, lines: isKnown ? lines : [...lines, line] });
  },
  contacts(gpio) {
    known.status.gpio = gpio;
    changed("contacts");
  },
  storage: statusSoon,
  resync: reload,
  clock: reload,
};
