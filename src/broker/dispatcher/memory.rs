//! What outlives a message: values that expire, and values that outlive the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::Dispatcher;
use crate::broker::expiry;
use crate::broker::keeper::{HANDOVERS, Keeper};
use crate::broker::progress::{Progress, Ticket};
use crate::broker::recorder::{Next, Recorder};
use crate::broker::store::{Fsync, Store, StoreError};
use crate::protocol::TopicName;

impl Dispatcher {
    /// Takes in what a store has kept, and from now on keeps every last value there. What is returned has to be run on a
    /// thread of its own; there is none for a store that keeps nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn keep_in(
        &mut self,
        mut store: Box<dyn Store>,
        fsync: Fsync,
        interval: Duration,
    ) -> Result<Option<Keeper>, StoreError> {
        if !store.keeps() {
            return Ok(None);
        }
        let mut kept = Vec::new();
        store.load(&mut |value| kept.push(value))?;
        kept.sort_unstable_by_key(|value| value.published);
        let now = expiry::now();
        let mut expired = Vec::new();
        for value in kept {
            if value.expires.is_some_and(|at| at <= now) {
                expired.push(value.topic);
                continue;
            }
            let (topic, payload) = (value.topic.name(), value.payload.borrow());
            self.expiries.set(topic, value.expires);
            self.subtrees.count(topic, None, Some(payload.source().len()));
            self.tree.restore(topic, payload, value.published);
        }
        self.note_room();
        let progress = Arc::new(Progress::default());
        let (sender, handovers) = bounded(HANDOVERS);
        let mut recorder = Recorder::new(&mut self.tree, sender, progress.clone(), fsync, interval);
        expired.into_iter().for_each(|topic| recorder.forget(topic));
        self.recorder = Some(recorder);
        Ok(Some(Keeper { store, handovers, progress }))
    }

    /// Notes that a topic was stored to, when its value expires, and how large it was and is.
    pub(super) fn note_stored(
        &mut self,
        topic: TopicName<'_>,
        ttl: Option<u32>,
        before: Option<usize>,
        bytes: usize,
    ) {
        let ttl = if self.subtrees.is_empty() {
            ttl
        } else {
            self.subtrees.count(topic, before, Some(bytes));
            ttl.or_else(|| self.subtrees.ttl(topic))
        };
        if ttl.is_some() || !self.expiries.is_empty() {
            let at = ttl.map(|seconds| expiry::now().saturating_add(u64::from(seconds) * 1_000));
            self.expiries.set(topic, at);
        }
    }

    /// Notes that a topic holds no value any more, where it held one of so many bytes.
    pub(super) fn note_cleared(&mut self, topic: TopicName<'_>, bytes: usize) {
        self.expiries.remove(topic);
        self.subtrees.count(topic, Some(bytes), None);
        if let Some(recorder) = &mut self.recorder {
            recorder.forget(topic.to_topic());
        }
        self.note_room();
    }

    /// Forgets what has expired.
    pub(super) fn expire(&mut self) {
        if self.expiries.is_empty() {
            return;
        }
        let now = expiry::now();
        while let Some(topic) = self.expiries.pop(now) {
            // Unlike a value that is cleared, it is not kept for a reader that is half way through.
            if let Some(before) = self.tree.clear(&topic) {
                self.counts.expired += 1;
                self.note_cleared(topic.name(), before.weight());
            }
        }
    }

    /// Goes on with handing changes to the store.
    pub(super) fn record(&mut self) {
        if let Some(recorder) = &mut self.recorder
            && recorder.next(&self.tree) != Next::Nothing
        {
            recorder.step(&mut self.tree, &self.expiries, Instant::now());
        }
    }

    /// Hands everything that is left to the store.
    pub(super) fn finish_recording(&mut self) {
        if let Some(recorder) = self.recorder.take() {
            recorder.finish(&mut self.tree, &self.expiries);
        }
    }

    /// What a `pong` has to wait for.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.recorder.as_ref()?.ticket(&self.tree)
    }

    /// The time at which something may expire.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        if self.expiries.is_empty() {
            return None;
        }
        self.expiries.wait(expiry::now()).map(|wait| Instant::now() + wait)
    }
}
