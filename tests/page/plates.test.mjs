// What is said of the number plates that were read, and where a plate lies in its picture.

import assert from "node:assert/strict";
import { test } from "node:test";

globalThis.document ??= { getElementById: () => null };
const { analysisWords, cropOf, readingWords, serverWords } = await import("../../web/page/plates.js");
const { plateChip } = await import("../../web/page/words.js");

const READING = {
  id: 1, text: "AB12", read: "ab12", corrected: null, checked_at: null, checked_by: null, score: 0.914, box: null,
  unsure: false, watched: null, match: null,
};
const of = (...readings) => ({ analysis: { readings: readings.map((one) => ({ ...READING, ...one })) } });

test("a chip has what was looked for before the best, and says what is near, unsure or watched for", () => {
  assert.equal(plateChip({ analysis: null }), null);
  assert.equal(plateChip(of({ text: "" })), null);
  assert.deepEqual(plateChip(of({}, { text: "B" })), ["AB12", "info"]);
  assert.deepEqual(plateChip(of({}, { text: "B1", match: "near" })), ["≈ B1", "info"]);
  assert.deepEqual(plateChip(of({ unsure: true })), ["AB12 ?", "warn"]);
  assert.deepEqual(plateChip(of({ unsure: true, watched: "AB12" })), ["AB12 ?", "bad"]);
});

test("what was read and what a person said of it are both told", () => {
  assert.equal(readingWords(READING), "Read as ab12, score 91 %.");
  assert.match(readingWords({ ...READING, score: null, unsure: true }), /no score\. Please confirm/);
  const corrected = { ...READING, corrected: "AB 12", checked_by: "a person", checked_at: "2026-11-20T12:00:00Z" };
  assert.match(readingWords(corrected), /^Read as ab12, score 91 %\. AB 12, said a person, /);
  assert.match(readingWords({ ...corrected, corrected: "" }), /No text at all, said a person/);
  assert.match(readingWords({ ...READING, watched: "A812" }), /Taken for A812, which is watched for/);
});

test("how an analysis stands is said where no reading shows it", () => {
  assert.equal(analysisWords(null), "Not asked about yet.");
  const state = (more) => analysisWords({ state: "done", readings: [], last_error: null, attempts: 2, ...more });
  assert.equal(state({}), "No number plate was read.");
  assert.equal(state({ readings: [READING] }), "");
  assert.equal(state({ state: "pending" }), "Being read.");
  assert.match(state({ state: "dead", last_error: "answered 413" }), /^Put aside after 2 attempts\. Answered 413/);
});

test("the card says what was asked, what waits and what a limit means", () => {
  const server = {
    asked_today: 3, asked_this_month: 20, per_day: null, per_month: 20, waiting: 2, unsure: 1, dead: 0,
    paused_by: "cost", paused_until: "2026-12-01T00:00:00Z", last_error: null,
  };
  const words = serverWords(server);
  assert.match(words, /^Asked 3 today, 20 of 20 this month \(UTC\)\. 2 pictures wait\. 1 reading to be confirmed\./);
  assert.match(words, /The limit is reached: nothing is asked before /);
});

test("a crop is a window of one height on the plate, and nothing beyond the picture", () => {
  const picture = { width: 1000, height: 500 };
  const crop = cropOf(picture, { xmin: 100, ymin: 100, xmax: 200, ymax: 120 }, 34);
  assert.deepEqual(crop, { wide: 114, high: 34, left: -93, top: -93, width: 1000, height: 500 });
  const corner = cropOf(picture, { xmin: 0, ymin: 0, xmax: 90_000, ymax: 90_000 }, 50);
  assert.deepEqual([corner.wide, corner.high, corner.left, corner.top], [100, 50, -0, -0]);
  assert.equal(cropOf(picture, { xmin: 2000, ymin: 10, xmax: 2100, ymax: 20 }), null);
});
