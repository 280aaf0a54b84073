// The theme, the keys that hold everywhere, and the beginning.

const theme = byId("theme");

function paint(chosen) {
  if (chosen) document.documentElement.dataset.theme = chosen;
  else delete document.documentElement.dataset.theme;
}

theme.addEventListener("change", () => {
  paint(theme.value);
  try { localStorage.setItem("babelmq-theme", theme.value); } catch { /* it is not remembered */ }
});
try {
  theme.value = localStorage.getItem("babelmq-theme") ?? "";
} catch { /* as the system has it */ }
paint(theme.value);

const search = byId("search");
let searching = 0;
search.addEventListener("input", () => {
  clearTimeout(searching);
  searching = setTimeout(() => grid.search(search.value), 80);
});
search.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    event.preventDefault();
    if (search.value) { search.value = ""; grid.search(""); }
    else grid.focus();
  } else if (event.key === "ArrowDown" || event.key === "Enter") {
    event.preventDefault();
    clearTimeout(searching);
    grid.search(search.value);
    grid.focus();
  }
});
byId("part").addEventListener("change", () => line.choose(byId("part").value.trim() || "#"));
document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches(
    "input:not([type=radio], [type=checkbox]), textarea, select");
  if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
  if (document.querySelector("dialog[open]")) return;
  event.preventDefault();
  search.focus();
  search.select();
});

document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  poll.soon();
  clients.soon();
  streams.soon();
  grid.redraw();
});
setInterval(() => {
  line.tick();
  status.update();
  if (document.hidden) return;
  panel.tick();
  grid.redraw();
}, 1000);
broker.askLimits();
line.connect();
poll.soon();
clients.soon();
streams.soon();
