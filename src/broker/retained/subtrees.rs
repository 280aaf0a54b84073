//! Rules for parts of the topic tree: how much may be remembered there, and for how long.

use crate::protocol::{TOPIC_COST, TopicFilter, TopicName};

/// A rule for a topic and everything below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subtree {
    /// Which topics.
    pub filter: TopicFilter,
    /// How many of them may hold a value; `None` is no limit beside the broker's.
    pub values: Option<usize>,
    /// Bytes of their payloads and names, and [`TOPIC_COST`] for each; `None` is no limit beside the broker's. What topics
    /// above them cost that hold no value themselves counts for the broker's alone.
    pub bytes: Option<usize>,
    /// Seconds that a value lives whose publish says nothing about it; `None` leaves it to the rules before, and without
    /// one to the next publish or `clear`.
    pub ttl: Option<u32>,
}

/// The rules, and what is remembered under each.
#[derive(Debug, Default)]
pub(in crate::broker) struct Subtrees {
    rules: Vec<Rule>,
}

#[derive(Debug)]
struct Rule {
    subtree: Subtree,
    values: usize,
    bytes: usize,
}

impl Subtrees {
    pub(in crate::broker) fn new(subtrees: Vec<Subtree>) -> Subtrees {
        Subtrees {
            rules: subtrees.into_iter().map(|subtree| Rule { subtree, values: 0, bytes: 0 }).collect(),
        }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Seconds that a value lives: the last rule that says so decides.
    pub(in crate::broker) fn ttl(&self, topic: TopicName<'_>) -> Option<u32> {
        let of_topic = |rule: &Rule| rule.subtree.ttl.filter(|_| rule.subtree.filter.matches(topic));
        self.rules.iter().rev().find_map(of_topic)
    }

    /// The first rule that has no room for a value of `bytes` in the place of one of `before`.
    pub(in crate::broker) fn full(
        &self,
        topic: TopicName<'_>,
        before: Option<usize>,
        bytes: usize,
    ) -> Option<&Subtree> {
        let (before, bytes) = (before.map(|before| cost(topic, before)), cost(topic, bytes));
        let is_full = |rule: &&Rule| {
            let Rule { subtree, values, bytes: used } = rule;
            let smaller = before.unwrap_or(0);
            subtree.filter.matches(topic)
                && (before.is_none() && subtree.values.is_some_and(|most| *values >= most)
                    || bytes > smaller && subtree.bytes.is_some_and(|most| used - smaller + bytes > most))
        };
        self.rules.iter().find(is_full).map(|rule| &rule.subtree)
    }

    /// Notes that a topic's value of so many bytes took the place of one before; `None` is none.
    pub(in crate::broker) fn count(
        &mut self,
        topic: TopicName<'_>,
        before: Option<usize>,
        after: Option<usize>,
    ) {
        let (before, after) =
            (before.map(|before| cost(topic, before)), after.map(|after| cost(topic, after)));
        for rule in self.rules.iter_mut().filter(|rule| rule.subtree.filter.matches(topic)) {
            rule.values = rule.values + usize::from(after.is_some()) - usize::from(before.is_some());
            rule.bytes = rule.bytes + after.unwrap_or(0) - before.unwrap_or(0);
        }
    }

    /// Whether a rule has no room for anything more.
    pub(in crate::broker) fn any_full(&self) -> bool {
        let reached = |used: usize, most: Option<usize>| most.is_some_and(|most| used >= most);
        self.rules
            .iter()
            .any(|rule| reached(rule.values, rule.subtree.values) || reached(rule.bytes, rule.subtree.bytes))
    }
}

/// What a value of so many bytes costs.
fn cost(topic: TopicName<'_>, bytes: usize) -> usize {
    topic.as_str().len() + TOPIC_COST + bytes
}
