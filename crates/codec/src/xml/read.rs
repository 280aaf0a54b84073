//! From quick-xml's events to a document, with a stack of open elements in place of recursion.

mod begin;
mod finish;

use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::body::{Body, Root};
use super::chars;
use super::fast_decode;
use super::fault::{Fault, shown};
use super::names;
use super::plain;
use super::prolog;
use super::scope::Scope;
use super::tag::{Attribute, Names};
use super::text::{Piece, Span};
use super::typed::Scalar;
use crate::protocol::{ErrorCode, Limits, Refusal};
use crate::{Budget, Document, Text};

/// How an open element is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// The body: a field per attribute and child.
    Envelope,
    /// Without a `type`; `document` when none below has one either.
    Plain {
        document: bool,
    },
    Scalar(Scalar),
    /// A list, tuple, set or frozenset, as its node says.
    Sequence,
    Dict,
    /// A dict that is the state of an object: two nodes before its own is that of the object.
    Object,
    Map,
    /// An entry of a map; it has no node of its own.
    Entry,
}

/// An element that has begun.
#[derive(Clone, Copy, Debug)]
struct Open {
    kind: Kind,
    name: Span,
    /// Where its `<` lies.
    begins: usize,
    /// The index of its node.
    node: usize,
    /// Children (of an envelope and a plain element, attributes as well) so far.
    items: u32,
    /// Containers from the message down to here, this one included if it is one.
    depth: usize,
    /// What was there before it: pieces of text, declared prefixes.
    pieces: usize,
    prefixes: usize,
}

/// One decoding.
struct Reading<'s, 'd> {
    source: &'s [u8],
    document: &'d mut Document,
    budget: Budget,
    root: Root,
    is_root_complete: bool,
    stack: Vec<Open>,
    /// The text of all open elements, the outermost one's first.
    pieces: Vec<Piece>,
    attributes: Vec<Attribute>,
    /// Names of fields of the body.
    fields: Names<'s>,
    scope: Scope<'s>,
    /// Whether this is inside the message, where prefixes are judged.
    is_scoped: bool,
    message: Option<Range<usize>>,
    /// Whether every name inside the message so far is one of every edition.
    is_readable_to_all: bool,
    /// Whether there is a carriage return or a `]]>` anywhere: most bodies have neither.
    has_returns: bool,
    has_section_ends: bool,
    /// Whether something is to be regrouped at the end.
    has_repeats: bool,
    /// The key `#text`, written once.
    text_key: Option<Text>,
    joined: Vec<u8>,
}

/// Reads `source[range]`.
pub(super) fn decode(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    root: Root,
) -> Result<Body, Refusal> {
    match fast_decode::read(source, range.clone(), document, limits, root) {
        Some(body) => Ok(body),
        None => by_events(source, range, document, limits, root),
    }
}

/// Reads whatever is XML, or says what is wrong with it.
pub(super) fn by_events(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    root: Root,
) -> Result<Body, Refusal> {
    let start = range.start;
    let source = source.get(..range.end).unwrap_or_default();
    read(source, start, document, limits, root).map_err(|fault| fault.into_refusal(start))
}

fn read(
    source: &[u8],
    start: usize,
    document: &mut Document,
    limits: &Limits,
    root: Root,
) -> Result<Body, Fault> {
    const BYTE_ORDER_MARK: &[u8] = "\u{FEFF}".as_bytes();
    let body = source.get(start..).unwrap_or_default();
    let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
    let base = source.len() - body.len();
    let text = str::from_utf8(body).map_err(|error| {
        Fault::malformed(
            base + error.valid_up_to(),
            "this is not UTF-8; XML is accepted in UTF-8 only",
        )
    })?;
    if let Some(at) = chars::first_forbidden(body) {
        return Err(Fault::malformed(
            base + at,
            "a character that XML 1.0 forbids; put such text in an element with type=\"str\" \
             encoding=\"base64\"",
        ));
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        return Err(Fault::malformed(base, "a second byte order mark"));
    }
    let node = document.len();
    let mut reading = Reading {
        source,
        document,
        budget: Budget::new(limits, body.len()),
        root,
        is_root_complete: false,
        stack: Vec::with_capacity(16),
        pieces: Vec::new(),
        attributes: Vec::new(),
        fields: Names::default(),
        scope: Scope::default(),
        is_scoped: root == Root::Value,
        message: None,
        is_readable_to_all: true,
        has_returns: memchr::memchr(b'\r', body).is_some(),
        has_section_ends: memchr::memmem::find(body, b"]]>").is_some(),
        has_repeats: false,
        text_key: None,
        joined: Vec::new(),
    };
    reading.events(text, base)?;
    if reading.has_repeats {
        let around = usize::from(root == Root::Body);
        plain::regroup(reading.document, source, node, around, &mut reading.budget)?;
    }
    Ok(Body {
        root: node,
        message: reading.message,
        is_readable_to_all: reading.is_readable_to_all,
    })
}

