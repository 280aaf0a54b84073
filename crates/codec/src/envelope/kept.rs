//! Deliveries of a stream: what [`write_frame`](super::write_frame) would write for them, of which
//! topic, number, time and payload differ from one message to the next.

mod time;

use super::dialect::Dialect;
use super::live::framed;
use super::longest::encoded_room;
use super::write::{Content, Field, write_frame};
use crate::number::put_int;
use crate::out_buf::{OutBuf, OutVec, Stop, at_the_end_of};
use crate::protocol::Format;
use crate::xml::PlainNames;
use crate::{json, pickle, xml};
use time::TimeText;

/// Bytes of a delivery beside its topic and payload, about: room for it.
const AROUND: usize = 320;

/// What stands in the deliveries of one member of a consumer beside topic and payload.
///
/// It is made once for a member, and told of each message: nothing is allocated for one then.
///
/// ```
/// use babelmq_codec::{Content, Dialect, Format, Frame, KeptFields};
///
/// let mut kept = KeptFields::new(Format::Json, "orders", Some("billing"));
/// kept.set(5, 1_764_435_600_123, 2);
/// let mut frame = Vec::new();
/// Frame::Kept(&kept).write(&mut frame, Dialect::Json, "/orders/7", Content::Published(b"1"));
/// assert_eq!(
///     str::from_utf8(&frame[5..]),
///     Ok("{\"command\":\"publish\",\"topic\":\"/orders/7\",\"stream\":\"orders\",\
///         \"consumer\":\"billing\",\"seq\":5,\"time\":\"2025-11-29T17:00:00.123Z\",\
///         \"attempt\":2,\"message\":1}"),
/// );
/// ```
#[derive(Clone, Debug)]
pub struct KeptFields {
    stream: Box<str>,
    consumer: Option<Box<str>>,
    /// The format of the deliveries, and what stands in them between topic and number.
    format: Format,
    between: Box<[u8]>,
    seq: u64,
    time: TimeText,
    attempt: u32,
}

impl KeptFields {
    /// Deliveries in `format` of a stream, to a consumer or to a follower.
    pub fn new(format: Format, stream: &str, consumer: Option<&str>) -> KeptFields {
        let mut between = Vec::new();
        let names = [Some(("stream", stream)), consumer.map(|consumer| ("consumer", consumer))];
        for (name, text) in names.into_iter().flatten() {
            match format {
                Format::Json => {
                    between.push(b',');
                    json::write_str(name.as_bytes(), &mut between);
                    between.push(b':');
                    json::write_str(text.as_bytes(), &mut between);
                }
                Format::Xml => xml::write_attribute(name, text.as_bytes(), &mut between),
                Format::Pickle => {
                    pickle::write_str(name.as_bytes(), &mut between);
                    pickle::write_str(text.as_bytes(), &mut between);
                }
            }
        }
        between.extend_from_slice(match format {
            Format::Json => b",\"seq\":",
            Format::Xml => b" seq=\"",
            Format::Pickle => b"\x8c\x03seq",
        });
        KeptFields {
            stream: stream.into(),
            consumer: consumer.map(Into::into),
            format,
            between: between.into(),
            seq: 0,
            time: TimeText::default(),
            attempt: 1,
        }
    }

    /// Says which message is next: its number, when it was published in milliseconds since 1970,
    /// and how often it was delivered with this time. The first attempt is not written.
    #[inline]
    pub fn set(&mut self, seq: u64, time: u64, attempt: u32) {
        (self.seq, self.attempt) = (seq, attempt);
        self.time.set(time);
    }
}

/// Appends the delivery of a message of a stream, or with `is_value` one of those that a `get`
/// asked for.
pub fn write_kept(
    out: &mut Vec<u8>,
    dialect: Dialect,
    topic: &str,
    kept: &KeptFields,
    message: Content<'_>,
    is_value: bool,
) {
    // A guess: a page that is too small is made larger.
    let guess = match message {
        Content::Published(bytes) => bytes.len() + 2 * topic.len() + AROUND,
        Content::Decoded(view) => 32 * view.nodes().len() + 2 * topic.len() + AROUND,
    };
    let is_written = at_the_end_of(out, guess, |sheet| {
        let size = || match message {
            Content::Decoded(view) => encoded_room(view, dialect),
            Content::Published(bytes) => bytes.len() as u64,
        };
        kept.format == dialect.format()
            && kept.put(sheet, dialect, topic, (message, is_value), size)
    });
    if !is_written {
        kept.write_slowly(out, dialect, topic, message, is_value);
    }
}

