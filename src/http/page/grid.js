// The grid: only the rows that are seen are elements.

const grid = (() => {
  const tree = byId("tree");
  const body = byId("rows");
  const space = byId("space");
  const pool = [];
  let rows = [];
  let words = [];
  let cursor = null;
  let height = 26;
  let isDirty = true;
  let isPlanned = false;
  let notBefore = 0;

  function plan() {
    if (isPlanned || document.hidden) return;
    isPlanned = true;
    requestAnimationFrame(draw);
  }

  function makeRow(at) {
    const row = element("div", { class: "row", role: "row", id: `row-${at}` });
    const cell = (kind) => row.appendChild(element("span", { class: kind, role: "gridcell" }));
    const name = cell("name");
    const twist = name.appendChild(element("span", { class: "twist", "aria-hidden": "true" }));
    const label = name.appendChild(element("bdi"));
    const below = name.appendChild(element("span", { class: "below" }));
    const text = cell("text");
    const [size, age] = [cell("size"), cell("age")];
    const shown = { row, twist, label, below, text, size, age, node: null };
    text.dir = "ltr";
    row.addEventListener("click", (event) => clicked(shown.node, event.target === twist));
    return shown;
  }

  function age(node, now) {
    const passed = duration((now - node.at) / 1000);
    return node.isOld ? `> ${passed}` : passed;
  }

  function set(node, name, value) {
    if (value === null) node.removeAttribute(name);
    else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
  }

  function fill(shown, node, at, now) {
    const { row } = shown;
    const isOther = shown.node !== node;
    shown.node = node;
    show(row, true);
    set(row, "aria-rowindex", at + 2);
    set(row, "aria-selected", node === panel.node);
    row.classList.toggle("cursor", node === cursor);
    const isInner = node.children !== null && words.length === 0;
    set(row, "aria-expanded", isInner ? node.isOpen : null);
    set(row, "aria-level", words.length ? 1 : node.depth + 1);
    if (isOther || shown.words !== words) {
      row.style.setProperty("--depth", words.length ? 0 : node.depth);
      put(shown.label, visible(words.length ? node.topic : node.name));
    }
    const inside = node.below - (node.topic === null ? 0 : 1);
    put(shown.below, isInner ? count(inside) : "");
    const isFresh = node.topic !== null && !node.isOld && now - node.at < 900;
    row.classList.toggle("fresh", isFresh);
    row.classList.toggle("stale", node.topic !== null && node.seen !== generation);
    if (isOther || shown.of !== node.text) {
      put(shown.text, visible(node.text.slice(0, 240)));
      put(shown.size, node.topic === null ? "" : size(node.length || bytesOf(node.text)));
      shown.of = node.text;
    }
    put(shown.age, node.topic === null ? "" : age(node, now));
    shown.words = words;
  }

  function draw() {
    isPlanned = false;
    const now = performance.now();
    if (isDirty && now >= notBefore) {
      isDirty = false;
      if (!hasChosen && words.length === 0 && topics.size < 200 && line.isComplete()) openSome();
      rows = listRows(words);
      isDirty = false;
      // Where this takes long it is done seldom: at most a fifth of the time is spent here.
      notBefore = performance.now() + 4 * (performance.now() - now);
      set(tree, "aria-rowcount", rows.length + 1);
    }
    note();
    space.style.height = `${rows.length * height}px`;
    const head = tree.firstElementChild.offsetHeight;
    const first = Math.max(0, Math.floor(tree.scrollTop / height) - 3);
    const most = Math.ceil((tree.clientHeight - head) / height) + 6;
    const shownRows = rows.slice(first, first + most);
    while (pool.length < shownRows.length) {
      pool.push(makeRow(pool.length));
      body.append(pool.at(-1).row);
    }
    body.style.transform = `translateY(${first * height}px)`;
    pool.forEach((shown, at) => {
      const node = shownRows[at];
      if (node) fill(shown, node, first + at, now);
      else { show(shown.row, false); shown.node = null; }
    });
    const active = pool.find((shown) => shown.node !== null && shown.node === cursor);
    set(tree, "aria-activedescendant", active ? active.row.id : null);
    if (isDirty) setTimeout(plan, Math.max(0, notBefore - performance.now()));
  }

  function note() {
    const found = words.length ? `${WHOLE.format(rows.length)} of ` : "";
    const isLoading = line.isLive() && !line.isComplete() ? ", loading" : "";
    put(byId("topics-count"), found + WHOLE.format(topics.size) + isLoading);
    const missing = unshown
      ? `This page shows ${WHOLE.format(MOST_TOPICS)} topics and there are more; choose a part of `
        + "the tree with the filter." : "";
    notice(byId("topics-notice"), line.refusal() || missing || line.limited() || empty(),
      line.refusal() !== "");
  }

  function empty() {
    if (words.length && rows.length === 0 && topics.size) return "Nothing found.";
    if (line.isComplete() && topics.size === 0) return "No topic holds a value yet.";
    return "";
  }

  const isThere = (node) => node !== null && rows[node.row] === node;

  function reveal(node) {
    const head = tree.firstElementChild.offsetHeight;
    const top = node.row * height;
    const room = tree.clientHeight - head;
    if (top < tree.scrollTop) tree.scrollTop = top;
    else if (top + height > tree.scrollTop + room) tree.scrollTop = top + height - room;
  }

  function choose(node) {
    cursor = node;
    panel.choose(node);
    reveal(node);
    plan();
  }

  function toggle(node, isOpen = !node.isOpen) {
    if (node.children === null || words.length || node.isOpen === isOpen) return;
    hasChosen = true;
    node.isOpen = isOpen;
    isDirty = true;
    notBefore = 0;
    plan();
  }

  function clicked(node, isTwist) {
    if (!node) return;
    if (isTwist || (node.topic === null && node.children)) toggle(node);
    choose(node);
  }

  function key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || rows.length === 0) return;
    const here = isThere(cursor) ? cursor.row : -1;
    const page = Math.max(1, Math.floor(tree.clientHeight / height) - 2);
    const go = (to) => choose(rows[Math.min(rows.length - 1, Math.max(0, to))]);
    const keys = {
      ArrowDown: () => go(here + 1),
      ArrowUp: () => go(here < 0 ? 0 : here - 1),
      PageDown: () => go(here + page),
      PageUp: () => go(here - page),
      Home: () => go(0),
      End: () => go(rows.length - 1),
      ArrowRight: () => {
        if (here < 0) go(0);
        else if (cursor.children && !cursor.isOpen) toggle(cursor, true);
        else if (cursor.children && words.length === 0) go(here + 1);
      },
      ArrowLeft: () => {
        if (here < 0) go(0);
        else if (cursor.children && cursor.isOpen && words.length === 0) toggle(cursor, false);
        else if (isThere(cursor.parent)) choose(cursor.parent);
      },
      Enter: () => { if (here >= 0) toggle(cursor); },
      " ": () => { if (here >= 0) toggle(cursor); },
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  tree.addEventListener("keydown", key);
  tree.addEventListener("scroll", plan, { passive: true });
  tree.addEventListener("focus", () => {
    if (!isThere(cursor) && rows.length && tree.matches(":focus-visible")) choose(rows[0]);
  });
  new ResizeObserver(plan).observe(tree);
  return {
    redraw: plan,
    restructure() { isDirty = true; plan(); },
    search(text) {
      words = text.split(/\s+/).filter(Boolean);
      isDirty = true;
      notBefore = 0;
      tree.scrollTop = 0;
      plan();
    },
    /** Goes there with the keyboard, to rows that are as they should be now. */
    focus() {
      draw();
      tree.focus();
      if (!isThere(cursor) && rows.length) choose(rows[0]);
    },
  };
})();
