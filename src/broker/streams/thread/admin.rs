//! What whoever administrates a broker asks of a stream.

use std::sync::Arc;

use super::consumers::announce;
use super::journal::{Entry, removed};
use super::{StreamThread, done};
use crate::broker::persist::StoreError;
use crate::broker::streams::definition::StreamDefinition;
use crate::broker::streams::report::{ConsumerEntry, StreamReport};
use crate::broker::streams::request::Answer;
use crate::protocol::{ErrorCode, Refusal, Start};

impl StreamThread {
    pub(super) fn define(&mut self, definition: StreamDefinition, answer: &Answer) {
        let defined = self.writer.define(&definition).map_err(|error| self.failed(&error));
        if defined.is_ok() {
            self.definition = definition;
            self.note_condition();
        }
        let _ = answer.send(defined.and_then(|()| done(&self.definition.name, None)));
    }

    pub(super) fn reset(&mut self, name: &str, start: Start, next: u64, answer: &Answer) {
        let filter = self.entry(name).map(|entry| entry.machine.settings().filter.clone());
        let begun = filter.and_then(|filter| self.beginning(start, &filter, next));
        let reset = begun.and_then(|(selected, from)| {
            self.entry(name)?.machine.reset(&selected, from);
            self.note_all_outstanding();
            done(&self.definition.name, Some(name))
        });
        let _ = answer.send(reset);
    }

    pub(super) fn remove_consumer(&mut self, name: &str, answer: &Answer) {
        let is_lost = self.consumers.lost.remove(name);
        let found = if is_lost { Ok(()) } else { self.entry(name).map(drop) };
        let removal = found.and_then(|()| {
            self.consumers.all.remove(name);
            self.state.set_consumers(self.consumers.all.len());
            self.notes.push(removed(name));
            self.members.retain(|_, member| {
                let stays = &*member.consumer != name;
                if !stays {
                    member.feed.end_removed();
                    // Its writer may have to tell the client.
                    announce(&self.announcer, &member.feed);
                }
                stays
            });
            done(&self.definition.name, Some(name))
        });
        let _ = answer.send(removal);
    }

    pub(super) fn retry(&mut self, name: &str, seq: u64, answer: &Answer) {
        let is_kept = (self.reader.first()..self.reader.next()).contains(&seq);
        let stream = self.definition.name.clone();
        let retried = self.entry(name).and_then(|entry| {
            if !is_kept {
                let reason = format!("the stream {stream} does not keep message {seq} (any more)");
                return Err(Refusal::new(ErrorCode::NoStream, reason));
            }
            entry.machine.retry(seq);
            done(&stream, Some(name))
        });
        let _ = answer.send(retried);
    }

    pub(super) fn delete(&mut self, seq: u64, answer: &Answer) {
        let deleted = match self.writer.delete(seq) {
            Ok(true) => done(&self.definition.name, None),
            Ok(false) => {
                let reason =
                    format!("the stream {} does not keep message {seq}", self.definition.name);
                Err(Refusal::new(ErrorCode::NoStream, reason))
            }
            Err(error) => Err(self.failed(&error)),
        };
        if deleted.is_ok() {
            self.news.notes = true;
            for Entry { machine, .. } in self.consumers.all.values_mut() {
                machine.pass_over(seq, seq);
            }
        }
        let _ = answer.send(deleted);
    }

    pub(super) fn report(&self) -> StreamReport {
        let end = self.reader.next();
        let of_one = |(name, Entry { machine, .. }): (&Arc<str>, &Entry)| ConsumerEntry {
            name: name.clone(),
            settings: machine.settings().clone(),
            report: machine.report(end),
        };
        StreamReport { consumers: self.consumers.all.iter().map(of_one).collect() }
    }

    fn entry(&mut self, name: &str) -> Result<&mut Entry, Refusal> {
        let stream = &self.definition.name;
        self.consumers.all.get_mut(name).ok_or_else(|| {
            let reason = format!(
                "the stream {stream} has no consumer {name:?}; `babelmq consumer ls` shows those \
                 that there are"
            );
            Refusal::new(ErrorCode::NoConsumer, reason)
        })
    }

    pub(super) fn failed(&self, error: &StoreError) -> Refusal {
        let reason = format!("the stream {} cannot be written to: {error}", self.definition.name);
        Refusal::new(ErrorCode::StorageFailed, reason)
    }
}
