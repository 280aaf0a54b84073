//! Random schedules of everything that can happen to a consumer.

use std::time::Duration;

use proptest::prelude::*;

use super::super::*;
use super::model::{Is, Messages, Model};
use crate::protocol::TopicFilter;

#[derive(Clone, Debug)]
enum Op {
    Publish(u64),
    Join(u64, u32),
    Leave(u64),
    Assign {
        most: usize,
        looks: usize,
    },
    Ack(usize),
    AckUpto(u64, usize),
    Nak(usize, Option<u64>),
    Touch(usize),
    Reject(usize),
    Wait(u64),
    Bury,
    Retry(usize),
    Trim(u64),
    PassOver(usize, u64),
    Reset(usize, bool),
    Change {
        max_deliver: u32,
        order: Option<Order>,
    },
    TakeNotes,
    Snapshot,
    /// A restart for which so many of the last notes are lost, in 16ths of those not durable.
    Restart(usize),
    /// Messages are lost with the notes.
    PowerCut(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let which = 0..64usize;
    prop_oneof![
        8 => (1..12u64).prop_map(Op::Publish),
        3 => (0..4u64, 1..12u32).prop_map(|(member, window)| Op::Join(member, window)),
        1 => (0..4u64).prop_map(Op::Leave),
        12 => (1..20usize, prop_oneof![0..8usize, Just(1000)])
            .prop_map(|(most, looks)| Op::Assign { most, looks }),
        10 => which.clone().prop_map(Op::Ack),
        2 => (0..4u64, which.clone()).prop_map(|(member, at)| Op::AckUpto(member, at)),
        4 => (which.clone(), prop::option::of(0..9u64)).prop_map(|(at, delay)| Op::Nak(at, delay)),
        2 => which.clone().prop_map(Op::Touch),
        1 => which.clone().prop_map(Op::Reject),
        4 => (0..8u64).prop_map(Op::Wait),
        2 => Just(Op::Bury),
        1 => which.clone().prop_map(Op::Retry),
        1 => (0..4u64).prop_map(Op::Trim),
        1 => (which.clone(), 0..6u64).prop_map(|(at, many)| Op::PassOver(at, many)),
        1 => (which, any::<bool>()).prop_map(|(at, selects)| Op::Reset(at, selects)),
        1 => (1..4u32, prop::option::of(prop_oneof![Just(Order::None), Just(Order::ByTopic)]))
            .prop_map(|(max_deliver, order)| Op::Change { max_deliver, order }),
        5 => Just(Op::TakeNotes),
        1 => Just(Op::Snapshot),
        1 => (0..17usize).prop_map(Op::Restart),
        1 => (0..5u64).prop_map(Op::PowerCut),
    ]
}

/// A consumer, the naive one, and the notes that are written.
struct Pair {
    real: Consumer,
    model: Model,
    notes: Vec<Vec<u8>>,
    /// How many notes a crash leaves.
    durable: usize,
    /// How many there were when notes were last taken, and the naive one then.
    taken: Vec<(usize, Model)>,
    first: u64,
    deaths: Vec<Dead>,
}

impl Pair {
    fn new(settings: ConsumerSettings, messages: Messages) -> Pair {
        let real = Consumer::new(settings.clone(), 1);
        let model = Model::new(settings, messages);
        let (notes, taken, deaths) = Default::default();
        let mut pair = Pair { real, model, notes, durable: 0, taken, first: 1, deaths };
        pair.cover();
        pair.take_notes();
        pair.durable = pair.notes.len();
        pair
    }

    fn cover(&mut self) {
        self.real.set_covers_all(!self.model.messages.some_missing);
    }

    fn take_notes(&mut self) {
        self.real.take_notes(&mut self.notes);
        for entry in self.model.entries.values_mut() {
            entry.was_settled >>= 1;
            entry.was_put_back >>= 1;
        }
        self.taken.push((self.notes.len(), self.model.clone()));
    }

    /// A number: of one that is outstanding, mostly.
    fn pick(&self, at: usize) -> u64 {
        let out = self.model.all(|is| matches!(is, Is::Out(..)));
        match at % 4 {
            0 => at as u64 * self.model.end / 60,
            _ if out.is_empty() => at as u64,
            _ => out[at / 4 * out.len() / 16],
        }
    }

    fn is_out(&self, seq: u64) -> bool {
        matches!(self.model.is(seq), Is::Out(..))
    }

    fn was_delivered(&self, seq: u64) -> bool {
        let waits = matches!(self.model.is(seq), Is::Paused(_) | Is::Ready);
        self.is_out(seq) || waits || self.is_held_again(seq)
    }

    /// It was delivered before a restart, and waits behind others of its topic now.
    fn is_held_again(&self, seq: u64) -> bool {
        self.real.work.at(seq).is_some_and(|run| run.attempts > 0 && run.state == State::Ready)
    }

