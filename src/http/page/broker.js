// The broker's figures, what they mean, and the question for them once a second.

const broker = (() => {
  const list = byId("facts-list");
  const rows = new Map();
  let limits = {};
  let before = null;

  function row(name, value, part = null) {
    if (!rows.has(name)) {
      const dd = element("dd");
      const text = dd.appendChild(element("span"));
      const bar = dd.appendChild(element("div", { class: "gauge", "aria-hidden": "true" }));
      const fill = bar.appendChild(element("i"));
      list.append(element("dt", {}, name), dd);
      rows.set(name, { dd, text, bar, fill });
    }
    const { text, bar, fill, dd } = rows.get(name);
    put(text, value);
    show(bar, part !== null);
    const isFull = part !== null && part > 0.9;
    if (part !== null) fill.style.width = `${Math.min(100, part * 100)}%`;
    bar.classList.toggle("full", isFull);
    dd.classList.toggle("alarm", isFull);
  }

  function of(used, limit, say) {
    return limit ? [`${say(used)} of ${say(limit)}`, used / limit] : [say(used), null];
  }

  function certificate(seconds) {
    if (!seconds) return ["none", Infinity];
    const left = seconds - Date.now() / 1000;
    const day = new Date(seconds * 1000).toISOString().slice(0, 10);
    return [left < 0 ? `ended on ${day}` : `until ${day}, in ${duration(left)}`, left / 86400];
  }

  function take(stats) {
    const { counters, published_in: formats = {} } = stats;
    const said = `version ${stats.version}, up ${duration(stats.uptime)}`;
    put(byId("about"), said);
    const [until, days] = certificate(counters.certificate_expires);
    const unsaved = counters.unsaved_ms;
    row("Values", ...of(counters.topics, limits.stored_values, count));
    row("Stored", ...of(counters.stored_cost, limits.stored_bytes, size));
    row("Not on the disk yet", unsaved ? `since ${(unsaved / 1000).toFixed(1)} s` : "nothing");
    row("Memory claimed", ...of(claimed(stats.memory_budget), stats.memory_budget?.total, size));
    row("Connections", ...of(counters.open, limits.connections, count));
    row("Subscriptions", count(counters.subscriptions));
    row("Received and sent", `${size(counters.bytes_in)}, ${size(counters.bytes_out)}`);
    row("Published", Object.entries(formats).map(([name, number]) =>
      `${count(number)} ${name}`).join(", "));
    row("Translated", count(counters.translated));
    row("Dropped for newer ones", count(counters.dropped));
    row("Refused", count(counters.refused));
    row("Cut off as too slow", count(counters.slow_consumers));
    row("Failed logins", count(counters.logins_failed));
    row("Certificate", until);
    alarms(stats, days);
    before = counters;
  }

  function claimed({ total, ...uses } = {}) {
    return Object.values(uses).reduce((sum, bytes) => sum + bytes, 0);
  }

  /** What a person has to know first. */
  function alarms({ counters, memory_budget: budget }, days) {
    const found = [];
    const slow = clients.slow();
    if (slow) found.push(plural(slow, "slow client"));
    found.push(...streams.alarms());
    if (before && counters.slow_consumers > before.slow_consumers) found.push("A client cut off");
    const part = limits.stored_bytes ? counters.stored_cost / limits.stored_bytes : 0;
    if (part > 0.9) found.push(`Store ${Math.floor(part * 100)} % full`);
    if (counters.unsaved_ms > 10_000) found.push("The disk is behind");
    if (budget?.total && claimed(budget) / budget.total > 0.9) found.push("Memory nearly used up");
    if (days < 0) found.push("The certificate has ended");
    else if (days < 14) found.push(`The certificate ends in ${plural(Math.floor(days), "day")}`);
    if (counters.panics || counters.encoding_failures) found.push("A bug: see the broker's log");
    status.alarm(found);
  }

  return {
    take,
    async askLimits() {
      try {
        limits = await (await api("/api/v1/limits")).json();
      } catch { /* they are not shown */ }
    },
  };
})();

/** Asks for the counters once a second, unless nobody looks. */
const poll = (() => {
  let timer = 0;
  let isAsking = false;

  async function ask() {
    timer = 0;
    if (document.hidden || isAsking) return;
    isAsking = true;
    const began = performance.now();
    let wait = 1000;
    try {
      const stats = await (await api("/api/v1/stats")).json();
      meters.take(stats, performance.now());
      broker.take(stats);
      notice(byId("refused"), "");
    } catch (error) {
      if (error.status) notice(byId("refused"), lacking(error, "Rates and figures take", "stats"));
      if (error.status === 401 || error.status === 403) wait = 10_000;
      if (error.status === 401) account.lost(error.message);
    }
    isAsking = false;
    plan(Math.max(100, wait - (performance.now() - began)));
  }

  function plan(wait) {
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  return { soon: () => plan(0) };
})();
