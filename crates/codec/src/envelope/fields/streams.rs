//! The fields of requests that concern streams. Few requests have one, so they cost the others
//! nothing.

use std::borrow::Cow;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::{Field, Name, invalid, missing, optional_str, shown, twice};
use crate::Document;
use crate::envelope::request::ControlRequest;
use crate::protocol::{
    AdminRequest, Command, DurableRequest, ErrorCode, MAX_BACKOFF, MAX_LAST, MAX_PUBLISH_ID_BYTES,
    MAX_REASON_BYTES, MAX_SECONDS, MAX_WINDOW, Order, Refusal, Settlement, Start, TopicFilter,
    WhenFull,
};

/// An integer in a format has 64 bits and a sign.
const MOST: u64 = i64::MAX as u64;
/// The shortest time in which a delivery has to be settled, in seconds.
const SHORTEST: f64 = 0.001;

/// The fields that few requests have: at most one of each name.
#[derive(Debug, Default)]
pub(super) struct Rare<'a>(Vec<(Name, Field<'a>)>);

impl<'a> Rare<'a> {
    /// Takes a field.
    ///
    /// # Errors
    /// [`ErrorCode::DuplicateField`] where it was taken before.
    #[cold]
    pub(super) fn set(&mut self, name: Name, value: Field<'a>) -> Result<(), Refusal> {
        if self.0.iter().any(|(taken, _)| *taken == name) {
            return Err(twice(name));
        }
        self.0.push((name, value));
        Ok(())
    }

    /// Gives a field away.
    fn take(&mut self, name: Name) -> Option<Field<'a>> {
        let at = self.0.iter().position(|(taken, _)| *taken == name)?;
        Some(self.0.swap_remove(at).1)
    }

    fn text(&mut self, name: Name) -> Result<Option<Cow<'a, str>>, Refusal> {
        let field = self.take(name);
        optional_str(name, field)
    }

    fn owned(&mut self, name: Name) -> Result<Option<String>, Refusal> {
        Ok(self.text(name)?.map(Cow::into_owned))
    }

    /// A field that a command needs.
    fn needed(&mut self, name: Name, command: Command) -> Result<String, Refusal> {
        self.owned(name)?.ok_or_else(|| missing(name.as_str(), command))
    }

    fn seq(&mut self, name: Name, is_xml: bool) -> Result<Option<u64>, Refusal> {
        integer((name, "an integer"), self.take(name), 1..=MOST, is_xml)
    }
}

/// The first values of the list that begins at `at`, one more than a field may have.
pub(super) fn list<'a>(source: &'a [u8], document: &Document, at: usize) -> Field<'a> {
    let nodes = document.nodes();
    let end = at + nodes[at].nodes();
    let mut items = Vec::new();
    let mut at = at + 1;
    while at < end && items.len() <= MAX_BACKOFF {
        items.push(Field::from_node(source, document, nodes[at]));
        at += nodes[at].nodes();
    }
    Field::List(items.into())
}

/// The `id` of a publish.
pub(super) fn publish_id(field: Option<Field<'_>>) -> Result<Option<Box<str>>, Refusal> {
    match field {
        None => Ok(None),
        Some(Field::Str(text)) if (1..=MAX_PUBLISH_ID_BYTES).contains(&text.len()) => {
            Ok(Some(text.into()))
        }
        Some(found) => {
            let wanted =
                format!("must be a string of 1 to {MAX_PUBLISH_ID_BYTES} bytes in a publish");
            Err(invalid(Name::Id, &wanted, &found))
        }
    }
}