    fn assign(&mut self, most: usize, looks: usize) -> bool {
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
    fn bring_out_the_dead(&mut self) {
        for seq in 1..self.model.end {
            let is_dead = self.real.work.at(seq).is_some_and(|run| run.state == State::Dead);
            let entry = self.model.entries.get_mut(&seq).unwrap();
            if is_dead && matches!(entry.is, Is::Ahead | Is::Ready) {
                assert!(entry.attempts >= self.model.settings.max_deliver, "{seq} died too early");
                entry.is = Is::Dead;
            }
        }
    }

    fn take(&mut self, op: Op) {
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
                let seq = self.pick(at).max(self.first);
                let is_settled = self.settled(seq);
                assert_eq!(self.real.retry(seq), is_settled, "retry {seq}");
                if is_settled && seq < self.model.end {
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

    fn change(&mut self, max_deliver: u32, order: Option<Order>) {
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

    fn bury(&mut self) {
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

    fn settled(&self, seq: u64) -> bool {
        !self.real.ahead.contains(seq) && self.real.work.at(seq).is_none()
    }

    /// Nothing is left but so many notes.
    fn restart(&mut self, left: usize) {
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
        for seq in self.first..self.model.end {
            let then = before.entries.get(&seq);
            let now = self.model.entries[&seq];
            let real_settled = self.settled(seq);
            let then_settled = then.is_some_and(|then| then.is == Is::Settled);
            let was_settled = now.was_settled > 0 || now.is == Is::Settled || then_settled;
            let wanted = self.model.is_wanted(seq);
            assert!(!real_settled || was_settled || !wanted, "{seq} is lost");
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
    fn adopt(&mut self, seq: u64) {
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
    fn cut_power(&mut self, lost: u64) {
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

    /// The two agree about every message, and the real one with itself.
    fn check(&mut self) {
        for seq in 1..self.model.end {
            let entry = self.model.entries[&seq];
            let run = self.real.work.at(seq);
            let real = match run.map(|run| run.state) {
                Some(State::Out { member, due }) => {
                    Is::Out(self.real.work.members.get(member).unwrap().id, due)
                }
                Some(State::Paused { due }) => Is::Paused(due),
                Some(State::Ready) => Is::Ready,
                Some(State::Dead) => Is::Dead,
                None if self.real.ahead.contains(seq) => Is::Ahead,
                None => Is::Settled,
            };
            let attempts = run.map(|run| run.attempts);
            match (entry.is, real) {
                // One that waits behind others of its topic was not delivered.
                (Is::Ahead, Is::Ready) => assert_eq!(attempts, Some(entry.attempts), "of {seq}"),
                (Is::Ahead, Is::Settled) => {
                    assert!(!self.model.is_wanted(seq), "{seq} is settled, but nobody had it");
                }
                (Is::Settled, Is::Ahead) if !self.model.is_wanted(seq) => {}
                (model, real) => {
                    assert_eq!(real, model, "{seq}");
                    assert!(attempts.is_none_or(|real| real == entry.attempts), "of {seq}");
                }
            }
            let is_done = entry.is == Is::Settled && self.model.is_wanted(seq);
            assert!(!is_done || entry.had_its_turn, "{seq} is settled, but nobody had it");
        }
        let end = self.model.end;
        let report = self.real.report(end);
        let unsettled: Vec<u64> = (1..end).filter(|&seq| !self.settled(seq)).collect();
        assert_eq!(report.pending, unsettled.len() as u64);
        assert_eq!(report.floor.min(end - 1), unsettled.first().map_or(end - 1, |seq| seq - 1));
        assert_eq!(report.outstanding, self.model.all(|is| matches!(is, Is::Out(..))).len() as u64);
        assert_eq!(self.real.next_due(), self.model.next_due());
        let pieces = self.real.work.len() + self.real.ahead.gaps().ranges();
        assert!(pieces <= unsettled.len(), "{pieces} pieces for {} messages", unsettled.len());
        let room: u64 = self.model.windows.keys().map(|member| self.model.room(*member)).sum();
        assert_eq!(self.real.work.members.room(), room);
    }

    /// Whatever happened, all that is wanted gets to somebody in the end.
    fn drain(&mut self) {
        for member in self.model.windows.keys().copied().collect::<Vec<_>>() {
            self.take(Op::Leave(member.0));
        }
        self.take(Op::Join(9, 50));
        for _ in 0..1000 {
            self.model.now += 20;
            let goes_on = self.assign(usize::MAX, 1000);
            self.take(Op::AckUpto(9, 3));
            self.real.ack_upto(MemberId(9), u64::MAX);
            for seq in self.model.all(|is| matches!(is, Is::Out(..))) {
                self.model.settle(seq);
            }
            self.check();
            self.bury();
            let is_left = self.model.all(|is| !matches!(is, Is::Settled));
            let end = self.model.end;
            if !goes_on && is_left.iter().all(|&seq| seq >= end || !self.model.is_wanted(seq)) {
                let report = self.real.report(self.model.end);
                assert_eq!((report.pending, report.outstanding), (0, 0));
                assert_eq!(self.real.work.len() + self.real.ahead.gaps().ranges(), 0);
                return;
            }
        }
        panic!("it never gets to its end");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn it_does_what_the_naive_one_does(
        ops in prop::collection::vec(op(), 1..120),
        seed in any::<u64>(),
        max_deliver in 1..5u32,
        pauses in any::<bool>(),
        by_topic in any::<bool>(),
        covers_all in any::<bool>(),
    ) {
        let filter = TopicFilter::parse(if covers_all { "#" } else { "a" }).unwrap();
        let backoff = if pauses { vec![3, 7] } else { Vec::new() };
        let settings = ConsumerSettings {
            max_deliver,
            ack_wait: Duration::from_millis(10),
            backoff: backoff.into_iter().map(Duration::from_millis).collect(),
            order: if by_topic { Order::ByTopic } else { Order::None },
            ..ConsumerSettings::new(filter)
        };
        let messages = Messages { seed, some_missing: !covers_all, looks: 0 };
        let mut pair = Pair::new(settings, messages);
        pair.take(Op::Join(0, 8));
        for op in ops {
            pair.take(op);
            pair.check();
        }
        pair.drain();
    }
}
