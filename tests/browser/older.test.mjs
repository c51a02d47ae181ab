// What the pages of the systems before this one could do: the dashboard of the main one (S4.9), which read its figures
// anew each ten seconds, and the page of the first one (S0.3), which a script of its own asked and an <img> showed. The ids
// are those of the rows of what these systems did.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { camera, closeBrowser, daemon, greenMarks, PASSWORD, receiver, until } from "./harness.mjs";

after(closeBrowser);

/** The old page read its figures anew so often. */
const REFRESHED_MS = 10_000;

/** Whoever loads a page anew has another window. */
const mark = (page) => page.evaluate(() => {
  window.isSame = true;
});
const isSame = (page) => page.evaluate(() => window.isSame === true);

async function twoCameras(t, env = {}) {
  const urls = [await camera(t), await camera(t)].map((one) => one.url);
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: urls[0], CAMERA_2_SNAPSHOT_URL: urls[1], ...env } });
  await until("the cameras are there", async () =>
    (await box.api("/api/status")).cameras.filter((one) => one.state === "connected").length === 2);
  return box;
}

test("S4.9: offline and online, what waits, and every figure move without a reload", async (t) => {
  const far = await receiver(t, 503);
  const box = await twoCameras(t, { S3_API_URL: far.url });
  const page = await box.open(t);
  await page.locator(".camera").first().waitFor({ timeout: 20_000 });
  await mark(page);
  // The button of the page, as the manual captures of the old one.
  for (const taken of [1, 2]) {
    await page.locator(".capture").first().click();
    await until("the picture is in the gallery", async () => (await page.locator(".tile").count()) === taken);
  }
  const target = page.locator(".target");
  const count = (name) => target.locator(`[data-count=${name}]`).textContent();
  const chip = async () => (await target.locator(".chip").first().getAttribute("class")).split(" ");
  await until("what waits is counted", async () => (await count("pending")) === "2", REFRESHED_MS);
  await until("it is offline, in red", async () => (await chip()).includes("bad"), REFRESHED_MS);
  assert.match(await page.locator("#strip").textContent(), /2 uploads queued/);
  assert.deepEqual((await greenMarks(page)).filter((words) => /online/i.test(words)), []);
  far.status = 200;
  await until("both are sent", async () => (await box.api("/api/status")).uploads.pending === 0, 60_000);
  await until("nothing waits", async () => (await count("pending")) === "0" && (await count("delivered")) === "2", REFRESHED_MS);
  await until("it is online, in green", async () => (await chip()).includes("ok"), REFRESHED_MS);
  assert.match(await page.locator("#strip").textContent(), /Online[^]*Queue empty/);
  // What the server said stands at the picture.
  await page.locator(".tile").first().click();
  await until("its words are there", async () => /Delivered[^]*Answered 200: \{\}/.test(await page.locator("#picture-uploads").textContent()));
  assert.ok(await isSame(page), "it was not loaded anew");
});

test("S4.9: the gallery is filtered by camera, and a picture of another one does not come into it", async (t) => {
  const box = await twoCameras(t);
  const page = await box.open(t);
  for (const key of ["r1", "r2", "r2"]) await box.api(`/api/capture/${key}`, "POST");
  const shown = () => page.locator(".tile-camera").allTextContents();
  await until("all are there", async () => (await shown()).length === 3);
  const all = new Set(await shown());
  assert.equal(all.size, 2, "two cameras by their names");
  for (const [key, count] of [["r2", 2], ["r1", 1], ["", 3]]) {
    await page.locator("#filter select[name=camera]").selectOption(key);
    await until(`${count} of ${key || "all"}`, async () => (await shown()).length === count);
  }
  await page.locator("#filter select[name=camera]").selectOption("r1");
  await until("one", async () => (await shown()).length === 1);
  await box.api("/api/capture/r2", "POST");
  await box.api("/api/capture/r1", "POST");
  await until("its own came", async () => (await shown()).length === 2);
  assert.equal(new Set(await shown()).size, 1, "and no other");
});

test("S4.8, S4.9: pictures of more than 120 days go by the button, after a look at what would go", async (t) => {
  const shot = await camera(t);
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: shot.url } });
  await box.signal("SIGKILL");
  const name = (days) => `r1_${Math.floor(Date.now() / 1000) - days * 86_400}.jpg`;
  const [old, young] = [name(121), name(119)];
  // As the older program put them.
  for (const file of [old, young]) writeFileSync(path.join(box.dir, "images", file), Buffer.from(await (await fetch(shot.url)).arrayBuffer()));
  await box.start();
  const names = async () => (await box.api("/api/images")).images.map((image) => image.filename);
  await until("both are there", async () => (await names()).join() === [young, old].join(), 30_000);
  const page = await box.open(t);
  const report = () => page.locator("#report").textContent();
  const cleanUp = async (answer) => {
    await page.locator("#clean-up").click();
    await page.locator("#confirm").waitFor({ timeout: 20_000 });
    assert.match(await page.locator("#confirm-text").textContent(), /^1 picture /);
    assert.match(await page.locator("#confirm-text").textContent(), /past their time/);
    await page.locator(`#confirm button[value=${answer}]`).click();
  };
  await cleanUp("no");
  await until("it says that nothing went", async () => /Nothing was deleted/.test(await report()));
  assert.equal((await names()).length, 2);
  await cleanUp("yes");
  await until("it says what went", async () => /^Deleted: /.test(await report()), 20_000);
  assert.deepEqual(await names(), [young]);
  await page.locator("#clean-up").click();
  await until("nothing more is to go", async () => /nothing to delete/.test(await report()), 20_000);
});

