// What is known, who is told when it changes, and how each change is taken over. Nothing here knows the page: what the
// server said is kept as it said it, and nothing is added to it.

import { signed } from "./time.js";

/** Every card reads from here; `load.js` and `changes.js` write. */
export const known = {
  session: null,
  status: null,
  stats: null,
  /** How the stream of events is: `open`, `lost` or `frozen`, and when the server was last heard. */
  link: "open",
  heard: Date.now(),
  /** How far the server's clock is ahead; it may not be set, and all times are of it. */
  skew: 0,
  images: [],
  imagesNext: null,
  events: [],
  eventsNext: null,
  /** What the gallery is to show: a camera's key, a state of uploads and a text that was read, or nothing for all. */
  filter: { camera: "", state: "", text: "" },
  onlyFailed: false,
  /** The picture that is open, and the name of the one that has just come. */
  shown: null,
  arrived: "",
};

const watchers = new Map();

/** Calls `draw` whenever one of these parts of what is known has changed. */
export function watch(parts, draw) {
  for (const part of parts) watchers.set(part, [...(watchers.get(part) ?? []), draw]);
}

/** Says that parts changed; who watches several of them is called once. */
export function changed(...parts) {
  for (const draw of new Set(parts.flatMap((part) => watchers.get(part) ?? []))) draw();
}

/** Of each answer that is waited for, what the stream has told since it was asked for. */
const underWay = new Set();

/**
 * Takes over a change that the stream told: at once, and again after every answer that was on its way meanwhile, which
 * may be of the time before it. So each change must come to the same when it is taken over twice.
 */
export function take(change) {
  change();
  for (const since of underWay) since.push(change);
}

/** Reads the server's answer by `ask()` and takes it over by `keep(answer)`. */
export async function read(ask, keep) {
  const since = [];
  underWay.add(since);
  try {
    keep(await ask());
  } finally {
    underWay.delete(since);
  }
  for (const change of since) change();
}

export const now = () => Date.now() + known.skew;

export const label = (key) => known.status?.cameras.find((camera) => camera.key === key)?.label ?? key;

/** The frame's distance from the moment asked for, as far as it is known. */
export const offset = (image) => (image.frame_offset_ms === null ? "" : signed(image.frame_offset_ms));

/** One page more of a list; what is there already is not taken twice. */
export function joined(list, more, key) {
  const before = new Set(list.map((one) => one[key]));
  return [...list, ...more.filter((one) => !before.has(one[key]))];
}

export function fits(image, { camera, state, text }) {
  // Nothing was read yet in a new picture.
  if (text) return false;
  return (!camera || image.camera === camera) && (!state || image.uploads.some((upload) => upload.state === state));
}

/** The list with a new picture at its time; the same list when it belongs to a page that was not read yet. */
export function withImage(images, image, hasMore) {
  const place = images.findIndex((one) => one.taken_at_ms < image.taken_at_ms);
  if (place < 0 && hasMore) return images;
  const index = place < 0 ? images.length : place;
  return [...images.slice(0, index), image, ...images.slice(index)];
}

/** The picture with an upload as the server says it is now. */
export function withUpload(image, { filename: _, error: __, ...upload }) {
  const before = image.uploads.find((one) => one.target === upload.target);
  const others = image.uploads.filter((one) => one !== before);
  const uploads = [...others, { ...before, ...upload }];
  return { ...image, uploads: uploads.sort((one, other) => (one.target < other.target ? -1 : 1)) };
}

/** Triggers without a picture, after one ended; the newest three are told in full. */
export function withTrigger(failures, event) {
  const isKnown = failures.newest.some((one) => one.id === event.id);
  if (event.outcome !== "failed" || event.seen_at || isKnown) return failures;
  return { unseen: failures.unseen + 1, newest: [event, ...failures.newest].slice(0, 3) };
}

/** The same after somebody has seen those up to an id. */
export function withSeen(failures, { up_to: upTo, unseen }) {
  return { ...failures, unseen, newest: failures.newest.filter((one) => one.id > upTo) };
}

/** Events with one that ended or changed; when only failures are shown, no other gets in. */
export function withEvent(events, event, onlyFailed) {
  if (events.some((one) => one.id === event.id)) return events.map((one) => (one.id === event.id ? event : one));
  return onlyFailed && event.outcome !== "failed" ? events : [event, ...events];
}

/** What a camera's card shows of its newest picture, or null when the camera has a newer one. */
export function newestOf(camera, image, url) {
  const { filename, taken_at, taken_at_ms } = image;
  if (image.kind === "clip" || camera.last_image?.taken_at_ms > taken_at_ms) return null;
  return { filename, taken_at, taken_at_ms, url };
}
