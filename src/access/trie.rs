//! Rules by the segments of their filters: which of them matches is found without a look at each.
//!
//! A lookup goes down one level a segment, with the set of the nodes that the segments so far lead
//! to. A node has one way to it, so the set of a level is never larger than the rules, and the
//! whole lookup never looks at a node twice, however many `+` there are. Nothing recurses.

use std::ops::ControlFlow;

use rustc_hash::FxHashMap;

use super::asked::{Asked, normal};
use super::template::{OfUser, Template, filled, has_user};
use crate::protocol::is_brokers;

/// A filter in one list of a role, and where the file has it.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) filter: Template,
    pub(super) line: usize,
    /// Its first byte in the file.
    pub(super) at: usize,
}

/// The rules of one list.
///
/// Filters stand here in their normal form, `#` as `+` and `/` as `/+`. No wildcard stands for a
/// first segment of the broker's own, so at the root a `+` is passed by for those.
#[derive(Debug)]
pub(super) struct Trie {
    /// The first one is the root.
    nodes: Vec<Node>,
    rules: Vec<Rule>,
}

#[derive(Debug, Default)]
struct Node {
    is_root: bool,
    /// The rule that ends here, which is about all that is below, too.
    rule: Option<usize>,
    /// Whoever writes rules chooses what is in it, and whoever looks something up does not: a hash
    /// without a key will do.
    literal: FxHashMap<Box<str>, usize>,
    /// Where `+` leads to.
    any: Option<usize>,
    /// Segments with the name of the user in them: few.
    user: Vec<(OfUser, usize)>,
}

impl Default for Trie {
    fn default() -> Trie {
        Trie { nodes: vec![Node { is_root: true, ..Node::default() }], rules: Vec::new() }
    }
}

/// Nodes that some segments lead to. Most of the time there are few, and none are allocated.
#[derive(Debug, Default)]
struct Level {
    few: [usize; FEW],
    count: usize,
    more: Vec<usize>,
}

/// Nodes of a level that take no memory of their own.
const FEW: usize = 6;

impl Level {
    fn of(at: usize) -> Level {
        let mut level = Level::default();
        level.push(at);
        level
    }

    fn push(&mut self, at: usize) {
        if let Some(free) = self.few.get_mut(self.count) {
            *free = at;
            self.count += 1;
        } else {
            self.more.push(at);
        }
    }

    fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn nodes(&self) -> impl Iterator<Item = usize> {
        self.few[..self.count].iter().chain(&self.more).copied()
    }
}

impl Trie {
    pub(super) fn insert(&mut self, rule: Rule) {
        let mut at = 0;
        for segment in normal(rule.filter.segments()) {
            let next = self.nodes.len();
            let node = &mut self.nodes[at];
            at = if segment == "+" {
                *node.any.get_or_insert(next)
            } else if !has_user(segment) {
                *node.literal.entry(segment.into()).or_insert(next)
            } else if let Some((_, found)) =
                node.user.iter().find(|(text, _)| text.as_str() == segment)
            {
                *found
            } else {
                node.user.push((OfUser::new(segment), next));
                next
            };
            if at == next {
                self.nodes.push(Node::default());
            }
        }
        // Of two rules that mean the same, the first one is named.
        self.nodes[at].rule.get_or_insert(self.rules.len());
        self.rules.push(rule);
    }

    /// Whether the name of a user stands in any rule.
    pub(super) fn has_user(&self) -> bool {
        self.rules.iter().any(|rule| rule.filter.has_user())
    }

