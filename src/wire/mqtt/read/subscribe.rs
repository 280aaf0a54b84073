//! SUBSCRIBE and UNSUBSCRIBE: filters, and what is wanted with them (3.8 and 3.10).

use super::super::fault::Fault;
use super::super::kinds::{Kind, PacketId};
use super::super::property::{self, Place};
use super::super::reason::Reason;
use super::cursor::Cursor;
use super::properties::{Properties, Value};
use crate::protocol::Qos;

const FILTER: &str = "Topic Filter";
const OPTIONS: &str = "Subscription Options";

/// What a client wants to receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// By which number it is answered.
    pub id: PacketId,
    /// The number that comes with what these subscriptions deliver.
    pub identifier: Option<u32>,
    /// Its properties.
    pub properties: Properties<'a>,
    /// Filters and options, which were checked.
    filters: &'a [u8],
}

/// A filter of a SUBSCRIBE, and how it is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The filter as it was sent, which may be none that there is.
    pub filter: &'a str,
    /// The most that is wanted.
    pub qos: Qos,
    /// Whether the client is spared what it has published.
    pub no_local: bool,
    /// Whether messages keep their RETAIN flag.
    pub retain_as_published: bool,
    /// What last values are sent.
    pub retain_handling: RetainHandling,
}

/// Which last values a subscription begins with (3.8.3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetainHandling {
    /// All that match.
    Always,
    /// All that match, if the subscription was not there before.
    IfNew,
    /// None.
    Never,
}

/// What a client does not want any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// By which number it is answered.
    pub id: PacketId,
    /// Its properties.
    pub properties: Properties<'a>,
    /// Filters, which were checked.
    filters: &'a [u8],
}

impl<'a> Subscribe<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, is_5: bool) -> Result<Subscribe<'a>, Fault> {
        let id = cursor.id()?;
        let (mut identifier, mut properties) = (None, Properties::default());
        if is_5 {
            let place = Place::Packet(Kind::Subscribe);
            properties = Properties::read(cursor, place, |property| {
                if let (property::SUBSCRIPTION_ID, Value::Number(number)) =
                    (property.id, property.value)
                {
                    identifier = Some(number);
                }
                Ok(())
            })?;
        }
        let filters = each_filter(cursor, |cursor, filter| {
            let at = cursor.at();
            let options = cursor.byte(OPTIONS)?;
            let fault = |reason, what| Err(cursor.fault(reason, OPTIONS, at, what));
            if options >> if is_5 { 6 } else { 2 } != 0 {
                return fault(Reason::MALFORMED, "reserved bits are set");
            }
            if Qos::from_byte(options & 0b11).is_none() {
                return fault(Reason::MALFORMED, "the QoS is 3");
            }
            if options >> 4 & 0b11 == 3 {
                return fault(Reason::PROTOCOL_ERROR, "the Retain Handling is 3");
            }
            if options & NO_LOCAL != 0 && filter.starts_with("$share/") {
                return fault(Reason::PROTOCOL_ERROR, "No Local is set for a shared subscription");
            }
            Ok(())
        })?;
        Ok(Subscribe { id, identifier, properties, filters })
    }

    /// What is asked for, in its order. There is at least one.
    pub fn filters(&self) -> impl Iterator<Item = Asked<'a>> + use<'a> {
        let mut cursor = Cursor::new(Kind::Subscribe.name(), self.filters, 0);
        std::iter::from_fn(move || {
            let filter = cursor.text(FILTER).ok()?;
            let options = cursor.byte(OPTIONS).ok()?;
            Some(Asked {
                filter,
                qos: Qos::from_byte(options & 0b11).unwrap_or_default(),
                no_local: options & NO_LOCAL != 0,
                retain_as_published: options & 0b1000 != 0,
                retain_handling: match options >> 4 & 0b11 {
                    0 => RetainHandling::Always,
                    1 => RetainHandling::IfNew,
                    _ => RetainHandling::Never,
                },
            })
        })
    }
}

const NO_LOCAL: u8 = 0b100;

impl<'a> Unsubscribe<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>, is_5: bool) -> Result<Unsubscribe<'a>, Fault> {
        let id = cursor.id()?;
        let properties = if is_5 {
            Properties::read(cursor, Place::Packet(Kind::Unsubscribe), |_| Ok(()))?
        } else {
            Properties::default()
        };
        let filters = each_filter(cursor, |_, _| Ok(()))?;
        Ok(Unsubscribe { id, properties, filters })
    }

    /// The filters as they were sent, in their order. There is at least one.
    pub fn filters(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let mut cursor = Cursor::new(Kind::Unsubscribe.name(), self.filters, 0);
        std::iter::from_fn(move || cursor.text(FILTER).ok())
    }
}

/// Checks the filters that a packet ends with, and what follows each; gives the bytes of them all.
fn each_filter<'a>(
    cursor: &mut Cursor<'a>,
    mut rest: impl FnMut(&mut Cursor<'a>, &'a str) -> Result<(), Fault>,
) -> Result<&'a [u8], Fault> {
    let start = cursor.at();
    if cursor.is_at_end() {
        return Err(cursor.fault(Reason::PROTOCOL_ERROR, FILTER, start, "there is none"));
    }
    while !cursor.is_at_end() {
        let at = cursor.at();
        let filter = cursor.text(FILTER)?;
        if filter.is_empty() {
            return Err(cursor.fault(Reason::MALFORMED, FILTER, at, "it is empty"));
        }
        rest(cursor, filter)?;
    }
    Ok(cursor.since(start))
}
