//! STOMP 1.1, as ActiveMQ Classic translates over it: a map, in the XML of XStream or as JSON in
//! the same shape. Flat messages are such maps; in JSON, values within values would lose their
//! order.

use anyhow::{Result, bail};
use serde_json::{Map, Value, json};

use super::{Format, Role, Scanned, Wire};
use crate::payload::Payload;
use crate::stream::Message;

/// Takes messages in a format, and publishes them in any.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stomp {
    pub(crate) consumer: Format,
}

fn transformation(format: Format) -> &'static str {
    match format {
        Format::Xml => "jms-map-xml",
        Format::Json | Format::Pickle => "jms-map-json",
    }
}

fn put(topic: &str, format: Format, payload: &[u8], out: &mut Vec<u8>) {
    // Its wildcards want dots.
    let topic = topic.replace('/', ".");
    let transformation = transformation(format);
    out.extend(
        format!("SEND\ndestination:/topic/{topic}\ntransformation:{transformation}\n\n").bytes(),
    );
    out.extend(payload);
    out.push(0);
}

/// The Java type of a value, and its text.
fn typed(value: &Value) -> (&'static str, String) {
    match value {
        Value::Null => ("null", String::new()),
        Value::Bool(value) => ("boolean", value.to_string()),
        Value::Number(number) => match number.as_i64() {
            Some(int) if i32::try_from(int).is_ok() => ("int", int.to_string()),
            Some(int) => ("long", int.to_string()),
            None => ("double", number.to_string()),
        },
        Value::String(text) => ("string", text.clone()),
        Value::Array(_) | Value::Object(_) => ("string", value.to_string()),
    }
}

/// An element with two children: what `<entry>` is in XML, and in JSON where children of one name
/// are a list.
fn json_entry(key: &str, value: &Value) -> Value {
    let (kind, _) = typed(value);
    match value {
        Value::String(text) => json!({ "string": [key, text] }),
        Value::Null => json!({ "string": key, kind: "" }),
        other => json!({ "string": key, kind: other }),
    }
}

fn xml_entry(key: &str, value: &Value) -> String {
    let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;");
    let (kind, text) = typed(value);
    let (key, text) = (escape(key), escape(&text));
    format!("<entry><string>{key}</string><{kind}>{text}</{kind}></entry>")
}

fn spelled(members: &Map<String, Value>, format: Format) -> Vec<u8> {
    match format {
        Format::Xml => {
            let entries: String =
                members.iter().map(|(key, value)| xml_entry(key, value)).collect();
            format!("<map>{entries}</map>").into_bytes()
        }
        Format::Json | Format::Pickle => {
            let entries = members.iter().map(|(key, value)| json_entry(key, value));
            json!({ "map": { "entry": entries.collect::<Vec<_>>() } }).to_string().into_bytes()
        }
    }
}

impl Wire for Stomp {
    fn open(&self, role: Role<'_>, out: &mut Vec<u8>) {
        out.extend(b"CONNECT\naccept-version:1.1\nhost:localhost\n\n\0");
        if let Role::Subscriber(topic) = role {
            let topic = topic.replace("/#", ".>").replace('/', ".");
            let transformation = transformation(self.consumer);
            out.extend(
                format!(
                    "SUBSCRIBE\nid:1\ndestination:/topic/{topic}\nack:auto\n\
                     transformation:{transformation}\nreceipt:1\n\n\0"
                )
                .bytes(),
            );
        }
    }

    fn is_open(&self, role: Role<'_>, answer: &[u8]) -> bool {
        let awaited: &[u8] = match role {
            Role::Publisher => b"CONNECTED",
            Role::Subscriber(_) => b"RECEIPT",
        };
        memchr::memmem::find(answer, awaited).is_some_and(|at| answer[at..].contains(&0))
    }

    fn publish(&self, topic: &str, payload: &Payload, _retain: bool, out: &mut Vec<u8>) {
        if let Value::Object(members) = &payload.value {
            put(topic, Format::Json, &spelled(members, Format::Json), out);
        }
    }

    fn carry(&self, message: &Message, format: Format, out: &mut Vec<u8>) {
        if let Ok(members) = serde_json::from_slice(message.payload(Format::Json)) {
            put(&message.topic, format, &spelled(&members, format), out);
        }
    }

    fn scan(&self, bytes: &[u8]) -> Result<Scanned> {
        let mut scanned = Scanned::default();
        // Between frames there are empty lines.
        for end in memchr::memchr_iter(0, bytes) {
            let frame = bytes[scanned.consumed..end].trim_ascii_start();
            if frame.starts_with(b"ERROR") {
                bail!("ActiveMQ says {}", String::from_utf8_lossy(frame));
            }
            scanned.messages += u64::from(frame.starts_with(b"MESSAGE"));
            scanned.consumed = end + 1;
        }
        if bytes[scanned.consumed..].iter().all(|byte| *byte == b'\n') {
            scanned.consumed = bytes.len();
        }
        Ok(scanned)
    }
}
