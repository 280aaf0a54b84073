//! A payload by itself: judged, and translated without a broker.

use super::convert::{from_value, to_value};
use super::document::{Document, View};
use super::envelope::Dialect;
use super::node::Node;
use super::xml::{self, PlainNames};
use super::{json, pickle};
use crate::protocol::{
    ErrorCode, Format, Limits, MAXIMUM_MAX_FRAME, PickleClasses, Refusal, Value,
};

/// A payload in one format. Its bytes were judged: what a broker would refuse is not one of these.
///
/// ```
/// use babelmq_codec::{Format, Message};
///
/// let pickled = b"\x80\x04}\x8c\x04tempG@5\x80\x00\x00\x00\x00\x00s.";
/// let message = Message::parse(Format::Pickle, pickled)?;
/// assert_eq!(message.translate(Format::Json, false)?.bytes(), br#"{"temp":21.5}"#);
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    dialect: Dialect,
    bytes: Vec<u8>,
    /// The same in exact JSON, where the bytes are a pickle that does not say all types.
    typed: Option<Vec<u8>>,
}

/// As generous as any broker may be configured to be.
fn limits() -> Limits {
    Limits::with_max_frame(MAXIMUM_MAX_FRAME)
}

impl Message {
    /// Judges a payload: a JSON text, a pickle, or an XML document. A document whose root is
    /// `message` is read as babelmq writes it, by its `type` attributes; of any other, no `type` is
    /// babelmq's.
    ///
    /// # Errors
    /// The reasons for which a broker refuses the payload, see `docs/protocol.md`.
    pub fn parse(format: Format, bytes: &[u8]) -> Result<Message, Refusal> {
        Message::parse_with_classes(format, bytes, PickleClasses::NONE)
    }

    /// The same; of a pickle, objects of these classes are read as well.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse).
    pub fn parse_with_classes(
        format: Format,
        bytes: &[u8],
        classes: PickleClasses,
    ) -> Result<Message, Refusal> {
        if bytes.len() > MAXIMUM_MAX_FRAME as usize {
            let reason =
                format!("a message of {} bytes; none can be over {MAXIMUM_MAX_FRAME}", bytes.len());
            return Err(Refusal::new(ErrorCode::TooLarge, reason));
        }
        let mut document = Document::new();
        match format {
            Format::Json => {
                let text = json::without_mark(bytes, &(0..bytes.len()));
                let text = bytes[text.unwrap_or(0..bytes.len())].trim_ascii();
                json::decode(text, 0..text.len(), &mut document, &limits())?;
                Ok(Message { dialect: Dialect::Json, bytes: text.to_vec(), typed: None })
            }
            Format::Xml => {
                let bytes = xml_element(bytes, &limits())?;
                Ok(Message { dialect: Dialect::Xml, bytes, typed: None })
            }
            Format::Pickle => {
                let limits = limits().pickle_classes(classes);
                let root = pickle::decode(bytes, 0..bytes.len(), &mut document, &limits)?;
                let view = document.view(bytes, root);
                let typed = view.has_types().then(|| {
                    let mut typed = Vec::new();
                    json::encode(view, json::Tags::Exact, &mut typed);
                    typed
                });
                // Never the bytes of a stranger.
                Ok(Message { typed, ..Message::write(view, Dialect::Pickle) })
            }
        }
    }

    /// The payload that says `value`.
    ///
    /// # Errors
    /// The reasons for which no message can hold the value: [`ErrorCode::Unhashable`],
    /// [`ErrorCode::TooDeep`], [`ErrorCode::TooLarge`], [`ErrorCode::TooManyDigits`].
    pub fn of_value(value: &Value, dialect: Dialect) -> Result<Message, Refusal> {
        let mut document = Document::new();
        let root = from_value(value, &mut document, &Limits::NONE)?;
        Ok(Message::write(document.view(&[], root), dialect))
    }

    /// A payload that was judged before, by a broker.
    #[doc(hidden)]
    pub fn received(format: Format, bytes: Vec<u8>) -> Message {
        Message { dialect: Dialect::new(format, false), bytes, typed: None }
    }

