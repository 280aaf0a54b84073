//! The frames that a broker sends: deliveries, values, replies.

use super::dialect::Dialect;
use super::live::write_live;
use super::write::{Content, Field, write_frame};
use crate::out_buf::at_the_end_of;
use crate::protocol::{Format, Id, Limits, Reply, Value};
use crate::{Document, from_value};

/// Appends a `publish` frame: a delivery, or with `retained` a stored value.
pub fn write_delivery(
    out: &mut Vec<u8>,
    dialect: Dialect,
    topic: &str,
    message: Content<'_>,
    retained: bool,
) {
    if !retained {
        // A guess: a page that is too small is made larger.
        let guess = match message {
            Content::Published(bytes) => bytes.len() + topic.len() + 100,
            Content::Decoded(view) => 32 * view.nodes().len() + 2 * topic.len() + 200,
        };
        return at_the_end_of(out, guess, |sheet| {
            write_live(sheet, dialect, topic, message);
        });
    }
    let fields = [
        ("command", Field::Str("publish")),
        ("topic", Field::Str(topic)),
        ("retained", Field::Bool(true)),
    ];
    write_frame(out, dialect, fields.iter(), Some(message));
}

/// Appends the `value` frame that answers a `get`.
pub fn write_value(out: &mut Vec<u8>, dialect: Dialect, topic: &str, message: Content<'_>) {
    let fields = [("command", Field::Str("value")), ("topic", Field::Str(topic))];
    write_frame(out, dialect, fields.iter(), Some(message));
}

/// Appends the `stats` frame that answers a `stats`. A value that no message can hold is left out.
pub fn write_stats(out: &mut Vec<u8>, format: Format, stats: &Value) {
    write_answer(out, format, "stats", stats);
}

/// Appends the `backup` frame that answers a `backup`: the name of the file.
pub fn write_backup(out: &mut Vec<u8>, format: Format, name: &str) {
    write_answer(out, format, "backup", &Value::Str(name.to_owned()));
}

fn write_answer(out: &mut Vec<u8>, format: Format, command: &str, value: &Value) {
    let mut document = Document::new();
    let root = from_value(value, &mut document, &Limits::NONE).ok();
    let message = root.map(|root| Content::Decoded(document.view(&[], root)));
    write_frame(
        out,
        Dialect::new(format, false),
        [("command", Field::Str(command))].iter(),
        message,
    );
}

/// Appends the frame of a reply.
pub fn write_reply(out: &mut Vec<u8>, format: Format, reply: &Reply) {
    let dialect = Dialect::new(format, false);
    let mut fields: Vec<(&str, Field<'_>)> = Vec::with_capacity(7);
    let count = |count: u64| Field::Int(i64::try_from(count).unwrap_or(i64::MAX));
    let command = match reply {
        Reply::Streams { streams } => return write_answer(out, format, "streams", streams),
        Reply::Consumers { consumers } => return write_answer(out, format, "consumers", consumers),
        Reply::Subscribed { topic, values, limited, kept } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            fields.push(("values", count(*values)));
            if *limited {
                fields.push(("limited", Field::Bool(true)));
            }
            if let Some(kept) = kept {
                fields.push(("stream", Field::Str(&kept.stream)));
                if let Some(consumer) = &kept.consumer {
                    fields.push(("consumer", Field::Str(consumer)));
                }
                fields.push(("pending", count(kept.pending)));
                fields.extend(kept.next.map(|next| ("next", count(next))));
            }
            "subscribed"
        }
        Reply::Cancelled { topic } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            "cancelled"
        }
        Reply::Dropped { topic, count: dropped } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            fields.push(("count", count(*dropped)));
            "dropped"
        }
        Reply::Cleared { topic } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            "cleared"
        }
        Reply::Topics { topics } => {
            fields.push(("topics", Field::Topics(topics)));
            "topics"
        }
        Reply::NoValue { topic } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            "value"
        }
        Reply::Pong { id } => {
            match id {
                Some(Id::Str(text)) => fields.push(("id", Field::Str(text))),
                Some(Id::Int(number)) => fields.push(("id", Field::Int(*number))),
                None => {}
            }
            "pong"
        }
        Reply::Welcome { user, server } => {
            fields.push(("user", Field::Str(user)));
            fields.push(("server", Field::Str(server)));
            "welcome"
        }
        Reply::Values { topic, count: values } => {
            fields.push(("topic", Field::Str(topic.as_str())));
            fields.push(("count", count(*values)));
            "values"
        }
        Reply::Done { stream, consumer } => {
            if let Some(stream) = stream {
                fields.push(("stream", Field::Str(stream)));
            }
            if let Some(consumer) = consumer {
                fields.push(("consumer", Field::Str(consumer)));
            }
            "done"
        }
        Reply::Error(refusal) => {
            fields.push(("code", Field::Str(refusal.code.as_str())));
            fields.push(("reason", Field::Str(&refusal.reason)));
            fields.push(("fatal", Field::Bool(refusal.code.is_fatal())));
            if let Some(topic) = &refusal.topic {
                fields.push(("topic", Field::Str(topic)));
            }
            "error"
        }
    };
    write_frame(out, dialect, [("command", Field::Str(command))].iter().chain(&fields), None);
}
