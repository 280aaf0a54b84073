//! The ways in which a message is written: the formats, and JSON in three ways.

use crate::json::Tags;
use crate::protocol::Format;

/// How a subscriber wants its deliveries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// JSON as `json.dumps` writes it.
    Json,
    /// JSON in which everything that JSON cannot tell apart is tagged.
    ExactJson,
    /// The same for JavaScript, whose numbers are doubles: an int that they lose is tagged too.
    JsJson,
    /// XML.
    Xml,
    /// Pickle.
    Pickle,
}

impl Dialect {
    /// Every dialect, in the order of [`index`](Self::index).
    pub const ALL: [Dialect; 5] =
        [Dialect::Json, Dialect::ExactJson, Dialect::JsJson, Dialect::Xml, Dialect::Pickle];

    /// The dialect of a subscription; `exact` means something in JSON alone.
    pub fn new(format: Format, exact: bool) -> Dialect {
        match format {
            Format::Json if exact => Dialect::ExactJson,
            Format::Json => Dialect::Json,
            Format::Xml => Dialect::Xml,
            Format::Pickle => Dialect::Pickle,
        }
    }

    /// The format of its frames.
    pub fn format(self) -> Format {
        match self {
            Dialect::Json | Dialect::ExactJson | Dialect::JsJson => Format::Json,
            Dialect::Xml => Format::Xml,
            Dialect::Pickle => Format::Pickle,
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

    /// Whether a payload by itself, published in `format`, is passed on as it came.
    pub fn passes_on(self, format: Format) -> bool {
        matches!((self, format), (Dialect::Json, Format::Json) | (Dialect::Xml, Format::Xml))
    }
}
