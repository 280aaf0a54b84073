//! Fields of a program's own types that are pushed as datetimes, decimals and the like.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use babelmq::{
    BrokerHandle, Format, Json, JsonQueue, Pickle, PickleQueue, Queue, QueueError, ScalarType,
    Value, Wire, Xml, XmlQueue, typed,
};
use chrono::Utc;
use chrono::{FixedOffset, TimeZone};
use jiff::ToSpan;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::support::{Client, Field, PATIENCE, start};

fn producer<W: Wire>(broker: &BrokerHandle) -> Queue<W> {
    Queue::builder("/t").address(broker.local_addr()).timeout(PATIENCE).producer().unwrap()
}

fn consumer<W: Wire>(broker: &BrokerHandle, exact: bool) -> Queue<W> {
    let queue = Queue::builder("/t").address(broker.local_addr()).timeout(PATIENCE);
    queue.exact(exact).consumer().unwrap()
}

/// A value of this type's, as JSON of the `typed` one tells it.
fn scalar(of: ScalarType, text: &str) -> Value {
    Value::Typed(of, text.to_owned())
}

/// Consumers in every format, of the library and by hand.
struct Consumers {
    json: JsonQueue,
    exact: JsonQueue,
    xml: XmlQueue,
    pickle: PickleQueue,
    exact_text: Client,
    xml_text: Client,
    broker: BrokerHandle,
}

impl Consumers {
    fn new() -> Consumers {
        let broker = start();
        let by_hand = |format| {
            let mut client = Client::connect(&broker);
            client.subscribe_with(format, "/t", &[("exact", Field::Bool(format == Format::Json))]);
            client
        };
        Consumers {
            json: consumer(&broker, false),
            exact: consumer(&broker, true),
            xml: consumer(&broker, false),
            pickle: consumer(&broker, false),
            exact_text: by_hand(Format::Json),
            xml_text: by_hand(Format::Xml),
            broker,
        }
    }

    /// What comes is `sent`, in every format, and in exact JSON and in XML it is these texts.
    #[track_caller]
    fn get<T: DeserializeOwned + PartialEq + Debug>(&mut self, sent: &T) -> [String; 2] {
        assert_eq!(&self.json.pull_as_timeout::<T>(PATIENCE).unwrap().1, sent, "JSON");
        assert_eq!(&self.exact.pull_as_timeout::<T>(PATIENCE).unwrap().1, sent, "exact JSON");
        assert_eq!(&self.xml.pull_as_timeout::<T>(PATIENCE).unwrap().1, sent, "XML");
        assert_eq!(&self.pickle.pull_as_timeout::<T>(PATIENCE).unwrap().1, sent, "pickle");
        let xml = self.xml_text.next().message();
        let xml = xml.strip_prefix("<message type=\"dict\">").unwrap();
        [self.exact_text.next().message(), xml.strip_suffix("</message>").unwrap().to_owned()]
    }

    /// Pushes `sent`, in every format. From JSON and XML its types arrive.
    #[track_caller]
    fn check<T>(&mut self, sent: &T, json: &str, xml: &str)
    where
        T: Serialize + DeserializeOwned + PartialEq + Debug,
    {
        producer::<Json>(&self.broker).push(sent).unwrap();
        assert_eq!(self.get(sent), [json, xml], "from JSON");
        producer::<Xml>(&self.broker).push(sent).unwrap();
        assert_eq!(self.get(sent), [json, xml], "from XML");
        producer::<Pickle>(&self.broker).push(sent).unwrap();
        let [from_pickle, _] = self.get(sent);
        let is_tagged = |of: ScalarType| from_pickle.contains(&format!("${}", of.name()));
        assert!(!ScalarType::ALL.into_iter().any(is_tagged), "{from_pickle}");
    }
}

/// The type of a field, with its module; what it is pushed as was checked.
macro_rules! row {
    ($consumers:ident, $type:ty, $name:literal, $module:literal, $value:expr, $text:literal) => {{
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct Held {
            #[serde(with = $module)]
            is: $type,
            #[serde(with = $module)]
            may: Option<$type>,
            #[serde(with = $module)]
            no: Option<$type>,
        }
        let value: $type = $value;
        let plain = serde_json::to_value(&value).unwrap();
        let held = Held { may: Some(value.clone()), is: value, no: None };
        let module = $module.strip_prefix("typed::").unwrap();
        let tagged = format!("{{\"${module}\":\"{}\"}}", $text);
        $consumers.check(
            &held,
            &format!("{{\"is\":{tagged},\"may\":{tagged},\"no\":null}}"),
            &format!(
                "<is type=\"{module}\">{0}</is><may type=\"{module}\">{0}</may>\
                 <no type=\"null\"></no>",
                $text
            ),
        );
        // Another serializer does not know the attribute.
        let other = serde_json::to_value(&held).unwrap();
        assert_eq!(other, serde_json::json!({"is": plain, "may": plain, "no": null}));
        assert_eq!(serde_json::from_value::<Held>(other).unwrap(), held);
        (format!("`{}`", $name), format!("`{module}`"))
    }};
}

