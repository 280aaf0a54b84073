//! A message on its way to a client of MQTT, and how it is written.

use std::sync::Arc;

use super::super::{PacketId, Properties, PublishHead, Qos, Version};
use super::queue::{Held, let_go};
use crate::broker::{Charge, Chosen, Feed, Record, Stored};
use crate::codec::{Batch, DECODING_FACTOR, Dialect, Document, Encoding, PayloadRef, Tenths};
use crate::protocol::{ErrorCode, Format, Limits, TopicName, plain_size};
use crate::wire::write_batch::{MAX_BYTES, WriteBatch};

/// A message of QoS 1 or 2, until the client has it.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) source: Source,
    /// Whether it is shown as a last value.
    pub(super) retain: bool,
    pub(super) qos: Qos,
    /// The numbers of the subscriptions that it is for.
    pub(super) identifiers: Box<[u32]>,
    /// The group that has given it to the client, if one has.
    pub(super) chosen: Option<Arc<Chosen>>,
    /// What its delivery takes until the client has the last of it.
    pub(super) held: Arc<Held>,
}

/// A message that is to be written, and what its packet says.
#[derive(Clone, Debug)]
pub(super) struct Owed {
    pub(super) source: Source,
    pub(super) id: Option<PacketId>,
    qos: Qos,
    retain: bool,
    identifiers: Box<[u32]>,
}

impl Message {
    /// All that is needed to write it.
    pub(super) fn to_owe(&self) -> Owed {
        let Message { ref source, qos, retain, ref identifiers, .. } = *self;
        let (source, identifiers) = (source.clone(), identifiers.clone());
        Owed { source, id: None, qos, retain, identifiers }
    }

    /// What is to be given back now that it is done with.
    pub(super) fn let_go(self) -> Option<Charge> {
        let_go(self.held)
    }
}

impl Owed {
    /// The same with the number of its packet.
    pub(super) fn numbered(self, id: PacketId) -> Owed {
        Owed { id: Some(id), ..self }
    }

    pub(super) fn around(&self, dup: bool) -> Around<'_> {
        let Owed { id, qos, retain, ref identifiers, .. } = *self;
        Around { dup, qos, retain, id, identifiers }
    }
}

/// Where a message lies, for as long as that is needed.
#[derive(Clone, Debug)]
pub(super) enum Source {
    /// In a batch, by its index, from which it was wanted in this dialect.
    Batch(Arc<Batch>, u32, Dialect),
    /// A last value.
    Stored(Stored),
    /// In a stream, by its number, whose feed may have ended.
    Log(Arc<Feed>, u64),
}

/// Where a message lies that is written at once. Counting a batch's owners up and down for each
/// message would cost as much as writing it, the more so where several writers do.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Batch(&'a Arc<Batch>, u32, Dialect),
    Stored(&'a Stored),
    Log(&'a Arc<Feed>, u64),
}

/// What a packet says beside the message.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around<'a> {
    pub(super) dup: bool,
    pub(super) qos: Qos,
    pub(super) retain: bool,
    pub(super) id: Option<PacketId>,
    pub(super) identifiers: &'a [u32],
}

/// How a client is written to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Style {
    pub(super) version: Version,
    pub(super) dialect: Dialect,
    /// Bytes that a packet may have.
    pub(super) limit: usize,
    pub(super) limits: Limits,
    /// Whether payloads that MQTT has brought are for it whatever they are.
    pub(super) takes_all: bool,
    /// What time it is.
    pub(super) now: Tenths,
    /// The wall clock, in milliseconds since 1970.
    pub(super) wall_clock: fn() -> u64,
}

/// A message was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotWritten {
    /// It is longer than the client takes.
    TooLong,
    /// It could not be written in the client's format, which is a bug.
    Failed,
    /// It takes so much memory to write it.
    NeedsMemory(usize),
    /// Its stream is to be read for it, which waits for a disk.
    NeedsRead,
}

/// A payload as it is written.
enum Bytes<'a> {
    /// As it lies in its batch, from there on.
    Own(&'a Arc<Batch>, usize, &'a [u8]),
    /// Somewhere else.
    Elsewhere(&'a [u8]),
    /// Anew.
    Anew(Vec<u8>),
}

impl Source {
    pub(super) fn place(&self) -> Place<'_> {
        match self {
            Source::Batch(batch, index, dialect) => Place::Batch(batch, *index, *dialect),
            Source::Stored(stored) => Place::Stored(stored),
            Source::Log(feed, seq) => Place::Log(feed, *seq),
        }
    }
}

