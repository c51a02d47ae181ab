// Every page and dialog: no violation found by axe, no error, nothing from elsewhere.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { closeBrowser, daemon, PASSWORD, PHONE, until } from "./harness.mjs";

after(closeBrowser);

// A page that is refused is shown as the log-in page, with status 401; Chromium writes that down.
const expected = /status of 401/;

test("the dashboard of the demonstration, a picture and the settings are clean", async (t) => {
  const box = await daemon(t, { demo: true });
  await until("the cameras are there", async () => (await box.api("/api/status")).cameras.every((one) => one.state === "connected"), 30_000);
  await box.pulse("r1");
  await box.pulse("r2");
  const page = await box.open(t);
  await page.locator(".tile").first().waitFor({ timeout: 20_000 });
  await until("all is well", async () => /All well/.test(await page.locator("#verdict").textContent()), 20_000);
  assert.equal(await page.locator("h1").count(), 1);
  await until("a device has pushed", async () => /porch[^]*Received \d/.test(await page.locator("#devices").innerText()), 20_000);
  const command = (await page.locator("#devices code").allTextContents()).join();
  assert.equal(command, `curl --data-binary @photo.jpg ${box.url}/upload`);
  const photo = (await page.evaluate(async () => [...new Uint8Array(await (await fetch("/uploads/" + (await (await fetch("/last_image")).json()).filename)).arrayBuffer())]));
  const { port } = new URL(box.url);
  const pushed = await fetch(`http://127.0.0.1:${port}/upload`, { method: "POST", body: new Uint8Array(photo) });
  assert.equal(pushed.status, 200, "what the page says works");
  await page.clean("main page");
  await page.setViewportSize(PHONE);
  await page.clean("main page on a phone");
  await page.locator(".tile").first().click();
  await page.clean("a picture");
  await page.keyboard.press("Escape");
  await page.locator("#open-settings").click();
  await page.clean("settings");
});

test("the log-in page is clean, tells the command that works, and leads in", async (t) => {
  const box = await daemon(t);
  const page = await box.open(t, { loggedIn: false, expected });
  assert.match(await page.locator("#login").textContent(), /--env-file \S+ --set-password/);
  await page.clean("log-in");
  await page.locator("#password").fill("wrong guess");
  await page.locator("#login button").click();
  await until("it says that this is not the password", async () => (await page.locator("#login [role=alert]").textContent()).length > 5, 20_000);
  await page.clean("log-in, refused");
  await until("the button may be pressed again", () => page.locator("#login button").isEnabled(), 20_000);
  await page.locator("#password").fill(PASSWORD);
  await page.locator("#login button").click();
  await page.locator(".camera, #gallery-empty").first().waitFor({ timeout: 20_000 });
  await page.locator("#open-settings").click();
  await page.clean("settings with a password");
});

test("the set-up page is clean and leads in", async (t) => {
  const box = await daemon(t, { password: null });
  const page = await box.open(t, { expected });
  await page.clean("set-up");
  const code = /[a-z0-9]{5}-[a-z0-9]{5}/.exec(box.log)[0];
  await page.locator("#setup [name=code]").fill(code);
  await page.locator("#setup [name=password]").fill(PASSWORD);
  await page.locator("#setup [name=again]").fill(PASSWORD);
  await page.locator("#setup button").click();
  await page.locator("#gallery-empty").waitFor({ timeout: 20_000 });
});
