// Many tabs of one browser share one connection for events: a browser opens six to a server.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { closeBrowser, daemon, nobody, percentile, until } from "./harness.mjs";

after(closeBrowser);

const env = async () => ({ CAMERA_1_SNAPSHOT_URL: await nobody(), GPIO_CAMERA_1_PIN: "18", GPIO_TRIGGER_ENABLED: "false", GPIO_BOUNCE_TIME: "10" });
const lamp = (page) => page.locator(".camera .lamp").first().textContent();

/** Connections of this machine to the box that are open, seen from the box. */
async function streams(box) {
  const { readFileSync } = await import("node:fs");
  const port = Number(new URL(box.url).port).toString(16).toUpperCase().padStart(4, "0");
  return readFileSync("/proc/net/tcp", "utf8").split("\n").filter((line) => {
    const [, local, , state] = line.trim().split(/\s+/);
    return local?.endsWith(`:${port}`) && state === "01";
  }).length;
}

test("twenty tabs one after the other load, and each sees the next edge", async (t) => {
  const box = await daemon(t, { env: await env() });
  const context = await box.browser(t);
  const [pages, took] = [[], []];
  for (let n = 0; n < 20; n += 1) {
    const began = Date.now();
    pages.push(await box.tab(t, context));
    await pages[n].locator(".camera").first().waitFor({ timeout: 10_000 });
    took.push(Date.now() - began);
  }
  await box.api("/api/gpio/sim/r1", "POST", { level: "low" });
  const { took: seen } = await until("every tab sees the edge", async () => (await Promise.all(pages.map(lamp))).every((text) => text === "Contact: Closed"), 5_000);
  t.diagnostic(`tab after tab: median ${percentile(took, 0.5)} ms, longest ${Math.max(...took)} ms; an edge is in all of them after ${seen} ms; ${await streams(box)} connections`);
  assert.ok(await streams(box) <= 7, "no more connections than a browser has");
  assert.ok(percentile(took, 0.5) < 2_000, `${took}`);
});

for (const count of [8, 20]) {
  test(`${count} tabs at once load, and each sees the next edge`, async (t) => {
    const box = await daemon(t, { env: await env() });
    const context = await box.browser(t);
    const took = [];
    const began = Date.now();
    const pages = await Promise.all(Array.from({ length: count }, async () => {
      const page = await box.tab(t, context);
      await page.locator(".camera").first().waitFor({ timeout: 20_000 });
      took.push(Date.now() - began);
      return page;
    }));
    await until("every tab shows the contact", async () => (await Promise.all(pages.map(lamp))).every((text) => text === "Contact: Open"));
    await box.api("/api/gpio/sim/r1", "POST", { level: "low" });
    const { took: seen } = await until("every tab sees the edge", async () => (await Promise.all(pages.map(lamp))).every((text) => text === "Contact: Closed"), 5_000);
    t.diagnostic(`${count} tabs at once: median ${percentile(took, 0.5)} ms, last ${Math.max(...took)} ms; an edge is in all of them after ${seen} ms; ${await streams(box)} connections`);
    assert.ok(await streams(box) <= 7, "no more connections than a browser has");
  });
}

test("the next tab takes over when the leading one is closed or sleeps", async (t) => {
  const box = await daemon(t, { env: await env() });
  const context = await box.browser(t);
  const pages = [];
  for (let n = 0; n < 3; n += 1) {
    pages.push(await box.tab(t, context));
    await until("it is up to date", async () => (await lamp(pages[n])) === "Contact: Open");
  }
  await pages.shift().close();
  await box.api("/api/gpio/sim/r1", "POST", { level: "low" });
  const closed = await until("the others see an edge", async () => (await Promise.all(pages.map(lamp))).every((text) => text === "Contact: Closed"), 3_000);
  // The one that leads now goes to sleep.
  const leads = (page) => page.evaluate(() => document.documentElement.dataset.stream === "leads");
  assert.deepEqual((await Promise.all(pages.map(leads))).filter(Boolean).length, 1, "one tab leads");
  if (!(await leads(pages[0]))) pages.reverse();
  const sleeper = pages.shift();
  // A dialog stops its script and its timers.
  const asleep = new Promise((resolve) => sleeper.on("dialog", resolve));
  sleeper.evaluate(() => alert("asleep")).catch(() => {});
  const dialog = await asleep;
  await box.api("/api/gpio/sim/r1", "POST", { level: "high" });
  const slept = await until("the last one sees an edge", async () => (await lamp(pages[0])) === "Contact: Open", 12_000);
  t.diagnostic(`an edge is seen ${closed.took} ms after the leading tab was closed, ${slept.took} ms after it went to sleep`);
  assert.doesNotMatch(await pages[0].title(), /not connected/);
  await dialog.dismiss();
  await until("the sleeper is up to date", async () => (await lamp(sleeper)) === "Contact: Open", 15_000);
});
