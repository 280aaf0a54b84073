// Requests to the broker's API, and refusals in its words.

/** Who the person at this page is: `{user, password}`, `{token}` or nobody. In memory only. */
let credentials = null;

/** A refusal in the broker's words. */
class Refusal extends Error {
  constructor(status, words, code) {
    super(words);
    Object.assign(this, { status, code });
  }
}

const base64 = (text) => btoa(String.fromCharCode(...encoder.encode(text)));

function authorization() {
  if (!credentials) return {};
  const { user, password, token } = credentials;
  return { Authorization: token ? `Bearer ${token}` : `Basic ${base64(`${user}:${password}`)}` };
}

/** Asks the broker; with `omit` the browser asks for no password in a window of its own. */
async function api(path, { headers = {}, ...options } = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      ...options, headers: { ...headers, ...authorization() }, credentials: "omit",
      cache: "no-store", redirect: "error", signal: AbortSignal.timeout(15_000),
    });
  } catch (error) {
    const why = error.name === "TimeoutError" ? "no answer in 15 s" : "it cannot be reached";
    throw new Refusal(0, `The broker: ${why}.`, "");
  }
  if (answer.ok) return answer;
  const problem = await answer.json().catch(() => ({}));
  const words = problem.detail || problem.title || `${answer.status} ${answer.statusText}`;
  const { code = "" } = problem;
  throw new Refusal(answer.status, visible(code ? `${code}: ${words}` : words), code);
}

/** What to say where a right is missing; other refusals in their own words. */
function lacking(error, what, right) {
  if (error.status === 401) return `${what} the right ${right}. Log in to see them.`;
  if (error.status === 403) return `${what} the right ${right}. ${error.message}`;
  return error.message;
}
