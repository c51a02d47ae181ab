// What went wrong is in the first view until a person has seen it, and nothing looks well meanwhile.

import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { camera, closeBrowser, daemon, DESKTOP, greenMarks, isInView, nobody, PHONE, receiver, until, WALL } from "./harness.mjs";

// Its camera is away while the other tests run, because that takes a minute.
const early = { after: (act) => early.acts.push(act), acts: [] };
let eye = null;
let far = null;
before(async () => {
  eye = await camera(early);
  eye.works = false;
  far = await daemon(early, { env: { CAMERA_1_SNAPSHOT_URL: eye.url } });
});
after(async () => {
  for (const act of early.acts) await act();
  await closeBrowser();
});

const viewports = { phone: PHONE, desktop: DESKTOP, wall: WALL };

test("a failed trigger is in the first view and in the title until somebody has seen it", async (t) => {
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, CAMERA_2_SNAPSHOT_URL: await nobody(), GPIO_CAMERA_2_PIN: "19" } });
  const pages = {};
  for (const [name, viewport] of Object.entries(viewports)) {
    pages[name] = await box.open(t, { viewport });
    await pages[name].locator("#verdict").waitFor();
    assert.ok(await pages[name].locator("#failures").isHidden(), "nothing has failed yet");
  }
  await box.pulse("r2");
  await until("the ledger has the failure", async () => (await box.api("/api/events?outcome=failed")).events.length === 1);
  const known = Date.now();
  for (const [name, page] of Object.entries(pages)) {
    await until(`the ${name} shows it without scrolling`, () => isInView(page, "#failures"));
    t.diagnostic(`${name}: shown within ${Date.now() - known} ms of its row`);
    const text = await page.locator("#failures").textContent();
    assert.match(text, /Exit: no picture of/);
    assert.match(text, /[Nn]othing listens|cannot be reached|refused/, "with its reason");
    assert.match(await page.title(), /^\(1\) /);
    assert.match(await page.locator("#verdict").textContent(), /One trigger has no picture/);
  }
  await pages.phone.clean("a failed trigger");
  // Neither a good picture nor loading the page again removes it.
  await box.api("/api/capture/r1", "POST");
  await pages.desktop.reload();
  await until("it is still there", () => isInView(pages.desktop, "#failures"));
  assert.equal((await box.api("/api/status")).failures.unseen, 1);

  await pages.phone.locator("#seen").click();
  for (const [name, page] of Object.entries(pages)) {
    await until(`it is gone from the ${name}, which is another browser`, () => page.locator("#failures").isHidden());
    assert.doesNotMatch(await page.title(), /^\(/);
  }
  assert.equal((await box.api("/api/status")).failures.unseen, 0);
});

for (const [status, what] of [[401, "refuses us"], [503, "is out of order"]]) {
  test(`a target that ${what} (${status}) is never online`, async (t) => {
    const far = await receiver(t, status);
    const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url } });
    const page = await box.open(t);
    const strip = page.locator("#strip");
    await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
    await box.api("/api/capture/r1", "POST");
    await until("the API says so", async () => (await box.api("/api/status")).online === false);
    await until("the page says so", async () => /HTTP API takes no pictures/.test(await strip.textContent()));
    assert.match(await page.locator("#verdict").textContent(), /HTTP API takes no pictures/);
    // The port answers all the time, and is asked each second.
    for (let look = 0; look < 30; look += 1) {
      const { online, targets } = await box.api("/api/status");
      assert.deepEqual([online, targets[0].online, targets[0].reachable], [false, false, true]);
      const green = (await greenMarks(page)).filter((words) => /online|all well/i.test(words));
      assert.deepEqual(green, [], "nothing green says that it is online");
      assert.doesNotMatch(await strip.textContent(), /Online/);
      await page.waitForTimeout(100);
    }
    await page.clean(`a target that answers ${status}`);
    far.status = 200;
    await until("it is online again, and all is well", async () => /All well/.test(await page.locator("#verdict").textContent()) && /Online/.test(await strip.textContent()), 40_000);
  });
}

test("a refused picture is an alarm with a next step, and its target is not in green", async (t) => {
  const far = await receiver(t, 422);
  const box = await daemon(t, { env: { CAMERA_1_SNAPSHOT_URL: (await camera(t)).url, S3_API_URL: far.url } });
  const page = await box.open(t);
  await until("the camera is there", async () => (await box.api("/api/status")).cameras[0].state === "connected");
  await box.api("/api/capture/r1", "POST");
  await until("the alarm is shown", async () => /refused by the HTTP API and put aside/.test(await page.locator("#alarms").textContent()), 30_000);
  const [alarm] = (await box.api("/api/status")).alarms;
  assert.deepEqual([alarm.code, alarm.severity, alarm.args.target, alarm.args.count], ["pictures_refused", "warning", "api", 1]);
  await until("the strip says so", async () => /1 failed permanently/.test(await page.locator("#strip").textContent()));
  assert.doesNotMatch(await page.locator("#strip").textContent(), /Online/);
  await page.locator("#alarms a").click();
  assert.ok(await isInView(page, "#delivery-title"), "the next step leads to its cause");
  await page.clean("a refused picture");
});

test("a camera that is away for a minute is an alarm with its reason and a next step", async (t) => {
  const box = far;
  const page = await box.open(t);
  const { took } = await until("the alarm is there", async () => (await box.api("/api/status")).alarms[0], 75_000);
  const [alarm] = (await box.api("/api/status")).alarms;
  assert.deepEqual([alarm.code, alarm.severity, alarm.args.camera], ["camera_away", "critical", "r1"]);
  assert.ok(alarm.args.reason.length > 10 && alarm.action.text && Date.parse(alarm.since) > 0, JSON.stringify(alarm));
  await until("it is shown", async () => /Entry gives no pictures/.test(await page.locator("#alarms").textContent()));
  assert.match(await page.locator("#verdict").textContent(), /Entry gives no pictures/);
  t.diagnostic(`after ${Math.round(took / 1000)} s more: ${alarm.message}`);
  await page.clean("a camera that is away");
  await page.locator("#alarms a").click();
  assert.ok(await isInView(page, "#camera-r1 h3"), "the next step leads to its cause");
  eye.works = true;
  await until("it ends by itself", async () => /All well/.test(await page.locator("#verdict").textContent()), 60_000);
});
