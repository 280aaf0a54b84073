//! Messages out of files and pipes.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use super::failure::Failure;
use crate::codec::Message;
use crate::codec::pickle;
use crate::protocol::{Format, PickleClasses, Value};

/// What a file or pipe holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// One message, the whole of it; of pickles, one after the other.
    Whole(Format),
    /// A message on every line.
    Lines(Format),
    /// A string on every line.
    Strings,
}

impl Kind {
    /// What the name of a file says that it holds.
    pub(super) fn of(path: &Path) -> Option<Kind> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "ndjson" | "jsonl" => Some(Kind::Lines(Format::Json)),
            "json" => Some(Kind::Whole(Format::Json)),
            "xml" => Some(Kind::Whole(Format::Xml)),
            "pkl" | "pickle" => Some(Kind::Whole(Format::Pickle)),
            "txt" | "log" => Some(Kind::Strings),
            _ => None,
        }
    }

    /// What a file holds, by its first bytes; `None` where they do not say so.
    pub(super) fn by_content(path: &Path) -> Option<Kind> {
        const SEEN: u64 = 64;
        let mut first = Vec::new();
        File::open(path).ok()?.take(SEEN).read_to_end(&mut first).ok()?;
        let text = first.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&first).trim_ascii_start();
        match text.first()? {
            b'<' => Some(Kind::Whole(Format::Xml)),
            // PROTO, with which every pickle since protocol 2 begins.
            0x80 => Some(Kind::Whole(Format::Pickle)),
            b'{' | b'[' => Some(Kind::Whole(Format::Json)),
            _ => None,
        }
    }
}

/// A file or pipe that messages are read from.
pub(super) struct Input {
    name: String,
    kind: Kind,
    reader: Box<dyn BufRead>,
    /// Lines or pickles so far.
    count: usize,
    /// Of a whole file, what is not yet taken; `None` before it was read.
    rest: Option<Vec<u8>>,
    taken: usize,
}

/// The bytes of one message, and where they are from.
pub(super) struct Item {
    /// Such as `file.ndjson, line 3: `.
    pub(super) place: String,
    pub(super) bytes: Vec<u8>,
    kind: Kind,
}

impl Item {
    /// The message, judged.
    pub(super) fn message(&self) -> Result<Message, Failure> {
        self.message_with_classes(PickleClasses::NONE)
    }

    /// The same; of a pickle, objects of these classes are read as well.
    pub(super) fn message_with_classes(&self, classes: PickleClasses) -> Result<Message, Failure> {
        let message = match self.kind {
            Kind::Strings => Message::of_value(
                &Value::Str(String::from_utf8_lossy(&self.bytes).into_owned()),
                crate::codec::Dialect::Json,
            ),
            Kind::Whole(format) | Kind::Lines(format) => {
                Message::parse_with_classes(format, &self.bytes, classes)
            }
        };
        message.map_err(|refusal| Failure::Payload { place: self.place.clone(), refusal })
    }
}

impl Input {
    /// A file, or with `-` standard input.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<Input, Failure> {
        let (name, reader): (_, Box<dyn BufRead>) = if path == Path::new("-") {
            ("standard input".to_owned(), Box::new(BufReader::new(io::stdin())))
        } else {
            let name = path.display().to_string();
            match File::open(path) {
                Ok(file) => (name, Box::new(BufReader::new(file))),
                Err(error) => return Err(Failure::File { place: name, error }),
            }
        };
        Ok(Input { name, kind, reader, count: 0, rest: None, taken: 0 })
    }

    fn next_item(&mut self) -> io::Result<Option<Item>> {
        match self.kind {
            Kind::Lines(_) | Kind::Strings => self.next_line(),
            Kind::Whole(format) => {
                let rest = match &mut self.rest {
                    Some(rest) => rest,
                    None => {
                        let mut all = Vec::new();
                        self.reader.read_to_end(&mut all)?;
                        self.rest.insert(all)
                    }
                };
                let left = &rest[self.taken..];
                if left.is_empty() && self.count > 0 {
                    return Ok(None);
                }
                let length = match format {
                    // A pickle that does not end is judged as a whole, and refused.
                    Format::Pickle => match pickle::opcodes(left).last() {
                        Some(Ok(stop)) => stop.end,
                        _ => left.len(),
                    },
                    Format::Json | Format::Xml => left.len(),
                };
                let bytes = left[..length].to_vec();
                self.taken += length;
                self.count += 1;
                let place = match self.count {
                    1 => format!("{}: ", self.name),
                    count => format!("{}, pickle {count}: ", self.name),
                };
                Ok(Some(Item { place, bytes, kind: self.kind }))
            }
        }
    }

    fn next_line(&mut self) -> io::Result<Option<Item>> {
        loop {
            let mut bytes = Vec::new();
            if self.reader.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(None);
            }
            self.count += 1;
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            if bytes.last() == Some(&b'\r') {
                bytes.pop();
            }
            // An empty line is no message, unless lines are strings.
            if self.kind == Kind::Strings || !bytes.trim_ascii().is_empty() {
                let place = format!("{}, line {}: ", self.name, self.count);
                return Ok(Some(Item { place, bytes, kind: self.kind }));
            }
        }
    }
}

impl Iterator for Input {
    type Item = Result<Item, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.next_item() {
            Ok(item) => item.map(Ok),
            Err(error) => Some(Err(Failure::File { place: self.name.clone(), error })),
        }
    }
}
