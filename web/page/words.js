// The words of the page: for each code of the API what a person reads, and its colour.

import { span } from "./time.js";

export const UPLOAD = {
  pending: ["Queued", "warn"],
  delivered: ["Delivered", "ok"],
  dead: ["Failed permanently", "bad"],
  skipped: ["Not sent", ""],
  lost: ["Lost", "bad"],
};
const CAMERA = {
  connected: ["Connected", "ok"],
  connecting: ["Connecting", "info"],
  degraded: ["Offline", "bad"],
  disabled: ["Switched off", ""],
};
/** What a camera's state is called. One that is in use and off has no address yet, which is no fault. */
export const cameraState = ({ enabled, state }) =>
  (enabled && state === "disabled" ? ["Not set up", ""] : CAMERA[state]);
export const SEVERITY = { critical: "bad", warning: "warn", info: "info" };
export const OUTCOME = {
  captured: ["Captured", "ok"],
  coalesced: ["Merged with another", ""],
  failed: ["Failed", "bad"],
};
export const CAUSE = {
  gpio: "contact", manual: "by hand", recovered: "found on disk", push: "sent by itself", ftp: "sent by FTP",
  import: "brought in",
};
export const ROOM = {
  good: ["Enough space", "ok"],
  low: ["Running low", "warn"],
  critical: ["Nearly full", "bad"],
  full: ["Full", "bad"],
};
export const STEP = {
  name: "Name",
  tcp: "Connection (TCP)",
  proxy: "Proxy",
  tls: "Encryption (TLS)",
  http: "Answer (HTTP)",
  verdict: "Verdict",
};
export const KIND = { instant: "picture of the moment", best: "sharpest picture around it", clip: "clip" };
export const SCOPE = { read: "looks", operate: "looks and operates", full: "may delete, too" };

/** What people call a target: as the server names it. */
export const targetName = ({ target, label }) => label ?? target;

export const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;

/** With a capital and a full stop; nothing of nothing. */
export function sentence(text) {
  if (!text) return "";
  return text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".");
}

/** Rounded down, as the words of the server are. */
export function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 1000 && power < units.length - 1) {
    count /= 1000;
    power += 1;
  }
  const isWhole = count >= 100 || power === 0;
  return `${isWhole ? Math.floor(count) : (Math.floor(count * 10) / 10).toFixed(1)} ${units[power]}`;
}

/** So many pictures and their bytes. */
export const amount = (of) => `${plural(of.images, "picture")} (${bytes(of.bytes)})`;

/** What is to be said of a time whose clock was not right. */
export const doubt = (clock) => ({ corrected: " (corrected)", unsynced: " (unconfirmed)" })[clock] ?? "";

/** One upload in a word; waiting after a failure is another thing than waiting. */
export function uploadState({ state, attempts }) {
  return state === "pending" && attempts > 0 ? ["Retrying", "warn"] : UPLOAD[state];
}

/** One word for all uploads of a picture: the worst of them. */
export function delivery(image) {
  for (const state of ["lost", "dead", "pending", "delivered"]) {
    const upload = image.uploads.find((one) => one.state === state);
    if (upload) return uploadState(upload);
  }
  return UPLOAD.skipped;
}

/** How long the queue of a target is, how fast it goes, and when it is empty. */
export function queue({ pending, oldest_age_s: age, pictures_per_minute: rate, drained_in_s: left }) {
  if (pending === 0) return "";
  const speed = rate > 0 ? `; ${Math.max(1, Math.round(rate)).toLocaleString()} per minute` : "";
  const end = left === null ? "" : `, done in about ${span(left)}`;
  const oldest = pending === 1 ? "" : ", the oldest";
  return `${pending.toLocaleString()} queued${oldest} for ${span(age ?? 0)}${speed}${end}.`;
}

export function runningFor(seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 3600) return plural(Math.floor(seconds / 60), "minute");
  if (seconds < 172800) return plural(Math.floor(seconds / 3600), "hour");
  return plural(Math.floor(seconds / 86400), "day");
}

/** What was read in a picture: what was looked for first, then the best. `≈` is nearly what was looked for. */
export function plateChip({ analysis }) {
  const readings = analysis?.readings.filter(({ text }) => text) ?? [];
  const reading = readings.find(({ match }) => match) ?? readings[0];
  if (!reading) return null;
  const { text, watched, unsure, match } = reading;
  const kind = [[watched, "bad"], [unsure, "warn"], [true, "info"]].find(([is]) => is)[1];
  return [`${match === "near" ? "≈ " : ""}${text}${unsure ? " ?" : ""}`, kind];
}
