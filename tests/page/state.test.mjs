// How changes are taken over: nothing is invented, nothing that is shown is lost.

import assert from "node:assert/strict";
import { test } from "node:test";

import {
  changed, fits, joined, newestOf, read, take, watch, withEvent, withImage, withSeen, withTrigger, withUpload,
} from "../../web/page/state.js";

const upload = (target, more = {}) =>
  ({ target, state: "pending", attempts: 0, last_error: null, delivered_at: null, ...more });
const image = (at, more = {}) => ({ filename: `r1_${at}.jpg`, camera: "r1", taken_at_ms: at, uploads: [], ...more });

test("an upload is taken over as the server says it, and the others stay", () => {
  const before = image(1, { uploads: [upload("api", { attempts: 3 }), upload("s3")] });
  const event = upload("api", { state: "delivered", attempts: 7, delivered_at: "2026-01-01T00:00:00Z" });
  const after = withUpload(before, { filename: before.filename, error: null, ...event });
  assert.deepEqual(after.uploads, [event, upload("s3")]);
  assert.equal(before.uploads[0].attempts, 3, "what was known before is not written to");
});

test("attempts and times of delivery are never guessed", () => {
  const before = image(1, { uploads: [upload("api", { attempts: 3 })] });
  const after = withUpload(before, { filename: before.filename, target: "api", state: "delivered" });
  assert.deepEqual(after.uploads, [upload("api", { attempts: 3, state: "delivered" })]);
});

test("an upload to a new target is added in the server's order", () => {
  const after = withUpload(image(1, { uploads: [upload("api"), upload("s3")] }), { filename: "", ...upload("relay") });
  assert.deepEqual(after.uploads.map((one) => one.target), ["api", "relay", "s3"]);
});

test("a new picture gets to its place in time", () => {
  const images = [image(30), image(20), image(10)];
  const places = (at, hasMore) => withImage(images, image(at), hasMore).map((one) => one.taken_at_ms);
  assert.deepEqual(places(40, false), [40, 30, 20, 10]);
  assert.deepEqual(places(15, true), [30, 20, 15, 10]);
  assert.deepEqual(places(5, false), [30, 20, 10, 5]);
  assert.deepEqual(places(5, true), [30, 20, 10], "it is on a page that was not read yet");
});

test("a page that overlaps the one before brings nothing twice", () => {
  const list = [{ id: 3 }, { id: 2 }];
  assert.deepEqual(joined(list, [{ id: 2 }, { id: 1 }], "id"), [{ id: 3 }, { id: 2 }, { id: 1 }]);
});

test("a picture fits a choice by camera and by any of its uploads", () => {
  const one = image(1, { uploads: [upload("api"), upload("s3", { state: "dead" })] });
  assert.ok(fits(one, { camera: "", state: "" }));
  assert.ok(fits(one, { camera: "r1", state: "dead" }));
  assert.ok(!fits(one, { camera: "r2", state: "" }));
  assert.ok(!fits(one, { camera: "", state: "delivered" }));
});

const failed = (id, more = {}) => ({ id, outcome: "failed", seen_at: null, ...more });

test("a failed trigger is counted once, and the newest three are told", () => {
  let failures = { unseen: 0, newest: [] };
  for (const id of [1, 2, 2, 3, 4]) failures = withTrigger(failures, failed(id));
  assert.deepEqual(failures, { unseen: 4, newest: [failed(4), failed(3), failed(2)] });
  for (const other of [failed(9, { outcome: "captured" }), failed(9, { seen_at: "2026-01-01T00:00:00Z" })]) {
    assert.equal(withTrigger(failures, other), failures);
  }
});

test("failures that somebody has seen are gone, later ones stay", () => {
  const failures = { unseen: 3, newest: [failed(5), failed(4)] };
  assert.deepEqual(withSeen(failures, { up_to: 4, unseen: 1 }), { unseen: 1, newest: [failed(5)] });
});

test("an event that changed stays where it is; among failures no other gets in", () => {
  const events = [failed(2), failed(1)];
  const remark = failed(1, { remark: "late" });
  assert.deepEqual(withEvent(events, remark, true), [failed(2), remark]);
  const good = { id: 3, outcome: "captured" };
  assert.deepEqual(withEvent(events, good, false), [good, ...events]);
  assert.equal(withEvent(events, good, true), events);
});

test("a camera's newest picture is no clip and no older one", () => {
  const camera = { last_image: { taken_at_ms: 20 } };
  assert.equal(newestOf(camera, image(10), "/x"), null);
  assert.equal(newestOf(camera, image(30, { kind: "clip" }), "/x"), null);
  assert.equal(newestOf(camera, image(20), "/x").filename, "r1_20.jpg");
  assert.equal(newestOf({ last_image: null }, image(1), "/x").url, "/x");
});

test("who watches several parts is told once, and others not at all", () => {
  const told = [];
  watch(["one", "two"], () => told.push("both"));
  watch(["three"], () => told.push("three"));
  changed("one", "two", "nobody");
  assert.deepEqual(told, ["both"]);
});

test("what is told while an answer is on its way is taken over again after it, whatever the answer's age", async () => {
  let list = [];
  const answers = [];
  const ask = () => new Promise((resolve) => answers.push(resolve));
  const told = (name) => take(() => {
    list = [...list.filter((one) => one !== name), name];
  });
  const keep = (answer) => {
    list = answer;
  };
  const [first, second] = [read(ask, keep), read(ask, keep)];
  told("new");
  assert.deepEqual(list, ["new"], "nobody waits for it");
  answers[0](["old"]);
  await first;
  assert.deepEqual(list, ["old", "new"]);
  told("newer");
  answers[1](["old", "new"]);
  await second;
  assert.deepEqual(list, ["old", "new", "newer"]);
});

test("an answer that never came leaves nothing to be taken over", async () => {
  let count = 0;
  const asked = read(() => Promise.reject(new Error("gone")), () => {});
  take(() => count += 1);
  await assert.rejects(asked, /gone/);
  await read(() => Promise.resolve(1), () => {});
  assert.equal(count, 1);
});
