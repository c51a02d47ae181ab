// The latency page: a camera films it, with a delay that is known, and the page must find that delay.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { filmCamera } from "./filming.mjs";
import { camera, closeBrowser, daemon, PHONE, until } from "./harness.mjs";

/** Long enough for a busy machine to encode a picture. */
const DELAY_MS = 1800;
const LIMIT_MS = 15;

after(closeBrowser);

const words = (page) => page.locator("#said").textContent();
const found = (page) => until("the page says how far the camera is behind", async () => {
  const said = await words(page);
  // As a person would, where the machine was too busy to film.
  if (/measure again\.$/i.test(said)) await page.locator("#again").click();
  return /is (-?\d+) ms behind \(between (-?\d+) and (-?\d+) ms\)/.exec(said);
}, 150_000);

test("a camera that films the page is measured, and what was measured holds now and after a restart", async (t) => {
  const film = await filmCamera(t, DELAY_MS);
  const box = await daemon(t, { env: { CAMERA_1_RTSP: film.url } });
  const page = await box.open(t, { path: "/latency?camera=r1", viewport: PHONE, expected: /net::ERR_/ });
  await page.locator("#screen").fill("0");
  await until("the code is shown", async () => /matches the box's/.test(await page.locator("#match").textContent()));
  await film.film(page, box);
  const [, median, low, high] = (await found(page)).seen.map(Number);
  t.diagnostic(`${DELAY_MS} ms were measured as ${median} ms, between ${low} and ${high}; of the pictures ${film.sent} were sent, ${film.late} late, ${film.unread} unread`);
  assert.ok(Math.abs(median - DELAY_MS) <= LIMIT_MS, `${median}`);
  assert.ok(low <= median && median <= high);
  await page.clean("latency, measured");

  // A screen that takes 25 ms is no camera that takes them.
  await page.locator("#screen").fill("25");
  await page.locator("#apply").click();
  await until("it is in use", async () => /That is in use/.test(await words(page)));
  const latency = { ms: median - 25, from: "measured" };
  const ofCamera = async () => (await box.api("/api/status")).cameras[0].latency;
  assert.deepEqual(await ofCamera(), latency);

  // The session that is running waits for the frame of the instant, which comes by so much later.
  const began = performance.now();
  const image = await box.api("/api/capture/r1", "POST");
  const took = performance.now() - began;
  assert.ok(took > latency.ms - 300, `a picture after ${took} ms`);
  assert.ok(Math.abs(image.frame_offset_ms) < 400, `${image.frame_offset_ms}`);

  // What is in use now is no part of what is measured.
  await page.locator("#again").click();
  const again = Number((await found(page)).seen[1]) + 25;
  assert.ok(Math.abs(again - DELAY_MS) <= LIMIT_MS, `${again}`);

  await box.signal("SIGKILL");
  await box.start();
  assert.deepEqual(await ofCamera(), latency);
});

test("a camera of single pictures has no latency to measure, and the page says so", async (t) => {
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url } });
  const page = await box.open(t, { path: "/latency?camera=r1", viewport: PHONE, expected: /409/ });
  await until("the page says why", async () => /single pictures/.test(await words(page)));
  await page.clean("latency, refused");
});

test("the card of a camera leads to the page, which shows what is set and cannot be changed there", async (t) => {
  const box = await daemon(t, { env: { CAMERA_1_RTSP: "rtsp://127.0.0.1:9/none", CAMERA_1_LATENCY_MS: "120" } });
  const page = await box.open(t, { expected: /503|504/ });
  await page.locator(".camera-latency a", { hasText: "Latency: 120 ms" }).click();
  await until("the page says what is set", async () => /120 ms, set by CAMERA_1_LATENCY_MS/.test(await page.locator("#now").textContent()));
  await until("there is no picture", async () => /127\.0\.0\.1/.test(await words(page)), 30_000);
  await page.clean("latency, set");
  await assert.rejects(box.api("/api/latency/r1", "POST", { latency_ms: 80 }), /409.*CAMERA_1_LATENCY_MS is set to 120/);
});
