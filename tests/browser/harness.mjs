// What every browser test stands on: the real program, a camera and a receiver with faults on demand, and Debian's
// Chromium. Everything is on loopback and in a temporary directory, and ends with the test that began it.
//
//   const box = await daemon(t, { env: { … } });      // the program, with simulated contacts
//   const page = await box.open(t);                   // its dashboard in a browser of its own, logged in
//   await page.clean();                               // axe, light and dark
//
// A page fails its test at the end if it wrote an error to the console or asked another origin for anything.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { createRequire } from "node:module";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "../..");
const target = process.env.CARGO_TARGET_DIR ?? path.join(root, "target");
// Installed by scripts/test outside of the tree.
const require = createRequire(path.join(target, "browser", "package.json"));
const { chromium } = require("playwright-core");
const axe = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

const BINARY = process.env.CAMERA_CAPTURE_BIN ?? path.join(target, "debug", "camera-capture");
const CHROMIUM = process.env.CHROMIUM ?? ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

export const PASSWORD = "correct horse battery staple";
const PASSWORD_HASH =
  "$argon2id$v=19$m=19456,t=2,p=1$3jeS2ATfKUBrEN5/BZ1btw$ASVgPI7IUaw5zchjilUbztSvcgzt9lWq3jyZl9nF9dw";

export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1440, height: 900 };
export const WALL = { width: 3840, height: 2160 };

/** Waits until `look` gives something true; says `what` if it never does. Returns it and how long that took. */
export async function until(what, look, limit = 15_000) {
  const began = Date.now();
  let seen;
  for (;;) {
    try {
      seen = await look();
      if (seen) return { seen, took: Date.now() - began };
    } catch (error) {
      seen = error;
    }
    if (Date.now() - began > limit) assert.fail(`${what}: not within ${limit} ms, last seen ${seen}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}

/** Half of the values are smaller. */
export const percentile = (values, share) => [...values].sort((a, b) => a - b)[Math.ceil(values.length * share) - 1];

const toDo = new WeakMap();

/** Runs at the end of the test; what was begun last ends first. */
function cleanUp(t, act) {
  if (!toDo.has(t)) {
    toDo.set(t, []);
    t.after(async () => {
      for (const one of toDo.get(t).reverse()) await one();
    });
  }
  toDo.get(t).push(act);
}

let browser = null;
let profile = null;

/** The one browser of a test file; each page has a context, which is like a browser of its own. */
async function theBrowser() {
  if (browser) return browser;
  assert.ok(CHROMIUM, "Chromium is not installed");
  profile = mkdtempSync(path.join(os.tmpdir(), "camera-capture-browser-"));
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    env: { ...process.env, HOME: profile, XDG_CONFIG_HOME: profile, XDG_CACHE_HOME: profile },
    args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
      "--disable-component-update", "--disable-sync"],
  });
  return browser;
}

/** Call it in `after()` of every test file. */
export async function closeBrowser() {
  await browser?.close();
  if (profile) rmSync(profile, { recursive: true, force: true });
  browser = null;
}

/** A server on loopback that answers with what `answer(request)` returns: `{ status, headers, body }`. */
async function server(t, answer) {
  const listener = http.createServer((request, response) => {
    const chunks = [];
    request.on("data", (chunk) => chunks.push(chunk));
    request.on("end", () => {
      const { status = 200, headers = {}, body = "" } = answer(request, Buffer.concat(chunks));
      response.writeHead(status, headers).end(body);
    });
  });
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  cleanUp(t, () => {
    listener.closeAllConnections?.();
    listener.close();
  });
  return `http://127.0.0.1:${listener.address().port}`;
}

/** Takes pictures as the HTTP API does. `receiver.status` is what it answers; `receiver.taken` how often it said yes. */
export async function receiver(t, status = 200) {
  const it = { status, taken: 0 };
  it.url = `${await server(t, () => {
    if (it.status < 300) it.taken += 1;
    return { status: it.status, headers: { "Content-Type": "application/json" }, body: "{}" };
  })}/upload`;
  return it;
}

/** A camera of single pictures; no two of them have the same bytes. `camera.works = false` makes it fail. */
export async function camera(t) {
  const page = await (await theBrowser()).newPage();
  const picture = Buffer.from(await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 640, height: 360 });
    const pen = canvas.getContext("2d");
    for (let x = 0; x < 640; x += 20) {
      pen.fillStyle = `hsl(${x / 2} 60% ${30 + (x % 100) / 2}%)`;
      pen.fillRect(x, 0, 20, 360);
    }
    return canvas.toDataURL("image/jpeg", 0.9).split(",")[1];
  }), "base64");
  await page.close();
  const it = { works: true, asked: 0 };
  it.url = `${await server(t, () => {
    if (!it.works) return { status: 500 };
    it.asked += 1;
    const number = Buffer.from(String(it.asked).padStart(12, "0"));
    const comment = Buffer.concat([Buffer.from([0xff, 0xfe, 0, number.length + 2]), number]);
    return { headers: { "Content-Type": "image/jpeg" }, body: Buffer.concat([picture.subarray(0, 2), comment, picture.subarray(2)]) };
  })}/picture.jpg`;
  return it;
}

