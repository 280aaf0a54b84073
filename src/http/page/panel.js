// The value that is looked at.

const panel = (() => {
  const CUT = 16_384;
  const MOST = 8 * 1024 * 1024;
  const KINDS = {
    json: { accept: "application/json", pretty: prettyJson },
    xml: { accept: "application/xml", pretty: prettyXml },
    python: { accept: "application/json", query: "&exact=true", pretty: prettyPython },
  };
  let node = null;
  let kind = "json";
  /** The whole message, if it is known. */
  let whole = null;
  let isAll = false;
  let timer = 0;
  let asked = 0;
  let isAsking = false;
  let note = "";
  let isStale = false;

  function plan(wait) {
    if (timer === 0) timer = setTimeout(() => { timer = 0; refresh(); }, wait);
  }

  /** So many characters fit on a line. */
  const columns = () => Math.max(32, Math.floor((byId("value").clientWidth - 36) / 7.3));

  /** Shows a message, and perhaps a remark. */
  function write(text, remark = "") {
    let shown;
    try {
      shown = text.length > MOST ? visibleLines(text.slice(0, MOST))
        : KINDS[kind].pretty(text, columns());
    } catch {
      shown = visibleLines(text);
    }
    const isCut = !isAll && shown.length > CUT;
    put(byId("value-text"), isCut ? shown.slice(0, CUT) : shown);
    byId("value-text").setAttribute("aria-busy", "false");
    show(byId("value-text"), true);
    show(byId("value-more"), isCut);
    if (isCut) {
      put(byId("value-cut"), `The first ${count(CUT)} of ${count(shown.length)} characters.`);
    }
    facts(remark);
  }

  function facts(remark = "") {
    note = remark;
    if (!node) return;
    if (node.topic === null) {
      const inside = plural(node.below, "topic");
      put(byId("value-facts"), node.below ? `No value itself; ${inside} below.` : "No value.");
      return;
    }
    const passed = duration((performance.now() - node.at) / 1000);
    const when = node.isOld ? `stored, older than ${passed}` : `${passed} ago`;
    const bytes = node.length || bytesOf(node.text);
    put(byId("value-facts"), `${size(bytes)} as JSON, ${when}${note ? `. ${note}` : ""}`);
  }

  async function refresh() {
    if (!node || node.topic === null) return;
    const isHere = kind === "json" && (node.length === 0 || whole !== null);
    if (isHere) { write(whole ?? node.text); return; }
    if (isAsking) { isStale = true; return; }
    isAsking = true;
    isStale = false;
    const [of, as] = [node, kind];
    const { accept, query = "" } = KINDS[as];
    try {
      const path = `/api/v1/value?topic=${encodeURIComponent(of.topic)}${query}`;
      const text = await (await api(path, { headers: { Accept: accept } })).text();
      if (of === node && as === kind) write(text);
    } catch (error) {
      if (of === node && as === kind) failed(error);
    } finally {
      isAsking = false;
      if (isStale || of !== node || as !== kind) plan(of === node && as === kind ? 300 : 0);
    }
  }

  function failed(error) {
    const text = whole ?? (node.length === 0 ? node.text : null);
    if (error.status === 404 && kind !== "xml" && text !== null) {
      write(text, "It was not retained: this is what a consumer of JSON got.");
      return;
    }
    const isGone = error.status === 404;
    put(byId("value-text"), "");
    show(byId("value-text"), false);
    show(byId("value-more"), false);
    facts(isGone ? "It was not retained, so the broker cannot write it in another format."
      : error.message);
  }

  byId("view").addEventListener("change", (event) => {
    kind = event.target.value;
    isAll = false;
    refresh();
  });
  byId("value-all").addEventListener("click", () => { isAll = true; refresh(); });
  return {
    get node() { return node; },
    choose(chosen) {
      if (chosen === node) return;
      [node, whole, isAll] = [chosen, null, false];
      asked = 0;
      byId("value-text").setAttribute("aria-busy", "true");
      put(byId("value-topic"), visible(node.path));
      const field = byId("publish-topic");
      if (!field.dataset.typed) field.value = node.path;
      if (node.topic === null) {
        show(byId("value-text"), false);
        show(byId("value-more"), false);
      }
      facts();
      plan(kind === "json" ? 0 : 120);
    },
    /** A message came for the topic. */
    changed(text) {
      whole = text;
      const wait = Math.max(text.length > 100_000 ? 1000 : 100, kind === "json" ? 0 : 300);
      const since = performance.now() - asked;
      asked = performance.now();
      plan(since > wait ? 0 : wait);
    },
    gone() {
      whole = null;
      show(byId("value-text"), false);
      show(byId("value-more"), false);
      facts();
    },
    tick: () => { if (node && node.topic !== null) facts(note); },
  };
})();
