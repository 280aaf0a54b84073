//! The three formats and their header byte.

use std::fmt;
use std::str::FromStr;

/// The format of a frame's body, announced by the first byte of the frame.
///
/// ```
/// use babelmq_codec::Format;
///
/// assert_eq!("XML".parse(), Ok(Format::Xml));
/// assert_eq!(Format::from_byte(2), Some(Format::Pickle));
/// assert_eq!(Format::Json.to_string(), "json");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Format {
    /// RFC 8259.
    Json = 0,
    /// XML 1.0, UTF-8, without a document type.
    Xml = 1,
    /// Python pickle: protocols 0 to 5 are read, protocol 4 is written.
    Pickle = 2,
}

impl Format {
    /// Every format, in the order of its header byte.
    pub const ALL: [Format; 3] = [Format::Json, Format::Xml, Format::Pickle];

    /// The format that a header byte announces, or `None` for a byte that announces none.
    pub fn from_byte(byte: u8) -> Option<Format> {
        Format::ALL.get(usize::from(byte)).copied()
    }

    /// The header byte.
    pub fn byte(self) -> u8 {
        self as u8
    }

    /// The name as it is written on a command line: `json`, `xml` or `pickle`.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Xml => "xml",
            Format::Pickle => "pickle",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A name that is not a format's; says which ones are.
///
/// ```
/// use babelmq_codec::{Format, protocol::UnknownFormat};
///
/// let error = "yaml".parse::<Format>().unwrap_err();
/// assert_eq!(error, UnknownFormat("yaml".to_owned()));
/// assert_eq!(error.to_string(), "\"yaml\" is not a format; the formats are json, xml and pickle");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a format; the formats are json, xml and pickle")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        Format::ALL
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| UnknownFormat(name.to_owned()))
    }
}
