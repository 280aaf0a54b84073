//! What publishers called their messages lately, so that a repetition is known.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use crate::codec::{Account, Claim};

/// How long a repetition is known.
pub(in crate::broker) const KNOWN_FOR: Duration = Duration::from_secs(120);
/// So many are remembered at most, the newest: 18 MiB.
pub(in crate::broker) const MOST: usize = 256 << 10;
/// Bytes that one takes, about: a place in a set, which is half empty at times, and in a row.
const BYTES: usize = 72;
/// Memory is claimed for so many at a time, beyond the first: every stream has as many.
const TOGETHER: usize = 1_024;

/// The ids of the messages of one stream. Of each 128 bits are remembered, under keys of this
/// process, so that no publisher can choose two that are the same.
#[derive(Debug, Default)]
pub(in crate::broker) struct RecentIds {
    hashers: [RandomState; 2],
    known: HashSet<u128>,
    in_order: VecDeque<(Instant, u128)>,
    /// Memory for those beyond the first.
    claim: Claim,
    /// Fewer are known than should be, for want of memory.
    is_short: bool,
}

impl RecentIds {
    /// None yet; the memory for them is of this account.
    pub(in crate::broker) fn new(account: &Account) -> RecentIds {
        RecentIds { claim: account.charge(0), ..RecentIds::default() }
    }

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
            self.claim();
        }
        is_new
    }

    /// Claims memory for what is known; where there is none, the oldest is forgotten.
    fn claim(&mut self) {
        let claimed = self.claim.bytes() / BYTES + TOGETHER;
        if self.in_order.len() <= claimed
            || self
                .claim
                .try_grow_to((self.in_order.len() - TOGETHER).next_multiple_of(TOGETHER) * BYTES)
        {
            return;
        }
        if !self.is_short {
            self.is_short = true;
            tracing::warn!(
                known = claimed,
                "there is no memory left for what publishers call their messages: a repetition is \
                 known as long as so many others have not come, which may be less than two \
                 minutes; start the broker with more --memory"
            );
        }
        if let Some((_, oldest)) = self.in_order.pop_front() {
            self.known.remove(&oldest);
        }
    }

    fn forget(&mut self, now: Instant) {
        let had_some = !self.in_order.is_empty();
        while let Some((noted, id)) = self.in_order.front()
            && (now.duration_since(*noted) >= KNOWN_FOR || self.in_order.len() >= MOST)
        {
            self.known.remove(id);
            self.in_order.pop_front();
        }
        if had_some && self.in_order.is_empty() {
            // The memory of many is not kept for few.
            (self.known, self.in_order) = (HashSet::new(), VecDeque::new());
            self.claim.shrink_to(0);
            self.is_short = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Share;

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
    fn the_newest_are_known_when_there_is_no_memory_for_more() {
        let share = Share::new(8 * TOGETHER * BYTES);
        let (mut ids, now) = (RecentIds::new(&share.account()), Instant::now());
        let all = 20 * TOGETHER;
        for number in 0..all {
            assert!(ids.note(&number.to_string(), now));
            assert!(share.used() <= share.most_for_one());
        }
        // Three quarters of the share, and the first.
        let known = 7 * TOGETHER;
        assert_eq!((ids.known.len(), ids.in_order.len()), (known, known));
        for number in all - known..all {
            assert!(ids.knows(&number.to_string(), now), "{number}");
        }
        assert!(!ids.knows(&(all - known - 1).to_string(), now));
        assert!(!ids.knows("0", now + KNOWN_FOR));
        assert_eq!((share.used(), ids.known.capacity()), (0, 0), "it is given back");
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
