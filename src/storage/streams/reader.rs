//! The end of a log that reads.

use std::collections::HashSet;
use std::sync::Arc;

use super::super::cannot;
use super::cursor::SegmentCursor;
use super::files::{LogFile, read_up_to};
use super::index::{Last, place_before};
use super::lookup::{self, Lookup};
use super::record::{HEAD, Head};
use super::segment::{DATA, Segment};
use super::shared::{Opened, Shared};
use super::steps::{Step, Steps};
use crate::broker::{Cursor, Found, LogReader, StoreError};
use crate::protocol::{TopicFilter, TopicName};

/// Reads a log.
#[derive(Debug)]
pub(super) struct Reader(pub(super) Arc<Shared>);

impl LogReader for Reader {
    fn first(&self) -> u64 {
        self.0.first()
    }

    fn next(&self) -> u64 {
        self.0.next()
    }

    fn messages(&self) -> u64 {
        self.0.messages()
    }

    fn bytes(&self) -> u64 {
        self.0.bytes()
    }

    fn damaged(&self) -> u64 {
        self.0.damaged()
    }

    fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        Box::new(SegmentCursor::new(self.0.clone(), seq.max(1)))
    }

    fn at_time(&self, time: u64) -> Result<u64, StoreError> {
        at_time(&self.0, time)
    }

    fn ids_since(
        &self,
        time: u64,
        most: usize,
        take: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        let from = at_time(&self.0, time)?;
        let (mut holding, mut ids) = (Vec::new(), 0);
        for segment in self.0.segments().into_iter().rev() {
            if let Opened::Whole { file, salt } = self.0.open(&segment)? {
                let here = Lookup::of(&self.0, &segment, &*file, salt)?.ids() as usize;
                if here > 0 {
                    ids += here;
                    holding.push(segment.clone());
                }
            }
            if segment.first <= from || ids >= most {
                break;
            }
        }
        for segment in holding.iter().rev() {
            let end = self.0.behind(segment).unwrap_or_else(|| self.0.next());
            let mut cursor = SegmentCursor::new(self.0.clone(), from.max(segment.first));
            while cursor.seq() < end
                && let Some(found) = cursor.read()?
            {
                if let Found::Record(record) = found {
                    record.id.into_iter().for_each(&mut *take);
                }
            }
        }
        Ok(())
    }

    fn last_of_topic(&self, topic: TopicName<'_>, most: usize) -> Result<Vec<u64>, StoreError> {
        let mut found = Vec::new();
        for segment in self.0.segments().iter().rev() {
            if found.len() >= most {
                break;
            }
            let Opened::Whole { file, salt } = self.0.open(segment)? else { continue };
            let make = || lookup::make(&self.0, segment, &*file, salt);
            let last = Lookup::of(&self.0, segment, &*file, salt)?.last(topic.as_str(), make)?;
            let Some(last) = last else { continue };
            let there = found.len();
            if !self.follow(&*file, salt, last, most, &mut found)? {
                found.truncate(there);
                self.search(segment, &*file, salt, topic, most, &mut found)?;
            }
        }
        found.reverse();
        Ok(found)
    }

    fn last_of_each(&self, filter: &TopicFilter) -> Result<Vec<u64>, StoreError> {
        let (mut seen, mut found) = (HashSet::new(), Vec::new());
        for segment in self.0.segments().iter().rev() {
            let Opened::Whole { file, salt } = self.0.open(segment)? else { continue };
            let make = || lookup::make(&self.0, segment, &*file, salt);
            let mut gone = Vec::new();
            let mut take = |topic: &str, last: Last| {
                let name = TopicName::judged(topic);
                if !filter.matches(name) || seen.contains(topic) {
                    return;
                }
                if self.is_kept(last.seq) {
                    found.push(last.seq);
                    seen.insert(topic.to_owned());
                } else if last.seq >= self.0.first() {
                    // One before it may be kept.
                    gone.push((topic.to_owned(), last));
                }
            };
            Lookup::of(&self.0, segment, &*file, salt)?.each(&mut take, make)?;
            for (topic, last) in gone {
                let mut kept = Vec::new();
                if !self.follow(&*file, salt, last, 1, &mut kept)? {
                    kept.clear();
                    let topic = TopicName::judged(&topic);
                    self.search(segment, &*file, salt, topic, 1, &mut kept)?;
                }
                if !kept.is_empty() && seen.insert(topic) {
                    found.extend(kept);
                }
            }
        }
        found.sort_unstable();
        Ok(found)
    }
}

