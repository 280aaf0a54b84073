// Dead letters: the last ones, why they died, and what becomes of them.

const letters = (() => {
  const MOST = 50;
  const LONGEST = 400;
  const MESSAGE = ',"message":';
  const dialog = byId("forgetting");
  let all = [];
  let isFollowed = false;
  let forgetting = null;

  const draw = listing(byId("letters-rows"), (row) => {
    const cell = (kind = "") => row.appendChild(element("td", { class: kind }));
    const shown = {
      row, seq: cell("dim"), time: cell("rare"), consumer: cell("wide"), topic: cell("wide mono"),
      reason: cell("wide"), attempts: cell("number rare"), message: cell("wide mono"),
      retry: null, remove: null, letter: null,
    };
    const buttons = cell("number");
    shown.retry = buttons.appendChild(element("button", { class: "slim" }, "Retry"));
    buttons.append(" ");
    shown.remove = buttons.appendChild(element("button", { class: "slim" }, "Delete"));
    shown.retry.addEventListener("click", () => change(shown.letter, true));
    shown.remove.addEventListener("click", () => confirm(shown.letter));
    return shown;
  }, (shown, letter) => {
    shown.letter = letter;
    put(shown.seq, String(letter.seq));
    put(shown.time, letter.time);
    put(shown.consumer, letter.consumer);
    put(shown.topic, letter.topic);
    put(shown.reason, letter.reason);
    put(shown.attempts, letter.attempts);
    put(shown.message, letter.message);
    shown.reason.title = letter.reason;
    shown.message.title = letter.message;
    const what = `dead letter ${letter.seq} of ${letter.consumer}`;
    shown.retry.setAttribute("aria-label", `Retry ${what}`);
    shown.remove.setAttribute("aria-label", `Delete ${what}`);
    shown.retry.disabled = letter.isChanging;
    shown.remove.disabled = letter.isChanging;
  });

  function redraw() {
    put(byId("letters-count"), all.length === MOST ? `the last ${MOST}` : count(all.length));
    show(byId("letters-room"), all.length > 0);
    draw(all);
  }

  const short = (text) => visible(text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text);

  /** A delivery of `$dead`. The message is shown as it is spelled: numbers may be long. */
  function take(topic, text) {
    const { seq, time, message: said } = JSON.parse(text);
    const [, consumer = ""] = topic.split("/");
    const inner = text.indexOf(MESSAGE, text.indexOf(MESSAGE) + MESSAGE.length);
    const { topic: about = "", stream = "", attempts = "", reason = "" } = said ?? {};
    all.unshift({
      seq, time: new Date(time).toLocaleString(), consumer: short(`${stream} ${consumer}`),
      topic: short(String(about)), reason: short(String(reason)), attempts: String(attempts),
      message: inner < 0 ? "" : copy(short(text.slice(inner + MESSAGE.length, -2))),
      isChanging: false,
    });
    all.length = Math.min(all.length, MOST);
    redraw();
  }

  /** Sees to it that they come, where there is a stream of them. */
  function look(dead) {
    show(byId("letters"), dead !== undefined);
    if (!dead) {
      [all, isFollowed] = [[], false];
    } else if (!isFollowed) {
      const start = Math.max(dead.first, dead.next - MOST);
      isFollowed = line.follow({ topic: "$dead/#", stream: "$dead", start });
    } else {
      all = all.filter(({ seq }) => seq >= dead.first);
    }
    redraw();
  }

  function drop(letter) {
    all = all.filter((other) => other !== letter);
  }

  async function change(letter, isRetry) {
    letter.isChanging = true;
    redraw();
    let answer;
    try {
      if (isRetry) await api(`/api/v1/dead/retry?seq=${letter.seq}`, { method: "POST" });
      else await api(`/api/v1/dead?seq=${letter.seq}`, { method: "DELETE" });
      answer = `Dead letter ${letter.seq} ${isRetry
        ? `goes to ${letter.consumer} again` : "was deleted"}.`;
      drop(letter);
    } catch (error) {
      answer = lacking(error, "Dead letters take", "admin");
      if (error.status === 404 && error.code === "no-stream") drop(letter);
    }
    letter.isChanging = false;
    put(byId("letters-answer"), answer);
    redraw();
    streams.soon();
  }

  function confirm(letter) {
    forgetting = letter;
    put(byId("forgetting-what"), `Letter ${letter.seq} of ${letter.consumer}: ${letter.topic}`);
    dialog.showModal();
  }

  dialog.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    dialog.close();
    change(forgetting, false);
  });
  byId("forgetting-cancel").addEventListener("click", () => dialog.close());
  return {
    look, take,
    /** There is another connection, to which nothing comes yet. */
    forget() {
      [all, isFollowed] = [[], false];
      notice(byId("letters-notice"), "");
      redraw();
    },
    refused(words) { notice(byId("letters-notice"), words); },
  };
})();
