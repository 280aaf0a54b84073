//! From quick-xml's events to a document, with a stack of open elements in place of recursion.

use std::mem;
use std::ops::Range;

use quick_xml::Reader;
use quick_xml::events::Event;

use super::Body;
use super::chars;
use super::fault::{Fault, shown};
use super::plain;
use super::prolog;
use super::scope::Scope;
use super::tag::{self, Attribute, Names};
use super::text::{Content, Piece, Span};
use super::typed::{self, Scalar, Type};
use crate::codec::keys;
use crate::codec::{Budget, Document, Node, Size, Text};
use crate::protocol::{ErrorCode, Limits, MAX_DEPTH, Refusal};

/// What the root element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A message body.
    Body,
    /// A value.
    Value,
}

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
        Fault::malformed(base + error.valid_up_to(), "this is not UTF-8; XML is accepted in UTF-8 only")
    })?;
    if let Some(at) = chars::first_forbidden(body) {
        return Err(Fault::malformed(
            base + at,
            "a character that XML 1.0 forbids; put such text in an element with type=\"str\" encoding=\"base64\"",
        ));
    }
    if body.starts_with(BYTE_ORDER_MARK) {
        return Err(Fault::malformed(base, "a second byte order mark"));
    }
    let node = document.len();
    let mut reading = Reading {
        source,
        document,
        budget: Budget::new(limits),
        root,
        is_root_complete: false,
        stack: Vec::with_capacity(16),
        pieces: Vec::new(),
        attributes: Vec::new(),
        fields: Names::default(),
        scope: Scope::default(),
        is_scoped: root == Root::Value,
        message: None,
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
    Ok(Body { root: node, message: reading.message })
}

