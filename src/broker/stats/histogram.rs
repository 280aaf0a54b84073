//! How often something took how long, in buckets that do not change.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Bounds of buckets; what takes longer than the last is counted behind them.
const BUCKETS: usize = 13;

/// The longest times of the buckets, in nanoseconds, ascending.
pub(super) type Bounds = [u64; BUCKETS];

const MICROSECOND: u64 = 1_000;
const MILLISECOND: u64 = 1_000_000;

/// Bounds for what is done in memory: from a microsecond to a tenth of a second.
pub(super) const IN_MEMORY: &Bounds = &[
    MICROSECOND,
    2_500,
    5 * MICROSECOND,
    10 * MICROSECOND,
    25 * MICROSECOND,
    50 * MICROSECOND,
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    5 * MILLISECOND,
    25 * MILLISECOND,
    100 * MILLISECOND,
];

/// Bounds for what waits for a disk: from a tenth of a millisecond to five seconds.
pub(super) const ON_A_DISK: &Bounds = &[
    100 * MICROSECOND,
    250 * MICROSECOND,
    500 * MICROSECOND,
    MILLISECOND,
    2_500 * MICROSECOND,
    5 * MILLISECOND,
    10 * MILLISECOND,
    25 * MILLISECOND,
    50 * MILLISECOND,
    100 * MILLISECOND,
    250 * MILLISECOND,
    1_000 * MILLISECOND,
    5_000 * MILLISECOND,
];

/// Times that are counted by how long they are. Any thread may add to it.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static Bounds,
    counts: [AtomicU64; BUCKETS],
    longer: AtomicU64,
    nanoseconds: AtomicU64,
}

/// What a [`Histogram`] has counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Durations {
    /// Times of at most so long, and how many there were: ascending, each with those before it.
    pub at_most: Vec<(Duration, u64)>,
    /// How many times there were in all.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

impl Histogram {
    pub(super) fn new(bounds: &'static Bounds) -> Histogram {
        Histogram {
            bounds,
            counts: Default::default(),
            longer: AtomicU64::new(0),
            nanoseconds: AtomicU64::new(0),
        }
    }

    /// Adds a time.
    pub fn add(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let bucket = self.bounds.partition_point(|bound| *bound < nanoseconds);
        self.counts.get(bucket).unwrap_or(&self.longer).fetch_add(1, Ordering::Relaxed);
        self.nanoseconds.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// What it has counted. Of a time that is added meanwhile a part may be missing.
    pub(super) fn durations(&self) -> Durations {
        let mut count = 0;
        let buckets = self.bounds.iter().zip(&self.counts).map(|(bound, in_bucket)| {
            count += in_bucket.load(Ordering::Relaxed);
            (Duration::from_nanos(*bound), count)
        });
        let at_most = buckets.collect();
        Durations {
            at_most,
            count: count + self.longer.load(Ordering::Relaxed),
            sum: Duration::from_nanos(self.nanoseconds.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_every_bucket_that_is_as_long() {
        for bounds in [IN_MEMORY, ON_A_DISK] {
            assert!(bounds.is_sorted_by(|one, next| one < next), "{bounds:?}");
            let histogram = Histogram::new(bounds);
            let longest = bounds[BUCKETS - 1];
            for nanoseconds in [0, bounds[0], bounds[0] + 1, longest, longest + 1] {
                histogram.add(Duration::from_nanos(nanoseconds));
            }
            let Durations { at_most, count, sum } = histogram.durations();
            let counts: Vec<u64> = at_most.iter().map(|(_, count)| *count).collect();
            assert_eq!((counts[0], counts[1], counts[11], counts[12], count), (2, 3, 3, 4, 5));
            assert_eq!(at_most[0].0.as_nanos(), u128::from(bounds[0]));
            assert_eq!(sum.as_nanos(), u128::from(2 * bounds[0] + 1 + 2 * longest + 1));
        }
    }
}
