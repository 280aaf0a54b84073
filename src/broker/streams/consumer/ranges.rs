//! Sets of numbers that lie close together, as ranges.

use std::collections::BTreeMap;

/// How many numbers there are from one to another, both included.
pub(super) fn width(from: u64, to: u64) -> u64 {
    to.saturating_sub(from).saturating_add(1)
}

/// A set of numbers. It takes memory for each range of neighbours, not for each number.
#[derive(Clone, Debug, Default)]
pub(super) struct Ranges {
    /// The first of each range, by its last. No two touch.
    by_last: BTreeMap<u64, u64>,
    count: u64,
}

impl Ranges {
    /// How many ranges there are.
    pub(super) fn ranges(&self) -> usize {
        self.by_last.len()
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// All ranges, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        self.by_last.iter().map(|(&last, &first)| (first, last))
    }

    /// The lowest range.
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        self.iter().next()
    }

    /// Whether a number is in it.
    pub(super) fn contains(&self, seq: u64) -> bool {
        self.by_last.range(seq..).next().is_some_and(|(_, &first)| first <= seq)
    }

    /// Adds the numbers from one to another.
    pub(super) fn insert(&mut self, mut from: u64, mut to: u64) {
        loop {
            let touching = self.by_last.range(from.saturating_sub(1)..).next();
            match touching.map(|(&last, &first)| (first, last)) {
                Some((first, last)) if first <= to.saturating_add(1) => {
                    self.by_last.remove(&last);
                    self.count = self.count.saturating_sub(width(first, last));
                    from = from.min(first);
                    to = to.max(last);
                }
                _ => break,
            }
        }
        self.by_last.insert(to, from);
        self.count = self.count.saturating_add(width(from, to));
    }

    /// Removes the numbers from one to another, and says how many of them were there.
    pub(super) fn remove(&mut self, from: u64, to: u64) -> u64 {
        let mut removed: u64 = 0;
        while let Some((&last, &first)) = self.by_last.range(from..).next() {
            if first > to {
                break;
            }
            self.by_last.remove(&last);
            removed = width(first.max(from), last.min(to)).saturating_add(removed);
            if first < from {
                self.by_last.insert(from - 1, first);
            }
            if last > to {
                self.by_last.insert(last, to + 1);
                break;
            }
        }
        self.count = self.count.saturating_sub(removed);
        removed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_and_part() {
        let mut set = Ranges::default();
        for (from, to) in [(5, 6), (9, 9), (7, 7), (1, 2), (8, 8), (2, 3), (20, 30), (0, 0)] {
            set.insert(from, to);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 3), (5, 9), (20, 30)]);
        assert_eq!((set.count(), set.ranges(), set.first()), (20, 3, Some((0, 3))));
        assert_eq!([3, 4, 5, 9, 10].map(|seq| set.contains(seq)), [true, false, true, true, false]);
        assert_eq!(set.remove(2, 21), 9);
        assert_eq!(set.remove(25, 25), 1);
        assert_eq!(set.remove(25, 25), 0);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, 1), (22, 24), (26, 30)]);
        assert_eq!(set.count(), 10);
        set.insert(0, u64::MAX);
        assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u64::MAX)]);
    }
}
