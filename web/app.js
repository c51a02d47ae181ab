// The dashboard. Reads the API once, then keeps itself up to date by server-sent events.

import { Stream } from "/stream.js";

const $ = (id) => document.getElementById(id);
const PAGE = 24;
const EVENTS_PAGE = 10;
/** A request that has no answer by then has failed; one that waits for a camera or the disk may take longer. */
const LIMIT_MS = 10_000;
const LONG_LIMIT_MS = 60_000;
const NAME = document.title;

/** What is known; every render function reads from here. */
const known = { session: null, status: null, stats: null, link: "open", heard: Date.now(), images: [], imagesNext: null, events: [], eventsNext: null };

// ---------------------------------------------------------------- words

const UPLOAD = {
  pending: ["Waiting", "warn"], delivered: ["Delivered", "ok"], dead: ["Put aside", "bad"],
  skipped: ["Not sent", ""], lost: ["Lost", "bad"],
};
const CAMERA = {
  connected: ["Connected", "ok"], connecting: ["Connecting", "info"], degraded: ["Away", "bad"], disabled: ["Switched off", ""],
};
const SEVERITY = { critical: "bad", warning: "warn", info: "info" };
const OUTCOME = { captured: ["Captured", "ok"], coalesced: ["Joined another", ""], failed: ["Failed", "bad"] };
const CAUSE = { gpio: "contact", manual: "by hand", recovered: "found on disk" };
const ROOM = { good: ["Room enough", "ok"], low: ["Running low", "warn"], critical: ["Nearly full", "bad"], full: ["Full", "bad"] };
const TARGET = { api: "HTTP API", s3: "S3 store", discord: "Discord", relay: "Relay" };
const STEP = { name: "Name", tcp: "Connection (TCP)", proxy: "Proxy", tls: "Encryption (TLS)", http: "Answer (HTTP)", verdict: "Verdict" };
const KIND = { instant: "picture of the moment", best: "sharpest picture around it", clip: "clip" };

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Today only the time, else the day too. */
function when(ms) {
  const at = new Date(ms);
  const time = clock.format(at);
  return at.toDateString() === new Date().toDateString() ? time : `${day.format(at)}, ${time}`;
}

const doubt = (clock) => known.status?.demo ? "" : { corrected: " (corrected)", unsynced: " (unconfirmed)" }[clock] ?? "";

function setTime(element, iso, clock) {
  element.dateTime = iso;
  element.textContent = when(Date.parse(iso)) + doubt(clock);
  element.title = `${iso.replace("T", " ").replace("Z", "")} UTC`;
}

function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

/** By the server's clock, which may not be set, and of which all times are. */
const now = () => Date.now() + (known.skew ?? 0);
const ago = (ms) => `${span(Math.max(0, Math.round((now() - ms) / 1000)))} ago`;

/** What waits for a target, how fast it goes, and when it is done. */
function waiting({ pending, oldest_age_s: age, pictures_per_minute: rate, drained_in_s: left }) {
  if (pending === 0) return "";
  const speed = rate > 0 ? `; ${Math.max(1, Math.round(rate)).toLocaleString()} per minute` : "";
  const end = left === null ? "" : `, done in about ${span(left)}`;
  return `${pending.toLocaleString()} ${pending === 1 ? "waits" : "wait, the oldest"} for ${span(age ?? 0)}${speed}${end}.`;
}

function bytes(count) {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let power = 0;
  while (count >= 1000 && power < units.length - 1) {
    count /= 1000;
    power += 1;
  }
  // Rounded down, as the words of the server are.
  return `${count >= 100 || power === 0 ? Math.floor(count) : (Math.floor(count * 10) / 10).toFixed(1)} ${units[power]}`;
}

const plural = (count, one, many = `${one}s`) => `${count.toLocaleString()} ${count === 1 ? one : many}`;
const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) + (/[.!?…]$/.test(text) ? "" : ".") : "");
const heap = (of) => `${plural(of.images, "picture")} (${bytes(of.bytes)})`;
const lengthOf = (ms) => `${(ms / 1000).toFixed(1)} s`;
const signed = (ms) => `${ms < 0 ? "−" : "+"}${Math.abs(ms)} ms`;

/** Gives an element the colour of a kind, and no other. */
function colour(element, kind) {
  element.classList.remove("ok", "info", "warn", "bad");
  if (kind) element.classList.add(kind);
}

function chip(element, [text, kind]) {
  element.classList.add("chip");
  colour(element, kind);
  element.textContent = text;
}

/** One word for all uploads of a picture: the worst of them. */
function delivery(image) {
  for (const state of ["lost", "dead", "pending", "delivered"]) {
    const upload = image.uploads.find((one) => one.state === state);
    if (upload) return state === "pending" && upload.attempts > 0 ? ["Retrying", "warn"] : UPLOAD[state];
  }
  return UPLOAD.skipped;
}

function label(key) {
  return known.status?.cameras.find((camera) => camera.key === key)?.label ?? key;
}

function clone(id) {
  return $(id).content.firstElementChild.cloneNode(true);
}

function say(element, text, kind) {
  element.hidden = !text;
  element.textContent = text;
  if (kind) colour(element, kind);
}

// ---------------------------------------------------------------- talking to the server

class Refused extends Error {
  constructor(code, message) {
    super(sentence(message));
    this.code = code;
  }
}

/** Requests under way; when the box is frozen they end at once. */
const underWay = new Set();

const SLOW = "the server does not answer; it may be frozen or out of reach";

async function api(path, method = "GET", body) {
  const abort = new AbortController();
  const isLong = /^\/api\/(capture|cleanup|gpio|uploads\/test)\//.test(path);
  const timer = setTimeout(() => abort.abort(), isLong ? LONG_LIMIT_MS : LIMIT_MS);
  underWay.add(abort);
  try {
    return await request(path, method, body, abort.signal);
  } finally {
    clearTimeout(timer);
    underWay.delete(abort);
  }
}

