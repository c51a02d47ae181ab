// The page in one look: what is worst, and how cameras, deliveries and the disk are.

import { timeOfDay } from "./time.js";
import { bytes, plural, ROOM, sentence, SEVERITY, targetName } from "./words.js";

export const MARKS = { ok: "✓", info: "…", warn: "!", bad: "✕" };

/** Failed triggers have a place of their own. */
export const shownAlarms = (status) => status.alarms.filter((alarm) => alarm.code !== "trigger_failed");

/** Those that should give pictures; one that is still to be set up need not. */
const inUse = (cameras) => cameras.filter((one) => one.enabled && one.state !== "disabled");

/** What hinders deliveries, for each target that does not take them. */
function hindered(targets) {
  const words = (one) => (one.reachable ? "takes no pictures" : "cannot be reached");
  return targets.filter((one) => one.online === false).map((one) => `${targetName(one)} ${words(one)}`);
}

function failures({ unseen }) {
  if (unseen === 0) return [];
  const link = { link: "#failures", how: "See them" };
  if (unseen === 1) return [{ kind: "bad", text: "One trigger has no picture", ...link }];
  const count = unseen >= 1000 ? "More than 1000" : unseen;
  return [{ kind: "bad", text: `${count} triggers have no picture`, ...link }];
}

function alarm({ severity, message, action }) {
  const [what] = message.split("; ");
  return { kind: SEVERITY[severity], text: sentence(what), link: action.link ?? "#alarms", how: "See why" };
}

function away({ key, label, state }) {
  const link = { link: `#camera-${key}`, how: "See why" };
  if (state === "connecting") return { kind: "info", text: `${label} is being connected.`, ...link };
  return { kind: "bad", text: `${label} gives no pictures.`, ...link };
}

/** Everything that is wrong, the worst first. What is an alarm is not said twice. */
function problems(status) {
  const alarms = shownAlarms(status);
  const isSaid = (code) => alarms.some((one) => one.code.startsWith(code));
  const targets = hindered(status.targets).map((words) =>
    ({ kind: "bad", text: `${words}; pictures stay in the queue.`, link: "#delivery-title", how: "See why" }));
  const cameras = inUse(status.cameras).filter((one) => one.state !== "connected").map(away);
  return [
    ...failures(status.failures),
    ...alarms.map(alarm),
    ...(isSaid("target_") ? [] : targets),
    ...(isSaid("camera_away") ? [] : cameras),
  ];
}

/** The worst there is: kind, text, where its cause is seen, and how much more there is. */
export function verdict({ status, link, heard }) {
  if (link !== "open") {
    const lost = link === "frozen" ? "No word from the box since" : "Not connected to the box since";
    return { kind: "bad", text: `${lost} ${timeOfDay(heard)}. What you see is of then; trying again…`, more: 0 };
  }
  const [worst, ...others] = problems(status);
  return worst ? { ...worst, more: others.length } : { kind: "ok", text: "All well", more: 0 };
}

/** How deliveries go, in a word; nothing while another item says what is wrong with them. */
function deliveries({ targets, uploads }) {
  const wrong = hindered(targets);
  if (targets.length === 0) return [{ key: "online", text: "No upload target", kind: "neutral" }];
  if (wrong.length > 0) return [{ key: "online", text: wrong.join(", "), kind: "bad" }];
  if (uploads.dead > 0) return [];
  if (targets.some((one) => one.online)) return [{ key: "online", text: "Online", kind: "ok" }];
  return [{ key: "online", text: "Not tried yet", kind: "neutral" }];
}

function cameras(used) {
  if (used.length === 0) return { key: "cameras", text: "No camera is switched on", kind: "neutral" };
  const up = used.filter((camera) => camera.state === "connected").length;
  const kind = up === used.length ? "ok" : "bad";
  return { key: "cameras", text: `${up} of ${plural(used.length, "camera")} connected`, kind };
}

function queued({ pending }) {
  if (pending === 0) return { key: "queue", text: "Queue empty", kind: "ok" };
  return { key: "queue", text: `${plural(pending, "upload")} queued`, kind: "warn" };
}

function clock({ message, state }) {
  return { key: "clock", text: sentence(message), kind: state === "synced" ? "ok" : "warn" };
}

/** The row of short words at the top. */
export function strip(status) {
  const { uploads, storage } = status;
  const dead = { key: "dead", text: `${uploads.dead.toLocaleString()} failed permanently`, kind: "bad" };
  return [
    cameras(inUse(status.cameras)),
    ...deliveries(status),
    queued(uploads),
    ...(uploads.dead > 0 ? [dead] : []),
    ...(status.clock.message && !status.demo ? [clock(status.clock)] : []),
    { key: "room", text: `${bytes(storage.free_bytes)} free`, kind: ROOM[storage.level][1] },
  ];
}
