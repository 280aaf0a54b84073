//! What is left of a consumer after a crash: its notes, or some of them.

use super::super::*;
use super::model::{Is, Model};
use super::pair::Pair;

impl Pair {
    /// Nothing is left but so many notes.
    pub(super) fn restart(&mut self, left: usize) {
        self.notes.truncate(left);
        let end = self.model.end;
        self.model.entries.retain(|seq, _| *seq < end);
        let notes = self.notes.iter().map(Vec::as_slice);
        self.real = Consumer::restore(notes, self.model.end).unwrap().unwrap();
        self.cover();
        self.real.trimmed(self.first);
        (1..self.first).for_each(|seq| self.model.lose(seq));
        self.taken.retain(|(length, _)| *length <= left);
        let (length, before) = self.taken.last().unwrap().clone();
        let is_whole = length == left;
        if is_whole {
            assert_eq!(*self.real.settings(), before.settings, "what was noted last");
        }
        for seq in self.first..self.model.end {
            let then = before.entries.get(&seq);
            let now = self.model.entries[&seq];
            let real_settled = self.settled(seq);
            let then_settled = then.is_some_and(|then| then.is == Is::Settled);
            let was_settled = now.was_settled > 0 || now.is == Is::Settled || then_settled;
            let wanted = self.model.is_wanted(seq);
            let may_be_settled = if is_whole { then_settled } else { was_settled };
            assert!(!real_settled || may_be_settled || !wanted, "{seq} is lost");
            let put_back = now.was_put_back > 0 || then.is_none();
            assert!(real_settled || !then_settled || (put_back && !is_whole), "{seq} is back");
            self.adopt(seq);
            let attempts = self.model.entries[&seq].attempts;
            let noted = |attempts| if attempts > 1 { attempts } else { 0 };
            if let Some(then) = then.filter(|_| is_whole) {
                let dead = then.is == Is::Dead;
                let expected = if dead { then.attempts } else { noted(then.attempts) };
                assert_eq!(attempts, expected, "attempts of {seq}");
                assert_eq!(self.model.is(seq) == Is::Dead, dead, "{seq}");
            } else if !put_back && now.is != Is::Settled && now.was_settled == 0 {
                assert!(attempts <= now.attempts, "attempts of {seq}");
                let then = then.map_or(0, |then| noted(then.attempts));
                assert!(attempts >= then, "attempts of {seq}");
            }
        }
        self.deaths.clear();
        let model = &self.model;
        let fresh = Model::new(self.real.settings().clone(), model.messages.clone());
        let (end, now, entries) = (model.end, model.now, model.entries.clone());
        self.model = Model { end, now, entries, ..fresh };
        self.take_notes();
        self.taken = vec![(self.notes.len(), self.model.clone())];
        self.durable = self.notes.len();
    }

    /// The naive consumer believes what the real one has after a restart.
    pub(super) fn adopt(&mut self, seq: u64) {
        let run = self.real.work.at(seq);
        let attempts = self.real.ahead.attempts().get(&seq).copied().unwrap_or_default();
        let (is, attempts) = match run {
            Some(run) if run.state == State::Dead => (Is::Dead, run.attempts),
            Some(run) => panic!("{run:?} after a restart"),
            None if self.settled(seq) => (Is::Settled, 0),
            None => (Is::Ahead, attempts),
        };
        let entry = self.model.entries.get_mut(&seq).unwrap();
        (entry.is, entry.attempts) = (is, attempts);
        entry.is_again = false;
        // Whether it may be settled or dead was judged before.
        entry.had_its_turn |= is != Is::Ahead || attempts > 0;
    }

    /// The last messages are lost, and with them every note since the last durable one; others
    /// will have their numbers.
    pub(super) fn cut_power(&mut self, lost: u64) {
        let end = self.model.end.saturating_sub(lost).max(self.first).max(1);
        self.model.end = end;
        self.model.entries.retain(|seq, _| *seq < end);
        for (_, model) in &mut self.taken {
            model.end = model.end.min(end);
            model.entries.retain(|seq, _| *seq < end);
        }
        self.restart(self.durable);
        assert_eq!(self.real.ahead.next().max(end), end, "new messages are skipped");
    }
}