#[test]
fn each_type_of_the_table_arrives_with_its_type_and_is_read_back() {
    let mut all = Consumers::new();
    let utc = Utc.with_ymd_and_hms(2026, 11, 29, 12, 30, 0).unwrap();
    let offset = FixedOffset::east_opt(5_400).unwrap();
    let zoned = "2024-06-19T15:22:45-04:00[America/New_York]".parse().unwrap();
    let rows = BTreeSet::from([
        row!(
            all,
            chrono::DateTime<Utc>,
            "chrono::DateTime<Utc>",
            "typed::datetime",
            utc,
            "2026-11-29T12:30:00+00:00"
        ),
        row!(
            all,
            chrono::DateTime<FixedOffset>,
            "chrono::DateTime<FixedOffset>",
            "typed::datetime",
            utc.with_timezone(&offset) + chrono::TimeDelta::microseconds(1),
            "2026-11-29T14:00:00.000001+01:30"
        ),
        row!(
            all,
            chrono::NaiveDateTime,
            "chrono::NaiveDateTime",
            "typed::datetime",
            utc.naive_utc(),
            "2026-11-29T12:30:00"
        ),
        row!(
            all,
            chrono::NaiveDate,
            "chrono::NaiveDate",
            "typed::date",
            utc.date_naive(),
            "2026-11-29"
        ),
        row!(
            all,
            chrono::NaiveTime,
            "chrono::NaiveTime",
            "typed::time",
            utc.time() + chrono::TimeDelta::milliseconds(500),
            "12:30:00.500000"
        ),
        row!(
            all,
            chrono::TimeDelta,
            "chrono::TimeDelta",
            "typed::timedelta",
            chrono::TimeDelta::milliseconds(-93_784_500),
            "-P1DT2H3M4.5S"
        ),
        row!(
            all,
            jiff::Timestamp,
            "jiff::Timestamp",
            "typed::datetime",
            "2026-11-29T10:00:00.25Z".parse().unwrap(),
            "2026-11-29T10:00:00.250000+00:00"
        ),
        row!(
            all,
            jiff::ZonedDateTime,
            "jiff::ZonedDateTime",
            "typed::datetime",
            zoned,
            "2024-06-19T15:22:45-04:00[America/New_York]"
        ),
        row!(
            all,
            jiff::civil::DateTime,
            "jiff::civil::DateTime",
            "typed::datetime",
            jiff::civil::date(2026, 11, 29).at(12, 30, 0, 0),
            "2026-11-29T12:30:00"
        ),
        row!(
            all,
            jiff::civil::Date,
            "jiff::civil::Date",
            "typed::date",
            jiff::civil::date(2026, 11, 29),
            "2026-11-29"
        ),
        row!(
            all,
            jiff::civil::Time,
            "jiff::civil::Time",
            "typed::time",
            jiff::civil::time(12, 30, 0, 1_000),
            "12:30:00.000001"
        ),
        row!(
            all,
            jiff::SignedDuration,
            "jiff::SignedDuration",
            "typed::timedelta",
            jiff::SignedDuration::new(93_784, 500_000_000),
            "P1DT2H3M4.5S"
        ),
        row!(
            all,
            Fieldwise,
            "jiff::Span",
            "typed::timedelta",
            Fieldwise(1.day().hours(2).minutes(3).seconds(4).milliseconds(500).fieldwise()),
            "P1DT2H3M4.5S"
        ),
        row!(
            all,
            Duration,
            "std::time::Duration",
            "typed::timedelta",
            Duration::from_micros(90_000_001),
            "PT1M30.000001S"
        ),
        row!(
            all,
            uuid::Uuid,
            "uuid::Uuid",
            "typed::uuid",
            uuid::Uuid::from_u128(0x1234_5678_90ab_cdef_1234_5678_90ab_cdef),
            "12345678-90ab-cdef-1234-567890abcdef"
        ),
        row!(
            all,
            rust_decimal::Decimal,
            "rust_decimal::Decimal",
            "typed::decimal",
            rust_decimal::Decimal::new(-110, 2),
            "-1.10"
        ),
    ]);
    let page = include_str!("../../src/middleware/typed/mod.rs");
    let told = page.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("//! | `")?.split(" | ");
        Some((format!("`{}", cells.next()?), cells.next()?.to_owned()))
    });
    assert_eq!(rows, told.collect(), "the table of src/middleware/typed/mod.rs");
}