impl<'s> Reading<'s, '_> {
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
                    quick_xml::Error::IllFormed(quick_xml::errors::IllFormedError::UnclosedReference) => {
                        chars::unclosed(at)
                    }
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
                Event::Comment(_) => prolog::judge_comment(self.source, Span::new(before + 4, after - 3))?,
                Event::PI(_) => prolog::judge_instruction(self.source, Span::new(before + 2, after - 2))?,
                Event::Decl(_) if before == base => {
                    prolog::judge_declaration(self.source, Span::new(before + 2, after - 2))?;
                }
                Event::Decl(_) => {
                    return Err(Fault::malformed(before, "<?xml …?> stands only at the very beginning"));
                }
                Event::DocType(_) => return Err(self.document_type(before)),
                Event::Eof => break,
            }
            before = after;
        }
        if let Some(open) = self.stack.last() {
            return Err(Fault::malformed(
                open.begins,
                format!("<{}> is never closed; is the body cut short?", shown(open.name.of(self.source))),
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

    #[cold]
    fn document_type(&self, at: usize) -> Fault {
        match self.source.get(at..at + 9) {
            Some(word) if word.eq_ignore_ascii_case(b"<!DOCTYPE") => {
                Fault::forbidden(at, "a document type (<!DOCTYPE) is not accepted; leave it out")
            }
            _ => Fault::malformed(at, "\"<!\" begins neither a comment nor a CDATA section"),
        }
    }

    fn start(&mut self, inner: Span, begins: usize) -> Result<(), Fault> {
        let mut attributes = mem::take(&mut self.attributes);
        let opened = tag::parse(self.source, inner, &mut attributes)
            .map_err(|fault| match self.stack.is_empty() && self.root == Root::Body {
                true => fault,
                // Only the body has fields; twice the same attribute elsewhere is a fault of the XML.
                false => Fault { code: ErrorCode::MalformedXml, ..fault },
            })
            .and_then(|name| self.open(name, &mut attributes, begins));
        self.attributes = attributes;
        opened
    }

    /// Opens an element in the place that its parent has for it.
    fn open(&mut self, name: Span, attributes: &mut [Attribute], begins: usize) -> Result<(), Fault> {
        let source = self.source;
        let prefixes = self.scope.depth();
        let Some(parent) = self.stack.last_mut() else {
            if self.is_root_complete {
                return Err(Fault::malformed(
                    begins,
                    format!("a second root element, <{}>; a body is one element", shown(name.of(source))),
                ));
            }
            if self.root == Root::Body {
                return self.envelope(name, attributes, begins);
            }
            self.scope.enter(source, name, attributes)?;
            let open = Open { prefixes, ..self.unread(name, begins, 1) };
            return self
                .value(open, attributes, false)
                .map_err(|fault| fault.within(begins, name.of(source)));
        };
        parent.items += 1;
        let parent = *parent;
        if parent.kind == Kind::Envelope && name.of(source) == b"message" {
            self.is_scoped = true;
        }
        if self.is_scoped {
            self.scope.enter(source, name, attributes)?;
        }
        let mut open = Open { prefixes, ..self.unread(name, begins, parent.depth + 1) };
        let mut is_document = false;
        match parent.kind {
            Kind::Envelope => {
                if !self.fields.insert(name.of(source)) {
                    return Err(Fault::new(
                        ErrorCode::DuplicateField,
                        begins,
                        format!("the field {:?} is given twice", shown(name.of(source))),
                    ));
                }
                self.push_text(name.text())?;
            }
            Kind::Plain { document } => {
                is_document = document;
                if parent.items == 1 {
                    self.begin_dict(parent)?;
                }
                self.push_text(name.text())?;
            }
            Kind::Sequence => {}
            Kind::Dict => {
                self.key(name, attributes).map_err(|fault| fault.within(begins, name.of(source)))?;
            }
            Kind::Map if name.of(source) == b"entry" => {
                self.refuse_others(attributes).map_err(|fault| fault.within(begins, b"entry"))?;
                open.kind = Kind::Entry;
                open.depth = parent.depth;
                self.stack.push(open);
                return Ok(());
            }
            Kind::Entry if parent.items == 1 && name.of(source) == b"key" => {}
            Kind::Entry if parent.items == 2 && name.of(source) == b"value" => {}
            Kind::Scalar(_) | Kind::Map | Kind::Entry => return Err(self.misplaced(parent, open)),
        }
        self.value(open, attributes, is_document).map_err(|fault| fault.within(begins, name.of(source)))
    }

    fn unread(&self, name: Span, begins: usize, depth: usize) -> Open {
        Open {
            kind: Kind::Plain { document: false },
            name,
            begins,
            node: self.document.len(),
            items: 0,
            depth,
            pieces: self.pieces.len(),
            prefixes: 0,
        }
    }

    #[cold]
    fn misplaced(&self, parent: Open, child: Open) -> Fault {
        let takes = match parent.kind {
            Kind::Map => "a type=\"map\" takes elements <entry>, each of a <key> and a <value>".to_owned(),
            Kind::Entry => "an <entry> of a map takes a <key> and then a <value>".to_owned(),
            Kind::Scalar(scalar) => format!("a type=\"{}\" takes text only", scalar.word()),
            _ => "text is expected".to_owned(),
        };
        let what = format!(
            "<{}> in <{}>: {takes}",
            shown(child.name.of(self.source)),
            shown(parent.name.of(self.source))
        );
        Fault::new(ErrorCode::InvalidTag, child.begins, what)
    }

    /// Opens the body and reads its attributes.
    fn envelope(&mut self, name: Span, attributes: &[Attribute], begins: usize) -> Result<(), Fault> {
        let mut open = self.unread(name, begins, 0);
        open.kind = Kind::Envelope;
        open.items = attributes.len() as u32;
        self.push_node(Node::Dict(Size::default()))?;
        for attribute in attributes {
            self.fields.insert(attribute.name.of(self.source));
            self.push_text(attribute.name.text())?;
            self.push_value(*attribute)?;
        }
        self.stack.push(open);
        Ok(())
    }

    /// Writes the key that an element has in a dict.
    fn key(&mut self, name: Span, attributes: &mut [Attribute]) -> Result<(), Fault> {
        let source = self.source;
        let find = |attributes: &[Attribute], wanted: &[u8]| {
            attributes.iter().position(|attribute| attribute.name.of(source) == wanted)
        };
        if name.of(source) != b"item" {
            return self.push_text(name.text());
        }
        let Some(key) = find(attributes, b"key") else { return self.push_text(name.text()) };
        attributes[key].is_used = true;
        let key = attributes[key];
        let Some(encoding) = find(attributes, b"key-encoding") else { return self.push_value(key) };
        attributes[encoding].is_used = true;
        self.joined.clear();
        tag::push_value(source, attributes[encoding], &mut self.joined)?;
        if self.joined != b"base64" {
            return Err(typed::invalid("the only key-encoding is base64"));
        }
        self.joined.clear();
        tag::push_value(source, key, &mut self.joined)?;
        let text = typed::base64(&self.joined, self.document)
            .filter(|&text| str::from_utf8(self.document.text(source, text)).is_ok())
            .ok_or_else(|| {
                typed::invalid("key=\"…\" is not the base64 of UTF-8 that key-encoding says it is")
            })?;
        self.push_text(text)
    }

    /// Opens the element as its `type` says.
    fn value(
        &mut self,
        mut open: Open,
        attributes: &mut [Attribute],
        is_document: bool,
    ) -> Result<(), Fault> {
        let type_ = if is_document { None } else { self.take_type(attributes)? };
        let (kind, node) = match type_ {
            None => (Kind::Plain { document: is_document }, Node::None),
            Some(Type::Document) => (Kind::Plain { document: true }, Node::None),
            Some(Type::Scalar(scalar)) => (Kind::Scalar(self.take_encoding(scalar, attributes)?), Node::None),
            Some(Type::List) => (Kind::Sequence, Node::List(Size::default())),
            Some(Type::Tuple) => (Kind::Sequence, Node::Tuple(Size::default())),
            Some(Type::Set) => (Kind::Sequence, Node::Set(Size::default())),
            Some(Type::FrozenSet) => (Kind::Sequence, Node::FrozenSet(Size::default())),
            Some(Type::Dict) => (Kind::Dict, Node::Dict(Size::default())),
            Some(Type::Map) => (Kind::Map, Node::Dict(Size::default())),
        };
        open.kind = kind;
        open.node = self.document.len();
        self.push_node(node)?;
        match kind {
            Kind::Plain { .. } => {
                for attribute in attributes.iter().filter(|attribute| !attribute.is_used) {
                    open.items += 1;
                    if open.items == 1 {
                        self.begin_dict(open)?;
                    }
                    let name = attribute.name.of(self.source);
                    let key: Result<Text, Fault> = self.document.own_text(|own| {
                        own.push(b'@');
                        own.extend_from_slice(name);
                        Ok(())
                    });
                    self.push_text(key?)?;
                    self.push_value(*attribute)?;
                }
            }
            Kind::Scalar(_) => self.refuse_others(attributes)?,
            _ => {
                self.refuse_others(attributes)?;
                self.judge_depth(open)?;
            }
        }
        self.stack.push(open);
        Ok(())
    }

    /// The type that the element has; its attribute is used up.
    fn take_type(&mut self, attributes: &mut [Attribute]) -> Result<Option<Type>, Fault> {
        let source = self.source;
        let Some(attribute) = attributes.iter_mut().find(|attribute| attribute.name.of(source) == b"type")
        else {
            return Ok(None);
        };
        let named = if attribute.is_literal {
            Type::named(attribute.value.of(source))
        } else {
            self.joined.clear();
            tag::push_value(source, *attribute, &mut self.joined)?;
            Type::named(&self.joined)
        };
        attribute.is_used = named.is_some();
        Ok(named)
    }

    /// The scalar type with what `encoding` says of it.
    fn take_encoding(&mut self, scalar: Scalar, attributes: &mut [Attribute]) -> Result<Scalar, Fault> {
        let source = self.source;
        if !matches!(scalar, Scalar::Str | Scalar::Bytes) {
            return Ok(scalar);
        }
        let Some(encoding) = attributes.iter_mut().find(|attribute| attribute.name.of(source) == b"encoding")
        else {
            return Ok(scalar);
        };
        encoding.is_used = true;
        self.joined.clear();
        tag::push_value(source, *encoding, &mut self.joined)?;
        match (self.joined.as_slice(), scalar) {
            (b"base64", Scalar::Str) => Ok(Scalar::EncodedStr),
            (b"base64", _) => Ok(scalar),
            (other, _) => {
                Err(typed::invalid(format!("encoding=\"{}\"; the only encoding is base64", shown(other))))
            }
        }
    }

    /// Refuses what would be lost: attributes of a typed element that are not ours.
    fn refuse_others(&self, attributes: &[Attribute]) -> Result<(), Fault> {
        let is_lost = |attribute: &&Attribute| {
            let name = attribute.name.of(self.source);
            !attribute.is_used
                && name != b"xmlns"
                && !name.starts_with(b"xmlns:")
                && !name.starts_with(b"xml:")
        };
        match attributes.iter().find(is_lost) {
            None => Ok(()),
            Some(attribute) => Err(typed::invalid(format!(
                "attribute {:?} has no place in a typed value; if these types are not meant for the broker, put \
                 type=\"document\" on <message>",
                shown(attribute.name.of(self.source))
            ))),
        }
    }

    fn judge_depth(&self, open: Open) -> Result<(), Fault> {
        if open.depth <= MAX_DEPTH {
            return Ok(());
        }
        Err(Fault::new(
            ErrorCode::TooDeep,
            open.begins,
            format!("<{}>: the message nests deeper than {MAX_DEPTH}", shown(open.name.of(self.source))),
        ))
    }

    /// A plain element turns out to be a dict.
    fn begin_dict(&mut self, open: Open) -> Result<(), Fault> {
        self.judge_depth(open)?;
        self.document.nodes_mut()[open.node] = Node::Dict(Size::default());
        Ok(())
    }

    fn push_node(&mut self, node: Node) -> Result<(), Fault> {
        self.budget.node(0)?;
        self.document.push(node);
        Ok(())
    }

    fn push_text(&mut self, text: Text) -> Result<(), Fault> {
        self.budget.node(text.len())?;
        self.document.push(Node::Str(text));
        Ok(())
    }

    fn push_value(&mut self, attribute: Attribute) -> Result<(), Fault> {
        let text = if attribute.is_literal {
            attribute.value.text()
        } else {
            self.document.own_text(|own| tag::push_value(self.source, attribute, own))?
        };
        self.push_text(text)
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
            return Err(Fault::malformed(span.start(), "a CDATA section outside of the root element"));
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
                    "{text:?} stands between the fields; a body is attributes and child elements, as in \
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

    /// Completes the innermost element, which ends before `end`.
    fn end(&mut self, end: usize) -> Result<(), Fault> {
        let Some(open) = self.stack.pop() else {
            return Err(Fault::malformed(end, "an end tag without its start tag"));
        };
        self.complete(open).map_err(|fault| fault.within(open.begins, open.name.of(self.source)))?;
        self.pieces.truncate(open.pieces);
        self.scope.leave(open.prefixes);
        match self.stack.last() {
            None => self.is_root_complete = true,
            Some(Open { kind: Kind::Envelope, .. }) => {
                self.is_scoped = false;
                if open.name.of(self.source) == b"message" {
                    self.message = Some(open.begins..end);
                }
            }
            Some(_) => {}
        }
        Ok(())
    }

    /// Writes the node of an element now that all of its content is there.
    fn complete(&mut self, open: Open) -> Result<(), Fault> {
        let Reading { source, document, budget, .. } = self;
        let size = Size { items: open.items, nodes: (document.len() - open.node).saturating_sub(1) as u32 };
        match open.kind {
            Kind::Envelope => document.nodes_mut()[open.node] = Node::Dict(size),
            Kind::Plain { .. } => return self.complete_plain(open),
            Kind::Scalar(scalar) => {
                let content = Content::join(&self.pieces[open.pieces..], source, &mut self.joined);
                let node = scalar.read(content, source, document, budget)?;
                document.nodes_mut()[open.node] = node;
            }
            Kind::Sequence => match &mut document.nodes_mut()[open.node] {
                Node::List(of) | Node::Tuple(of) => *of = size,
                _ => keys::settle(document, source, open.node, budget)?,
            },
            Kind::Dict | Kind::Map => keys::settle(document, source, open.node, budget)?,
            Kind::Entry if open.items == 2 => {}
            Kind::Entry => return Err(typed::invalid("an entry of a map takes a <key> and a <value>")),
        }
        Ok(())
    }

    fn complete_plain(&mut self, open: Open) -> Result<(), Fault> {
        let source = self.source;
        let content = Content::join(&self.pieces[open.pieces..], source, &mut self.joined).strip(source);
        let text = match content {
            Content::Source(span) if span.len() > 0 => Some(span.text()),
            Content::Joined(joined) if !joined.is_empty() => Some(typed::own(self.document, joined)?),
            _ => None,
        };
        if open.items == 0 {
            if let Some(text) = text {
                self.budget.bytes(text.len())?;
                self.document.nodes_mut()[open.node] = Node::Str(text);
            }
            return Ok(());
        }
        let mut items = open.items;
        if let Some(text) = text {
            let key = match self.text_key {
                Some(key) => key,
                None => *self.text_key.insert(typed::own(self.document, b"#text")?),
            };
            self.push_text(key)?;
            self.push_text(text)?;
            items += 1;
        }
        self.has_repeats |= plain::close(self.document, source, open.node, items);
        Ok(())
    }
}