/// What a `subscribe` says of a stream; `None` where it is of none.
pub(super) fn durable(
    rare: &mut Rare<'_>,
    is_xml: bool,
) -> Result<Option<Box<DurableRequest>>, Refusal> {
    if rare.0.is_empty() {
        return Ok(None);
    }
    let window = rare.take(Name::Window);
    let max_deliver = rare.take(Name::MaxDeliver);
    let ack_wait = rare.take(Name::AckWait);
    let backoff = rare.take(Name::Backoff);
    let order = rare.take(Name::Order);
    let of_consumer = [
        (Name::Window, window.is_some()),
        (Name::MaxDeliver, max_deliver.is_some()),
        (Name::AckWait, ack_wait.is_some()),
        (Name::Backoff, backoff.is_some()),
        (Name::Order, order.is_some()),
    ];
    let of_consumer = of_consumer.into_iter().find(|(_, is_given)| *is_given);
    let request = DurableRequest {
        consumer: rare.owned(Name::Consumer)?,
        stream: rare.owned(Name::Stream)?,
        start: start(rare.take(Name::Start), is_xml)?,
        window: short((Name::Window, "a number of messages"), window, 1..=MAX_WINDOW, is_xml)?,
        ack_wait: seconds(Name::AckWait, ack_wait, SHORTEST, is_xml)?,
        max_deliver: short((Name::MaxDeliver, "a number"), max_deliver, 1..=u32::MAX, is_xml)?,
        backoff: pauses(backoff, is_xml)?,
        order: order_of(order)?,
    };
    let lacks = |name: Name, other: &str| {
        let reason =
            format!("a \"subscribe\" with a field {:?} needs a field {other}", name.as_str());
        Err(Refusal::new(ErrorCode::MissingField, reason))
    };
    match (&request, of_consumer) {
        (DurableRequest { consumer: None, .. }, Some((name, _))) => lacks(name, "\"consumer\""),
        (DurableRequest { consumer: None, start: None, stream: Some(_), .. }, _) => {
            lacks(Name::Stream, "\"consumer\" or \"start\"")
        }
        // The others mean nothing here, as fields that the broker does not know.
        (DurableRequest { consumer: None, start: None, .. }, _) => Ok(None),
        _ => Ok(Some(Box::new(request))),
    }
}

/// How many of the last messages a `get` asks for.
pub(super) fn last(rare: &mut Rare<'_>, is_xml: bool) -> Result<Option<u32>, Refusal> {
    short((Name::Last, "a number of messages"), rare.take(Name::Last), 1..=MAX_LAST, is_xml)
}

/// A stream and a consumer, where they are named.
type Names = (Option<Box<str>>, Option<Box<str>>);

/// Takes both names.
pub(super) fn names(rare: &mut Rare<'_>) -> Result<Names, Refusal> {
    let name = |name: Option<Cow<'_, str>>| name.map(Into::into);
    Ok((name(rare.text(Name::Stream)?), name(rare.text(Name::Consumer)?)))
}

/// What a consumer says of a message.
pub(super) fn settle<'a>(
    command: Command,
    mut rare: Rare<'a>,
    is_xml: bool,
) -> Result<ControlRequest<'a>, Refusal> {
    let (stream, consumer) = names(&mut rare)?;
    let seq = rare.seq(Name::Seq, is_xml)?;
    let needed = || seq.ok_or_else(|| missing("seq", command));
    let what = match command {
        Command::Nak => {
            let delay = seconds(Name::Delay, rare.take(Name::Delay), 0.0, is_xml)?;
            Settlement::Nak { seq: needed()?, delay }
        }
        Command::Touch => Settlement::Touch { seq: needed()? },
        Command::Reject => {
            let reason = rare.text(Name::Reason)?.unwrap_or_default();
            let is_kept =
                |(at, character): &(usize, char)| at + character.len_utf8() <= MAX_REASON_BYTES;
            let kept = reason.char_indices().take_while(is_kept).map(|(_, character)| character);
            let reason = kept.collect::<String>().into();
            Settlement::Reject { seq: needed()?, reason }
        }
        _ => match (seq, rare.seq(Name::Upto, is_xml)?) {
            (Some(seq), None) => Settlement::Ack { seq },
            (None, Some(seq)) => Settlement::AckUpto { seq },
            (None, None) => return Err(missing("seq", command)),
            (Some(_), Some(_)) => {
                let reason = "an \"ack\" has a field \"seq\" or a field \"upto\", and not both";
                return Err(Refusal::new(ErrorCode::InvalidField, reason));
            }
        },
    };
    Ok(ControlRequest::Settle { stream, consumer, what })
}

