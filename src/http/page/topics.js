// Topics: a tree of what was delivered.

/** So many topics are shown; a page that holds more would be the slow one. */
const MOST_TOPICS = 250_000;
/** So much of a message is kept, in UTF-16; more of the one that is looked at. */
const KEPT = 2048;

const topics = new Map();
const root = { children: new Map(), sorted: [], isSorted: true, depth: -1, isOpen: true, below: 0 };
let generation = 0;
let unshown = 0;
let hasChosen = false;

function place(topic) {
  const names = topic.split("/");
  if (names[0] === "" && names.length > 1) names.splice(0, 2, "/" + names[1]);
  let node = root;
  for (const name of names) {
    node.children ??= new Map();
    let child = node.children.get(name);
    if (!child) {
      child = {
        name, parent: node, depth: node.depth + 1, children: null, sorted: null, isSorted: true,
        isOpen: false, below: 0, topic: null, text: "", length: 0, at: 0, isOld: false, seen: 0,
        path: node === root ? name : `${node.path}/${name}`, row: -1,
      };
      node.children.set(name, child);
      (node.sorted ??= []).push(child);
      node.isSorted = false;
    }
    node = child;
  }
  return node;
}

/** Takes a message in. */
function take(topic, text, isStored) {
  let node = topics.get(topic);
  if (!node) {
    if (topics.size >= MOST_TOPICS) { unshown += 1; grid.redraw(); return; }
    topic = copy(topic);
    node = place(topic);
    node.topic = topic;
    topics.set(topic, node);
    if (panel.node?.path === topic) panel.choose(node);
    for (let above = node; above; above = above.parent) above.below += 1;
    grid.restructure();
  }
  node.isOld = isStored;
  node.seen = generation;
  node.at = performance.now();
  node.length = text.length > KEPT ? bytesOf(text) : 0;
  node.text = text.length > KEPT ? copy(text.slice(0, KEPT)) : text;
  if (node === panel.node) panel.changed(text);
  grid.redraw();
}

/** Forgets the value of a topic, and the places above it that lead nowhere else. */
function forget(topic) {
  const node = topics.get(topic);
  if (!node) return;
  topics.delete(topic);
  node.topic = null;
  node.text = "";
  for (let above = node; above; above = above.parent) above.below -= 1;
  for (let at = node; at !== root && at.below === 0; at = at.parent) {
    const { parent } = at;
    parent.children.delete(at.name);
    parent.isSorted = false;
    if (parent.children.size === 0 && parent !== root) {
      Object.assign(parent, { children: null, sorted: null, isSorted: true, isOpen: false });
    }
  }
  if (node === panel.node) panel.gone();
  grid.restructure();
}

function forgetAll(isWanted) {
  for (const [topic, node] of [...topics]) if (isWanted(node)) forget(topic);
}

function childrenOf(node) {
  if (!node.isSorted) {
    if (node.sorted.length !== node.children.size) node.sorted = [...node.children.values()];
    node.sorted.sort((a, b) => (a.name < b.name ? -1 : 1));
    node.isSorted = true;
  }
  return node.sorted ?? [];
}

/** Opens what fits on a screen, until somebody has opened or closed something. */
function openSome() {
  if (hasChosen) return;
  let level = childrenOf(root);
  let shown = level.length;
  while (level.length) {
    const inner = level.filter((node) => node.children);
    const next = inner.flatMap(childrenOf);
    if (shown + next.length > 40) break;
    for (const node of inner) node.isOpen = true;
    shown += next.length;
    level = next;
  }
  grid.restructure();
}

/** The rows that there are, top to bottom: what is open, or all that a search finds. */
function listRows(words) {
  const found = [];
  const tests = words.map((word) =>
    new RegExp(word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "iu"));
  const isFound = (node) => node.topic !== null
    && tests.every((test) => test.test(node.topic) || test.test(node.text));
  const waiting = [...childrenOf(root)].reverse();
  while (waiting.length) {
    const node = waiting.pop();
    if (tests.length === 0 || isFound(node)) { node.row = found.length; found.push(node); }
    if (node.children && (node.isOpen || tests.length)) {
      const children = childrenOf(node);
      for (let at = children.length - 1; at >= 0; at -= 1) waiting.push(children[at]);
    }
  }
  return found;
}
