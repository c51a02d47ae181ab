// Number plates: read by a server, shown with a part of the picture, looked for, corrected, watched for.

import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { after, test } from "node:test";

import { camera, closeBrowser, daemon, DESKTOP, PHONE, until } from "./harness.mjs";

after(closeBrowser);

const TOKEN = "0123456789abcdef-door";
const SECRET = "fedcba9876543210-plates";

const SHOTS = process.env.SHOTS;
async function shots(page, name, place) {
  if (!SHOTS) return;
  mkdirSync(SHOTS, { recursive: true });
  for (const [look, viewport, colorScheme] of [["desktop", DESKTOP, "light"], ["phone", PHONE, "light"], ["dark", DESKTOP, "dark"]]) {
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    await page.locator(place).scrollIntoViewIfNeeded();
    await page.screenshot({ path: `${SHOTS}/${name}-${look}.png` });
  }
  await page.setViewportSize(DESKTOP);
}

/** A server of Plate Recognizer's shape; it reads whatever the next of `answers` says. */
async function plateReader(t, answers) {
  const server = createServer((request, response) => {
    const parts = [];
    request.on("data", (part) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString("latin1");
      const isRight = request.headers.authorization === `Token ${SECRET}` && body.includes('name="upload"; filename="');
      response.writeHead(isRight ? 201 : 403, { "Content-Type": "application/json" });
      response.end(JSON.stringify(isRight ? { results: answers.shift() ?? [] } : { detail: "Invalid token." }));
    });
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => server.close());
  return `http://127.0.0.1:${server.address().port}/v1/plate-reader/`;
}

test("a plate that was read is in the list and beside its picture, is found though misread, and is corrected", async (t) => {
  const box = { xmin: 60, ymin: 60, xmax: 160, ymax: 90 };
  const url = await plateReader(t, [
    [{ plate: "ab12cd", score: 0.93, box }], [{ plate: "a8l2cd", score: 0.41, box }], [{ plate: "xy99zz", score: 0.9, box }],
  ]);
  const pictures = await camera(t);
  const box2 = await daemon(t, {
    env: {
      INGEST_1_NAME: "door", INGEST_1_TOKEN: TOKEN, ANALYSE_URL: url, ANALYSE_TOKEN: SECRET, ANALYSE_WATCH: "XY99ZZ",
      ANALYSE_PER_MONTH: "3",
    },
  });
  const headers = { Authorization: `Bearer ${TOKEN}` };
  const page = await box2.open(t);
  await page.locator("#plates").waitFor({ timeout: 20_000 });
  const chips = async () => (await page.locator(".tile-plate:visible").allTextContents()).join();
  const said = [];
  for (const text of ["ab12cd", "a8l2cd ?", "xy99zz"]) {
    const body = await (await fetch(pictures.url)).arrayBuffer();
    assert.equal((await fetch(`${box2.url}/upload`, { method: "POST", headers, body })).status, 200);
    said.unshift(text);
    await until(`${text} is in the list`, async () => (await chips()) === said.join());
  }
  const card = () => page.locator("#plates").innerText();
  await until("the card says that the limit is reached", async () => /Limit reached/.test(await card()));
  assert.match(await card(), /3 of 3 this month/);
  assert.match(await card(), /1 reading to be confirmed/);
  assert.ok(!(await page.content()).includes(SECRET), "no token is on the page");

  const alarms = () => page.locator("#alarms").innerText();
  await until("what is watched for is said", async () => /XY99ZZ, which is watched for, was read/.test(await alarms()));
  await shots(page, "plates-watched", "#alarms");
  await page.locator("#plates-seen").click();
  await until("until it was seen", async () => !/watched for/.test(await alarms()) && !/Mark as seen/.test(await card()));

  await page.locator("input[name=text]").first().fill("AB12CD");
  await page.keyboard.press("Enter");
  // Two look-alikes at once: near all the same.
  await until("it is found, and the misread one is marked", async () => (await chips()) === "≈ a8l2cd ?,ab12cd");
  await page.clean("plates");
  await shots(page, "plates", "#plates");

  await page.locator("#plates-todo button").first().click();
  await page.locator("#picture-plates .plate").waitFor();
  const crop = page.locator(".plate-crop");
  await until("the plate is cut out of the picture", async () => {
    const { width, height } = await crop.boundingBox() ?? {};
    return width > 60 && height > 40 && height < 80;
  });
  await shots(page, "plates-picture", "#picture-plates");
  const input = page.locator("#picture-plates input");
  await input.fill("AB 12 CD");
  assert.equal(await page.locator(".confirm").innerText(), "Correct");
  await page.locator(".confirm").click();
  const hint = () => page.locator("#picture-plates .plate .hint").innerText();
  await until("both are kept", async () => /Read as a8l2cd, score 41 %\. AB 12 CD, said a person at/.test(await hint()));
  await page.keyboard.press("Escape");
  await until("nothing is to be confirmed any more", async () => !/confirmed/.test(await card()));
});
