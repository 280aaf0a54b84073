//! Rules for parts of the topic tree: how much may be remembered there, and for how long.

use std::time::Duration;

use crate::broker::routing::FilterMap;
use crate::protocol::{TOPIC_COST, TopicFilter, TopicName};

/// A rule for a topic and everything below it.
///
/// ```
/// use std::time::Duration;
/// use babelmq::{Broker, Config, Subtree, TopicFilter};
///
/// let sensors = Subtree::new(TopicFilter::parse("/sensors")?)
///     .values(10_000)
///     .ttl(Duration::from_secs(3_600));
/// let broker = Broker::start(Config::listening_on(([127, 0, 0, 1], 0)).subtrees([sensors]))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subtree {
    /// Which topics.
    pub filter: TopicFilter,
    /// How many of them may hold a value; `None` is no limit beside the broker's.
    pub values: Option<usize>,
    /// Bytes of their payloads and names, and [`TOPIC_COST`] for each; `None` is no limit beside
    /// the broker's. The cost of topics above them that hold no value themselves counts for the
    /// broker's alone.
    pub bytes: Option<usize>,
    /// How long a value lives whose publish says nothing about it, in whole seconds: a fraction
    /// counts as one. `None` leaves it to the rules before, and without one to the next publish or
    /// `clear`.
    pub ttl: Option<Duration>,
}

impl Subtree {
    /// A rule that says nothing yet.
    pub fn new(filter: TopicFilter) -> Subtree {
        Subtree { filter, values: None, bytes: None, ttl: None }
    }

    /// Lets so many of its topics hold a value.
    #[must_use]
    pub fn values(self, values: usize) -> Subtree {
        Subtree { values: Some(values), ..self }
    }

    /// Lets its values and their topics take so many bytes.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> Subtree {
        Subtree { bytes: Some(bytes), ..self }
    }

    /// Gives a value so long to live, where its publish says nothing about it.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Subtree {
        Subtree { ttl: Some(ttl), ..self }
    }
}

/// The rules, and what is remembered under each.
#[derive(Debug, Default)]
pub(in crate::broker) struct Subtrees {
    /// In the order in which they were given.
    rules: Vec<Rule>,
    /// The places in it of the rules of each filter.
    of_filters: FilterMap<Vec<usize>>,
}

#[derive(Debug)]
struct Rule {
    subtree: Subtree,
    /// Seconds that a value lives.
    ttl: Option<u32>,
    values: usize,
    bytes: usize,
}

