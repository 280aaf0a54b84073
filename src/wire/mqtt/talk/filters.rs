//! What is granted for filters, found by the topics that they match. Most sessions have one or a
//! few, and are spared the tables that make many of them fast.

use crate::broker::FilterMap;
use crate::protocol::{TopicFilter, TopicName};

/// So many filters are compared one after the other.
const FEW: usize = 4;

/// What is granted for each of some filters.
#[derive(Debug)]
pub(super) enum Filters<T> {
    /// The least specific first, as in the other.
    Few(Vec<(TopicFilter, T)>),
    Many(Box<FilterMap<T>>),
}

impl<T> Default for Filters<T> {
    fn default() -> Filters<T> {
        Filters::Few(Vec::new())
    }
}

impl<T> Filters<T> {
    pub(super) fn get(&self, filter: &TopicFilter) -> Option<&T> {
        match self {
            Filters::Few(few) => {
                few.iter().find(|(other, _)| other == filter).map(|(_, granted)| granted)
            }
            Filters::Many(many) => many.get(filter),
        }
    }

    /// Adds a filter, and what is granted for it. What was before is gone.
    pub(super) fn insert(&mut self, filter: TopicFilter, granted: T) {
        self.remove(&filter);
        match self {
            Filters::Few(few) if few.len() < FEW => {
                few.reserve_exact(1);
                let shape = filter.shape();
                let place = few.partition_point(|(other, _)| other.shape() < shape);
                few.insert(place, (filter, granted));
            }
            Filters::Few(few) => {
                let mut many = Box::<FilterMap<T>>::default();
                for (filter, granted) in std::mem::take(few) {
                    many.insert(filter, granted);
                }
                many.insert(filter, granted);
                *self = Filters::Many(many);
            }
            Filters::Many(many) => many.insert(filter, granted),
        }
    }

    pub(super) fn remove(&mut self, filter: &TopicFilter) -> Option<T> {
        match self {
            Filters::Few(few) => {
                let place = few.iter().position(|(other, _)| other == filter)?;
                Some(few.remove(place).1)
            }
            Filters::Many(many) => many.remove(filter),
        }
    }

    /// Takes what is granted for the filters that match a topic, the least specific first.
    pub(super) fn each_matching<'a>(&'a self, topic: TopicName<'_>, mut take: impl FnMut(&'a T)) {
        match self {
            Filters::Few(few) => {
                let matching = few.iter().filter(|(filter, _)| filter.matches(topic));
                matching.for_each(|(_, granted)| take(granted));
            }
            Filters::Many(many) => drop(many.each_matching(topic, take)),
        }
    }

    /// Each of them, in no order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&TopicFilter, &T)> {
        let (few, many) = match self {
            Filters::Few(few) => (&few[..], None),
            Filters::Many(many) => (&[][..], Some(many)),
        };
        let few = few.iter().map(|(filter, granted)| (filter, granted));
        few.chain(many.into_iter().flat_map(|many| many.iter()))
    }
}
