// Clients: who is connected, what waits for whom, and the end of one.

const clients = (() => {
  const PAGE = 25;
  const MOST_PAGES = 10;
  const body = byId("clients-rows");
  const dialog = byId("ending");
  let all = [];
  let first = 0;
  let timer = 0;
  let isAsking = false;
  let ending = null;

  async function load() {
    const found = [];
    let after = "";
    let pages = 0;
    do {
      const answer = await api(`/api/v1/clients?limit=1000${after}`);
      const { clients: some, next } = await answer.json();
      found.push(...some);
      after = next === undefined ? "" : `&after=${next}`;
      pages += 1;
    } while (after && pages < MOST_PAGES);
    return [found, after !== "", pages];
  }

  async function ask() {
    timer = 0;
    if (document.hidden || isAsking) return;
    isAsking = true;
    let wait = 2000;
    try {
      const [found, isMore, pages] = await load();
      wait *= pages;
      all = found.sort((a, b) =>
        b.slow - a.slow || b.waiting_bytes - a.waiting_bytes
        || (b.subscriptions.length > 0) - (a.subscriptions.length > 0) || a.id - b.id);
      const away = all.reduce((total, client) => total + (client.connected ? 0 : 1), 0);
      put(byId("clients-count"), `${count(all.length)}${isMore ? " and more" : ""}`
        + (away ? `, ${count(away)} away` : ""));
      notice(byId("clients-notice"), "");
      show(byId("clients-room"), true);
      draw();
    } catch (error) {
      all = [];
      put(byId("clients-count"), "");
      show(byId("clients-room"), false);
      show(byId("clients-page"), false);
      notice(byId("clients-notice"), lacking(error, "Clients take", "admin"));
      if (error.status) wait = 10_000;
    }
    isAsking = false;
    plan(wait);
  }

  function plan(wait) {
    clearTimeout(timer);
    timer = setTimeout(ask, wait);
  }

  const sum = (client, key) => client.subscriptions.reduce((total, one) => total + one[key], 0);
  const filters = ({ subscriptions }) => visible(subscriptions.slice(0, 20)
    .map(({ filter, format }) => `${filter} (${format})`).join(", ").slice(0, 400)) || "nothing";

  const speaks = ({ protocol, protocol_version: version }) =>
    version === undefined ? protocol : `${protocol} ${version}`;
  const nameOf = ({ client_id: id, peer }) => visible(id ?? peer);
  /** For how long its client is away, and how long its session waits for it still. */
  const absence = ({ disconnected_for: since, expires_in: left }) =>
    `away ${duration(since)}${left === undefined ? "" : `, ${duration(left)} left`}`;

  function makeRow() {
    const row = element("tr");
    const cell = (kind = "") => row.appendChild(element("td", { class: kind }));
    const who = cell();
    const shown = {
      row, id: who.appendChild(element("span", { class: "dim id" })),
      name: who.appendChild(element("bdi")),
      absent: who.appendChild(element("span", { class: "badge calm" })),
      badge: who.appendChild(element("span", { class: "badge" }, "slow")),
      user: cell("wide"), by: cell("rare"), topics: cell("wide mono"), waiting: cell("number"),
      inflight: cell("number rare"), dropped: cell("number rare"), button: null, client: null,
    };
    shown.button = cell("number").appendChild(element("button", { class: "slim" }, "End"));
    shown.button.addEventListener("click", () => confirm(shown.client));
    body.append(row);
    return shown;
  }

  const rows = [];

  function draw() {
    first = Math.max(0, Math.min(first, PAGE * Math.floor((all.length - 1) / PAGE)));
    const page = all.slice(first, first + PAGE);
    while (rows.length < page.length) rows.push(makeRow());
    rows.forEach((shown, at) => {
      const client = page[at];
      show(shown.row, client !== undefined);
      if (!client) return;
      shown.client = client;
      const name = nameOf(client);
      const isNamed = client.client_id !== undefined;
      put(shown.id, String(client.id));
      put(shown.name, name);
      shown.name.classList.toggle("cut", isNamed);
      shown.name.title = isNamed ? `${name}, ${visible(client.peer)}` : "";
      put(shown.absent, client.connected ? "" : absence(client));
      show(shown.absent, !client.connected);
      show(shown.badge, client.slow);
      shown.row.classList.toggle("slow", client.slow);
      put(shown.user, visible(client.user ?? ""));
      put(shown.by, speaks(client));
      put(shown.topics, filters(client));
      const waits = client.waiting_messages;
      put(shown.waiting, waits ? `${count(waits)}, ${size(client.waiting_bytes)}` : "0");
      put(shown.inflight, client.inflight === undefined ? ""
        : `${count(client.inflight)} of ${count(client.receive_maximum)}`);
      put(shown.dropped, count(sum(client, "dropped")));
      shown.button.setAttribute("aria-label", `End client ${client.id}, ${name.slice(0, 100)}`);
    });
    show(byId("clients-page"), all.length > PAGE);
    put(byId("clients-where"), `${first + 1} to ${first + page.length}`);
    byId("clients-back").disabled = first === 0;
    byId("clients-on").disabled = first + PAGE >= all.length;
  }

  function confirm(client) {
    ending = client;
    put(byId("ending-title"), client.connected ? "End this connection?" : "End this session?");
    put(byId("ending-whom"), `Client ${client.id}, ${nameOf(client).slice(0, 200)}`
      + (client.client_id === undefined ? "" : `, ${visible(client.peer)}`)
      + (client.user ? `, user ${visible(client.user)}` : "")
      + (client.waiting_messages ? `; ${plural(client.waiting_messages, "message")} waiting` : ""));
    dialog.showModal();
  }

  dialog.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    dialog.close();
    const { id } = ending;
    try {
      await api(`/api/v1/clients?id=${id}`, { method: "DELETE" });
      put(byId("clients-answer"), `Client ${id} was ended.`);
    } catch (error) {
      put(byId("clients-answer"), error.message);
    }
    plan(0);
  });
  byId("ending-cancel").addEventListener("click", () => dialog.close());
  byId("clients-back").addEventListener("click", () => { first -= PAGE; draw(); });
  byId("clients-on").addEventListener("click", () => { first += PAGE; draw(); });
  return {
    soon: () => plan(0),
    slow: () => all.reduce((total, client) => total + (client.slow ? 1 : 0), 0),
  };
})();