async function request(path, method, body, signal) {
  const headers = {};
  if (method !== "GET" && known.session?.csrf_token) headers["X-CSRF-Token"] = known.session.csrf_token;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response;
  try {
    response = await fetch(path, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
  } catch {
    if (signal.aborted) throw new Refused("timeout", SLOW);
    throw new Refused("unreachable", "the server cannot be reached; check that it runs and that you are on its network");
  }
  if (response.status === 401) {
    location.replace("/login");
    throw new Refused("unauthorized", "you have been logged out");
  }
  const answer = response.status === 204 ? null : await response.json().catch(() => null);
  if (signal.aborted) throw new Refused("timeout", SLOW);
  if (!response.ok) {
    throw new Refused(answer?.error?.code, answer?.error?.message ?? `the server answered ${response.status}`);
  }
  return answer;
}

const fileUrl = (name) => `/api/images/${encodeURIComponent(name)}`;

async function loadStatus() {
  [known.status, known.stats] = await Promise.all([api("/api/status"), api("/api/stats")]);
  known.skew = Date.parse(known.status.clock.now) - Date.now();
  $("lost").hidden = true;
  renderStatus();
}

let statusTimer = 0;
/** Reads the counts anew, at most once a second however many events come. */
function statusSoon() {
  known.isBehind = document.hidden;
  if (!known.isBehind) statusTimer ||= setTimeout(() => {
    statusTimer = 0;
    loadStatus().catch(() => {});
  }, 1000);
}

function filters() {
  const form = $("filter").elements;
  return { camera: form.camera.value, state: form.state.value };
}

async function loadImages(more = false) {
  const query = new URLSearchParams({ ...filters(), limit: PAGE });
  if (more) query.set("cursor", known.imagesNext);
  const page = await api(`/api/images?${query}`);
  const before = new Set(more ? known.images.map((image) => image.filename) : []);
  known.images = [...(more ? known.images : []), ...page.images.filter((image) => !before.has(image.filename))];
  known.imagesNext = page.next_cursor;
  renderGallery();
}

async function loadEvents(more = false) {
  const query = new URLSearchParams({ outcome: $("only-failed").checked ? "failed" : "", limit: EVENTS_PAGE });
  if (more) query.set("cursor", known.eventsNext);
  const page = await api(`/api/events?${query}`);
  const before = new Set(more ? known.events.map((event) => event.id) : []);
  known.events = [...(more ? known.events : []), ...page.events.filter((event) => !before.has(event.id))];
  known.eventsNext = page.next_cursor;
  renderEvents();
}

async function load() {
  await loadStatus();
  await Promise.all([loadImages(), loadEvents()]);
}

// ---------------------------------------------------------------- top, alarms, side

function renderStatus() {
  const { status, stats } = known;
  const filter = $("filter").elements.camera;
  if (filter.options.length !== status.cameras.length + 1) {
    filter.replaceChildren(filter.options[0], ...status.cameras.map((one) => new Option(`${one.label} (${one.key})`, one.key)));
  }
  $("demo").hidden = !status.demo;
  renderStrip();
  renderAlarms();
  renderFailures();
  renderCameras();
  renderTargets(status, stats);
  renderContacts(status.gpio);
  renderStorage(status.storage);
  renderFoot();
}

/** What hinders deliveries, for each target that does not take them. */
function hindered(targets) {
  return targets.filter((one) => one.online === false)
    .map((one) => `${TARGET[one.target] ?? one.target} ${one.reachable ? "takes no pictures" : "cannot be reached"}`);
}

/** How deliveries go, in a word; nothing while another item says what is wrong with them. */
function deliveries({ targets, uploads }) {
  const wrong = hindered(targets);
  if (targets.length === 0) return [["No upload target", "neutral"]];
  if (wrong.length > 0) return [[wrong.join(", "), "bad"]];
  if (uploads.dead > 0) return [];
  return [targets.some((one) => one.online) ? ["Online", "ok"] : ["Not tried yet", "neutral"]];
}

/** The worst there is: kind, words, where its cause is seen, and how much more there is. */
function verdict() {
  const { status } = known;
  if (known.link !== "open") {
    const since = clock.format(known.heard);
    return ["bad", known.link === "frozen" ? `No word from the box since ${since}. What you see is of then; trying again…`
      : `Not connected to the box since ${since}. What you see is of then; trying again…`];
  }
  const { unseen } = status.failures;
  const alarms = status.alarms.filter((alarm) => alarm.code !== "trigger_failed");
  const away = status.cameras.filter((camera) => camera.enabled && camera.state !== "connected");
  const found = [
    ...(unseen > 0 ? [["bad", `${unseen >= 1000 ? "More than 1000 triggers have" : unseen === 1 ? "One trigger has" : `${unseen} triggers have`} no picture`, "#failures", "See them"]] : []),
    ...alarms.map((alarm) => [SEVERITY[alarm.severity], sentence(alarm.message.split("; ")[0]), alarm.action.link ?? "#alarms", "See why"]),
    ...(alarms.some((alarm) => alarm.code.startsWith("target_")) ? [] : hindered(status.targets).map((words) => ["bad", `${words}; pictures wait.`, "#delivery-title", "See why"])),
    ...(alarms.some((alarm) => alarm.code === "camera_away") ? [] : away.map((camera) =>
      [camera.state === "connecting" ? "info" : "bad", `${camera.label} ${camera.state === "connecting" ? "is being connected" : "gives no pictures"}.`, `#camera-${camera.key}`, "See why"])),
  ];
  return found.length === 0 ? ["ok", "All well"] : [...found[0], found.length - 1];
}

function renderVerdict() {
  if (!known.status && known.link === "open") return;
  const [kind, text, link, how, more] = verdict();
  const isStale = known.link !== "open";
  document.body.classList.toggle("is-stale", isStale);
  const element = $("verdict");
  element.hidden = false;
  colour(element, kind);
  const words = `${{ ok: "✓", info: "…", warn: "!", bad: "✕" }[kind]} ${text}`;
  // Said once, not whenever something else is drawn.
  if ($("verdict-text").textContent !== words) $("verdict-text").textContent = words;
  say($("verdict-more"), more > 0 ? `and ${plural(more, "more problem", "more problems")}` : "");
  $("verdict-link").hidden = !link;
  $("verdict-link").textContent = how ?? "";
  if (link) $("verdict-link").href = link;
  const unseen = known.status?.failures.unseen ?? 0;
  document.title = `${unseen > 0 ? `(${unseen}) ` : ""}${isStale ? "✕ not connected · " : ""}${NAME}`;
}

/** Triggers without a picture, until a person says that they were seen. */
function renderFailures() {
  const { unseen, newest } = known.status.failures;
  $("failures").hidden = unseen === 0;
  renderVerdict();
  if (!isChanged("failures", known.status.failures)) return;
  $("failures-list").replaceChildren(...newest.map((event) => {
    const item = document.createElement("li");
    const head = document.createElement("strong");
    const time = document.createElement("time");
    setTime(time, event.edge_at, event.clock);
    head.append(`${label(event.camera)}: no picture of `, time);
    item.append(head, ` ${sentence(event.reason ?? "")}`);
    return item;
  }));
  const others = unseen - newest.length;
  say($("failures-more"), others > 0 ? `${plural(others, "earlier one")}, see Events.` : "");
}

/** Whether something to be drawn differs from what was drawn last under that name. */
const drawn = {};
function isChanged(name, value) {
  const text = JSON.stringify(value);
  if (drawn[name] === text) return false;
  drawn[name] = text;
  return true;
}

function renderStrip() {
  const { status } = known;
  const used = status.cameras.filter((camera) => camera.enabled);
  const up = used.filter((camera) => camera.state === "connected").length;
  const { pending, dead } = status.uploads;
  const { free_bytes: free, level } = status.storage;
  const items = [
    used.length === 0 ? ["No camera is switched on", "neutral"]
      : [`${up} of ${plural(used.length, "camera")} connected`, up === used.length ? "ok" : "bad"],
    ...deliveries(status),
    [pending === 0 ? "Nothing waiting" : `${plural(pending, "upload")} waiting`, pending === 0 ? "ok" : "warn"],
    ...(dead > 0 ? [[`${dead.toLocaleString()} put aside`, "bad"]] : []),
    ...(status.clock.message && !status.demo ? [[sentence(status.clock.message), status.clock.state === "synced" ? "ok" : "warn"]] : []),
    [`${bytes(free)} free`, ROOM[level][1]],
  ];
  $("strip").replaceChildren(...items.map(([text, kind]) => {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = text;
    return item;
  }));
}

function renderAlarms() {
  // Failed triggers have a place of their own.
  const alarms = known.status.alarms.filter((alarm) => alarm.code !== "trigger_failed");
  renderVerdict();
  if (!isChanged("alarms", alarms)) return;
  $("alarms").replaceChildren(...alarms.map((alarm) => {
    const item = document.createElement("li");
    item.className = SEVERITY[alarm.severity];
    // First what is the matter, then why and what to do.
    const [what, ...more] = alarm.message.split("; ").map(sentence);
    const head = document.createElement("strong");
    head.textContent = what;
    item.append(head, ` Since ${when(Date.parse(alarm.since))}. ${more.join(" ")} `);
    const next = document.createElement(alarm.action.link ? "a" : "span");
    if (alarm.action.link) next.href = alarm.action.link;
    next.textContent = sentence(alarm.action.text);
    item.append(next);
    return item;
  }));
}

function renderTargets(status, stats) {
  if (status.targets.length === 0) {
    const text = document.createElement("p");
    text.className = "hint";
    text.textContent = "No upload target is configured. Pictures are kept on this machine only.";
    $("targets").replaceChildren(text);
    return;
  }
  $("targets").replaceChildren(...status.targets.map((target) => {
    const element = clone("target-template");
    const find = (selector) => element.querySelector(selector);
    find(".target-name").textContent = TARGET[target.target] ?? target.target;
    const paused = target.paused_until && Date.parse(target.paused_until) > now();
    const closed = target.paused_by === "window";
    chip(find(".chip"), closed ? ["Waits", "info"] : target.online === false ? [target.reachable ? "Takes none" : "Offline", "bad"]
      : paused ? ["Paused", "warn"] : target.online === null ? ["Not tried yet", ""] : stats.uploads.targets[target.target]?.dead ? ["Refused some", "warn"] : ["Online", "ok"]);
    const words = [];
    words.push(waiting(target.backlog));
    if (target.last_error && (paused && !closed || target.online === false)) words.push(sentence(target.last_error));
    if (closed) words.push(`Sends only at ${target.backlog.window}, again from ${when(Date.parse(target.paused_until))}.`);
    else if (paused) words.push(`Next try at ${when(Date.parse(target.paused_until))}.`);
    else if (target.online === false) words.push(`So since ${when(Date.parse(target.since))}; pictures wait and are sent by themselves.`);
    if (target.last_delivered) words.push(`Last delivery ${when(Date.parse(target.last_delivered))}.`);
    find(".target-text").textContent = words.join(" ").trim();
    const counts = stats.uploads.targets[target.target] ?? {};
    for (const cell of element.querySelectorAll("[data-count]")) {
      cell.textContent = (counts[cell.dataset.count] ?? 0).toLocaleString();
    }
    find(".try-target").setAttribute("aria-label", `Test ${TARGET[target.target] ?? target.target}`);
    find(".try-target").addEventListener("click", () => tryOut(target.target));
    find(".target-dead").hidden = !counts.dead;
    find(".list-dead").href = `/api/uploads/dead?format=csv&target=${target.target}`;
    find(".send-dead").addEventListener("click", () => sendDead(target.target, counts.dead));
    find(".show-dead").addEventListener("click", () => {
      $("filter").elements.state.value = "dead";
      loadImages().catch(complain);
      $("gallery-title").scrollIntoView();
    });
    return element;
  }));
}

/** Sends a test picture, and shows each step to the target in words. */
async function tryOut(target) {
  const name = TARGET[target] ?? target;
  known.tried = target;
  $("tryout-title").textContent = `Test of ${name}`;
  $("tryout-steps").replaceChildren();
  $("tryout-again").disabled = true;
  $("tryout-again").onclick = () => tryOut(target);
  say($("tryout-said"), "A test picture is being sent. This can take up to a minute.", "info");
  if (!$("tryout").open) $("tryout").showModal();
  let words;
  let steps = [];
  try {
    const report = await api(`/api/uploads/test/${target}`, "POST");
    steps = report.steps;
    words = report.ok ? [`${name} took the test picture, ${report.picture.filename}. It stays there; here it is in no list.`, "ok"]
      : [`${name} did not pass. See the first step that failed.`, "bad"];
  } catch (error) {
    words = [error.message, "bad"];
  }
  if (known.tried !== target) return;
  $("tryout-steps").replaceChildren(...steps.map((step) => {
    const item = clone("event-template");
    item.querySelector(".event-camera").textContent = STEP[step.step] ?? step.step;
    item.querySelector(".event-cause").textContent = step.ok === null ? "" : `${step.ms.toLocaleString()} ms`;
    chip(item.querySelector(".chip"), { true: ["OK", "ok"], false: ["Failed", "bad"], null: ["Not done", ""] }[step.ok]);
    item.querySelector("time").remove();
    say(item.querySelector(".event-reason"), sentence(step.text));
    return item;
  }));
  say($("tryout-said"), ...words);
  $("tryout-again").disabled = false;
}

async function sendDead(target, count) {
  const text = `${plural(count, "picture")}, refused before. What is refused again is put aside again.`;
  if (!(await ask("Send again what was put aside?", text, "Send again", "Not now"))) return;
  try {
    const { owed_again: sent } = await api("/api/uploads/retry", "POST", { target, state: "dead" });
    say($("delivery-said"), `${plural(sent, "picture")} will be sent again.`);
    await Promise.all([loadStatus(), loadImages()]);
  } catch (error) {
    say($("delivery-said"), error.message);
  }
}

function renderContacts(gpio) {
  const note = !gpio.enabled ? "Contacts are switched off (GPIO_ENABLED=false)."
    : gpio.error ? sentence(gpio.error)
    : gpio.lines.length === 0 ? "No contact is watched yet." : "";
  say($("contacts-note"), note);
  $("contacts").hidden = gpio.lines.length === 0;
  $("contacts").tBodies[0].replaceChildren(...gpio.lines.map((line) => {
    const row = document.createElement("tr");
    const lamp = document.createElement("span");
    renderLamp(lamp, line);
    const cells = [label(line.camera), lamp, "", line.edges.toLocaleString()].map((content) => {
      const cell = document.createElement("td");
      cell.append(content);
      return cell;
    });
    cells[1].title = `GPIO ${line.pin}, level ${line.level ?? "unknown"}`;
    if (line.last_edge) {
      const time = document.createElement("time");
      setTime(time, line.last_edge);
      cells[2].append(time);
    } else {
      cells[2].textContent = "none yet";
    }
    cells[3].className = "number";
    cells[3].title = `${plural(line.bounces, "bounce")} among them`;
    row.append(...cells);
    return row;
  }));
}

function renderLamp(element, line) {
  const unknown = !line || line.level === null;
  element.className = `lamp${line?.active ? " closed" : ""}`;
  element.textContent = unknown ? "Unknown" : line.active ? "Closed" : "Open";
}

function renderStorage(storage) {
  const used = storage.total_bytes - storage.free_bytes;
  const share = storage.total_bytes > 0 ? used / storage.total_bytes : 0;
  $("disk").high = storage.total_bytes > 0 ? 1 - storage.floor_bytes / storage.total_bytes : 1;
  $("disk").low = $("disk").high - 0.1;
  $("disk").value = share;
  $("disk").textContent = $("disk").title = `${Math.round(share * 100)} % of the disk is used`;
  $("storage").textContent =
    `${plural(known.stats.total.images, "picture")}, ${bytes(storage.used_bytes)}. ` +
    `${bytes(storage.free_bytes)} of ${bytes(storage.total_bytes)} free. ` +
    `Delivered pictures are kept ${plural(storage.retention_days, "day")}` +
    `${storage.max_bytes === null ? "" : ` and up to ${bytes(storage.max_bytes)}`}.`;
  chip($("room"), ROOM[storage.level]);
  const { message, evicted, database, written } = storage;
  // What is an alarm at the top of the page is not said here again.
  const words = known.status.alarms.some((alarm) => alarm.code === "disk_short") ? [] : [sentence(message)];
  if (evicted.images > 0) words.push(`${heap(evicted)} went early to make room, last at ${when(Date.parse(evicted.at))}.`);
  if (database) words.push(`Disk of the database: ${bytes(database.free_bytes)} of ${bytes(database.total_bytes)} free.`);
  if (written) {
    const per = [[written.bytes_per_day, "a day"], [written.bytes_per_capture, "per capture"]];
    words.push(`Written since the start: ${[bytes(written.bytes), ...per.filter(([count]) => count !== null).map(([count, each]) => `${bytes(count)} ${each}`)].join(", ")}.`);
  }
  $("wear").textContent = words.join(" ");
}

function renderFoot() {
  const up = known.status.uptime;
  const running = up < 60 ? "less than a minute" : up < 3600 ? plural(Math.floor(up / 60), "minute") : up < 172800 ? plural(Math.floor(up / 3600), "hour") : plural(Math.floor(up / 86400), "day");
  $("foot").textContent = `camera-capture ${known.status.version}, running for ${running}. Times are shown in ${zone}${zone === "UTC" ? "" : "; hold the pointer over one for UTC"}.`;
}

// ---------------------------------------------------------------- cameras

const cards = new Map();

function cameraCard(key) {
  let card = cards.get(key);
  if (card) return card;
  card = clone("camera-template");
  card.id = `camera-${key}`;
  cards.set(key, card);
  const said = card.querySelector(".camera-said");
  const press = (selector, waiting, act) => {
    const button = card.querySelector(selector);
    const text = button.textContent;
    button.addEventListener("click", async () => {
      button.disabled = true;
      button.textContent = waiting;
      say(said, "");
      try {
        await act();
      } catch (error) {
        say(said, error.message, "bad");
      }
      button.textContent = text;
      button.disabled = false;
    });
  };
  press(".capture", "Taking…", async () => addImage(await api(`/api/capture/${key}`, "POST")));
  press(".watch", "Opening…", async () => (await import("/live.js").catch(() => {
    throw new Refused("unreachable", "the server cannot be reached");
  })).openLive(key, label(key)));
  press(".simulate", "Closing…", () => api(`/api/gpio/sim/${key}`, "POST", { pulse_ms: 500 }));
  card.querySelector(".camera-picture").addEventListener("click", async () => {
    const name = known.status.cameras.find((camera) => camera.key === key)?.last_image?.filename;
    if (!name) return;
    const shown = known.images.find((image) => image.filename === name);
    openPicture(shown ?? (await api(`/api/images?camera=${key}&media_type=image/jpeg&limit=1`)).images[0]);
  });
  return card;
}

/** What the camera is like, and what to change, in sentences. */
function renderAbout(details, { facts, changes }) {
  details.hidden = facts.length === 0;
  details.querySelector("summary").textContent =
    changes.length ? `About this camera: ${changes.length === 1 ? "one thing" : `${changes.length} things`} to change` : "About this camera";
  const items = [...changes.map((text) => ["change", `To change: ${text}.`]), ...facts.map((text) => ["", sentence(text)])];
  details.querySelector("ul").replaceChildren(...items.map(([kind, text]) => {
    const item = document.createElement("li");
    item.className = kind;
    item.textContent = text;
    return item;
  }));
}

function renderCameras() {
  const { cameras, gpio, simulated } = known.status;
  for (const camera of cameras) {
    const card = cameraCard(camera.key);
    const find = (selector) => card.querySelector(selector);
    card.classList.toggle("is-off", !camera.enabled);
    find(".camera-label").textContent = camera.label;
    find(".camera-key").textContent = camera.key;
    chip(find(".camera-state"), CAMERA[camera.state]);
    const { stream } = camera;
    find(".camera-state").title = stream
      ? `${stream.codec}, ${stream.width}×${stream.height}${stream.fps ? `, ${stream.fps.toFixed(1)} frames per second` : ""}` : "";
    say(find(".camera-error"), camera.state === "disabled" ? "" : sentence(camera.last_error ?? ""));
    renderAbout(find(".camera-about"), camera.about);
    const image = find(".camera-picture img");
    const last = camera.last_image;
    find(".camera-picture").disabled = !last;
    image.hidden = !last;
    find(".camera-none").hidden = Boolean(last);
    if (last && image.dataset.name !== last.filename) {
      image.dataset.name = last.filename;
      image.src = last.url;
      image.alt = `Last picture of ${camera.label}; open it`;
    }
    const line = gpio.lines.find((one) => one.camera === camera.key);
    find(".lamp").hidden = !line;
    renderLamp(find(".lamp"), line);
    find(".lamp").prepend("Contact: ");
    find(".capture").hidden = find(".watch").hidden = !camera.enabled;
    find(".watch").setAttribute("aria-label", `Live picture of ${camera.label}`);
    find(".capture").setAttribute("aria-label", `Capture ${camera.label}`);
    find(".simulate").hidden = !(simulated && line && camera.enabled);
    find(".simulate").setAttribute("aria-label", `Close contact of ${camera.label}`);
  }
  const wanted = cameras.map((camera) => cards.get(camera.key));
  if (wanted.some((card, index) => $("cameras").children[index] !== card)) $("cameras").replaceChildren(...wanted);
  renderAges();
}

function renderAges() {
  for (const camera of known.status?.cameras ?? []) {
    const text = cards.get(camera.key)?.querySelector(".camera-when");
    const last = camera.last_image;
    if (!text) continue;
    text.textContent = last ? `${when(last.taken_at_ms)} · ${ago(last.taken_at_ms)}` : camera.enabled ? "Waits for its first picture" : "Switched off in the configuration";
    text.title = last ? `${last.taken_at} UTC` : "";
    const { latency } = camera;
    const link = cards.get(camera.key).querySelector(".camera-latency");
    link.hidden = !latency;
    link.firstElementChild.href = `/latency?camera=${camera.key}`;
    link.firstElementChild.textContent = latency?.from === "unknown" ? "Measure its latency" : `Latency: ${latency?.ms} ms`;
  }
}

// ---------------------------------------------------------------- pictures

const tiles = new Map();

function tile(image) {
  let item = tiles.get(image.filename);
  if (!item) {
    item = clone("tile-template");
    tiles.set(image.filename, item);
    const picture = item.querySelector("img");
    picture.src = `${fileUrl(image.filename)}?thumb=1`;
    item.querySelector("button").addEventListener("click", () => {
      openPicture(known.images.find((one) => one.filename === image.filename) ?? image);
    });
  }
  const name = label(image.camera);
  item.querySelector("img").alt = `${image.kind === "clip" ? "Clip: " : ""}${name}, ${when(image.taken_at_ms)}`;
  item.querySelector(".tile-camera").textContent = image.protected ? `${name} 🔒` : name;
  chip(item.querySelector(".chip"), delivery(image));
  setTime(item.querySelector("time"), image.taken_at, image.clock);
  const mark = { clip: `▶ ${lengthOf(image.duration_ms ?? 0)}`, best: "★ Best" }[image.kind];
  say(item.querySelector(".tile-mark"), `${mark ?? ""}${image.note ? " ⚠" : ""}`);
  const offset = item.querySelector(".tile-offset");
  offset.textContent = image.frame_offset_ms === null ? "" : signed(image.frame_offset_ms);
  offset.title = "the frame's distance from the moment asked for";
  return item;
}

function renderGallery() {
  const items = known.images.map(tile);
  const gallery = $("gallery");
  items.forEach((item, index) => {
    if (gallery.children[index] !== item) gallery.insertBefore(item, gallery.children[index] ?? null);
  });
  while (gallery.children.length > items.length) gallery.lastElementChild.remove();
  for (const name of tiles.keys()) {
    if (!known.images.some((image) => image.filename === name)) tiles.delete(name);
  }
  const { camera, state } = filters();
  say($("gallery-empty"), items.length > 0 ? "" : camera || state
    ? "No picture fits this choice." : "No picture yet. The first one appears here as soon as a contact closes or you press Capture.");
  $("gallery-more").hidden = !known.imagesNext;
}

function fits(image) {
  const { camera, state } = filters();
  return (!camera || image.camera === camera) && (!state || image.uploads.some((upload) => upload.state === state));
}

function addImage(image) {
  const camera = known.status?.cameras.find((one) => one.key === image.camera);
  if (camera && image.kind !== "clip" && (!camera.last_image || camera.last_image.taken_at_ms <= image.taken_at_ms)) {
    camera.last_image = { filename: image.filename, taken_at: image.taken_at, taken_at_ms: image.taken_at_ms, url: fileUrl(image.filename) };
    renderCameras();
  }
  if (changeImage(image) || !fits(image)) return;
  const place = known.images.findIndex((one) => one.taken_at_ms < image.taken_at_ms);
  if (place < 0 && known.imagesNext) return;
  known.images.splice(place < 0 ? known.images.length : place, 0, image);
  renderGallery();
  tiles.get(image.filename)?.querySelector("button").classList.add("is-new");
}

/** Takes over what is new of a picture that is shown; false when it is not. */
function changeImage(image) {
  const index = known.images.findIndex((one) => one.filename === image.filename);
  if (shown?.filename === image.filename) {
    shown = image;
    renderPicture();
  }
  if (index < 0) return false;
  known.images[index] = image;
  tile(image);
  return true;
}

function changeUpload({ filename, error, ...changed }) {
  const image = known.images.find((one) => one.filename === filename) ?? (shown?.filename === filename ? shown : null);
  if (!image) return;
  const others = image.uploads.filter((upload) => upload.target !== changed.target);
  const uploads = [...others, changed].sort((one, other) => (one.target < other.target ? -1 : 1));
  changeImage({ ...image, uploads });
}

function removeImages(names) {
  const gone = new Set(names);
  known.images = known.images.filter((image) => !gone.has(image.filename));
  renderGallery();
  if (shown && gone.has(shown.filename)) $("picture").close();
}

// ---------------------------------------------------------------- one picture

let shown = null;

function openPicture(image) {
  if (!image) return;
  shown = image;
  say($("picture-note"), "");
  renderPicture();
  if (!$("picture").open) $("picture").showModal();
}

function renderPicture() {
  const image = shown;
  const url = fileUrl(image.filename);
  $("picture-title").textContent = `${label(image.camera)}, ${when(image.taken_at_ms)}`;
  const isClip = image.kind === "clip";
  const [view, other] = isClip ? [$("picture-video"), $("picture-image")] : [$("picture-image"), $("picture-video")];
  if (view.getAttribute("src") !== url) view.src = url;
  if (isClip) view.poster = `${url}?thumb=1`;
  other.removeAttribute("src");
  $("picture-video").hidden = !isClip;
  $("picture-link").hidden = isClip;
  $("picture-image").alt = `Picture ${image.filename}`;
  $("picture-link").href = url;
  $("download").href = url;
  $("download").download = image.filename;
  const taken = document.createElement("time");
  setTime(taken, image.taken_at);
  taken.textContent = full.format(image.taken_at_ms) + doubt(image.clock);
  const digest = document.createElement("code");
  digest.textContent = image.sha256;
  const distance = image.frame_offset_ms === null ? "distance unknown" : `${signed(image.frame_offset_ms)} from the edge`;
  const facts = [
    ...(image.note ? [["Note", sentence(image.note)]] : []),
    ["File", image.filename],
    ["Kind", KIND[image.kind] ?? image.kind],
    ["Camera", `${label(image.camera)} (${image.camera})`],
    ["Taken", taken],
    ["Cause", CAUSE[image.cause] ?? image.cause],
    [isClip ? "Begins" : "Frame", distance],
    ...(isClip ? [["Length", lengthOf(image.duration_ms ?? 0)]] : []),
    ["Size", `${image.width} × ${image.height}, ${bytes(image.bytes)}`],
    ["SHA-256", digest],
    ["Kept", image.protected ? "until you end its protection" : "as long as retention says"],
  ];
  $("picture-facts").replaceChildren(...facts.flatMap(([term, value]) => {
    const [name, content] = [document.createElement("dt"), document.createElement("dd")];
    name.textContent = term;
    content.append(value);
    return [name, content];
  }));
  $("picture-uploads").replaceChildren(...image.uploads.map((upload) => {
    const text = document.createElement("p");
    const state = document.createElement("span");
    chip(state, UPLOAD[upload.state]);
    const words = [` ${TARGET[upload.target] ?? upload.target}`];
    if (upload.delivered_at) words.push(`, ${when(Date.parse(upload.delivered_at))}`);
    if (upload.attempts > 0) words.push(`, ${plural(upload.attempts, "attempt")}`);
    if (upload.last_error && upload.state !== "delivered") words.push(`. ${sentence(upload.last_error)}`);
    text.append(state, words.join(""));
    return text;
  }));
  $("protect").textContent = image.protected ? "End protection" : "Protect";
  $("delete").disabled = image.protected;
  $("delete").title = image.protected ? "End its protection first" : "";
  $("retry").hidden = !image.uploads.some((upload) => ["pending", "dead"].includes(upload.state));
  const index = known.images.findIndex((one) => one.filename === image.filename);
  $("newer").disabled = index <= 0;
  $("older").disabled = index < 0 || index >= known.images.length - 1;
}

function step(by) {
  const index = known.images.findIndex((one) => one.filename === shown.filename);
  if (index >= 0) openPicture(known.images[index + by]);
}

function ask(title, text, yes = "Delete", no = "Keep it") {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  const [refuse, agree] = $("confirm").querySelectorAll("button");
  [refuse.textContent, agree.textContent] = [no, yes];
  agree.className = yes === "Delete" ? "danger" : "primary";
  $("confirm").returnValue = "no";
  $("confirm").showModal();
  return new Promise((resolve) => {
    $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true });
  });
}

