// Which topics a filter means: the topic and all below it, `+` for one segment, `#` for all.

/** The spelling under which a filter is known: `a/#` and `a` are one. */
export function keyOf(filter) {
  if (filter === "/#") return "/";
  return filter.length > 2 && filter.endsWith("/#") ? filter.slice(0, -2) : filter;
}

/** A function that says whether a topic is among those of the filter. */
export function matcher(filter) {
  const key = keyOf(filter);
  if (key === "#") return () => true;
  if (key === "/") return (topic) => topic.startsWith("/");
  if (!key.includes("+")) {
    const below = `${key}/`;
    return (topic) => topic === key || topic.startsWith(below);
  }
  const wanted = key.split("/");
  return (topic) => {
    const segments = topic.split("/");
    return (
      segments.length >= wanted.length &&
      wanted.every((segment, at) => segment === "+" || segment === segments[at])
    );
  };
}
