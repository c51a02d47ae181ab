// Shows the box's time in blocks for a camera to read (src/media/blockcode.rs), and says how late the box saw them.

const $ = (id) => document.getElementById(id);
const camera = new URLSearchParams(location.search).get("camera") ?? "";
const address = `/api/latency/${encodeURIComponent(camera)}`;

const WAVE_MS = 400;
const STEP_MS = WAVE_MS / 2;
const COLUMNS = 8;

/** Older round trips do not count: clocks drift. */
const KEEP_MS = 40_000;
const AGAIN_MS = 5_000;

const WORDS = {
  looking: [
    "Looking for the blocks. Hold this screen upright before the camera, nearer, until they fill a third of its " +
      "picture.",
    "info",
  ],
  unclear: [
    "The camera sees the blocks, but not clearly. Make the screen brighter, hold it still, keep reflections off.",
    "warn",
  ],
  reading: ["Reading. Hold still.", "info"],
  failed: [
    "The blocks were not read often enough. Hold the screen nearer and still, make it brighter, and measure again.",
    "bad",
  ],
};

const TOO_LATE = "More than 2000 ms cannot be made up for; look for a shorter buffer in the camera's settings.";
const LOST = "The connection to the box was lost. Measure again.";

let trips = [];
let known = null;
let delay = null;
let running = null;

