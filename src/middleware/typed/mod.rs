//! Fields with the types of Python's standard library: dates, durations, exact numbers, UUIDs.
//!
//! A date of `chrono` or `jiff` is text to serde, and pushed as text. Where
//! `#[serde(with = "babelmq::typed::datetime")]` stands at the field, it is pushed as a datetime:
//! Python's consumers get a `datetime`, XML says `type="datetime"`, exact JSON `{"$datetime": …}`.
//! Where the types arrive or are lost, the same attribute reads the field again.
//!
#![cfg_attr(feature = "broker", doc = "```")]
#![cfg_attr(not(feature = "broker"), doc = "```ignore")]
//! use babelmq::{JsonQueue, ScalarType, Value, XmlQueue, typed};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, PartialEq, Serialize, Deserialize)]
//! struct Order {
//!     #[serde(with = "typed::uuid")]
//!     id: uuid::Uuid,
//!     #[serde(with = "typed::datetime")]
//!     at: chrono::DateTime<chrono::Utc>,
//!     #[serde(with = "typed::decimal", default)]
//!     price: Option<rust_decimal::Decimal>,
//! }
//! # let broker = babelmq::Broker::start(babelmq::Config::listening_on(([127, 0, 0, 1], 0)))?;
//! # let json = JsonQueue::builder("/orders").address(broker.local_addr());
//! # let xml = XmlQueue::builder("/orders").address(broker.local_addr());
//!
//! let (mut producer, mut consumer) = (json.producer()?, xml.consumer()?);
//! let order = Order {
//!     id: uuid::Uuid::from_u128(7),
//!     at: chrono::DateTime::from_timestamp(1_795_948_200, 0).unwrap(),
//!     price: Some(rust_decimal::Decimal::new(110, 2)),
//! };
//! producer.push(&order)?;
//! producer.push(&order)?;
//! let (_, value) = consumer.pull()?;
//! let price = Value::Typed(ScalarType::Decimal, "1.10".to_owned());
//! assert_eq!(value.get("price"), Some(&price));
//! assert_eq!(consumer.pull_as::<Order>()?.1, order);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Which types
//!
//! | type | module | |
//! |---|---|---|
//! | `chrono::DateTime<Utc>` | `datetime` | reads any offset |
//! | `chrono::DateTime<FixedOffset>` | `datetime` | a zone's name is passed over, its offset kept |
//! | `chrono::NaiveDateTime` | `datetime` | refuses one with an offset |
//! | `chrono::NaiveDate` | `date` | |
//! | `chrono::NaiveTime` | `time` | refuses one with an offset |
//! | `chrono::TimeDelta` | `timedelta` | |
//! | `jiff::Timestamp` | `datetime` | reads any offset |
//! | `jiff::ZonedDateTime` | `datetime` | where the name is lost, it is in the zone of its offset |
//! | `jiff::civil::DateTime` | `datetime` | passes over an offset |
//! | `jiff::civil::Date` | `date` | |
//! | `jiff::civil::Time` | `time` | passes over an offset |
//! | `jiff::SignedDuration` | `timedelta` | |
//! | `jiff::Span` | `timedelta` | of days and less: a year and a week are refused |
//! | `std::time::Duration` | `timedelta` | refuses a negative one |
//! | `uuid::Uuid` | `uuid` | |
//! | `rust_decimal::Decimal` | `decimal` | rounds what has more than 28 digits when it reads it |
//!
//! Any other type will do whose `Serialize` writes, and `Deserialize` reads, a text that
//! [`ScalarType::canonical`](crate::ScalarType::canonical) takes, and an `Option` of any. A `Vec`
//! takes a type of one's own around its elements:
//! `#[derive(Serialize, Deserialize)] struct At(#[serde(with = "typed::datetime")] Timestamp);`
//!
//! # What is to be known
//!
//! - Python has microseconds. What has nanoseconds is refused, and the error says in which field;
//!   round it first (`round(Unit::Microsecond)` of `jiff`, `round_subsecs(6)` of `chrono`). A leap
//!   second is refused too.
//! - A decimal is made from a text or an integer. With its feature `serde-float`, `rust_decimal`
//!   writes a float, which has lost digits: that is refused.
//! - In JSON, a consumer without `exact` gets the tags that a JSON producer wrote. This library
//!   reads them everywhere.
//! - Pickle has no types for these: a [`PickleQueue`](crate::PickleQueue) pushes what any other
//!   serializer writes. From producers in other formats, its consumers get texts, and seconds for a
//!   timedelta; the modules read these.
//! - With another serializer, such as serde_json, a field is written and read as if the attribute
//!   were not there.
//! - A [`Value`](crate::Value) in a struct keeps its type without an attribute, but for one that is
//!   read through serde's `flatten` or an untagged or internally tagged enum, which know no types.

mod read;
pub(super) mod write;

use crate::protocol::ScalarType;
use crate::protocol::newtype::name_of;

/// A module for each type.
macro_rules! modules {
    ($($(#[$doc:meta])* $name:ident: $scalar:ident;)*) => {
        $($(#[$doc])*
        pub mod $name {
            use serde::{Deserialize, Deserializer, Serialize, Serializer};

            const OF: super::ScalarType = super::ScalarType::$scalar;

            /// Writes the field with its type, and a `None` as `None`.
            ///
            /// # Errors
            /// What the serializer says; of a queue, [`QueueError::Type`](crate::QueueError::Type)
            /// for a text that is none of the type.
            pub fn serialize<T, S>(value: &T, serializer: S) -> Result<S::Ok, S::Error>
            where
                T: Serialize + ?Sized,
                S: Serializer,
            {
                serializer.serialize_newtype_struct(super::name_of(OF), value)
            }

            /// Reads the field, whether it has its type or was left without.
            ///
            /// # Errors
            /// What the field's type says.
            pub fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
            where
                T: Deserialize<'de>,
                D: Deserializer<'de>,
            {
                super::read::field(OF, deserializer)
            }
        })*
    };
}

modules! {
    /// `datetime.datetime`.
    datetime: Datetime;
    /// `datetime.date`.
    date: Date;
    /// `datetime.time`.
    time: Time;
    /// `datetime.timedelta`.
    timedelta: Timedelta;
    /// `decimal.Decimal`.
    decimal: Decimal;
    /// `uuid.UUID`.
    uuid: Uuid;
    /// `fractions.Fraction`: for a type whose text is `1/3`.
    fraction: Fraction;
    /// `complex`: for a type whose text is `(1+2j)`.
    complex: Complex;
}