async function deletePicture() {
  const { filename } = shown;
  if (!(await ask(shown.kind === "clip" ? "Delete this clip?" : "Delete this picture?", `${filename} is deleted from this machine. This cannot be undone.`))) return;
  try {
    await api(fileUrl(filename), "DELETE");
  } catch (error) {
    if (error.code !== "upload_owed") throw error;
    const text = `${filename} has not been delivered yet. If it is deleted here, it is lost.`;
    if (!(await ask("Delete it although it was not delivered?", text))) return;
    await api(`${fileUrl(filename)}?force=true`, "DELETE");
  }
  removeImages([filename]);
  statusSoon();
}

/** Runs what a button of the picture asks for and shows there what went wrong. */
function onPicture(id, act) {
  $(id).addEventListener("click", async () => {
    say($("picture-note"), "");
    $(id).disabled = true;
    try {
      await act();
    } catch (error) {
      say($("picture-note"), error.message, "bad");
    }
    $(id).disabled = false;
    if (shown && $("picture").open) renderPicture();
  });
}

// ---------------------------------------------------------------- events

function renderEvents() {
  $("events").replaceChildren(...known.events.map((event) => {
    const item = clone("event-template");
    const find = (selector) => item.querySelector(selector);
    find(".event-camera").textContent = label(event.camera);
    find(".event-cause").textContent = CAUSE[event.cause] ?? event.cause;
    chip(find(".chip"), OUTCOME[event.outcome] ?? ["Under way", "info"]);
    setTime(find("time"), event.edge_at, event.clock);
    const after = event.latency_ms === null ? "" : ` · stored after ${event.latency_ms.toLocaleString()} ms`;
    find("time").after(Object.assign(document.createElement("span"), { className: "hint", textContent: after }));
    say(find(".event-reason"), [event.reason, event.remark].map((text) => sentence(text ?? "")).join(" ").trim());
    return item;
  }));
  say($("events-empty"), known.events.length > 0 ? "" : $("only-failed").checked ? "No failure. Good." : "Nothing has happened yet.");
  $("events-more").hidden = !known.eventsNext;
}

