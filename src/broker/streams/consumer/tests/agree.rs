//! Whether a consumer and the naive one agree, and that both get to an end.

use super::super::*;
use super::model::Is;
use super::ops::Op;
use super::pair::Pair;

impl Pair {
    /// The two agree about every message, and the real one with itself.
    pub(super) fn check(&mut self) {
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
    pub(super) fn drain(&mut self) {
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
