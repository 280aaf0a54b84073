//! Reading many stored values without holding anybody up.
//!
//! A snapshot of a million values is taken in pieces, between other events. Its values are those of
//! one moment all the same: a value that is overwritten or cleared before the snapshot has come to
//! it is kept until it has. So nothing is missed, nothing comes twice, and the live messages follow
//! without a gap.
//!
//! All snapshots share what is kept, so overwriting a value costs the same whatever their number. A
//! snapshot makes no more than two pieces that its connection's writer is not done with. Each piece
//! tells when it is dropped; until then nothing is done for the snapshot.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound::{Excluded, Included, Unbounded};
use std::sync::Arc;

use crate::access::{Grant, Right};
use crate::broker::client_id::Slot;
use crate::broker::delivery::{Piece, Returned};
use crate::broker::retained::stored::Stored;
use crate::broker::retained::tree::{AHEAD, Marker, Tree};
use crate::broker::rights::Scope;
use crate::broker::sync::{Receiver, Sender, unbounded};
use crate::codec::{Account, Claim, Share};

/// Topics that one step looks at.
const STEP: usize = 1_024;

/// Snapshots of one connection at the same time. Each holds a place in the tree's order.
pub(in crate::broker) const MAX_SNAPSHOTS: usize = 64;
/// Snapshots of all connections at the same time.
const MAX_ALL_SNAPSHOTS: usize = if cfg!(test) { 256 } else { 4_096 };

/// Pieces of one connection that its writer is not done with.
const MAX_PIECES: usize = 2;
/// Bytes of a piece, unless one value has more.
const PIECE_BYTES: usize = 1 << 20;
/// Bytes that each connection may have of a piece, whatever others have: one that reads slowly does
/// not hold up those whose values are short.
const SMALLEST_PIECE: usize = 4 << 10;
/// A piece has at most one of so many parts of the memory that is left for pieces, so that
/// something is left for others.
const PARTS: usize = 16;
/// Values that nobody needs any more and that are dropped together.
const STALE: usize = 1_024;
/// While more is kept than may be, so many values are looked at for each that comes.
const SWEPT_FOR_EACH: usize = 4;
/// Snapshots that are looked at to find whether a value is needed.
const SEEN_AT_ONCE: usize = 64;

/// Bytes of memory of a value beyond its name and its payload: its head, the allocator's, its place
/// among others.
const OVERHEAD: usize = 96;

/// The snapshots that are under way, each connection's taking their turn.
#[derive(Debug)]
pub(in crate::broker) struct Snapshots {
    /// By number; later ones have higher numbers.
    snapshots: BTreeMap<u64, Snapshot>,
    /// The place that each snapshot has come by, and its number.
    positions: BTreeSet<(u64, u64)>,
    /// Of each connection that has some, by number.
    lines: HashMap<u64, Line>,
    line_of: HashMap<Slot, u64>,
    /// Lines that can go on.
    turns: VecDeque<u64>,
    /// Lines that wait for other pieces to be dropped, because there is no memory for the next
    /// value.
    hungry: Vec<u64>,
    numbers: u64,
    /// Values that are not in the tree any more, to be shown at their place.
    kept: BTreeMap<u64, Kept>,
    kept_bytes: Claim,
    /// While more is kept than may be, everything is looked at once, to find what nobody needs: how
    /// far that has come.
    sweep: Option<u64>,
    /// Whether that has come to the end, and there still is more than may be.
    is_swept: bool,
    /// Of what there is for values that are kept and for pieces; each may have half.
    account: Account,
    /// Bytes of all pieces that no writer is done with.
    piece_bytes: usize,
    /// Pieces that were dropped.
    returned: Receiver<(u64, usize)>,
    returns: Sender<(u64, usize)>,
}

