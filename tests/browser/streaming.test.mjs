// A page that is opened from a file, as the test page of the ESP32 streaming server was: it knows the server's address and a
// token of another program, sets a camera up, and shows its picture as an <img> and over a WebSocket.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";

import { camera, closeBrowser, daemon, until } from "./harness.mjs";

const SECRET = "0123456789abcdef0123456789abcdef";

/** A token as Python signs it. */
const SIGN = `
import base64, hashlib, hmac, json, sys, time
part = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=")
claims = {"sub": "page", "exp": int(time.time()) + 600, "scope": "read operate"}
signed = part(b'{"alg":"HS256","typ":"JWT"}') + b"." + part(json.dumps(claims).encode())
print((signed + b"." + part(hmac.new(sys.argv[1].encode(), signed, hashlib.sha256).digest())).decode())
`;

const PAGE = `<!doctype html><title>streaming test</title><img id="stream"><img id="socket"><script>
const [API_BASE, TOKEN, PORT] = JSON.parse(decodeURIComponent(location.hash.slice(1)));
const headers = { Authorization: "Bearer " + TOKEN, "Content-Type": "application/json" };
window.said = { frames: 0 };
(async () => {
  const body = JSON.stringify({ ip_address: "127.0.0.1", port: PORT });
  said.setUp = await (await fetch(API_BASE + "/streaming/setup-camera", { method: "POST", headers, body })).json();
  said.standing = await (await fetch(API_BASE + "/streaming/camera-status", { headers })).json();
  said.snapshot = (await (await fetch(API_BASE + "/streaming/snapshot", { headers })).blob()).type;
  const links = await (await fetch(API_BASE + "/streaming/links", { headers })).json();
  stream.src = API_BASE + links.stream_url;
  const ws = new WebSocket(API_BASE.replace("http", "ws") + links.websocket_url);
  ws.onmessage = (event) => {
    if (event.data.startsWith("data:image/jpeg;base64,")) { socket.src = event.data; said.frames += 1; }
  };
})().catch((error) => said.error = String(error));
</script>`;

after(closeBrowser);

/** Opens the page from a file in a browser that nobody has logged in with. */
async function open(t, box, port) {
  const token = execFileSync("python3", ["-c", SIGN, SECRET], { encoding: "utf8" }).trim();
  const file = path.join(box.dir, "streaming_test.html");
  writeFileSync(file, PAGE);
  const page = await (await box.browser(t, { loggedIn: false })).newPage();
  await page.goto(`${pathToFileURL(file)}#${encodeURIComponent(JSON.stringify([box.url, token, port]))}`);
  return page;
}

const SLOT = { CAMERA_4_STREAMING: "true", CAMERA_4_NAME: "stream", STREAM_ALLOW: "127.0.0.0/8", JWT_SECRET: SECRET };

// S2.8, S2.9, S2.12, S2.13
test("a page from a file that is listed as null sets a camera up and shows its picture both ways", async (t) => {
  const it = await camera(t);
  const box = await daemon(t, { env: { ...SLOT, STREAM_CORS_ORIGINS: "null" } });
  const port = Number(new URL(it.url).port);
  const page = await open(t, box, port);
  const said = () => page.evaluate(() => window.said);
  await until("the WebSocket has brought pictures", async () => {
    const { error, frames } = await said();
    assert.equal(error, undefined);
    return frames >= 3;
  });
  const { setUp, standing, snapshot } = await said();
  assert.equal(setUp.camera_url, `http://127.0.0.1:${port}`);
  assert.equal(standing.is_connected, true);
  assert.equal(snapshot, "image/jpeg");
  for (const id of ["stream", "socket"]) {
    await until(`the picture of ${id} is shown`, () => page.locator(`#${id}`).evaluate((image) => image.naturalWidth === 640));
  }
});

// S2.13
test("a page from a file that is not listed is told nothing", async (t) => {
  const it = await camera(t);
  const box = await daemon(t, { env: { ...SLOT, STREAM_CORS_ORIGINS: "https://app.example" } });
  const page = await open(t, box, Number(new URL(it.url).port));
  await until("the page's question fails", () => page.evaluate(() => window.said.error));
  assert.equal((await box.api("/streaming/camera-status")).is_connected, false);
});