function say(text, kind) {
  $("said").textContent = text;
  $("said").className = `note ${kind}`;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");

async function ask(path, options) {
  const answer = await fetch(path, options).catch(() => {
    throw new Error("The box cannot be reached. Are you on its network?");
  });
  if (answer.status === 401) location.reload();
  if (!answer.ok) {
    const refusal = (await answer.json().catch(() => null))?.error?.message;
    throw new Error(sentence(refusal ?? `the box answered ${answer.status}`));
  }
  return answer;
}

// ---------------------------------------------------------------- the clock

/** Of several round trips the shortest leaves the least doubt. */
async function match(times) {
  for (let i = 0; i < times; i += 1) {
    const began = performance.now();
    const answer = await ask(address, { cache: "no-store" });
    const ended = performance.now();
    known = await answer.json();
    trips.push({ at: ended, took: ended - began, offset: known.clock_ms - (began + ended) / 2 });
  }
  trips = trips.filter((trip) => trip.at > performance.now() - KEEP_MS);
  $("match").textContent = `This screen's clock matches the box's to ±${Math.max(1, Math.ceil(best().took / 2))} ms.`;
}

const best = () => trips.reduce((least, trip) => (trip.took < least.took ? trip : least));

// ---------------------------------------------------------------- the blocks

const canvas = $("code");
const pen = canvas.getContext("2d", { alpha: false });
let drawn = 0;
let step = 1000 / 60;

function proof(byte) {
  let crc = byte ^ 0xa5;
  for (let i = 0; i < 8; i += 1) crc = (crc << 1) ^ (crc & 0x80 ? 0x107 : 0);
  return crc;
}

function draw(at) {
  requestAnimationFrame(draw);
  if (at > drawn && at < drawn + 100) step += (at - drawn - step) / 16;
  drawn = at;
  const module = Math.max(1, Math.floor(canvas.clientWidth * devicePixelRatio / 12));
  if (canvas.width !== module * 12) [canvas.width, canvas.height] = [module * 12, module * 10];
  const block = (shade, x, y, width, height) => {
    pen.fillStyle = `rgb(${shade} ${shade} ${shade})`;
    pen.fillRect(x * module, y * module, width * module, height * module);
  };
  block(255, 0, 0, 12, 10);
  if (trips.length === 0) return;
  // The middle of the time for which it will be seen.
  const ms = at + best().offset + step / 2;
  const count = Math.floor(ms / STEP_MS) % 256;
  const gray = count ^ (count >> 1);
  block(0, 1, 1, 10, 8);
  for (let x = 0; x < COLUMNS; x += 1) {
    const wave = 0.5 + 0.5 * Math.cos(2 * Math.PI * (ms / WAVE_MS - x / COLUMNS));
    block(Math.round(255 * wave), x + 2, 2, 1, 2);
    block((gray >> (7 - x)) & 1 ? 0 : 255, x + 2, 4, 1, 2);
    block((proof(gray) >> (7 - x)) & 1 ? 0 : 255, x + 2, 6, 1, 2);
  }
}

// ---------------------------------------------------------------- what the box reads

function show() {
  const { latency, variable } = known;
  $("label").textContent = known.label;
  $("now").textContent = latency === null ? "" : {
    setting: `In use: ${latency.ms} ms, set by ${variable} in the settings file.`,
    measured: `In use: ${latency.ms} ms, as measured.`,
    unknown: "In use: 0 ms, for it has not been measured.",
  }[latency.from];
  $("apply").hidden = true;
  if (!delay || !latency || !$("screen").checkValidity()) return;
  const behind = (ms) => Math.round(ms - $("screen").valueAsNumber);
  const [median, low, high] = [delay.median_ms, delay.low_ms, delay.high_ms].map(behind);
  const isSet = latency.from === "setting";
  const found = `The camera is ${median} ms behind (between ${low} and ${high} ms).`;
  if (median < 0) say(`${found} That cannot be: the screen delay is too large.`, "warn");
  else if (median > 2000) say(`${found} ${TOO_LATE}`, "warn");
  else if (isSet) say(`${found} To use that, write ${variable}=${median} in the settings file and restart.`, "ok");
  else if (latency.from === "measured" && latency.ms === median) say(`${found} That is in use.`, "ok");
  else {
    say(found, "ok");
    $("apply").textContent = `Use ${median} ms`;
    $("apply").value = median;
    $("apply").hidden = false;
  }
}

function hear({ state, reason, readings, enough, delay: read }) {
  $("progress").value = readings / enough;
  if (state === "done") {
    delay = read;
    show();
  } else say(reason ? sentence(reason) : WORDS[state][0], WORDS[state]?.[1] ?? "bad");
}

async function measure() {
  running?.abort();
  const own = running = new AbortController();
  delay = null;
  $("progress").value = 0;
  try {
    await match(8);
    show();
    say(...WORDS.looking);
    const answer = await ask(`${address}/read`, { signal: own.signal });
    let text = "";
    for (const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader(); ;) {
      const { value, done } = await reader.read();
      if (done) break;
      const events = (text + value).split("\n\n");
      text = events.pop();
      for (const event of events) hear(JSON.parse(event.slice("data: ".length)));
    }
  } catch (error) {
    if (!own.signal.aborted) say(error instanceof TypeError ? LOST : error.message, "bad");
  }
}

async function apply() {
  $("apply").disabled = true;
  try {
    const { csrf_token: csrf } = await (await ask("/api/session")).json();
    const headers = { "Content-Type": "application/json", ...(csrf && { "X-CSRF-Token": csrf }) };
    const body = JSON.stringify({ latency_ms: Number($("apply").value) });
    known.latency = (await (await ask(address, { method: "POST", headers, body })).json()).latency;
    show();
  } catch (error) {
    say(error.message, "bad");
  }
  $("apply").disabled = false;
}

$("screen").value = localStorage.getItem("screen-delay-ms") ?? 30;
$("screen").addEventListener("input", () => {
  if ($("screen").checkValidity()) localStorage.setItem("screen-delay-ms", $("screen").value);
  if (known) show();
});
$("again").addEventListener("click", measure);
$("apply").addEventListener("click", apply);
// A dark screen shows no blocks; browsers allow this over https only.
const stayAwake = () => navigator.wakeLock?.request("screen").catch(() => {});
document.addEventListener("visibilitychange", () => document.hidden || stayAwake());
stayAwake();
setInterval(() => document.hidden || match(3).catch(() => {}), AGAIN_MS);
requestAnimationFrame(draw);
measure();