/// The snapshots of one connection. Its writer comes to them one after the other, so only the first
/// goes on.
#[derive(Debug)]
struct Line {
    slot: Slot,
    snapshots: VecDeque<u64>,
    /// Pieces that the writer is not done with.
    pieces: usize,
    /// Whether it is among those that can go on, or that wait for memory.
    is_queued: bool,
}

#[derive(Debug)]
struct Snapshot {
    line: u64,
    scope: Scope,
    marker: Marker,
    /// The last publication that it shows.
    until: u64,
    /// The last publication that it has come by.
    position: u64,
    /// The connection's writer holds the other end; when this is dropped, there are no more pieces.
    pieces: Sender<Piece>,
}

/// A value that is not in the tree any more.
#[derive(Debug)]
struct Kept {
    stored: Stored,
    /// The last snapshot that began before it was taken out. For later ones it was not there.
    last: u64,
}

/// Why a snapshot does not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) enum TooMany {
    /// The connection has as many as it may.
    OfThisConnection,
    /// All together have as many as they may; this other connection has most.
    While(Slot),
    /// The same, and nobody has more than this connection.
    OfAll,
}

/// The findings of a step.
#[derive(Default)]
struct Found {
    values: Vec<Stored>,
    bytes: usize,
    end: End,
}

/// Why a step ends.
#[derive(Default, PartialEq, Eq)]
enum End {
    /// It has looked at enough.
    #[default]
    Enough,
    /// There is no memory for the next value.
    NoMemory,
    /// There are no more values.
    Done,
}

/// Memory for the next piece.
#[derive(Clone, Copy)]
struct Room {
    /// Bytes that it should have.
    usual: usize,
    /// Bytes that it may have if it is one value.
    most: usize,
}

impl Default for Snapshots {
    fn default() -> Snapshots {
        Snapshots::new(&Share::unlimited())
    }
}

impl Snapshots {
    /// No snapshots yet. The values that they keep alive are taken of `share`.
    pub(in crate::broker) fn new(share: &Arc<Share>) -> Snapshots {
        let (returns, returned) = unbounded();
        let account = share.account();
        Snapshots {
            snapshots: BTreeMap::new(),
            positions: BTreeSet::new(),
            lines: HashMap::new(),
            line_of: HashMap::new(),
            turns: VecDeque::new(),
            hungry: Vec::new(),
            numbers: 0,
            kept: BTreeMap::new(),
            kept_bytes: account.charge(0),
            sweep: None,
            is_swept: false,
            account,
            piece_bytes: 0,
            returned,
            returns,
        }
    }

    pub(in crate::broker) fn is_empty(&self) -> bool {
        self.snapshots.is_empty() && self.kept.is_empty()
    }

    /// Whether there is something to be done without waiting for a writer.
    pub(in crate::broker) fn can_go_on(&self) -> bool {
        !self.turns.is_empty() || self.has_stale() || self.sweep.is_some()
    }

    /// Where it is told that a writer is done with a piece.
    #[cfg(not(shuttle))]
    pub(in crate::broker) fn returned(&self) -> &Receiver<(u64, usize)> {
        &self.returned
    }

    /// Begins a snapshot through the values that are stored now. Its pieces come out of the
    /// returned end.
    ///
    /// # Errors
    /// [`TooMany`] if there are as many snapshots as there may be.
    pub(in crate::broker) fn begin(
        &mut self,
        tree: &mut Tree,
        slot: Slot,
        scope: impl Into<Scope>,
    ) -> Result<Receiver<Piece>, TooMany> {
        self.may_begin(slot)?;
        let scope = scope.into();
        self.numbers += 1;
        let number = self.numbers;
        let line = *self.line_of.entry(slot).or_insert(number);
        let new = || Line { slot, snapshots: VecDeque::new(), pieces: 0, is_queued: false };
        self.lines.entry(line).or_insert_with(new).snapshots.push_back(number);
        let (pieces, receiver) = unbounded();
        let (marker, until) = (tree.mark(), tree.published());
        self.snapshots.insert(number, Snapshot { line, scope, marker, until, position: 0, pieces });
        self.positions.insert((0, number));
        self.queue(line);
        Ok(receiver)
    }

