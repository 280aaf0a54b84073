//! The messages that one read brought, on their way to everyone who wants them.
//!
//! A batch is the unit of everything between two sockets: one event for the dispatcher, one
//! delivery for an outbox, one write for a writer. Each dialect's frames are encoded once, by the
//! first writer that asks, and only for the messages that the dispatcher found somebody wants in
//! that dialect.

use std::mem;
use std::ops::Range;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use super::batch_entry::BatchEntry;
use super::buffer_pool::BufferPool;
use super::claimed::Workspace;
use super::document::Document;
use super::eager::{DialectHint, Dialects, EagerEncoding};
use super::envelope::{
    Content, Dialect, Part, PayloadSpan, payload_in, write_judged, write_live, write_reply,
};
use super::memory::Claim;
use super::out_buf::OutVec;
use super::payload::{Payload, PayloadRef};
use super::tenths::Tenths;
use super::topics::Topics;
use super::xml::PlainNames;
use crate::protocol::{Format, Limits, Reply, Topic};

/// Published messages with the bytes that they came in.
#[derive(Debug)]
pub struct Batch {
    bytes: Vec<u8>,
    document: Document,
    decoded: usize,
    topics: Topics,
    messages: Vec<BatchEntry>,
    /// What publishers call messages, with the index of each, ascending.
    ids: Box<[(u32, Box<str>)]>,
    /// What publishers want passed on with messages, with the index of each, ascending.
    properties: Box<[(u32, Box<[u8]>)]>,
    /// Whether one of them decodes to far more than its length explains.
    expands: bool,
    /// Whether one of them has a `ttl`, and when they were published then.
    expires: bool,
    published: Tenths,
    limits: Limits,
    /// For each dialect, which messages are wanted in it; empty for none.
    wanted: [Wanted; Dialect::ALL.len()],
    /// The dialects in which some are wanted.
    dialects: Dialects,
    /// Who is told what is wanted, and whether it was.
    asked: Option<DialectHint>,
    is_told: bool,
    /// The deliveries that are written already.
    ahead: Option<Box<(Dialect, Run)>>,
    runs: Runs,
    /// Where the batch's memory goes when it is dropped.
    spares: BufferPool,
    /// What is taken of the memory for messages on their way, and how much of that is in use.
    claim: Claim,
    spent: AtomicUsize,
    /// Where messages are decoded once more.
    workspace: Workspace,
}

/// A batch behind an `Arc` is the longest piece of memory that glibc's malloc keeps at hand for
/// each thread (tcache); to be allocated and freed, a longer one costs a short message a tenth
/// more.
const _: () = assert!(size_of::<Batch>() + 2 * size_of::<usize>() <= 1_032);

/// What is written of a batch, for each dialect.
#[derive(Debug, Default)]
struct Runs {
    usual: [OnceLock<Run>; 5],
    /// Dialects that few ask for cost a batch next to nothing.
    rare: OnceLock<Box<[OnceLock<Run>; 2]>>,
}

impl Runs {
    fn of(&self, dialect: Dialect) -> &OnceLock<Run> {
        match dialect {
            Dialect::Json => &self.usual[0],
            Dialect::ExactJson => &self.usual[1],
            Dialect::Xml => &self.usual[2],
            Dialect::Pickle => &self.usual[3],
            Dialect::ExactPickle => &self.usual[4],
            Dialect::JsJson => &self.rare.get_or_init(Default::default)[0],
            Dialect::PlainXml => &self.rare.get_or_init(Default::default)[1],
        }
    }

    fn take(&mut self, dialect: Dialect) -> Option<Run> {
        let run = match dialect {
            Dialect::Json => &mut self.usual[0],
            Dialect::ExactJson => &mut self.usual[1],
            Dialect::Xml => &mut self.usual[2],
            Dialect::Pickle => &mut self.usual[3],
            Dialect::ExactPickle => &mut self.usual[4],
            Dialect::JsJson => &mut self.rare.get_mut()?[0],
            Dialect::PlainXml => &mut self.rare.get_mut()?[1],
        };
        run.take()
    }
}

/// What an allocator takes for a short text beside it.
const BESIDE: usize = 16;

/// Bytes of memory that the `id` of a message takes.
pub fn id_cost(id: &str) -> usize {
    size_of::<(u32, Box<str>)>() + BESIDE + id.len()
}

/// Bytes of memory that the properties of a message take.
pub fn properties_cost(properties: &[u8]) -> usize {
    size_of::<(u32, Box<[u8]>)>() + BESIDE + properties.len()
}

