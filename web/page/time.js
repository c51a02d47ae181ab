// Instants and spans in words, in the browser's language and time zone. Nothing here knows the page.

/** The browser's time zone, for the foot of the page. */
export const zone = Intl.DateTimeFormat().resolvedOptions().timeZone || "local time";

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
const date = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });

export const timeOfDay = (ms) => clock.format(ms);
export const fullTime = (ms) => full.format(ms);
export const dateOf = (iso) => date.format(Date.parse(iso));

/** Today only the time, else the day too. */
export function when(ms, today = Date.now()) {
  const time = clock.format(ms);
  return new Date(ms).toDateString() === new Date(today).toDateString() ? time : `${day.format(ms)}, ${time}`;
}

export const since = (iso) => when(Date.parse(iso));

/** The same instant in UTC, for whoever holds the pointer over a time. */
export const inUtc = (iso) => `${iso.replace("T", " ").replace("Z", "")} UTC`;

export function span(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

export const ago = (ms, now) => `${span(Math.max(0, Math.round((now - ms) / 1000)))} ago`;
export const lengthOf = (ms) => `${(ms / 1000).toFixed(1)} s`;
export const signed = (ms) => `${ms < 0 ? "−" : "+"}${Math.abs(ms)} ms`;
