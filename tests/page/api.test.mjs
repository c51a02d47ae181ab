// Every request ends, with an answer or with words for a person.

import assert from "node:assert/strict";
import { afterEach, mock, test } from "node:test";

import { api, giveUp, Refused } from "../../web/page/api.js";
import { known } from "../../web/page/state.js";

const places = [];
globalThis.location = { replace: (place) => places.push(place) };

/** Answers each request with what `answer` says; returns the requests. */
function server(answer) {
  const asked = [];
  globalThis.fetch = async (path, options) => {
    asked.push({ path, ...options });
    return answer(options);
  };
  return asked;
}

const json = (status, body) => new Response(JSON.stringify(body), { status });
const silence = ({ signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

afterEach(() => {
  mock.timers.reset();
  known.session = null;
  places.length = 0;
});

async function refusal(promise) {
  const error = await promise.then(() => assert.fail("it was answered"), (refused) => refused);
  assert.ok(error instanceof Refused, String(error));
  return [error.code, error.message];
}

test("a question has no token and no body, a deed has both", async () => {
  known.session = { csrf_token: "secret" };
  const asked = server(() => json(200, { fine: true }));
  assert.deepEqual(await api("/api/status"), { fine: true });
  await api("/api/events/seen", "POST", { up_to: 3 });
  assert.deepEqual([asked[0].headers, asked[0].body], [{}, undefined]);
  assert.deepEqual(asked[1].headers, { "X-CSRF-Token": "secret", "Content-Type": "application/json" });
  assert.equal(asked[1].body, '{"up_to":3}');
});

test("an answer without content is null", async () => {
  server(() => new Response(null, { status: 204 }));
  assert.equal(await api("/api/logout", "POST"), null);
});

test("the server's refusal is told in its own words", async () => {
  server(() => json(409, { error: { code: "upload_owed", message: "it is not delivered" } }));
  assert.deepEqual(await refusal(api("/x")), ["upload_owed", "It is not delivered."]);
  server(() => new Response("<html>", { status: 502 }));
  assert.deepEqual(await refusal(api("/x")), [undefined, "The server answered 502."]);
});

test("whoever is logged out is led to the log-in page", async () => {
  server(() => json(401, {}));
  assert.equal((await refusal(api("/x")))[0], "unauthorized");
  assert.deepEqual(places, ["/login"]);
});

test("a server that is not there is said", async () => {
  server(() => Promise.reject(new TypeError("failed to fetch")));
  const [code, words] = await refusal(api("/x"));
  assert.equal(code, "unreachable");
  assert.match(words, /cannot be reached/);
});

test("a silent server is given up after 10 s, and after 60 s where a camera or the disk is waited for", async () => {
  for (const [path, limit] of [["/api/status", 10_000], ["/api/capture/r1", 60_000], ["/api/uploads/test/api", 60_000]]) {
    mock.timers.enable({ apis: ["setTimeout"] });
    server(silence);
    let ended = false;
    const asked = refusal(api(path)).finally(() => {
      ended = true;
    });
    mock.timers.tick(limit - 1);
    await new Promise(setImmediate);
    assert.equal(ended, false, path);
    mock.timers.tick(1);
    assert.match((await asked)[1], /does not answer/);
    mock.timers.reset();
  }
});

test("all that waits for a frozen box ends at once", async () => {
  mock.timers.enable({ apis: ["setTimeout"] });
  server(silence);
  const all = [refusal(api("/a")), refusal(api("/b"))];
  giveUp();
  assert.deepEqual((await Promise.all(all)).map(([code]) => code), ["timeout", "timeout"]);
});
