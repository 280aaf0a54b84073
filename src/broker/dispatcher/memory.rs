//! The values that outlive a message: those that expire, and those that outlive the process.

#[cfg(test)]
mod tests;

use std::mem;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::bounded;

use super::Dispatcher;
use crate::broker::client_id::Slot;
use crate::broker::delivery::Delivery;
use crate::broker::persist::{
    Checkpointer, Fsync, HANDOVERS, Kept, Next, Progress, Store, StoreError, StoreWriter, Ticket,
};
use crate::broker::retained::Stored;
use crate::protocol::{ErrorCode, Refusal, Reply, Token, TopicName};

/// Values that are read together at the start.
const TOGETHER: usize = 1_024;
/// Segments of topics whose values expire between two events, and one for each topic.
const EXPIRED_TOGETHER: usize = 3_072;
/// So many times as many may have been read and not taken.
const READ_AHEAD: usize = 16;

impl Dispatcher {
    /// Takes in what a store has kept, and from now on keeps every last value there. The writer
    /// that is returned has to be run on a thread of its own; there is none for a store that keeps
    /// nothing.
    ///
    /// # Errors
    /// [`StoreError`] where the store cannot be read.
    pub fn keep_in(
        &mut self,
        mut store: Box<dyn Store>,
        fsync: Fsync,
        interval: Duration,
    ) -> Result<Option<StoreWriter>, StoreError> {
        if !store.keeps() {
            return Ok(None);
        }
        self.tree.reserve(store.values());
        let (mut restored, mut expired) = (Vec::new(), Vec::new());
        load(&mut *store, |value| {
            let expires = match value.expires.map(|expires| self.expiries.restored(expires)) {
                Some(None) => return expired.push(value.topic),
                expires => expires.flatten(),
            };
            let (topic, payload) = (value.topic.name(), value.payload.borrow());
            self.expiries.set(topic, expires);
            self.subtrees.count(topic, None, Some(Stored::weight_of(payload)));
            restored.push(self.tree.restore(topic, payload, value.published));
        })?;
        self.tree.put_in_order(restored);
        self.note_room();
        let progress = Arc::new(Progress::new(self.counters.clone()));
        let (sender, handovers) = bounded(HANDOVERS);
        let mut checkpointer =
            Checkpointer::new(&mut self.tree, sender, progress.clone(), fsync, interval);
        expired.into_iter().for_each(|topic| checkpointer.forget(topic));
        self.checkpointer = Some(checkpointer);
        Ok(Some(StoreWriter::new(store, handovers, progress)))
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
            let at =
                ttl.map(|seconds| self.expiries.now().saturating_add(u64::from(seconds) * 1_000));
            self.expiries.set(topic, at);
        }
    }

    /// Notes that a topic holds no value any more, where it held one of so many bytes.
    pub(super) fn note_cleared(&mut self, topic: TopicName<'_>, bytes: usize) {
        self.expiries.remove(topic);
        self.subtrees.count(topic, Some(bytes), None);
        if let Some(checkpointer) = &mut self.checkpointer {
            checkpointer.forget(topic.to_topic());
        }
        self.note_room();
    }

    /// Forgets what has expired, a part of it if it is much; the next part is due at once.
    pub(super) fn expire(&mut self) {
        if self.expiries.is_empty() {
            return;
        }
        let now = self.expiries.now();
        let mut turns = EXPIRED_TOGETHER;
        self.notices.begin_step();
        while !self.notices.are_enough()
            && let Some(topic) = self.expiries.pop(now, &mut turns)
        {
            turns = turns.saturating_sub(topic.segments().count());
            let told = self.notice_routes(&topic);
            // Unlike a value that is cleared, it is not kept for a reader that is half way through.
            if let Some(before) = self.tree.clear(&topic) {
                self.counts.expired += 1;
                self.note_cleared(topic.name(), before.weight());
                self.note_gone(&topic, told);
            }
        }
        self.tell_gone();
    }

    /// Goes on with handing changes to the store.
    pub(super) fn record(&mut self) {
        self.record_at(Instant::now);
    }

    fn record_at(&mut self, now: impl FnOnce() -> Instant) {
        if let Some(checkpointer) = &mut self.checkpointer
            && checkpointer.next(&self.tree) != Next::Nothing
        {
            checkpointer.step(&mut self.tree, &self.expiries, now());
        }
    }

    /// Hands everything that is left to the store.
    pub(super) fn finish_recording(&mut self) {
        if let Some(checkpointer) = self.checkpointer.take() {
            checkpointer.finish(&mut self.tree, &self.expiries);
        }
    }

    /// Does something, and notes since when what that has changed is not on the disk.
    pub(super) fn noting(&mut self, act: impl FnOnce(&mut Dispatcher)) {
        let clean = self.checkpointer.as_ref().is_some_and(Checkpointer::is_clean);
        let before = clean.then(Instant::now);
        act(self);
        if let (Some(checkpointer), Some(before)) = (&mut self.checkpointer, before) {
            checkpointer.note(&self.tree, before);
        }
    }

    /// The ticket that a `pong` has to wait for.
    pub(super) fn pong_ticket(&self) -> Option<Ticket> {
        self.checkpointer.as_ref()?.pong_ticket(&self.tree)
    }

    /// The ticket to be waited for before everything that was stored or cleared is in the store.
    pub(super) fn ticket(&self) -> Option<Ticket> {
        self.checkpointer.as_ref()?.ticket(&self.tree)
    }

    /// Answers a `backup`, if the client may ask for one: it costs the disk as much as all values
    /// do.
    pub(super) fn back_up(&mut self, slot: Slot, token: Token) {
        let Some(Some(client)) = self.slots.get(slot as usize) else { return };
        if let Err(refusal) = client.rights.backup(client.peer) {
            return self.reply(slot, token, Reply::Error(refusal));
        }
        let (code, reason) = if let Some(checkpointer) = &mut self.checkpointer {
            if let Some(made) = checkpointer.back_up() {
                return self.send(slot, Delivery::Backup { made, token });
            }
            (ErrorCode::StorageFailed, "another backup is being made; ask again when that is done")
        } else {
            let reason = "there is nothing to back up: this broker keeps its values in memory only \
            (serve --data-dir keeps them)";
            (ErrorCode::StorageFailed, reason)
        };
        self.reply(slot, token, Reply::Error(Refusal::new(code, reason)));
    }

    /// How long something has not been on the disk, and how many topics were cleared that still
    /// are.
    pub(super) fn unsaved(&self) -> (Duration, u64) {
        let Some(checkpointer) = &self.checkpointer else { return Default::default() };
        let since = checkpointer.unsaved_since();
        (
            since.map_or(Duration::ZERO, |since| since.elapsed()),
            checkpointer.unsaved_clears() as u64,
        )
    }

    /// The time at which something may expire.
    pub(super) fn next_expiry(&self) -> Option<Instant> {
        if self.expiries.is_empty() {
            return None;
        }
        self.expiries.wait(self.expiries.now()).map(|wait| Instant::now() + wait)
    }
}

/// Reads what a store has kept. One thread reads and another takes, so that it takes no longer than
/// the slower of them.
fn load(store: &mut dyn Store, mut take: impl FnMut(Kept)) -> Result<(), StoreError> {
    let (sender, read) = bounded(READ_AHEAD);
    thread::scope(|scope| {
        let reader = thread::Builder::new().name("load".into()).spawn_scoped(scope, move || {
            let mut values = Vec::with_capacity(TOGETHER);
            // The taker is there until this has ended.
            let send = |values| drop(sender.send(values));
            store.load(&mut |kept| {
                values.push(kept);
                if values.len() == TOGETHER {
                    send(mem::replace(&mut values, Vec::with_capacity(TOGETHER)));
                }
            })?;
            send(values);
            Ok(())
        });
        let reader = reader.map_err(|error| {
            let reason = format!(
                "cannot start the thread that reads the store: {error}; it is left as it is"
            );
            StoreError::new(reason).with_source(error)
        })?;
        read.iter().flatten().for_each(&mut take);
        reader.join().unwrap_or_else(|_| {
            Err(StoreError::new(
                "the store gave up while what it has kept was read, see above; it is left as it is",
            ))
        })
    })
}
