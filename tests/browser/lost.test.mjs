// A connection that is lost or frozen is said, wherever the page is scrolled to, and nothing looks well meanwhile.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { closeBrowser, daemon, DESKTOP, greenMarks, isInView, nobody, PHONE, until } from "./harness.mjs";

after(closeBrowser);

const env = async () => ({ CAMERA_1_SNAPSHOT_URL: await nobody(), GPIO_CAMERA_1_PIN: "18", GPIO_TRIGGER_ENABLED: "false" });
const expected = /Failed to load resource|ERR_|net::/;

async function scrolled(page) {
  await page.locator("#verdict").waitFor();
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  assert.ok(await page.evaluate(() => scrollY > 60), "the page is long enough to be scrolled");
}

const says = (page, words) => async () => {
  const text = await page.locator("#verdict").textContent();
  return words.test(text) && (await isInView(page, "#verdict")) && text;
};

for (const [name, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
  test(`a killed box is said within 2 s on a scrolled page, and heals by itself: ${name}`, async (t) => {
    const box = await daemon(t, { env: await env() });
    const page = await box.open(t, { viewport, expected });
    await until("the dashboard listens", says(page, /gives no pictures|All well/));
    await scrolled(page);
    await box.signal("SIGKILL");
    const { took } = await until("the page says so", says(page, /Not connected/), 2_000);
    assert.deepEqual(await greenMarks(page), [], "nothing is green");
    assert.match(await page.title(), /not connected/);
    const age = await page.locator("#verdict").textContent();
    await page.locator(".capture").first().click();
    await until("a request ends with words", async () => /cannot be reached/.test(await page.locator(".camera-said").first().textContent()), 10_000);
    t.diagnostic(`said after ${took} ms: ${age.trim()}`);
    await box.start();
    await until("the page is up to date again", async () => !(await page.locator("body").getAttribute("class"))?.includes("is-stale"), 15_000);
    assert.doesNotMatch(await page.title(), /not connected/);
  });
}

test("a frozen box is said within 25 s, and every request ends with words", async (t) => {
  const box = await daemon(t, { env: await env() });
  const page = await box.open(t, { viewport: PHONE, expected });
  await until("the dashboard listens", says(page, /gives no pictures|All well/));
  await scrolled(page);
  box.signal("SIGSTOP");
  const stopped = Date.now();
  await page.locator("#open-settings").click();
  await until("the list of tokens ends with words", async () => /does not answer/.test(await page.locator("#new-token [role=status]").textContent()), 11_000);
  const ended = Date.now() - stopped;
  await page.keyboard.press("Escape");
  await page.evaluate(() => scrollTo(0, document.documentElement.scrollHeight));
  await page.locator(".capture").first().click();
  const { seen } = await until("the page says so", says(page, /No word from the box/), 25_000 - (Date.now() - stopped));
  t.diagnostic(`a request ended after ${ended} ms, the silence was said after ${Date.now() - stopped} ms: ${seen.trim()}`);
  assert.deepEqual(await greenMarks(page), [], "nothing is green");
  await until("the capture ends with words", async () => /does not answer/.test(await page.locator(".camera-said").first().textContent()), 2_000);
  box.signal("SIGCONT");
  await until("the page is up to date again", async () => !(await page.locator("body").getAttribute("class"))?.includes("is-stale"), 20_000);
});