    /// The rule about all topics that begin with these segments, a `+` among them for any one: one
    /// that is about as many topics as any. For the segments of a topic, the rule that matches it.
    pub(super) fn covering<'s>(
        &self,
        segments: impl IntoIterator<Item = &'s str>,
        user: &str,
    ) -> Option<&Rule> {
        let mut segments = segments.into_iter();
        let mut at = 0;
        // Most of the time there is one way on, or none.
        let mut here = loop {
            let node = &self.nodes[at];
            if let Some(rule) = node.rule {
                return Some(&self.rules[rule]);
            }
            if node.is_leaf() {
                return None;
            }
            let segment = segments.next()?;
            let any = node.any_for(segment);
            if let Some(rule) = any.and_then(|any| self.nodes[any].rule) {
                return Some(&self.rules[rule]);
            }
            let is_any = segment.len() == 1 && segment == "+";
            let literal = if is_any { None } else { node.literal.get(segment).copied() };
            at = match (literal, any) {
                (Some(_), Some(_)) => break self.on(&Level::of(at), segment, user),
                _ if !node.user.is_empty() => break self.on(&Level::of(at), segment, user),
                (None, None) => return None,
                (Some(at), None) | (None, Some(at)) => at,
            };
        };
        loop {
            let level = match here {
                ControlFlow::Break(rule) => return Some(&self.rules[rule]),
                ControlFlow::Continue(level) if level.is_empty() => return None,
                ControlFlow::Continue(level) => level,
            };
            here = self.on(&level, segments.next()?, user);
        }
    }

    /// The nodes that a segment leads to from those of a level, or a rule that ends in one of them.
    fn on(&self, level: &Level, segment: &str, user: &str) -> ControlFlow<usize, Level> {
        let mut next = Level::default();
        for node in level.nodes().map(|at| &self.nodes[at]) {
            for at in node.ways(segment, user) {
                if let Some(rule) = self.nodes[at].rule {
                    return ControlFlow::Break(rule);
                }
                if !self.nodes[at].is_leaf() {
                    next.push(at);
                }
            }
        }
        ControlFlow::Continue(next)
    }

    /// The rules that are about any topic of what is asked for, in no order. Of two, one of which
    /// is about all that the other one is about, only that one.
    pub(super) fn meeting<'a>(
        &'a self,
        Asked { segments, below }: &Asked<'_>,
        user: &str,
        mut take: impl FnMut(&'a Rule) -> ControlFlow<()>,
    ) {
        let mut ways = vec![(0, 0)];
        while let Some((at, depth)) = ways.pop() {
            let node = &self.nodes[at];
            if let Some(rule) = node.rule {
                if take(&self.rules[rule]).is_break() {
                    return;
                }
                continue;
            }
            if depth == segments.len() && !below {
                continue;
            }
            let segment = segments.get(depth).copied().unwrap_or("+");
            let any = node.any_for(segment);
            let mut go = |at: usize| ways.push((at, depth + 1));
            any.map(&mut go);
            match segment {
                _ if any.is_some_and(|any| self.nodes[any].rule.is_some()) => {}
                // All that is below matters: a `+`, or the end of what was asked for.
                "+" => {
                    let named = node.user.iter().filter(|(text, _)| {
                        !node.is_root || !is_brokers(&filled(text.as_str(), user))
                    });
                    let named = named.map(|(_, at)| at);
                    let literal = node.literal.iter();
                    let literal = literal.filter(|(text, _)| !node.is_root || !is_brokers(text));
                    literal.map(|(_, at)| at).chain(named).for_each(|at| go(*at));
                }
                segment => node.named(segment, user).for_each(go),
            }
        }
    }
}

impl Node {
    /// Where `+` leads to, if it stands for a segment.
    fn any_for(&self, segment: &str) -> Option<usize> {
        self.any.filter(|_| !self.is_root || !is_brokers(segment))
    }

    /// Where a segment leads to that is no wildcard, `+` aside.
    fn named(&self, segment: &str, user: &str) -> impl Iterator<Item = usize> {
        let literal = self.literal.get(segment).copied();
        let of_user = self.user.iter().filter(move |(text, _)| text.becomes(user, segment));
        literal.into_iter().chain(of_user.map(|(_, at)| *at))
    }

    /// Where a segment leads to; one that is `+` to `+` alone.
    fn ways<'a>(&'a self, segment: &'a str, user: &'a str) -> impl Iterator<Item = usize> + 'a {
        let named = (segment != "+").then(|| self.named(segment, user));
        self.any_for(segment).into_iter().chain(named.into_iter().flatten())
    }

    fn is_leaf(&self) -> bool {
        self.literal.is_empty() && self.user.is_empty() && self.any.is_none()
    }

    #[cfg(test)]
    fn count_ways(&self) -> usize {
        self.literal.len() + self.user.len() + usize::from(self.any.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trie(filters: &[&str]) -> Trie {
        let mut trie = Trie::default();
        for (at, filter) in filters.iter().enumerate() {
            trie.insert(Rule { filter: Template::parse(filter).unwrap(), line: 1, at });
        }
        trie
    }

    #[test]
    fn the_widest_rule_that_matches_is_found() {
        let trie = trie(&["a/b", "a/+/c", "a/b/#", "x-{user}/y", "/", "$d/x", "+/z"]);
        let found =
            |topic: &str| trie.covering(topic.split('/'), "ada").map(|rule| rule.filter.as_str());
        for (topic, expected) in [
            ("a/b/c", Some("a/b")),
            ("a/x/c/d", Some("a/+/c")),
            ("a", None),
            ("a/+", None),
            ("a/+/c", Some("a/+/c")),
            ("x-ada/y/z", Some("x-{user}/y")),
            ("x-bob/y", None),
            ("x-{user}/y", None),
            ("/q", Some("/")),
            ("q/z", Some("+/z")),
            ("$d/z", None),
            ("$d/x", Some("$d/x")),
        ] {
            assert_eq!(found(topic), expected, "{topic}");
        }
    }

    /// Every pattern of `a` and `+` in ten segments, and fifty `+` behind it: a search that took
    /// every way by itself would not end.
    #[test]
    fn a_lookup_is_bounded_by_the_rules_however_many_wildcards_they_have() {
        let filters: Vec<String> = (0..1_u32 << 10)
            .map(|bits| {
                let segment = |place| if bits >> place & 1 == 1 { "+" } else { "a" };
                let segments: Vec<&str> = (0..10_u32).map(segment).collect();
                format!("{}/{}/end", segments.join("/"), ["+"; 50].join("/"))
            })
            .collect();
        let filters: Vec<&str> = filters.iter().map(String::as_str).collect();
        let trie = trie(&filters);
        assert!(trie.covering(["a"; 64], "u").is_none());
        // A tree: each node but the root has one way to it, so no level has one twice.
        let ways: usize = trie.nodes.iter().map(Node::count_ways).sum();
        assert_eq!(ways, trie.nodes.len() - 1);
    }
}