    /// The payload of what was decoded.
    pub(crate) fn write(view: View<'_>, dialect: Dialect) -> Message {
        let mut bytes = Vec::new();
        match dialect.fitting(view, &PlainNames::default(), u32::MAX) {
            Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
                json::encode(view, dialect.tags(), &mut bytes);
            }
            Dialect::Xml => xml::encode(view, &mut bytes),
            Dialect::PlainXml => {
                xml::encode_plain(view, &PlainNames::default(), &mut bytes);
            }
            Dialect::Pickle | Dialect::ExactPickle => {
                pickle::write_prologue(&mut bytes);
                pickle::encode(view, dialect.classes(), &mut bytes);
                pickle::write_stop(&mut bytes);
            }
        }
        Message { dialect, bytes, typed: None }
    }

    /// The same payload in another format, as a broker translates it. With `exact`, JSON has tags
    /// for what it cannot tell apart, and a pickle has classes of a closed list; XML has its types
    /// anyway.
    ///
    /// # Errors
    /// None for a payload within the limits that a broker has.
    pub fn translate(&self, format: Format, exact: bool) -> Result<Message, Refusal> {
        self.translate_to(Dialect::new(format, exact))
    }

    /// The same payload in a dialect, as a broker delivers it to subscriptions that ask for that.
    ///
    /// ```
    /// use babelmq_codec::{Dialect, Format, Message};
    ///
    /// let message = Message::parse(Format::Json, b"[1, 9007199254740993]")?;
    /// let wide = message.translate_to(Dialect::JsJson)?;
    /// assert_eq!(wide.bytes(), br#"[1,{"$int":"9007199254740993"}]"#);
    /// # Ok::<(), babelmq_codec::Refusal>(())
    /// ```
    ///
    /// # Errors
    /// As for [`translate`](Self::translate).
    pub fn translate_to(&self, wanted: Dialect) -> Result<Message, Refusal> {
        // The present bytes will do for what a broker would pass on as it came.
        if wanted == self.dialect {
            return Ok(self.clone());
        }
        let is_xml = wanted.format() == Format::Xml && self.format() == Format::Xml;
        if is_xml && wanted.passes_on_payload(Format::Xml, &self.bytes) {
            return Ok(Message { dialect: wanted, bytes: self.bytes.clone(), typed: None });
        }
        self.looked_at(|view| Message::write(view, wanted))
    }

    /// The format.
    pub fn format(&self) -> Format {
        self.dialect.format()
    }

    /// The payload: JSON text, an XML element `message`, a whole pickle.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The payload, see [`bytes`](Self::bytes).
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// What the payload says.
    ///
    /// # Errors
    /// None for a payload within the limits that a broker has.
    pub fn value(&self) -> Result<Value, Refusal> {
        self.looked_at(to_value)
    }

    /// How it is spelled.
    #[doc(hidden)]
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Shows it decoded.
    #[doc(hidden)]
    pub fn looked_at<T>(&self, look: impl FnOnce(View<'_>) -> T) -> Result<T, Refusal> {
        let (bytes, format) = match &self.typed {
            Some(typed) => (typed, Format::Json),
            None => (&self.bytes, self.format()),
        };
        let all = 0..bytes.len();
        let mut document = Document::new();
        let limits = &Limits::NONE;
        let root = match format {
            Format::Json => json::decode(bytes, all, &mut document, limits)?,
            Format::Xml => xml::decode_message(bytes, all, &mut document, limits)?,
            Format::Pickle => pickle::decode(bytes, all, &mut document, limits)?,
        };
        Ok(look(document.view(bytes, root)))
    }
}

/// The element `message` that says what a document says, or is it.
///
/// # Errors
/// As for [`Message::parse`].
pub(crate) fn xml_element(bytes: &[u8], limits: &Limits) -> Result<Vec<u8>, Refusal> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii();
    let (prolog, root) = bytes.split_at(root_begins(bytes));
    let is_message = root
        .strip_prefix(b"<message")
        .and_then(<[u8]>::first)
        .is_some_and(|&next| next == b'>' || next == b'/' || next.is_ascii_whitespace());
    if is_message {
        judge_xml(bytes, limits)?;
        return Ok(root.to_vec());
    }
    judge_xml(&[prolog, b"<root/>"].concat(), limits)?;
    let bytes = [b"<message type=\"document\">", root, b"</message>"].concat();
    let nodes = judge_xml(&bytes, limits)?;
    match nodes.as_slice() {
        // Elements of one name, side by side, are a list; one by itself never is.
        [Node::Dict(roots), _, root, ..] if roots.items == 1 && !matches!(root, Node::List(_)) => {
            Ok(bytes)
        }
        _ => Err(Refusal::new(
            ErrorCode::MalformedXml,
            "a document is one element, and there is nothing but comments around it",
        )),
    }
}

/// The nodes of what an element says.
fn judge_xml(bytes: &[u8], limits: &Limits) -> Result<Vec<Node>, Refusal> {
    let mut document = Document::new();
    let root = xml::decode_message(bytes, 0..bytes.len(), &mut document, limits)?;
    Ok(document.nodes_mut().split_off(root))
}

