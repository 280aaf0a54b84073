//! The subscriptions of one session, as its client asked for them: what a message is delivered
//! with.

use super::super::Qos;
use crate::broker::FilterMap;
use crate::protocol::{TopicFilter, TopicName};

/// How a client wants the messages of one subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Granted {
    /// The most that they are delivered with.
    pub(crate) qos: Qos,
    /// Whether it is spared what it has published.
    pub(crate) no_local: bool,
    /// Whether they keep their RETAIN flag.
    pub(crate) retain_as_published: bool,
    /// The number that comes with them.
    pub(crate) identifier: Option<u32>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Grants {
    filters: FilterMap<Granted>,
    /// Bytes that they take, about.
    bytes: usize,
}

/// Bytes that a subscription takes beside its filter, about.
const GRANT: usize = 192;

/// The cost of a subscription. Two that mean the same are spelled alike here.
fn cost(filter: &TopicFilter) -> usize {
    GRANT + filter.as_str().len()
}

/// What holds for a message: it is delivered once, however many subscriptions it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Vec<u32>,
}

impl Grants {
    /// Adds one, in the place of the one with the same filter. Returns that.
    pub(super) fn add(&mut self, filter: &TopicFilter, granted: Granted) -> Option<Granted> {
        let before = self.filters.remove(filter);
        self.filters.insert(filter.clone(), granted);
        self.bytes += if before.is_none() { cost(filter) } else { 0 };
        before
    }

    /// Removes one.
    pub(super) fn remove(&mut self, filter: &TopicFilter) -> Option<Granted> {
        let removed = self.filters.remove(filter);
        self.bytes -= if removed.is_some() { cost(filter) } else { 0 };
        removed
    }

    /// Removes the one that is spelled like this.
    pub(super) fn remove_spelled(&mut self, text: &str) {
        if let Ok(filter) = TopicFilter::parse(text) {
            self.remove(&filter.below(false));
        }
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What holds for a message of a topic; `None` where no subscription matches it any more.
    pub(super) fn of(&self, topic: TopicName<'_>) -> Option<Matched> {
        let mut matched: Option<Matched> = None;
        self.filters.each_matching(topic, |granted| match &mut matched {
            None => {
                matched = Some(Matched {
                    qos: granted.qos,
                    no_local: granted.no_local,
                    retain_as_published: granted.retain_as_published,
                    identifiers: granted.identifier.into_iter().collect(),
                });
            }
            Some(matched) => {
                matched.qos = matched.qos.max(granted.qos);
                matched.no_local &= granted.no_local;
                matched.retain_as_published |= granted.retain_as_published;
                matched.identifiers.extend(granted.identifier);
            }
        });
        matched
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::protocol::Topic;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap().below(false)
    }

    #[test]
    fn where_subscriptions_overlap_the_most_that_was_granted_counts() {
        let mut grants = Grants::default();
        let granted = |qos, no_local, identifier| Granted {
            qos,
            no_local,
            retain_as_published: no_local,
            identifier,
        };
        assert_eq!(grants.add(&filter("a/+"), granted(Qos::AtMostOnce, true, Some(7))), None);
        assert_eq!(grants.add(&filter("a/#"), granted(Qos::ExactlyOnce, false, Some(9))), None);
        grants.add(&filter("b"), granted(Qos::AtLeastOnce, true, None));
        let of = |grants: &Grants, topic: &str| grants.of(Topic::parse(topic).unwrap().name());
        let both = of(&grants, "a/x").unwrap();
        assert_eq!(
            (both.qos, both.no_local, both.retain_as_published),
            (Qos::ExactlyOnce, false, true)
        );
        assert_eq!(
            {
                let mut ids = both.identifiers;
                ids.sort_unstable();
                ids
            },
            [7, 9]
        );
        assert_eq!(of(&grants, "b").unwrap().qos, Qos::AtLeastOnce);
        assert!(of(&grants, "b/c").is_none() && of(&grants, "c").is_none());
        assert!(grants.remove(&filter("a/#")).is_some() && grants.remove(&filter("a/#")).is_none());
        assert_eq!(of(&grants, "a/x").unwrap().identifiers, [7]);
    }
}
