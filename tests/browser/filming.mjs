// A camera that films a page: what Chromium shows goes through ffmpeg as a telephone held before a camera would be seen
// (small, turned, blurred, noisy), and out by RTSP, each picture a known time after the time that its own code shows.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import dgram from "node:dgram";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";

import { until } from "./harness.mjs";

/** So long apart are pictures at least; a busy machine takes them more rarely. */
const PAUSE_MS = 80;
const ROUND_MS = 51_200;

/** A camera that sends what it films `delay` ms after the time that is shown. `film(page, box)` begins. */
export async function filmCamera(t, delay) {
  const dir = mkdtempSync(path.join(os.tmpdir(), "camera-capture-film-"));
  const it = { sent: 0, late: 0, unread: 0, viewers: new Set() };
  const server = net.createServer((socket) => converse(it, dir, socket));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const packets = dgram.createSocket("udp4");
  await new Promise((resolve) => packets.bind(0, "127.0.0.1", resolve));
  it.url = `rtsp://127.0.0.1:${server.address().port}/page`;
  let ffmpeg = null;
  t.after(() => {
    ffmpeg?.kill("SIGKILL");
    it.viewers.forEach((viewer) => viewer.socket.destroy());
    server.close();
    packets.close();
    rmSync(dir, { recursive: true, force: true });
  });

  it.film = async (page, box) => {
    const { width, height } = page.viewportSize();
    const canvas = await page.locator("#code").boundingBox();
    const clock = await boxClock(t, box);
    const seen = "scale=-2:320,rotate=8*PI/180:ow=rotw(8*PI/180):oh=roth(8*PI/180):c=gray,pad=640:360:(ow-iw)/2:(oh-ih)/2:gray,gblur=sigma=0.7,noise=alls=6:allf=t,format=yuv420p";
    ffmpeg = spawn("ffmpeg", ["-loglevel", "error", "-probesize", "32", "-analyzeduration", "0", "-f", "mjpeg", "-threads", "1", "-i", "pipe:0",
      "-filter_complex", `[0:v]split[a][b];[a]${seen}[film];[b]scale=${width}:${height},format=gray[screen]`,
      "-map", "[film]", "-fps_mode", "passthrough", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "1", "-crf", "28", "-flags", "+global_header",
      "-flush_packets", "1", "-sdp_file", path.join(dir, "sdp"), "-f", "rtp", `rtp://127.0.0.1:${packets.address().port}?pkt_size=16000`,
      "-map", "[screen]", "-fps_mode", "passthrough", "-f", "rawvideo", "pipe:1"], { stdio: ["pipe", "pipe", "inherit"] });
    ffmpeg.stdin.on("error", () => {});

    // The pictures as shown, and the same as coded, come in the same order.
    const [shown, coded] = [[], []];
    const pair = () => {
      while (shown.length > 0 && coded.length > 0) {
        const [code, unit] = [shown.shift(), coded.shift()];
        if (code === null) it.unread += 1;
        else {
          const now = clock();
          const age = (((now - code) % ROUND_MS) + ROUND_MS) % ROUND_MS;
          const wait = delay - age;
          // What is encoded too late is left out: it would not be behind by the delay that is promised.
          if (wait < 0) it.late += 1;
          else setTimeout(() => send(it, unit, now + wait), wait);
        }
      }
    };
    let raw = Buffer.alloc(0);
    ffmpeg.stdout.on("data", (chunk) => {
      raw = Buffer.concat([raw, chunk]);
      for (; raw.length >= width * height; raw = raw.subarray(width * height)) shown.push(codeOf(raw, width, canvas));
      pair();
    });
    let unit = [];
    packets.on("message", (packet) => {
      unit.push(packet.subarray(12));
      if (packet[1] & 0x80) {
        coded.push(unit);
        unit = [];
        pair();
      }
    });

    const session = await page.context().newCDPSession(page);
    session.on("Page.screencastFrame", ({ data, sessionId }) => {
      if (ffmpeg.exitCode === null) ffmpeg.stdin.write(Buffer.from(data, "base64"));
      setTimeout(() => session.send("Page.screencastFrameAck", { sessionId }).catch(() => {}), PAUSE_MS);
    });
    await session.send("Page.startScreencast", { format: "jpeg", quality: 90, everyNthFrame: 1 });
  };
  return it;
}

/** The box's clock, by the shortest of many round trips. Both run on the clock of one machine, so an old one is as good. */
async function boxClock(t, box) {
  let best = { took: Infinity };
  const match = async () => {
    for (let i = 0; i < 20; i += 1) {
      const began = performance.now();
      const { clock_ms: told } = await box.api("/api/latency/r1");
      const ended = performance.now();
      if (ended - began < best.took) best = { took: ended - began, offset: told - (began + ended) / 2 };
    }
  };
  await match();
  const timer = setInterval(() => match().catch(() => {}), 4000);
  t.after(() => clearInterval(timer));
  return () => performance.now() + best.offset;
}

