//! The naive consumer: a state for every message. It does not choose who gets what next; it says
//! whether a choice was right.

use std::collections::BTreeMap;

use super::super::*;

/// What is the case with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Is {
    Ahead,
    Out(MemberId, u64),
    Paused(u64),
    Ready,
    Dead,
    Settled,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) is: Is,
    pub(super) attempts: u32,
    /// It was delivered, died or got lost since it was last ahead.
    pub(super) had_its_turn: bool,
    /// Not 0 where it was settled since notes were taken the last time but one: what was noted then
    /// may not be durable.
    pub(super) was_settled: u8,
    /// As much for whether it was put back.
    pub(super) was_put_back: u8,
    /// It was put back since the last restart.
    pub(super) is_again: bool,
}

const NEW: Entry = Entry {
    is: Is::Ahead,
    attempts: 0,
    had_its_turn: false,
    was_settled: 0,
    was_put_back: 0,
    is_again: false,
};

/// The messages of a log, by a seed: a few topics, and some that are missing.
#[derive(Clone, Debug)]
pub(super) struct Messages {
    pub(super) seed: u64,
    pub(super) some_missing: bool,
    /// How many times anybody may look yet.
    pub(super) looks: usize,
}

impl Messages {
    pub(super) fn topic(&self, seq: u64) -> Option<&'static str> {
        let mixed = (seq ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 59;
        match mixed {
            0..=2 if self.some_missing => None,
            0..=12 => Some("a/x"),
            13..=20 => Some("a/y"),
            21..=26 => Some("a/z"),
            _ => Some("b/x"),
        }
    }
}

impl Look for Messages {
    fn look(&mut self, seq: u64) -> Sight<'_> {
        if self.looks == 0 {
            return Sight::Later;
        }
        self.looks -= 1;
        match self.topic(seq) {
            Some(topic) => Sight::Message(crate::protocol::TopicName::parse(topic).unwrap()),
            None if self.topic(seq + 1).is_none() => Sight::Missing(seq + 1),
            None => Sight::Missing(seq),
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    pub(super) settings: ConsumerSettings,
    pub(super) messages: Messages,
    /// The number that the next message will have.
    pub(super) end: u64,
    pub(super) now: u64,
    pub(super) entries: BTreeMap<u64, Entry>,
    pub(super) windows: BTreeMap<MemberId, u64>,
    /// The highest number that each member was given as a first attempt.
    pub(super) last: BTreeMap<MemberId, u64>,
}

impl Model {
    pub(super) fn new(settings: ConsumerSettings, messages: Messages) -> Model {
        let (entries, windows, last) = Default::default();
        Model { settings, messages, end: 1, now: 0, entries, windows, last }
    }

    pub(super) fn publish(&mut self, many: u64) {
        for _ in 0..many {
            self.entries.entry(self.end).or_insert(NEW);
            self.end += 1;
        }
    }

    pub(super) fn is(&self, seq: u64) -> Is {
        self.entries.get(&seq).map_or(Is::Ahead, |entry| entry.is)
    }

    pub(super) fn is_wanted(&self, seq: u64) -> bool {
        let topic = self.messages.topic(seq);
        topic.is_some_and(|topic| {
            self.settings.filter.matches(crate::protocol::TopicName::parse(topic).unwrap())
        })
    }

    pub(super) fn all(&self, which: impl Fn(Is) -> bool) -> Vec<u64> {
        let of = |(&seq, entry): (&u64, &Entry)| which(entry.is).then_some(seq);
        self.entries.iter().filter_map(of).collect()
    }

    fn held(&self, member: MemberId) -> u64 {
        self.all(|is| matches!(is, Is::Out(owner, _) if owner == member)).len() as u64
    }

    pub(super) fn room(&self, member: MemberId) -> u64 {
        self.windows[&member].saturating_sub(self.held(member))
    }

    pub(super) fn settle(&mut self, seq: u64) {
        let entry = self.entries.entry(seq).or_insert(NEW);
        *entry = Entry { is: Is::Settled, attempts: 0, was_settled: 2, ..*entry };
    }

    /// Settles without a delivery: the message is gone.
    pub(super) fn lose(&mut self, seq: u64) {
        let entry = self.entries.entry(seq).or_insert(NEW);
        entry.had_its_turn = true;
        self.settle(seq);
    }

    pub(super) fn put_back(&mut self, seq: u64) {
        let entry = self.entries.entry(seq).or_insert(NEW);
        *entry = Entry { was_put_back: 2, is_again: true, was_settled: entry.was_settled, ..NEW };
    }

    pub(super) fn reset(&mut self, selected: &[u64], next: u64) {
        self.last.clear();
        let known = self.entries.last_key_value().map_or(1, |(seq, _)| seq + 1);
        for seq in 1..self.end.max(next).max(known) {
            if seq >= next || selected.contains(&seq) {
                self.put_back(seq);
            } else {
                self.lose(seq);
            }
            let entry = self.entries.get_mut(&seq).unwrap();
            (entry.was_put_back, entry.was_settled) = (2, 2);
        }
    }

    pub(super) fn fail(&mut self, seq: u64, pause: u64) {
        let is_over = self.entries[&seq].attempts >= self.settings.max_deliver;
        self.entries.get_mut(&seq).unwrap().is = match pause {
            _ if is_over => Is::Dead,
            0 => Is::Ready,
            pause => Is::Paused(self.now + pause),
        };
    }

