// The button that tries out a target: each step in words, in a dialog that outlives what is drawn behind it.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { after, test } from "node:test";

import { closeBrowser, daemon, DESKTOP, isInView, nobody, PHONE, receiver, until } from "./harness.mjs";

after(closeBrowser);

// An answer 429 is written down by Chromium.
const expected = /status of 429/;

const SHOTS = process.env.SHOTS;
async function shot(page, name) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  await page.screenshot({ path: `${SHOTS}/${name}.png` });
}

const said = (page) => page.locator("#tryout-said").textContent();
const steps = (page) => page.locator("#tryout-steps li").evaluateAll((items) => items.map((item) => item.textContent.replace(/\s+/g, " ")));

test("a target that takes the test picture is shown with every step", async (t) => {
  const server = await receiver(t);
  const box = await daemon(t, { env: { S3_API_URL: server.url } });
  const page = await box.open(t, { expected });
  await page.locator(".try-target").click();
  await until("it says that the picture was taken", async () => /took the test picture, test_\d+(_\d+)?\.jpg/.test(await said(page)));
  assert.equal(server.taken, 1);
  const shown = await steps(page);
  assert.equal(shown.length, 4, shown.join("\n"));
  for (const [index, words] of [/^ ?Name .*OK/, /^ ?Connection \(TCP\) .*OK.*connected/, /^ ?Answer \(HTTP\) .*OK.*200/, /^ ?Verdict .*OK.*delivery/].entries()) {
    assert.match(shown[index], words);
  }
  await page.clean("a target that was tested");
  await shot(page, "good-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await shot(page, "good-desktop");
  await page.setViewportSize(PHONE);
  await shot(page, "good-phone");
  await page.locator("#tryout-again").click();
  await until("it says that this was too soon", async () => /only just begun|next one/.test(await said(page)));
  assert.equal(server.taken, 1);
  assert.deepEqual((await box.api("/api/images")).images, []);
  await page.keyboard.press("Escape");
  await page.setViewportSize(DESKTOP);
  await page.locator("#delivery-title").scrollIntoViewIfNeeded();
  await shot(page, "card-desktop");
  assert.equal(await page.locator("#tryout").isVisible(), false);
});

test("a target that cannot be reached is said at the step that fails, by keyboard and on a phone", async (t) => {
  const box = await daemon(t, { env: { S3_API_URL: await nobody() } });
  const page = await box.open(t, { viewport: PHONE, expected });
  await page.locator(".try-target").focus();
  await page.keyboard.press("Enter");
  await until("it says that it did not pass", async () => /did not pass/.test(await said(page)));
  const shown = await steps(page);
  assert.match(shown[1], /Failed.*refused the connection.*Nothing listens there|Failed.*refused the connection; nothing listens there/);
  assert.match(shown[2], /Not done/);
  assert.match(shown[3], /Failed.*Not taken/);
  assert.ok(await isInView(page, "#tryout-steps li:nth-child(2)"));
  await page.clean("a target that failed its test");
  await shot(page, "bad-phone-dark");
  await page.emulateMedia({ colorScheme: "light" });
  await shot(page, "bad-phone");
});
