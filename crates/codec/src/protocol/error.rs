//! The broker's refusals: a code for programs, a reason for people.

use std::fmt;
use std::ops::Deref;

use super::MAX_TOPIC_BYTES;

/// Why something was refused, as a word that a program can rely on: the `code` of an `error`
/// message.
///
/// ```
/// use babelmq_codec::{ErrorCode, Format, Message};
///
/// let refusal = Message::parse(Format::Json, b"[1, 2").unwrap_err();
/// assert_eq!(refusal.code, ErrorCode::MalformedJson);
/// assert_eq!(refusal.code.as_str(), "malformed-json");
/// assert!(!refusal.code.is_fatal());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The first byte of a frame announces no format. Fatal.
    UnknownFormat,
    /// A frame announces a body over the limit. Fatal.
    FrameTooLarge,
    /// The body is not JSON as RFC 8259 defines it.
    MalformedJson,
    /// The body is not well-formed XML 1.0 in UTF-8.
    MalformedXml,
    /// The body is not a pickle, or is one cut short.
    MalformedPickle,
    /// The pickle imports, calls, builds or fetches something.
    ForbiddenPickle,
    /// The XML has a document type, a foreign entity or an undeclared prefix.
    ForbiddenXml,
    /// The message nests deeper than [`MAX_DEPTH`](super::MAX_DEPTH).
    TooDeep,
    /// The message decodes to more than the budget, or would become a longer frame than it may.
    TooLarge,
    /// An integer has more than [`MAX_INT_DIGITS`](super::MAX_INT_DIGITS) digits.
    TooManyDigits,
    /// A value that no format can carry to all others: a lone surrogate, a number beyond a double.
    InvalidValue,
    /// A dict key or set element that Python could not hash.
    Unhashable,
    /// A structure that contains itself.
    Cycle,
    /// A known `$` tag (JSON) or `type` (XML) around content that is not of that type.
    InvalidTag,
    /// A pickle names a type of the model and makes no value of it: a date that is none.
    InvalidPickle,
    /// The body is not one map.
    NotAMap,
    /// A command that there is not.
    UnknownCommand,
    /// A command that this client may not use, or a topic that it has no right to.
    NotPermitted,
    /// Nothing but a login is taken before the client has logged in. Fatal.
    LoginRequired,
    /// There is no such user, or the password or token is another. Fatal.
    LoginFailed,
    /// A field that the command needs is missing.
    MissingField,
    /// A field has a value that it cannot have.
    InvalidField,
    /// A field is given twice.
    DuplicateField,
    /// A topic or topic filter that breaks the rules for topics.
    InvalidTopic,
    /// A connection has as many subscriptions as it may.
    TooManySubscriptions,
    /// The broker remembers as many last values, or as many bytes of them, as it may.
    StoreFull,
    /// The broker has no memory left for what was asked; what is smaller may find some.
    MemoryFull,
    /// Messages that were published before could not be written to the disk, so that no `pong` can
    /// say it was.
    StorageFailed,
    /// What brokers share topics by cannot be reached, or has not confirmed what was published
    /// before, so that no `pong` can say it has.
    BackboneUnavailable,
    /// No stream keeps this topic, or there is none of this name.
    NoStream,
    /// The connection consumes nothing under this name, or there is no consumer of it.
    NoConsumer,
    /// A stream has no room for a message, and refuses what it has no room for.
    StreamFull,
    /// Messages of a stream cannot be read; its consumer goes on behind them.
    Damaged,
    /// A frame was begun and not finished in time. Fatal.
    FrameTimeout,
    /// The subscriber did not keep up, and its queue is full. Fatal.
    SlowConsumer,
    /// The broker has as many connections as it may. Fatal.
    TooManyConnections,
    /// Somebody who administrates the broker has ended the connection. Fatal; another may be made.
    Disconnected,
}