/** An address at which nothing listens. */
export async function nobody() {
  const listener = http.createServer();
  await new Promise((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address();
  await new Promise((resolve) => listener.close(resolve));
  return `http://127.0.0.1:${port}/picture.jpg`;
}

/** The program. `password: null` leaves the dashboard without one, as after the installation; `demo` runs the demonstration. */
export async function daemon(t, { env = {}, password = PASSWORD, demo = false } = {}) {
  const box = new Box(env, password, demo);
  cleanUp(t, () => box.end());
  await box.start();
  return box;
}

class Box {
  constructor(env, password, demo) {
    this.dir = mkdtempSync(path.join(os.tmpdir(), "camera-capture-box-"));
    this.password = demo ? null : password;
    this.args = demo ? ["--demo", "--demo-dir", this.dir] : ["--env-file", path.join(this.dir, "box.env")];
    this.env = demo ? { BIND_PORT: "0", ...env } : {
      IMAGE_STORAGE_PATH: path.join(this.dir, "images"), BIND_IP: "127.0.0.1", BIND_PORT: "0", GPIO_ENABLED: "true", GPIO_BACKEND: "sim",
      CONNECTIVITY_CHECK_INTERVAL: "1", OFFLINE_RETRY_INTERVAL: "2", ...(password ? { WEB_PASSWORD_HASH: PASSWORD_HASH } : {}), ...env,
    };
    if (!demo) writeFileSync(path.join(this.dir, "box.env"), Object.entries(this.env).map(([name, value]) => `${name}='${value}'\n`).join(""), { mode: 0o600 });
    this.isDemo = demo;
    this.log = "";
  }

  /** Starts it, or starts it again at the same address. */
  async start() {
    const port = this.url ? { BIND_PORT: new URL(this.url).port } : {};
    const own = { PATH: process.env.PATH, ...(this.isDemo ? this.env : {}), ...port };
    const child = spawn(BINARY, this.args, { cwd: this.dir, env: own, stdio: ["ignore", "pipe", "pipe"] });
    this.child = child;
    let said = "";
    child.stdout.on("data", (chunk) => said += chunk);
    child.stderr.on("data", (chunk) => this.log += chunk);
    this.gone = new Promise((resolve) => child.on("exit", resolve));
    const { seen } = await until("the program says where its dashboard is", () => {
      assert.equal(child.exitCode, null, `it ended: ${this.log}`);
      return /dashboard: (http\S+?)\/?\s/.exec(said);
    }, 60_000);
    this.url = seen[1];
    if (this.password) await this.logIn();
  }

  /** A session for `api` and for every page that is opened. */
  async logIn() {
    const answer = await fetch(`${this.url}/api/login`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ password: this.password }),
    });
    assert.equal(answer.status, 200, `log-in: ${await answer.clone().text()}`);
    const [name, value] = answer.headers.get("set-cookie").split(";")[0].split("=");
    this.cookie = { name, value, url: this.url };
    this.csrf = (await answer.json()).csrf_token;
  }

  /** One request to the API; the answer's JSON. */
  async api(address, method = "GET", body) {
    const headers = { "Content-Type": "application/json", Origin: this.url, "Sec-Fetch-Site": "same-origin" };
    if (this.cookie) headers.Cookie = `${this.cookie.name}=${this.cookie.value}`;
    if (this.csrf) headers["X-CSRF-Token"] = this.csrf;
    const answer = await fetch(`${this.url}${address}`, { method, headers, body: body && JSON.stringify(body) });
    const json = await answer.json().catch(() => null);
    assert.ok(answer.ok, `${method} ${address}: ${answer.status} ${JSON.stringify(json)}`);
    return json;
  }

  /** Closes the contact of a camera, and opens it again. */
  pulse(key = "r1", ms = 50) {
    return this.api(`/api/gpio/sim/${key}`, "POST", { pulse_ms: ms });
  }

  signal(name) {
    this.child.kill(name);
    return name === "SIGKILL" ? this.gone : null;
  }

  async end() {
    this.child?.kill("SIGCONT");
    this.child?.kill("SIGKILL");
    await this.gone;
    rmSync(this.dir, { recursive: true, force: true });
  }

  /** A browser of its own, logged in unless `loggedIn` is false. */
  async browser(t, { loggedIn = true, ...options } = {}) {
    const context = await (await theBrowser()).newContext({ viewport: DESKTOP, reducedMotion: "reduce", ...options });
    if (loggedIn && this.cookie) await context.addCookies([this.cookie]);
    cleanUp(t, () => context.close());
    return context;
  }

  /** The dashboard in a browser of its own. `expected` is a pattern of console errors that belong to the test. */
  async open(t, { path: address = "/", expected = null, ...options } = {}) {
    return this.tab(t, await this.browser(t, options), { address, expected });
  }

  /** One more tab of a browser. */
  async tab(t, context, { address = "/", expected = null } = {}) {
    const page = await context.newPage();
    const wrong = [];
    page.on("console", (message) => {
      if (message.type() === "error" && !expected?.test(message.text())) wrong.push(`console: ${message.text()}`);
    });
    page.on("pageerror", (error) => wrong.push(`script: ${error}`));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(this.url) && !/^(data|blob|about):/.test(url)) wrong.push(`another origin: ${url}`);
    });
    page.wrong = wrong;
    page.clean = (what) => isClean(page, what);
    cleanUp(t, () => assert.deepEqual(wrong, [], "errors of the page"));
    await page.goto(`${this.url}${address}`, { waitUntil: "domcontentloaded" });
    return page;
  }
}

