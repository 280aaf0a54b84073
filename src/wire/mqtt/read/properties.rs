//! Properties as they come: checked once, and looked through where they lie.

use std::borrow::Cow;

use super::super::fault::Fault;
use super::super::property::{self, Place, Row, Shape};
use super::super::reason::Reason;
use super::cursor::Cursor;

/// The properties of a packet, which were checked, without their length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Properties<'a>(&'a [u8]);

/// A property.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Property<'a> {
    /// Its number.
    pub id: u8,
    /// Its name in the specification.
    pub name: &'static str,
    /// What it says.
    pub value: Value<'a>,
}

/// What a property says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A number, of whichever length.
    Number(u32),
    /// A text.
    Text(&'a str),
    /// Bytes.
    Binary(&'a [u8]),
    /// A name and a value.
    Pair(&'a str, &'a str),
}

impl<'a> Properties<'a> {
    /// Reads properties with their length before them, and shows each of them.
    ///
    /// # Errors
    /// One that there is not, or not there, or twice; a value that it cannot have. `each` gives
    /// a reason and what is wrong.
    #[inline]
    pub(super) fn read(
        cursor: &mut Cursor<'a>,
        place: Place,
        mut each: impl FnMut(Property<'a>) -> Result<(), (Reason, &'static str)>,
    ) -> Result<Properties<'a>, Fault> {
        let length = cursor.varint("Property Length")?;
        if length == 0 {
            return Ok(Properties::default());
        }
        let mut part = cursor.part(length, "Property Length")?;
        let mut seen = 0_u64;
        let start = part.at();
        while !part.is_at_end() {
            let at = part.at();
            let (row, property) = next(&mut part)?;
            let fault = |reason, what| Err(part.fault(reason, row.name, at, what));
            if !row.may_be_in(place) {
                return fault(Reason::MALFORMED, "this property has no place here");
            }
            if seen >> property.id & 1 == 1 && property.id != property::USER {
                return fault(Reason::PROTOCOL_ERROR, "it is there twice");
            }
            seen |= 1 << property.id;
            if let Err((reason, what)) = each(property) {
                return fault(reason, what);
            }
        }
        Ok(Properties(part.since(start)))
    }

    /// Properties that were checked before they were put where they are: those that were
    /// [to be kept](Properties::to_keep).
    pub fn kept(bytes: &'a [u8]) -> Properties<'a> {
        Properties(bytes)
    }

    /// The second since 1970 from which on a message is worth nothing, of properties that were [to
    /// be kept](Properties::to_keep).
    pub(crate) fn over_at(self) -> Option<u32> {
        self.iter().find_map(|property| match property {
            Property { id: property::MESSAGE_EXPIRY, value: Value::Number(second), .. } => {
                Some(second)
            }
            _ => None,
        })
    }

    /// The payload as it came, of properties that were to be kept, where it is kept in other bytes.
    pub(crate) fn original(self) -> Option<&'a [u8]> {
        self.iter().find_map(|property| match property {
            Property { id: property::ORIGINAL, value: Value::Binary(bytes), .. } => Some(bytes),
            _ => None,
        })
    }

    /// The bytes of those that a message is kept with: what is [passed
    /// on](Properties::passed_on); where its publisher has said how long it is worth something, the
    /// second since 1970 at which that is over; and the payload as it came, if it is given and has
    /// at most 65,535 bytes.
    pub(crate) fn to_keep(self, over_at: Option<u32>, original: Option<&[u8]>) -> Cow<'a, [u8]> {
        let mut kept = self.passed_on();
        let length = |bytes: &[u8]| u16::try_from(bytes.len()).ok();
        if let Some((bytes, length)) = original.and_then(|bytes| Some((bytes, length(bytes)?))) {
            let kept = kept.to_mut();
            kept.push(property::ORIGINAL);
            kept.extend_from_slice(&length.to_be_bytes());
            kept.extend_from_slice(bytes);
        }
        if let Some(second) = over_at {
            let kept = kept.to_mut();
            kept.push(property::MESSAGE_EXPIRY);
            kept.extend_from_slice(&second.to_be_bytes());
        }
        kept
    }

    /// What a publisher has said of which kind its message is.
    pub(crate) fn content_type(self) -> Option<&'a str> {
        self.iter().find_map(|property| match property {
            Property { id: property::CONTENT_TYPE, value: Value::Text(text), .. } => Some(text),
            _ => None,
        })
    }

    /// The bytes of those that hold for a message however it is written: all but what is said of
    /// its bytes.
    pub(crate) fn without_content(self) -> Cow<'a, [u8]> {
        self.bytes_of(|id| {
            property::is_passed_on(id)
                && !matches!(id, property::CONTENT_TYPE | property::PAYLOAD_FORMAT)
        })
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// Each of them, in their order.
    pub fn iter(self) -> impl Iterator<Item = Property<'a>> {
        self.spans().map(|(property, _, _)| property)
    }

    /// The user properties, in their order: a name and a value each.
    pub fn user(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.iter().filter_map(|property| match property.value {
            Value::Pair(name, value) => Some((name, value)),
            _ => None,
        })
    }

    /// Each with where it begins and ends.
    fn spans(self) -> impl Iterator<Item = (Property<'a>, usize, usize)> {
        let mut cursor = Cursor::new("properties", self.0, 0);
        std::iter::from_fn(move || {
            if cursor.is_at_end() {
                return None;
            }
            let start = cursor.at();
            // They were checked, so this is no way that is gone.
            let (_, property) = next(&mut cursor).ok()?;
            Some((property, start, cursor.at()))
        })
    }

    /// The bytes of those that go on to who receives the message, in their order: the indicator of
    /// the payload's format, content type, response topic, correlation data and user properties.
    /// They are put into a PUBLISH as they are.
    pub fn passed_on(self) -> Cow<'a, [u8]> {
        self.bytes_of(property::is_passed_on)
    }

    /// The bytes of those with certain numbers, in their order.
    fn bytes_of(self, is_wanted: impl Fn(u8) -> bool) -> Cow<'a, [u8]> {
        let mut runs = Cow::Borrowed(&[][..]);
        // What was gathered ends here.
        let mut end = 0;
        for (property, start, after) in self.spans() {
            if !is_wanted(property.id) {
                continue;
            }
            let bytes = self.0.get(start..after).unwrap_or_default();
            match &mut runs {
                Cow::Borrowed(run) if run.is_empty() => *run = bytes,
                Cow::Borrowed(run) if end == start => {
                    *run = self.0.get(start - run.len()..after).unwrap_or_default();
                }
                runs => runs.to_mut().extend_from_slice(bytes),
            }
            end = after;
        }
        runs
    }
}

