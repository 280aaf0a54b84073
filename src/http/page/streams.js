// Streams and their consumers: what is kept, and who is how far.

/** Writes items into rows of a table, which are made once. */
function listing(body, make, fill) {
  const rows = [];
  return (items) => {
    while (rows.length < items.length) {
      rows.push(make(body.appendChild(element("tr"))));
    }
    rows.forEach((shown, at) => {
      show(shown.row, at < items.length);
      if (at < items.length) fill(shown, items[at]);
    });
  };
}

const streams = (() => {
  const MOST = 100;
  const FAR = 1000;
  let found = [];
  let consumers = [];
  let timer = 0;
  let isAsking = false;

  const cell = (row, kind = "") => row.appendChild(element("td", { class: kind }));

  const drawStreams = listing(byId("streams-rows"), (row) => {
    const who = cell(row);
    return {
      row, name: who.appendChild(element("bdi")),
      badge: who.appendChild(element("span", { class: "badge" })), filter: cell(row, "wide mono"),
      messages: cell(row, "number"), bytes: cell(row, "number"), seqs: cell(row, "number rare"),
      limits: cell(row, "wide rare"),
    };
  }, (shown, stream) => {
    put(shown.name, visible(stream.stream));
    const trouble = troubleOf(stream);
    put(shown.badge, trouble);
    show(shown.badge, trouble !== "");
    shown.row.classList.toggle("slow", trouble !== "");
    put(shown.filter, visible(stream.filter));
    put(shown.messages, count(stream.messages));
    put(shown.bytes, size(stream.bytes));
    put(shown.seqs, stream.messages ? `${stream.first} to ${stream.next - 1}` : "none");
    const reason = stream.reason ? visible(stream.reason) : "";
    put(shown.limits, reason || limits(stream));
  });

  function troubleOf(stream) {
    if (stream.state !== "ok") return stream.state;
    return stream.damaged ? `${count(stream.damaged)} damaged` : "";
  }

  function limits(stream) {
    const all = [
      stream.age === null ? "" : duration(stream.age),
      stream["max-bytes"] === null ? "" : size(stream["max-bytes"]),
      stream["max-messages"] === null ? "" : plural(stream["max-messages"], "message"),
    ].filter(Boolean).join(", ");
    return all ? `${all}; ${stream.full}` : "everything";
  }

  /** Why somebody should look at a consumer, in a word or two. */
  function lag({ pending, members }) {
    if (pending > 0 && members === 0) return "nobody reads";
    return pending >= FAR ? "behind" : "";
  }

  const drawConsumers = listing(byId("consumers-rows"), (row) => {
    const who = cell(row);
    return {
      row, stream: who.appendChild(element("bdi", { class: "dim id" })),
      name: who.appendChild(element("bdi")),
      badge: who.appendChild(element("span", { class: "badge" })),
      filter: cell(row, "wide mono rare"), lag: cell(row, "number"),
      outstanding: cell(row, "number"), members: cell(row, "number"),
      again: cell(row, "number rare"), dead: cell(row, "number"),
    };
  }, (shown, consumer) => {
    put(shown.stream, visible(consumer.stream));
    put(shown.name, visible(consumer.consumer));
    const why = lag(consumer);
    put(shown.badge, why);
    show(shown.badge, why !== "");
    shown.row.classList.toggle("slow", why !== "");
    put(shown.filter, visible(consumer.filter));
    put(shown.lag, count(consumer.pending));
    put(shown.outstanding, `${count(consumer.outstanding)} of ${count(consumer.window)}`);
    put(shown.members, count(consumer.members));
    put(shown.again, count(consumer.redelivered));
    put(shown.dead, count(consumer.dead));
  });

  async function ask() {
    timer = 0;
    if (document.hidden || isAsking) return;
    isAsking = true;
    let wait = 2000;
    try {
      found = (await (await api("/api/v1/streams")).json()).streams;
      const told = found.length ? await (await api("/api/v1/consumers")).json() : { consumers: [] };
      consumers = told.consumers.sort((a, b) => (lag(b) !== "") - (lag(a) !== "")
        || b.pending - a.pending || (a.consumer < b.consumer ? -1 : 1));
      draw(told.silent ?? []);
    } catch (error) {
      // The figures say what is lacking.
      [found, consumers] = [[], []];
      draw([]);
      if (error.status) wait = 10_000;
    }
    letters.look(found.find(({ stream }) => stream === "$dead"));
    isAsking = false;
    plan(wait);
  }

  function draw(silent) {
    show(byId("streams"), found.length > 0);
    show(byId("consumers"), found.length > 0);
    put(byId("streams-count"), count(found.length));
    const more = consumers.length > MOST ? `, the first ${MOST} here` : "";
    put(byId("consumers-count"), count(consumers.length) + more);
    notice(byId("consumers-notice"), silent.length
      ? `Not told, because their disk does not answer: ${visible(silent.join(", "))}.` : "", true);
    show(byId("consumers-room"), consumers.length > 0);
    drawStreams(found);
    drawConsumers(consumers.slice(0, MOST));
  }

  function plan(wait) {
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  return {
    soon: () => plan(0),
    alarms() {
      const broken = found.filter((stream) => stream.state !== "ok" || stream.damaged)
        .map((stream) => `Stream ${visible(stream.stream)}: ${troubleOf(stream)}`);
      const behind = consumers.filter((consumer) => lag(consumer) !== "").length;
      return behind ? [...broken, `${plural(behind, "consumer")} behind`] : broken;
    },
  };
})();