/** The time that a picture of the screen shows in its canvas, or null: read where it stands, unlike in the program. */
function codeOf(picture, width, canvas) {
  const module = canvas.width / 12;
  const light = (column, row) => {
    const [x, y] = [Math.round(canvas.x + (column + 2.5) * module), Math.round(canvas.y + (row * 2 + 3) * module)];
    return picture[y * width + x] / 255;
  };
  const columns = [0, 1, 2, 3, 4, 5, 6, 7];
  const byte = (row) => columns.reduce((bits, column) => bits * 2 + (light(column, row) < 0.5 ? 1 : 0), 0);
  let crc = byte(1) ^ 0xa5;
  for (let i = 0; i < 8; i += 1) crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
  if (crc !== byte(2)) return null;
  let count = byte(1);
  for (const shift of [1, 2, 4]) count ^= count >> shift;
  const sum = (part) => columns.reduce((all, column) => all + light(column, 0) * part((column / 8) * 2 * Math.PI), 0);
  const fine = (Math.atan2(sum(Math.sin), sum(Math.cos)) / 2 / Math.PI) * 400;
  const middle = count * 200 + 100;
  return middle + ((((fine - middle + 200) % 400) + 400) % 400) - 200;
}

/** Sends a picture to whoever plays, stamped with when it is sent. */
function send(it, unit, at) {
  it.sent += 1;
  for (const viewer of it.viewers) {
    if (!viewer.plays) continue;
    unit.forEach((payload, index) => {
      const head = Buffer.alloc(16);
      head.write("$", 0, "latin1");
      head.writeUInt16BE(payload.length + 12, 2);
      head[4] = 0x80;
      head[5] = 96 | (index === unit.length - 1 ? 0x80 : 0);
      head.writeUInt16BE((viewer.sequence += 1) & 0xffff, 6);
      head.writeUInt32BE(Math.round(at * 90) % 2 ** 32, 8);
      head.writeUInt32BE(0x66696c6d, 12);
      viewer.socket.write(Buffer.concat([head, payload]));
    });
  }
}

/** One client of the camera (RFC 2326), as far as this program is one. */
function converse(it, dir, socket) {
  const viewer = { socket, plays: false, sequence: 0 };
  it.viewers.add(viewer);
  socket.setNoDelay(true);
  socket.on("error", () => {});
  socket.on("close", () => it.viewers.delete(viewer));
  let text = "";
  let turn = Promise.resolve();
  socket.on("data", (chunk) => {
    // What comes between requests is RTCP, which nobody reads here.
    text = `${text}${chunk.toString("latin1")}`;
    for (let end; (end = text.indexOf("\r\n\r\n")) >= 0; text = text.slice(end + 4)) {
      const request = text.slice(0, end).replace(/^[^]*?(?=(OPTIONS|DESCRIBE|SETUP|PLAY|TEARDOWN|GET_PARAMETER|SET_PARAMETER) rtsp)/, "");
      turn = turn.then(() => answer(it, dir, viewer, request)).catch(() => socket.destroy());
    }
  });
}

async function answer(it, dir, viewer, request) {
  const method = request.split(" ")[0];
  const cseq = /cseq:\s*(\d+)/i.exec(request)?.[1] ?? "0";
  let [lines, body] = [["Session: 1;timeout=60"], ""];
  if (method === "OPTIONS") lines = ["Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER"];
  if (method === "DESCRIBE") {
    const { seen } = await until("ffmpeg describes its stream", () => /a=fmtp:96 .*/.exec(readFileSync(path.join(dir, "sdp"), "utf8")), 60_000);
    body = ["v=0", "o=- 0 0 IN IP4 127.0.0.1", "s=page", "t=0 0", "m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000", seen[0].trim(), "a=control:video", ""].join("\r\n");
    lines = ["Content-Type: application/sdp", `Content-Base: ${it.url}/`, `Content-Length: ${body.length}`];
  }
  if (method === "SETUP") lines.push("Transport: RTP/AVP/TCP;unicast;interleaved=0-1;ssrc=66696C6D");
  assert.ok(!viewer.socket.destroyed);
  viewer.socket.write(`RTSP/1.0 200 OK\r\nCSeq: ${cseq}\r\n${lines.join("\r\n")}\r\n\r\n${body}`);
  viewer.plays ||= method === "PLAY";
}
