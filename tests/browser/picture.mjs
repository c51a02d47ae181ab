// Takes docs/images/dashboard.png: the dashboard of the demonstration after some contacts were closed. No test;
//
//   scripts/test                            # or cargo build, and npm ci as scripts/lib.sh does it
//   node tests/browser/picture.mjs

import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
const require = createRequire(path.join(target, "browser", "package.json"));
const { chromium } = require("playwright-core");
const binary = process.env.CAMERA_CAPTURE_BIN ?? path.join(target, "debug", "camera-capture");
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);
const to = process.argv[2] ?? path.join(root, "docs/images/dashboard.png");
const BYTES_MAX = 150_000;
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Waits until `look` gives something true, at most two minutes. */
async function until(what, look) {
  for (const end = Date.now() + 120_000; Date.now() < end; await pause(250)) {
    const seen = await look().catch(() => false);
    if (seen) return seen;
  }
  throw new Error(`${what}: not within two minutes`);
}

const profile = mkdtempSync(path.join(os.tmpdir(), "camera-capture-picture-"));
const demo = spawn(binary, ["--demo"], { env: { ...process.env, BIND_PORT: "0" }, stdio: ["ignore", "pipe", "ignore"] });
let browser;
try {
  let address;
  for await (const line of createInterface({ input: demo.stdout })) {
    address = /^dashboard: (http:\S+)\/$/.exec(line)?.[1];
    if (address) break;
  }
  demo.stdout.resume();
  const get = async (what) => (await fetch(`${address}${what}`)).json();
  await until("cameras", async () => (await get("/api/status")).cameras.every((camera) => camera.state === "connected"));
  for (const camera of ["r1", "r2", "r1", "r3", "r2", "r1"]) {
    await fetch(`${address}/api/gpio/sim/${camera}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: '{"pulse_ms":200}',
    });
    await pause(3000);
  }
  await until("deliveries", async () => {
    const { images } = await get("/api/images?limit=10");
    return images.length >= 6 && images.every((image) => image.uploads.every((upload) => upload.state === "delivered"));
  });
  browser = await chromium.launch({
    executablePath,
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"],
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 960 }, colorScheme: "light" });
  await page.goto(`${address}/`);
  await until("pictures", () => page.evaluate(() => {
    const seen = [...document.images].filter((image) => image.getBoundingClientRect().top < innerHeight && image.offsetParent);
    return seen.length >= 3 && seen.every((image) => image.complete && image.naturalWidth > 0);
  }));
  await pause(2000);
  const whole = path.join(profile, "whole.png");
  await page.screenshot({ path: whole });
  // 256 colours are enough for it and make it a third as large.
  execFileSync("ffmpeg", ["-loglevel", "error", "-y", "-i", whole, "-filter_complex",
    "split[a][b];[a]palettegen=stats_mode=full[p];[b][p]paletteuse=dither=none", "-frames:v", "1", "-update", "1",
    "-pred", "none", to]);
  const { size } = statSync(to);
  console.log(`${to}: ${size} bytes`);
  if (size > BYTES_MAX) throw new Error(`more than ${BYTES_MAX} bytes`);
} finally {
  await browser?.close();
  demo.kill("SIGTERM");
  rmSync(profile, { recursive: true, force: true });
}