impl Reader {
    fn is_kept(&self, seq: u64) -> bool {
        seq >= self.0.first() && self.0.deleted_to(seq).is_none()
    }

    /// Goes back from the last message of a topic in a segment to those before, and adds them,
    /// until there are `most`. Returns whether all of them could be read.
    fn follow(
        &self,
        file: &dyn LogFile,
        salt: u32,
        last: Last,
        most: usize,
        found: &mut Vec<u64>,
    ) -> Result<bool, StoreError> {
        let (mut offset, mut below) = (last.offset, last.seq + 1);
        while offset != 0 && found.len() < most {
            let mut head = [0; HEAD];
            let read = read_up_to(file, &mut head, offset.into());
            read.map_err(|error| cannot("read", &self.0.directory, error))?;
            let Some(head) = Head::read(&head, salt).filter(|head| head.seq < below) else {
                return Ok(false);
            };
            if head.seq < self.0.first() {
                break;
            }
            if self.is_kept(head.seq) {
                found.push(head.seq);
            }
            (offset, below) = (head.previous, head.seq);
        }
        Ok(true)
    }

    /// Finds the last messages of a topic in a segment by looking at all of it.
    fn search(
        &self,
        segment: &Segment,
        file: &dyn LogFile,
        salt: u32,
        topic: TopicName<'_>,
        most: usize,
        found: &mut Vec<u64>,
    ) -> Result<(), StoreError> {
        let (mut steps, mut here) = (Steps::default(), std::collections::VecDeque::new());
        steps.go(salt, DATA, segment.first);
        loop {
            let step = steps.step(file, segment.len(), u64::MAX);
            match step.map_err(|error| cannot("read", segment.path(), error))? {
                Step::Record(head)
                    if !head.is_mark()
                        && self.is_kept(head.seq)
                        && head
                            .record(steps.body())
                            .is_some_and(|record| record.topic == topic) =>
                {
                    here.push_back(head.seq);
                    if here.len() > most - found.len() {
                        here.pop_front();
                    }
                }
                Step::End => break,
                _ => {}
            }
        }
        found.extend(here.into_iter().rev());
        Ok(())
    }
}

/// The number of the first message that was published at `time` or later.
pub(super) fn at_time(shared: &Arc<Shared>, time: u64) -> Result<u64, StoreError> {
    let segments = shared.segments();
    // The last segment that begins before it; those whose beginning is unknown count as before.
    let (mut low, mut high) = (0, segments.len());
    while high - low > 1 {
        let middle = low.midpoint(high);
        if first_time(shared, &segments[middle])?.is_some_and(|first| first >= time) {
            high = middle;
        } else {
            low = middle;
        }
    }
    let mut from = segments[low].first;
    if let Opened::Whole { file, salt } = shared.open(&segments[low])? {
        let lookup = Lookup::of(shared, &segments[low], &*file, salt)?;
        from = place_before(lookup.places(), time).map_or(from, |place| place.seq);
    }
    let mut cursor = SegmentCursor::new(shared.clone(), from);
    while let Some(found) = cursor.read()? {
        if let Found::Record(record) = found
            && record.time >= time
        {
            return Ok(record.seq);
        }
    }
    Ok(cursor.seq())
}

/// When the first message of a segment was published.
fn first_time(shared: &Shared, segment: &Segment) -> Result<Option<u64>, StoreError> {
    let Opened::Whole { file, salt } = shared.open(segment)? else { return Ok(None) };
    if segment.len() == DATA {
        return Ok(Some(u64::MAX));
    }
    let mut head = [0; HEAD];
    let read = read_up_to(&*file, &mut head, DATA);
    read.map_err(|error| cannot("read", segment.path(), error))?;
    if let Some(head) = Head::read(&head, salt) {
        return Ok(Some(head.time));
    }
    let lookup = Lookup::of(shared, segment, &*file, salt)?;
    Ok(lookup.places().first().map(|place| place.time))
}
