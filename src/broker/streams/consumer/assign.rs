//! Who gets what next.

use super::Consumer;
use super::lanes::{Standing, topic_of};
use super::look::{Look, Sight};
use super::members::{Member, Slot};
use super::outcome::{Assignment, WhyDead};
use super::work::{Run, State};

/// Messages that one call looks at, so that others have their turn where few match.
const LOOKS: usize = 8192;

/// Messages that may wait, or be dead, before no new ones are looked at: so many windows.
const WINDOWS_ASIDE: u64 = 16;

/// As many may always wait.
const FEW_ASIDE: u64 = 1024;

/// One call of `assign`.
struct Round<'a> {
    now: u64,
    end: u64,
    look: &'a mut dyn Look,
    looks: usize,
    /// Messages that it may give yet.
    left: u64,
    /// Where its assignments begin in `out`.
    start: usize,
    /// It ended before everything was given that could be.
    has_more: bool,
}

impl Consumer {
    /// Gives members that have room their next messages, those before `end`, at most `most`, and
    /// pushes them to `out`. Messages that the filter does not match are settled on the way.
    /// Returns whether there may be more to give at once: `most` was reached, or many messages were
    /// looked at, or [`Look::look`] said [`Sight::Later`].
    pub fn assign(
        &mut self,
        now: u64,
        end: u64,
        look: &mut dyn Look,
        most: usize,
        out: &mut Vec<Assignment>,
    ) -> bool {
        let left = self.work.members.room().min(most as u64);
        if left == 0 {
            return most == 0;
        }
        let start = out.len();
        let mut round = Round { now, end, look, looks: LOOKS, left, start, has_more: false };
        if self.work.by_topic {
            self.give_again_by_topic(&mut round, out);
            self.give_new_by_topic(&mut round, out);
        } else {
            self.give_in_turns(&mut round, out);
        }
        self.tidy();
        round.has_more || (round.left == 0 && self.work.members.room() > 0)
    }

    /// Without an order of topics: what comes next is gathered, and dealt out.
    fn give_in_turns(&mut self, round: &mut Round<'_>, out: &mut Vec<Assignment>) {
        let mut gathered = std::mem::take(&mut self.gathered);
        while round.left > 0
            && let Some(&last) = self.work.ready.first()
        {
            let Some(run) = self.work.at(last) else {
                self.work.ready.remove(&last);
                continue;
            };
            let to = run.to.min(run.from.saturating_add(round.left - 1));
            let piece = self.work.cut(run, run.from, to);
            round.left -= piece.width();
            gathered.push(piece);
        }
        while round.left > 0
            && let Some(piece) = self.next_ahead(round)
        {
            round.left -= piece.width();
            match gathered.last_mut() {
                Some(last) if last.to + 1 == piece.from && last.attempts == piece.attempts => {
                    last.to = piece.to;
                }
                _ => gathered.push(piece),
            }
        }
        self.deal(&gathered, round, out);
        gathered.clear();
        self.gathered = gathered;
    }

    /// Deals messages out: to each in turn a part of its window at most, and no more than its share
    /// where there are few.
    fn deal(&mut self, gathered: &[Run], round: &mut Round<'_>, out: &mut Vec<Assignment>) {
        let share = self.share(gathered.iter().map(Run::width).sum());
        let mut turn = 0;
        for run in gathered {
            let mut from = run.from;
            while from <= run.to {
                let Some(slot) = self.work.members.front() else {
                    self.work.insert(Run { from, state: State::Ready, ..*run });
                    break;
                };
                let Some(member) = self.work.members.get(slot) else { break };
                if turn == 0 {
                    turn = share.map_or(u64::MAX, |share| share.min(member.turn()));
                }
                let many = turn.min(member.room()).min(run.to - from + 1);
                self.deliver(slot, Run { from, to: from + many - 1, ..*run }, round, out);
                from += many;
                turn -= many;
                if self.room_of(slot) == 0 {
                    turn = 0;
                }
                if turn == 0 {
                    self.work.members.rotate();
                }
            }
        }
        if turn > 0 {
            self.work.members.rotate();
        }
    }

    /// How many of so many messages are a member's share; `None` where only one has room.
    fn share(&self, messages: u64) -> Option<u64> {
        let open = self.work.members.open();
        (open > 1).then(|| messages.div_ceil(open).max(1))
    }

