//! The subscriptions of one session, as its client asked for them: what a message is delivered
//! with.

use std::sync::Arc;

use super::super::{Qos, Wanted, wanted};
use super::filters::Filters;
use crate::broker::SmallMap;
use crate::protocol::{Limits, TopicFilter, TopicName};

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

/// Where the messages of a subscription come from that a stream keeps: from a consumer of it, which
/// is the session's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Durable {
    pub(crate) stream: Arc<str>,
    pub(crate) consumer: Arc<str>,
    /// When it was asked for, in milliseconds since 1970.
    pub(crate) since: u64,
}

/// One subscription of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subscribed {
    pub(crate) filter: TopicFilter,
    /// The name of the group that shares it, if one does.
    pub(crate) group: Option<Arc<str>>,
    pub(crate) granted: Granted,
    /// None where its messages come as they are published.
    pub(crate) durable: Option<Durable>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Grants {
    filters: Filters<Granted>,
    /// Those that streams keep: their messages come by themselves, whatever else matches them.
    durable: SmallMap<TopicFilter, (Granted, Durable)>,
    /// Those that groups share, by their names. What is granted comes with what a group gives.
    shared: SmallMap<Arc<str>, (TopicFilter, Granted)>,
    /// Bytes that they take, about.
    bytes: usize,
}

/// Bytes that a subscription takes beside its filter, about, and where its messages come from.
const GRANT: usize = 192;
const DURABLE: usize = 192;

/// The cost of a subscription. Two that mean the same are spelled alike here.
fn cost(text: &str, is_durable: bool) -> usize {
    GRANT + text.len() + if is_durable { DURABLE } else { 0 }
}

/// What holds for a message: it is delivered once, however many subscriptions it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Matched {
    pub(super) qos: Qos,
    pub(super) no_local: bool,
    pub(super) retain_as_published: bool,
    pub(super) identifiers: Vec<u32>,
}

impl Subscribed {
    /// What is asked of the broker.
    pub(crate) fn wanted(&self) -> Wanted {
        Wanted { group: self.group.clone(), filter: self.filter.clone() }
    }
}

impl Granted {
    const RETAIN: u64 = 1 << 2;
    const IDENTIFIER: u32 = 3;

    /// The same as a number, that comes back with what a group gives to its member: it is delivered
    /// as was asked when it was given, whatever was asked since.
    pub(crate) fn mark(self) -> u64 {
        let retain = if self.retain_as_published { Granted::RETAIN } else { 0 };
        // No identifier is 0.
        let identifier = u64::from(self.identifier.unwrap_or(0));
        u64::from(self.qos.byte()) | retain | identifier << Granted::IDENTIFIER
    }

    /// What the number stands for.
    fn of_mark(mark: u64) -> Granted {
        let identifier = u32::try_from(mark >> Granted::IDENTIFIER).unwrap_or(0);
        Granted {
            qos: Qos::from_byte((mark & 0b11) as u8).unwrap_or_default(),
            no_local: false,
            retain_as_published: mark & Granted::RETAIN != 0,
            identifier: (identifier > 0).then_some(identifier),
        }
    }
}

impl Grants {
    /// Adds one, in the place of the one with the same filter, and the same group. Returns that.
    pub(super) fn add(&mut self, subscribed: Subscribed) -> Option<Subscribed> {
        let wanted = subscribed.wanted();
        let before = self.remove(&wanted);
        let Subscribed { filter, group, granted, durable } = subscribed;
        self.bytes += cost(wanted.as_str(), durable.is_some());
        match (group, durable) {
            (Some(group), _) => drop(self.shared.insert(group, (filter, granted))),
            (None, Some(durable)) => drop(self.durable.insert(filter, (granted, durable))),
            (None, None) => self.filters.insert(filter, granted),
        }
        before
    }

    /// Removes one.
    pub(super) fn remove(&mut self, wanted: &Wanted) -> Option<Subscribed> {
        let Wanted { group, filter } = wanted;
        if let Some(group) = group {
            let (filter, granted) = self.shared.remove(group)?;
            self.bytes -= cost(group, false);
            return Some(Subscribed { filter, group: Some(group.clone()), granted, durable: None });
        }
        let (granted, durable) = match self.filters.remove(filter) {
            Some(granted) => (granted, None),
            None => {
                let (granted, durable) = self.durable.remove(filter)?;
                (granted, Some(durable))
            }
        };
        self.bytes -= cost(filter.as_str(), durable.is_some());
        Some(Subscribed { filter: filter.clone(), group: None, granted, durable })
    }

    /// Removes the one that is spelled like this.
    pub(super) fn remove_spelled(&mut self, text: &str) {
        if let Ok(wanted) = wanted(text, &Limits::default()) {
            self.remove(&wanted);
        }
    }

    /// What holds for the messages of one that a stream keeps.
    pub(super) fn of_stream(&self, filter: &TopicFilter) -> Option<&Granted> {
        self.durable.get(filter).map(|(granted, _)| granted)
    }

    /// Where the messages of one come from, if a stream keeps them.
    pub(super) fn durable(&self, filter: &TopicFilter) -> Option<&Durable> {
        self.durable.get(filter).map(|(_, durable)| durable)
    }

    /// Whether there is one of its own with this filter.
    pub(super) fn has(&self, filter: &TopicFilter) -> bool {
        self.durable.contains_key(filter) || self.filters.get(filter).is_some()
    }

