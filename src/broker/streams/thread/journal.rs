//! What a log's notes say of a stream's consumers: it is written down here, and read at the start.
//!
//! Whatever is damaged, the stream opens, and no consumer misses a message: where it is not known
//! what one has settled, it begins with the first message that is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::broker::persist::StoreError;
use crate::broker::streams::consumer::Consumer;
use crate::broker::streams::cover::covers;
use crate::broker::streams::log::{Cursor, LogWriter};
use crate::protocol::TopicFilter;

/// Kinds of notes: what one consumer says of itself; that it is no more; that what it said is lost;
/// the names of all that stand before.
const CHANGE: u8 = 1;
const REMOVED: u8 = 2;
const LOST: u8 = 3;
const ALL: u8 = 4;

/// One of a stream's consumers.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) machine: Consumer,
    /// Where it looks at what comes next, while it does.
    pub(super) cursor: Option<Box<dyn Cursor>>,
}

impl Entry {
    pub(super) fn new(machine: Consumer) -> Entry {
        Entry { machine, cursor: None }
    }

    /// Says which messages its stream keeps: where it gets all of them, nobody has to look.
    pub(super) fn look_at(&mut self, stream: &TopicFilter) {
        let covers_all = covers(&self.machine.settings().filter, stream);
        self.machine.set_covers_all(covers_all);
    }
}

/// A note of a consumer, for the log.
pub(super) fn change(name: &str, note: &[u8]) -> Vec<u8> {
    let mut change = Vec::with_capacity(2 + name.len() + note.len());
    change.extend_from_slice(&[CHANGE, name.len() as u8]);
    change.extend_from_slice(name.as_bytes());
    change.extend_from_slice(note);
    change
}

/// The note that a consumer is no more.
pub(super) fn removed(name: &str) -> Vec<u8> {
    named(REMOVED, name)
}

fn named(kind: u8, name: &str) -> Vec<u8> {
    let mut note = vec![kind, name.len() as u8];
    note.extend_from_slice(name.as_bytes());
    note
}

/// The consumers of a stream.
#[derive(Debug, Default)]
pub(super) struct Consumers {
    pub(super) all: BTreeMap<Arc<str>, Entry>,
    /// Those of which nothing is known but the name, because their notes are damaged. They begin
    /// with the first message that is kept when somebody asks for them: they may have waited for
    /// it.
    pub(super) lost: BTreeSet<Arc<str>>,
}

impl Consumers {
    /// Notes that say all of all consumers.
    pub(super) fn snapshot(&self) -> Vec<Vec<u8>> {
        let of_one = |(name, entry): (&Arc<str>, &Entry)| {
            let notes = entry.machine.snapshot();
            notes.into_iter().map(|note| change(name, &note)).collect::<Vec<_>>()
        };
        let mut notes: Vec<_> = self.all.iter().flat_map(of_one).collect();
        notes.extend(self.lost.iter().map(|name| named(LOST, name)));
        // Whose notes are all damaged is missed by this.
        let mut names = vec![ALL];
        for name in self.all.keys().chain(&self.lost) {
            names.push(name.len() as u8);
            names.extend_from_slice(name.as_bytes());
        }
        notes.push(names);
        notes
    }

    /// Writes all of all consumers in the place of what there was.
    ///
    /// # Errors
    /// [`StoreError`] where that cannot be written.
    pub(super) fn rewrite(&mut self, writer: &mut dyn LogWriter) -> Result<(), StoreError> {
        for entry in self.all.values_mut() {
            entry.machine.take_notes(&mut Vec::new());
        }
        let notes = self.snapshot();
        writer.replace_notes(&notes.iter().map(Vec::as_slice).collect::<Vec<_>>())
    }
}

/// A note that begins with a name: the name, and what is behind it.
fn name_of(note: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = note.split_first()?;
    let (name, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(name).ok()?, rest))
}

/// The notes of each consumer, and the names of those that have none.
#[derive(Default)]
struct Sorted<'a> {
    of_each: BTreeMap<&'a str, (usize, Vec<&'a [u8]>)>,
    lost: BTreeSet<&'a str>,
    /// Places where notes are missing.
    gaps: usize,
}

impl<'a> Sorted<'a> {
    fn add(&mut self, note: &'a [u8]) -> Option<()> {
        let (kind, rest) = note.split_first()?;
        match *kind {
            CHANGE => {
                let (name, note) = name_of(rest)?;
                let (gaps, notes) = self.of_each.entry(name).or_insert((self.gaps, Vec::new()));
                if std::mem::replace(gaps, self.gaps) != self.gaps {
                    notes.push(&[]);
                }
                notes.push(note);
            }
            REMOVED => {
                let (name, _) = name_of(rest)?;
                self.of_each.remove(name);
                self.lost.remove(name);
            }
            LOST => {
                let (name, _) = name_of(rest)?;
                self.of_each.remove(name);
                self.lost.insert(name);
            }
            ALL => {
                let mut rest = rest;
                while !rest.is_empty() {
                    let (name, behind) = name_of(rest)?;
                    if !self.of_each.contains_key(name) {
                        self.lost.insert(name);
                    }
                    rest = behind;
                }
            }
            _ => return None,
        }
        Some(())
    }
}

/// The consumers that the log of a stream has notes of, and whether the notes are to be written
/// anew, because some are damaged or say something of messages that the log has lost. `next` is
/// the number of its next message, and `first` that of the first that it keeps.
pub(super) fn restore(stream: &str, notes: &[Vec<u8>], first: u64, next: u64) -> (Consumers, bool) {
    let mut sorted = Sorted::default();
    for note in notes {
        if sorted.add(note).is_none() {
            sorted.gaps += 1;
        }
    }
    let Sorted { of_each, lost, gaps } = sorted;
    let (mut consumers, mut of_lost) = (Consumers::default(), Vec::new());
    let mut is_damaged = gaps > 0;
    for name in lost.into_iter().filter(|name| !of_each.contains_key(name)) {
        is_damaged |= report_lost(stream, name, "all of its notes are missing");
        consumers.lost.insert(name.into());
    }
    for (name, (_, notes)) in of_each {
        match Consumer::restore(notes, next) {
            Ok(None) => {}
            Ok(Some(mut machine)) => {
                machine.take_notes(&mut of_lost);
                machine.trimmed(first);
                consumers.all.insert(name.into(), Entry::new(machine));
            }
            Err(wrong) => {
                is_damaged |= report_lost(stream, name, &wrong);
                consumers.lost.insert(name.into());
            }
        }
    }
    (consumers, is_damaged || !of_lost.is_empty())
}

/// Says which consumer is lost, and what is to be done.
fn report_lost(stream: &str, consumer: &str, wrong: &str) -> bool {
    tracing::error!(
        %stream, %consumer, reason = wrong,
        "what was written down of this consumer is damaged, and with it which messages it has \
         acknowledged. It is left out until somebody subscribes under its name, and then begins \
         with the first message that the stream keeps, so that it misses none. If it is not to get \
         again what it has done: `babelmq consumer rm` before, or `babelmq consumer reset` behind \
         it"
    );
    true
}
