// Logging in and out.

const account = (() => {
  const dialog = byId("login");
  const button = byId("account");
  const isLocal = /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(location.hostname);
  let isDismissed = false;

  function renew() {
    line.retry();
    poll.soon();
    clients.soon();
    streams.soon();
  }

  function ask(why = "", isOnce = false) {
    if (isOnce && isDismissed) return;
    notice(byId("login-why"), isOnce ? why : "");
    notice(byId("login-answer"), isOnce ? "" : why, true);
    show(byId("login-plain"), location.protocol !== "https:" && !isLocal);
    if (!dialog.open) dialog.showModal();
  }

  function dismiss() {
    isDismissed = true;
    dialog.close();
  }

  async function enter(event) {
    event.preventDefault();
    const [user, password, token] = ["user", "password", "token"].map((name) =>
      byId(`login-${name}`).value);
    const tried = token ? { token } : { user, password };
    const before = credentials;
    credentials = tried;
    try {
      await api("/api/v1/limits");
    } catch (error) {
      credentials = before;
      notice(byId("login-answer"), error.message, true);
      return;
    }
    byId("login-password").value = "";
    byId("login-token").value = "";
    dialog.close();
    put(button, "Log out");
    renew();
  }

  function leave() {
    credentials = null;
    isDismissed = true;
    put(button, "Log in");
    forgetAll(() => true);
    renew();
  }

  /** What was given is not taken any more, and is not tried again: that would fail again. */
  function lost(why) {
    if (!credentials) return;
    credentials = null;
    put(button, "Log in");
    ask(why);
  }

  dialog.querySelector("form").addEventListener("submit", enter);
  dialog.addEventListener("cancel", () => { isDismissed = true; });
  byId("login-cancel").addEventListener("click", dismiss);
  button.addEventListener("click", () => { if (credentials) leave(); else ask(); });
  return {
    ask, lost,
    welcome(user) { if (credentials) put(button, `${visible(user)}: log out`); },
  };
})();