function addEvent(event) {
  const index = known.events.findIndex((one) => one.id === event.id);
  if (index >= 0) known.events[index] = event;
  else if (!$("only-failed").checked || event.outcome === "failed") known.events.unshift(event);
  renderEvents();
}

// ---------------------------------------------------------------- live

const EVENT = {
  image(image) {
    addImage(image);
    statusSoon();
  },
  changed(image) {
    changeImage(image);
  },
  upload(upload) {
    changeUpload(upload);
    statusSoon();
  },
  trigger(event) {
    addEvent(event);
    const { failures } = known.status;
    const index = failures.newest.findIndex((one) => one.id === event.id);
    if (event.outcome !== "failed" && index < 0) return;
    if (event.outcome === "failed" && index < 0 && !event.seen_at) {
      failures.newest = [event, ...failures.newest].slice(0, 3);
      failures.unseen += 1;
    }
    renderFailures();
    statusSoon();
  },
  seen({ up_to: upTo, unseen }) {
    const { failures } = known.status;
    failures.newest = failures.newest.filter((one) => one.id > upTo);
    failures.unseen = unseen;
    renderFailures();
    statusSoon();
  },
  deleted({ filenames }) {
    removeImages(filenames);
    statusSoon();
  },
  missing: (data) => EVENT.deleted(data),
  alarms({ alarms }) {
    known.status.alarms = alarms;
    renderAlarms();
    statusSoon();
  },
  connectivity({ all_online: online, ...changed }) {
    const { status } = known;
    status.online = online;
    status.targets = status.targets.map((one) => one.target === changed.target ? { ...one, ...changed } : one);
    renderStrip();
    renderTargets(status, known.stats);
    renderVerdict();
    statusSoon();
  },
  storage: statusSoon,
  resync: () => load().catch(complain),
  clock: () => load().catch(complain),
  camera(changed) {
    const camera = known.status.cameras.find((one) => one.key === changed.key);
    if (!camera) return;
    Object.assign(camera, changed);
    renderCameras();
    renderStrip();
    renderVerdict();
  },
  contact(changed) {
    const { gpio } = known.status;
    const index = gpio.lines.findIndex((line) => line.pin === changed.pin);
    if (index < 0) gpio.lines.push(changed);
    else gpio.lines[index] = changed;
    renderContacts(gpio);
    renderCameras();
  },
  contacts(gpio) {
    known.status.gpio = gpio;
    renderContacts(gpio);
    renderCameras();
  },
};