/// A `jiff::Span`, which can only be compared so.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
struct Fieldwise(#[serde(with = "span")] jiff::SpanFieldwise);

mod span {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub fn serialize<S: Serializer>(span: &jiff::SpanFieldwise, to: S) -> Result<S::Ok, S::Error> {
        span.0.serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<jiff::SpanFieldwise, D::Error> {
        Ok(jiff::Span::deserialize(from)?.fieldwise())
    }
}

/// A type whose text it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Text(String);

#[test]
fn fractions_and_complex_numbers_are_texts_of_ones_own_types() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Held {
        #[serde(with = "typed::fraction")]
        fraction: Text,
        #[serde(with = "typed::complex")]
        complex: Option<Text>,
    }
    let held = Held { fraction: Text("1/3".into()), complex: Some(Text("(1+2j)".into())) };
    Consumers::new().check(
        &held,
        r#"{"fraction":{"$fraction":"1/3"},"complex":{"$complex":[1.0,2.0]}}"#,
        "<fraction type=\"fraction\">1/3</fraction>\
         <complex type=\"complex\">(1+2j)</complex>",
    );
}

/// What Python pushes is not spelled as these crates spell it.
#[test]
fn what_others_push_is_read() {
    #[derive(Clone, Debug, PartialEq, Deserialize)]
    struct Event {
        #[serde(with = "typed::datetime")]
        utc: chrono::DateTime<Utc>,
        #[serde(with = "typed::datetime")]
        zoned: jiff::ZonedDateTime,
        #[serde(with = "typed::timedelta")]
        took: jiff::SignedDuration,
        #[serde(with = "typed::decimal")]
        price: rust_decimal::Decimal,
    }
    /// The same by way of serde's own buffer, which knows no types.
    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Tagged {
        Event(Event),
    }
    let (at, took) = ("2026-11-29T13:30:00+01:00", "P1DT2H");
    let broker = start();
    let mut queue: JsonQueue = consumer(&broker, true);
    let mut pulled = |value: Vec<(&str, Value)>| {
        let kind = ("kind".into(), "event".into());
        let entries = value.into_iter().map(|(key, value)| (key.into(), value));
        let entries: Vec<_> = entries.chain([kind]).collect();
        for _ in 0..2 {
            producer::<Json>(&broker).push_value(&Value::Dict(entries.clone())).unwrap();
        }
        let event = queue.pull_as_timeout::<Event>(PATIENCE).unwrap().1;
        assert_eq!(
            queue.pull_as_timeout::<Tagged>(PATIENCE).unwrap().1,
            Tagged::Event(event.clone())
        );
        event
    };
    let typed = pulled(vec![
        ("utc", scalar(ScalarType::Datetime, &format!("{at}[Europe/Berlin]"))),
        ("zoned", scalar(ScalarType::Datetime, at)),
        ("took", scalar(ScalarType::Timedelta, took)),
        ("price", scalar(ScalarType::Decimal, "1E+3")),
    ]);
    let expected = Event {
        utc: Utc.with_ymd_and_hms(2026, 11, 29, 12, 30, 0).unwrap(),
        zoned: format!("{at}[+01:00]").parse().unwrap(),
        took: jiff::SignedDuration::from_hours(26),
        price: 1_000.into(),
    };
    assert_eq!(typed, expected);
    assert_eq!(typed.zoned.offset(), expected.zoned.offset());
    // What JavaScript has of dates, and a timedelta whose type was lost.
    let plain = pulled(vec![
        ("utc", "2026-11-29T12:30:00.000Z".into()),
        ("zoned", "2026-11-29T12:30:00.000Z".into()),
        ("took", 93_600.0.into()),
        ("price", 1_000.into()),
    ]);
    assert_eq!(plain, expected);
}

#[test]
fn what_is_none_of_its_type_is_refused_by_the_name_of_its_field() {
    #[derive(Serialize)]
    struct Order {
        items: Vec<Item>,
    }
    #[derive(Serialize)]
    struct Item {
        #[serde(with = "typed::datetime")]
        at: jiff::Timestamp,
        #[serde(with = "typed::decimal")]
        price: Text,
    }
    let broker = start();
    let mut queue: JsonQueue = producer(&broker);
    let mut refused = |at: &str, price: &str| {
        let good = Item { at: jiff::Timestamp::UNIX_EPOCH, price: Text("1".into()) };
        let items = vec![good, Item { at: at.parse().unwrap(), price: Text(price.into()) }];
        match queue.push(&Order { items }) {
            Err(QueueError::Type(reason)) => reason,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(
        refused("2026-11-29T10:00:00.123456789Z", "1"),
        "in items[1].at: the datetime \"2026-11-29T10:00:00.123456789Z\" is none: it takes a date \
         and time, as 2026-11-29T12:30:00.5+01:00[Europe/Berlin], with six digits at most behind \
         the point"
    );
    let reason = refused("2026-11-29T10:00:00Z", "cheap");
    assert!(reason.starts_with("in items[1].price: the decimal \"cheap\" is none"), "{reason}");
    // Nothing of it was sent.
    queue.flush().unwrap();
    assert_eq!(broker.stats().published, 0);
}

#[test]
fn a_value_in_a_struct_keeps_its_type() {
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Order {
        id: u64,
        price: Value,
        at: Option<Value>,
        by_id: BTreeMap<String, Vec<Value>>,
        rest: Value,
    }
    let price = scalar(ScalarType::Decimal, "1.10");
    let order = Order {
        id: 5,
        price: price.clone(),
        at: Some(scalar(ScalarType::Datetime, "2026-11-29T12:30:00+01:00[Europe/Berlin]")),
        by_id: BTreeMap::from([("a".to_owned(), vec![price.clone(), 1.into()])]),
        rest: Value::Dict(vec![("price".into(), price.clone()), ("no".into(), Value::None)]),
    };
    let broker = start();
    let mut json: JsonQueue = consumer(&broker, false);
    let mut exact: JsonQueue = consumer(&broker, true);
    let mut xml: XmlQueue = consumer(&broker, false);
    producer::<Json>(&broker).push(&order).unwrap();
    // A JSON consumer without `exact` has the producer's bytes.
    assert_eq!(json.pull_as_timeout::<Order>(PATIENCE).unwrap().1, order);
    assert_eq!(exact.pull_as_timeout::<Order>(PATIENCE).unwrap().1, order);
    assert_eq!(xml.pull_as_timeout::<Order>(PATIENCE).unwrap().1, order);
    producer::<Xml>(&broker).push(&order).unwrap();
    assert_eq!(json.pull_as_timeout::<Order>(PATIENCE).unwrap().1.price, "1.10".into());
    assert_eq!(exact.pull_as_timeout::<Order>(PATIENCE).unwrap().1, order);
    assert_eq!(xml.pull_as_timeout::<Order>(PATIENCE).unwrap().1, order);
    // A value by itself, and one as a key.
    producer::<Xml>(&broker).push(&price).unwrap();
    assert_eq!(exact.pull_as_timeout::<Value>(PATIENCE).unwrap().1, price);
    let keyed = Value::Dict(vec![(price.clone(), price)]);
    producer::<Xml>(&broker).push(&keyed).unwrap();
    assert_eq!(exact.pull_as_timeout::<Value>(PATIENCE).unwrap().1, keyed);
    // Its text is made canonical, or refused.
    producer::<Xml>(&broker).push(&scalar(ScalarType::Decimal, "1e3")).unwrap();
    assert_eq!(
        exact.pull_as_timeout::<Value>(PATIENCE).unwrap().1,
        scalar(ScalarType::Decimal, "1E+3")
    );
}

/// A queue of documents has them as serde-xml-rs writes them: without types.
#[test]
fn documents_have_the_usual_texts() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename = "order")]
    struct Order {
        #[serde(with = "typed::datetime")]
        at: chrono::DateTime<Utc>,
        #[serde(with = "typed::uuid")]
        id: uuid::Uuid,
    }
    let at = Utc.with_ymd_and_hms(2026, 11, 29, 12, 30, 0).unwrap();
    let order = Order { at, id: uuid::Uuid::from_u128(7) };
    let broker = start();
    let mut documents: XmlQueue = consumer(&broker, false);
    let mut queue: XmlQueue = consumer(&broker, false);
    producer::<Xml>(&broker).push_document(&order).unwrap();
    let (_, value) = queue.pull().unwrap();
    let at = value.get("order").and_then(|order| order.get("at"));
    assert_eq!(at, Some(&"2026-11-29T12:30:00Z".into()));
    assert_eq!(documents.pull_document::<Order>().unwrap().1, order);
}
