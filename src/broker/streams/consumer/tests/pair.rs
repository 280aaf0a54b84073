//! A consumer beside the naive one: whatever happens, happens to both.

use std::time::Duration;

use super::super::*;
use super::model::{Is, Messages, Model};
use super::ops::Op;

/// A consumer, the naive one, and the notes that are written.
pub(super) struct Pair {
    pub(super) real: Consumer,
    pub(super) model: Model,
    pub(super) notes: Vec<Vec<u8>>,
    /// How many notes a crash leaves.
    pub(super) durable: usize,
    /// How many there were when notes were last taken, and the naive one then.
    pub(super) taken: Vec<(usize, Model)>,
    pub(super) first: u64,
    pub(super) deaths: Vec<Dead>,
}

impl Pair {
    pub(super) fn new(settings: ConsumerSettings, messages: Messages) -> Pair {
        let real = Consumer::new(settings.clone(), 1);
        let model = Model::new(settings, messages);
        let (notes, taken, deaths) = Default::default();
        let mut pair = Pair { real, model, notes, durable: 0, taken, first: 1, deaths };
        pair.cover();
        pair.take_notes();
        pair.durable = pair.notes.len();
        pair
    }

    pub(super) fn cover(&mut self) {
        self.real.set_covers_all(!self.model.messages.some_missing);
    }

    pub(super) fn take_notes(&mut self) {
        self.real.take_notes(&mut self.notes);
        for entry in self.model.entries.values_mut() {
            entry.was_settled >>= 1;
            entry.was_put_back >>= 1;
        }
        self.taken.push((self.notes.len(), self.model.clone()));
    }

    /// A number: of one that is outstanding, mostly.
    pub(super) fn pick(&self, at: usize) -> u64 {
        let out = self.model.all(|is| matches!(is, Is::Out(..)));
        match at % 4 {
            0 => at as u64 * self.model.end / 60,
            _ if out.is_empty() => at as u64,
            _ => out[at / 4 * out.len() / 16],
        }
    }

    pub(super) fn is_out(&self, seq: u64) -> bool {
        matches!(self.model.is(seq), Is::Out(..))
    }

    pub(super) fn was_delivered(&self, seq: u64) -> bool {
        let waits = matches!(self.model.is(seq), Is::Paused(_) | Is::Ready);
        self.is_out(seq) || waits || self.is_held_again(seq)
    }

    /// It was delivered before a restart, and waits behind others of its topic now.
    pub(super) fn is_held_again(&self, seq: u64) -> bool {
        self.real.work.at(seq).is_some_and(|run| run.attempts > 0 && run.state == State::Ready)
    }

    pub(super) fn assign(&mut self, most: usize, looks: usize) -> bool {
        self.real.expire(self.model.now);
        self.model.expire();
        self.model.messages.looks = looks;
        let mut messages = self.model.messages.clone();
        let mut given = Vec::new();
        let (now, end) = (self.model.now, self.model.end);
        let has_more = self.real.assign(now, end, &mut messages, most, &mut given);
        self.bring_out_the_dead();
        self.model.give(&given);
        let count: u64 = given.iter().map(|part| ranges::width(part.from, part.to)).sum();
        assert!(count <= most as u64);
        if !has_more {
            assert_eq!(self.model.left_over(), None, "could have been given");
        }
        let runs = self.real.work.len();
        assert!(self.real.timers.len() <= 64 + 2 * runs + 16, "times are kept for ever");
        count > 0 || has_more
    }

    /// Messages whose attempts are used up die where the naive one does not choose the moment.
    pub(super) fn bring_out_the_dead(&mut self) {
        for seq in 1..self.model.end {
            let is_dead = self.real.work.at(seq).is_some_and(|run| run.state == State::Dead);
            let entry = self.model.entries.get_mut(&seq).unwrap();
            if is_dead && matches!(entry.is, Is::Ahead | Is::Ready) {
                assert!(entry.attempts >= self.model.settings.max_deliver, "{seq} died too early");
                entry.is = Is::Dead;
            }
        }
    }

