//! Which connection uses which patterns of `+`, and how many more it may use.
//!
//! Each pattern that is used costs every message to a new topic a step, so they are counted for the
//! whole broker. Each is counted against one of the connections that use it, so that none of them
//! can fill the broker: the first that did, and where it does no more, another.

use std::collections::{BTreeMap, HashMap, hash_map};

use crate::broker::client_id::Slot;
use crate::protocol::{MAX_PATTERNS, MAX_SHAPES_OF_BROKER, Shape};

/// The patterns of all connections. Shapes without a `+` are no patterns; there are not many.
#[derive(Debug, Default)]
pub(in crate::broker) struct Patterns {
    users: HashMap<Shape, Users>,
    holders: HashMap<Slot, Holder>,
}

/// The users of a pattern; never none.
#[derive(Debug)]
struct Users {
    /// With how many subscriptions.
    subscriptions: BTreeMap<Slot, usize>,
    /// The one that it is counted against.
    owner: Slot,
}

#[derive(Debug, Default)]
struct Holder {
    used: usize,
    /// Patterns that are counted against it.
    owned: usize,
}

impl Patterns {
    /// Whether a connection may have a filter of this shape.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(in crate::broker) fn has_room_for(&self, slot: Slot, shape: Shape) -> Result<(), String> {
        let users = self.users.get(&shape);
        if !shape.has_wildcard()
            || users.is_some_and(|users| users.subscriptions.contains_key(&slot))
        {
            return Ok(());
        }
        let (used, owned) =
            self.holders.get(&slot).map_or((0, 0), |holder| (holder.used, holder.owned));
        if used >= MAX_PATTERNS {
            return Err(format!(
                "the subscriptions of this connection have \"+\" at {MAX_PATTERNS} different sets \
                 of places, as many as \
                 they may; cancel some, subscribe to a topic above several of them, or use another \
                 connection"
            ));
        }
        let all = self.users.len();
        if users.is_none() && (all >= MAX_SHAPES_OF_BROKER || owned >= allowed(all - owned)) {
            return Err(format!(
                "the subscriptions of all connections have \"+\" at {all} different sets of \
                 places, of {MAX_SHAPES_OF_BROKER} \
                 at most, and this connection has its part of those that are left; subscribe to a \
                 topic above several of \
                 them, cancel some, or put the \"+\" where another subscription has them"
            ));
        }
        Ok(())
    }

    /// Notes that a connection has one more subscription of this shape.
    pub(in crate::broker) fn add(&mut self, slot: Slot, shape: Shape) {
        if !shape.has_wildcard() {
            return;
        }
        let holder = self.holders.entry(slot).or_default();
        let users = self.users.entry(shape).or_insert_with(|| {
            holder.owned += 1;
            Users { subscriptions: BTreeMap::new(), owner: slot }
        });
        let subscriptions = users.subscriptions.entry(slot).or_insert(0);
        holder.used += usize::from(*subscriptions == 0);
        *subscriptions += 1;
    }

    /// Notes that a connection has one subscription of this shape less.
    pub(in crate::broker) fn remove(&mut self, slot: Slot, shape: Shape) {
        let hash_map::Entry::Occupied(mut of_shape) = self.users.entry(shape) else { return };
        let users = of_shape.get_mut();
        let Some(subscriptions) = users.subscriptions.get_mut(&slot) else { return };
        *subscriptions -= 1;
        if *subscriptions > 0 {
            return;
        }
        users.subscriptions.remove(&slot);
        let next = users.subscriptions.keys().next().copied();
        let is_owner = users.owner == slot;
        match next {
            Some(next) if is_owner => users.owner = next,
            Some(_) => {}
            None => drop(of_shape.remove()),
        }
        if is_owner && let Some(next) = next {
            self.holders.entry(next).or_default().owned += 1;
        }
        if let hash_map::Entry::Occupied(mut holder) = self.holders.entry(slot) {
            let Holder { used, owned } = holder.get_mut();
            *used -= 1;
            *owned -= usize::from(is_owner);
            if *used == 0 {
                holder.remove();
            }
        }
    }
}

/// How many patterns may be counted against a connection where `others` are counted against others.
/// The rest shrinks with the square of what there is, so many greedy connections take little each:
/// after `n` of them one part in `1 + n / 16` is left, where half of what is left for each would
/// leave nothing after thirty.
fn allowed(others: usize) -> usize {
    let left = MAX_SHAPES_OF_BROKER.saturating_sub(others);
    (MAX_PATTERNS * left * left / (MAX_SHAPES_OF_BROKER * MAX_SHAPES_OF_BROKER)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::TopicFilter;

    /// One of 65,536 patterns, of 16 segments.
    fn pattern(number: usize) -> Shape {
        let segment = |place: usize| if number >> place & 1 == 1 { "+" } else { "a" };
        let filter: Vec<&str> = (0..16).map(segment).collect();
        TopicFilter::parse(&filter.join("/")).unwrap().shape()
    }

    /// Takes patterns from `first` on until there are `most` or one is refused. Returns how many it
    /// took.
    fn take(all: &mut Patterns, slot: Slot, first: usize, most: usize) -> usize {
        let mut taken = 0;
        while taken < most && all.has_room_for(slot, pattern(first + taken)).is_ok() {
            all.add(slot, pattern(first + taken));
            taken += 1;
        }
        taken
    }

    #[test]
    fn however_many_connections_want_all_patterns_the_next_one_finds_some() {
        let mut all = Patterns::default();
        let found: Vec<usize> = (0..200)
            .map(|slot| take(&mut all, slot, 1 + slot as usize * MAX_PATTERNS, MAX_PATTERNS))
            .collect();
        assert_eq!(found[0], MAX_PATTERNS, "one alone");
        assert!(found[48] >= 15 && found[199] >= 1, "{found:?}");
        assert!(all.users.len() < MAX_SHAPES_OF_BROKER);
        // A pattern that is in use already is free.
        assert_eq!(take(&mut all, 200, 1, 100), 100);
        assert_eq!(all.holders[&200].owned, 0);
    }

    #[test]
    fn a_pattern_counts_against_another_of_its_users_when_its_first_one_leaves() {
        let mut all = Patterns::default();
        assert_eq!((take(&mut all, 1, 1, 9), take(&mut all, 2, 5, 9)), (9, 9));
        all.add(2, pattern(5));
        let owned = |all: &Patterns| {
            [1, 2].map(|slot| all.holders.get(&slot).map_or(0, |holder| holder.owned))
        };
        assert_eq!(owned(&all), [9, 4]);
        (1..=9).for_each(|number| all.remove(1, pattern(number)));
        assert_eq!(owned(&all), [0, 9]);
        (5..=13).for_each(|number| all.remove(2, pattern(number)));
        assert_eq!((owned(&all), all.users.len()), ([0, 1], 1));
        all.remove(2, pattern(5));
        all.remove(2, pattern(5));
        assert!(all.users.is_empty() && all.holders.is_empty());
    }

    #[test]
    fn what_has_no_wildcard_is_no_pattern() {
        let mut all = Patterns::default();
        all.add(1, pattern(0));
        assert!(all.users.is_empty() && all.holders.is_empty());
        all.remove(1, pattern(0));
    }
}