/** No violation of any impact, in light and dark. */
async function isClean(page, what) {
  for (const colorScheme of ["light", "dark"]) {
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    await page.evaluate(axe);
    const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
    const found = violations.map(({ id, impact, nodes }) => `${id} (${impact}): ${nodes.map((node) => node.html.slice(0, 120)).join(" | ")}`);
    assert.deepEqual(found, [], `axe, ${what}, ${colorScheme}`);
  }
}

/** Whether an element can be seen without scrolling. */
export const isInView = (page, selector) => page.locator(selector).first().evaluate((element) => {
  const box = element.getBoundingClientRect();
  return box.width > 0 && box.height > 0 && box.top >= 0 && box.left >= 0 && box.bottom <= innerHeight && box.right <= innerWidth;
});

/** The words of every visible element whose text or ground is green. */
export const greenMarks = (page) => page.evaluate(() => {
  const isGreen = (colour) => {
    const [red, green, blue, alpha = 1] = (colour.match(/[\d.]+/g) ?? []).map(Number);
    return alpha > 0 && green > red * 1.25 && green > blue * 1.25;
  };
  const isGrey = (element) => element.closest("main") && getComputedStyle(element.closest("main")).filter.includes("grayscale");
  return [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility({ checkVisibilityCSS: true }) && !isGrey(element)
    && [getComputedStyle(element).color, getComputedStyle(element).backgroundColor].some(isGreen)).map((element) => element.textContent.trim().slice(0, 60));
});
