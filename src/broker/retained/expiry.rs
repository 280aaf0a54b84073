//! Values that live for a time: which, until when, and whose turn is next.

mod clock;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::broker::persist::Expires;
use crate::protocol::{EXPIRY_COST, Topic, TopicName};
pub(in crate::broker) use clock::Clock;
#[cfg(test)]
pub(in crate::broker) use clock::Hands;

/// The topics whose values expire. Times are in milliseconds by the steady clock, which nobody
/// sets; what outlives the process is told the time by the other one.
#[derive(Debug, Default)]
pub(in crate::broker) struct Expiries {
    topics: HashMap<Topic, Expiry>,
    /// Each topic once. A value that is published again keeps its place until that is due, which is
    /// cheaper than moving it.
    turns: BTreeSet<(u64, Topic)>,
    /// Bytes of the names of the topics.
    names: usize,
    clock: Clock,
}

#[derive(Clone, Copy, Debug)]
struct Expiry {
    at: u64,
    /// Its place in `turns`, which is no later.
    turn: u64,
}

impl Expiries {
    /// None yet, by such a clock.
    #[cfg(test)]
    pub(in crate::broker) fn by(clock: Clock) -> Expiries {
        Expiries { clock, ..Expiries::default() }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    /// Bytes of memory that it takes, about.
    pub(in crate::broker) fn cost(&self) -> usize {
        self.topics.len() * EXPIRY_COST + self.names
    }

    /// What it would take more if the value of a topic were to expire.
    pub(in crate::broker) fn cost_of(&self, topic: TopicName<'_>) -> usize {
        if self.topics.contains_key(topic.as_str()) {
            0
        } else {
            EXPIRY_COST + topic.as_str().len()
        }
    }

    /// The time now, by the steady clock.
    pub(in crate::broker) fn now(&self) -> u64 {
        self.clock.steady()
    }

    /// When a value of a store expires, by the steady clock; `None` if it has. The wall clock
    /// decides how long it has left, and that is never longer than it was meant to live.
    pub(in crate::broker) fn restored(&self, Expires { at, ttl }: Expires) -> Option<u64> {
        let left = at.saturating_sub(self.clock.wall()).min(ttl.unwrap_or(u64::MAX));
        (left > 0).then(|| self.now().saturating_add(left))
    }

    /// When a topic's value expires, for a store: what it has left now, by the wall clock.
    pub(in crate::broker) fn for_store(&self, topic: TopicName<'_>) -> Option<Expires> {
        let left = self.of(topic)?.saturating_sub(self.now());
        Some(Expires { at: self.clock.wall().saturating_add(left), ttl: Some(left) })
    }

    /// When a topic's value expires.
    pub(in crate::broker) fn of(&self, topic: TopicName<'_>) -> Option<u64> {
        if self.topics.is_empty() {
            return None;
        }
        self.topics.get(topic.as_str()).map(|expiry| expiry.at)
    }

    /// Notes that a topic has a new value, and when that expires.
    pub(in crate::broker) fn set(&mut self, topic: TopicName<'_>, at: Option<u64>) {
        let Some(at) = at else { return self.remove(topic) };
        match self.topics.get_mut(topic.as_str()) {
            Some(expiry) if expiry.turn <= at => expiry.at = at,
            Some(expiry) => {
                let topic = topic.to_topic();
                self.turns.remove(&(expiry.turn, topic.clone()));
                self.turns.insert((at, topic));
                *expiry = Expiry { at, turn: at };
            }
            None => {
                let topic = topic.to_topic();
                self.turns.insert((at, topic.clone()));
                self.names += topic.as_str().len();
                self.topics.insert(topic, Expiry { at, turn: at });
            }
        }
    }

    /// Notes that a topic's value does not expire, or is gone.
    pub(in crate::broker) fn remove(&mut self, topic: TopicName<'_>) {
        if !self.topics.is_empty()
            && let Some(expiry) = self.topics.remove(topic.as_str())
        {
            self.names -= topic.as_str().len();
            self.turns.remove(&(expiry.turn, topic.to_topic()));
        }
    }

    /// A topic whose value has expired by `now`, which is forgotten with this. At most so many
    /// `turns` are looked at, and taken from them: there may be many whose values were published
    /// again.
    pub(in crate::broker) fn pop(&mut self, now: u64, turns: &mut usize) -> Option<Topic> {
        while *turns > 0 && self.turns.first()?.0 <= now {
            *turns -= 1;
            let (_, topic) = self.turns.pop_first()?;
            match self.topics.get_mut(topic.as_str()) {
                Some(expiry) if expiry.at > now => {
                    expiry.turn = expiry.at;
                    self.turns.insert((expiry.at, topic));
                }
                _ => {
                    self.topics.remove(topic.as_str());
                    self.names -= topic.as_str().len();
                    return Some(topic);
                }
            }
        }
        None
    }

    /// How long it is until something may expire.
    pub(in crate::broker) fn wait(&self, now: u64) -> Option<Duration> {
        let (first, _) = self.turns.first()?;
        Some(Duration::from_millis(first.saturating_sub(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_expires_at_the_time_of_its_last_publication() {
        let topic = |name: &str| Topic::parse(name).unwrap();
        let mut expiries = Expiries::default();
        for (name, at) in [("a", 10), ("b", 20), ("c", 30), ("d", 40)] {
            expiries.set(topic(name).name(), Some(at));
        }
        expiries.set(topic("a").name(), Some(35));
        expiries.set(topic("d").name(), Some(5));
        expiries.set(topic("b").name(), None);
        assert_eq!(expiries.wait(1), Some(Duration::from_millis(4)));
        let expired = |expiries: &mut Expiries, now| -> Vec<String> {
            std::iter::from_fn(|| expiries.pop(now, &mut 100))
                .map(|topic| topic.to_string())
                .collect()
        };
        assert_eq!(expired(&mut expiries, 4), [""; 0]);
        assert_eq!(expired(&mut expiries, 29), ["d"]);
        assert_eq!(
            (expiries.of(topic("a").name()), expiries.of(topic("b").name())),
            (Some(35), None)
        );
        assert_eq!(expired(&mut expiries, 35), ["c", "a"]);
        assert!(expiries.is_empty() && expiries.turns.is_empty());
    }

    #[test]
    fn no_more_turns_are_looked_at_than_one_says() {
        let mut expiries = Expiries::default();
        for n in 0..10 {
            let topic = Topic::parse(&n.to_string()).unwrap();
            expiries.set(topic.name(), Some(1));
            // Half of them were published again.
            expiries.set(topic.name(), (n % 2 == 0).then_some(20));
        }
        for n in 0..5 {
            expiries.set(Topic::parse(&format!("x{n}")).unwrap().name(), Some(2));
        }
        let mut turns = 7;
        let popped: Vec<Topic> = std::iter::from_fn(|| expiries.pop(10, &mut turns)).collect();
        assert_eq!((popped.len(), turns), (2, 0));
        assert_eq!(expiries.wait(10), Some(Duration::ZERO), "the rest is due");
        let rest = std::iter::from_fn(|| expiries.pop(10, &mut 100)).count();
        assert_eq!((rest, expiries.wait(10)), (3, Some(Duration::from_millis(10))));
    }
}
