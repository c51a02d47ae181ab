// Reads the API into what is known.

import { api, Refused } from "./api.js";
import { $, say } from "./dom.js";
import { changed, joined, known, read } from "./state.js";

const PAGE = 24;
const EVENTS_PAGE = 10;
/** The counts are read anew so often at most, however many events come. */
const PAUSE_MS = 1000;

export const loadStatus = () => read(() => Promise.all([api("/api/status"), api("/api/stats")]), ([status, stats]) => {
  Object.assign(known, { status, stats, skew: Date.parse(status.clock.now) - Date.now() });
  $("lost").hidden = true;
  changed("status");
});

let timer = 0;
let isBehind = false;

/** Reads the counts anew, soon. A page that nobody sees does it when it is seen. */
export function statusSoon() {
  isBehind = document.hidden;
  if (isBehind || timer) return;
  timer = setTimeout(() => {
    timer = 0;
    loadStatus().catch(() => {});
  }, PAUSE_MS);
}

/** For a page that is seen again. */
export function catchUp() {
  if (!document.hidden && isBehind) loadStatus().catch(() => {});
}

export function loadImages(more = false) {
  const query = new URLSearchParams({ ...known.filter, limit: PAGE });
  if (more) query.set("cursor", known.imagesNext);
  return read(() => api(`/api/images?${query}`), (page) => {
    known.images = joined(more ? known.images : [], page.images, "filename");
    known.imagesNext = page.next_cursor;
    known.shown = known.images.find((one) => one.filename === known.shown?.filename) ?? known.shown;
    changed("images", "shown");
  });
}

export function loadEvents(more = false) {
  const query = new URLSearchParams({ outcome: known.onlyFailed ? "failed" : "", limit: EVENTS_PAGE });
  if (more) query.set("cursor", known.eventsNext);
  return read(() => api(`/api/events?${query}`), (page) => {
    known.events = joined(more ? known.events : [], page.events, "id");
    known.eventsNext = page.next_cursor;
    changed("events");
  });
}

export async function load() {
  await loadStatus();
  await Promise.all([loadImages(), loadEvents()]);
}

/** Says at the top what went wrong; it is tried again by itself. */
export function complain(error) {
  if (error.code === "unauthorized") return;
  if (!(error instanceof Refused)) console.error(error);
  say($("lost"), `${error.message} Trying again…`);
}

/** A listener that reads something. */
export const later = (act) => () => act().catch(complain);