/// Which messages of a batch are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Wanted {
    /// None.
    #[default]
    None,
    /// All.
    All,
    /// Those whose place in the list is true.
    Some(Vec<bool>),
}

impl Wanted {
    fn includes(&self, message: usize) -> bool {
        match self {
            Wanted::None => false,
            Wanted::All => true,
            Wanted::Some(places) => places.get(message).copied().unwrap_or(false),
        }
    }

    /// How many of so many messages these are.
    fn count(&self, messages: usize) -> usize {
        match self {
            Wanted::None => 0,
            Wanted::All => messages,
            Wanted::Some(places) => places.iter().filter(|place| **place).count(),
        }
    }
}

impl Batch {
    /// A batch of messages whose ranges and texts refer to `bytes`, and whose topics to `topics`.
    pub fn new(
        bytes: Vec<u8>,
        document: Document,
        topics: Topics,
        messages: Vec<BatchEntry>,
        limits: Limits,
    ) -> Batch {
        let (mut expands, mut expires) = (false, false);
        for message in &messages {
            expands |= message.expands();
            expires |= message.ttl().is_some();
        }
        Batch {
            bytes,
            expands,
            expires,
            published: Tenths::default(),
            document,
            decoded: 0,
            topics,
            messages,
            ids: Box::default(),
            properties: Box::default(),
            limits,
            wanted: Default::default(),
            dialects: Dialects::default(),
            asked: None,
            is_told: false,
            ahead: None,
            runs: Default::default(),
            spares: BufferPool::default(),
            claim: Claim::nothing(),
            spent: AtomicUsize::new(0),
            workspace: Workspace::default(),
        }
    }

    /// A batch of one message that no frame brought. It becomes the last value if it is to be
    /// retained, for so many seconds if that is said.
    pub fn of_payload(
        topic: Topic,
        payload: Payload,
        (retain, ttl): (bool, Option<u32>),
        limits: Limits,
    ) -> Batch {
        let (format, part, qos) = (payload.format(), payload.part(), payload.qos());
        let (bytes, properties) = payload.into_parts();
        let message = PayloadSpan { part, document: None };
        let published = BatchEntry::new(0, format, &message, retain, ttl, None).with_qos(qos);
        let topics = Topics::from_iter([topic]);
        let batch = Batch::new(bytes, Document::new(), topics, vec![published], limits);
        if properties.is_empty() { batch } else { batch.with_properties(vec![(0, properties)]) }
    }

    /// A batch of notes that the last values of these topics were cleared, or have expired.
    pub fn of_cleared(topics: impl IntoIterator<Item = Topic>) -> Batch {
        let topics: Topics = topics.into_iter().collect();
        let entries = (0..topics.len()).map(|topic| BatchEntry::cleared(topic as u32)).collect();
        Batch::new(Vec::new(), Document::new(), topics, entries, Limits::NONE)
    }

    /// The same batch, that knows how many bytes its payloads decode to ([`Document::value_size`]).
    #[must_use]
    pub fn decoding_to(mut self, bytes: usize) -> Batch {
        self.decoded = bytes;
        self
    }

    /// The same batch of a session that wants to know what is wanted of it, and has written some
    /// deliveries already.
    #[must_use]
    pub fn of_session(mut self, asked: DialectHint, ahead: Option<EagerEncoding>) -> Batch {
        let frames = ahead.and_then(|ahead| ahead.into_frames(self.messages.len()));
        if let Some((dialect, encoded, _)) = &frames {
            asked.tell_length(*dialect, self.bytes.len(), encoded.len());
        }
        self.asked = Some(asked);
        self.ahead = frames.map(|(dialect, encoded, ends)| {
            // They are written ahead of messages that came in JSON.
            let mut translated = Translated::default();
            translated[Format::Json as usize] = (ends.len() as u32).into();
            Box::new((dialect, Run::new(Some(encoded), ends, translated)))
        });
        self
    }

    /// The same batch, of which some messages have an `id`, told with the index of each, ascending.
    #[must_use]
    pub fn with_ids(mut self, ids: Vec<(u32, Box<str>)>) -> Batch {
        self.ids = ids.into();
        self
    }

    /// The same batch, of which some messages have properties, told with the index of each,
    /// ascending. What they say only the wire knows that brought them.
    #[must_use]
    pub fn with_properties(mut self, properties: Vec<(u32, Box<[u8]>)>) -> Batch {
        self.properties = properties.into();
        self
    }

