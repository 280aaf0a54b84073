//! What a subscription can ask for.

use std::time::Duration;

use super::wire::write_command;
use crate::codec::FrameField;
use crate::protocol::{Command, Format, Order, Overflow, Start};

/// Which values JSON tags, so that they are what they were: see `docs/protocol.md`, "Values".
///
/// ```
/// use babelmq::{Exact, Subscribe};
///
/// assert_eq!(Subscribe::default().exact(true).exact, Exact::Tagged);
/// // For a program that hands it on to JavaScript.
/// assert_eq!(Subscribe::default().exact(Exact::Js).exact, Exact::Js);
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Exact {
    /// What JSON cannot tell apart is not told apart.
    #[default]
    No,
    /// What JSON cannot tell apart: tuples, sets, bytes, keys that are no strings.
    Tagged,
    /// That, and ints that a number of JavaScript cannot hold.
    Js,
}

impl From<bool> for Exact {
    fn from(exact: bool) -> Exact {
        if exact { Exact::Tagged } else { Exact::No }
    }
}

/// How a subscription is to be.
///
/// ```
/// use babelmq::{Exact, Overflow, Subscribe};
///
/// // A slow consumer loses messages instead of its connection.
/// let lossy = Subscribe::default().overflow(Overflow::DropOldest).queue(1_000);
/// // And one that wants what Python sent, tuples too.
/// let exact = Subscribe::default().exact(true);
/// // XML for a program that knows nothing of types.
/// let plain = Subscribe::default().plain(true).root("order");
/// # assert!(exact.exact == Exact::Tagged && lossy.queue == Some(1_000));
/// // What a stream keeps, from its first message on, under a name that it remembers.
/// let durable = Subscribe::default().consumer("billing").start(babelmq::Start::All);
/// # assert!(plain.plain && plain.root.as_deref() == Some("order"));
/// # assert!(durable.is_of_stream() && !lossy.is_of_stream());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Subscribe {
    /// Which values JSON tags.
    pub exact: Exact,
    /// Whether XML has no types, and looks as `xmltodict.unparse` writes it.
    pub plain: bool,
    /// The element that plain XML puts a value into which is not one element of its own; none of
    /// its own where it is `None`. With `item` it holds for the whole connection.
    pub root: Option<String>,
    /// The element of an item of a list that has no key, in plain XML; `item` where it is `None`.
    pub item: Option<String>,
    /// Whether [`Arrival::Cleared`](super::Arrival::Cleared) says when a last value is cleared, or
    /// expires.
    pub cleared: bool,
    /// What happens when the queue is full; `None` leaves it to the broker.
    pub overflow: Option<Overflow>,
    /// How many messages may wait; `None` leaves it to the broker.
    pub queue: Option<u32>,
    /// The durable consumer to be a member of: a name that the stream remembers, of letters, digits,
    /// `-`, `_` and `.`, of 64 bytes at most. Its members share its messages, and settle each.
    pub consumer: Option<String>,
    /// The stream; needed only where more than one covers what is subscribed to.
    pub stream: Option<String>,
    /// Where a consumer begins that is not there yet. Without a consumer it makes a follower, who
    /// is sent what is kept from there on and settles nothing.
    pub start: Option<Start>,
    /// How many messages may be delivered to this member and not settled, from 1 to 65,536; `None`
    /// leaves it to the broker (256), as with those that follow.
    pub window: Option<u32>,
    /// How long a message may stay unsettled before it is delivered again (30 s): from 1 ms to a
    /// year.
    pub ack_wait: Option<Duration>,
    /// How often a message is delivered before it is a dead letter (5).
    pub max_deliver: Option<u32>,
    /// The pauses before a message is delivered again, 32 at most; the last holds for all that
    /// follow. None where it is empty.
    pub backoff: Vec<Duration>,
    /// What stays in order (nothing).
    pub order: Option<Order>,
}

impl Subscribe {
    /// Says which values JSON tags: `true` for [`Exact::Tagged`].
    #[must_use]
    pub fn exact(self, exact: impl Into<Exact>) -> Subscribe {
        Subscribe { exact: exact.into(), ..self }
    }

    /// Says whether XML has no types.
    #[must_use]
    pub fn plain(self, plain: bool) -> Subscribe {
        Subscribe { plain, ..self }
    }

    /// Puts what is not one element into an element of that name, in plain XML.
    #[must_use]
    pub fn root(self, name: impl Into<String>) -> Subscribe {
        Subscribe { root: Some(name.into()), ..self }
    }

    /// Names the items of a list that has no key, in plain XML.
    #[must_use]
    pub fn item(self, name: impl Into<String>) -> Subscribe {
        Subscribe { item: Some(name.into()), ..self }
    }

    /// Says whether to be told when a last value is cleared, or expires.
    #[must_use]
    pub fn cleared(self, cleared: bool) -> Subscribe {
        Subscribe { cleared, ..self }
    }

