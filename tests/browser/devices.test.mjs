// Devices that bring their pictures: a picture by button without a reload, and the figures of the receiver, which move by
// themselves. The ids are those of the rows of what the receivers before did.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, test } from "node:test";

import { camera, closeBrowser, daemon, DESKTOP, PHONE, receiver, until } from "./harness.mjs";

after(closeBrowser);

const TOKEN = "0123456789abcdef-door";
/** What the old page promised: it read the figures anew each ten seconds. */
const REFRESHED_MS = 10_000;

const SHOTS = process.env.SHOTS;
async function shots(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  for (const [look, viewport, colorScheme] of [["desktop", DESKTOP, "light"], ["phone", PHONE, "light"], ["dark", DESKTOP, "dark"]]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.locator("#devices").scrollIntoViewIfNeeded();
    await page.screenshot({ path: `${SHOTS}/${name}-${look}.png` });
  }
}

/** Whoever loads a page anew has another window. */
const mark = (page) => page.evaluate(() => {
  window.isSame = true;
});
const isSame = (page) => page.evaluate(() => window.isSame === true);

test("S0.3: a picture by button changes the image of the page, which is not left", async (t) => {
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url } });
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  await box.api("/api/capture/r1", "POST");
  const page = await box.open(t);
  const source = () => page.locator(".camera-picture img").first().evaluate((image) => image.src);
  const { seen: before } = await until("the first picture is there", source, 20_000);
  await mark(page);
  await page.locator(".capture").first().click();
  await until("the image is another", async () => (await source()) !== before);
  await until("it is in the gallery, too", async () => (await page.locator(".tile").count()) === 2);
  assert.ok(await isSame(page), "it was not loaded anew");
});

test("S3.8: what devices bring is in the gallery at once and in the figures within ten seconds", async (t) => {
  const far = await receiver(t);
  const pictures = await camera(t);
  const box = await daemon(t, {
    env: {
      S3_API_URL: far.url, INGEST_1_NAME: "door", INGEST_1_TOKEN: TOKEN, INGEST_2_NAME: "yard", INGEST_2_ADDRESS: "192.0.2.1",
    },
  });
  const picture = async () => (await fetch(pictures.url)).arrayBuffer();
  const push = async (body) => (await fetch(`${box.url}/upload`, { method: "POST", headers: { Authorization: `Bearer ${TOKEN}` }, body })).status;
  const page = await box.open(t);
  await page.locator("#devices").waitFor({ timeout: 20_000 });
  const text = () => page.locator("#devices").innerText();
  const counts = () => page.locator("#devices dd").allTextContents();
  await until("the figures are there", async () => (await counts()).join() === "0,0,0");
  const place = (await box.api("/api/status")).receiver.place;
  for (const words of [place, "HTTP API", "Nothing yet", "Waits for its first picture", "By HTTP"]) {
    assert.ok((await text()).includes(words), `${words}: ${await text()}`);
  }
  await mark(page);
  const one = await picture();
  assert.equal(await push(one), 200);
  const tile = page.locator(".tile");
  const { took } = await until("the picture is in the gallery", async () => (await tile.count()) === 1, 2_000);
  t.diagnostic(`in the gallery: after ${took} ms`);
  await until("received, stored, sent on", async () => (await counts()).join() === "1,1,1", REFRESHED_MS);
  await until("the device has its picture", () => page.locator(".device-picture img").first().isVisible());
  // No event tells of what was stored before.
  assert.equal(await push(one), 200);
  await until("it is counted", async () => (await counts()).join() === "2,1,1", REFRESHED_MS);
  assert.equal(await push("no picture"), 422);
  await until("the refusal and its reason are there", async () => /refused 1\.[^]*Refused .*no picture/.test(await text()), REFRESHED_MS);
  assert.match(await text(), /Last one refused/);
  await page.locator(".device-picture").first().click();
  await until("its picture is open", () => page.locator("#picture").isVisible());
  await page.keyboard.press("Escape");
  await page.locator("#devices summary").last().click();
  const said = await page.locator("#devices details").last().innerText();
  assert.ok(said.includes(`curl --data-binary @photo.jpg -H 'Authorization: Bearer TOKEN' ${box.url}/upload`), said);
  assert.ok(!(await page.content()).includes(TOKEN), "no token is on the page");
  await page.locator("#filter select").first().selectOption("door");
  await until("the pictures of the device alone", async () => (await tile.count()) === 1);
  assert.ok(await isSame(page), "it was not loaded anew");
  await page.clean("devices");
  await shots(page, "devices");
});

test("what was refused is listed with its reason, saved as it came and deleted", async (t) => {
  const box = await daemon(t, {
    env: {
      INGEST_1_NAME: "door", INGEST_1_TOKEN: TOKEN, STORAGE_QUARANTINE_MAX_BYTES: "1MiB", INGEST_2_NAME: "card",
      INGEST_2_ADDRESS: "192.0.2.1",
    },
  });
  const page = await box.open(t);
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const body = "<script>document.title='taken'</script>";
  assert.equal((await fetch(`${box.url}/upload`, { method: "POST", headers, body })).status, 422);
  const list = page.locator("#devices details").first();
  await list.locator("summary", { hasText: "1 refused picture" }).waitFor({ timeout: 20_000 });
  await list.locator("summary").click();
  assert.match(await list.locator("li").innerText(), /^door, .+ B: .+ Save/);
  await page.clean("refused pictures");
  await shots(page, "refused");
  const saving = page.waitForEvent("download");
  await list.locator("a", { hasText: "Save" }).click();
  assert.match((await saving).suggestedFilename(), /^refused_\d{13}_door_.+\.bin$/);
  await list.locator("button").click();
  await page.locator("#confirm button", { hasText: "Delete" }).click();
  await list.waitFor({ state: "hidden", timeout: 20_000 });
  assert.deepEqual((await box.api("/api/quarantine")).pictures, []);
});
