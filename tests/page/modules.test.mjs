// The shape of the page's scripts, as STYLE.md asks for it, and that the page asks for all of them at once.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

const web = new URL("../../web/", import.meta.url);
const read = (name) => readFileSync(new URL(name, web), "utf8");
const page = readdirSync(new URL("page/", web)).map((name) => `page/${name}`);
const scripts = [...readdirSync(web).filter((name) => name.endsWith(".js")), ...page];

test("no file is longer than 250 lines, no line than 120 characters", () => {
  for (const name of scripts) {
    const lines = read(name).trimEnd().split("\n");
    assert.ok(lines.length <= 250, `${name} has ${lines.length} lines`);
    lines.forEach((line, index) => assert.ok([...line].length <= 120, `${name}:${index + 1}`));
  }
});

/** The text without comments, strings and patterns. */
function bare(text) {
  const code = text.replace(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, "").replace(/"(?:\\.|[^"\\\n])*"/g, "s");
  return code.replace(/([(=] ?)\/(?:\\.|\[[^\]]*\]|[^/\\\n])+\//g, "$1p").replace(/\?\.|\?\?=?/g, "");
}

test("no choice is within a choice", () => {
  const nested = /\?[^;{}?]*:[^;{},?]*\?|\?[^;{}?:]*\?[^;{}?]*:/;
  for (const name of scripts) {
    for (const statement of bare(read(name)).split(/;\s*\n|\{\s*\n|,\s*\n|`[^`]*`/)) {
      assert.doesNotMatch(statement, nested, `${name}: ${statement.trim()}`);
    }
  }
});

/** What a script asks for before it runs. */
function imports(name) {
  const base = new URL(name, web);
  const asked = [...read(name).matchAll(/^(?:import|export) .*?from "(\..*?)";|^} from "(\..*?)";/gm)];
  return asked.map(([, one, other]) => new URL(one ?? other, base).href.slice(web.href.length));
}

function closure(name, found = new Set()) {
  for (const one of imports(name).filter((other) => !found.has(other))) closure(one, found.add(one));
  return found;
}

test("the browser asks for every module of the dashboard at once, and for no other", () => {
  const asked = [...read("index.html").matchAll(/rel="modulepreload" href="\/(.*?)"/g)].map(([, name]) => name);
  assert.deepEqual(asked.sort(), [...closure("app.js")].sort());
});

test("no two modules ask for each other", () => {
  for (const name of page) assert.ok(!closure(name).has(name), `${name} comes back to itself`);
});

test("what decides does not know the document", () => {
  for (const name of ["words", "time", "state", "summary"]) {
    const known = closure(`page/${name}.js`);
    assert.ok(!known.has("page/dom.js"), name);
    assert.doesNotMatch(bare(read(`page/${name}.js`)), /\b(document|window|location)\b/, name);
  }
});

test("the events of the stream and the changes of the page are the same", () => {
  const list = /const EVENTS = \[([^\]]*)\]/.exec(read("stream.js"))[1];
  const events = [...list.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  const changes = read("page/changes.js").split("export const CHANGES")[1];
  const handled = [...changes.matchAll(/^ {2}(\w+)[(:]/gm)].map(([, name]) => name);
  assert.deepEqual(handled.sort(), events.sort());
});
