//! Numbers of messages, as ranges: those that are deleted, and those that are damaged.

/// Ranges, both ends included, ascending, with a gap between any two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ranges(Vec<(u64, u64)>);

impl Ranges {
    /// Adds all numbers from `from` to `to`.
    pub(super) fn insert(&mut self, from: u64, to: u64) {
        if from > to {
            return;
        }
        let start = self.0.partition_point(|range| range.1 < from.saturating_sub(1));
        let end = self.0.partition_point(|range| range.0 <= to.saturating_add(1));
        let (mut from, mut to) = (from, to);
        if start < end {
            from = from.min(self.0[start].0);
            to = to.max(self.0[end - 1].1);
        }
        self.0.splice(start..end, [(from, to)]);
    }

    /// The last of the range that a number is in.
    pub(super) fn end_of(&self, number: u64) -> Option<u64> {
        let at = self.0.partition_point(|range| range.1 < number);
        self.0.get(at).filter(|range| range.0 <= number).map(|range| range.1)
    }

    /// Forgets everything below a number.
    pub(super) fn forget_below(&mut self, number: u64) {
        let gone = self.0.partition_point(|range| range.1 < number);
        self.0.drain(..gone);
        if let Some(range) = self.0.first_mut() {
            range.0 = range.0.max(number);
        }
    }

    /// Forgets everything from a number on.
    pub(super) fn forget_from(&mut self, number: u64) {
        let kept = self.0.partition_point(|range| range.0 < number);
        self.0.truncate(kept);
        if let Some(range) = self.0.last_mut() {
            range.1 = range.1.min(number.saturating_sub(1));
        }
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> u64 {
        self.0.iter().map(|range| range.1 - range.0 + 1).sum()
    }

    /// How many numbers there are from a number on.
    pub(super) fn count_from(&self, number: u64) -> u64 {
        let at = self.0.partition_point(|range| range.1 < number);
        self.0[at..].iter().map(|range| range.1 - range.0.max(number) + 1).sum()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.0.iter().copied()
    }
}