    /// With order by topic: what waits goes to the member that has the rest of its topic, or to
    /// whose turn it is.
    fn give_again_by_topic(&mut self, round: &mut Round<'_>, out: &mut Vec<Assignment>) {
        let mut in_vain = 0;
        while round.left > 0
            && in_vain < self.work.members.open()
            && let Some(slot) = self.work.members.front()
        {
            let mut turn = self.work.members.get(slot).map_or(0, Member::turn);
            in_vain += 1;
            while round.left > 0
                && turn > 0
                && let Some(run) = self.next_ready(slot)
            {
                let many = run.width().min(turn).min(round.left).min(self.room_of(slot));
                if many == 0 {
                    break;
                }
                let piece = self.work.cut(run, run.from, run.from + many - 1);
                in_vain = 0;
                turn -= many;
                round.left -= many;
                self.deliver(slot, piece, round, out);
            }
            self.work.members.rotate();
        }
    }

    /// The first run that is due and that a member may have.
    fn next_ready(&self, slot: Slot) -> Option<Run> {
        let own = self.work.members.get(slot)?.ready.first();
        let anybodys = self.work.ready.first();
        let last = own.into_iter().chain(anybodys).min()?;
        self.work.at(*last)
    }

    /// With order by topic: new messages go to the member that has others of their topic. Where it
    /// has no room, or others wait before them, they wait too.
    fn give_new_by_topic(&mut self, round: &mut Round<'_>, out: &mut Vec<Assignment>) {
        let share = self.share(self.ahead.count(round.end));
        let mut turn = 0;
        while round.left > 0
            && self.work.members.room() > 0
            && let Some(run) = self.next_ahead(round)
        {
            let slot = match self.work.lanes.standing(run.topic) {
                Standing::Free => self.work.members.front(),
                Standing::With(slot) => Some(slot).filter(|&slot| self.room_of(slot) > 0),
                Standing::Blocked => None,
            };
            let Some(slot) = slot else {
                self.work.insert(run);
                continue;
            };
            round.left -= 1;
            self.deliver(slot, run, round, out);
            if self.work.members.front() == Some(slot) {
                if turn == 0 {
                    let member = self.work.members.get(slot).map_or(1, Member::turn);
                    turn = share.map_or(u64::MAX, |share| share.min(member));
                }
                turn -= 1;
                if turn == 0 {
                    self.work.members.rotate();
                }
            } else {
                turn = 0;
            }
        }
        if turn > 0 {
            self.work.members.rotate();
        }
    }

    fn room_of(&self, slot: Slot) -> u64 {
        self.work.members.get(slot).map_or(0, Member::room)
    }

    /// The next message that nobody has looked at and that the filter matches, with as many behind
    /// it as need no look.
    fn next_ahead(&mut self, round: &mut Round<'_>) -> Option<Run> {
        loop {
            if self.work.aside >= FEW_ASIDE.max(WINDOWS_ASIDE * u64::from(self.settings.window)) {
                return None;
            }
            let (from, to) = self.ahead.first(round.end)?;
            let mut topic = 0;
            let mut to = to.min(from.saturating_add(round.left - 1));
            if !self.covers_all || self.work.by_topic {
                if round.looks == 0 {
                    round.has_more = true;
                    return None;
                }
                round.looks -= 1;
                match round.look.look(from) {
                    Sight::Message(name) if self.settings.filter.matches(name) => {
                        topic = if self.work.by_topic { topic_of(name) } else { 0 };
                        to = from;
                    }
                    Sight::Message(_) => {
                        self.settle(from, from);
                        continue;
                    }
                    Sight::Missing(last) => {
                        self.settle(from, last.clamp(from, round.end - 1));
                        continue;
                    }
                    Sight::Later => {
                        round.has_more = true;
                        return None;
                    }
                }
            }
            let (to, attempts) = self.ahead.alike(from, to);
            self.ahead.remove(from, to);
            let run = Run { from, to, attempts, topic, state: State::Ready };
            if !self.is_over(attempts) {
                return Some(run);
            }
            self.die(run, &WhyDead::Exhausted);
        }
    }

    /// A member gets messages that are in no run.
    fn deliver(&mut self, slot: Slot, run: Run, round: &mut Round<'_>, out: &mut Vec<Assignment>) {
        let Some(member) = self.work.members.get(slot).map(|member| member.id) else {
            return;
        };
        let attempt = run.attempts.saturating_add(1);
        let due = round.now.saturating_add(self.settings.patience());
        self.work.insert(Run { attempts: attempt, state: State::Out { member: slot, due }, ..run });
        self.timers.push((due, run.from, run.to));
        if attempt > 1 {
            self.redelivered += run.width();
            self.notes.attempt(run.from, run.to, attempt);
        }
        match out[round.start..].last_mut() {
            Some(last)
                if last.member == member && last.attempt == attempt && last.to + 1 == run.from =>
            {
                last.to = run.to;
            }
            _ => out.push(Assignment { member, from: run.from, to: run.to, attempt }),
        }
    }
}