    /// The same batch, whose memory becomes spare when it is dropped.
    #[must_use]
    pub fn returning_to(mut self, spares: &BufferPool) -> Batch {
        self.spares = spares.clone();
        self
    }

    /// The same batch, with what was claimed for it. What it turns out to take beyond that is
    /// charged to the same account.
    #[must_use]
    pub fn holding(mut self, claim: Claim, workspace: Workspace) -> Batch {
        (self.claim, self.workspace) = (claim, workspace);
        self.spent = AtomicUsize::new(self.weight());
        self
    }

    /// The topics that the messages refer to.
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// The messages, in the order in which they were published.
    pub fn messages(&self) -> &[BatchEntry] {
        &self.messages
    }

    /// Whether any message has an `id`.
    pub fn has_ids(&self) -> bool {
        !self.ids.is_empty()
    }

    /// The `id` of a message, where it has one.
    pub fn id(&self, index: usize) -> Option<&str> {
        let at = self.ids.binary_search_by_key(&index, |(message, _)| *message as usize).ok()?;
        Some(&self.ids[at].1)
    }

    /// Whether any message has properties.
    #[inline]
    pub fn has_properties(&self) -> bool {
        !self.properties.is_empty()
    }

    /// The properties of a message; empty where it has none.
    #[inline]
    pub fn properties(&self, index: usize) -> &[u8] {
        if self.properties.is_empty() { &[] } else { self.find_properties(index) }
    }

    #[cold]
    fn find_properties(&self, index: usize) -> &[u8] {
        let found = self.properties.binary_search_by_key(&index, |(of, _)| *of as usize);
        found.map_or(&[], |at| &self.properties[at].1)
    }

    /// The bytes that the messages' ranges refer to.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// What was decoded of the messages; its texts refer to [`bytes`](Self::bytes).
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// About how many bytes of memory the batch holds: a small payload can decode to much, and what
    /// it is encoded to is in proportion to that.
    pub fn weight(&self) -> usize {
        let decoded = self.document.weight().max(self.decoded);
        let own = self.bytes.capacity() + self.messages.capacity() * size_of::<BatchEntry>();
        let ids = self.ids.iter().map(|(_, id)| id_cost(id)).sum::<usize>();
        let properties = self.properties.iter().map(|(_, of)| properties_cost(of)).sum::<usize>();
        own + decoded + self.topics.weight() + ids + properties
    }

    /// Whether some messages decode to far more than their lengths explain. They are in no
    /// [`run`](Self::run).
    pub fn expands(&self) -> bool {
        self.expands
    }

    /// What is left of the `ttl` of a message, in whole seconds: 0 when it is over, none where it
    /// has none.
    pub fn ttl_left(&self, index: usize, now: Tenths) -> Option<u32> {
        let ttl = self.messages[index].ttl()?;
        Some(ttl.saturating_sub(self.published.seconds_until(now)))
    }

