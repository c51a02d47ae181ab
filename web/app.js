// The dashboard. Reads the API once, then keeps itself up to date by server-sent events. Each card of the page has a
// file in page/; `state.js` holds what is known, and the cards draw what they are told has changed.

import { api, giveUp, part } from "./page/api.js";
import * as cameras from "./page/cameras.js";
import { CHANGES } from "./page/changes.js";
import * as contacts from "./page/contacts.js";
import * as dialogs from "./page/dialogs.js";
import { $, say } from "./page/dom.js";
import * as events from "./page/events.js";
import * as gallery from "./page/gallery.js";
import { catchUp, complain, later, load, loadStatus } from "./page/load.js";
import { changed, known, take, watch } from "./page/state.js";
import * as storage from "./page/storage.js";
import * as targets from "./page/targets.js";
import * as top from "./page/top.js";
import { Stream } from "./stream.js";

/** A page that could not begin tries again after this. */
const RETRY_MS = 5000;
/** The page is read without the stream when that lets us wait longer. */
const STREAM_MS = 1000;
/** Edges, ages and free space move without events of their own. */
const REFRESH_MS = 60_000;
/** They open at once, also when the box is frozen or gone by then. */
const LATER = ["picture", "settings", "tryout"];

/** Begins to listen. Resolves once the stream is there, or has let us wait. */
function listen() {
  return new Promise((resolve) => {
    setTimeout(resolve, STREAM_MS);
    const stream = new Stream({
      // Before the counts were read once there is nothing to keep up to date.
      event: (name, data) => take(() => known.status && CHANGES[name](data)),
      state(state) {
        known.link = state;
        known.heard = stream.heard;
        if (state === "frozen") giveUp();
        if (state === "open") resolve();
        changed("link");
      },
      // api() leads to the log-in page when the session is over.
      refused: () => api("/api/session").catch(() => {}),
    });
  });
}

/** Shows what this visitor may have. */
function admit({ access, kind }) {
  const isPerson = kind === "session";
  $("open").hidden = access !== "loopback";
  $("new-token").hidden = access === "loopback";
  $("log-out").hidden = !isPerson;
  $("change-password").hidden = !isPerson;
  $("no-password").hidden = isPerson;
  $("new-token").querySelector(".token-password").hidden = !isPerson;
}

async function openSettings() {
  $("settings").showModal();
  try {
    await (await part("/page/settings.js")).refresh();
  } catch (error) {
    say($("new-token").querySelector("[role=status]"), error.message, "bad");
  }
}

async function logOut() {
  await api("/api/logout", "POST");
  location.replace("/login");
}

let listening = null;

async function begin() {
  try {
    // First listen, then read, so that nothing is missed in between.
    listening ??= listen();
    known.session = await api("/api/session");
    admit(known.session);
    await listening;
    await load();
    for (const name of LATER) part(`/page/${name}.js`).catch(() => {});
  } catch (error) {
    complain(error);
    setTimeout(begin, RETRY_MS);
  }
}

for (const card of [top, cameras, gallery, targets, contacts, storage, events, dialogs]) card.begin();
watch(["status"], () => {
  $("demo").hidden = !known.status.demo;
  if (known.status.analysis) part("/page/plates.js").then((plates) => plates.begin()).catch(complain);
  if (known.status.devices.length > 0) part("/page/devices.js").then((devices) => devices.begin()).catch(complain);
});
$("open-settings").addEventListener("click", openSettings);
$("log-out").addEventListener("click", later(logOut));
setInterval(() => document.hidden || loadStatus().catch(() => {}), REFRESH_MS);
document.addEventListener("visibilitychange", catchUp);
begin();
