// The line: messages as they come.

const line = (() => {
  const HEAD = '{"command":"publish","topic":"';
  const STORED = ',"retained":true';
  const MESSAGE = ',"message":';
  const DEAD = ',"stream":"$dead"';
  const SILENCE = 15_000;
  let socket = null;
  let state = "connecting";
  let isComplete = false;
  let isLimited = false;
  let refused = "";
  let part = "#";
  let failures = 0;
  let retryAt = 0;
  let heard = 0;
  let followed = null;

  function connect() {
    retryAt = 0;
    state = "connecting";
    isComplete = false;
    letters.forget();
    const mine = new WebSocket(
      `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/ws`, "babelmq.json");
    socket = mine;
    mine.addEventListener("open", () => {
      heard = performance.now();
      if (credentials) send({ command: "login", ...credentials });
      subscribe();
      streams.soon();
    });
    mine.addEventListener("message", (event) => { if (socket === mine) receive(event.data); });
    mine.addEventListener("close", () => { if (socket === mine) closed(); });
    status.update();
  }

  function send(fields) {
    if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(fields));
  }

  function subscribe() {
    generation += 1;
    isComplete = false;
    isLimited = false;
    refused = "";
    send({ command: "subscribe", topic: part, overflow: "latest", cleared: true });
  }

  /** A delivery is cut out of its frame: most are never looked at, and none needs to be parsed. */
  function receive(text) {
    heard = performance.now();
    if (!text.startsWith(HEAD)) { control(JSON.parse(text)); return; }
    const end = closing(text, HEAD.length - 1) + 1;
    const raw = text.slice(HEAD.length - 1, end);
    const topic = raw.includes("\\") ? JSON.parse(raw) : raw.slice(1, -1);
    if (text.startsWith(DEAD, end)) { letters.take(topic, text); return; }
    const isStored = text.startsWith(STORED, end);
    const at = isStored ? end + STORED.length : end;
    if (text.startsWith(MESSAGE, at)) take(topic, text.slice(at + MESSAGE.length, -1), isStored);
  }

  function control(frame) {
    if (frame.command === "welcome") {
      account.welcome(frame.user);
    } else if (frame.command === "subscribed" && frame.stream) {
      letters.refused("");
    } else if (frame.command === "error" && frame.topic === followed) {
      letters.refused(visible(`${frame.code}: ${frame.reason}`));
    } else if (frame.command === "subscribed") {
      isComplete = true;
      isLimited = frame.limited === true;
      failures = 0;
      state = "live";
      forgetAll((node) => node.seen !== generation);
      openSome();
      grid.restructure();
    } else if (frame.command === "cleared") {
      forget(frame.topic);
    } else if (frame.command === "error") {
      failed(frame);
    }
    status.update();
  }

  function failed({ code, reason }) {
    const words = visible(`${code}: ${reason}`);
    if (code === "login-failed" || code === "login-required") {
      state = "login";
      account.ask(credentials ? words : "This broker wants to know who you are.", !credentials);
    } else {
      refused = words;
      if (code === "not-permitted" || code === "invalid-topic") state = "live";
      grid.redraw();
    }
  }

  function closed() {
    socket = null;
    isComplete = false;
    if (state !== "login") {
      state = "waiting";
      const wait = Math.min(15_000, 500 * 2 ** failures) * (0.75 + Math.random() / 2);
      failures = Math.min(failures + 1, 6);
      retryAt = performance.now() + wait;
    }
    grid.restructure();
    status.update();
  }

  function retry() {
    socket?.close();
    connect();
  }

  /** Once a second: the next try, and a question for a broker that has said nothing for long. */
  function tick() {
    const now = performance.now();
    if (retryAt && now >= retryAt) connect();
    if (!socket || socket.readyState !== WebSocket.OPEN) return;
    if (now - heard > 2 * SILENCE) { const dead = socket; closed(); dead.close(); }
    else if (now - heard > SILENCE) send({ command: "ping" });
  }

  return {
    connect, retry, tick,
    /** Follows a stream. Returns whether it could be asked for. */
    follow(fields) {
      if (state !== "live" || socket?.readyState !== WebSocket.OPEN) return false;
      followed = fields.topic;
      send({ command: "subscribe", ...fields });
      return true;
    },
    isLive: () => state === "live" || (state === "connecting" && generation > 0),
    isComplete: () => isComplete,
    state: () => state,
    seconds: () => Math.max(0, Math.ceil((retryAt - performance.now()) / 1000)),
    refusal: () => refused,
    limited: () => isLimited ? "You may see a part of these topics only." : "",
    choose(filter) {
      if (filter === part) return;
      send({ command: "cancel", topic: part });
      part = filter;
      unshown = 0;
      forgetAll(() => true);
      subscribe();
    },
  };
})();
