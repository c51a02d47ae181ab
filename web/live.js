// The live picture of one camera: its own video where the browser plays that, else JPEG pictures.

const $ = (id) => document.getElementById(id);
const Source = window.ManagedMediaSource ?? window.MediaSource;

/** Seconds behind the newest picture: where playing aims, where it hurries, where it leaps. */
const [AIM, HURRY, LEAP] = [0.15, 0.45, 1];
/** Seconds of the past that are kept. */
const KEPT = 5;
/** Pieces that may wait for the player: a long group of pictures. More, and the player has stopped. */
const WAITING = 600;
const RETRY_MS = 2000;
const DECODED = "This browser does not play the camera's video; the box decodes pictures of it, ten a second.";

const video = $("live-video");
const image = $("live-image");
let viewer = null;
let prefersPictures = false;

/** Says what is going on over the picture; nothing when it is shown. */
function note(text) {
  $("live-note").hidden = !text;
  $("live-note").textContent = text;
}

function show(element, how, text) {
  for (const one of [video, image]) one.hidden = one !== element;
  $("live-how").hidden = !how;
  $("live-how").textContent = how;
  $("live-hint").textContent = text;
}

/** One attempt to show a camera; ends with stop(). */
class Viewer {
  constructor(key) {
    this.key = key;
    this.queue = [];
    note("Connecting…");
    if (prefersPictures) this.showPictures();
    else this.connect();
  }

  connect() {
    const scheme = location.protocol === "https:" ? "wss:" : "ws:";
    this.socket = new WebSocket(`${scheme}//${location.host}/api/live/${encodeURIComponent(this.key)}/ws`);
    this.socket.binaryType = "arraybuffer";
    this.socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.begin(JSON.parse(data));
      else this.take(data);
    });
    this.socket.addEventListener("close", ({ reason }) => this.socket && this.lost(reason));
  }

  /** The server says what follows. */
  begin({ mime, codec, width, height }) {
    this.mime = mime;
    this.words = `${width} × ${height}, ${codec}`;
    if (mime === "image/jpeg") {
      show(image, "Pictures", `${this.words}, as the camera makes them.`);
    } else if (!Source?.isTypeSupported(mime)) {
      this.showPictures();
    } else if (this.buffer) {
      this.queue.push(mime);
    } else {
      this.play(mime);
    }
  }

  play(mime) {
    this.source = new Source();
    this.source.addEventListener("sourceopen", () => {
      if (this.buffer || this !== viewer) return;
      this.buffer = this.source.addSourceBuffer(mime);
      this.buffer.addEventListener("updateend", () => this.feed());
      this.feed();
    });
    // Safari's managed source wants this.
    video.disableRemotePlayback = true;
    this.url = URL.createObjectURL(this.source);
    video.src = this.url;
    show(video, "Video", "");
    this.timer = setInterval(() => this.measure(), 500);
  }

  take(data) {
    if (this.mime === "image/jpeg") {
      const old = image.src;
      image.src = URL.createObjectURL(new Blob([data], { type: "image/jpeg" }));
      if (old.startsWith("blob:")) URL.revokeObjectURL(old);
      note("");
      return;
    }
    this.queue.push(data);
    if (this.queue.length > WAITING) this.lost("The player has stopped.");
    else this.feed();
  }

  /** Gives the player its next piece, or takes the past from it. */
  feed() {
    const { buffer, source } = this;
    if (!buffer || buffer.updating || source.readyState !== "open") return;
    this.follow();
    const { buffered } = buffer;
    if (buffered.length > 0 && video.currentTime - buffered.start(0) > 2 * KEPT) {
      buffer.remove(0, video.currentTime - KEPT);
      return;
    }
    const next = this.queue.shift();
    if (next === undefined) return;
    try {
      if (typeof next === "string") {
        buffer.changeType(next);
        this.feed();
      } else {
        buffer.appendBuffer(next);
      }
    } catch {
      this.failed();
    }
  }

  /** Stays near the newest picture. */
  follow() {
    const { buffered } = this.buffer;
    if (buffered.length === 0 || video.seeking) return;
    const newest = buffered.end(buffered.length - 1);
    const behind = newest - video.currentTime;
    // While a group comes all at once there is no use in leaping after each piece.
    if (this.queue.length < 3 && (behind > LEAP || video.currentTime < buffered.start(buffered.length - 1))) {
      video.currentTime = Math.max(newest - AIM, buffered.start(buffered.length - 1));
    }
    video.playbackRate = behind > HURRY ? 1.1 : 1;
    if (video.paused) video.play().catch(() => {});
  }

  /** Tells how far behind the picture is. */
  measure() {
    if (!this.buffer || this.buffer.buffered.length === 0) return;
    const { buffered } = this.buffer;
    const behind = Math.max(0, buffered.end(buffered.length - 1) - video.currentTime);
    const wait = `${behind.toFixed(1)} s wait in this browser`;
    $("live-hint").textContent = `${this.words}, straight from the camera; ${wait}.`;
  }

  /** The browser cannot play this video after all. */
  failed() {
    if (this !== viewer) return;
    prefersPictures = true;
    restart();
  }

  showPictures() {
    this.release();
    show(image, "Pictures", DECODED);
    image.src = `/api/live/${encodeURIComponent(this.key)}.mjpeg`;
  }

  /** The stream has ended; it is tried again until the dialog closes. */
  async lost(reason) {
    if (this !== viewer || this.isLost) return;
    this.isLost = true;
    this.release();
    note(`${reason || "The live picture is interrupted."} Trying again…`);
    const answer = await fetch("/api/session", { signal: AbortSignal.timeout(10_000) }).catch(() => null);
    if (answer?.status === 401) location.replace("/login");
    else this.retry = setTimeout(() => this === viewer && restart(), RETRY_MS);
  }

  /** Closes whatever is open; the last picture stays. */
  release() {
    const { socket } = this;
    // One that is closed here is not lost.
    this.socket = null;
    socket?.close();
    clearInterval(this.timer);
    clearTimeout(this.retry);
  }

  stop() {
    viewer = null;
    this.release();
    if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
    if (this.url) URL.revokeObjectURL(this.url);
    video.removeAttribute("src");
    video.load();
    image.removeAttribute("src");
  }
}

let key = null;

function restart() {
  viewer?.stop();
  if (key !== null && !document.hidden) viewer = new Viewer(key);
}

video.addEventListener("error", () => viewer?.buffer && viewer.failed());
video.addEventListener("playing", () => note(""));
image.addEventListener("load", () => note(""));
image.addEventListener("error", () => image.hasAttribute("src") && viewer?.lost(""));
// Nobody looks at a hidden tab.
document.addEventListener("visibilitychange", restart);
$("live").addEventListener("close", () => {
  key = null;
  restart();
});

/** Opens the dialog with the live picture of a camera. */
export function openLive(camera, title) {
  key = camera;
  $("live-title").textContent = title;
  show(null, "", "");
  $("live").showModal();
  restart();
}
