// The words of the page, each from a value of the API.

import assert from "node:assert/strict";
import { test } from "node:test";

import { ago, lengthOf, signed, span, when } from "../../web/page/time.js";
import { bytes, delivery, doubt, plural, queue, runningFor, sentence, targetName, uploadState } from "../../web/page/words.js";

const check = (words, table) => {
  for (const [value, expected] of table) assert.equal(words(value), expected, JSON.stringify(value));
};

test("a size is rounded down, as the words of the server are", () => {
  check(bytes, [
    [0, "0 B"], [999, "999 B"], [1000, "1.0 kB"], [1999, "1.9 kB"], [99_999, "99.9 kB"], [100_900, "100 kB"],
    [26_100_000, "26.1 MB"], [5e12, "5.0 TB"], [5e15, "5000 TB"],
  ]);
});

test("a span has one unit", () => {
  check(span, [[0, "0 s"], [59, "59 s"], [60, "1 min"], [3599, "59 min"], [3600, "1 h"], [172_799, "47 h"], [172_800, "2 days"]]);
  check(runningFor, [
    [59, "less than a minute"], [60, "1 minute"], [7199, "1 hour"], [172_799, "47 hours"], [172_800, "2 days"],
  ]);
  assert.equal(ago(5_000, 65_000), "1 min ago");
  assert.equal(ago(65_000, 5_000), "0 s ago", "a clock that is behind");
});

test("a time of another day says its day", () => {
  const at = new Date(2026, 4, 3, 10, 20, 30).getTime();
  const today = when(at, new Date(2026, 4, 3, 23, 59).getTime());
  const later = when(at, new Date(2026, 4, 4, 0, 1).getTime());
  assert.match(today, /20.30/);
  assert.ok(later.endsWith(`, ${today}`) && later.length > today.length + 3, later);
});

test("a distance has its sign, a length its unit", () => {
  check(signed, [[-40, "−40 ms"], [0, "+0 ms"], [12, "+12 ms"]]);
  assert.equal(lengthOf(4_260), "4.3 s");
});

test("a sentence begins with a capital and ends with a stop", () => {
  check(sentence, [
    ["the disk is full", "The disk is full."], ["really?", "Really?"], ["wait…", "Wait…"], ["", ""], [null, ""],
  ]);
  assert.equal(plural(1, "picture"), "1 picture");
  assert.equal(plural(0, "picture"), "0 pictures");
  assert.equal(plural(2, "match", "matches"), "2 matches");
});

test("a clock in doubt is said, a good one not", () => {
  check(doubt, [["corrected", " (corrected)"], ["unsynced", " (unconfirmed)"], ["synced", ""], [undefined, ""]]);
});

const upload = (state, attempts = 0) => ({ state, attempts });

test("waiting after a failure is retrying", () => {
  assert.deepEqual(uploadState(upload("pending")), ["Queued", "warn"]);
  assert.deepEqual(uploadState(upload("pending", 2)), ["Retrying", "warn"]);
  assert.deepEqual(uploadState(upload("delivered", 2)), ["Delivered", "ok"]);
});

test("a picture's delivery is the worst of its uploads", () => {
  const of = (...uploads) => delivery({ uploads })[0];
  assert.equal(of(upload("delivered", 1), upload("pending")), "Queued");
  assert.equal(of(upload("pending", 1), upload("dead", 3)), "Failed permanently");
  assert.equal(of(upload("dead", 3), upload("lost")), "Lost");
  assert.equal(of(upload("skipped"), upload("delivered", 1)), "Delivered");
  assert.equal(of(), "Not sent");
});

test("a queue says how long it is, how fast it goes, and when it is empty", () => {
  const backlog = { pending: 0, oldest_age_s: null, pictures_per_minute: 0, drained_in_s: null };
  check(queue, [
    [backlog, ""],
    [{ ...backlog, pending: 1, oldest_age_s: 61 }, "1 queued for 1 min."],
    [
      { pending: 30, oldest_age_s: 300, pictures_per_minute: 9.6, drained_in_s: 180 },
      "30 queued, the oldest for 5 min; 10 per minute, done in about 3 min.",
    ],
    [{ pending: 2, oldest_age_s: 3, pictures_per_minute: 0.2, drained_in_s: null }, "2 queued, the oldest for 3 s; 1 per minute."],
  ]);
});

test("a target has the name that the server gave it", () => {
  check(targetName, [[{ target: "api_2", label: "HTTP API 2" }, "HTTP API 2"], [{ target: "mqtt" }, "mqtt"]]);
});