    /// The payload of a message.
    #[inline]
    pub fn payload(&self, index: usize) -> PayloadRef<'_> {
        let message = &self.messages[index];
        PayloadRef::of_kind(&self.bytes[message.range()], message.kind())
            .with_properties(self.properties(index))
    }

    /// Says which messages are wanted in `dialect`; once, before the batch is shared.
    pub fn want(&mut self, dialect: Dialect, wanted: Wanted) {
        if !matches!(wanted, Wanted::None) {
            self.dialects.insert(dialect);
        }
        self.wanted[dialect.index()] = wanted;
    }

    /// Whether anybody wants a message in `dialect`.
    pub fn is_wanted(&self, dialect: Dialect, index: usize) -> bool {
        self.wanted[dialect.index()].includes(index)
    }

    /// Says when the messages were published, where one of them has a `ttl`.
    pub fn publish_at(&mut self, now: impl FnOnce() -> Tenths) {
        if self.expires {
            self.published = now();
        }
    }

    /// Tells the session, once, what is wanted, by how many connections, and what the batch `cost`
    /// beyond that and its bytes; and takes the deliveries that it has written, where these are it.
    pub fn settle(&mut self, connections: usize, cost: usize) {
        if let Some(asked) = self.asked.as_ref().filter(|_| !self.is_told) {
            self.is_told = true;
            let is_whole = self
                .dialects
                .each()
                .all(|dialect| matches!(self.wanted[dialect.index()], Wanted::All));
            asked.tell(self.dialects, is_whole);
            asked.tell_costs(connections, cost.div_ceil(self.messages.len().max(1)));
        }
        let wanted = &self.wanted;
        if let Some(ahead) = self.ahead.take_if(|ahead| wanted[ahead.0.index()] == Wanted::All) {
            let (dialect, run) = *ahead;
            let run = self.charged(run);
            self.runs.of(dialect).get_or_init(|| run);
        }
    }

    /// The frames of the wanted messages in `dialect`, encoded now if nobody asked before.
    pub fn run(&self, dialect: Dialect) -> &Run {
        self.runs.of(dialect).get_or_init(|| self.charged(self.encode(dialect)))
    }

    /// The bytes of a run.
    pub fn run_bytes<'a>(&'a self, run: &'a Run) -> &'a [u8] {
        run.encoded.as_deref().unwrap_or(&self.bytes)
    }

    /// Where message `index` lies in [`run_bytes`](Self::run_bytes).
    pub fn frame(&self, run: &Run, index: usize) -> Range<usize> {
        if run.encoded.is_none() {
            return self.messages[index].verbatim().unwrap_or_default();
        }
        let start = index.checked_sub(1).map_or(0, |before| run.ends[before]);
        start..run.ends[index]
    }

    /// Where the payload of message `index` lies in [`run_bytes`](Self::run_bytes) of a run in
    /// `dialect`, so that an envelope of another kind can be put around the same bytes: a JSON
    /// text, an element `message`, or a pickle without its first opcode (`PROTO`) and its last
    /// (`STOP`). Empty where the message is not in the run, or is none.
    pub fn payload_in(&self, run: &Run, dialect: Dialect, index: usize) -> Range<usize> {
        let frame = self.frame(run, index);
        let published = &self.messages[index];
        if frame.is_empty() || published.is_cleared() {
            return frame.start..frame.start;
        }
        match (published.part(), published.verbatim()) {
            // It is passed on with the envelope that it came in.
            (Part::Value(payload), Some(before)) if dialect.passes_on(published.format()) => {
                let start = frame.start + payload.start - before.start;
                start..start + payload.len()
            }
            _ => {
                let Range { start, end } = payload_in(dialect, &self.run_bytes(run)[frame.clone()]);
                frame.start + start..frame.start + end
            }
        }
    }

    /// A run that pays for its memory, as far as the batch's claim does not.
    fn charged(&self, mut run: Run) -> Run {
        if let (Some(account), Some(encoded)) = (self.claim.account(), &run.encoded) {
            let before = self.spent.fetch_add(encoded.capacity(), Ordering::Relaxed);
            let over = (before + encoded.capacity()).saturating_sub(self.claim.bytes());
            run.claim = account.charge(over.min(encoded.capacity()));
        }
        run
    }

    fn encode(&self, dialect: Dialect) -> Run {
        let wanted = &self.wanted[dialect.index()];
        if *wanted == Wanted::All && self.is_verbatim(dialect) {
            // The frames are what would be written, one after the other: nothing to do.
            return Run::new(None, Vec::new(), Translated::default());
        }
        let ends = Vec::with_capacity(self.messages.len());
        let mut run = Run::new(None, ends, Translated::default());
        let bytes =
            self.bytes.len() / self.messages.len().max(1) * wanted.count(self.messages.len());
        let unknown = DialectHint::default;
        let asked = self.asked.clone().unwrap_or_else(unknown);
        let mut out = OutVec::new(self.spares.room(asked.length(dialect, bytes)));
        let mut scratch = Scratch::default();
        for (index, published) in self.messages.iter().enumerate() {
            let is_wanted = wanted.includes(index);
            let is_passed_on = is_wanted && self.is_passed_on(published, dialect);
            if is_wanted && !is_passed_on && !published.is_cleared() {
                *run.translated[published.format() as usize].get_mut() += 1;
            }
            let is_encoded = is_wanted && !published.expands();
            let to = (dialect, is_passed_on);
            if is_encoded && self.encode_one(published, to, &mut scratch, &mut out).is_err() {
                run.failed += 1;
            }
            run.ends.push(out.len());
        }
        if run.failed == 0 {
            asked.tell_length(dialect, bytes, out.len());
        }
        let mut encoded = out.into_bytes();
        if encoded.capacity() / 2 > encoded.len() {
            encoded.shrink_to_fit();
        }
        run.encoded = Some(encoded);
        run
    }

    /// Whether the batch's bytes are its messages' frames as `dialect` would have them, and nothing
    /// else.
    fn is_verbatim(&self, dialect: Dialect) -> bool {
        let mut end = 0;
        let contiguous = self.messages.iter().all(|published| match published.verbatim() {
            Some(frame) if dialect.passes_on(published.format()) && frame.start == end => {
                end = frame.end;
                true
            }
            _ => false,
        });
        contiguous && end == self.bytes.len()
    }

    /// Whether a message has the dialect as it came, if its payload stands by itself.
    fn is_passed_on(&self, published: &BatchEntry, dialect: Dialect) -> bool {
        let format = published.format();
        dialect.passes_on_payload(format, &self.bytes[published.range()])
    }

    fn encode_one(
        &self,
        published: &BatchEntry,
        (dialect, is_passed_on): (Dialect, bool),
        scratch: &mut Scratch,
        out: &mut OutVec,
    ) -> Result<(), crate::protocol::Refusal> {
        let format = published.format();
        let topic = self.topics.get(published.topic()).as_str();
        if published.is_cleared() {
            let mut frame = Vec::new();
            let topic = self.topics.get(published.topic()).to_topic();
            write_reply(&mut frame, dialect.format(), &Reply::Cleared { topic });
            out.append(&frame);
            return Ok(());
        }
        let content = match (published.part(), published.document()) {
            (Part::Value(range), _) if is_passed_on => {
                if let Some(frame) = published.verbatim() {
                    out.append(&self.bytes[frame]);
                    return Ok(());
                }
                Content::Published(&self.bytes[range])
            }
            (_, Some(root)) => Content::Decoded(self.document.view(&self.bytes, root)),
            (Part::Value(range), None)
                if format == Format::Json
                    && write_judged(out, dialect, topic, &self.bytes, range.clone()) =>
            {
                return Ok(());
            }
            (part, None) => {
                scratch.document.clear();
                scratch.claim = Claim::nothing();
                let document = &mut scratch.document;
                let (root, claim) =
                    self.workspace.decode(&self.bytes, format, &part, document, &self.limits)?;
                scratch.claim = claim;
                Content::Decoded(scratch.document.view(&self.bytes, root))
            }
        };
        let dialect = match content {
            Content::Decoded(view) => {
                dialect.fitting(view, &PlainNames::default(), self.limits.max_encoded)
            }
            Content::Published(_) => dialect,
        };
        write_live(out, dialect, topic, content);
        Ok(())
    }
}

