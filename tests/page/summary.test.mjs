// The verdict and the summary: the worst comes first, and nothing looks well that is not.

import assert from "node:assert/strict";
import { test } from "node:test";

import { strip, verdict } from "../../web/page/summary.js";

const camera = { key: "r1", label: "Entry", enabled: true, state: "connected" };
const target = { target: "api", label: "HTTP API", online: true, reachable: true };
const well = {
  demo: false,
  cameras: [camera],
  targets: [target],
  alarms: [],
  failures: { unseen: 0, newest: [] },
  uploads: { pending: 0, dead: 0 },
  clock: { message: "", state: "synced" },
  storage: { free_bytes: 12_300_000_000, level: "good" },
};
const alarm = (code, severity, message, link = null) => ({ code, severity, message, action: { link, text: "do this" } });
const judge = (changes) => verdict({ status: { ...well, ...changes }, link: "open", heard: 0 });
const row = (changes) => strip({ ...well, ...changes }).map(({ text, kind }) => [text, kind]);

test("all is well only when nothing is wrong", () => {
  assert.deepEqual(judge({}), { kind: "ok", text: "All well", more: 0 });
  for (const wrong of [
    { failures: { unseen: 1, newest: [] } },
    { alarms: [alarm("disk_short", "warning", "the disk is short; it fills")] },
    { targets: [{ ...target, online: false }] },
    { cameras: [{ ...camera, state: "degraded" }] },
  ]) {
    assert.notEqual(judge(wrong).kind, "ok", JSON.stringify(wrong));
  }
});

test("without a connection nothing else is said, not even that all is well", () => {
  const lost = verdict({ status: well, link: "lost", heard: 0 });
  assert.equal(lost.kind, "bad");
  assert.match(lost.text, /^Not connected to the box since /);
  assert.match(verdict({ status: null, link: "frozen", heard: 0 }).text, /^No word from the box since /);
});

test("triggers without a picture come first, and the rest is counted", () => {
  const { text, link, more } = judge({
    failures: { unseen: 2, newest: [] },
    alarms: [alarm("disk_short", "warning", "the disk is short; it fills")],
    cameras: [{ ...camera, state: "degraded" }],
  });
  assert.deepEqual([text, link, more], ["2 triggers have no picture", "#failures", 2]);
  assert.equal(judge({ failures: { unseen: 1, newest: [] } }).text, "One trigger has no picture");
  assert.equal(judge({ failures: { unseen: 1000, newest: [] } }).text, "More than 1000 triggers have no picture");
});

test("an alarm is said by its first part, and leads to its cause", () => {
  const found = judge({ alarms: [alarm("disk_short", "critical", "the disk is short; it fills", "#storage-title")] });
  assert.deepEqual([found.kind, found.text, found.link], ["bad", "The disk is short.", "#storage-title"]);
});

test("what is an alarm is not said a second time", () => {
  const offline = [{ ...target, online: false, reachable: false }];
  assert.equal(judge({ targets: offline }).text, "HTTP API cannot be reached; pictures stay in the queue.");
  const said = judge({ targets: offline, alarms: [alarm("target_offline", "warning", "the HTTP API is offline")] });
  assert.deepEqual([said.text, said.more], ["The HTTP API is offline.", 0]);
  const away = judge({ cameras: [{ ...camera, state: "degraded" }], alarms: [alarm("camera_away", "critical", "entry is away")] });
  assert.deepEqual([away.text, away.more], ["Entry is away.", 0]);
});

test("failed triggers have a place of their own beside the alarms", () => {
  assert.equal(judge({ alarms: [alarm("trigger_failed", "critical", "a trigger failed")] }).text, "All well");
});

test("a camera that is being connected is no fault yet", () => {
  assert.deepEqual(judge({ cameras: [{ ...camera, state: "connecting" }] }).kind, "info");
  assert.deepEqual(judge({ cameras: [{ ...camera, enabled: false, state: "disabled" }] }).kind, "ok");
  assert.deepEqual(judge({ cameras: [{ ...camera, state: "disabled" }] }).kind, "ok", "it is still to be set up");
});

test("the summary of a quiet box", () => {
  assert.deepEqual(row({}), [
    ["1 of 1 camera connected", "ok"], ["Online", "ok"], ["Queue empty", "ok"], ["12.3 GB free", "ok"],
  ]);
});

test("nothing is green that says online while a target takes nothing or has refused for good", () => {
  const online = (changes) => row(changes).filter(([text]) => text === "Online");
  assert.equal(online({ targets: [{ ...target, online: false }] }).length, 0);
  assert.equal(online({ uploads: { pending: 0, dead: 1 } }).length, 0);
  assert.deepEqual(row({ targets: [{ ...target, online: null }] })[1], ["Not tried yet", "neutral"]);
  assert.deepEqual(row({ targets: [] })[1], ["No upload target", "neutral"]);
});

test("the summary counts what is queued and what failed permanently", () => {
  const words = row({ uploads: { pending: 2, dead: 3 } });
  assert.deepEqual(words.slice(1, 3), [["2 uploads queued", "warn"], ["3 failed permanently", "bad"]]);
});

test("each item of the summary has a key of its own", () => {
  const keys = strip({ ...well, uploads: { pending: 1, dead: 1 }, clock: { message: "not set", state: "unsynced" } });
  assert.equal(new Set(keys.map((item) => item.key)).size, keys.length);
});
