//! What publishers called their messages lately, so that a repetition is known.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

/// How long a repetition is known.
pub(in crate::broker) const KNOWN_FOR: Duration = Duration::from_secs(120);
/// So many are remembered at most, the newest: 12 MiB.
pub(in crate::broker) const MOST: usize = 256 << 10;

/// The ids of the messages of one stream. Of each 128 bits are remembered, under keys of this
/// process, so that no publisher can choose two that are the same.
#[derive(Debug, Default)]
pub(in crate::broker) struct RecentIds {
    hashers: [RandomState; 2],
    known: HashSet<u128>,
    in_order: VecDeque<(Instant, u128)>,
}

impl RecentIds {
    /// Whether an id is known.
    pub(in crate::broker) fn knows(&mut self, id: &str, now: Instant) -> bool {
        self.forget(now);
        self.known.contains(&self.hash(id))
    }

    fn hash(&self, id: &str) -> u128 {
        let [high, low] = self.hashers.each_ref().map(|hasher| hasher.hash_one(id));
        u128::from(high) << 64 | u128::from(low)
    }

    /// Notes an id, and says whether it is new.
    pub(in crate::broker) fn note(&mut self, id: &str, now: Instant) -> bool {
        self.forget(now);
        let id = self.hash(id);
        let is_new = self.known.insert(id);
        if is_new {
            self.in_order.push_back((now, id));
        }
        is_new
    }

    fn forget(&mut self, now: Instant) {
        while let Some((noted, id)) = self.in_order.front()
            && (now.duration_since(*noted) >= KNOWN_FOR || self.in_order.len() >= MOST)
        {
            self.known.remove(id);
            self.in_order.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_known_for_two_minutes() {
        let (mut ids, start) = (RecentIds::default(), Instant::now());
        assert!(!ids.knows("a", start) && ids.note("a", start) && ids.knows("a", start));
        assert!(!ids.note("a", start) && ids.note("b", start));
        let later = start + KNOWN_FOR - Duration::from_millis(1);
        assert!(!ids.note("a", later), "a repetition does not make it known for longer");
        assert!(ids.note("a", start + KNOWN_FOR) && !ids.note("a", start + KNOWN_FOR));
    }

    #[test]
    fn the_newest_are_known_when_there_are_too_many() {
        let (mut ids, now) = (RecentIds::default(), Instant::now());
        for number in 0..=MOST {
            assert!(ids.note(&number.to_string(), now));
        }
        assert!(ids.known.len() <= MOST && ids.in_order.len() == ids.known.len());
        assert!(!ids.note(&MOST.to_string(), now), "the newest is known");
        assert!(ids.note("0", now), "the oldest was forgotten");
    }
}