    /// Says what happens when the queue is full.
    #[must_use]
    pub fn overflow(self, overflow: Overflow) -> Subscribe {
        Subscribe { overflow: Some(overflow), ..self }
    }

    /// Lets so many messages wait.
    #[must_use]
    pub fn queue(self, messages: u32) -> Subscribe {
        Subscribe { queue: Some(messages), ..self }
    }

    /// Consumes under a name that the stream remembers.
    #[must_use]
    pub fn consumer(self, name: impl Into<String>) -> Subscribe {
        Subscribe { consumer: Some(name.into()), ..self }
    }

    /// Names the stream.
    #[must_use]
    pub fn stream(self, name: impl Into<String>) -> Subscribe {
        Subscribe { stream: Some(name.into()), ..self }
    }

    /// Says where to begin: a [`Start`], a message's number, or a time.
    #[must_use]
    pub fn start(self, start: impl Into<Start>) -> Subscribe {
        Subscribe { start: Some(start.into()), ..self }
    }

    /// Lets so many messages be unsettled.
    #[must_use]
    pub fn window(self, messages: u32) -> Subscribe {
        Subscribe { window: Some(messages), ..self }
    }

    /// Lets a message be unsettled for so long.
    #[must_use]
    pub fn ack_wait(self, time: Duration) -> Subscribe {
        Subscribe { ack_wait: Some(time), ..self }
    }

    /// Has a message delivered so often at most.
    #[must_use]
    pub fn max_deliver(self, times: u32) -> Subscribe {
        Subscribe { max_deliver: Some(times), ..self }
    }

    /// Says the pauses before a message is delivered again.
    #[must_use]
    pub fn backoff(self, pauses: impl Into<Vec<Duration>>) -> Subscribe {
        Subscribe { backoff: pauses.into(), ..self }
    }

    /// Says what stays in order.
    #[must_use]
    pub fn order(self, order: Order) -> Subscribe {
        Subscribe { order: Some(order), ..self }
    }

    /// Whether it is of a stream: a consumer's, or a follower's.
    pub fn is_of_stream(&self) -> bool {
        self.consumer.is_some() || self.start.is_some()
    }
}

/// Appends the `subscribe` frame: of a filter, with what is below it or without.
pub(super) fn write_subscribe(
    format: Format,
    (filter, below): (&str, bool),
    how: &Subscribe,
    out: &mut Vec<u8>,
) {
    let mut fields = vec![("topic", FrameField::Str(filter))];
    if !below {
        fields.push(("below", FrameField::Bool(false)));
    }
    match how.exact {
        // Without it dates and arrays would have lost their types.
        Exact::No if format == Format::Pickle => fields.push(("exact", FrameField::Bool(true))),
        Exact::No => {}
        Exact::Tagged => fields.push(("exact", FrameField::Bool(true))),
        Exact::Js => fields.push(("exact", FrameField::Str("js"))),
    }
    for (name, asked) in [("plain", how.plain), ("cleared", how.cleared)] {
        fields.extend(asked.then_some((name, FrameField::Bool(true))));
    }
    for (name, given) in [("root", &how.root), ("item", &how.item)] {
        fields.extend(given.as_deref().map(|given| (name, FrameField::Str(given))));
    }
    if let Some(overflow) = how.overflow {
        fields.push(("overflow", FrameField::Str(overflow.as_str())));
    }
    if let Some(queue) = how.queue {
        fields.push(("queue", FrameField::Int(queue.into())));
    }
    for (name, given) in [("consumer", &how.consumer), ("stream", &how.stream)] {
        fields.extend(given.as_deref().map(|given| (name, FrameField::Str(given))));
    }
    let mut text = String::new();
    if let Some(start) = how.start {
        fields.push(("start", start_field(start, &mut text)));
    }
    for (name, given) in [("window", how.window), ("max-deliver", how.max_deliver)] {
        fields.extend(given.map(|given| (name, FrameField::Int(given.into()))));
    }
    if let Some(time) = how.ack_wait {
        fields.push(("ack-wait", FrameField::Float(time.as_secs_f64())));
    }
    let pauses: Vec<f64> = how.backoff.iter().map(Duration::as_secs_f64).collect();
    if !pauses.is_empty() {
        fields.push(("backoff", FrameField::Floats(&pauses)));
    }
    if let Some(order) = how.order {
        fields.push(("order", FrameField::Str(order.as_str())));
    }
    write_command(format, Command::Subscribe.as_str(), &fields, out);
}

/// The field `start`, for which `text` holds what is no number.
pub(super) fn start_field(start: Start, text: &mut String) -> FrameField<'_> {
    if let Start::Seq(seq) = start {
        return FrameField::Int(i64::try_from(seq).unwrap_or(i64::MAX));
    }
    *text = start.to_string();
    FrameField::Str(text)
}
