// The settings: the password, who is logged in, tokens for programs.

import { api } from "./api.js";
import { ask } from "./dialogs.js";
import { $, make, press, say } from "./dom.js";
import { showList } from "./lists.js";
import { known, now } from "./state.js";
import { dateOf, since } from "./time.js";
import { SCOPE } from "./words.js";

const NO_TOKEN = { id: null, secret: "" };

/** Made last: its secret leaves the page with it, or with the dialog. */
let fresh = NO_TOKEN;

/** Until when a token is good. */
function tokenEnd({ expires_at: end }, at) {
  if (!end) return "does not end";
  return Date.parse(end) <= at ? "has ended" : `until ${dateOf(end)}`;
}

export function tokenWords(token, at) {
  const prefix = token.prefix ? ` (${token.prefix}…)` : "";
  const used = token.last_used_at ? `last used ${since(token.last_used_at)}` : "not used yet";
  return `${token.name}${prefix}: ${SCOPE[token.scope]}, ${tokenEnd(token, at)}, ${used}`;
}

const who = (session) => `${session.browser || "A browser"}, ${session.from ?? "from an unknown address"}`;

export function sessionWords(session) {
  const seen = session.current ? "this is you" : `last seen ${since(session.last_seen_at)}`;
  return `${who(session)}: since ${since(session.created_at)}, ${seen}`;
}

const tokenSaid = () => $("new-token").querySelector("[role=status]");

function tokenNote(text, kind = "", token = NO_TOKEN) {
  fresh = token;
  say(tokenSaid(), text, kind);
  $("new-secret").hidden = !token.secret;
  $("new-secret").querySelector(".secret").textContent = token.secret;
}

/** A text, and a button beside it unless it has no word. */
function row({ word, name }, act) {
  const item = make("li", {}, make("span"));
  if (!word) return item;
  const button = make("button", { type: "button", textContent: word });
  button.setAttribute("aria-label", `${word} ${name}`);
  button.addEventListener("click", act);
  item.append(" ", button);
  return item;
}

const fillRow = (item, { text }) => {
  item.firstElementChild.textContent = text;
};

async function revoke({ key, name }) {
  if (!(await ask(`Revoke ${name}?`, "Its program is refused from now on.", "Revoke", "Keep it"))) return;
  try {
    await api(`/api/tokens/${key}`, "DELETE");
    if (fresh.id === key) tokenNote("");
  } catch (error) {
    tokenNote(error.message, "bad");
  }
  await loadTokens();
}

async function loadTokens() {
  try {
    const { tokens } = await api("/api/tokens");
    const items = tokens.map((token) =>
      ({ key: token.id, word: "Revoke", name: token.name, text: tokenWords(token, now()) }));
    showList($("tokens"), items, { make: (item) => row(item, () => revoke(item)), fill: fillRow });
  } catch (error) {
    tokenNote(error.message, "bad");
  }
}

async function makeToken(event) {
  event.preventDefault();
  const { name, scope, expires, password } = event.target.elements;
  const days = expires.value ? Number(expires.value) : null;
  const wish = { name: name.value, scope: scope.value, expires_in_days: days };
  if (password.value) wish.password = password.value;
  try {
    const made = await api("/api/tokens", "POST", wish);
    event.target.reset();
    tokenNote("Copy it into the program; it is not shown again:", "ok", { id: made.id, secret: made.token });
    await loadTokens();
  } catch (error) {
    tokenNote(error.message, "bad");
  }
  password.value = "";
}

async function copySecret() {
  try {
    await navigator.clipboard.writeText(fresh.secret);
    $("copy-secret").textContent = "Copied";
    setTimeout(() => {
      $("copy-secret").textContent = "Copy";
    }, 2000);
  } catch {
    // Browsers give the clipboard to https only: select it, to be copied by hand.
    getSelection().selectAllChildren($("new-secret").querySelector(".secret"));
  }
}

async function endSession(path, method) {
  try {
    await api(path, method);
    say($("sessions-note"), "");
  } catch (error) {
    say($("sessions-note"), error.message, "bad");
  }
  await loadSessions();
}

async function loadSessions() {
  $("sessions-part").hidden = known.session?.kind !== "session";
  if ($("sessions-part").hidden) return;
  try {
    const { sessions } = await api("/api/sessions");
    $("end-others").hidden = sessions.length < 2;
    const items = sessions.map((one) =>
      ({ key: one.id, word: one.current ? "" : "End", name: who(one), text: sessionWords(one) }));
    const end = ({ key }) => endSession(`/api/sessions/${key}`, "DELETE");
    showList($("sessions"), items, { make: (item) => row(item, () => end(item)), fill: fillRow });
  } catch (error) {
    say($("sessions-note"), error.message, "bad");
  }
}

async function changePassword(event) {
  event.preventDefault();
  const form = event.target;
  const note = form.querySelector("[role=status]");
  const { current, new: wanted, again } = form.elements;
  if (wanted.value !== again.value) {
    say(note, "The two new passwords differ.", "bad");
    again.select();
    return;
  }
  const change = async () => {
    const body = { current: current.value, new: wanted.value };
    known.session.csrf_token = (await api("/api/password", "POST", body)).csrf_token;
    form.reset();
    say(note, "The password is changed. Everyone else has been logged out.", "ok");
  };
  await press(form.querySelector("button"), change, (error) => say(note, error.message, "bad"));
}

/** Reads what the dialog shows. */
export const refresh = () => Promise.all([loadTokens(), loadSessions()]);

// Once: a module is run once, however often it is asked for.
$("change-password").addEventListener("submit", changePassword);
$("new-token").addEventListener("submit", makeToken);
$("copy-secret").addEventListener("click", copySecret);
$("settings").addEventListener("close", () => tokenNote(""));
$("end-others").addEventListener("click", () => endSession("/api/sessions/end-others", "POST"));
