//! Streams and their consumers, for a client: what is kept, and who is how far.

use std::time::Duration;

use super::Client;
use crate::codec::{FrameField, Message};
use crate::middleware::arrival::Arrival;
use crate::middleware::error::QueueError;
use crate::middleware::origin::Origin;
use crate::middleware::settle::{Settle, write_settle};
use crate::middleware::subscribe::start_field;
use crate::protocol::{Command, Format, Start, Topic, TopicFilter, WhenFull};

/// How much a stream keeps: everything, where nothing is said.
///
/// ```
/// use std::time::Duration;
/// use babelmq::{StreamLimits, WhenFull};
///
/// let a_week = StreamLimits::default().age(Duration::from_secs(7 * 24 * 3_600));
/// let a_gigabyte = StreamLimits::default().bytes(1 << 30).full(WhenFull::Refuse);
/// # assert!(a_week.bytes.is_none() && a_gigabyte.age.is_none());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamLimits {
    /// How long messages are kept, in whole seconds.
    pub age: Option<Duration>,
    /// How many bytes of messages are kept.
    pub bytes: Option<u64>,
    /// How many messages are kept.
    pub messages: Option<u64>,
    /// What happens when there is no room for another.
    pub full: WhenFull,
}

impl StreamLimits {
    /// Keeps messages for so long; a fraction of a second counts as a whole one.
    #[must_use]
    pub fn age(self, age: Duration) -> StreamLimits {
        StreamLimits { age: Some(age), ..self }
    }

    /// Keeps so many bytes.
    #[must_use]
    pub fn bytes(self, bytes: u64) -> StreamLimits {
        StreamLimits { bytes: Some(bytes), ..self }
    }

    /// Keeps so many messages.
    #[must_use]
    pub fn messages(self, messages: u64) -> StreamLimits {
        StreamLimits { messages: Some(messages), ..self }
    }

    /// Says what happens when there is no room for another.
    #[must_use]
    pub fn full(self, full: WhenFull) -> StreamLimits {
        StreamLimits { full, ..self }
    }
}

impl Client {
    /// Says that a consumer is done with a message. What is settled shares writes as what is
    /// published does; that the broker knows of it is known after [`flush`](Self::flush). A message
    /// of no consumer is passed over, here and in those that follow.
    ///
    /// # Errors
    /// A broken connection: the message comes again.
    pub fn ack(&mut self, origin: &Origin) -> Result<(), QueueError> {
        self.settle(origin, Settle::Ack)
    }

    /// Ends a subscription of a stream, and no other of this filter: what is consumed under a name,
    /// or where none is given what follows a stream.
    /// [`Arrival::Cancelled`](super::Arrival::Cancelled) is the end of what it sends.
    ///
    /// # Errors
    /// A broken connection.
    pub fn leave(
        &mut self,
        filter: &TopicFilter,
        stream: &str,
        consumer: Option<&str>,
    ) -> Result<(), QueueError> {
        let mut fields =
            vec![("topic", FrameField::Str(filter.as_str())), ("stream", FrameField::Str(stream))];
        fields.extend(consumer.map(|consumer| ("consumer", FrameField::Str(consumer))));
        self.command(Format::Json, Command::Cancel, &fields)
    }

    /// Says that a consumer could not do a message: it comes again, after `delay` or as the
    /// consumer's `backoff` says.
    ///
    /// # Errors
    /// As for [`ack`](Self::ack).
    pub fn nak(&mut self, origin: &Origin, delay: Option<Duration>) -> Result<(), QueueError> {
        self.settle(origin, Settle::Nak(delay))
    }

    /// Says that a consumer still works at a message, so that it does not come again meanwhile.
    ///
    /// # Errors
    /// As for [`ack`](Self::ack).
    pub fn touch(&mut self, origin: &Origin) -> Result<(), QueueError> {
        self.settle(origin, Settle::Touch)
    }

    /// Says that a consumer can never do a message: it becomes a dead letter, with the reason, of
    /// which 1,024 bytes are kept.
    ///
    /// # Errors
    /// As for [`ack`](Self::ack).
    pub fn reject(&mut self, origin: &Origin, reason: &str) -> Result<(), QueueError> {
        self.settle(origin, Settle::Reject(reason))
    }

    fn settle(&mut self, origin: &Origin, settle: Settle<'_>) -> Result<(), QueueError> {
        self.frame.clear();
        if !write_settle(Format::Json, origin, settle, &mut self.frame) {
            return Ok(());
        }
        if self.connection.defer(&self.frame) { Ok(()) } else { self.send() }
    }