/** Begins to listen. Resolves once the stream is there, or has let us wait. */
function listen() {
  return new Promise((resolve) => {
    setTimeout(resolve, 1000);
    const stream = new Stream({
      // Before everything was read once there is nothing to keep up to date.
      event: (name, data) => known.status && EVENT[name](data),
      state(state) {
        known.link = state;
        known.heard = stream.heard;
        if (state === "frozen") for (const abort of underWay) abort.abort();
        if (state === "open") resolve();
        renderVerdict();
      },
      // api() leads to the log-in page when the session is over.
      refused: () => api("/api/session").catch(() => {}),
    });
  });
}

function complain(error) {
  if (error.code === "unauthorized") return;
  if (!(error instanceof Refused)) console.error(error);
  say($("lost"), `${error.message} Trying again…`);
}

// ---------------------------------------------------------------- controls

const later = (act) => () => act().catch(complain);

$("seen").addEventListener("click", async () => {
  const upTo = Math.max(...known.status.failures.newest.map((event) => event.id));
  $("seen").disabled = true;
  try {
    await api("/api/events/seen", "POST", { up_to: upTo });
    await loadStatus();
    $("verdict").focus();
  } catch (error) {
    complain(error);
  }
  $("seen").disabled = false;
});
$("filter").addEventListener("change", later(() => loadImages()));
$("gallery-more").addEventListener("click", later(() => loadImages(true)));
$("only-failed").addEventListener("change", later(() => loadEvents()));
$("events-more").addEventListener("click", later(() => loadEvents(true)));

