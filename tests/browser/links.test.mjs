// A public link is made, copied, opened by a stranger and revoked.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { camera, closeBrowser, daemon, receiver, until } from "./harness.mjs";

after(closeBrowser);

// S1.8
test("a link to a picture is copied, shows a stranger that picture until it is revoked, and says when it ends", async (t) => {
  const far = await receiver(t);
  const env = { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url, GPIO_CAMERA_1_PIN: "18" };
  const box = await daemon(t, { env });
  const context = await box.browser(t);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: box.url });
  const page = await box.tab(t, context);
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  const picture = await box.api("/api/capture/r1", "POST");
  await page.locator(".tile").first().click();
  await page.locator("#share").click();
  await until("it is said", async () => /copied to the clipboard.*until/.test(await page.locator("#links-note").textContent()));
  const link = await page.evaluate(() => navigator.clipboard.readText());
  assert.match(link, /^http:\/\/127\.0\.0\.1:\d+\/s\/[A-Za-z0-9_-]{22}\.jpg$/);
  assert.equal(await page.locator("#link-address").textContent(), link);
  await page.clean("a public link");

  const stranger = await (await box.browser(t, { loggedIn: false })).newPage();
  const shown = await stranger.goto(link);
  assert.equal(shown.status(), 200);
  assert.equal((await shown.body()).length, picture.bytes);
  assert.equal((await stranger.goto(`${box.url}/api/images/${picture.filename}`)).status(), 401);

  await page.keyboard.press("Escape");
  await page.locator(".tile").first().click();
  await until("how often it was opened is said", async () => /opened 1 time/.test(await page.locator("#links").textContent()));
  assert.ok(!(await page.content()).includes(link), "its address is not known any more");
  await page.locator("#links button").click();
  await page.locator("#confirm button", { hasText: "Revoke" }).click();
  await until("none is left", async () => (await page.locator("#links li").count()) === 0);
  assert.equal((await stranger.goto(link)).status(), 404);
});

test("without a clipboard the address is selected, to be copied by hand", async (t) => {
  const far = await receiver(t);
  const env = {
    CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url, GPIO_CAMERA_1_PIN: "18",
    PUBLIC_URL: "https://gate.example.org", LINK_HOURS: "never",
  };
  const box = await daemon(t, { env });
  const page = await box.open(t);
  await page.evaluate(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  await box.api("/api/capture/r1", "POST");
  await page.locator(".tile").first().click();
  await page.locator("#share").click();
  await until("it is said", async () => /copy it from here.*does not end/.test(await page.locator("#links-note").textContent()));
  assert.match(await page.evaluate(() => getSelection().toString().trim()), /^https:\/\/gate\.example\.org\/s\/[A-Za-z0-9_-]{22}\.jpg$/);
});