test("S4.9: the password is changed by whoever knows it, and the old one opens nothing more", async (t) => {
  const box = await daemon(t);
  const page = await box.open(t, { expected: /status of (401|403)/ });
  await page.locator("#open-settings").click();
  const form = page.locator("#change-password");
  const change = async (current, fresh) => {
    for (const [name, value] of [["current", current], ["new", fresh], ["again", fresh]]) await form.locator(`[name=${name}]`).fill(value);
    await form.locator("button[type=submit]").click();
  };
  const logIn = async (password) => (await fetch(`${box.url}/api/login`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ password }),
  })).status;
  const fresh = "a fresh pair of gates";
  await change("not the password", fresh);
  await until("it is refused", async () => (await form.locator("[role=status]").getAttribute("class")).includes("bad"), 20_000);
  assert.equal(await logIn(fresh), 401);
  await change(PASSWORD, fresh);
  await until("it is changed", async () => /password is changed/.test(await form.locator("[role=status]").textContent()), 20_000);
  assert.equal(await logIn(fresh), 200);
  assert.equal(await logIn(PASSWORD), 401);
});

// The first system's page: a button, fetch('/trigger'), fetch('/last_image') and an <img>, and nothing is loaded anew. It was
// served by the receiver and knew no log-in. Where none is asked for it works as it is; elsewhere a session alone makes the
// box do nothing for a page that does not show its token, and neither does any page from a file.
const PAGE = `<!doctype html><title>ESP32-CAM</title><button id="take">Take Picture</button><img id="last" alt=""><script>
const API_BASE = location.protocol === "file:" ? decodeURIComponent(location.hash.slice(1)) : "";
window.said = [];
take.onclick = async () => {
  try {
    const { success } = await (await fetch(API_BASE + "/trigger", { method: "POST" })).json();
    if (!success) return window.said.push("refused");
    const { url } = await (await fetch(API_BASE + "/last_image")).json();
    last.src = API_BASE + url;
    window.said.push(url);
  } catch (error) {
    window.said.push("nothing");
  }
};
</script>`;

/** The old page at the box's own address, as a proxy in front of both would serve it. */
async function served(t, box) {
  const context = await box.browser(t);
  await context.route(`${box.url}/old-page`, (route) => route.fulfill({ contentType: "text/html", body: PAGE }));
  const page = await context.newPage();
  await page.goto(`${box.url}/old-page`);
  return page;
}

/** Presses the old button; what the page's script made of it. */
async function take(page) {
  const said = () => page.evaluate(() => window.said);
  const before = (await said()).length;
  await page.locator("#take").click();
  await until("the page has an answer", async () => (await said()).length > before, 20_000);
  return (await said()).at(-1);
}

test("S0.3: the old page's own script takes a picture and shows it, and does nothing from a file", async (t) => {
  const box = await daemon(t, { password: null, env: { WEB_AUTH_ENABLED: "false", CAMERA_1_SNAPSHOT_URL: (await camera(t)).url } });
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  const page = await served(t, box);
  await mark(page);
  const urls = [];
  for (const _ of [1, 2]) {
    urls.push(await take(page));
    await until("the picture is shown", () => page.locator("#last").evaluate((image) => image.complete && image.naturalWidth === 640));
    assert.equal(await page.locator("#last").evaluate((image) => new URL(image.src).pathname), urls.at(-1));
  }
  assert.ok(urls.every((url) => url.startsWith("/uploads/")) && urls[0] !== urls[1], urls.join());
  assert.ok(await isSame(page), "it was not loaded anew");

  const file = path.join(box.dir, "index.html");
  writeFileSync(file, PAGE);
  const strange = await page.context().newPage();
  await strange.goto(`${pathToFileURL(file)}#${encodeURIComponent(box.url)}`);
  assert.equal(await take(strange), "nothing");
  assert.equal((await box.api("/api/images")).images.length, 2, "no picture was taken for a page of elsewhere");
});

test("S0.3, S0.12: the old page's script takes no picture for somebody who is logged in, for it cannot say that they want it", async (t) => {
  const box = await twoCameras(t);
  assert.equal(await take(await served(t, box)), "refused");
  assert.equal((await box.api("/api/images")).images.length, 0);
});