/// What concerns the streams themselves.
pub(super) fn administer(
    command: Command,
    topic: Option<Cow<'_, str>>,
    mut rare: Rare<'_>,
    is_xml: bool,
) -> Result<AdminRequest, Refusal> {
    if command == Command::Streams {
        return Ok(AdminRequest::Streams);
    }
    if command == Command::Consumers {
        return Ok(AdminRequest::Consumers { stream: rare.owned(Name::Stream)? });
    }
    let stream = rare.needed(Name::Stream, command)?;
    Ok(match command {
        Command::AddStream => {
            let topic = topic.ok_or_else(|| missing("topic", command))?;
            let age = integer(
                (Name::Age, "a number of seconds"),
                rare.take(Name::Age),
                1..=u64::from(u32::MAX),
                is_xml,
            )?;
            AdminRequest::AddStream {
                stream,
                filter: TopicFilter::parse(&topic)?,
                age: age.map(Duration::from_secs),
                bytes: integer(
                    (Name::Bytes, "a number"),
                    rare.take(Name::Bytes),
                    1..=MOST,
                    is_xml,
                )?,
                messages: integer(
                    (Name::Messages, "a number"),
                    rare.take(Name::Messages),
                    1..=MOST,
                    is_xml,
                )?,
                full: when_full(rare.take(Name::Full))?,
            }
        }
        Command::RemoveStream => AdminRequest::RemoveStream { stream },
        Command::Delete => AdminRequest::Delete {
            stream,
            seq: rare.seq(Name::Seq, is_xml)?.ok_or_else(|| missing("seq", command))?,
        },
        _ => {
            let consumer = rare.needed(Name::Consumer, command)?;
            match command {
                Command::ResetConsumer => AdminRequest::ResetConsumer {
                    stream,
                    consumer,
                    start: start(rare.take(Name::Start), is_xml)?
                        .ok_or_else(|| missing("start", command))?,
                },
                Command::Retry => AdminRequest::Retry {
                    stream,
                    consumer,
                    seq: rare.seq(Name::Seq, is_xml)?.ok_or_else(|| missing("seq", command))?,
                },
                _ => AdminRequest::RemoveConsumer { stream, consumer },
            }
        }
    })
}

/// An integer from a range; in XML as text.
fn integer(
    (name, what): (Name, &str),
    field: Option<Field<'_>>,
    range: RangeInclusive<u64>,
    is_xml: bool,
) -> Result<Option<u64>, Refusal> {
    let Some(field) = field else { return Ok(None) };
    match whole(&field, is_xml).filter(|number| range.contains(number)) {
        Some(number) => Ok(Some(number)),
        None => {
            let (first, last) = (range.start(), range.end());
            Err(invalid(name, &format!("must be {what}, from {first} to {last}"), &field))
        }
    }
}

/// The same, of 32 bits.
fn short(
    name: (Name, &str),
    field: Option<Field<'_>>,
    range: RangeInclusive<u32>,
    is_xml: bool,
) -> Result<Option<u32>, Refusal> {
    let (first, last) = range.into_inner();
    let number = integer(name, field, u64::from(first)..=u64::from(last), is_xml)?;
    Ok(number.and_then(|number| u32::try_from(number).ok()))
}

fn whole(field: &Field<'_>, is_xml: bool) -> Option<u64> {
    match field {
        Field::Int(number) => u64::try_from(*number).ok(),
        Field::Str(text) if is_xml && text.bytes().all(|byte| byte.is_ascii_digit()) => {
            text.parse().ok()
        }
        _ => None,
    }
}

