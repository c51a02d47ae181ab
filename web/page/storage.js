// The disk, and making room on it.

import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { $, chip, press } from "./dom.js";
import { statusSoon } from "./load.js";
import { known, label, watch } from "./state.js";
import { since, zone } from "./time.js";
import { amount, bytes, plural, ROOM, runningFor, sentence } from "./words.js";

/** How full the disk is, from 0 to 1; 0 when nobody knows. */
export const shareUsed = ({ total_bytes: total, free_bytes: free }) => (total > 0 ? (total - free) / total : 0);

export function storageWords(storage, images) {
  const limit = storage.max_bytes === null ? "" : ` and up to ${bytes(storage.max_bytes)}`;
  return [
    `${plural(images, "picture")}, ${bytes(storage.used_bytes)}.`,
    `${bytes(storage.free_bytes)} of ${bytes(storage.total_bytes)} free.`,
    `Delivered pictures are kept ${plural(storage.retention_days, "day")}${limit}.`,
  ].join(" ");
}

function writtenWords({ bytes: all, bytes_per_day: daily, bytes_per_capture: each }) {
  const per = [bytes(all)];
  if (daily !== null) per.push(`${bytes(daily)} a day`);
  if (each !== null) per.push(`${bytes(each)} per capture`);
  return `Written since the start: ${per.join(", ")}.`;
}

/** What is special about the disk. What is an alarm at the top of the page is not said here again. */
export function wearWords({ message, evicted, database, written }, isAlarm) {
  const words = isAlarm ? [] : [sentence(message)];
  if (evicted.images > 0) words.push(`${amount(evicted)} went early to make room, last at ${since(evicted.at)}.`);
  if (database) {
    words.push(`Disk of the database: ${bytes(database.free_bytes)} of ${bytes(database.total_bytes)} free.`);
  }
  if (written) words.push(writtenWords(written));
  return words.join(" ");
}

/** What a retention run would delete or has deleted, and what stays. */
export function cleanUpWords({ deleted, freed_bytes: freed, reasons, cameras, held, from, to, refused }) {
  const list = (entries) =>
    entries.filter(([of]) => of.images > 0).map(([of, why]) => `${amount(of)} ${why}`).join(", ");
  const all = (targets, why) => Object.values(targets).map((of) => [of, why]);
  const stay = list([
    ...all(held.owed, "not delivered"), ...all(held.dead, "failed permanently"), [held.protected, "protected"],
  ]);
  const ofCamera = ([key, of]) => `${label(key)}: ${of.images.toLocaleString()}`;
  const what = () => `${amount({ images: deleted, bytes: freed })}, taken from ${since(from)} to ${since(to)}.`;
  const { age, limit, space } = reasons;
  return [
    sentence(refused ?? ""),
    deleted === 0 ? "There is nothing to delete." : what(),
    sentence(list([[age, "past their time"], [limit, "above the limit"], [space, "to make room"]])),
    deleted === 0 ? "" : sentence(Object.entries(cameras).map(ofCamera).join(", ")),
    stay && `These stay: ${stay}.`,
  ].filter(Boolean).join("\n");
}

async function cleanUp() {
  $("report").textContent = "Looking for what may go…";
  const preview = await api("/api/cleanup/run", "POST", { dry_run: true });
  $("report").textContent = cleanUpWords(preview);
  if (preview.deleted === 0) return;
  if (await ask(`Delete ${plural(preview.deleted, "picture")}?`, cleanUpWords(preview))) {
    $("report").textContent = `Deleted: ${cleanUpWords(await api("/api/cleanup/run", "POST"))}`;
  } else {
    $("report").textContent = "Nothing was deleted.";
  }
  statusSoon();
}

function drawFoot({ uptime, version }) {
  const utc = zone === "UTC" ? "" : "; hold the pointer over one for UTC";
  const runs = `camera-capture ${version}, running for ${runningFor(uptime)}.`;
  $("foot").textContent = `${runs} Times are shown in ${zone}${utc}.`;
}

function draw() {
  const { storage, alarms } = known.status;
  const share = shareUsed(storage);
  const disk = $("disk");
  disk.high = storage.total_bytes > 0 ? 1 - storage.floor_bytes / storage.total_bytes : 1;
  disk.low = disk.high - 0.1;
  disk.value = share;
  disk.textContent = disk.title = `${Math.round(share * 100)} % of the disk is used`;
  $("storage").textContent = storageWords(storage, known.stats.total.images);
  chip($("room"), ROOM[storage.level]);
  $("wear").textContent = wearWords(storage, alarms.some((alarm) => alarm.code === "disk_short"));
  drawFoot(known.status);
}

export function begin() {
  watch(["status"], draw);
  const failed = (error) => {
    $("report").textContent = error.message;
  };
  $("clean-up").addEventListener("click", () => press($("clean-up"), cleanUp, failed));
}
