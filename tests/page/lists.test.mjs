// A list that changes keeps its elements: whoever has the focus, a menu or a selection in one keeps it.

import assert from "node:assert/strict";
import { test } from "node:test";

import { elementOf, showList } from "../../web/page/lists.js";

/** As much of a document as a list needs; a child that is moved loses the focus, as in a browser. */
class List {
  constructor() {
    this.children = [];
    this.moves = [];
    this.ownerDocument = { activeElement: null };
  }

  get firstElementChild() {
    return this.children[0] ?? null;
  }

  contains(element) {
    return this.children.includes(element);
  }

  insertBefore(element, at) {
    if (this.contains(element)) element.remove();
    this.children.splice(at ? this.children.indexOf(at) : this.children.length, 0, element);
    this.moves.push(element.name);
  }

  element(name) {
    const list = this;
    return {
      name,
      text: "",
      remove() {
        list.children.splice(list.children.indexOf(this), 1);
        if (list.ownerDocument.activeElement === this) list.ownerDocument.activeElement = null;
      },
      focus() {
        list.ownerDocument.activeElement = this;
      },
      get nextElementSibling() {
        return list.children[list.children.indexOf(this) + 1] ?? null;
      },
    };
  }
}

function shown() {
  const list = new List();
  const counts = { made: 0, filled: 0 };
  const show = (...items) => showList(list, items.map((item) => (typeof item === "string" ? { key: item } : item)), {
    make({ key }) {
      counts.made += 1;
      return list.element(key);
    },
    fill(element, { text }) {
      counts.filled += 1;
      element.text = text;
    },
  });
  const names = () => list.children.map((child) => child.name).join("");
  return { list, counts, show, names };
}

test("an element is made once for its key and drawn anew only when its item changed", () => {
  const { list, counts, show } = shown();
  show({ key: "a", text: "1" }, { key: "b", text: "1" });
  const [a] = list.children;
  show({ key: "a", text: "1" }, { key: "b", text: "2" });
  assert.deepEqual(counts, { made: 2, filled: 3 });
  assert.equal(list.children[0], a);
  assert.equal(elementOf(list, "b").text, "2");
});

test("new ones come, old ones go, and nothing else moves", () => {
  const { list, show, names } = shown();
  show("b", "d");
  list.moves = [];
  show("a", "b", "c", "d", "e");
  assert.deepEqual([names(), list.moves], ["abcde", ["a", "c", "e"]]);
  list.moves = [];
  show("b", "e");
  assert.deepEqual([names(), list.moves], ["be", []]);
  show();
  assert.deepEqual([names(), elementOf(list, "b")], ["", null]);
});

test("another order keeps the focus", () => {
  const { list, show, names } = shown();
  show("a", "b", "c");
  const c = list.children[2];
  c.focus();
  show("c", "a", "b");
  assert.equal(names(), "cab");
  assert.equal(list.ownerDocument.activeElement, c);
});

test("two items of one key are both shown", () => {
  const { show, names } = shown();
  show("a", "a", "b");
  assert.equal(names(), "aab");
});

test("what was in the list before it was one goes", () => {
  const { list, show, names } = shown();
  list.children.push(list.element("x"));
  show("a");
  assert.equal(names(), "a");
});
