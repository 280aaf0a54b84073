//! The ways in which a message is written: the formats, JSON in three ways, XML and
//! pickle in two.

use crate::document::View;
use crate::json::Tags;
use crate::pickle::Classes;
use crate::protocol::Format;
use crate::xml::{self, PlainNames};

/// How a subscriber wants its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// JSON as `json.dumps` writes it.
    Json,
    /// JSON in which everything that JSON cannot tell apart is tagged.
    ExactJson,
    /// The same for JavaScript, whose numbers are doubles: an int that they lose is tagged too.
    JsJson,
    /// XML in which a `type` says what a value is.
    Xml,
    /// XML without types, as `xmltodict.unparse` writes it. What would be far longer so is written
    /// with types, see [`fitting`](Self::fitting).
    PlainXml,
    /// Pickle of data opcodes alone.
    Pickle,
    /// Pickle with classes of a closed list, of the standard library's and numpy's.
    ExactPickle,
}

impl Dialect {
    /// Every dialect, in the order of [`index`](Self::index).
    pub const ALL: [Dialect; 7] = [
        Dialect::Json,
        Dialect::ExactJson,
        Dialect::JsJson,
        Dialect::Xml,
        Dialect::PlainXml,
        Dialect::Pickle,
        Dialect::ExactPickle,
    ];

    /// The dialect of a subscription; XML with types is exact already.
    pub fn new(format: Format, exact: bool) -> Dialect {
        match format {
            Format::Json if exact => Dialect::ExactJson,
            Format::Json => Dialect::Json,
            Format::Xml => Dialect::Xml,
            Format::Pickle if exact => Dialect::ExactPickle,
            Format::Pickle => Dialect::Pickle,
        }
    }

    /// The format of its frames.
    pub fn format(self) -> Format {
        match self {
            Dialect::Json | Dialect::ExactJson | Dialect::JsJson => Format::Json,
            Dialect::Xml | Dialect::PlainXml => Format::Xml,
            Dialect::Pickle | Dialect::ExactPickle => Format::Pickle,
        }
    }

    /// Which classes its pickles name.
    #[inline(always)]
    pub(crate) fn classes(self) -> Classes {
        match self {
            Dialect::ExactPickle => Classes::Listed,
            _ => Classes::None,
        }
    }

    /// What is tagged in its JSON.
    #[inline(always)]
    pub(crate) fn tags(self) -> Tags {
        match self {
            Dialect::ExactJson => Tags::Exact,
            Dialect::JsJson => Tags::Js,
            _ => Tags::Needed,
        }
    }

    /// Whether it tells all values apart.
    pub fn is_exact_json(self) -> bool {
        matches!(self, Dialect::ExactJson | Dialect::JsJson)
    }

    /// Its place in [`Dialect::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether a payload by itself, published in `format`, is passed on as it came, whatever it is.
    pub fn passes_on(self, format: Format) -> bool {
        matches!((self, format), (Dialect::Json, Format::Json) | (Dialect::Xml, Format::Xml))
    }

    /// Whether this payload, which was judged, is passed on as it came: in XML without types, XML
    /// without types is.
    #[inline]
    pub fn passes_on_payload(self, format: Format, payload: &[u8]) -> bool {
        self.passes_on(format)
            || self == Dialect::PlainXml && format == Format::Xml && xml::is_untyped(payload)
    }

    /// The dialect in which a value is delivered to those who want this one, in frames of `most`
    /// bytes at most: XML has types where it would be far longer without them.
    #[inline]
    pub fn fitting(self, view: View<'_>, names: &PlainNames, most: u32) -> Dialect {
        match self {
            Dialect::PlainXml if !xml::is_short_enough(view, names, most.into()) => Dialect::Xml,
            dialect => dialect,
        }
    }
}