    /// The last messages of a topic that a stream keeps, oldest first: `last` of them at most,
    /// which is from 1 to 10,000.
    ///
    /// # Errors
    /// [`QueueError::Refused`] with the code `no-stream` where no stream keeps the topic, and as
    /// for [`get`](Self::get).
    pub fn get_last(
        &mut self,
        topic: &Topic,
        last: u32,
        format: Format,
    ) -> Result<Vec<(Message, Origin)>, QueueError> {
        let fields =
            [("topic", FrameField::Str(topic.as_str())), ("last", FrameField::Int(last.into()))];
        self.command(format, Command::Get, &fields)?;
        let mut found = Vec::new();
        let is_all = |_, arrival| match arrival {
            Arrival::Value { message: Some(message), origin: Some(origin), .. } => {
                Ok(Some((message, *origin)))
            }
            Arrival::Values { .. } => Ok(None),
            other => Err(other),
        };
        while let Some(one) = self.answer(is_all)? {
            found.push(one);
        }
        Ok(found)
    }

    /// The streams, as a JSON array; see `docs/protocol.md`. Answered to those whom
    /// [`stats`](Self::stats) is answered to.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn streams(&mut self) -> Result<Message, QueueError> {
        self.command(Format::Json, Command::Streams, &[])?;
        self.answer(|_, arrival| match arrival {
            Arrival::Streams(streams) => Ok(streams),
            other => Err(other),
        })
    }

    /// The consumers of a stream, or of all, as a JSON array; see `docs/protocol.md`. Answered to
    /// those whom [`stats`](Self::stats) is answered to.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn consumers(&mut self, stream: Option<&str>) -> Result<Message, QueueError> {
        let stream = stream.map(|stream| ("stream", FrameField::Str(stream)));
        self.command(Format::Json, Command::Consumers, stream.as_slice())?;
        self.answer(|_, arrival| match arrival {
            Arrival::Consumers(consumers) => Ok(consumers),
            other => Err(other),
        })
    }

    /// Adds a stream, or gives the one of that name other limits. It, and what follows, is for
    /// those who may ask for a [`backup`](Self::backup).
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn add_stream(
        &mut self,
        stream: &str,
        filter: &TopicFilter,
        limits: StreamLimits,
    ) -> Result<(), QueueError> {
        let number = |number: u64| FrameField::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let seconds =
            |age: Duration| age.as_secs().saturating_add(u64::from(age.subsec_nanos() > 0));
        let mut fields = vec![
            ("stream", FrameField::Str(stream)),
            ("topic", FrameField::Str(filter.as_str())),
            ("full", FrameField::Str(limits.full.as_str())),
        ];
        fields.extend(limits.age.map(|age| ("age", number(seconds(age)))));
        fields.extend(limits.bytes.map(|bytes| ("bytes", number(bytes))));
        fields.extend(limits.messages.map(|messages| ("messages", number(messages))));
        self.administer(Command::AddStream, &fields)
    }

    /// Removes a stream, with all that it keeps and its consumers.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn remove_stream(&mut self, stream: &str) -> Result<(), QueueError> {
        self.administer(Command::RemoveStream, &[("stream", FrameField::Str(stream))])
    }

    /// Lets a consumer go on at another message: what it had not settled is settled no more.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn reset_consumer(
        &mut self,
        stream: &str,
        consumer: &str,
        start: impl Into<Start>,
    ) -> Result<(), QueueError> {
        let (start, mut text) = (start.into(), String::new());
        let start = start_field(start, &mut text);
        let fields = [
            ("stream", FrameField::Str(stream)),
            ("consumer", FrameField::Str(consumer)),
            ("start", start),
        ];
        self.administer(Command::ResetConsumer, &fields)
    }

    /// Forgets a consumer: how far it was, and what it had not settled.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn remove_consumer(&mut self, stream: &str, consumer: &str) -> Result<(), QueueError> {
        let fields = [("stream", FrameField::Str(stream)), ("consumer", FrameField::Str(consumer))];
        self.administer(Command::RemoveConsumer, &fields)
    }

    /// Has a message of a stream delivered to a consumer again, whatever became of it before.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn retry(&mut self, stream: &str, consumer: &str, seq: u64) -> Result<(), QueueError> {
        let fields = [
            ("stream", FrameField::Str(stream)),
            ("consumer", FrameField::Str(consumer)),
            ("seq", FrameField::Int(i64::try_from(seq).unwrap_or(i64::MAX))),
        ];
        self.administer(Command::Retry, &fields)
    }

    /// Deletes a message of a stream; the numbers of the others stay.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub fn delete(&mut self, stream: &str, seq: u64) -> Result<(), QueueError> {
        let seq = FrameField::Int(i64::try_from(seq).unwrap_or(i64::MAX));
        self.administer(Command::Delete, &[("stream", FrameField::Str(stream)), ("seq", seq)])
    }

    /// Sends a command that is done or refused.
    fn administer(
        &mut self,
        command: Command,
        fields: &[(&str, FrameField<'_>)],
    ) -> Result<(), QueueError> {
        self.command(Format::Json, command, fields)?;
        self.answer(|_, arrival| match arrival {
            Arrival::Done => Ok(Ok(())),
            Arrival::Refused(refused) => Ok(Err(refused)),
            other => Err(other),
        })?
        .map_err(QueueError::Refused)
    }
}