    fn may_begin(&self, slot: Slot) -> Result<(), TooMany> {
        let count = |line: &Line| line.snapshots.len();
        let own = self.line_of.get(&slot).and_then(|line| self.lines.get(line)).map_or(0, count);
        if own >= MAX_SNAPSHOTS {
            return Err(TooMany::OfThisConnection);
        }
        if self.snapshots.len() < MAX_ALL_SNAPSHOTS {
            return Ok(());
        }
        match self.lines.values().max_by_key(|line| count(line)) {
            Some(line) if count(line) > own.max(1) => Err(TooMany::While(line.slot)),
            _ => Err(TooMany::OfAll),
        }
    }

    /// The places in the order of publications whose values some snapshot may still have to show:
    /// above the first, and up to the second.
    fn needed(&self) -> Option<(u64, u64)> {
        let (least, _) = self.positions.first()?;
        // A snapshot that begins later shows no less.
        let (_, newest) = self.snapshots.last_key_value()?;
        Some((*least, newest.until))
    }

    /// Whether a value has to be kept when it is taken out of the tree.
    pub(in crate::broker) fn need(&self, stored: Option<&Stored>) -> bool {
        let (Some(stored), Some((least, most))) = (stored, self.needed()) else { return false };
        least < stored.published() && stored.published() <= most
    }

    /// Keeps a value that was taken out of the tree, if somebody has not come by it.
    pub(in crate::broker) fn keep(&mut self, stored: Stored) {
        if self.need(Some(&stored)) {
            self.kept_bytes.charge(memory(&stored));
            self.kept.insert(stored.published(), Kept { stored, last: self.numbers });
            // What is found goes faster than what comes.
            self.sweep(SWEPT_FOR_EACH);
        }
    }

    /// Whether more is kept than may be, though somebody needs all of it.
    pub(in crate::broker) fn is_over(&self) -> bool {
        self.is_swept && self.kept_bytes.bytes() > self.half()
    }

    /// The connection whose snapshot is furthest behind, so that most is kept for it; one that has
    /// something to read, if there is any, and not one that waits for the memory which that takes.
    pub(in crate::broker) fn furthest_behind(&self) -> Option<Slot> {
        let line = |(_, number): &(u64, u64)| self.lines.get(&self.snapshots.get(number)?.line);
        let mut lines = self.positions.iter().filter_map(line);
        let first = lines.clone().next()?;
        Some(lines.find(|line| line.pieces > 0).unwrap_or(first).slot)
    }

    /// Values that are kept, and their bytes.
    pub(in crate::broker) fn kept(&self) -> (usize, usize) {
        (self.kept.len(), self.kept_bytes.bytes())
    }

    fn half(&self) -> usize {
        self.account.share().limit() / 2
    }

    fn has_stale(&self) -> bool {
        let (Some((first, _)), Some((last, _))) =
            (self.kept.first_key_value(), self.kept.last_key_value())
        else {
            return false;
        };
        self.needed().is_none_or(|(least, most)| *first <= least || *last > most)
    }

    /// Drops some of what nobody needs any more.
    fn drop_stale(&mut self) {
        let (least, most) = self.needed().unwrap_or((u64::MAX, 0));
        let mut bytes = self.kept_bytes.bytes();
        for _ in 0..STALE {
            let stale = match self.kept.first_entry() {
                Some(first) if *first.key() <= least => Some(first.remove()),
                Some(_) => self
                    .kept
                    .last_entry()
                    .filter(|last| *last.key() > most)
                    .map(|last| last.remove()),
                None => None,
            };
            let Some(stale) = stale else { break };
            bytes -= memory(&stale.stored);
        }
        self.kept_bytes.shrink_to(bytes);
    }

