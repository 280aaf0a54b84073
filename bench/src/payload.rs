//! What is published: one value, spelled in three formats.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::pickle;

const FILLER: &str = "lorem ipsum dolor sit amet ";

/// A value in every spelling that some system of the benchmark takes.
#[derive(Clone, Debug)]
pub(crate) struct Payload {
    pub(crate) value: Value,
    /// Compact JSON: what the payload's size means, and the very bytes that the peers carry.
    pub(crate) json: Vec<u8>,
    /// Protocol 4, as CPython writes it.
    pub(crate) pickle: Vec<u8>,
    /// Typed elements in the habit of dicttoxml, below `message`.
    pub(crate) xml: Vec<u8>,
}

impl Payload {
    fn new(value: Value) -> Result<Payload> {
        let json = serde_json::to_vec(&value)?;
        let pickle = pickle::dumps(&value);
        let mut xml = String::new();
        write_xml("message", &value, &mut xml);
        Ok(Payload { value, json, pickle, xml: xml.into_bytes() })
    }

    /// A small record of that many bytes of JSON.
    pub(crate) fn of_size(size: usize) -> Result<Payload> {
        match size {
            0..=12 => anyhow::bail!("a record of {size} bytes is too short"),
            13..=63 => {
                // {"id":1000000}
                let digits = size - r#"{"id":}"#.len();
                let id: u64 = format!("1{}", "0".repeat(digits - 1)).parse()?;
                Payload::of_exactly(json!({ "id": id }), size)
            }
            64..=99 => {
                Payload::padded(json!({ "sensor": "roof-07", "celsius": 21.5, "note": "" }), size)
            }
            100..=511 => Payload::padded(
                json!({ "sensor": "roof-07", "id": 48213, "celsius": 21.5, "ok": true, "unit": "C", "note": "" }),
                size,
            ),
            _ => {
                let reading =
                    |at: i64| json!({ "at": 1_700_000_000 + at, "celsius": 21.5, "ok": true });
                let readings: Vec<Value> = (0..12).map(reading).collect();
                Payload::padded(
                    json!({ "sensor": "roof-07", "readings": readings, "note": "" }),
                    size,
                )
            }
        }
    }

    /// A string of that many bytes of JSON, which is much less to read than a record is.
    pub(crate) fn text(size: usize) -> Result<Payload> {
        let text = size.checked_sub(2).context("a string has two quotes")?;
        Payload::of_exactly(Value::String(FILLER.chars().cycle().take(text).collect()), size)
    }

    /// The nested record of 833 bytes that the translations are measured with.
    pub(crate) fn record() -> Result<Payload> {
        let item = |sku: &str, count: i64, price: f64| json!({ "sku": sku, "count": count, "price": price, "gift": false, "tags": ["new", "summer"] });
        Payload::padded(
            json!({
                "order": 900_017,
                "placed": "2025-03-14T09:26:53Z",
                "customer": {
                    "id": 48_213,
                    "name": "Zoë Brandt & Söhne",
                    "mail": "zoe@example.org",
                    "address": { "street": "Am Markt \
                    7", "town": "Köln", "zip": "50667", "country": "DE" },
                    "since": 2011,
                    "vip": true,
                    "referrer": null
                },
                "items": [
                    item("X1-100", 2, 19.99), item("X1-200", 1, 249.5),
                    item("Q7-001", 12, 0.75), item("Q7-002", 3, 4.25)
                ],
                "total": 311.23,
                "currency": "EUR",
                "paid": true,
                "note": ""
            }),
            833,
        )
    }

    /// Makes the member `note` as long as it takes.
    fn padded(mut value: Value, size: usize) -> Result<Payload> {
        let length = serde_json::to_vec(&value)?.len();
        let missing = size
            .checked_sub(length)
            .with_context(|| format!("already {length} bytes of {size}"))?;
        let note: String = FILLER.chars().cycle().take(missing).collect();
        if let Some(place) = value.get_mut("note") {
            *place = Value::String(note);
        }
        Payload::of_exactly(value, size)
    }

    fn of_exactly(value: Value, size: usize) -> Result<Payload> {
        let payload = Payload::new(value)?;
        ensure!(payload.json.len() == size, "{} bytes instead of {size}", payload.json.len());
        Ok(payload)
    }
}

fn write_xml(tag: &str, value: &Value, out: &mut String) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(number) if number.is_f64() => "float",
        Value::Number(_) => "int",
        Value::String(_) => "str",
        Value::Array(_) => "list",
        Value::Object(_) => "dict",
    };
    out.push_str(&format!("<{tag} type=\"{kind}\">"));
    match value {
        Value::Null => {}
        Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
        Value::String(text) => {
            out.push_str(&text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;"));
        }
        Value::Array(items) => items.iter().for_each(|item| write_xml("item", item, out)),
        Value::Object(members) => members.iter().for_each(|(key, item)| write_xml(key, item, out)),
    }
    out.push_str(&format!("</{tag}>"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_exact() {
        for size in [16, 64, 128, 1024] {
            assert_eq!(Payload::of_size(size).unwrap().json.len(), size);
        }
        assert_eq!(Payload::record().unwrap().json.len(), 833);
        assert_eq!(Payload::text(128).unwrap().json.len(), 128);
        assert!(Payload::of_size(3).is_err());
    }
}
