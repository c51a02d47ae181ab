// Lists are drawn anew while somebody works with them: the focus stays where it is.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { camera, closeBrowser, daemon, receiver, until } from "./harness.mjs";

after(closeBrowser);

const env = async (t, far) => ({ CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url, GPIO_CAMERA_1_PIN: "18" });

/** Says that an element has the focus, and is still the one that got it. */
async function focus(page, selector) {
  await page.locator(selector).first().focus();
  await page.evaluate(() => {
    window.held = document.activeElement;
  });
  return () => page.evaluate(() => window.held === document.activeElement && window.held.isConnected);
}

test("the focus stays on a button of every list while pictures go", async (t) => {
  const far = await receiver(t);
  const box = await daemon(t, { env: await env(t, far) });
  const page = await box.open(t);
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  await box.api("/api/capture/r1", "POST");
  await page.locator(".tile").first().waitFor({ timeout: 20_000 });
  let delivered = await until("it is delivered", async () => (await box.api("/api/stats")).uploads.targets.api.delivered).then(({ seen }) => seen);
  for (const selector of [".try-target", ".tile", ".capture"]) {
    const isHeld = await focus(page, selector);
    for (let round = 0; round < 3; round += 1) {
      await box.pulse();
      delivered += 1;
      // The counts are drawn anew, and with them the card of the target.
      const shown = () => page.locator("[data-count=delivered]").textContent();
      await until(`the card says ${delivered} delivered`, async () => Number(await shown()) >= delivered);
      assert.ok(await isHeld(), `${selector} has lost the focus after ${round + 1} pictures`);
    }
  }
});

test("the focus stays on the way to repair while refused pictures come", async (t) => {
  const far = await receiver(t, 422);
  const box = await daemon(t, { env: await env(t, far) });
  const page = await box.open(t);
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  await box.api("/api/capture/r1", "POST");
  await page.locator(".show-dead").waitFor({ timeout: 30_000 });
  const isHeld = await focus(page, ".show-dead");
  const dead = Number(await page.locator("[data-count=dead]").textContent());
  await box.api("/api/capture/r1", "POST");
  await until("the card counts one more", async () => Number(await page.locator("[data-count=dead]").textContent()) > dead, 30_000);
  assert.ok(await isHeld(), "the button has lost the focus");
  await page.keyboard.press("Enter");
  await until("the failed pictures are shown", async () => (await page.locator("#filter [name=state]").inputValue()) === "dead");
  await until("both of them", async () => (await page.locator(".tile").count()) === 2);
});
