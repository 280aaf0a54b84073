// Rates, and their last minutes as lines.

const meters = (() => {
  const SPAN = 300_000;
  const SHORTEST = 60_000;
  const SVG = "http://www.w3.org/2000/svg";
  const bytes = (number) => { const [n, unit] = sized(number); return [n, ` ${unit}`]; };
  const whole = (number) => [count(number), ""];
  const each = (number) =>
    [number > 0 && number < 10 ? number.toFixed(1) : count(number), "\u2009/s"];
  const eachBytes = (number) => { const [n, unit] = sized(number); return [n, ` ${unit}/s`]; };
  const METERS = [
    { name: "Published", of: "published", isRate: true, say: each },
    { name: "Delivered", of: "delivered", isRate: true, say: each },
    { name: "Received", of: "bytes_in", isRate: true, say: eachBytes },
    { name: "Sent", of: "bytes_out", isRate: true, say: eachBytes },
    { name: "Connections", of: "open", say: whole },
    { name: "Memory", of: "memory", say: bytes },
  ];
  const samples = [];
  let last = null;
  let hovered = null;

  const shape = (parent, name, kind) => {
    const made = document.createElementNS(SVG, name);
    made.setAttribute("class", kind);
    return parent.appendChild(made);
  };

  const draws = (shape, attributes) => {
    for (const [key, value] of Object.entries(attributes)) shape.setAttribute(key, value);
  };

  for (const meter of METERS) {
    const box = element("div", { class: "meter" }, element("h3", {}, meter.name));
    meter.now = box.appendChild(element("p", { class: "now" }));
    meter.number = meter.now.appendChild(element("b"));
    meter.number.style.fontWeight = "inherit";
    meter.unit = meter.now.appendChild(element("span"));
    put(meter.number, "–");
    const svg = shape(box, "svg", "chart");
    draws(svg, {
      viewBox: "0 0 300 40", preserveAspectRatio: "none", role: "img",
      "aria-label": `${meter.name}: nothing measured yet`,
    });
    draws(shape(svg, "line", "base"), { x1: 0, x2: 300, y1: 39.5, y2: 39.5 });
    meter.area = shape(svg, "path", "area");
    meter.path = shape(svg, "path", "line");
    meter.here = shape(svg, "line", "here");
    meter.svg = svg;
    meter.note = box.appendChild(element("p", { class: "note" }));
    svg.addEventListener("pointermove", (event) => {
      const { left, width } = svg.getBoundingClientRect();
      hovered = (event.clientX - left) / width;
      draw();
    });
    svg.addEventListener("pointerleave", () => { hovered = null; draw(); });
    byId("meters").append(box);
  }

  function take(stats, at) {
    const counters = { ...stats.counters, memory: stats.memory };
    // A broker that is younger than it was is another one.
    if (last && (stats.uptime <= last.uptime || at - last.at > 5000)) last = null;
    if (last) {
      // By the broker's clock: an answer may have been on its way for long.
      const passed = stats.uptime - last.uptime;
      const sample = { at };
      for (const { of, isRate } of METERS) {
        sample[of] = isRate ? Math.max(0, counters[of] - last.counters[of]) / passed : counters[of];
      }
      samples.push(sample);
      while (samples[0].at < at - SPAN - 2000) samples.shift();
    }
    last = { at, uptime: stats.uptime, counters, budget: stats.memory_budget?.total };
    draw();
  }

  function draw() {
    const now = samples.at(-1)?.at ?? 0;
    const span = Math.min(SPAN, Math.max(SHORTEST, now - (samples[0]?.at ?? now)));
    const x = (at) => 300 - ((now - at) / span) * 300;
    const pointed = hovered === null ? null
      : samples.reduce((best, sample) =>
        !best || Math.abs(x(sample.at) - hovered * 300) < Math.abs(x(best.at) - hovered * 300)
          ? sample : best, null);
    for (const meter of METERS) drawOne(meter, x, pointed);
  }

  function drawOne(meter, x, pointed) {
    const { of, say } = meter;
    const latest = samples.at(-1);
    const value = latest ? latest[of] : meter.isRate ? null : last?.counters[of];
    if (value === null || value === undefined) return;
    const [number, unit] = say(value);
    put(meter.number, number);
    put(meter.unit, unit);
    const highest = Math.max(...samples.map((sample) => sample[of]), 0);
    const top = Math.max(highest * 1.08, 1e-9);
    let path = "";
    let area = "";
    let start = null;
    samples.forEach((sample, at) => {
      const [left, up] = [x(sample.at).toFixed(1), (39 - (sample[of] / top) * 37).toFixed(1)];
      const isGap = at === 0 || sample.at - samples[at - 1].at > 5000;
      if (isGap && start !== null) area += `L${x(samples[at - 1].at).toFixed(1)} 40Z`;
      if (isGap) { start = left; area += `M${left} 40`; }
      path += `${isGap ? "M" : "L"}${left} ${up}`;
      area += `L${left} ${up}`;
    });
    if (start !== null) area += `L${x(latest.at).toFixed(1)} 40Z`;
    draws(meter.path, { d: path });
    draws(meter.area, { d: area });
    const words = (amount) => say(amount).join("");
    draws(meter.svg, { "aria-label": `${meter.name} over the last five minutes: now `
      + `${words(value)}, at most ${words(highest)}` });
    const here = pointed ? x(pointed.at) : 0;
    draws(meter.here, { x1: here, x2: here, y1: 0, y2: pointed ? 40 : 0 });
    const time = pointed && new Date(Date.now() - (performance.now() - pointed.at));
    put(meter.note, pointed ? `${words(pointed[of])} at ${time.toLocaleTimeString()}`
      : note(meter, highest, words));
  }

  function note({ of, isRate }, highest, words) {
    if (of === "memory") return last.budget ? `of ${size(last.budget)} at most` : "";
    if (of === "open") return `${count(last.counters.connections)} since the start`;
    return isRate ? `peak ${words(highest)}` : "";
  }

  return { take };
})();
