//! Deliveries that are written while their messages are judged.
//!
//! Where a producer's messages are all wanted in one format that is not their own, judging them
//! first and translating them later would read them twice. The dispatcher says which dialects it
//! found wanted, in an [`DialectHint`]; what a session learns there may be out of date, and then it
//! wrote what nobody wants, or the writers write what it did not.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

use super::buffer_pool::BufferPool;
use super::envelope::{Dialect, write_unjudged};
use super::out_buf::OutVec;
use crate::protocol::Limits;

/// The bit of an [`DialectHint`] that was told something.
const TOLD: u16 = 1 << 15;
/// The bit that says that in some dialect not all messages of a batch were wanted.
const PARTLY: u16 = 1 << 14;

const _: () = assert!(Dialect::ALL.len() <= 14);

/// One part in so many of what messages cost is forgotten with each batch that costs less.
const FORGOTTEN: u32 = 8;

/// As many eighths of its length as a message is expected to become at most: one batch that grew
/// more than others do is no reason to make so much room for all that follow.
const MOST_LEARNED: usize = 4 * 8;

/// Some dialects, a bit for each.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Dialects(u16);

impl Dialects {
    /// Those that most are wanted in.
    const USUAL: Dialects = Dialects(
        1 << Dialect::Json as u8
            | 1 << Dialect::ExactJson as u8
            | 1 << Dialect::Xml as u8
            | 1 << Dialect::Pickle as u8
            | 1 << Dialect::ExactPickle as u8,
    );

    pub(super) fn insert(&mut self, dialect: Dialect) {
        self.0 |= 1 << dialect.index();
    }

    /// Each of them; those that are none cost nothing.
    pub(super) fn each(self) -> impl Iterator<Item = Dialect> {
        let Dialects(mut bits) = self;
        std::iter::from_fn(move || {
            let dialect = *Dialect::ALL.get(bits.trailing_zeros() as usize)?;
            bits &= bits - 1;
            Some(dialect)
        })
    }
}

/// The dialects in which the messages of a producer were wanted last: a hint.
#[derive(Clone, Debug, Default)]
pub struct DialectHint(Arc<Hint>);

#[derive(Debug, Default)]
struct Hint {
    dialects: AtomicU16,
    /// Connections that the last batch went to.
    fanout: AtomicU32,
    /// The cost of each of its messages beyond its bytes.
    each: AtomicU32,
    /// For each dialect, how long its messages were in it of late: eighths of their own length, 0
    /// where none were written.
    lengths: [AtomicU32; Dialect::ALL.len()],
}

impl DialectHint {
    /// Says which they are.
    pub(super) fn tell(&self, dialects: Dialects, is_whole: bool) {
        let bits = TOLD | dialects.0 | if is_whole { 0 } else { PARTLY };
        if self.bits() != bits {
            self.0.dialects.store(bits, Ordering::Relaxed);
        }
    }

    /// Says how many connections the last batch went to, and what each of its messages cost beyond
    /// its bytes. Earlier costs are forgotten little by little: batches that cost much may come by
    /// turns with others.
    pub(super) fn tell_costs(&self, connections: usize, each: usize) {
        let [connections, each] =
            [connections, each].map(|cost| u32::try_from(cost).unwrap_or(u32::MAX));
        let before = self.0.each.load(Ordering::Relaxed);
        let each = each.max(before - before.div_ceil(FORGOTTEN));
        for (told, now) in [(&self.0.fanout, connections), (&self.0.each, each)] {
            if told.load(Ordering::Relaxed) != now {
                told.store(now, Ordering::Relaxed);
            }
        }
    }

    /// How many connections the last batch went to.
    pub fn fanout(&self) -> usize {
        self.0.fanout.load(Ordering::Relaxed) as usize
    }

    /// The cost of each message of late beyond its bytes; `None` where it was not said yet.
    pub fn each(&self) -> Option<usize> {
        (self.bits() != 0).then(|| self.0.each.load(Ordering::Relaxed) as usize)
    }

