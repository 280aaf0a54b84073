//! What a member says to the server of its messages, until that confirms it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use async_nats::Subject;
use bytes::Bytes;
use tokio::time::Instant;

/// A word about a message.
#[derive(Debug)]
struct Word {
    /// Where it is said.
    reply: Subject,
    word: Bytes,
    /// Who waits for it.
    op: Option<u64>,
    attempts: u32,
    /// When it is to be said, or said again.
    due: Instant,
}

/// Words that are not confirmed, by their numbers; when each is due is in their order.
#[derive(Debug, Default)]
pub(super) struct Words {
    all: BTreeMap<u64, Word>,
    dues: BTreeSet<(Instant, u64)>,
    last: u64,
}

/// A word that is to be said now.
#[derive(Debug)]
pub(super) struct DueWord {
    /// Its number, which the confirmation names.
    pub(super) number: u64,
    /// Where it is said.
    pub(super) reply: Subject,
    /// What is said.
    pub(super) word: Bytes,
    /// How often it was said before.
    pub(super) attempts: u32,
}

impl Words {
    /// Whether all is confirmed.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Adds a word, which is due.
    pub(super) fn say(&mut self, reply: Subject, word: Bytes, op: Option<u64>, now: Instant) {
        self.last += 1;
        self.all.insert(self.last, Word { reply, word, op, attempts: 0, due: now });
        self.dues.insert((now, self.last));
    }

    /// When the next is to be said; `None` where none is.
    pub(super) fn due(&self) -> Option<Instant> {
        self.dues.first().map(|(due, _)| *due)
    }

    /// The next that is to be said, which is due again `after` that.
    pub(super) fn next(&mut self, now: Instant, after: Duration) -> Option<DueWord> {
        let number = self.dues.first().filter(|(due, _)| *due <= now)?.1;
        self.delay(number, now + after);
        let word = self.all.get_mut(&number)?;
        word.attempts += 1;
        let (reply, attempts) = (word.reply.clone(), word.attempts - 1);
        Some(DueWord { number, reply, word: word.word.clone(), attempts })
    }

    /// Says a word again at another time.
    pub(super) fn delay(&mut self, number: u64, due: Instant) {
        let Some(word) = self.all.get_mut(&number) else { return };
        self.dues.remove(&(word.due, number));
        word.due = due;
        self.dues.insert((due, number));
    }

    /// A word is confirmed, or given up. Returns who has waited for it.
    pub(super) fn finish(&mut self, number: u64) -> Option<u64> {
        let word = self.all.remove(&number)?;
        self.dues.remove(&(word.due, number));
        word.op
    }

    /// All are to be said now: what was on its way may be lost.
    pub(super) fn say_all_again(&mut self, now: Instant) {
        self.dues = self.all.keys().map(|number| (now, *number)).collect();
        self.all.values_mut().for_each(|word| word.due = now);
    }

    /// Gives all up. Returns who has waited.
    pub(super) fn forget(&mut self) -> Vec<u64> {
        self.dues.clear();
        std::mem::take(&mut self.all).into_values().filter_map(|word| word.op).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_secs(5);

    fn said(words: &mut Words, now: Instant) -> Vec<(u64, u32)> {
        let next = || words.next(now, WAIT).map(|word| (word.number, word.attempts));
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn a_word_is_said_until_it_is_confirmed() {
        let (mut words, now) = (Words::default(), Instant::now());
        for op in [None, Some(7), Some(8)] {
            words.say("a".into(), Bytes::from_static(b"+ACK"), op, now);
        }
        assert_eq!(words.due(), Some(now));
        assert_eq!(said(&mut words, now), [(1, 0), (2, 0), (3, 0)]);
        assert_eq!((said(&mut words, now).len(), words.due()), (0, Some(now + WAIT)));
        // One is to be said a little later, and another is confirmed.
        words.delay(3, now + WAIT / 5);
        assert_eq!((words.finish(1), words.finish(1), words.finish(2)), (None, None, Some(7)));
        assert_eq!(words.due(), Some(now + WAIT / 5));
        assert!(said(&mut words, now + WAIT / 6).is_empty());
        assert_eq!(said(&mut words, now + WAIT / 5), [(3, 1)]);
        words.say("b".into(), Bytes::from_static(b"-NAK"), Some(9), now);
        words.say_all_again(now);
        assert_eq!(said(&mut words, now), [(3, 2), (4, 0)]);
        assert_eq!((words.forget(), words.is_empty(), words.due()), (vec![8, 9], true, None));
        words.delay(3, now);
        assert!(said(&mut words, now).is_empty());
    }
}
