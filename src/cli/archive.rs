//! `babelmq export` and `babelmq import`: a data directory as lines of JSON, while no broker runs.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, IsTerminal, Write};
use std::panic;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::failure::Failure;
use super::quantity;
use super::visible;
use crate::broker::{Change, Expires, Kept, Store, StoreError, Stored};
use crate::codec::Message;
use crate::codec::{Dialect, Document, Encoding, PayloadRef, to_value};
use crate::protocol::{Format, Limits, Qos, Topic, TopicFilter};
use crate::storage::{self, Compacted, Contents, Storage};

/// Values that are handed to the store at a time.
const TOGETHER: usize = 1_024;

#[derive(Debug, clap::Args)]
pub(super) struct Export {
    /// The data directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Print what can still be read of a damaged one; what cannot is said on standard error.
    #[arg(long)]
    damaged: bool,
}

#[derive(Debug, clap::Args)]
pub(super) struct Import {
    /// The data directory, which is made where there is none. Values that it holds already stay,
    /// unless a line names their topic.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The lines; standard input where it is not given.
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct Compact {
    /// The data directory.
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

/// A value as a line. The lines are in the order in which the values were published.
#[derive(Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Line {
    topic: String,
    format: String,
    /// When it expires, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires: Option<u64>,
    /// How long it had left when it was written, in milliseconds: it lives no longer than that
    /// after a start.
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    /// The payload is a whole message body, as it was published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    body: bool,
    /// The QoS with which it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    qos: Option<u8>,
    /// Its properties, in base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    properties: Option<String>,
    /// The payload as a text, or in base64 where it is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl Line {
    fn of(kept: &Kept) -> Line {
        let (encoding, bytes) = (kept.payload.encoding(), kept.payload.source());
        let is_text = match encoding {
            Encoding::Value(format) | Encoding::Body(format) => format != Format::Pickle,
            Encoding::Text => true,
            Encoding::Bytes => false,
        };
        let text = str::from_utf8(bytes).ok().filter(|_| is_text);
        let properties = kept.payload.properties();
        Line {
            topic: kept.topic.to_string(),
            format: encoding.name().to_owned(),
            expires: kept.expires.map(|expires| expires.at),
            ttl_ms: kept.expires.and_then(|expires| expires.ttl),
            body: matches!(encoding, Encoding::Body(_)),
            qos: kept.payload.qos().map(Qos::byte),
            properties: (!properties.is_empty()).then(|| STANDARD.encode(properties)),
            payload: text.map(str::to_owned),
            base64: text.is_none().then(|| STANDARD.encode(bytes)),
        }
    }

    /// The value, judged as if it had been published.
    fn judge(self, published: u64) -> Result<Kept, String> {
        let topic = Topic::parse(&self.topic).map_err(|refusal| refusal.to_string())?;
        let encoding = match (self.format.as_str(), self.body) {
            ("text", false) => Encoding::Text,
            ("bytes", false) => Encoding::Bytes,
            (name, body) => {
                let format = name.parse().map_err(|_| format!("there is no format {name:?}"))?;
                if body { Encoding::Body(format) } else { Encoding::Value(format) }
            }
        };
        let qos = match self.qos {
            None => None,
            Some(qos) => Some(Qos::from_byte(qos).ok_or(format!("there is no qos {qos}"))?),
        };
        let base64 = |name: &str, text: String| {
            STANDARD.decode(text).map_err(|error| format!("field {name:?}: {error}"))
        };
        let properties =
            self.properties.map(|text| base64("properties", text)).transpose()?.unwrap_or_default();
        let bytes = match (self.payload, self.base64) {
            (Some(text), None) => text.into_bytes(),
            (None, Some(text)) => base64("base64", text)?,
            _ => {
                return Err("there must be either a field \"payload\" or a field \"base64\"".into());
            }
        };
        let payload = PayloadRef::new(&bytes, encoding).with_qos(qos).with_properties(&properties);
        let payload = payload.to_payload();
        payload
            .decode(&mut Document::new(), &Limits::default())
            .map_err(|refusal| refusal.to_string())?;
        let expires = self.expires.map(|at| Expires { at, ttl: self.ttl_ms });
        Ok(Kept { topic, payload, published, expires })
    }
}

pub(super) fn export(args: &Export) -> Result<(), Failure> {
    if args.damaged {
        // What the database says when it gives up is said below, in other words.
        panic::set_hook(Box::new(|_| {}));
    }
    let Contents { values, damaged, earlier, unreadable } =
        storage::read(&args.directory, args.damaged)?;
    if args.damaged {
        drop(panic::take_hook());
    }
    let mut out = BufWriter::new(io::stdout());
    for kept in &values {
        serde_json::to_writer(&mut out, &Line::of(kept)).map_err(io::Error::from)?;
        out.write_all(b"\n")?;
    }
    out.flush()?;
    for topic in &damaged {
        let has_earlier = earlier.contains(topic);
        let topic = visible::line(topic.as_str());
        if has_earlier {
            eprintln!(
                "babelmq: the value of \"{topic}\" is damaged; the last copy that was found is \
                 printed, which may be older"
            );
        } else {
            eprintln!("babelmq: the value of \"{topic}\" is damaged and left out");
        }
    }
    if let Some(what) = &unreadable {
        eprintln!(
            "babelmq: which topics there were cannot be read ({what}); {} values were found that \
             are as they were written, the \
             newest of each topic: some may be older than the last that was published, and what \
             had been cleared may be among \
             them",
            values.len()
        );
    }
    if damaged.is_empty() && unreadable.is_none() { Ok(()) } else { Err(Failure::Said(1)) }
}

pub(super) fn import(args: &Import) -> Result<(), Failure> {
    let (name, reader): (String, Box<dyn BufRead>) = match &args.file {
        None => ("standard input".into(), Box::new(io::stdin().lock())),
        Some(path) => {
            let name = path.display().to_string();
            let file =
                File::open(path).map_err(|error| Failure::File { place: name.clone(), error })?;
            (name, Box::new(BufReader::new(file)))
        }
    };
    let mut storage = Storage::fill(&args.directory)?;
    let mut published = 0;
    let mut changes = Vec::new();
    storage.load(&mut |kept| published = published.max(kept.published))?;
    for (number, line) in reader.lines().enumerate() {
        let place = || format!("{name}, line {}", number + 1);
        let line = line.map_err(|error| Failure::File { place: place(), error })?;
        if line.trim().is_empty() {
            continue;
        }
        published += 1;
        let judged = serde_json::from_str(&line).map_err(|error| error.to_string());
        // Nothing is written before the last line was good.
        let Kept { topic, payload, expires, .. } = judged
            .and_then(|line: Line| line.judge(published))
            .map_err(|what| Failure::Other(format!("{}: {what}; nothing was imported", place())))?;
        let stored = Stored::new(topic.name(), payload.borrow(), published);
        changes.push(Change::Keep { stored, expires });
        if changes.len() == TOGETHER {
            storage.write(&changes)?;
            changes.clear();
        }
    }
    storage.write(&changes)?;
    Ok(storage.finish()?)
}

pub(super) fn compact(args: &Compact) -> Result<(), Failure> {
    let Compacted { before, after } = storage::compact(&args.directory)?;
    let size = |bytes| quantity::bytes(bytes as f64);
    if io::stderr().is_terminal() {
        eprintln!("{} was {}, and is {}", args.directory.display(), size(before), size(after));
    }
    Ok(())
}

/// The topics of a data directory, and their values if a format is wanted.
pub(super) fn topics(
    directory: &Path,
    prefix: &TopicFilter,
    format: Option<Format>,
) -> Result<BTreeMap<Topic, Option<Message>>, Failure> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let contents = storage::read(directory, false)?;
    let is_wanted = |kept: &Kept| {
        prefix.matches(&kept.topic)
            && kept.expires.is_none_or(|expires| u128::from(expires.at) > now)
    };
    let mut topics = BTreeMap::new();
    for kept in contents.values.into_iter().filter(is_wanted) {
        let message = format.map(|format| message(&kept, format)).transpose()?;
        topics.insert(kept.topic, message);
    }
    for topic in contents.damaged {
        eprintln!(
            "babelmq: the value of \"{}\" is damaged and left out",
            visible::line(topic.as_str())
        );
    }
    Ok(topics)
}

/// The value as a broker would send it.
fn message(kept: &Kept, format: Format) -> Result<Message, Failure> {
    let Kept { topic, payload, .. } = kept;
    let unreadable = |refusal| Failure::Payload { place: format!("{topic}: "), refusal };
    if payload.encoding() == Encoding::Value(format) && format != Format::Pickle {
        return Message::parse(format, payload.source()).map_err(unreadable);
    }
    let mut document = Document::new();
    let root = payload.decode(&mut document, &Limits::default()).map_err(unreadable)?;
    let value = to_value(document.view(payload.source(), root));
    Message::of_value(&value, Dialect::new(format, false)).map_err(unreadable)
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        Failure::Other(error.to_string())
    }
}
