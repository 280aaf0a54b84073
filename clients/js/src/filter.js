// Which topics a filter means: the topic and all below it, `+` for one segment, `#` for all; but no
// wildcard stands for a first segment that begins with `$`, which is the broker's own.

/** The spelling under which a filter is known: `a/#` and `a` are one. */
export function keyOf(filter) {
  if (filter === "/#") return "/";
  return filter.length > 2 && filter.endsWith("/#") ? filter.slice(0, -2) : filter;
}

/** A function that says whether a topic is among those of the filter, with all below it or not. */
export function matcher(filter, below = true) {
  const key = keyOf(filter);
  if (key === "#") return (topic) => !topic.startsWith("$");
  const subtree = matcherOf(key);
  if (below || filter.endsWith("#")) return subtree;
  if (key === "/") return () => false;
  const depth = key.split("/").length;
  return (topic) => topic.split("/").length === depth && subtree(topic);
}

function matcherOf(key) {
  if (key === "/") return (topic) => topic.startsWith("/");
  if (!key.includes("+")) {
    const below = `${key}/`;
    return (topic) => topic === key || topic.startsWith(below);
  }
  const wanted = key.split("/");
  return (topic) => {
    const segments = topic.split("/");
    if (wanted[0] === "+" && topic.startsWith("$")) return false;
    return (
      segments.length >= wanted.length &&
      wanted.every((segment, at) => segment === "+" || segment === segments[at])
    );
  };
}

/** Whether there are topics that two filters mean, each with all below it. */
export function overlap(key, other) {
  const [short, long] = [key, other]
    .map((one) => (one === "#" ? [] : one === "/" ? [""] : one.split("/")))
    .sort((one, another) => one.length - another.length);
  const isOwn = (segments) => segments[0]?.startsWith("$") ?? false;
  const isWild = (segments) => segments.length === 0 || segments[0] === "+";
  if ((isWild(short) && isOwn(long)) || (isWild(long) && isOwn(short))) return false;
  return short.every((segment, at) => [segment, long[at]].includes("+") || segment === long[at]);
}
