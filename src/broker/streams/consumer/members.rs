//! The members of a consumer, how much room each has, and whose turn it is.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;

use super::outcome::MemberId;

/// The place of a member among the others; another may have it later.
pub(super) type Slot = u32;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: MemberId,
    window: u64,
    outstanding: u64,
    /// The runs that it has outstanding, by their last numbers.
    pub(super) runs: BTreeSet<u64>,
    /// Runs that are due and that nobody else may have, by their last numbers.
    pub(super) ready: BTreeSet<u64>,
    /// It stands in the row of those who are given something.
    has_turn: bool,
}

impl Member {
    /// How many more messages it may have.
    pub(super) fn room(&self) -> u64 {
        self.window.saturating_sub(self.outstanding)
    }

    /// How many messages it has.
    pub(super) fn outstanding(&self) -> u64 {
        self.outstanding
    }

    /// How many messages it is given in one turn at most: a part of its window, so that the others
    /// work too, and not one by one, so that ranges are long.
    pub(super) fn turn(&self) -> u64 {
        (self.window / 4).max(1)
    }
}

#[derive(Debug, Default)]
pub(super) struct Members {
    slots: Vec<Option<Member>>,
    free: Vec<Slot>,
    by_id: FxHashMap<MemberId, Slot>,
    /// Those that have room, and some that had.
    turns: VecDeque<Slot>,
    /// The room of all.
    room: u64,
    /// How many have room.
    open: u64,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// How many messages all of them may be given.
    pub(super) fn room(&self) -> u64 {
        self.room
    }

    /// How many members may be given something.
    pub(super) fn open(&self) -> u64 {
        self.open
    }

    pub(super) fn slot(&self, id: MemberId) -> Option<Slot> {
        self.by_id.get(&id).copied()
    }

    pub(super) fn get(&self, slot: Slot) -> Option<&Member> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, slot: Slot) -> Option<&mut Member> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(super) fn join(&mut self, id: MemberId, window: u32) {
        let window = u64::from(window.max(1));
        if let Some(slot) = self.slot(id) {
            return self.change(slot, |member| member.window = window);
        }
        let slot = self.free.pop().unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() as Slot - 1
        });
        self.slots[slot as usize] = Some(Member {
            id,
            window: 0,
            outstanding: 0,
            runs: BTreeSet::new(),
            ready: BTreeSet::new(),
            has_turn: false,
        });
        self.by_id.insert(id, slot);
        self.change(slot, |member| member.window = window);
    }

    /// Takes a member away that has nothing any more.
    pub(super) fn leave(&mut self, slot: Slot) {
        self.change(slot, |member| member.window = 0);
        if let Some(member) = self.slots.get_mut(slot as usize).and_then(Option::take) {
            self.by_id.remove(&member.id);
            self.turns.retain(|&turn| turn != slot);
            self.free.push(slot);
        }
    }

    /// A member has so many messages more.
    pub(super) fn take(&mut self, slot: Slot, messages: u64) {
        self.change(slot, |member| member.outstanding += messages);
    }

    /// A member has so many messages less.
    pub(super) fn give_back(&mut self, slot: Slot, messages: u64) {
        self.change(slot, |member| {
            member.outstanding = member.outstanding.saturating_sub(messages);
        });
    }

    /// Takes all from everyone.
    pub(super) fn clear(&mut self) {
        for slot in 0..self.slots.len() as Slot {
            self.change(slot, |member| {
                member.outstanding = 0;
                member.runs.clear();
                member.ready.clear();
            });
        }
    }

    fn change(&mut self, slot: Slot, change: impl FnOnce(&mut Member)) {
        let Some(member) = self.slots.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        let before = member.room();
        change(member);
        let after = member.room();
        self.room = self.room - before + after;
        self.open = self.open - u64::from(before > 0) + u64::from(after > 0);
        if after > 0 && !member.has_turn {
            member.has_turn = true;
            self.turns.push_back(slot);
        }
    }

    /// Whose turn it is of those that have room.
    pub(super) fn front(&mut self) -> Option<Slot> {
        while let Some(&slot) = self.turns.front() {
            match self.get_mut(slot) {
                Some(member) if member.room() > 0 => return Some(slot),
                Some(member) => member.has_turn = false,
                None => {}
            }
            self.turns.pop_front();
        }
        None
    }

    /// The next one's turn has come.
    pub(super) fn rotate(&mut self) {
        if let Some(slot) = self.turns.pop_front() {
            self.turns.push_back(slot);
        }
    }
}