    pub(super) fn take(&mut self, op: Op) {
        let now = self.model.now;
        match op {
            Op::Publish(many) => self.model.publish(many),
            Op::Join(member, window) => {
                self.real.join(MemberId(member), window);
                self.model.windows.insert(MemberId(member), window.into());
            }
            Op::Leave(member) => {
                self.real.leave(MemberId(member), now);
                self.model.leave(MemberId(member));
            }
            Op::Assign { most, looks } => {
                self.assign(most, looks);
            }
            Op::Ack(at) => {
                let seq = self.pick(at);
                let is_news = self.was_delivered(seq);
                assert_eq!(self.real.ack(seq), is_news, "ack {seq}");
                if is_news {
                    self.model.settle(seq);
                }
            }
            Op::AckUpto(member, at) => {
                let (seq, member) = (self.pick(at), MemberId(member));
                let all = self.model.all(|is| matches!(is, Is::Out(owner, _) if owner == member));
                let all: Vec<u64> = all.into_iter().filter(|out| *out <= seq).collect();
                assert_eq!(self.real.ack_upto(member, seq), all.len() as u64);
                all.into_iter().for_each(|seq| self.model.settle(seq));
            }
            Op::Nak(at, delay) => {
                let seq = self.pick(at);
                let is_out = self.is_out(seq);
                assert_eq!(self.real.nak(seq, delay.map(Duration::from_millis), now), is_out);
                if is_out {
                    let pause = delay.unwrap_or_else(|| self.model.backoff(seq));
                    self.model.fail(seq, pause);
                }
            }
            Op::Touch(at) => {
                let seq = self.pick(at);
                assert_eq!(self.real.touch(seq, now), self.is_out(seq), "touch {seq}");
                if let Is::Out(member, _) = self.model.is(seq) {
                    let due = now + self.model.settings.ack_wait.as_millis() as u64;
                    self.model.entries.get_mut(&seq).unwrap().is = Is::Out(member, due);
                }
            }
            Op::Reject(at) => {
                let seq = self.pick(at);
                let was = self.was_delivered(seq);
                assert_eq!(self.real.reject(seq, "of no use"), was, "reject {seq}");
                if was {
                    self.model.entries.get_mut(&seq).unwrap().is = Is::Dead;
                }
            }
            Op::Wait(time) => {
                self.model.now += time;
                self.real.expire(self.model.now);
                self.model.expire();
            }
            Op::Bury => self.bury(),
            Op::Retry(at) => {
                let seq = self.pick(at).max(self.first).min(self.model.end - 1);
                let is_settled = seq > 0 && self.settled(seq);
                assert_eq!(self.real.retry(seq), is_settled, "retry {seq}");
                if is_settled {
                    self.model.put_back(seq);
                }
            }
            Op::Trim(many) => {
                self.first = (self.first + many).min(self.model.end);
                self.real.trimmed(self.first);
                (1..self.first).for_each(|seq| self.model.lose(seq));
            }
            Op::PassOver(at, many) => {
                let from = self.pick(at).max(1);
                let to = (from + many).min(self.model.end - 1);
                let known = (from..=to).filter(|&seq| !self.settled(seq)).count() as u64;
                assert_eq!(self.real.pass_over(from, to), known);
                (from..=to).for_each(|seq| self.model.lose(seq));
            }
            Op::Reset(at, selects) => {
                let next = (at as u64 * self.model.end / 60).max(1);
                let known = 1..next.min(self.model.end);
                let selected: Vec<u64> = known.filter(|seq| selects && seq % 5 == 0).collect();
                self.real.reset(&selected, next);
                self.model.reset(&selected, next);
                self.real.trimmed(self.first);
                (1..self.first).for_each(|seq| self.model.lose(seq));
            }
            Op::Change { max_deliver, order } => self.change(max_deliver, order),
            Op::TakeNotes => {
                self.durable = self.notes.len();
                self.take_notes();
            }
            Op::Snapshot => {
                self.take_notes();
                self.notes = self.real.snapshot();
                self.durable = self.notes.len();
                self.taken = vec![(self.durable, self.model.clone())];
            }
            Op::Restart(lost) => {
                let lost = (self.notes.len() - self.durable) * lost.min(16) / 16;
                self.restart(self.notes.len() - lost);
            }
            Op::PowerCut(lost) => self.cut_power(lost),
        }
    }

    pub(super) fn change(&mut self, max_deliver: u32, order: Option<Order>) {
        let order = order.unwrap_or(self.model.settings.order);
        let is_other = order != self.model.settings.order;
        let settings = ConsumerSettings { max_deliver, order, ..self.model.settings.clone() };
        self.real.set_settings(settings.clone());
        self.model.settings = settings;
        if is_other {
            let not_settled = |is| !matches!(is, Is::Settled | Is::Dead);
            for seq in self.model.all(not_settled) {
                self.model.entries.get_mut(&seq).unwrap().is = Is::Ahead;
            }
        }
    }

    pub(super) fn bury(&mut self) {
        self.deaths.extend(self.real.take_dead());
        for dead in std::mem::take(&mut self.deaths) {
            let is_dead = self.model.is(dead.seq) == Is::Dead;
            assert_eq!(self.real.bury(dead.seq), is_dead, "{dead:?}");
            assert!(!self.real.bury(dead.seq));
            if is_dead {
                assert_eq!(dead.attempts, self.model.entries[&dead.seq].attempts, "{dead:?}");
                self.model.settle(dead.seq);
            }
        }
        let left = self.model.all(|is| is == Is::Dead);
        assert!(left.is_empty(), "nobody was told that {left:?} are dead");
    }

    pub(super) fn settled(&self, seq: u64) -> bool {
        !self.real.ahead.contains(seq) && self.real.work.at(seq).is_none()
    }
}