impl Subtrees {
    pub(in crate::broker) fn new(subtrees: Vec<Subtree>) -> Subtrees {
        let mut of_filters = FilterMap::<Vec<usize>>::default();
        for (place, Subtree { filter, .. }) in subtrees.iter().enumerate() {
            match of_filters.get_mut(filter) {
                Some(places) => places.push(place),
                None => of_filters.insert(filter.clone(), vec![place]),
            }
        }
        let rule = |subtree: Subtree| Rule {
            ttl: subtree.ttl.map(whole_seconds),
            subtree,
            values: 0,
            bytes: 0,
        };
        Subtrees { rules: subtrees.into_iter().map(rule).collect(), of_filters }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Seconds that a value lives: the last rule that says so decides.
    pub(in crate::broker) fn ttl(&self, topic: TopicName<'_>) -> Option<u32> {
        let mut last = None;
        self.of_filters.each_matching(topic, |places| {
            last = last
                .max(places.iter().rev().copied().find(|place| self.rules[*place].ttl.is_some()));
        });
        self.rules[last?].ttl
    }

    /// The first rule that has no room for a value of `bytes` in the place of one of `before`.
    pub(in crate::broker) fn full(
        &self,
        topic: TopicName<'_>,
        before: Option<usize>,
        bytes: usize,
    ) -> Option<&Subtree> {
        let (before, bytes) = (before.map(|before| cost(topic, before)), cost(topic, bytes));
        let is_full = |place: &usize| {
            let Rule { subtree, values, bytes: used, .. } = &self.rules[*place];
            let smaller = before.unwrap_or(0);
            before.is_none() && subtree.values.is_some_and(|most| *values >= most)
                || bytes > smaller
                    && subtree.bytes.is_some_and(|most| used - smaller + bytes > most)
        };
        let mut first: Option<usize> = None;
        self.of_filters.each_matching(topic, |places| {
            if let Some(full) = places.iter().copied().find(|place| is_full(place)) {
                first = Some(first.map_or(full, |first| first.min(full)));
            }
        });
        Some(&self.rules[first?].subtree)
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
        let Subtrees { rules, of_filters } = self;
        of_filters.each_matching(topic, |places| {
            for place in places {
                let rule = &mut rules[*place];
                rule.values =
                    rule.values + usize::from(after.is_some()) - usize::from(before.is_some());
                rule.bytes = rule.bytes + after.unwrap_or(0) - before.unwrap_or(0);
            }
        });
    }

    /// Whether a rule has no room for anything more.
    pub(in crate::broker) fn any_full(&self) -> bool {
        let reached = |used: usize, most: Option<usize>| most.is_some_and(|most| used >= most);
        self.rules.iter().any(|rule| {
            reached(rule.values, rule.subtree.values) || reached(rule.bytes, rule.subtree.bytes)
        })
    }
}

/// What a value of so many bytes costs.
fn cost(topic: TopicName<'_>, bytes: usize) -> usize {
    topic.as_str().len() + TOPIC_COST + bytes
}

fn whole_seconds(time: Duration) -> u32 {
    let seconds = time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0));
    u32::try_from(seconds).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Topic;

    fn rule(filter: &str, values: Option<usize>, ttl: Option<u64>) -> Subtree {
        let filter = TopicFilter::parse(filter).unwrap();
        Subtree { filter, values, bytes: None, ttl: ttl.map(Duration::from_millis) }
    }

    fn name(topic: &str) -> Topic {
        Topic::parse(topic).unwrap()
    }

    #[test]
    fn of_the_rules_that_say_how_long_the_last_decides_however_specific_the_others_are() {
        let all = Subtrees::new(vec![
            rule("a/b", None, Some(5_000)),
            rule("a", None, Some(1_500)),
            rule("a/b/c", None, None),
            rule("a", None, Some(3_000)),
        ]);
        let ttl = |topic: &str| all.ttl(name(topic).name());
        assert_eq!([ttl("a"), ttl("a/b/c/d"), ttl("b")], [Some(3), Some(3), None]);
        let all = Subtrees::new(vec![rule("#", None, Some(1)), rule("+/b", None, Some(1_001))]);
        assert_eq!([all.ttl(name("x").name()), all.ttl(name("x/b").name())], [Some(1), Some(2)]);
    }

    #[test]
    fn of_the_rules_that_are_full_the_first_is_told_and_each_counts_what_is_below_it() {
        let mut all = Subtrees::new(vec![
            rule("a/+", Some(2), None),
            rule("a", Some(1), None),
            rule("a", Some(3), None),
        ]);
        all.count(name("a/x").name(), None, Some(10));
        let full = |all: &Subtrees, topic: &str| {
            all.full(name(topic).name(), None, 1).map(|rule| (rule.filter.to_string(), rule.values))
        };
        assert_eq!(full(&all, "a/y"), Some(("a".into(), Some(1))));
        assert_eq!(full(&all, "b"), None);
        all.count(name("a/y").name(), None, Some(10));
        assert_eq!(full(&all, "a/z"), Some(("a/+".into(), Some(2))));
        assert_eq!(full(&all, "a"), Some(("a".into(), Some(1))));
        all.count(name("a/y").name(), Some(10), None);
        all.count(name("a/x").name(), Some(10), None);
        assert_eq!(full(&all, "a/z"), None);
    }
}
