//! What a subscription can ask for.

use super::wire::write_command;
use crate::codec::FrameField;
use crate::protocol::{Command, Format, Overflow};

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
/// # assert!(plain.plain && plain.root.as_deref() == Some("order"));
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
    write_command(format, Command::Subscribe.as_str(), &fields, out);
}
