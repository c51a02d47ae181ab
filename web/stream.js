// The live events, by one connection for all tabs of a browser: it opens six to a server, and each tab needs some for
// itself. One tab leads: it holds the connection and tells the others by a BroadcastChannel, which unlike Web Locks
// also works on plain http. The others ask for it every few seconds; when it does not answer, one of them takes over. A
// tab that has slept finds a higher term than its own and follows.

/** The server beats every 10 s; two missed beats are no accident. */
const SILENCE_MS = 22_000;
/** A connection that does not come about by then is begun anew. */
const OPEN_MS = 10_000;
/** A lost one is tried again after this. */
const RETRY_MS = 1_500;
/** Followers ask so often whether the leader is there; a leader silent for two questions and a bit is gone. */
const ASK_MS = 2_000;
const GONE_MS = 5_000;
/** A new tab waits so long for the leader's answer. */
const HELLO_MS = 400;
/** Who led last, so that the first tab need not wait. */
const KEY = "camera-capture-stream";

const EVENTS = ["image", "changed", "upload", "trigger", "seen", "deleted", "missing", "alarms", "connectivity",
  "storage", "resync", "clock", "camera", "contact", "contacts"];

/**
 * Keeps up to date. `on.event(name, data)` for each event; `on.state(state)` when the connection changed: `open`,
 * `lost` (closed or refused) or `frozen` (nothing heard for too long); `on.refused()` when the server would not have
 * us.
 */
export class Stream {
  constructor(on) {
    this.on = on;
    this.id = Math.random().toString(36).slice(2);
    this.term = 0;
    this.leads = false;
    this.state = "connecting";
    /** When the server was last heard, and when the leader. */
    this.heard = Date.now();
    this.leaderHeard = Date.now();
    this.channel = "BroadcastChannel" in window ? new BroadcastChannel(KEY) : null;
    this.channel?.addEventListener("message", ({ data }) => this.told(data));
    addEventListener("pagehide", () => this.leave());
    // Back from the browser's memory of pages.
    addEventListener("pageshow", (event) => {
      if (!event.persisted) return;
      this.look();
      this.tell("resync", {});
    });
    document.addEventListener("visibilitychange", () => document.hidden || this.look());
    setInterval(() => this.look(), 1_000);
    if (this.channel && this.wasLedLately()) {
      this.say("who");
      setTimeout(() => !this.leads && this.isAlone && this.lead(), HELLO_MS + Math.random() * HELLO_MS);
      this.isAlone = true;
    } else {
      this.lead();
    }
  }

  /** Whether another tab held the connection a moment ago. */
  wasLedLately() {
    try {
      const { at, term } = JSON.parse(localStorage.getItem(KEY)) ?? {};
      this.term = term ?? 0;
      return Date.now() - at < SILENCE_MS;
    } catch {
      // No storage: whoever is there answers.
      return true;
    }
  }

  remember(at) {
    try {
      localStorage.setItem(KEY, JSON.stringify({ at, term: this.term }));
    } catch {
      // It only saves a new tab half a second.
    }
  }

  say(type, more = {}) {
    this.channel?.postMessage({ type, id: this.id, term: this.term, ...more });
  }

  /** What another tab says. */
  told({ type, id, term, state, age, name, data }) {
    if (type === "who") {
      if (this.leads) this.hello();
    } else if (type === "bye") {
      // Whoever is first takes over.
      if (!this.leads && term >= this.term) setTimeout(() => !this.isLed() && this.lead(), Math.random() * 200);
      if (!this.leads && term >= this.term) this.leaderHeard = 0;
    } else if (term > this.term || (term === this.term && (!this.leads || id < this.id))) {
      // It leads, and we do not.
      if (this.leads) {
        // It may have slept, and missed something.
        this.yield();
        this.tell("resync", {});
      }
      this.term = term;
      this.isAlone = false;
      this.leaderHeard = Date.now();
      if (type === "here") {
        this.heard = Date.now() - age;
        this.turn(state);
      } else if (type === "event") {
        this.heard = Date.now();
        this.turn("open");
        this.tell(name, data);
      } else if (type === "refused") {
        this.on.refused();
      }
    } else if (this.leads) {
      this.hello();
    }
  }

  hello() {
    this.say("here", { state: this.state, age: Date.now() - this.heard });
  }

  isLed() {
    return Date.now() - this.leaderHeard < GONE_MS;
  }

  lead() {
    this.leads = true;
    // Tests look at it, and who wants to know why there is one connection only.
    document.documentElement.dataset.stream = "leads";
    this.isAlone = false;
    this.term += 1;
    this.remember(Date.now());
    this.hello();
    this.connect();
  }

  yield() {
    this.leads = false;
    delete document.documentElement.dataset.stream;
    this.close();
  }

  leave() {
    if (!this.leads) return;
    this.yield();
    this.remember(0);
    this.say("bye");
  }

  close() {
    clearTimeout(this.retry);
    this.source?.close();
    this.source = null;
  }

  connect() {
    this.close();
    const source = new EventSource("/api/stream");
    this.source = source;
    this.retry = setTimeout(() => this.connect(), OPEN_MS);
    const hear = () => {
      this.heard = Date.now();
      this.turn("open");
    };
    source.addEventListener("open", () => {
      clearTimeout(this.retry);
      this.remember(Date.now());
      // What happened before is told to nobody.
      this.say("event", { name: "resync", data: {} });
      this.tell("resync", {});
      hear();
      this.hello();
    });
    source.addEventListener("error", () => {
      if (source !== this.source) return;
      const isRefused = source.readyState === EventSource.CLOSED;
      this.turn("lost");
      this.hello();
      if (isRefused) {
        this.say("refused");
        this.on.refused();
      }
      this.close();
      this.retry = setTimeout(() => this.connect(), isRefused ? 5_000 : RETRY_MS);
    });
    source.addEventListener("beat", () => {
      this.remember(Date.now());
      hear();
      this.hello();
    });
    for (const name of EVENTS) {
      source.addEventListener(name, (event) => {
        const data = JSON.parse(event.data);
        hear();
        this.say("event", { name, data });
        this.tell(name, data);
      });
    }
  }

  tell(name, data) {
    this.on.event(name, data);
  }

  turn(state) {
    if (state === this.state) return;
    this.state = state;
    if (state !== "connecting") this.on.state(state);
  }

  /** Whether nothing was heard for too long, and nobody knows why. */
  isSilent() {
    return Date.now() - this.heard > SILENCE_MS && ["open", "connecting"].includes(this.state);
  }

  /** Each second: is the server silent, is the leader? */
  look() {
    if (this.leads) {
      if (this.isSilent()) {
        this.turn("frozen");
        this.hello();
        this.connect();
      }
      return;
    }
    if (this.isAlone) return;
    if (this.isSilent()) this.turn("frozen");
    if (!this.isLed()) this.lead();
    else if (Date.now() - this.leaderHeard > ASK_MS) this.say("who");
  }
}
