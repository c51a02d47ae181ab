// What the cards say of cameras, contacts, targets, the disk, events and settings.

import assert from "node:assert/strict";
import { test } from "node:test";

import { aboutCamera, newestWords, streamWords } from "../../web/page/cameras.js";
import { contactsNote, lampWord } from "../../web/page/contacts.js";
import { refusedWords } from "../../web/page/quarantine.js";
import { deviceState, deviceWords, lastOf, pushCommands, receiverWords } from "../../web/page/devices.js";
import { outcome, reasons } from "../../web/page/events.js";
import { mark } from "../../web/page/gallery.js";
import { cleanUpWords, shareUsed, storageWords, wearWords } from "../../web/page/storage.js";
import { targetItem, targetState, targetWords } from "../../web/page/targets.js";

const NOW = Date.parse("2026-05-03T10:00:00Z");
const LATER = "2026-05-03T10:05:00Z";
const target = {
  target: "api", online: true, reachable: true, since: "2026-05-03T09:00:00Z", last_error: null, last_delivered: null,
  paused_until: null, paused_by: null,
  backlog: { pending: 0, oldest_age_s: null, pictures_per_minute: 0, drained_in_s: null, window: "22:00-06:00" },
};

test("how a target stands, in a word", () => {
  const state = (changes, counts = {}) => targetState({ ...target, ...changes }, counts, NOW)[0];
  assert.equal(state({}), "Online");
  assert.equal(state({ online: null }), "Not tried yet");
  assert.equal(state({}, { dead: 1 }), "Some failed");
  assert.equal(state({ paused_until: LATER }), "Paused");
  assert.equal(state({ paused_until: "2026-05-03T09:59:00Z" }), "Online", "the pause is over");
  assert.equal(state({ online: false, reachable: false, paused_until: LATER }), "Offline");
  assert.equal(state({ online: false }), "Takes no pictures");
  assert.equal(state({ online: false, paused_by: "window", paused_until: LATER }), "Outside its hours");
});

test("why a target does not deliver, and when it goes on", () => {
  const words = (changes) => targetWords({ ...target, ...changes }, NOW);
  assert.equal(words({}), "");
  assert.match(words({ paused_until: LATER, last_error: "too busy" }), /^Too busy\. Next try at .+\.$/);
  assert.match(words({ online: false, last_error: "no route" }), /^No route\. So since .+ stay in the queue/);
  assert.match(words({ paused_by: "window", paused_until: LATER, last_error: "x" }), /^Sends only at 22:00-06:00, again /);
  assert.doesNotMatch(words({ last_error: "long ago" }), /ago/, "a fault that is over is not said");
});

test("a target that rests between two rounds is online, and says when the next one is if a picture waits", () => {
  const resting = { ...target, paused_by: "round", paused_until: LATER };
  assert.equal(targetState(resting, {}, NOW)[0], "Online");
  assert.doesNotMatch(targetWords(resting, NOW), /round/);
  const waiting = { ...resting, backlog: { ...target.backlog, pending: 2 } };
  assert.match(targetWords(waiting, NOW), /Sends in rounds, the next at /);
  assert.doesNotMatch(targetWords(waiting, Date.parse(LATER) + 1), /round/);
});

test("a target's item changes with its counts, so that the card is drawn anew", () => {
  assert.notDeepEqual(targetItem(target, { dead: 1 }, NOW), targetItem(target, { dead: 2 }, NOW));
});

test("a lamp says what is known", () => {
  assert.equal(lampWord(null), "Unknown");
  assert.equal(lampWord({ level: null, active: false }), "Unknown");
  assert.equal(lampWord({ level: "low", active: true }), "Closed");
  assert.equal(lampWord({ level: "high", active: false }), "Open");
});

test("why there is no contact", () => {
  const gpio = { enabled: true, error: null, lines: [] };
  assert.match(contactsNote({ ...gpio, enabled: false }), /GPIO_ENABLED=false/);
  assert.equal(contactsNote({ ...gpio, error: "no chip" }), "No chip.");
  assert.equal(contactsNote(gpio), "No contact is watched yet.");
  assert.equal(contactsNote({ ...gpio, lines: [{}] }), "");
});