impl ErrorCode {
    /// Every code, for documents and tests that must not forget one.
    pub const ALL: [ErrorCode; 37] = [
        ErrorCode::UnknownFormat,
        ErrorCode::FrameTooLarge,
        ErrorCode::MalformedJson,
        ErrorCode::MalformedXml,
        ErrorCode::MalformedPickle,
        ErrorCode::ForbiddenPickle,
        ErrorCode::ForbiddenXml,
        ErrorCode::TooDeep,
        ErrorCode::TooLarge,
        ErrorCode::TooManyDigits,
        ErrorCode::InvalidValue,
        ErrorCode::Unhashable,
        ErrorCode::Cycle,
        ErrorCode::InvalidTag,
        ErrorCode::InvalidPickle,
        ErrorCode::NotAMap,
        ErrorCode::UnknownCommand,
        ErrorCode::NotPermitted,
        ErrorCode::LoginRequired,
        ErrorCode::LoginFailed,
        ErrorCode::MissingField,
        ErrorCode::InvalidField,
        ErrorCode::DuplicateField,
        ErrorCode::InvalidTopic,
        ErrorCode::TooManySubscriptions,
        ErrorCode::StoreFull,
        ErrorCode::MemoryFull,
        ErrorCode::StorageFailed,
        ErrorCode::BackboneUnavailable,
        ErrorCode::NoStream,
        ErrorCode::NoConsumer,
        ErrorCode::StreamFull,
        ErrorCode::Damaged,
        ErrorCode::FrameTimeout,
        ErrorCode::SlowConsumer,
        ErrorCode::TooManyConnections,
        ErrorCode::Disconnected,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            ErrorCode::UnknownFormat => "unknown-format",
            ErrorCode::FrameTooLarge => "frame-too-large",
            ErrorCode::MalformedJson => "malformed-json",
            ErrorCode::MalformedXml => "malformed-xml",
            ErrorCode::MalformedPickle => "malformed-pickle",
            ErrorCode::ForbiddenPickle => "forbidden-pickle",
            ErrorCode::ForbiddenXml => "forbidden-xml",
            ErrorCode::TooDeep => "too-deep",
            ErrorCode::TooLarge => "too-large",
            ErrorCode::TooManyDigits => "too-many-digits",
            ErrorCode::InvalidValue => "invalid-value",
            ErrorCode::Unhashable => "unhashable",
            ErrorCode::Cycle => "cycle",
            ErrorCode::InvalidTag => "invalid-tag",
            ErrorCode::InvalidPickle => "invalid-pickle",
            ErrorCode::NotAMap => "not-a-map",
            ErrorCode::UnknownCommand => "unknown-command",
            ErrorCode::NotPermitted => "not-permitted",
            ErrorCode::LoginRequired => "login-required",
            ErrorCode::LoginFailed => "login-failed",
            ErrorCode::MissingField => "missing-field",
            ErrorCode::InvalidField => "invalid-field",
            ErrorCode::DuplicateField => "duplicate-field",
            ErrorCode::InvalidTopic => "invalid-topic",
            ErrorCode::TooManySubscriptions => "too-many-subscriptions",
            ErrorCode::StoreFull => "store-full",
            ErrorCode::MemoryFull => "memory-full",
            ErrorCode::StorageFailed => "storage-failed",
            ErrorCode::BackboneUnavailable => "backbone-unavailable",
            ErrorCode::NoStream => "no-stream",
            ErrorCode::NoConsumer => "no-consumer",
            ErrorCode::StreamFull => "stream-full",
            ErrorCode::Damaged => "damaged",
            ErrorCode::FrameTimeout => "frame-timeout",
            ErrorCode::SlowConsumer => "slow-consumer",
            ErrorCode::TooManyConnections => "too-many-connections",
            ErrorCode::Disconnected => "disconnected",
        }
    }

    /// Whether the connection ends with it. The others concern one message, and everything else
    /// goes on.
    pub fn is_fatal(self) -> bool {
        matches!(
            self,
            ErrorCode::UnknownFormat
                | ErrorCode::FrameTooLarge
                | ErrorCode::LoginRequired
                | ErrorCode::LoginFailed
                | ErrorCode::FrameTimeout
                | ErrorCode::SlowConsumer
                | ErrorCode::TooManyConnections
                | ErrorCode::Disconnected
        )
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A refusal: the code for the program, the reason for the person.
///
/// It is a pointer wide, so that a reader's results travel in registers on the way on which nothing
/// is refused.
///
/// ```
/// use babelmq_codec::{ErrorCode, Refusal};
///
/// let refusal = Refusal::new(ErrorCode::StoreFull, "there is no room").about("/weather");
/// assert_eq!(refusal.to_string(), "store-full: there is no room");
/// assert_eq!(refusal.topic.as_deref(), Some("/weather"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}", .0.code, .0.reason)]
pub struct Refusal(Box<Grounds>);

/// The content of a [`Refusal`].
///
/// ```
/// use babelmq_codec::{ErrorCode, Refusal, protocol::Grounds};
///
/// let refusal = Refusal::new(ErrorCode::TooDeep, "200 levels");
/// let Grounds { code, reason, topic } = &*refusal;
/// assert_eq!((*code, reason.as_str(), topic), (ErrorCode::TooDeep, "200 levels", &None));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grounds {
    /// What kind of refusal it is.
    pub code: ErrorCode,
    /// What was wrong, where, and what to do.
    pub reason: String,
    /// The topic that the refused message named, where it could be read.
    pub topic: Option<String>,
}

impl Refusal {
    /// A refusal that concerns no topic yet.
    #[cold]
    pub fn new(code: ErrorCode, reason: impl Into<String>) -> Refusal {
        Refusal(Box::new(Grounds { code, reason: reason.into(), topic: None }))
    }

    /// The same refusal, said of `topic`. One that is over [`MAX_TOPIC_BYTES`] is left out: it
    /// would make an answer as long as the frame, and whoever asks and does not read would fill the
    /// memory with those.
    #[must_use]
    pub fn about(mut self, topic: impl Into<String> + AsRef<str>) -> Refusal {
        if topic.as_ref().len() <= MAX_TOPIC_BYTES {
            self.0.topic = Some(topic.into());
        }
        self
    }
}

impl Deref for Refusal {
    type Target = Grounds;

    fn deref(&self) -> &Grounds {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own_kebab_case_word() {
        let mut words: Vec<&str> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(words.iter().all(|word| word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')));
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), ErrorCode::ALL.len());
    }
}
