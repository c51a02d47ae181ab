// Requests to the server. Each ends, with an answer or with words for a person.

import { known } from "./state.js";
import { sentence } from "./words.js";

/** A request that has no answer by then has failed; one that waits for a camera or the disk may take longer. */
const LIMIT_MS = 10_000;
const LONG_LIMIT_MS = 60_000;
const LONG = /^\/api\/(capture|cleanup|gpio|uploads\/test)\//;

const SLOW = "the server does not answer; it may be frozen or out of reach";
const UNREACHABLE = "the server cannot be reached; check that it runs and that you are on its network";

/** Why there is no good answer. The message is a sentence. */
export class Refused extends Error {
  constructor(code, message) {
    super(sentence(message));
    this.code = code;
  }
}

/** Requests under way; when the box is frozen they end at once. */
const underWay = new Set();

/** Ends all requests that wait for a box which is frozen. */
export function giveUp() {
  for (const abort of underWay) abort.abort();
}

export const fileUrl = (name) => `/api/images/${encodeURIComponent(name)}`;

/** The answer's JSON; null when there is none. */
export async function api(path, method = "GET", body = undefined) {
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), LONG.test(path) ? LONG_LIMIT_MS : LIMIT_MS);
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
  const text = body === undefined ? undefined : JSON.stringify(body);
  const response = await fetch(path, { method, headers, signal, body: text }).catch(() => {
    if (signal.aborted) throw new Refused("timeout", SLOW);
    throw new Refused("unreachable", UNREACHABLE);
  });
  if (response.status === 401) {
    location.replace("/login");
    throw new Refused("unauthorized", "you have been logged out");
  }
  const answer = await response.json().catch(() => null);
  if (signal.aborted) throw new Refused("timeout", SLOW);
  if (!response.ok) {
    throw new Refused(answer?.error?.code, answer?.error?.message ?? `the server answered ${response.status}`);
  }
  return answer;
}

/** A part of the page that is loaded when it is first wanted. */
export async function part(path) {
  let timer;
  const silence = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Refused("timeout", SLOW)), LIMIT_MS);
  });
  const loaded = import(path).catch(() => {
    throw new Refused("unreachable", UNREACHABLE);
  });
  try {
    return await Promise.race([loaded, silence]);
  } finally {
    clearTimeout(timer);
  }
}
