//! A map that takes little while it has few entries, as most connections have one subscription.

use std::borrow::Borrow;
use std::collections::{HashMap, hash_map};
use std::hash::Hash;
use std::vec;

/// So many entries are looked through one after the other.
const FEW: usize = 8;
/// Entries for which it may keep room though it has none.
const ROOMY: usize = 256;

/// A map that takes little while it has few entries.
#[derive(Debug)]
pub(crate) enum SmallMap<K, V> {
    Few(Vec<(K, V)>),
    #[allow(clippy::box_collection, reason = "the map itself is twice as large as a list")]
    Many(Box<HashMap<K, V>>),
}

/// The entries of a map, in no order.
#[derive(Debug)]
pub(crate) enum IntoIter<K, V> {
    Few(vec::IntoIter<(K, V)>),
    Many(hash_map::IntoIter<K, V>),
}

impl<K, V> SmallMap<K, V> {
    pub(crate) const NONE: SmallMap<K, V> = SmallMap::Few(Vec::new());
}

impl<K, V> Default for SmallMap<K, V> {
    fn default() -> SmallMap<K, V> {
        SmallMap::NONE
    }
}

impl<K: Eq + Hash, V> SmallMap<K, V> {
    pub(crate) fn len(&self) -> usize {
        match self {
            SmallMap::Few(few) => few.len(),
            SmallMap::Many(many) => many.len(),
        }
    }

    /// Entries that it has room for.
    #[cfg(test)]
    pub(crate) fn capacity(&self) -> usize {
        match self {
            SmallMap::Few(few) => few.capacity(),
            SmallMap::Many(many) => many.capacity(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An entry, with the key that it was added with.
    pub(crate) fn get_key_value<Q>(&self, key: &Q) -> Option<(&K, &V)>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            SmallMap::Few(few) => {
                let found = few.iter().find(|(other, _)| other.borrow() == key);
                found.map(|(key, value)| (key, value))
            }
            SmallMap::Many(many) => many.get_key_value(key),
        }
    }

    pub(crate) fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get_key_value(key).map(|(_, value)| value)
    }

    pub(crate) fn get_mut<Q>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            SmallMap::Few(few) => {
                let found = few.iter_mut().find(|(other, _)| (*other).borrow() == key);
                found.map(|(_, value)| value)
            }
            SmallMap::Many(many) => many.get_mut(key),
        }
    }

    pub(crate) fn contains_key<Q>(&self, key: &Q) -> bool
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.get_key_value(key).is_some()
    }

    /// Adds an entry, and returns what was there with its key.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        if let Some(before) = self.get_mut(&key) {
            return Some(std::mem::replace(before, value));
        }
        match self {
            SmallMap::Few(few) if few.len() < FEW => {
                few.reserve_exact(1);
                few.push((key, value));
            }
            SmallMap::Few(few) => {
                let few = std::mem::take(few).into_iter();
                *self = SmallMap::Many(Box::new(few.chain([(key, value)]).collect()));
            }
            SmallMap::Many(many) => return many.insert(key, value),
        }
        None
    }

    /// Takes an entry out. Room is kept for few others.
    pub(crate) fn remove<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        match self {
            SmallMap::Few(few) => {
                let place = few.iter().position(|(other, _)| other.borrow() == key)?;
                Some(few.swap_remove(place).1)
            }
            SmallMap::Many(many) => {
                let removed = many.remove(key);
                if many.is_empty() {
                    *self = SmallMap::default();
                } else if many.capacity() > ROOMY && many.len() < many.capacity() / 8 {
                    many.shrink_to(many.len() * 2);
                }
                removed
            }
        }
    }

    /// The entries, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (few, many) = match self {
            SmallMap::Few(few) => (&few[..], None),
            SmallMap::Many(many) => (&[][..], Some(&**many)),
        };
        few.iter().map(|(key, value)| (key, value)).chain(many.into_iter().flatten())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &K> {
        self.iter().map(|(key, _)| key)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.iter().map(|(_, value)| value)
    }
}

impl<K, V> IntoIterator for SmallMap<K, V> {
    type Item = (K, V);
    type IntoIter = IntoIter<K, V>;

    fn into_iter(self) -> IntoIter<K, V> {
        match self {
            SmallMap::Few(few) => IntoIter::Few(few.into_iter()),
            SmallMap::Many(many) => IntoIter::Many(many.into_iter()),
        }
    }
}

impl<K, V> Iterator for IntoIter<K, V> {
    type Item = (K, V);

    fn next(&mut self) -> Option<(K, V)> {
        match self {
            IntoIter::Few(few) => few.next(),
            IntoIter::Many(many) => many.next(),
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        match self {
            IntoIter::Few(few) => few.size_hint(),
            IntoIter::Many(many) => many.size_hint(),
        }
    }
}

impl<K, V> ExactSizeIterator for IntoIter<K, V> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_entries_and_many_are_the_same_map() {
        let mut map = SmallMap::default();
        for number in 0..3 * FEW {
            assert_eq!(map.insert(number.to_string(), number), None);
            assert_eq!(map.insert(number.to_string(), number + 1), Some(number));
            assert_eq!(
                (map.len(), map.get(&*number.to_string())),
                (number + 1, Some(&(number + 1)))
            );
            assert_eq!(matches!(map, SmallMap::Few(_)), number < FEW);
        }
        *map.get_mut("0").unwrap() = 0;
        assert!(map.contains_key("0") && !map.contains_key("x") && map.remove("x").is_none());
        assert_eq!((map.iter().count(), map.keys().count()), (3 * FEW, 3 * FEW));
        assert_eq!(map.values().sum::<usize>(), (0..=3 * FEW).sum::<usize>() - 1);
        for number in 1..3 * FEW {
            assert_eq!(map.remove(&*number.to_string()), Some(number + 1));
        }
        assert_eq!(map.remove("0"), Some(0));
        assert!(map.is_empty() && matches!(map, SmallMap::Few(_)));
        map.insert("1".to_owned(), 1);
        let mut entries = map.into_iter();
        assert_eq!((entries.len(), entries.next()), (1, Some(("1".to_owned(), 1))));
    }
}