    /// Looks at some more of what is kept, if it is too much, and drops what nobody needs.
    fn sweep(&mut self, count: usize) {
        if self.kept_bytes.bytes() <= self.half() {
            (self.sweep, self.is_swept) = (None, false);
            return;
        }
        if self.is_swept {
            return;
        }
        let mut at = self.sweep.unwrap_or(0);
        let (mut bytes, mut seen) = (self.kept_bytes.bytes(), 0);
        let mut stale = Vec::new();
        for (published, kept) in self.kept.range((Excluded(at), Unbounded)).take(count) {
            (at, seen) = (*published, seen + 1);
            if !self.is_needed(kept) {
                bytes -= memory(&kept.stored);
                stale.push(*published);
            }
        }
        for published in stale {
            self.kept.remove(&published);
        }
        self.kept_bytes.shrink_to(bytes);
        self.is_swept = seen < count;
        self.sweep = if self.is_swept { None } else { Some(at) };
    }

    /// Whether some snapshot has still to show a value, as far as that can be seen at once.
    fn is_needed(&self, kept: &Kept) -> bool {
        let published = kept.stored.published();
        let mut snapshots = self.snapshots.range(..=kept.last).rev().map(|(_, snapshot)| snapshot);
        for snapshot in snapshots.by_ref().take(SEEN_AT_ONCE) {
            if snapshot.until < published {
                return false;
            }
            if snapshot.position < published {
                return true;
            }
        }
        snapshots.next().is_some()
    }

    /// Goes a step on with the snapshot whose turn it is. Returns how many values that brought.
    pub(in crate::broker) fn step(&mut self, tree: &mut Tree) -> usize {
        self.take_back();
        let count = self.turns.pop_front().map_or(0, |line| self.go_on(tree, line));
        self.drop_stale();
        self.sweep(STALE);
        count
    }

    /// Takes note of the pieces that writers are done with.
    fn take_back(&mut self) {
        while let Ok((number, bytes)) = self.returned.try_recv() {
            self.piece_bytes -= bytes;
            if let Some(line) = self.lines.get_mut(&number) {
                line.pieces -= 1;
                self.queue(number);
            }
            for hungry in std::mem::take(&mut self.hungry) {
                if let Some(line) = self.lines.get_mut(&hungry) {
                    line.is_queued = false;
                    self.queue(hungry);
                }
            }
        }
    }

    /// Gives a line a turn if it can go on, and forgets it if nothing is left of it.
    fn queue(&mut self, number: u64) {
        let Some(line) = self.lines.get_mut(&number) else { return };
        if line.snapshots.is_empty() {
            if line.pieces == 0 {
                self.line_of.remove(&line.slot);
                self.lines.remove(&number);
            }
        } else if line.pieces < MAX_PIECES && !line.is_queued {
            line.is_queued = true;
            self.turns.push_back(number);
        }
    }

    fn go_on(&mut self, tree: &mut Tree, number: u64) -> usize {
        let Some(pieces) = self.lines.get(&number).map(|line| line.pieces) else { return 0 };
        let room = self.room(pieces);
        let Some(line) = self.lines.get_mut(&number) else { return 0 };
        line.is_queued = false;
        let Some(first) = line.snapshots.front().copied() else { return 0 };
        let Some(snapshot) = self.snapshots.get_mut(&first) else { return 0 };
        let before = snapshot.position;
        let Found { values, bytes, end } = snapshot.step(tree, first, &self.kept, room);
        if before != snapshot.position {
            self.positions.remove(&(before, first));
            self.positions.insert((snapshot.position, first));
        }
        if end == End::NoMemory {
            line.is_queued = true;
            self.hungry.push(number);
            return 0;
        }
        let mut done = end == End::Done;
        let count = values.len();
        if count > 0 || done {
            line.pieces += 1;
            self.piece_bytes += bytes;
            let _returned = Returned::new(number, bytes, self.returns.clone());
            let piece = Piece { values, last: done, _claim: self.account.charge(bytes), _returned };
            // A writer that has ended needs no more pieces.
            done |= snapshot.pieces.send(piece).is_err();
        }
        if done {
            line.snapshots.pop_front();
            self.finish(tree, first);
        }
        self.queue(number);
        count
    }