test("a camera says its stream and how old its newest picture is", () => {
  assert.equal(streamWords(null), "");
  assert.equal(streamWords({ codec: "H.264", width: 640, height: 360, fps: 25 }), "H.264, 640×360, 25.0 frames per second");
  assert.equal(streamWords({ codec: "JPEG", width: 640, height: 360, fps: null }), "JPEG, 640×360");
  assert.match(newestWords({ last_image: { taken_at_ms: NOW - 61_000 }, enabled: true }, NOW), / · 1 min ago$/);
  assert.equal(newestWords({ last_image: null, enabled: true }, NOW), "Waits for its first picture");
  assert.match(newestWords({ last_image: { taken_at_ms: NOW }, enabled: true, state: "disabled" }, NOW), /setup-camera$/);
  assert.equal(newestWords({ last_image: null, enabled: false }, NOW), "Switched off in the configuration");
});

test("what to change of a camera comes before what it is", () => {
  const { title, items } = aboutCamera({ facts: ["25 fps"], changes: ["a shorter GOP"] });
  assert.equal(title, "About this camera: one thing to change");
  assert.deepEqual(items.map(({ text }) => text), ["To change: a shorter GOP.", "25 fps."]);
  assert.equal(aboutCamera({ facts: [], changes: ["a", "b"] }).title, "About this camera: 2 things to change");
  assert.equal(aboutCamera({ facts: [], changes: [] }).title, "About this camera");
});

test("an event says its outcome and its reasons", () => {
  assert.deepEqual(outcome({ outcome: null }), ["Under way", "info"]);
  assert.deepEqual(outcome({ outcome: "coalesced" }), ["Merged with another", ""]);
  assert.equal(reasons({ reason: "no picture", remark: "late" }), "No picture. Late.");
  assert.equal(reasons({ reason: null, remark: null }), "");
});

test("a tile is marked as a clip, as the best, or for its note", () => {
  assert.equal(mark({ kind: "instant", note: null }), "");
  assert.equal(mark({ kind: "instant", note: "grey" }), " ⚠");
  assert.equal(mark({ kind: "clip", duration_ms: 5_000, note: null }), "▶ 5.0 s");
});

const storage = {
  total_bytes: 100e9, free_bytes: 25e9, used_bytes: 2e9, max_bytes: null, retention_days: 30, message: "there is room",
  evicted: { images: 0, bytes: 0, at: null }, database: null, written: null,
};

test("the disk in words", () => {
  assert.equal(shareUsed(storage), 0.75);
  assert.equal(shareUsed({ total_bytes: 0, free_bytes: 0 }), 0);
  const words = "1 picture, 2.0 GB. 25.0 GB of 100 GB free. Delivered pictures are kept 30 days.";
  assert.equal(storageWords(storage, 1), words);
  assert.match(storageWords({ ...storage, max_bytes: 5e9 }, 1), /kept 30 days and up to 5.0 GB\.$/);
  assert.equal(wearWords(storage, false), "There is room.");
  assert.equal(wearWords(storage, true), "", "the alarm says it");
  const written = { bytes: 5e9, bytes_per_day: null, bytes_per_capture: 1e6 };
  assert.equal(wearWords({ ...storage, written }, true), "Written since the start: 5.0 GB, 1.0 MB per capture.");
});

test("a clean-up says what goes, why, and what stays", () => {
  const none = { images: 0, bytes: 0 };
  const held = { owed: { api: { images: 2, bytes: 2e6 } }, dead: { api: { images: 1, bytes: 1e6 } }, protected: none };
  const report = { deleted: 0, freed_bytes: 0, reasons: { age: none, limit: none, space: none }, cameras: {}, held };
  assert.equal(
    cleanUpWords({ ...report, from: null, to: null, refused: null }),
    "There is nothing to delete.\n" +
      "These stay: 2 pictures (2.0 MB) not delivered, 1 picture (1.0 MB) failed permanently.",
  );
  const some = { images: 3, bytes: 3e6 };
  const words = cleanUpWords({
    ...report, deleted: 3, freed_bytes: 3e6, reasons: { age: some, limit: none, space: none }, cameras: { r1: some },
    from: LATER, to: LATER, refused: "the clock is not set",
  }).split("\n");
  assert.equal(words[0], "The clock is not set.");
  assert.match(words[1], /^3 pictures \(3\.0 MB\), taken from .+ to .+\.$/);
  assert.deepEqual(words.slice(2, 4), ["3 pictures (3.0 MB) past their time.", "R1: 3."]);
});