impl Place<'_> {
    /// Whether the message is over before the client has got it (MQTT 5, 3.3.2.3.3).
    pub(super) fn is_over(self, now: Tenths) -> bool {
        match self {
            Place::Batch(batch, index, _) => batch.ttl_left(index as usize, now) == Some(0),
            Place::Stored(_) | Place::Log(..) => false,
        }
    }

    pub(super) fn to_source(self) -> Source {
        match self {
            Place::Batch(batch, index, dialect) => Source::Batch(batch.clone(), index, dialect),
            Place::Stored(stored) => Source::Stored(stored.clone()),
            Place::Log(feed, seq) => Source::Log(feed.clone(), seq),
        }
    }
}

impl Style {
    /// Adds a message, for which so much memory is paid beyond a little.
    pub(super) fn put(
        &self,
        place: Place<'_>,
        around: Around<'_>,
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        match place {
            Place::Batch(batch, index, dialect) => {
                let style = Style { dialect, ..*self };
                style.put_of_batch((batch, index as usize), around, paid, gathered)
            }
            Place::Stored(stored) => {
                let (topic, payload) = (stored.topic(), stored.payload());
                self.put_payload(topic, payload, around, paid, gathered)
            }
            Place::Log(..) => Err(NotWritten::NeedsRead),
        }
    }

    /// Adds a message of a stream.
    pub(super) fn put_record(
        &self,
        record: &Record<'_>,
        around: Around<'_>,
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        self.put_payload(record.topic, record.payload, around, paid, gathered)
    }

    /// The seconds that a kept message has left, where its publisher has said how long it is worth
    /// something (MQTT 5, 3.3.2.3.3).
    pub(super) fn expiry_left(&self, payload: PayloadRef<'_>) -> Option<u32> {
        let over_at = u64::from(Properties::kept(payload.properties()).over_at()?) * 1_000;
        let left = over_at.saturating_sub((self.wall_clock)());
        // What is not over has a second left.
        let seconds = if left == 0 { 0 } else { (left / 1_000).max(1) };
        Some(u32::try_from(seconds).unwrap_or(u32::MAX))
    }

    fn put_of_batch(
        &self,
        (batch, index): (&Arc<Batch>, usize),
        around: Around<'_>,
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        let published = &batch.messages()[index];
        let topic = batch.topics().get(published.topic()).as_str();
        if published.is_cleared() {
            // MQTT tells it by a message of no bytes.
            let nothing = (Properties::default(), false);
            return self.put_packet(
                topic,
                &Bytes::Elsewhere(&[]),
                None,
                nothing,
                (around, None),
                gathered,
            );
        }
        let payload = batch.payload(index);
        let original = self.original(payload);
        let bytes = match original.or_else(|| self.as_it_came(payload)) {
            Some(bytes) if original.is_some() => Bytes::Elsewhere(bytes),
            Some(bytes) => Bytes::Own(batch, published.part().range().start, bytes),
            None if published.expands() => Bytes::Anew(self.encode(payload, paid)?),
            None => {
                let run = batch.run(self.dialect);
                let range = batch.payload_in(run, self.dialect, index);
                match batch.run_bytes(run).get(range) {
                    // A pickle lies there without what begins and ends it.
                    Some(bytes) if !bytes.is_empty() && self.dialect.format() != Format::Pickle => {
                        Bytes::Elsewhere(bytes)
                    }
                    _ => Bytes::Anew(self.encode(payload, paid)?),
                }
            }
        };
        let is_new = original.is_none() && !matches!(bytes, Bytes::Own(..));
        let properties = Properties::kept(payload.properties());
        let content = self.content(payload, is_new);
        // One that is sent again may be over by now, and is not without an end for that.
        let expiry = batch.ttl_left(index, self.now).map(|left| left.max(1));
        let (properties, around) = ((properties, is_new), (around, expiry));
        self.put_packet(topic, &bytes, content, properties, around, gathered)
    }

