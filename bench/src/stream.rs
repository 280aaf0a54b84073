//! Streams of messages, as `bench/streams` makes them and writes them down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::wire::Format;

/// Where streams come from.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Source {
    /// Where streams are kept, and what bench/install-peers.sh brings.
    #[arg(long, default_value = "bench/.cache", value_name = "FOLDER")]
    pub(crate) cache: PathBuf,

    /// A folder of files *.ndjson, whose lines are {"topic": …, "message": …}: each file becomes a
    /// stream.
    #[arg(long, value_name = "FOLDER")]
    streams: Option<PathBuf>,

    /// The program that makes the streams.
    #[arg(long, default_value = "bench/streams", value_name = "FOLDER")]
    maker: PathBuf,
}

/// What a stream is about, without its messages.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) group: Group,
    /// The first part of all its topics.
    pub(crate) root: String,
    pub(crate) topics: usize,
    /// Whether its messages are objects without others within.
    pub(crate) flat: bool,
    /// Of JSON, in the mean.
    pub(crate) bytes: usize,
    #[serde(skip)]
    file: PathBuf,
}

/// The table that a stream stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Group {
    Small,
    Real,
    Variants,
    Wide,
}

/// The messages of a stream, in the order in which they are published.
#[derive(Debug)]
pub(crate) struct Stream {
    pub(crate) messages: Vec<Message>,
}

/// A message in every spelling that some system takes.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) topic: String,
    payloads: [Vec<u8>; 3],
    json_envelope: [Vec<u8>; 2],
    pickle_body: Vec<u8>,
    xml_envelope: [Vec<u8>; 2],
}

impl Source {
    /// The Python that has what the installer of peers brought; else the one on the path.
    pub(crate) fn python(&self) -> PathBuf {
        let own = self.cache.join("venv/bin/python");
        if own.is_file() { own } else { "python3".into() }
    }

    /// Makes the streams, and lists those of the names; all without names.
    pub(crate) fn make(&self, names: &[String]) -> Result<Vec<Entry>> {
        let mut command = Command::new(self.python());
        let folder = self.cache.join("streams");
        command.arg(&self.maker).arg("--cache").arg(&folder);
        let shipped = self.cache.join("shipped");
        if shipped.is_dir() {
            command.arg("--shipped").arg(shipped);
        } else {
            eprintln!(
                "twitter.json and its like are not there; bench/install-peers.sh brings them"
            );
        }
        if let Some(ndjson) = &self.streams {
            command.arg("--ndjson").arg(ndjson);
        }
        let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
        ensure!(status.context("cannot make streams")?.success(), "the streams were not made");
        let index = fs::read(folder.join("streams.json"))?;
        let mut entries: Vec<Entry> = serde_json::from_slice(&index)?;
        for name in names {
            if !entries.iter().any(|entry| entry.name == *name) {
                let all: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
                bail!("there is no stream {name:?}; there are {}", all.join(", "));
            }
        }
        entries.retain(|entry| names.is_empty() || names.contains(&entry.name));
        for entry in &mut entries {
            entry.file = folder.join(format!("{}.stream", entry.name));
        }
        Ok(entries)
    }
}

impl Entry {
    pub(crate) fn file(&self) -> &Path {
        &self.file
    }

    pub(crate) fn load(&self) -> Result<Stream> {
        let bytes =
            fs::read(&self.file).with_context(|| format!("cannot read {}", self.file.display()))?;
        Stream::parse(&bytes)
    }
}

impl Stream {
    /// The fields are those of `bench/streams/spelling.py`.
    fn parse(mut bytes: &[u8]) -> Result<Stream> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let mut fields: [Vec<u8>; 9] = Default::default();
            for field in &mut fields {
                let (length, rest) = bytes.split_first_chunk().context("a length is cut off")?;
                let length = u32::from_be_bytes(*length) as usize;
                let (text, rest) = rest.split_at_checked(length).context("a field is cut off")?;
                *field = text.to_vec();
                bytes = rest;
            }
            let [topic, json, pickle, xml, json_0, json_1, pickle_body, xml_0, xml_1] = fields;
            messages.push(Message {
                topic: String::from_utf8(topic)?,
                // In the order of the formats.
                payloads: [json, xml, pickle],
                json_envelope: [json_0, json_1],
                pickle_body,
                xml_envelope: [xml_0, xml_1],
            });
        }
        Ok(Stream { messages })
    }

    /// Bytes of a message's payload, in the mean.
    pub(crate) fn mean_bytes(&self, format: Format) -> usize {
        let total: usize = self.payloads(format).map(<[u8]>::len).sum();
        total / self.messages.len().max(1)
    }

    /// The messages' payloads in a format.
    pub(crate) fn payloads(&self, format: Format) -> impl Iterator<Item = &[u8]> {
        self.messages.iter().map(move |message| message.payload(format))
    }
}

impl Message {
    pub(crate) fn payload(&self, format: Format) -> &[u8] {
        &self.payloads[usize::from(format.byte())]
    }

    /// The body of the frame that publishes it to babelmq.
    pub(crate) fn write_body(&self, format: Format, out: &mut Vec<u8>) {
        let [before, behind] = match format {
            Format::Json => &self.json_envelope,
            Format::Xml => &self.xml_envelope,
            Format::Pickle => return out.extend_from_slice(&self.pickle_body),
        };
        out.extend_from_slice(before);
        out.extend_from_slice(self.payload(format));
        out.extend_from_slice(behind);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_become_messages() {
        let field = |text: &str| [&(text.len() as u32).to_be_bytes(), text.as_bytes()].concat();
        let bytes = ["t", "1", "p", "x", "{", "}", "P", "<", ">"].map(field).concat();
        let stream = Stream::parse(&bytes.repeat(2)).unwrap();
        let [_, message] = stream.messages.as_slice() else { panic!("two messages") };
        let body = |format| {
            let mut body = Vec::new();
            message.write_body(format, &mut body);
            String::from_utf8(body).unwrap()
        };
        assert_eq!(message.topic, "t");
        assert_eq!(message.payload(Format::Xml), b"x");
        let bodies = [body(Format::Json), body(Format::Pickle), body(Format::Xml)];
        assert_eq!(bodies, ["{1}", "P", "<x>"]);
        assert!(Stream::parse(&bytes[..bytes.len() - 1]).is_err());
    }
}