/// What the messages of a run are encoded with, one after the other.
#[derive(Default)]
struct Scratch {
    document: Document,
    /// What the document takes.
    claim: Claim,
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.spares.give_back_bytes(mem::take(&mut self.bytes));
        self.spares.give_back_messages(mem::take(&mut self.messages));
        self.document.return_to(&self.spares);
        let ahead = self.ahead.take().map(|ahead| ahead.1);
        let runs = &mut self.runs;
        let written = self.dialects.each().filter_map(|dialect| runs.take(dialect));
        for run in written.chain(ahead) {
            if let Some(bytes) = run.encoded {
                self.spares.give_back_bytes(bytes);
            }
        }
    }
}

/// Messages by the format that they came in.
type Translated = [AtomicU32; Format::ALL.len()];

/// The frames of a batch in one dialect.
#[derive(Debug)]
pub struct Run {
    /// The frames; `None` where they are the batch's own bytes.
    encoded: Option<Vec<u8>>,
    /// Where each message's frame ends in `encoded`; a message that is not wanted ends where it
    /// begins.
    ends: Vec<usize>,
    /// A batch has five runs in it, and one that grows costs more to be allocated.
    failed: u32,
    /// Messages that were not in the dialect already, until somebody has counted them.
    translated: Translated,
    /// What it takes beyond what was claimed for its batch.
    claim: Claim,
}

impl Run {
    fn new(encoded: Option<Vec<u8>>, ends: Vec<usize>, translated: Translated) -> Run {
        Run { encoded, ends, failed: 0, translated, claim: Claim::nothing() }
    }

    /// Messages that had to be translated, by the format that they came in, in the order of
    /// [`Format::ALL`]; the first time that it is asked.
    pub fn take_translated(&self) -> [usize; Format::ALL.len()] {
        self.translated.each_ref().map(|count| match count.load(Ordering::Relaxed) {
            0 => 0,
            _ => count.swap(0, Ordering::Relaxed) as usize,
        })
    }

    /// Messages that could not be encoded although they had been judged: always 0 unless there is a
    /// bug.
    pub fn failed(&self) -> usize {
        self.failed as usize
    }
}

#[cfg(test)]
mod tests;
