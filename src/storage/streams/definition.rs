//! The definition of a stream, in a file of its folder: lines of names and values, and their
//! checksum in the last.

use std::io;
use std::path::Path;
use std::time::Duration;

use super::super::cannot;
use super::files::{Files, read_whole, replace};
use crate::broker::{StoreError, StreamDefinition, WhenFull};
use crate::protocol::TopicFilter;

/// Its name in the folder.
pub(super) const FILE: &str = "definition";
const FIRST: &str = "babelmq stream 1";
/// More than any definition has.
const MOST: u64 = 16 << 10;

fn write(definition: &StreamDefinition) -> String {
    let mut text =
        format!("{FIRST}\nname={}\nfilter={}\n", definition.name, definition.filter.as_str());
    let age = definition.age.map(|age| age.as_millis());
    if let Some(age) = age {
        text += &format!("age-ms={age}\n");
    }
    if let Some(bytes) = definition.bytes {
        text += &format!("bytes={bytes}\n");
    }
    if let Some(messages) = definition.messages {
        text += &format!("messages={messages}\n");
    }
    text += &format!("full={}\n", definition.full.as_str());
    let sum = crc32fast::hash(text.as_bytes());
    text + &format!("crc32={sum:08x}\n")
}

fn read(text: &str) -> Result<StreamDefinition, String> {
    let mut lines = text.lines();
    match lines.next() {
        Some(FIRST) => {}
        Some(line) if line.starts_with("babelmq stream ") => {
            return Err("it is of another version; use the babelmq that wrote it".to_owned());
        }
        _ => return Err("it is damaged".to_owned()),
    }
    let (signed, sum) = text.rsplit_once("crc32=").ok_or("it is damaged")?;
    if sum.trim_end() != format!("{:08x}", crc32fast::hash(signed.as_bytes())) {
        return Err("it is damaged: its checksum is another".to_owned());
    }
    let value = |name: &str| {
        let of_name = |line: &'_ str| -> Option<String> {
            Some(line.strip_prefix(name)?.strip_prefix('=')?.to_owned())
        };
        signed.lines().find_map(of_name)
    };
    let number = |name: &str| -> Result<Option<u64>, String> {
        let parse = |value: String| value.parse().map_err(|_| format!("{name} is no number"));
        value(name).map(parse).transpose()
    };
    let filter = TopicFilter::parse(&value("filter").unwrap_or_default())
        .map_err(|error| error.to_string())?;
    let mut definition = StreamDefinition::new(&value("name").unwrap_or_default(), filter)?;
    definition.age = number("age-ms")?.map(Duration::from_millis);
    definition.bytes = number("bytes")?;
    definition.messages = number("messages")?;
    definition.full = value("full")
        .and_then(|word| WhenFull::from_word(&word))
        .ok_or("it does not say what happens when the stream is full")?;
    Ok(definition)
}

/// The definition in a folder; `None` if there is none.
pub(super) fn load(
    files: &dyn Files,
    directory: &Path,
) -> Result<Option<StreamDefinition>, StoreError> {
    let path = directory.join(FILE);
    let bytes = match files.open(&path, false) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.and_then(|file| read_whole(&*file, MOST)),
    };
    let bytes = bytes.map_err(|error| cannot("read", &path, error))?;
    let text = String::from_utf8(bytes).map_err(|_| "it is damaged".to_owned());
    let definition = text.and_then(|text| read(&text)).map_err(|error| {
        StoreError::new(format!(
            "cannot read {}: {error}; with another definition in its place, or none, `add-stream` \
             or `--stream` gives the stream one",
            path.display()
        ))
    })?;
    Ok(Some(definition))
}

/// Remembers a definition.
pub(super) fn store(
    files: &dyn Files,
    directory: &Path,
    definition: &StreamDefinition,
) -> Result<(), StoreError> {
    let path = directory.join(FILE);
    let replaced = replace(files, &path, write(definition).as_bytes());
    replaced.map(drop).map_err(|error| cannot("write to", &path, error))
}