impl KeptFields {
    /// Appends what is usual, and says whether it did.
    fn put(
        &self,
        sheet: &mut OutVec,
        dialect: Dialect,
        topic: &str,
        (message, is_value): (Content<'_>, bool),
        size: impl FnOnce() -> u64,
    ) -> bool {
        // The number of a message is one of 63 bits, as all integers on the wire.
        let seq = i64::try_from(self.seq).unwrap_or(i64::MAX);
        let topic = topic.as_bytes();
        match self.format {
            Format::Json => framed(sheet, dialect, size, |mut page| {
                page.slice(if is_value {
                    b"\0\0\0\0\0{\"command\":\"value\",\"topic\":"
                } else {
                    b"\0\0\0\0\0{\"command\":\"publish\",\"topic\":"
                })?;
                page = json::put_text(topic, page)?;
                page.slice(&self.between)?;
                put_int(&mut page, seq)?;
                page.put(b",\"time\":\"")?;
                page.put(self.time.text())?;
                page.put(b"\"")?;
                if self.attempt > 1 {
                    page.put(b",\"attempt\":")?;
                    put_int(&mut page, i64::from(self.attempt))?;
                }
                page.put(b",\"message\":")?;
                page = put_payload(message, dialect, page)?;
                page.put(b"}")?;
                Ok(page)
            }),
            Format::Xml if xml::is_plain(topic) => framed(sheet, dialect, size, |mut page| {
                page.slice(if is_value {
                    b"\0\0\0\0\0<frame command=\"value\" topic=\""
                } else {
                    b"\0\0\0\0\0<frame command=\"publish\" topic=\""
                })?;
                page.slice(topic)?;
                page.put(b"\"")?;
                page.slice(&self.between)?;
                put_int(&mut page, seq)?;
                page.put(b"\" time=\"")?;
                page.put(self.time.text())?;
                if self.attempt > 1 {
                    page.put(b"\" attempt=\"")?;
                    put_int(&mut page, i64::from(self.attempt))?;
                }
                page.put(b"\">")?;
                page = put_payload(message, dialect, page)?;
                page.put(b"</frame>")?;
                Ok(page)
            }),
            Format::Pickle => framed(sheet, dialect, size, |mut page| {
                page.slice(if is_value {
                    b"\0\0\0\0\0\x80\x04}(\x8c\x07command\x8c\x05value\x8c\x05topic"
                } else {
                    b"\0\0\0\0\0\x80\x04}(\x8c\x07command\x8c\x07publish\x8c\x05topic"
                })?;
                page = pickle::put_text(topic, page)?;
                page.slice(&self.between)?;
                pickle::put_int(&mut page, seq)?;
                page.put(b"\x8c\x04time\x8c\x18")?;
                page.put(self.time.text())?;
                if self.attempt > 1 {
                    page.put(b"\x8c\x07attempt")?;
                    pickle::put_int(&mut page, i64::from(self.attempt))?;
                }
                page.put(b"\x8c\x07message")?;
                page = put_payload(message, dialect, page)?;
                page.put(b"u.")?;
                Ok(page)
            }),
            Format::Xml => false,
        }
    }

    /// Appends any other: a topic that no attribute can hold.
    #[cold]
    fn write_slowly(
        &self,
        out: &mut Vec<u8>,
        dialect: Dialect,
        topic: &str,
        message: Content<'_>,
        is_value: bool,
    ) {
        let int = |number| Field::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let time = str::from_utf8(self.time.text()).unwrap_or_default();
        let fields = [
            Some(("command", Field::Str(if is_value { "value" } else { "publish" }))),
            Some(("topic", Field::Str(topic))),
            Some(("stream", Field::Str(&self.stream))),
            self.consumer.as_deref().map(|consumer| ("consumer", Field::Str(consumer))),
            Some(("seq", int(self.seq))),
            Some(("time", Field::Str(time))),
            (self.attempt > 1).then(|| ("attempt", int(u64::from(self.attempt)))),
        ];
        write_frame(out, dialect, fields.iter().flatten(), Some(message));
    }
}

#[inline]
fn put_payload<'p>(
    message: Content<'_>,
    dialect: Dialect,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let view = match message {
        // A producer's pickle is never passed on, so there is no published form of it.
        Content::Published(_) if dialect.format() == Format::Pickle => return Err(Stop::Unusual),
        Content::Published(bytes) => {
            page.slice(bytes)?;
            return Ok(page);
        }
        Content::Decoded(view) => view,
    };
    match dialect {
        Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
            json::put(view, dialect.tags(), page)
        }
        Dialect::Xml => xml::put(view, page),
        Dialect::PlainXml => xml::put_plain(view, &PlainNames::default(), page),
        Dialect::Pickle | Dialect::ExactPickle => pickle::put(view, dialect.classes(), page),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Document, Node};

    const ELEMENT: &[u8] = b"<message type=\"int\">1</message>";

    /// The quick way writes what the slow one does, for every format, topic and number.
    #[test]
    fn a_kept_delivery_is_a_frame_like_any_other() {
        let mut document = Document::new();
        let root = document.push(Node::Int(1));
        let view = document.view(b"", root);
        let topics = ["weather/oslo", "a&b", "a\"b", "ü", "\u{ffff}", &"long".repeat(200)];
        let seqs = [1, 9, 10, 255, 256, 65_535, 65_536, 1 << 31, 1 << 40, i64::MAX as u64];
        for (topic, seq) in topics.into_iter().flat_map(|topic| seqs.map(|seq| (topic, seq))) {
            for dialect in Dialect::ALL {
                for consumer in [None, Some("billing")] {
                    let mut kept = KeptFields::new(dialect.format(), "orders", consumer);
                    kept.set(seq, seq.wrapping_mul(12_345), (seq % 3) as u32);
                    for message in [Content::Decoded(view), Content::Published(ELEMENT)] {
                        for is_value in [false, true] {
                            let (mut quick, mut slow) = (b"before".to_vec(), b"before".to_vec());
                            write_kept(&mut quick, dialect, topic, &kept, message, is_value);
                            kept.write_slowly(&mut slow, dialect, topic, message, is_value);
                            assert_eq!(
                                quick.escape_ascii().to_string(),
                                slow.escape_ascii().to_string()
                            );
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_client_reads() {
        let mut kept = KeptFields::new(Format::Xml, "orders", None);
        kept.set(7, 0, 1);
        let mut frame = Vec::new();
        write_kept(&mut frame, Dialect::Xml, "a", &kept, Content::Published(ELEMENT), true);
        assert_eq!(
            str::from_utf8(&frame[5..]),
            Ok("<frame command=\"value\" topic=\"a\" stream=\"orders\" seq=\"7\" \
                time=\"1970-01-01T00:00:00.000Z\"><message type=\"int\">1</message></frame>")
        );
    }
}