/** What a retention run would delete or has deleted, and what stays. */
function reported({ deleted, freed_bytes: freed, reasons, cameras, held, from, to, refused }) {
  const list = (entries) => entries.filter(([of]) => of.images > 0).map(([of, why]) => `${heap(of)} ${why}`).join(", ");
  const stay = list([...Object.values(held.owed).map((of) => [of, "not delivered"]), ...Object.values(held.dead).map((of) => [of, "put aside"]), [held.protected, "protected"]]);
  return [
    sentence(refused ?? ""),
    deleted === 0 ? "There is nothing to delete." : `${heap({ images: deleted, bytes: freed })}, taken from ${when(Date.parse(from))} to ${when(Date.parse(to))}.`,
    sentence(list([[reasons.age, "past their time"], [reasons.limit, "above the limit"], [reasons.space, "to make room"]])),
    deleted === 0 ? "" : sentence(Object.entries(cameras).map(([key, of]) => `${label(key)}: ${of.images.toLocaleString()}`).join(", ")),
    stay && `These stay: ${stay}.`,
  ].filter(Boolean).join("\n");
}

$("clean-up").addEventListener("click", async () => {
  $("clean-up").disabled = true;
  $("report").textContent = "Looking for what may go…";
  try {
    const preview = await api("/api/cleanup/run", "POST", { dry_run: true });
    $("report").textContent = reported(preview);
    if (preview.deleted > 0) {
      const isWanted = await ask(`Delete ${plural(preview.deleted, "picture")}?`, reported(preview));
      $("report").textContent = isWanted ? `Deleted: ${reported(await api("/api/cleanup/run", "POST"))}` : "Nothing was deleted.";
      statusSoon();
    }
  } catch (error) {
    $("report").textContent = error.message;
  }
  $("clean-up").disabled = false;
});

