// The lamp of a contact shows what the API says, in both directions, for both polarities.

import assert from "node:assert/strict";
import { after, test } from "node:test";

import { closeBrowser, daemon, nobody, percentile, until } from "./harness.mjs";

const EDGES = Number(process.env.LAMP_EDGES ?? 200);
/** Between the API's word and the lamp's. */
const LIMIT_MS = 100;

after(closeBrowser);

for (const polarity of ["low", "high"]) {
  test(`the lamp follows the contact in both directions, GPIO_ACTIVE=${polarity}`, async (t) => {
    const box = await daemon(t, {
      env: { CAMERA_1_SNAPSHOT_URL: await nobody(), GPIO_CAMERA_1_PIN: "18", GPIO_ACTIVE: polarity, GPIO_TRIGGER_ENABLED: "false", GPIO_BOUNCE_TIME: "10" },
    });
    const page = await box.open(t);
    const lamp = page.locator(".camera .lamp").first();
    await until("the contact is watched", async () => (await box.api("/api/gpio/status")).lines[0]?.level);
    const open = polarity === "low" ? "high" : "low";
    await box.api("/api/gpio/sim/r1", "POST", { level: open });
    await until("the lamp says open", async () => (await lamp.textContent()) === "Contact: Open");
    // When each word of the lamp came, by the clock that this test has, too.
    await lamp.evaluate((element) => {
      window.lamp = [];
      new MutationObserver(() => {
        const text = element.textContent;
        if (text.startsWith("Contact: ") && window.lamp.at(-1)?.text !== text) window.lamp.push({ text, at: Date.now() });
      }).observe(element, { childList: true, characterData: true, subtree: true });
    });
    const behind = [];
    for (let edge = 0; edge < EDGES; edge += 1) {
      const isClosing = edge % 2 === 0;
      const word = `Contact: ${isClosing ? "Closed" : "Open"}`;
      await box.api("/api/gpio/sim/r1", "POST", { level: isClosing ? polarity : open });
      await until("the API knows the edge", async () => (await box.api("/api/gpio/status")).lines[0].active === isClosing);
      const known = Date.now();
      const { seen } = await until(`the lamp shows edge ${edge}: ${word}`, () => page.evaluate(() => window.lamp.at(-1)).then((last) => last?.text === word && last));
      behind.push(Math.max(0, seen.at - known));
    }
    const figures = [0.5, 0.99].map((share) => percentile(behind, share));
    t.diagnostic(`lamp behind the API over ${EDGES} edges: median ${figures[0]} ms, p99 ${figures[1]} ms, worst ${Math.max(...behind)} ms`);
    assert.ok(figures[0] < LIMIT_MS / 2 && figures[1] < LIMIT_MS, `${figures}`);
  });
}
