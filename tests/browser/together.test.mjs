// Two people look at the same box in two browsers: what one does the other sees at once, without a reload, and every
// figure is the server's.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { camera, closeBrowser, daemon, receiver, until } from "./harness.mjs";

after(closeBrowser);

/** Between a press in one browser and its effect in the other. */
const AT_ONCE_MS = 1_000;

/** A box with one picture in its queue, and the dashboard in two browsers, the second with the picture open. */
async function two(t, status) {
  const far = await receiver(t, status);
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url, OFFLINE_RETRY_INTERVAL: "3600" } });
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  const [one, other] = [await box.open(t), await box.open(t)];
  await box.api("/api/capture/r1", "POST");
  for (const page of [one, other]) {
    await page.locator(".tile").first().click({ timeout: 20_000 });
    await until("the picture is open", () => page.locator("#picture").isVisible());
  }
  // Whoever loads a page anew has another window.
  await other.evaluate(() => {
    window.isSame = true;
  });
  return { box, far, one, other, image: async () => (await box.api("/api/images")).images[0] };
}

const uploads = (page) => page.locator("#picture-uploads").textContent();

test("protection and its end are seen in the other browser within a second", async (t) => {
  const { one, other, image } = await two(t, 200);
  for (const [word, isProtected] of [["End protection", true], ["Protect", false]]) {
    await one.locator("#protect").click();
    const { took } = await until(`the other offers: ${word}`, async () => (await other.locator("#protect").textContent()) === word, AT_ONCE_MS);
    t.diagnostic(`${word}: after ${took} ms`);
    assert.equal((await other.locator(".tile-camera").first().textContent()).includes("🔒"), isProtected);
    assert.equal((await image()).protected, isProtected);
  }
  assert.ok(await other.evaluate(() => window.isSame), "it was not loaded anew");
});

test("a failure, a retry and the delivery are seen in the other browser, with the server's attempts and time", async (t) => {
  const { far, one, other, image } = await two(t, 422);
  await until("it failed permanently", async () => (await image()).uploads[0].state === "dead", 30_000);
  await until("the other sees that", async () => /Failed permanently/.test(await uploads(other)), AT_ONCE_MS);
  const before = (await image()).uploads[0].attempts;
  assert.match(await uploads(other), new RegExp(`, ${before} attempt`));
  far.status = 200;
  await one.locator("#retry").click();
  await until("it is delivered", async () => (await image()).uploads[0].state === "delivered");
  const { took } = await until("the other sees that", async () => /Delivered/.test(await uploads(other)), AT_ONCE_MS);
  t.diagnostic(`delivery: after ${took} ms`);
  const [{ attempts, delivered_at: delivered }] = (await image()).uploads;
  const time = await other.evaluate((at) => new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" }).format(at), Date.parse(delivered));
  const words = await uploads(other);
  assert.ok(words.includes(`, ${attempts} attempt`), `${words}, the server says ${attempts}`);
  assert.ok(words.includes(`, ${time},`), `${words}, the server says ${delivered}`);
  assert.equal(await uploads(one), words, "both say the same");
  assert.ok(await other.evaluate(() => window.isSame), "it was not loaded anew");
});

test("a picture that comes while the list is on its way is not lost with the list's old answer", async (t) => {
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url } });
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  const page = await box.open(t);
  await until("the empty list is there", () => page.locator("#gallery-empty").textContent());
  let letGo;
  const isHeld = new Promise((resolve) => {
    page.route("**/api/images?*", async (route) => {
      const answer = await route.fetch();
      resolve();
      await new Promise((go) => letGo = go);
      await route.fulfill({ response: answer });
    }, { times: 1 });
  });
  await page.locator("#filter select").first().selectOption("r1");
  await isHeld;
  await box.api("/api/capture/r1", "POST");
  await until("the picture is there", async () => await page.locator(".tile").count() === 1);
  const answer = page.waitForResponse("**/api/images?*");
  letGo();
  await (await answer).finished();
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  assert.equal(await page.locator(".tile").count(), 1);
});

test("a deletion closes the picture in the other browser within a second", async (t) => {
  const { one, other, image } = await two(t, 200);
  await until("it is delivered", async () => (await image()).uploads[0].state === "delivered");
  await one.locator("#delete").click();
  await one.locator("#confirm button[value=yes]").click();
  await until("it is gone", async () => (await image()) === undefined);
  const { took } = await until("it is closed in the other", () => other.locator("#picture").isHidden(), AT_ONCE_MS);
  t.diagnostic(`deletion: after ${took} ms`);
  assert.equal(await other.locator(".tile").count(), 0);
  assert.ok(await other.evaluate(() => window.isSame), "it was not loaded anew");
});