    pub(super) fn backoff(&self, seq: u64) -> u64 {
        let attempts = self.entries[&seq].attempts as usize;
        let backoff = &self.settings.backoff;
        let pause = backoff.get(attempts - 1).or(backoff.last());
        pause.map_or(0, |pause| pause.as_millis() as u64)
    }

    pub(super) fn expire(&mut self) {
        for seq in self.all(|is| is != Is::Settled) {
            match self.is(seq) {
                Is::Out(_, due) if due <= self.now => self.fail(seq, self.backoff(seq)),
                Is::Paused(due) if due <= self.now => {
                    self.entries.get_mut(&seq).unwrap().is = Is::Ready;
                }
                _ => {}
            }
        }
    }

    pub(super) fn next_due(&self) -> Option<u64> {
        let due = |entry: &Entry| match entry.is {
            Is::Out(_, due) | Is::Paused(due) => Some(due),
            _ => None,
        };
        self.entries.values().filter_map(due).min()
    }

    pub(super) fn leave(&mut self, member: MemberId) {
        let had = self.all(|is| matches!(is, Is::Out(owner, _) if owner == member));
        for (place, seq) in had.into_iter().enumerate() {
            if place == 0 {
                self.fail(seq, 0);
            } else {
                self.entries.get_mut(&seq).unwrap().is = Is::Ready;
            }
        }
        self.windows.remove(&member);
        self.last.remove(&member);
    }

    /// Whether another message of the topic, of which `is_so` is true, is there.
    fn others(&self, seq: u64, is_so: impl Fn(u64, Is) -> bool) -> bool {
        let topic = self.messages.topic(seq);
        self.entries.iter().any(|(&other, entry)| {
            other != seq && self.messages.topic(other) == topic && is_so(other, entry.is)
        })
    }

    /// Believes what was given, where it was right.
    pub(super) fn give(&mut self, given: &[Assignment]) {
        let mut again = 0;
        let mut some_new = false;
        for part in given {
            assert!(part.from <= part.to && part.to < self.end, "{part:?} of {}", self.end);
            for seq in part.from..=part.to {
                let entry = self.entries[&seq];
                let is_new = entry.is == Is::Ahead;
                assert!(is_new || entry.is == Is::Ready, "{seq} is given, but {:?}", entry.is);
                assert!(self.is_wanted(seq), "{seq} does not match");
                assert_eq!(part.attempt, entry.attempts + 1, "the attempt of {seq}");
                // One that a member gave back by going may be tried once more than others.
                let is_left = entry.is == Is::Ready || part.attempt <= self.settings.max_deliver;
                assert!(is_left, "{seq} is over");
                assert!(self.room(part.member) > 0, "{:?} has no room", part.member);
                if self.settings.order == Order::ByTopic {
                    self.check_topic(seq, part.member, entry.is_again);
                } else if is_new {
                    some_new = true;
                    let last = self.last.entry(part.member).or_default();
                    if !entry.is_again && entry.attempts == 0 {
                        assert!(seq > *last, "{seq} is given after {last}");
                        *last = seq;
                    }
                } else {
                    assert!(!some_new, "{seq} waited, and new ones went first");
                    assert!(seq > again, "{seq} is given again after {again}");
                    again = seq;
                }
                let due = self.now + self.settings.ack_wait.as_millis() as u64;
                let is = Is::Out(part.member, due);
                let attempts = part.attempt;
                self.entries.insert(seq, Entry { is, attempts, had_its_turn: true, ..entry });
            }
        }
        if some_new {
            let late = self.all(|is| is == Is::Ready);
            assert!(late.is_empty(), "{late:?} waited, and new ones were given");
        }
    }

    fn check_topic(&self, seq: u64, member: MemberId, is_again: bool) {
        let elsewhere = |_, is| matches!(is, Is::Out(owner, _) if owner != member);
        assert!(!self.others(seq, elsewhere), "the topic of {seq} is with another member");
        let waits = |other, is| other < seq && matches!(is, Is::Ready | Is::Paused(_));
        assert!(!self.others(seq, waits), "others wait before {seq}");
        let is_ahead = |other, is| {
            is == Is::Ahead && other < seq && !is_again && !self.entries[&other].is_again
        };
        assert!(!self.others(seq, is_ahead), "others are before {seq}");
    }

    /// A message that somebody could have been given.
    pub(super) fn left_over(&self) -> Option<u64> {
        let somebody = self.windows.keys().any(|member| self.room(*member) > 0);
        let mut waiting = self.all(|is| matches!(is, Is::Ahead | Is::Ready)).into_iter();
        waiting.find(|&seq| {
            if !somebody || seq >= self.end || !self.is_wanted(seq) {
                return false;
            }
            if self.settings.order == Order::None {
                return true;
            }
            let before = |other, is| {
                other < seq && matches!(is, Is::Ahead | Is::Ready | Is::Paused(_))
                    || matches!(is, Is::Paused(_) | Is::Ready) && self.is(seq) == Is::Ahead
            };
            let full = |_, is| matches!(is, Is::Out(owner, _) if self.room(owner) == 0);
            !self.others(seq, before) && !self.others(seq, full)
        })
    }
}