impl Reading<'_, '_> {
    /// Reads to the end; `text` lies at `base` in the source.
    fn events(&mut self, text: &str, base: usize) -> Result<(), Fault> {
        let mut reader = Reader::from_str(text);
        let mut before = base;
        loop {
            // quick-xml would read a document type to its end first.
            if let Some([b'<', b'!', b'D' | b'd']) = self.source.get(before..before + 3) {
                return Err(self.document_type(before));
            }
            let event = reader.read_event().map_err(|error| {
                let at = base + reader.error_position() as usize;
                match error {
                    quick_xml::Error::IllFormed(
                        quick_xml::errors::IllFormedError::UnclosedReference,
                    ) => chars::unclosed(at),
                    error => Fault::malformed(at, error.to_string()),
                }
            })?;
            let after = base + reader.buffer_position() as usize;
            match event {
                Event::Start(_) => self.start(Span::new(before + 1, after - 1), before)?,
                Event::Empty(_) => {
                    self.start(Span::new(before + 1, after - 2), before)?;
                    self.end(after)?;
                }
                Event::End(_) => self.end(after)?,
                Event::Text(_) => self.text(Span::new(before, after))?,
                Event::CData(_) => self.section(Span::new(before + 9, after - 3))?,
                Event::GeneralRef(_) => self.reference(Span::new(before + 1, after - 1))?,
                Event::Comment(_) => {
                    prolog::judge_comment(self.source, Span::new(before + 4, after - 3))?
                }
                Event::PI(_) => {
                    let target =
                        prolog::judge_instruction(self.source, Span::new(before + 2, after - 2))?;
                    self.look_at_name(target);
                }
                Event::Decl(_) if before == base => {
                    prolog::judge_declaration(self.source, Span::new(before + 2, after - 2))?;
                }
                Event::Decl(_) => {
                    return Err(Fault::malformed(
                        before,
                        "<?xml …?> stands only at the very beginning",
                    ));
                }
                Event::DocType(_) => return Err(self.document_type(before)),
                Event::Eof => break,
            }
            before = after;
        }
        if let Some(open) = self.stack.last() {
            return Err(Fault::malformed(
                open.begins,
                format!(
                    "<{}> is never closed; is the body cut short?",
                    shown(open.name.of(self.source))
                ),
            ));
        }
        if !self.is_root_complete {
            return Err(Fault::malformed(
                base,
                "there is no element; a body is one, such as <frame …>…</frame>",
            ));
        }
        Ok(())
    }

    /// Notes a name inside the message that not every parser takes.
    #[inline]
    fn look_at_name(&mut self, name: &[u8]) {
        self.is_readable_to_all &= !self.is_scoped || names::is_of_every_edition(name);
    }

    #[cold]
    fn document_type(&self, at: usize) -> Fault {
        match self.source.get(at..at + 9) {
            Some(word) if word.eq_ignore_ascii_case(b"<!DOCTYPE") => {
                Fault::forbidden(at, "a document type (<!DOCTYPE) is not accepted; leave it out")
            }
            _ => Fault::malformed(at, "\"<!\" begins neither a comment nor a CDATA section"),
        }
    }

    fn text(&mut self, span: Span) -> Result<(), Fault> {
        let text = span.of(self.source);
        if self.has_section_ends
            && let Some(at) = memchr::memmem::find(text, b"]]>")
        {
            return Err(Fault::malformed(span.start() + at, "\"]]>\" in text; write it as ]]&gt;"));
        }
        self.character_data(span)
    }

    fn section(&mut self, span: Span) -> Result<(), Fault> {
        if self.stack.is_empty() {
            return Err(Fault::malformed(
                span.start(),
                "a CDATA section outside of the root element",
            ));
        }
        self.character_data(span)
    }

    fn character_data(&mut self, span: Span) -> Result<(), Fault> {
        let text = span.of(self.source);
        match self.stack.last() {
            Some(Open { kind: Kind::Scalar(_), .. }) => {}
            // White space at the beginning is stripped in the end.
            Some(Open { kind: Kind::Plain { .. }, pieces, .. })
                if self.pieces.len() > *pieces || !chars::is_blank(text) => {}
            _ if chars::is_blank(text) => return Ok(()),
            _ => return Err(self.stray_text(span)),
        }
        let has_returns = self.has_returns && memchr::memchr(b'\r', text).is_some();
        self.pieces.push(if has_returns { Piece::Lines(span) } else { Piece::Literal(span) });
        Ok(())
    }

    fn reference(&mut self, name: Span) -> Result<(), Fault> {
        let character = chars::reference(name.of(self.source), name.start() - 1)?;
        match self.stack.last() {
            Some(Open { kind: Kind::Scalar(_) | Kind::Plain { .. }, .. }) => {
                self.pieces.push(Piece::Character(character));
                Ok(())
            }
            Some(_) if matches!(character, ' ' | '\t' | '\n' | '\r') => Ok(()),
            _ => Err(self.stray_text(name)),
        }
    }

    #[cold]
    fn stray_text(&self, span: Span) -> Fault {
        let text = span.of(self.source);
        let at = span.start() + text.iter().take_while(|&&byte| chars::is_space(byte)).count();
        let text = shown(text.trim_ascii());
        match self.stack.last() {
            None => Fault::malformed(at, format!("{text:?} stands outside of the root element")),
            Some(open) if open.kind == Kind::Envelope => Fault::new(
                ErrorCode::NotAMap,
                at,
                format!(
                    "{text:?} stands between the fields; a body is attributes and child elements, \
                     as in \
                     <frame command=\"ping\"/>"
                ),
            ),
            Some(open) => Fault::new(
                ErrorCode::InvalidTag,
                at,
                format!(
                    "<{}> holds the text {text:?}; an element of its type holds elements only",
                    shown(open.name.of(self.source))
                ),
            ),
        }
    }
}
