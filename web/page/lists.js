// Lists that change while somebody works with them.

/** Of each list: of each key its element, and what it shows as text. */
const lists = new WeakMap();

/**
 * Makes the children of `list` show `items`, in this order. An element is made once for its key
 * and stays while the key does, so the keyboard focus, an open menu and a selection survive; `fill(element, item)` runs
 * only when the item is another than last time, so items carry everything that is shown.
 */
export function showList(list, items, { key = (item) => item.key, make, fill = () => {} }) {
  const before = lists.get(list) ?? new Map();
  const after = new Map();
  // A time of today is said without its day, so tomorrow it is another text.
  const today = new Date().toDateString();
  for (const item of items) {
    let name = key(item);
    while (after.has(name)) name = `${name}+`;
    const text = JSON.stringify([item, today]);
    const { element, shown } = before.get(name) ?? { element: make(item), shown: null };
    if (shown !== text) fill(element, item);
    after.set(name, { element, shown: text });
  }
  lists.set(list, after);
  const wanted = [...after.values()].map(({ element }) => element);
  place(list, wanted);
}

/** Moves as little as possible, and keeps the focus where a move would take it. */
function place(list, wanted) {
  const stays = new Set(wanted);
  for (const child of [...list.children]) if (!stays.has(child)) child.remove();
  const focused = list.ownerDocument?.activeElement;
  let at = list.firstElementChild;
  for (const element of wanted) {
    if (element === at) at = at.nextElementSibling;
    else list.insertBefore(element, at);
  }
  if (focused && focused !== list.ownerDocument.activeElement && list.contains(focused)) focused.focus();
}

/** The element of a key, if it is shown. */
export const elementOf = (list, key) => lists.get(list)?.get(key)?.element ?? null;
