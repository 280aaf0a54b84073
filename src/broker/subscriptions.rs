//! Who subscribed to what.

use std::collections::HashMap;

use crate::codec::Dialect;
use crate::protocol::{TopicFilter, TopicName};

/// A place in the dispatcher's list of connections that can receive.
pub(super) type Slot = u32;

/// One subscription.
#[derive(Clone, Debug)]
pub(super) struct Subscription {
    pub(super) slot: Slot,
    pub(super) filter: TopicFilter,
    pub(super) dialect: Dialect,
    pub(super) way: Way,
}

/// How messages of a subscription wait for their writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Way {
    /// In the outbox; if there is no room for them the connection ends.
    Outbox,
    /// In one of the connection's mailboxes; the oldest make room.
    DropOldest(u32),
    /// In one of the connection's mailboxes, the newest of each topic.
    Latest(u32),
}

/// Where a topic's messages go: one for each connection, however many of its subscriptions overlap there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Route {
    pub(super) slot: Slot,
    pub(super) dialect: Dialect,
    pub(super) way: Way,
}

/// All subscriptions, found by the topics that they match.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    root: Branch,
    count: usize,
}

/// The subscriptions to one filter, and below it the longer filters. A `+` is a segment like any other here.
#[derive(Debug, Default)]
struct Branch {
    subscriptions: Vec<Subscription>,
    longer: HashMap<Box<str>, Branch>,
}

impl Subscriptions {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Adds one, in the place of the one that the connection has for the same filter. Returns whether it is new.
    pub(super) fn add(&mut self, subscription: Subscription) -> bool {
        let mut branch = &mut self.root;
        for segment in subscription.filter.segments() {
            branch = branch.longer.entry(segment.into()).or_default();
        }
        match branch.subscriptions.iter_mut().find(|existing| existing.slot == subscription.slot) {
            Some(existing) => {
                *existing = subscription;
                false
            }
            None => {
                branch.subscriptions.push(subscription);
                self.count += 1;
                true
            }
        }
    }

    /// Removes the one that a connection has for a filter. Returns whether there was one.
    pub(super) fn remove(&mut self, slot: Slot, filter: &TopicFilter) -> bool {
        let segments: Vec<&str> = filter.segments().collect();
        let removed = self.root.remove(slot, &segments);
        self.count -= usize::from(removed);
        removed
    }

    /// Every subscription that matches a topic, the least specific first.
    pub(super) fn matching<'a>(&self, topic: impl Into<TopicName<'a>>) -> Vec<&Subscription> {
        let mut branches = vec![&self.root];
        let mut found: Vec<&Subscription> = self.root.subscriptions.iter().collect();
        for segment in topic.into().segments() {
            if branches.iter().all(|branch| branch.longer.is_empty()) {
                break;
            }
            let mut longer = Vec::new();
            for branch in branches {
                longer.extend(branch.longer.get("+"));
                longer.extend(branch.longer.get(segment));
            }
            branches = longer;
            found.extend(branches.iter().flat_map(|branch| &branch.subscriptions));
        }
        found
    }

    /// Where messages to a topic go. Of one connection's overlapping subscriptions the most specific decides the
    /// format.
    pub(super) fn routes<'a>(&self, topic: impl Into<TopicName<'a>>) -> Vec<Route> {
        let mut routes: Vec<Route> = self
            .matching(topic)
            .iter()
            .rev()
            .map(|found| Route { slot: found.slot, dialect: found.dialect, way: found.way })
            .collect();
        routes.sort_by_key(|route| route.slot);
        routes.dedup_by_key(|route| route.slot);
        routes
    }
}

impl Branch {
    /// At most 64 segments deep, so the recursion is bounded.
    fn remove(&mut self, slot: Slot, segments: &[&str]) -> bool {
        let Some((first, rest)) = segments.split_first() else {
            let before = self.subscriptions.len();
            self.subscriptions.retain(|subscription| subscription.slot != slot);
            return self.subscriptions.len() < before;
        };
        let Some(branch) = self.longer.get_mut(*first) else { return false };
        let removed = branch.remove(slot, rest);
        if branch.subscriptions.is_empty() && branch.longer.is_empty() {
            self.longer.remove(*first);
        }
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::Topic;

    fn subscribe(all: &mut Subscriptions, slot: Slot, filter: &str, dialect: Dialect) -> bool {
        let filter = TopicFilter::parse(filter).unwrap();
        all.add(Subscription { slot, filter, dialect, way: Way::Outbox })
    }

    fn routes(all: &Subscriptions, topic: &str) -> Vec<(Slot, Dialect)> {
        let routes = all.routes(&Topic::parse(topic).unwrap());
        routes.into_iter().map(|route| (route.slot, route.dialect)).collect()
    }

    #[test]
    fn one_route_for_each_connection_and_the_most_specific_decides() {
        let mut all = Subscriptions::default();
        assert!(subscribe(&mut all, 1, "#", Dialect::Json));
        assert!(subscribe(&mut all, 1, "a/b", Dialect::Xml));
        assert!(subscribe(&mut all, 2, "a/+/c", Dialect::Pickle));
        assert!(subscribe(&mut all, 3, "/", Dialect::Json));
        assert_eq!(routes(&all, "a/b"), [(1, Dialect::Xml)]);
        assert_eq!(routes(&all, "a/b/c"), [(1, Dialect::Xml), (2, Dialect::Pickle)]);
        assert_eq!(routes(&all, "a/c"), [(1, Dialect::Json)]);
        assert_eq!(routes(&all, "/a"), [(1, Dialect::Json), (3, Dialect::Json)]);
        assert_eq!(all.len(), 4);
    }

    #[test]
    fn the_same_filter_again_replaces_and_a_removed_one_leaves_nothing_behind() {
        let mut all = Subscriptions::default();
        assert!(subscribe(&mut all, 1, "a/b", Dialect::Json));
        assert!(!subscribe(&mut all, 1, "a/b/#", Dialect::Xml));
        assert_eq!(routes(&all, "a/b/c"), [(1, Dialect::Xml)]);
        assert!(!all.remove(2, &TopicFilter::parse("a/b").unwrap()));
        assert!(!all.remove(1, &TopicFilter::parse("a").unwrap()));
        assert!(all.remove(1, &TopicFilter::parse("a/b").unwrap()));
        assert_eq!(all.len(), 0);
        assert!(all.root.longer.is_empty());
    }
}