/// Where the root element begins: after a declaration, instructions, comments.
fn root_begins(bytes: &[u8]) -> usize {
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        let space = rest.len() - rest.trim_ascii_start().len();
        let rest = &rest[space..];
        let end: &[u8] = match rest {
            [b'<', b'?', ..] => b"?>",
            [b'<', b'!', b'-', b'-', ..] => b"-->",
            _ => return at + space,
        };
        match memchr::memmem::find(rest, end) {
            Some(length) => at += space + length + end.len(),
            None => return at + space,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pickle_keeps_its_types_where_others_can_say_them() {
        let pickle = b"\x80\x02}X\x01\0\0\0dcdecimal\nDecimal\nX\x04\0\0\x001.10\x85Rs.";
        let message = Message::parse(Format::Pickle, pickle).unwrap();
        let exact = message.translate(Format::Json, true).unwrap();
        assert_eq!(exact.bytes(), br#"{"d":{"$decimal":"1.10"}}"#);
        let plain = message.translate(Format::Json, false).unwrap();
        assert_eq!(plain.bytes(), br#"{"d":"1.10"}"#);
        let xml = exact.translate(Format::Xml, false).unwrap();
        assert_eq!(xml.bytes(), br#"<message type="dict"><d type="decimal">1.10</d></message>"#);
        assert!(!message.bytes().windows(7).any(|part| part == b"decimal"));
    }

    #[track_caller]
    fn check(
        from: Format,
        bytes: &str,
        to: Format,
        exact: bool,
        expected: Result<&str, ErrorCode>,
    ) {
        let translated =
            Message::parse(from, bytes.as_bytes()).and_then(|message| message.translate(to, exact));
        let shown = translated.map(|message| String::from_utf8_lossy(message.bytes()).into_owned());
        let expected = expected.map(str::to_owned);
        assert_eq!(shown.map_err(|refusal| refusal.code), expected, "{bytes}");
    }

    #[test]
    fn a_document_becomes_json_and_back() {
        use Format::{Json, Xml};
        let order = r#"{"order":{"@id":"5","@type":"int"}}"#;
        check(Xml, r#"<order id="5" type="int"/>"#, Json, false, Ok(order));
        let prolog =
            "\u{feff}<?xml version=\"1.0\"?>\n<!-- <no/> --><order id=\"5\" type=\"int\"/>\n";
        check(Xml, prolog, Json, false, Ok(order));
        check(Xml, r#"<message type="int">5</message>"#, Json, false, Ok("5"));
        check(Xml, "<message><a/></message>", Json, false, Ok(r#"{"a":null}"#));
        check(Xml, "<messages><a/></messages>", Json, false, Ok(r#"{"messages":{"a":null}}"#));
        check(Xml, "<a/><b/>", Json, false, Err(ErrorCode::MalformedXml));
        check(Xml, "</message><message>", Json, false, Err(ErrorCode::MalformedXml));
        check(Xml, "<a/><a/>", Json, false, Err(ErrorCode::MalformedXml));
        check(Xml, "<a/>text", Json, false, Err(ErrorCode::MalformedXml));
        check(Xml, "<a/></message><message><a/>", Json, false, Err(ErrorCode::MalformedXml));
        let latin = "<?xml version=\"1.0\" encoding=\"latin1\"?><a/>";
        check(Xml, latin, Json, false, Err(ErrorCode::MalformedXml));
        check(Xml, "<!DOCTYPE a><a/>", Json, false, Err(ErrorCode::ForbiddenXml));
        for broken in ["", "<", "<message", "<?x", "<!--", "text", "<!-- --><"] {
            check(Xml, broken, Json, false, Err(ErrorCode::MalformedXml));
        }
    }

    #[test]
    fn exact_json_tells_types_apart_and_the_same_format_keeps_its_spelling() {
        use Format::{Json, Xml};
        let tuple = r#"<message type="tuple"><item type="float">1.50</item></message>"#;
        check(Xml, tuple, Json, false, Ok("[1.5]"));
        check(Xml, tuple, Json, true, Ok(r#"{"$tuple":[1.5]}"#));
        check(Xml, tuple, Xml, false, Ok(tuple));
        check(Json, " {\"a\": 1.50} ", Json, false, Ok("{\"a\": 1.50}"));
        check(Json, "{\"a\": 1.50}", Json, true, Ok("{\"a\":1.5}"));
        check(Json, "1,2", Xml, false, Err(ErrorCode::MalformedJson));
    }
}