const device = {
  name: "door", camera: "door", ways: ["http_token", "ftp"], stored: 12, known: 0, refused: 0, last_at: "2026-05-03T09:59:48Z",
  stored_in_all: 2204, sent_on: 2203, last_image: null, last_refusal: null,
};

test("how a device stands, in a word", () => {
  const state = (changes) => deviceState({ ...device, ...changes }, NOW)[0];
  const refusal = (at) => ({ at, reason: "no picture" });
  assert.equal(state({}), "Brings pictures");
  assert.equal(state({ last_at: null }), "Nothing yet");
  assert.equal(state({ last_at: "2026-05-02T09:59:00Z" }), "Silent");
  assert.equal(state({ last_refusal: refusal("2026-05-03T09:59:47Z") }), "Brings pictures", "it is mended since");
  assert.equal(state({ last_refusal: refusal("2026-05-03T09:59:49Z") }), "Last one refused");
  assert.equal(state({ last_at: null, last_refusal: refusal("2026-05-03T09:59:49Z") }), "Last one refused");
  const before = { last_at: null, last_image: { filename: "a.jpg", taken_at: "2026-05-03T09:00:00Z" } };
  assert.equal(lastOf({ ...device, ...before }), "2026-05-03T09:00:00Z", "of before the start");
  assert.equal(state(before), "Brings pictures");
});

// S3.8
test("what a device brought, and why it was refused", () => {
  const words = (changes) => deviceWords({ ...device, ...changes }, NOW).join(" ");
  assert.match(words({}), /^By HTTP and FTP\. Last picture .+, 12 s ago\. Received 12, stored in all 2,204, sent on 2,203, refused 0\.$/);
  assert.match(words({ ways: ["http_token", "http_address"], camera: "r1" }), /^By HTTP, for r1\./);
  assert.match(words({ ways: ["folder"] }), /^By a folder\./);
  assert.match(words({ known: 3 }), /Received 15 \(3 once more\)/);
  assert.match(words({ last_at: null }), /Waits for its first picture/);
  assert.match(words({ last_at: "2026-05-01T10:00:00Z" }), /Silent since 1 May|Silent since May 1/);
  assert.match(words({ refused: 1, last_refusal: { at: LATER, reason: "it is torn" } }), /refused 1\. Refused .+: It is torn\.$/);
});

// S3.8
test("where pictures of devices go and lie", () => {
  const targets = [{ target: "api", label: "HTTP API" }, { target: "s3" }];
  assert.equal(receiverWords({ place: "/x" }, targets), "Sent on to HTTP API, s3. Kept in /x.");
  assert.equal(receiverWords({ place: "/x" }, []), "Sent on to nobody. Kept in /x.");
  const refused = { pictures: 2, place: "/x/.quarantine" };
  assert.match(receiverWords({ place: "/x", refused_kept: refused }, []), / 2 refused pictures kept in \/x\/\.quarantine\.$/);
});

test("an FTP server that is off is said where a device has a user for it, and nowhere else", () => {
  const words = (port, ...ways) => receiverWords({ place: "/x", ftp_port: port }, [], [{ ways: ["http_token"] }, { ways }]);
  assert.match(words(null, "ftp"), / The FTP server is off: FTP_PORT=2121 switches it on\.$/);
  for (const [port, way] of [[2121, "ftp"], [null, "http_address"]]) assert.doesNotMatch(words(port, way), /FTP/);
});

test("which refused picture it is, and why it was refused", () => {
  const words = (reason) => refusedWords({ device: "door", at: LATER, bytes: 20480, reason });
  assert.match(words("it is torn"), /^door, .+, 20 kB: It is torn\.$|^door, .+, 20\.\d kB: It is torn\.$/);
  assert.match(words(""), /kB$/);
});

test("how a picture is brought is said for each way that is open, and no secret with it", () => {
  const at = { origin: "http://box:9000", hostname: "box" };
  const lines = (...ways) => pushCommands([{ ways }], 2121, at).map(([, command]) => command);
  assert.deepEqual(lines("http_address"), ["curl --data-binary @photo.jpg http://box:9000/upload"]);
  assert.deepEqual(lines("http_token", "ftp"), [
    "curl --data-binary @photo.jpg -H 'Authorization: Bearer TOKEN' http://box:9000/upload",
    "curl -T photo.jpg ftp://USER:PASSWORD@box:2121/",
  ]);
  assert.deepEqual(pushCommands([{ ways: ["ftp"] }], null, at), [], "its server is off");
});
