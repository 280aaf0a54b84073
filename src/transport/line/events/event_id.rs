//! What the event of a message of a stream is called: the stream and the message's number, from
//! which somebody who was cut off goes on.

/// What a delivery begins with, up to its topic.
const TOPIC: &[u8] = br#"{"command":"publish","topic":""#;
/// What is between its topic and its stream, if it has one.
const STREAM: &[u8] = br#"","stream":""#;
/// What is between stream and number.
const SEQ: &[u8] = br#"","seq":"#;

/// The name of an event, as it is found in a frame that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct EventId {
    at: At,
    /// What is known of it.
    id: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default)]
enum At {
    #[default]
    Start,
    /// So many bytes of what a delivery begins with have been seen.
    Before(usize),
    /// Within the topic; behind a backslash or not.
    Topic(bool),
    /// The same of what is between topic and stream.
    Between(usize),
    Stream,
    BeforeSeq(usize),
    Seq,
    /// All of it was seen.
    Found,
    /// It is no message of a stream.
    Nothing,
}

impl EventId {
    /// Looks at what comes next of the frame.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if !self.is_sought() {
                return;
            }
            self.at = self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) -> At {
        let is_next = |text: &[u8], at: usize| text.get(at) == Some(&byte);
        match self.at {
            At::Start if is_next(TOPIC, 0) => At::Before(1),
            At::Before(at) if is_next(TOPIC, at) && at + 1 == TOPIC.len() => At::Topic(false),
            At::Before(at) if is_next(TOPIC, at) => At::Before(at + 1),
            At::Topic(true) => At::Topic(false),
            At::Topic(false) if byte == b'"' => At::Between(1),
            At::Topic(false) => At::Topic(byte == b'\\'),
            At::Between(at) if is_next(STREAM, at) && at + 1 == STREAM.len() => At::Stream,
            At::Between(at) if is_next(STREAM, at) => At::Between(at + 1),
            At::Stream if byte == b'"' => {
                self.id.push(b':');
                At::BeforeSeq(1)
            }
            // The name of a stream has letters, digits and few signs.
            At::Stream if byte.is_ascii_graphic() && byte != b'\\' => {
                self.id.push(byte);
                At::Stream
            }
            At::BeforeSeq(at) if is_next(SEQ, at) && at + 1 == SEQ.len() => At::Seq,
            At::BeforeSeq(at) if is_next(SEQ, at) => At::BeforeSeq(at + 1),
            At::Seq if byte.is_ascii_digit() => {
                self.id.push(byte);
                At::Seq
            }
            At::Seq => At::Found,
            _ => At::Nothing,
        }
    }

    /// Whether more of the frame is to be looked at.
    pub(super) fn is_sought(&self) -> bool {
        !matches!(self.at, At::Found | At::Nothing)
    }

    /// What the event is called, if that is known.
    pub(super) fn found(&self) -> Option<&[u8]> {
        matches!(self.at, At::Found).then_some(&self.id)
    }
}
