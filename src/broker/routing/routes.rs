//! Where the messages of topics go, each way known once.
//!
//! A million topics may go the same way, so a topic remembers the number of its set of routes and
//! not the set.

use std::collections::HashMap;
use std::sync::Arc;

use crate::broker::routing::subscriptions::Route;
use crate::protocol::{Topic, TopicName};

/// Routes of topics that hold no value are remembered for this many topics at a time.
const PASSING_TOPICS: usize = 1_024;
/// Routes that are remembered at least, and where nothing else is said: 16 MiB, and 64 MiB.
const LEAST_ROUTES: usize = 1 << 20;
const DEFAULT_ROUTES: usize = 4 << 20;
/// Sets that are remembered: forgetting them is one step of the dispatcher, and this many take
/// about two milliseconds.
const MOST_SETS: usize = 32_768;
/// A set takes as much as so many routes more.
const SET_COST: usize = 6;

/// The number of a set, and when it was given: the numbers from before a change of the
/// subscriptions mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::broker) struct RouteSet {
    number: u32,
    generation: u32,
}

/// The sets that are in use since the last change of the subscriptions, or since they became too
/// many: each topic below one that all subscribe to may have a set of its own with all of them in
/// it.
#[derive(Debug)]
pub(in crate::broker) struct RouteSets {
    sets: Vec<Arc<[Route]>>,
    numbers: HashMap<Arc<[Route]>, u32>,
    /// The sets of topics that hold no value.
    passing: HashMap<Topic, RouteSet>,
    /// Routes in all sets, and [`SET_COST`] for each.
    remembered: usize,
    most: usize,
    /// Never that of a [`RouteSet::default`].
    generation: u32,
}

impl Default for RouteSets {
    fn default() -> RouteSets {
        RouteSets {
            sets: Vec::new(),
            numbers: HashMap::new(),
            passing: HashMap::new(),
            remembered: 0,
            most: DEFAULT_ROUTES,
            generation: 1,
        }
    }
}

impl RouteSets {
    /// Says how many bytes of routes may be remembered; some always are.
    pub(in crate::broker) fn remember(&mut self, bytes: usize) {
        self.most = (bytes / size_of::<Route>()).max(LEAST_ROUTES);
    }

    /// The routes of a set, unless it is from before a change.
    pub(in crate::broker) fn get(&self, set: RouteSet) -> Option<&Arc<[Route]>> {
        if set.generation == self.generation { self.sets.get(set.number as usize) } else { None }
    }

    /// The set of a topic that holds no value, if it is remembered.
    pub(in crate::broker) fn passing(&self, topic: TopicName<'_>) -> RouteSet {
        self.passing.get(topic.as_str()).copied().unwrap_or_default()
    }

    /// Remembers the set of a topic that holds no value.
    pub(in crate::broker) fn pass(&mut self, topic: TopicName<'_>, set: RouteSet) {
        if self.passing.len() == PASSING_TOPICS {
            self.passing.clear();
        }
        self.passing.insert(topic.to_topic(), set);
    }

    /// Whether these routes can be remembered beside all others, or at least without any.
    pub(in crate::broker) fn has_room_for(&self, routes: &[Route]) -> bool {
        (self.remembered + routes.len() + SET_COST <= self.most && self.sets.len() < MOST_SETS)
            || self.sets.is_empty()
            || self.numbers.contains_key(routes)
    }

    /// The set of these routes.
    pub(in crate::broker) fn add(&mut self, routes: Vec<Route>) -> RouteSet {
        let generation = self.generation;
        if let Some(&number) = self.numbers.get(&*routes) {
            return RouteSet { number, generation };
        }
        let number = self.sets.len() as u32;
        self.remembered += routes.len() + SET_COST;
        let routes: Arc<[Route]> = routes.into();
        self.sets.push(routes.clone());
        self.numbers.insert(routes, number);
        RouteSet { number, generation }
    }

    /// Routes that are remembered, and what sets cost beside them.
    #[cfg(test)]
    pub(in crate::broker) fn remembered(&self) -> usize {
        self.remembered
    }

    /// Forgets all sets. Returns whether the numbers begin anew, so that even old ones have to be
    /// forgotten everywhere.
    pub(in crate::broker) fn forget(&mut self) -> bool {
        self.sets.clear();
        self.numbers.clear();
        self.passing.clear();
        self.remembered = 0;
        let (next, begins_anew) = self.generation.overflowing_add(1);
        self.generation = next.max(1);
        begins_anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::routing::subscriptions::Way;
    use crate::codec::Dialect;

    #[test]
    fn a_set_is_known_once_and_until_the_subscriptions_change() {
        let mut sets = RouteSets::default();
        assert!(sets.get(RouteSet::default()).is_none());
        let routes = |slot| vec![Route { slot, dialect: Dialect::Xml, way: Way::Outbox }];
        let one = sets.add(routes(1));
        let two = sets.add(routes(2));
        assert_eq!(one, sets.add(routes(1)));
        assert_ne!(one, two);
        assert_eq!(sets.get(two).unwrap()[0].slot, 2);
        assert!(!sets.forget());
        assert_eq!((sets.get(one), sets.get(two)), (None, None));
        sets.generation = u32::MAX;
        assert!(sets.forget());
        assert!(sets.get(RouteSet::default()).is_none());
    }

    #[test]
    fn so_many_routes_are_remembered_and_no_more() {
        let mut sets = RouteSets::default();
        sets.remember(0);
        assert_eq!(sets.most, LEAST_ROUTES);
        let routes = |first| -> Vec<Route> {
            let slots = first..first + LEAST_ROUTES as u32 / 2 - SET_COST as u32;
            slots.map(|slot| Route { slot, dialect: Dialect::Xml, way: Way::Outbox }).collect()
        };
        for first in [1, 2] {
            assert!(sets.has_room_for(&routes(first)));
            sets.add(routes(first));
        }
        assert!(sets.has_room_for(&routes(1)), "they are remembered already");
        assert!(!sets.has_room_for(&[]), "everything is taken");
        sets.forget();
        assert!(sets.has_room_for(&routes(3)));
    }

    #[test]
    fn so_many_sets_are_remembered_and_no_more() {
        let mut sets = RouteSets::default();
        let routes = |slot| vec![Route { slot, dialect: Dialect::Xml, way: Way::Outbox }];
        for slot in 0..MOST_SETS as u32 {
            sets.add(routes(slot));
        }
        assert!(sets.has_room_for(&routes(0)) && !sets.has_room_for(&routes(MOST_SETS as u32)));
    }

    #[test]
    fn topics_without_a_value_are_remembered_until_they_are_too_many() {
        let mut sets = RouteSets::default();
        let set = sets.add(Vec::new());
        let topic = |number: usize| Topic::parse(&format!("t/{number}")).unwrap();
        for number in 0..PASSING_TOPICS {
            assert!(sets.get(sets.passing(topic(number).name())).is_none());
            sets.pass(topic(number).name(), set);
        }
        assert_eq!(sets.passing(topic(0).name()), set);
        sets.pass(topic(PASSING_TOPICS).name(), set);
        assert_eq!((sets.passing(topic(0).name()), sets.passing.len()), (RouteSet::default(), 1));
        sets.forget();
        assert!(sets.passing.is_empty());
    }
}