    fn bits(&self) -> u16 {
        self.0.dialects.load(Ordering::Relaxed)
    }

    /// Which they were; all that are usual where nobody has said so yet.
    fn dialects(&self) -> Dialects {
        match self.bits() {
            0 => Dialects::USUAL,
            told => Dialects(told & !(TOLD | PARTLY)),
        }
    }

    /// Says how many bytes messages of so many bytes took in a dialect.
    pub(super) fn tell_length(&self, dialect: Dialect, bytes: usize, written: usize) {
        let Some(length) = self.0.lengths.get(dialect.index()) else { return };
        // Batches differ a little, and what does not fit is written twice.
        let now = (written * 9).div_ceil(bytes.max(1)).min(MOST_LEARNED);
        let before = length.load(Ordering::Relaxed);
        let now = u32::try_from(now).unwrap_or(u32::MAX).max(before - before.div_ceil(FORGOTTEN));
        if now != before {
            length.store(now, Ordering::Relaxed);
        }
    }

    /// How many bytes messages of so many bytes may take in a dialect: a guess that is seldom too
    /// small.
    pub(super) fn length(&self, dialect: Dialect, bytes: usize) -> usize {
        let learned =
            self.0.lengths.get(dialect.index()).map(|length| length.load(Ordering::Relaxed));
        match (learned, dialect) {
            (Some(eighths @ 1..), _) => (bytes / 8).saturating_mul(eighths as usize),
            (_, Dialect::Xml | Dialect::PlainXml) => bytes / 4 * 9,
            _ => bytes / 8 * 9,
        }
    }

    /// Bytes of memory that messages of so many bytes will take, with what they are encoded to
    /// where they were wanted last.
    pub fn room(&self, bytes: usize) -> usize {
        let in_dialect = |dialect| match dialect {
            // Numbers become longest: four bytes for one, more than that seldom.
            Dialect::Xml | Dialect::PlainXml => (4 * bytes).max(self.length(dialect, bytes)),
            _ => self.length(dialect, bytes),
        };
        bytes + self.dialects().each().map(in_dialect).sum::<usize>()
    }

    /// The one dialect in which JSON is to be written ahead: where it is wanted in two, two writers
    /// share the work, and where not all are, much of it would be for nobody.
    fn one(&self) -> Option<Dialect> {
        // The four that are guessed are not one.
        let mut wanted = self.dialects().each();
        wanted.next().filter(|dialect| {
            wanted.next().is_none()
                && self.bits() & PARTLY == 0
                && matches!(dialect, Dialect::Xml | Dialect::Pickle | Dialect::ExactPickle)
        })
    }
}

/// The deliveries of the first messages of a batch.
#[derive(Debug)]
pub struct EagerEncoding {
    dialect: Dialect,
    /// Without room until there is something to be written.
    sheet: OutVec,
    room: usize,
    spares: BufferPool,
    /// A sheet of so many bytes grows no more, and all is left to the writers: what is on its way
    /// to the dispatcher is counted as it was read.
    most: usize,
    ends: Vec<usize>,
}

impl EagerEncoding {
    /// Begins a batch of at most so many bytes; `None` where nothing is to be written ahead.
    pub fn begin(asked: &DialectHint, spares: &BufferPool, bytes: usize) -> Option<EagerEncoding> {
        /// The bytes in a buffer may be the beginning of one very long frame.
        const ONE_READ: usize = 256 << 10;
        /// XML takes twice as many bytes as JSON, and seldom four times.
        const MOST_TIMES: usize = 4;
        let dialect = asked.one()?;
        Some(EagerEncoding {
            dialect,
            sheet: OutVec::default(),
            room: asked.length(dialect, bytes.min(ONE_READ)),
            spares: spares.clone(),
            most: MOST_TIMES * bytes,
            ends: Vec::new(),
        })
    }

