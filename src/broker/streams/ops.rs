//! What one connection has handed to a stream, among what others have.

use std::ops::RangeInclusive;

/// So many ranges are told apart; beyond them, what others have handed over between two counts too.
const RANGES: usize = 64;

/// Numbers of what was handed over, ascending; at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::broker) struct Ops {
    first: u64,
    last: u64,
    /// What is between, where it is not all.
    ranges: Vec<(u64, u64)>,
}

impl From<RangeInclusive<u64>> for Ops {
    fn from(ops: RangeInclusive<u64>) -> Ops {
        Ops { first: *ops.start(), last: *ops.end(), ranges: Vec::new() }
    }
}

impl Ops {
    /// The first.
    pub(in crate::broker) fn first(&self) -> u64 {
        self.first
    }

    /// The last.
    pub(in crate::broker) fn last(&self) -> u64 {
        self.last
    }

    /// Adds those of a later time.
    pub(in crate::broker) fn add(&mut self, later: &Ops) {
        later.ranges().for_each(|ops| self.add_range(*ops.start(), *ops.end()));
    }

    fn add_range(&mut self, first: u64, last: u64) {
        let before = std::mem::replace(&mut self.last, last);
        if first <= before + 1 {
            if let Some((_, end)) = self.ranges.last_mut() {
                *end = last;
            }
            return;
        }
        if self.ranges.is_empty() {
            self.ranges.push((self.first, before));
        }
        if self.ranges.len() < RANGES {
            self.ranges.push((first, last));
        } else if let Some((_, end)) = self.ranges.last_mut() {
            *end = last;
        }
    }

    /// The ranges that they are in.
    pub(in crate::broker) fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u64>> {
        let whole = self.ranges.is_empty().then_some((self.first, self.last));
        self.ranges.iter().copied().chain(whole).map(|(first, last)| first..=last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_have_handed_over_is_not_among_them() {
        let mut ops = Ops::from(3..=3);
        let all = |ops: &Ops| ops.ranges().flatten().collect::<Vec<u64>>();
        ops.add(&(4..=4).into());
        assert_eq!((all(&ops), ops.first(), ops.last()), (vec![3, 4], 3, 4));
        ops.add(&(7..=7).into());
        ops.add(&(8..=8).into());
        ops.add(&(8..=8).into());
        ops.add(&(12..=12).into());
        assert_eq!((all(&ops), ops.first(), ops.last()), (vec![3, 4, 7, 8, 12], 3, 12));
        let mut later = Ops::from(2..=2);
        later.add(&ops);
        assert_eq!(all(&later), [2, 3, 4, 7, 8, 12]);
        // None is left out of many, and few of others are taken in.
        let mut many = Ops::from(1..=1);
        let mine: Vec<u64> = (1..2_000).step_by(2).collect();
        mine.iter().skip(1).for_each(|op| many.add(&(*op..=*op).into()));
        assert!(mine.iter().all(|op| many.ranges().any(|range| range.contains(op))));
        assert!(many.ranges().count() <= RANGES);
    }
}
