//! A place in a log, from which messages are read in their order.

use std::sync::Arc;

use super::super::cannot;
use super::files::Handle;
use super::lookup::Lookup;
use super::record::Head;
use super::segment::{DATA, Segment};
use super::shared::{Opened, Shared};
use super::steps::{Step, Steps};
use crate::broker::{Cursor, Damage, Found, StoreError};

/// Messages that are rather read over than looked for.
const NEAR: u64 = 500;

/// The cursor of [`Reader`](super::reader::Reader).
#[derive(Debug)]
pub(super) struct SegmentCursor {
    shared: Arc<Shared>,
    seq: u64,
    steps: Steps,
    /// The segment that is read, once it is known.
    at: Option<At>,
}

#[derive(Debug)]
struct At {
    segment: Arc<Segment>,
    file: Handle,
}

/// What comes next.
enum Next {
    Message(Head),
    Damage(Damage),
}

impl SegmentCursor {
    pub(super) fn new(shared: Arc<Shared>, seq: u64) -> SegmentCursor {
        SegmentCursor { shared, seq, steps: Steps::default(), at: None }
    }

    fn find(&mut self) -> Result<Option<Next>, StoreError> {
        loop {
            let first = self.shared.first();
            if self.seq < first {
                self.seek(first);
            }
            if let Some(last) = self.shared.deleted_to(self.seq) {
                self.seek(last + 1);
            }
            // Before the length of the segment is looked at, which then covers it.
            let next = self.shared.next();
            if self.seq >= next {
                return Ok(None);
            }
            let Some(At { segment, file }) = &self.at else {
                match self.locate()? {
                    Located::Here => continue,
                    Located::Nowhere => return Ok(None),
                    Located::Damage(damage) => return Ok(Some(Next::Damage(damage))),
                }
            };
            let step = self.steps.step(&**file, segment.len(), next);
            let step = step.map_err(|error| cannot("read", segment.path(), error))?;
            match step {
                Step::Gap => {}
                Step::Record(head) | Step::Damaged(head) if head.is_mark() => {}
                Step::Record(head) | Step::Damaged(head) if head.seq < self.seq => {}
                Step::Record(head) | Step::Damaged(head) if head.seq > self.seq => {
                    self.steps.back();
                    return Ok(Some(self.damage(head.seq - 1)));
                }
                Step::Record(head) => {
                    self.seq += 1;
                    return Ok(Some(Next::Message(head)));
                }
                Step::Damaged(head) => return Ok(Some(self.damage(head.seq))),
                Step::End => {
                    // What was appended before the next segment was begun is read first.
                    let behind = self.shared.behind(segment);
                    if segment.len() > self.steps.offset() {
                        continue;
                    }
                    let end = behind.unwrap_or(next);
                    if self.seq < end {
                        return Ok(Some(self.damage(end - 1)));
                    }
                    self.at = None;
                }
            }
        }
    }

    /// Messages up to one cannot be read; the cursor goes on behind them.
    fn damage(&mut self, to: u64) -> Next {
        let place = match &self.at {
            Some(at) => {
                format!("{}, before byte {}", at.segment.path().display(), { self.steps.offset() })
            }
            None => self.shared.directory.display().to_string(),
        };
        let reason = format!("{place}: what is there is not as it was written");
        let damage = Damage { from: self.seq, to, reason };
        self.shared.found_damage(&damage);
        self.seq = to + 1;
        Next::Damage(damage)
    }

    /// Goes to the segment and the place in it where the next message is.
    fn locate(&mut self) -> Result<Located, StoreError> {
        let Some(segment) = self.shared.segment_of(self.seq) else { return Ok(Located::Nowhere) };
        let (file, salt) = match self.shared.open(&segment)? {
            Opened::Whole { file, salt } => (file, salt),
            Opened::Dropped if self.shared.first() > self.seq => return Ok(Located::Here),
            Opened::Dropped => return Ok(Located::Nowhere),
            missing @ (Opened::Missing | Opened::Damaged) => {
                let what = if matches!(missing, Opened::Missing) { "missing" } else { "damaged" };
                let end = self.shared.behind(&segment).unwrap_or_else(|| self.shared.next());
                let reason = format!("{} is {what}", segment.path().display());
                let damage = Damage { from: self.seq, to: end - 1, reason };
                self.shared.found_damage(&damage);
                self.seq = end;
                return Ok(Located::Damage(damage));
            }
        };
        let place = if self.seq > segment.first {
            let lookup = Lookup::of(&self.shared, &segment, &*file, salt)?;
            lookup.nearest(self.seq)
        } else {
            None
        };
        let (offset, least) =
            place.map_or((DATA, segment.first), |place| (place.offset, place.seq));
        self.steps.go(salt, offset, least);
        self.at = Some(At { segment, file });
        Ok(Located::Here)
    }
}

/// Where a cursor has come.
enum Located {
    Here,
    /// The stream is gone.
    Nowhere,
    Damage(Damage),
}

impl Cursor for SegmentCursor {
    fn seek(&mut self, seq: u64) {
        let is_near = seq >= self.steps.least() && seq - self.steps.least() < NEAR;
        if !is_near {
            self.at = None;
        }
        self.seq = seq.max(1);
    }

    fn seq(&self) -> u64 {
        self.seq
    }

    fn read(&mut self) -> Result<Option<Found<'_>>, StoreError> {
        let head = match self.find()? {
            None => return Ok(None),
            Some(Next::Damage(damage)) => return Ok(Some(Found::Damage(damage))),
            Some(Next::Message(head)) => head,
        };
        if let Some(record) = head.record(self.steps.body()) {
            return Ok(Some(Found::Record(record)));
        }
        let reason = format!("{}: it is no message", self.shared.directory.display());
        let damage = Damage { from: head.seq, to: head.seq, reason };
        self.shared.found_damage(&damage);
        Ok(Some(Found::Damage(damage)))
    }

    fn release(&mut self) {
        self.steps.release();
    }
}