    /// Memory for the next piece of a connection that has so many. A value that fits nowhere goes
    /// alone.
    fn room(&self, pieces: usize) -> Room {
        if self.piece_bytes == 0 {
            return Room { usual: (self.half() / PARTS).min(PIECE_BYTES), most: usize::MAX };
        }
        let left = self.half().saturating_sub(self.piece_bytes);
        let least = if pieces == 0 { SMALLEST_PIECE } else { 0 };
        Room { usual: (left / PARTS).min(PIECE_BYTES).max(least), most: left / 2 }
    }

    fn finish(&mut self, tree: &mut Tree, number: u64) {
        if let Some(snapshot) = self.snapshots.remove(&number) {
            self.positions.remove(&(snapshot.position, number));
            tree.unmark(snapshot.marker);
        }
    }

    /// Shows a connection only what this grant lets it see, from here on.
    pub(in crate::broker) fn limit_to(&mut self, slot: Slot, grant: &Grant) {
        let line = self.line_of.get(&slot).and_then(|line| self.lines.get(line));
        for number in line.into_iter().flat_map(|line| &line.snapshots) {
            if let Some(snapshot) = self.snapshots.get_mut(number) {
                snapshot.scope.limit_to(Right::Subscribe, grant);
            }
        }
    }

    /// Ends the snapshots of a connection that is gone.
    pub(in crate::broker) fn end(&mut self, tree: &mut Tree, slot: Slot) {
        let Some(number) = self.line_of.remove(&slot) else { return };
        let Some(line) = self.lines.remove(&number) else { return };
        for snapshot in line.snapshots {
            self.finish(tree, snapshot);
        }
        self.is_swept = false;
    }
}

impl Snapshot {
    /// Looks at the next values, in the tree and among those that are kept.
    fn step(
        &mut self,
        tree: &mut Tree,
        number: u64,
        kept: &BTreeMap<u64, Kept>,
        room: Room,
    ) -> Found {
        let mut found = Found::default();
        let mut kept = kept.range((Excluded(self.position), Included(self.until))).peekable();
        for looked_at in 0..STEP {
            if looked_at % AHEAD == 0 {
                tree.approach_behind(&self.marker);
            }
            let in_tree = match tree.behind(&self.marker) {
                Some(Some(stored)) => {
                    Some(stored).filter(|stored| stored.published() <= self.until)
                }
                // Somebody else's place.
                Some(None) => {
                    tree.pass(&self.marker);
                    continue;
                }
                None => None,
            };
            let is_kept = kept.peek().is_some_and(|(published, _)| {
                in_tree.is_none_or(|in_tree| **published < in_tree.published())
            });
            let next = if is_kept {
                kept.next().map(|(_, kept)| (&kept.stored, number <= kept.last))
            } else {
                in_tree.map(|stored| (stored, true))
            };
            let Some((stored, was_there)) = next else {
                found.end = End::Done;
                break;
            };
            if was_there && self.scope.covers(stored.topic()) {
                let bytes = memory(stored);
                if found.values.is_empty() && bytes > room.usual.max(room.most) {
                    found.end = End::NoMemory;
                    break;
                }
                if !found.values.is_empty() && found.bytes + bytes > room.usual {
                    break;
                }
                found.bytes += bytes;
                found.values.push(stored.clone());
            }
            self.position = stored.published();
            if !is_kept {
                tree.pass(&self.marker);
            }
        }
        found
    }
}

/// About how many bytes of memory a value takes.
fn memory(stored: &Stored) -> usize {
    OVERHEAD + stored.name().len() + stored.weight()
}

#[cfg(test)]
mod tests;
