//! Where the messages of topics go, each way known once.
//!
//! A million topics may go the same way, so a topic remembers the number of its set of routes and
//! not the set.

use std::collections::HashMap;

use crate::broker::routing::subscriptions::{Route, Routes};
use crate::protocol::{Topic, TopicName};

/// Routes of topics that hold no value are remembered for this many topics at a time.
const PASSING_TOPICS: usize = 1_024;
/// Routes that are remembered at least, and where nothing else is said: 16 MiB, and 64 MiB.
const LEAST_ROUTES: usize = 1 << 20;
const DEFAULT_ROUTES: usize = 4 << 20;
/// Sets that are remembered: forgetting them is one step of the dispatcher, and this many take
/// about two milliseconds.
const MOST_SETS: usize = 32_768;
/// Lists of filters whose sets are known, each at a place that its numbers choose: neighbours in
/// the order of publication often match the same few.
const LISTS: usize = 64;
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
    sets: Vec<Routes>,
    numbers: HashMap<Routes, u32>,
    /// The sets of topics that hold no value.
    passing: HashMap<Topic, RouteSet>,
    /// The sets of topics that match these filters, by their numbers.
    by_filters: Vec<(Vec<u64>, RouteSet)>,
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
            by_filters: Vec::new(),
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
    pub(in crate::broker) fn get(&self, set: RouteSet) -> Option<&Routes> {
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
    pub(in crate::broker) fn has_room_for(&self, routes: &Routes) -> bool {
        (self.remembered + cost(routes) <= self.most && self.sets.len() < MOST_SETS)
            || self.sets.is_empty()
            || self.numbers.contains_key(routes)
    }

    /// The set of topics that match these filters, if it is remembered.
    pub(in crate::broker) fn of_filters(&self, filters: &[u64]) -> Option<RouteSet> {
        let (others, set) = self.by_filters.get(place_of(filters))?;
        (*others == *filters && self.get(*set).is_some()).then_some(*set)
    }

    /// The set of these routes, which are those of topics that match these filters.
    pub(in crate::broker) fn add(&mut self, routes: Routes, filters: Vec<u64>) -> RouteSet {
        let set = self.number(routes);
        self.by_filters.resize(LISTS, Default::default());
        let place = place_of(&filters);
        self.by_filters[place] = (filters, set);
        set
    }

    fn number(&mut self, routes: Routes) -> RouteSet {
        let generation = self.generation;
        if let Some(&number) = self.numbers.get(&routes) {
            return RouteSet { number, generation };
        }
        let number = self.sets.len() as u32;
        self.remembered += cost(&routes);
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
        self.by_filters.clear();
        self.remembered = 0;
        let (next, begins_anew) = self.generation.overflowing_add(1);
        self.generation = next.max(1);
        begins_anew
    }
}

/// The place of a list of filters.
fn place_of(filters: &[u64]) -> usize {
    const ODD: u64 = 0x9E37_79B9_7F4A_7C15;
    let mixed = filters.iter().fold(ODD, |mixed, number| (mixed ^ number).wrapping_mul(ODD));
    (mixed >> 32) as usize % LISTS
}

/// Routes that a set takes the room of.
fn cost(routes: &Routes) -> usize {
    routes.messages.len() + routes.notices.len() + SET_COST
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::routing::subscriptions::Way;
    use crate::codec::Dialect;

    /// The routes of messages to these connections, of which nobody is told what is cleared.
    fn to(slots: impl IntoIterator<Item = u32>) -> Routes {
        let route = |slot| Route { slot, dialect: Dialect::Xml, way: Way::Outbox };
        Routes { messages: slots.into_iter().map(route).collect(), ..Routes::default() }
    }

    #[test]
    fn a_set_is_known_once_and_until_the_subscriptions_change() {
        let mut sets = RouteSets::default();
        assert!(sets.get(RouteSet::default()).is_none());
        let one = sets.number(to([1]));
        let two = sets.number(to([2]));
        assert_eq!(one, sets.number(to([1])));
        assert_ne!(one, two);
        assert_eq!(sets.get(two).unwrap().messages[0].slot, 2);
        let told = Routes { notices: to([1]).messages, ..to([1]) };
        let three = sets.number(told.clone());
        assert_eq!((three == one, sets.get(three)), (false, Some(&told)));
        assert!(!sets.forget());
        assert_eq!((sets.get(one), sets.get(two)), (None, None));
        sets.generation = u32::MAX;
        assert!(sets.forget());
        assert!(sets.get(RouteSet::default()).is_none());
    }

    #[test]
    fn topics_of_the_same_filters_have_one_set_until_the_subscriptions_change() {
        let mut sets = RouteSets::default();
        assert_eq!(sets.of_filters(&[]), None);
        let lists: Vec<Vec<u64>> = (0..LISTS as u64).map(|last| vec![1, last]).collect();
        let set = |list: &[u64]| to([list[1] as u32 % 7]);
        for list in &lists {
            let added = sets.add(set(list), list.clone());
            assert_eq!((sets.of_filters(list), sets.of_filters(&list[1..])), (Some(added), None));
            assert_eq!(sets.get(added), Some(&set(list)));
        }
        let known: Vec<_> = lists.iter().filter_map(|list| sets.of_filters(list)).collect();
        assert!((LISTS / 3..=LISTS).contains(&known.len()), "{} are known", known.len());
        sets.forget();
        assert!(lists.iter().all(|list| sets.of_filters(list).is_none()));
    }

    #[test]
    fn so_many_routes_are_remembered_and_no_more() {
        let mut sets = RouteSets::default();
        sets.remember(0);
        assert_eq!(sets.most, LEAST_ROUTES);
        // Half of what there is room for, told of what is cleared or not.
        let routes = |first: u32| {
            let count = LEAST_ROUTES as u32 / 2 - SET_COST as u32;
            let half = to(first..first + count / 2).messages;
            match first {
                1 => Routes { messages: half.clone(), notices: half },
                _ => to(first..first + count),
            }
        };
        for first in [1, 2] {
            assert!(sets.has_room_for(&routes(first)));
            sets.number(routes(first));
        }
        assert!(sets.has_room_for(&routes(1)), "they are remembered already");
        assert!(!sets.has_room_for(&Routes::default()), "everything is taken");
        sets.forget();
        assert!(sets.has_room_for(&routes(3)));
    }

    #[test]
    fn so_many_sets_are_remembered_and_no_more() {
        let mut sets = RouteSets::default();
        for slot in 0..MOST_SETS as u32 {
            sets.number(to([slot]));
        }
        assert!(sets.has_room_for(&to([0])) && !sets.has_room_for(&to([MOST_SETS as u32])));
    }

    #[test]
    fn topics_without_a_value_are_remembered_until_they_are_too_many() {
        let mut sets = RouteSets::default();
        let set = sets.number(Routes::default());
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
