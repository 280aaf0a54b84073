// The form that publishes.

(() => {
  const form = byId("publish");
  const answer = byId("publish-answer");
  const topic = byId("publish-topic");

  async function publish(event) {
    event.preventDefault();
    const query = new URLSearchParams({ topic: topic.value });
    if (!byId("publish-retain").checked) query.set("retain", "false");
    if (byId("publish-ttl").value) query.set("ttl", byId("publish-ttl").value);
    const type = form.elements.format.value;
    put(answer, "");
    answer.classList.remove("alarm");
    try {
      await api(`/api/v1/publish?${query}`, {
        method: "POST", headers: { "Content-Type": type }, body: byId("publish-message").value,
      });
      put(answer, `Published to ${visible(topic.value)} at ${new Date().toLocaleTimeString()}.`);
    } catch (error) {
      answer.classList.add("alarm");
      put(answer, (error.status === 401 ? "Publishing takes a login. " : "") + error.message);
    }
  }

  form.addEventListener("submit", publish);
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  topic.addEventListener("input", () => { topic.dataset.typed = topic.value; });
})();
