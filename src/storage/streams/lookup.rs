//! The index of a segment, wherever it is: in memory, in the sidecar, or nowhere, so that it is
//! made anew.

use parking_lot::{MappedMutexGuard, MutexGuard};

use super::super::cannot;
use super::files::LogFile;
use super::index::{Index, Last, Place, place_of};
use super::segment::{DATA, Segment};
use super::shared::Shared;
use super::sidecar::{self, Sidecar};
use super::steps::{Step, Steps};
use crate::broker::StoreError;

/// The index of a segment.
pub(super) enum Lookup<'a> {
    Memory(MappedMutexGuard<'a, Index>),
    Sidecar(Sidecar),
    Made(Index),
}

impl<'a> Lookup<'a> {
    pub(super) fn of(
        shared: &Shared,
        segment: &'a Segment,
        file: &dyn LogFile,
        salt: u32,
    ) -> Result<Lookup<'a>, StoreError> {
        if let Ok(index) = MutexGuard::try_map(segment.index.lock(), Option::as_mut) {
            return Ok(Lookup::Memory(index));
        }
        match Sidecar::open(&*shared.files, segment, salt) {
            Some(sidecar) => Ok(Lookup::Sidecar(sidecar)),
            None => make(shared, segment, file, salt).map(Lookup::Made),
        }
    }

    pub(super) fn places(&self) -> &[Place] {
        match self {
            Lookup::Memory(index) => &index.places,
            Lookup::Sidecar(sidecar) => sidecar.places(),
            Lookup::Made(index) => &index.places,
        }
    }

    /// The nearest place that is known at or before the message `seq`.
    pub(super) fn nearest(&self, seq: u64) -> Option<Place> {
        match self {
            Lookup::Memory(index) => index.nearest(seq),
            other => place_of(other.places(), seq),
        }
    }

    /// How many messages of the segment have an id.
    pub(super) fn ids(&self) -> u32 {
        match self {
            Lookup::Memory(index) => index.ids,
            Lookup::Sidecar(sidecar) => sidecar.ids(),
            Lookup::Made(index) => index.ids,
        }
    }

    /// The last message of a topic in the segment.
    pub(super) fn last(
        &self,
        topic: &str,
        make: impl FnOnce() -> Result<Index, StoreError>,
    ) -> Result<Option<Last>, StoreError> {
        match self {
            Lookup::Memory(index) => Ok(index.topics.get(topic).copied()),
            Lookup::Made(index) => Ok(index.topics.get(topic).copied()),
            Lookup::Sidecar(sidecar) => match sidecar.last(topic) {
                Ok(last) => Ok(last),
                Err(_) => Ok(make()?.topics.get(topic).copied()),
            },
        }
    }

    /// The last message of each topic in the segment. A topic may come twice.
    pub(super) fn each(
        &self,
        take: &mut dyn FnMut(&str, Last),
        make: impl FnOnce() -> Result<Index, StoreError>,
    ) -> Result<(), StoreError> {
        match self {
            Lookup::Memory(index) => each(index, take),
            Lookup::Made(index) => each(index, take),
            Lookup::Sidecar(sidecar) => {
                if sidecar.each(take).is_err() {
                    each(&make()?, take);
                }
            }
        }
        Ok(())
    }
}

fn each(index: &Index, take: &mut dyn FnMut(&str, Last)) {
    index.topics.iter().for_each(|(topic, last)| take(topic, *last));
}

/// Makes the index of a complete segment anew, and its sidecar.
pub(super) fn make(
    shared: &Shared,
    segment: &Segment,
    file: &dyn LogFile,
    salt: u32,
) -> Result<Index, StoreError> {
    let (mut index, mut steps) = (Index::default(), Steps::default());
    steps.go(salt, DATA, segment.first);
    loop {
        let step = steps.step(file, segment.len(), u64::MAX);
        match step.map_err(|error| cannot("read", segment.path(), error))? {
            Step::Record(head) if !head.is_mark() => {
                let place = Place { seq: head.seq, time: head.time, offset: steps.before() };
                if let Some(record) = head.record(steps.body()) {
                    index.add(place, record.topic.as_str(), record.id.is_some());
                }
            }
            Step::End => break,
            _ => {}
        }
    }
    if shared.behind(segment).is_some()
        && let Err(error) = sidecar::write(&*shared.files, segment, salt, &index)
    {
        tracing::warn!(
            file = %segment.sidecar().display(),
            %error,
            "the index of a part of a stream cannot be written; it is made when it is needed"
        );
    }
    Ok(index)
}
