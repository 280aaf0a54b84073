// The state of things in a line: the connection, and what is wrong.

const status = (() => {
  const node = byId("state");
  let alarms = [];

  function update() {
    const words = {
      connecting: "Connecting", waiting: "Connection lost", login: "Not logged in", live: "Live",
    }[line.state()];
    const isLive = line.state() === "live";
    put(node, isLive && alarms.length ? alarms.join(" · ") : words);
    node.className = isLive ? (alarms.length ? "live busy" : "live") : "";
    show(byId("retry"), line.state() === "waiting");
    if (line.state() === "waiting") put(byId("countdown"), `next try in ${line.seconds()} s`);
    document.title = (isLive && !alarms.length ? "" : "● ") + `babelmq ${location.host}`;
  }

  byId("retry-now").addEventListener("click", () => line.retry());
  return {
    update,
    alarm(found) { alarms = found; update(); },
  };
})();
