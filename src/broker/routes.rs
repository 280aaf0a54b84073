//! Where the messages of topics go, each way known once.
//!
//! A million topics may go the same way, so a topic remembers the number of its set of routes and not the set.

use std::collections::HashMap;
use std::sync::Arc;

use super::subscriptions::Route;

/// The number of a set, and when it was given: the numbers from before a change of the subscriptions mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct RouteSet {
    number: u32,
    generation: u32,
}

/// The sets that are in use since the last change of the subscriptions.
#[derive(Debug)]
pub(super) struct RouteSets {
    sets: Vec<Arc<[Route]>>,
    numbers: HashMap<Arc<[Route]>, u32>,
    /// Never that of a [`RouteSet::default`].
    generation: u32,
}

impl Default for RouteSets {
    fn default() -> RouteSets {
        RouteSets { sets: Vec::new(), numbers: HashMap::new(), generation: 1 }
    }
}

impl RouteSets {
    /// The routes of a set, unless it is from before a change.
    pub(super) fn get(&self, set: RouteSet) -> Option<&Arc<[Route]>> {
        if set.generation == self.generation { self.sets.get(set.number as usize) } else { None }
    }

    /// The set of these routes.
    pub(super) fn add(&mut self, routes: Vec<Route>) -> RouteSet {
        let generation = self.generation;
        if let Some(&number) = self.numbers.get(&*routes) {
            return RouteSet { number, generation };
        }
        let number = self.sets.len() as u32;
        let routes: Arc<[Route]> = routes.into();
        self.sets.push(routes.clone());
        self.numbers.insert(routes, number);
        RouteSet { number, generation }
    }

    /// Forgets all sets. Returns whether the numbers begin anew, so that even old ones have to be forgotten everywhere.
    pub(super) fn forget(&mut self) -> bool {
        self.sets.clear();
        self.numbers.clear();
        let (next, begins_anew) = self.generation.overflowing_add(1);
        self.generation = next.max(1);
        begins_anew
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::subscriptions::Way;
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
}