onPicture("protect", async () => changeImage(await api(`${fileUrl(shown.filename)}/protect`, "POST", { protected: !shown.protected })));
onPicture("retry", async () => changeImage(await api(`${fileUrl(shown.filename)}/retry`, "POST")));
onPicture("delete", deletePicture);
$("newer").addEventListener("click", () => step(-1));
$("older").addEventListener("click", () => step(1));
$("picture").addEventListener("keydown", (event) => {
  if (event.target === $("picture-video")) return;
  if (event.key === "ArrowLeft") step(-1);
  if (event.key === "ArrowRight") step(1);
});
$("picture").addEventListener("close", () => {
  $("picture-video").removeAttribute("src");
  $("picture-video").load();
  tiles.get(shown?.filename)?.querySelector("button").focus();
  shown = null;
});
for (const dialog of [$("picture"), $("settings"), $("live"), $("tryout")]) {
  dialog.querySelector(".close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
}

$("open-settings").addEventListener("click", () => {
  $("settings").showModal();
  loadTokens();
  loadSessions();
});
$("log-out").addEventListener("click", async () => {
  try {
    await api("/api/logout", "POST");
    location.replace("/login");
  } catch (error) {
    complain(error);
  }
});

$("change-password").addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const note = form.querySelector("[role=status]");
  const { current, new: fresh, again } = form.elements;
  if (fresh.value !== again.value) {
    say(note, "The two new passwords differ.", "bad");
    again.select();
    return;
  }
  form.querySelector("button").disabled = true;
  try {
    known.session.csrf_token = (await api("/api/password", "POST", { current: current.value, new: fresh.value })).csrf_token;
    form.reset();
    say(note, "The password is changed. Everyone else has been logged out.", "ok");
  } catch (error) {
    say(note, error.message, "bad");
  }
  form.querySelector("button").disabled = false;
});