/// The next property, and what the specification says of it.
#[inline]
fn next<'a>(cursor: &mut Cursor<'a>) -> Result<(Row, Property<'a>), Fault> {
    const ID: &str = "property identifier";
    let at = cursor.at();
    let id = u8::try_from(cursor.varint(ID)?).unwrap_or_default();
    let Some(row) = property::row(id) else {
        return Err(cursor.fault(Reason::MALFORMED, ID, at, "there is no such property"));
    };
    let name = row.name;
    let value = match row.shape {
        Shape::Flag => Value::Number(cursor.byte(name)?.into()),
        Shape::Two | Shape::Some2 => Value::Number(cursor.two(name)?.into()),
        Shape::Four | Shape::Some4 => Value::Number(cursor.four(name)?),
        Shape::Varint => Value::Number(cursor.varint(name)? as u32),
        Shape::Text => Value::Text(cursor.text(name)?),
        Shape::Binary => Value::Binary(cursor.binary(name)?),
        Shape::Pair => Value::Pair(cursor.text(name)?, cursor.text(name)?),
    };
    let what = match (row.shape, value) {
        (Shape::Flag, Value::Number(2..)) => "it is neither 0 nor 1",
        (Shape::Some2 | Shape::Some4 | Shape::Varint, Value::Number(0)) => "it is 0",
        _ => return Ok((row, Property { id, name, value })),
    };
    Err(cursor.fault(Reason::PROTOCOL_ERROR, name, at, what))
}

/// What the properties of a message say of it, be it published or a will.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Content<'a> {
    /// Whether the publisher says that it is text in UTF-8, which nobody has checked.
    pub is_text: Option<bool>,
    /// Seconds for which it is worth something.
    pub expiry: Option<u32>,
    /// Of which kind it is.
    pub content_type: Option<&'a str>,
    /// Where an answer is awaited.
    pub response_topic: Option<&'a str>,
    /// What an answer brings back.
    pub correlation: Option<&'a [u8]>,
    /// All of them.
    pub properties: Properties<'a>,
}

impl<'a> Content<'a> {
    /// What properties that were checked say.
    pub fn of(properties: Properties<'a>) -> Content<'a> {
        let mut content = Content { properties, ..Content::default() };
        for property in properties.iter() {
            // Each was judged, so none is refused.
            let _ = content.take(property);
        }
        content
    }

    /// Takes in a property, if it is about a message.
    pub(super) fn take(&mut self, property: Property<'a>) -> Result<(), (Reason, &'static str)> {
        match (property.id, property.value) {
            (property::PAYLOAD_FORMAT, Value::Number(is_text)) => self.is_text = Some(is_text == 1),
            (property::MESSAGE_EXPIRY, Value::Number(seconds)) => self.expiry = Some(seconds),
            (property::CONTENT_TYPE, Value::Text(text)) => self.content_type = Some(text),
            (property::CORRELATION_DATA, Value::Binary(data)) => self.correlation = Some(data),
            (property::RESPONSE_TOPIC, Value::Text(topic)) => {
                if topic.is_empty() || topic.contains(['+', '#']) {
                    let what = "it is empty, or has a wildcard";
                    return Err((Reason::PROTOCOL_ERROR, what));
                }
                self.response_topic = Some(topic);
            }
            _ => {}
        }
        Ok(())
    }
}