    /// Whether there is one with this filter whose messages wait in memory.
    pub(super) fn waits_in_memory(&self, filter: &TopicFilter) -> bool {
        self.filters.get(filter).is_some_and(|granted| granted.qos != Qos::AtMostOnce)
    }

    /// How many of them streams keep.
    pub(super) fn count_durable(&self) -> usize {
        self.durable.len()
    }

    /// Each of them, in no order.
    pub(super) fn each(&self) -> impl Iterator<Item = Subscribed> {
        let plain = self.filters.iter().map(|(filter, granted)| (filter, *granted, None));
        let durable =
            self.durable.iter().map(|(filter, (granted, kept))| (filter, *granted, Some(kept)));
        let own = plain.chain(durable).map(|(filter, granted, durable)| Subscribed {
            filter: filter.clone(),
            group: None,
            granted,
            durable: durable.cloned(),
        });
        let shared = self.shared.iter().map(|(group, (filter, granted))| Subscribed {
            filter: filter.clone(),
            group: Some(group.clone()),
            granted: *granted,
            durable: None,
        });
        own.chain(shared)
    }

    /// Bytes of memory that they take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What holds for a message of a topic that comes as it is published; `None` where no
    /// subscription matches it any more.
    pub(super) fn of(&self, topic: TopicName<'_>) -> Option<Matched> {
        let mut matched: Option<Matched> = None;
        self.filters.each_matching(topic, |granted| Matched::add(&mut matched, granted));
        matched
    }

    /// The same for a topic's last value, with which all subscriptions begin.
    pub(super) fn of_value(&self, topic: TopicName<'_>) -> Option<Matched> {
        let mut matched = self.of(topic);
        for (_, (granted, _)) in self.durable.iter().filter(|(filter, _)| filter.matches(topic)) {
            Matched::add(&mut matched, granted);
        }
        matched
    }
}

impl Matched {
    /// What holds for a message that a group has given to the client.
    pub(super) fn of_mark(mark: u64) -> Option<Matched> {
        let mut matched = None;
        Matched::add(&mut matched, &Granted::of_mark(mark));
        matched
    }

    /// Of several subscriptions the most that was granted counts.
    fn add(matched: &mut Option<Matched>, granted: &Granted) {
        match matched {
            None => {
                *matched = Some(Matched {
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
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::protocol::Topic;

    fn filter(text: &str) -> Wanted {
        wanted(text, &Limits::default()).unwrap()
    }

    fn subscribed(text: &str, granted: Granted) -> Subscribed {
        let Wanted { group, filter } = filter(text);
        Subscribed { filter, group, granted, durable: None }
    }

    #[test]
    fn what_was_granted_comes_back_from_its_mark() {
        for identifier in [None, Some(1), Some(268_435_455)] {
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
                for retain_as_published in [false, true] {
                    let granted = Granted { qos, no_local: false, retain_as_published, identifier };
                    assert_eq!(Granted::of_mark(granted.mark()), granted);
                }
            }
        }
    }

    #[test]
    fn a_shared_subscription_is_another_than_one_with_its_filter() {
        let mut grants = Grants::default();
        let granted = Granted::of_mark(1);
        for text in ["a", "$share/g/a", "$share/h/a", "$share/g/+"] {
            let one = subscribed(text, granted);
            assert_eq!((grants.add(one.clone()), grants.add(one.clone())), (None, Some(one)));
        }
        assert_eq!(grants.each().count(), 4);
        let topic = Topic::parse("a").unwrap();
        assert!(grants.of(topic.name()).unwrap().identifiers.is_empty());
        assert!(grants.remove(&filter("a")).is_some() && grants.of(topic.name()).is_none());
        grants.remove_spelled("$share/g/a");
        assert!(grants.remove(&filter("$share/g/a")).is_none() && grants.bytes() > 0);
        assert!(grants.remove(&filter("$share/h/a")).is_some());
        let last = grants.remove(&filter("$share/g/+"));
        assert_eq!((last, grants.bytes()), (Some(subscribed("$share/g/+", granted)), 0));
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
        let one = subscribed;
        assert_eq!(grants.add(one("a/+", granted(Qos::AtMostOnce, true, Some(7)))), None);
        assert_eq!(grants.add(one("a/#", granted(Qos::ExactlyOnce, false, Some(9)))), None);
        grants.add(one("b", granted(Qos::AtLeastOnce, true, None)));
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

    #[test]
    fn what_a_stream_keeps_is_not_for_what_comes_as_it_is_published() {
        let mut grants = Grants::default();
        let granted = Granted {
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            identifier: Some(4),
        };
        let (stream, consumer) = ("all".into(), "$mqtt-1".into());
        let durable = Some(Durable { stream, consumer, since: 7 });
        let kept = Subscribed { durable, ..subscribed("a/#", granted) };
        let plain = Subscribed { durable: None, ..kept.clone() };
        assert_eq!(grants.add(kept.clone()), None);
        assert!(grants.of(Topic::parse("a/x").unwrap().name()).is_none());
        assert_eq!(grants.of_stream(&filter("a/#").filter), Some(&granted));
        assert!(grants.each().eq([kept.clone()]));
        assert_eq!(grants.add(plain.clone()), Some(kept));
        assert!(grants.count_durable() == 0 && grants.of_stream(&filter("a/#").filter).is_none());
        assert!(grants.of(Topic::parse("a/x").unwrap().name()).is_some());
        assert_eq!(grants.remove(&filter("a/#")), Some(plain));
        assert_eq!(grants.bytes(), 0);
    }
}