/** Made last: its secret leaves the page with it, or with the dialog. */
let fresh = { id: null, secret: "" };

function tokenNote(text, kind, token = { id: null, secret: "" }) {
  fresh = token;
  say($("new-token").querySelector("[role=status]"), text, kind);
  $("new-secret").hidden = !token.secret;
  $("new-secret").querySelector(".secret").textContent = token.secret;
}

const SCOPE = { read: "looks", operate: "looks and operates", full: "may delete, too" };
const dated = (iso) => new Date(iso).toLocaleDateString(undefined, { dateStyle: "medium" });
const since = (iso) => when(Date.parse(iso));

function row(text, button, name, act) {
  const item = document.createElement("li");
  item.append(text);
  if (button) {
    const element = Object.assign(document.createElement("button"), { type: "button", textContent: button });
    element.setAttribute("aria-label", `${button} ${name}`);
    element.addEventListener("click", act);
    item.append(element);
  }
  return item;
}

function tokenWords(token) {
  const end = !token.expires_at ? "does not end" : Date.parse(token.expires_at) <= now() ? "has ended" : `until ${dated(token.expires_at)}`;
  const used = token.last_used_at ? `last used ${since(token.last_used_at)}` : "not used yet";
  return `${token.name}${token.prefix ? ` (${token.prefix}…)` : ""}: ${SCOPE[token.scope]}, ${end}, ${used}`;
}

async function revoke(token) {
  if (!(await ask(`Revoke ${token.name}?`, "Its program is refused from now on.", "Revoke", "Keep it"))) return;
  try {
    await api(`/api/tokens/${token.id}`, "DELETE");
    if (fresh.id === token.id) tokenNote("");
  } catch (error) {
    tokenNote(error.message, "bad");
  }
  loadTokens();
}

async function loadTokens() {
  try {
    const { tokens } = await api("/api/tokens");
    $("tokens").replaceChildren(...tokens.map((token) => row(tokenWords(token), "Revoke", token.name, () => revoke(token))));
  } catch (error) {
    tokenNote(error.message, "bad");
  }
}

$("new-token").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, scope, expires, password } = event.target.elements;
  const wish = { name: name.value, scope: scope.value, expires_in_days: expires.value ? Number(expires.value) : null };
  if (password.value) wish.password = password.value;
  try {
    const made = await api("/api/tokens", "POST", wish);
    event.target.reset();
    tokenNote("Copy it into the program; it is not shown again:", "ok", { id: made.id, secret: made.token });
    loadTokens();
  } catch (error) {
    tokenNote(error.message, "bad");
  }
  password.value = "";
});

$("copy-secret").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(fresh.secret);
    $("copy-secret").textContent = "Copied";
    setTimeout(() => { $("copy-secret").textContent = "Copy"; }, 2000);
  } catch {
    // Browsers give the clipboard to https only: select it, to be copied by hand.
    getSelection().selectAllChildren($("new-secret").querySelector(".secret"));
  }
});
$("settings").addEventListener("close", () => tokenNote(""));

async function endSession(path, method) {
  try {
    await api(path, method);
    say($("sessions-note"), "");
  } catch (error) {
    say($("sessions-note"), error.message, "bad");
  }
  loadSessions();
}

async function loadSessions() {
  $("sessions-part").hidden = known.session?.kind !== "session";
  if ($("sessions-part").hidden) return;
  try {
    const { sessions } = await api("/api/sessions");
    $("end-others").hidden = sessions.length < 2;
    $("sessions").replaceChildren(...sessions.map((one) => {
      const who = `${one.browser || "A browser"}, ${one.from ?? "from an unknown address"}`;
      const text = `${who}: since ${since(one.created_at)}, ${one.current ? "this is you" : `last seen ${since(one.last_seen_at)}`}`;
      return row(text, one.current ? "" : "End", who, () => endSession(`/api/sessions/${one.id}`, "DELETE"));
    }));
  } catch (error) {
    say($("sessions-note"), error.message, "bad");
  }
}
$("end-others").addEventListener("click", () => endSession("/api/sessions/end-others", "POST"));

// ---------------------------------------------------------------- begin

let listening = null;

async function begin() {
  try {
    // First listen, then read, so that nothing is missed in between.
    listening ??= listen();
    known.session = await api("/api/session");
    $("open").hidden = known.session.access !== "loopback";
    $("new-token").hidden = known.session.access === "loopback";
    $("log-out").hidden = known.session.kind !== "session";
    $("change-password").hidden = known.session.kind !== "session";
    $("no-password").hidden = known.session.kind === "session";
    $("new-token").querySelector(".token-password").hidden = known.session.kind !== "session";
    await listening;
    await load();
  } catch (error) {
    complain(error);
    setTimeout(begin, 5000);
  }
}

setInterval(renderAges, 10_000);
// Edges, ages and free space move without events of their own.
setInterval(() => document.hidden || loadStatus().catch(() => {}), 60_000);
document.addEventListener("visibilitychange", () => document.hidden || !known.isBehind || loadStatus().catch(() => {}));
begin();