    fn put_payload(
        &self,
        topic: TopicName<'_>,
        payload: PayloadRef<'_>,
        around: Around<'_>,
        paid: usize,
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        let bytes = match self.original(payload).or_else(|| self.as_it_came(payload)) {
            Some(bytes) if bytes.len() > MAX_BYTES.max(paid) => {
                return Err(NotWritten::NeedsMemory(bytes.len()));
            }
            Some(bytes) => Bytes::Elsewhere(bytes),
            None => Bytes::Anew(self.encode(payload, paid)?),
        };
        let is_new = matches!(bytes, Bytes::Anew(_));
        let properties = Properties::kept(payload.properties());
        let content = self.content(payload, is_new);
        // One that is sent again may be over by now, and is not without an end for that.
        let expiry = self.expiry_left(payload).map(|left| left.max(1));
        let (properties, around) = ((properties, is_new), (around, expiry));
        self.put_packet(topic.as_str(), &bytes, content, properties, around, gathered)
    }

    /// The bytes in which MQTT has brought a payload that is kept in others, where they are for the
    /// client: it gets what there is, or their format.
    fn original<'a>(&self, payload: PayloadRef<'a>) -> Option<&'a [u8]> {
        let is_for_it = self.takes_all || payload.format() == self.dialect.format();
        Properties::kept(payload.properties()).original().filter(|_| is_for_it)
    }

    /// What is passed on as it came: a text, bytes, and what is in the client's format.
    fn as_it_came<'a>(&self, payload: PayloadRef<'a>) -> Option<&'a [u8]> {
        match payload.encoding() {
            Encoding::Text | Encoding::Bytes => Some(payload.source()),
            _ => payload.as_it_came(self.dialect).map(|_| payload.source()),
        }
    }

    fn encode(&self, payload: PayloadRef<'_>, paid: usize) -> Result<Vec<u8>, NotWritten> {
        let (dialect, limits, length) = (self.dialect, &self.limits, payload.source().len());
        // What is decoded is encoded to about as much again.
        let memory = |decoded: usize| decoded.saturating_mul(DECODING_FACTOR + 1);
        let most = plain_size(length);
        if memory(most) > MAX_BYTES.max(paid) {
            return Err(NotWritten::NeedsMemory(memory(most)));
        }
        let most = most.max(paid / (DECODING_FACTOR + 1));
        let written = payload.encode_within(dialect, &mut Document::new(), limits, most);
        written.map_err(|refusal| match refusal.code {
            ErrorCode::TooLarge if paid < usize::MAX => {
                let more = memory(limits.decoded_budget(length));
                NotWritten::NeedsMemory(if more > paid { more } else { usize::MAX })
            }
            _ => NotWritten::Failed,
        })
    }

    /// The content type of a payload, where the broker says it: the bytes of another client of MQTT
    /// are what that client says they are, and nothing where it does not.
    fn content(&self, payload: PayloadRef<'_>, is_new: bool) -> Option<&'static str> {
        match payload.encoding() {
            Encoding::Text | Encoding::Bytes => None,
            _ if payload.qos().is_some() && !is_new => None,
            _ => Some(match self.dialect.format() {
                Format::Json => "application/json",
                Format::Xml => "application/xml",
                Format::Pickle => "application/x-python-pickle",
            }),
        }
    }

    fn put_packet(
        &self,
        topic: &str,
        bytes: &Bytes<'_>,
        content_type: Option<&str>,
        (properties, is_new): (Properties<'_>, bool),
        (around, expiry): (Around<'_>, Option<u32>),
        gathered: &mut WriteBatch,
    ) -> Result<(), NotWritten> {
        let payload: &[u8] = match bytes {
            Bytes::Own(_, _, bytes) | Bytes::Elsewhere(bytes) => bytes,
            Bytes::Anew(bytes) => bytes,
        };
        // What its publisher said of the bytes holds for these bytes alone.
        let passed_on = if is_new { properties.without_content() } else { properties.passed_on() };
        let is_said = !is_new && properties.content_type().is_some();
        let head = PublishHead {
            dup: around.dup,
            qos: around.qos,
            retain: around.retain,
            topic,
            id: around.id,
            expiry,
            content_type: content_type.filter(|_| !is_said),
            is_text: false,
            subscription_ids: around.identifiers,
            passed_on: &passed_on,
            payload: payload.len(),
        };
        let mut written = Ok(());
        gathered.append(|out| written = head.put(self.version, out, self.limit));
        written.map_err(|_| NotWritten::TooLong)?;
        match bytes {
            Bytes::Own(batch, start, _) => {
                gathered.share_source(batch, *start..*start + payload.len());
            }
            Bytes::Elsewhere(bytes) => gathered.append(|out| out.extend_from_slice(bytes)),
            Bytes::Anew(bytes) => gathered.append(|out| out.extend_from_slice(bytes)),
        }
        Ok(())
    }
}