    /// Judges the JSON value at `start` of a text as
    /// [`EnvelopeCache::recognise`](super::EnvelopeCache::recognise) does, writes its delivery, and
    /// returns where the value ends. `None` where it is to be judged another way; there is nothing
    /// to be written ahead then any more.
    #[inline]
    pub fn write(
        &mut self,
        topic: &str,
        source: &[u8],
        text: Range<usize>,
        start: usize,
        limits: &Limits,
    ) -> Option<usize> {
        if self.ends.is_empty() {
            self.sheet = OutVec::new(self.spares.room(self.room)).growing_to(self.most);
        }
        let to = (self.dialect, topic);
        write_unjudged(&mut self.sheet, to, source, text, start, limits)
    }

    /// The message that was written is the batch's next one.
    #[inline]
    pub fn keep(&mut self) {
        self.ends.push(self.sheet.len());
    }

    /// The dialect, the frames, and where each ends; `None` where the batch has other messages as
    /// well.
    pub(super) fn into_frames(self, messages: usize) -> Option<(Dialect, Vec<u8>, Vec<usize>)> {
        if self.ends.len() != messages {
            return None;
        }
        Some((self.dialect, self.sheet.into_bytes(), self.ends))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialects(all: &[Dialect]) -> Dialects {
        let mut dialects = Dialects::default();
        all.iter().for_each(|dialect| dialects.insert(*dialect));
        assert!(dialects.each().eq(all.iter().copied()));
        dialects
    }

    #[test]
    fn a_message_that_becomes_far_longer_is_left_to_the_writers() {
        let asked = DialectHint::default();
        asked.tell(dialects(&[Dialect::Xml]), true);
        for (item, fits) in [("\"some words of text\"", true), ("1", false)] {
            let json = format!("[{}]", vec![item; (1 << 20) / (item.len() + 1)].join(","));
            let mut ahead =
                EagerEncoding::begin(&asked, &BufferPool::default(), json.len()).unwrap();
            let end = ahead.write("t", json.as_bytes(), 0..json.len(), 0, &Limits::default());
            assert_eq!(end, fits.then_some(json.len()), "{item}");
            let room = ahead.sheet.into_bytes().capacity();
            assert!(room <= 8 * json.len(), "{room} bytes for {}", json.len());
        }
    }

    #[test]
    fn how_long_messages_become_is_learned_soon_and_forgotten_slowly() {
        let asked = DialectHint::default();
        assert_eq!(asked.length(Dialect::Json, 8_000), 9_000);
        asked.tell_length(Dialect::Json, 1_000, 3_000);
        let learned = asked.length(Dialect::Json, 8_000);
        assert!((24_000..28_000).contains(&learned), "{learned}");
        assert_eq!(asked.length(Dialect::Xml, 8_000), 18_000);
        asked.tell_length(Dialect::Json, 1_000, 1_000);
        let less = asked.length(Dialect::Json, 8_000);
        assert!((20_000..learned).contains(&less), "{less}");
        asked.tell_length(Dialect::Json, 1_000, 1_000_000);
        assert_eq!(asked.length(Dialect::Json, 8_000), 32_000);
        for _ in 0..100 {
            asked.tell_length(Dialect::Json, 1_000, 1_000);
        }
        assert_eq!(asked.length(Dialect::Json, 8_000), 9_000);
    }

    #[test]
    fn only_one_dialect_is_written_ahead() {
        use Dialect::{ExactJson, Json, Pickle, PlainXml, Xml};
        let asked = DialectHint::default();
        assert_eq!(asked.one(), None);
        for (wanted, one) in [
            (&[Xml][..], Some(Xml)),
            (&[Pickle], Some(Pickle)),
            (&[Json], None),
            (&[ExactJson], None),
            (&[PlainXml], None),
            (&[Json, Xml], None),
            (&[Xml, Pickle], None),
            (&[], None),
        ] {
            asked.clone().tell(dialects(wanted), true);
            assert_eq!(asked.one(), one, "{wanted:?}");
            asked.tell(dialects(wanted), false);
            assert_eq!(asked.one(), None, "{wanted:?}");
        }
    }
}