/// Seconds, from `least` on, that may have a fraction; in XML as text.
fn seconds(
    name: Name,
    field: Option<Field<'_>>,
    least: f64,
    is_xml: bool,
) -> Result<Option<Duration>, Refusal> {
    let Some(field) = field else { return Ok(None) };
    match duration(&field, least, is_xml) {
        Some(duration) => Ok(Some(duration)),
        None => {
            let wanted = format!("must be a number of seconds, from {least} to {MAX_SECONDS}");
            Err(invalid(name, &wanted, &field))
        }
    }
}

fn duration(field: &Field<'_>, least: f64, is_xml: bool) -> Option<Duration> {
    let seconds = match field {
        Field::Int(number) => *number as f64,
        Field::Float(number) => *number,
        Field::Str(text) if is_xml => text.parse().ok()?,
        _ => return None,
    };
    let is_within = (least..=f64::from(MAX_SECONDS)).contains(&seconds);
    is_within.then(|| Duration::try_from_secs_f64(seconds).ok()).flatten()
}

/// The pauses of a `backoff`.
fn pauses(field: Option<Field<'_>>, is_xml: bool) -> Result<Option<Box<[Duration]>>, Refusal> {
    let wanted = || format!("must be a list of 1 to {MAX_BACKOFF} numbers of seconds");
    let items = match field {
        None => return Ok(None),
        Some(Field::List(items)) if (1..=MAX_BACKOFF).contains(&items.len()) => items,
        Some(Field::List(items)) => {
            let found = if items.is_empty() { "an empty list" } else { "a longer list" };
            return Err(invalid(Name::Backoff, &wanted(), &Field::Other(found)));
        }
        Some(other) => return Err(invalid(Name::Backoff, &wanted(), &other)),
    };
    let pause = |item: &Field<'_>| {
        duration(item, 0.0, is_xml).ok_or_else(|| {
            let wanted = format!("is a list of numbers of seconds, from 0 to {MAX_SECONDS}");
            invalid(Name::Backoff, &wanted, item)
        })
    };
    items.iter().map(pause).collect::<Result<_, _>>().map(Some)
}

/// Where a consumer begins.
fn start(field: Option<Field<'_>>, is_xml: bool) -> Result<Option<Start>, Refusal> {
    let Some(field) = field else { return Ok(None) };
    let start = match (whole(&field, is_xml), &field) {
        (Some(seq), _) => (1..=MOST).contains(&seq).then_some(Start::Seq(seq)),
        (None, Field::Str(word)) => Start::from_word(word),
        (None, Field::Datetime(time)) => Start::from_word(time),
        _ => None,
    };
    start.map(Some).ok_or_else(|| {
        let wanted = "must be \"new\", \"all\", \"last\", the number of a message from 1 on, or a \
                      time with its offset as 2026-11-29T17:00:00Z";
        invalid(Name::Start, wanted, &field)
    })
}

fn order_of(field: Option<Field<'_>>) -> Result<Option<Order>, Refusal> {
    let words = || Order::ALL.map(Order::as_str).join(", ");
    one_of(Name::Order, field, Order::from_word, words)
}

fn when_full(field: Option<Field<'_>>) -> Result<Option<WhenFull>, Refusal> {
    let words = || WhenFull::ALL.map(WhenFull::as_str).join(", ");
    one_of(Name::Full, field, WhenFull::from_word, words)
}

/// One of a few words.
fn one_of<T>(
    name: Name,
    field: Option<Field<'_>>,
    from_word: impl Fn(&str) -> Option<T>,
    words: impl Fn() -> String,
) -> Result<Option<T>, Refusal> {
    let Some(word) = optional_str(name, field)? else { return Ok(None) };
    from_word(&word).map(Some).ok_or_else(|| {
        let (name, word) = (name.as_str(), shown(&word));
        let reason = format!("field {name:?} is {word:?}; it can be {}", words());
        Refusal::new(ErrorCode::InvalidField, reason)
    })
}
