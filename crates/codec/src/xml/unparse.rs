//! From a document to an element without types, in the habit of `xmltodict.unparse`: keys are
//! elements, `@` begins an attribute's key, and `#text` is text.
//!
//! What was read from XML without types is written as the XML that it was, but for spacing and the
//! order of what stands between elements. Where a key can be no name, the element says for which
//! key it stands.
//!
//! One walk serves two purposes: what is written, and how long it would be.

mod form;
mod ink;
mod names;

use std::collections::HashMap;

pub(crate) use form::is_short_enough;
use ink::{Count, Ink};
pub use names::PlainNames;

use super::chars;
use super::escape::is_carriable;
use super::escape::marks;
use super::names::is_of_every_edition;
use super::scope::{Meaning, Scope, may_be_declared, may_be_default};
use super::typed::Type;
use crate::document::View;
use crate::lanes::has_any;
use crate::nesting::Outer;
use crate::node::{Node, Text};
use crate::out_buf::{OutBuf, Stop, fill, room};
use crate::scalar_type::Untyped;
use crate::span::Span;

/// Appends the value as an element `message` without types.
///
/// ```
/// use babelmq_codec::protocol::Limits;
/// use babelmq_codec::{Document, PlainNames, json, xml};
///
/// let text = br#"{"order": {"sku": ["X1", "X2"], "@id": "5"}}"#;
/// let mut document = Document::new();
/// let root = json::decode(text, 0..text.len(), &mut document, &Limits::NONE)?;
/// let mut out = Vec::new();
/// xml::encode_plain(document.view(text, root), &PlainNames::default(), &mut out);
/// let expected = r#"<message><order id="5"><sku>X1</sku><sku>X2</sku></order></message>"#;
/// assert_eq!(String::from_utf8(out).unwrap(), expected);
/// # Ok::<(), babelmq_codec::Refusal>(())
/// ```
pub fn encode_plain(view: View<'_>, names: &PlainNames, out: &mut Vec<u8>) {
    // Two tags and a number; keys stand in both tags.
    let guess = view.nodes().len() * 16 + view.text_size() * 3 / 2 + 64;
    let room = room(view.nodes().len(), guess, || plain_size(view, names));
    fill(out, room, |page| put_plain(view, names, page));
}

/// The same on a page.
pub(crate) fn put_plain<'p>(
    view: View<'_>,
    names: &PlainNames,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    write(view, names, &mut page)?;
    Ok(page)
}

/// Bytes that [`encode_plain`] appends.
pub(crate) fn plain_size(view: View<'_>, names: &PlainNames) -> u64 {
    let mut count = Count::default();
    match write(view, names, &mut count) {
        Ok(()) => count.0,
        Err(_) => 0,
    }
}

/// How an element is called.
#[derive(Clone, Copy)]
enum Tag<'a> {
    Named(Span<'a>),
    /// By a key, if that is a name where the element stands.
    Key(Span<'a>),
    /// `item`, and the key for which it stands.
    Item(&'a [u8]),
    /// The same for a key that is a number.
    NumberItem(Node),
}

/// What the children of a container are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    /// The whole value.
    Whole,
    /// Items of a sequence that is an element itself.
    Items,
    /// Items of a sequence under a key: each is an element of that name.
    Repeats,
    /// Keys and values.
    Fields,
    /// `entry` with `key` and `value`: the next is a key, a value, or the end of the entry.
    Keys,
    Values,
    Ends,
}

/// A container whose children are being written.
#[derive(Clone, Copy)]
struct Open<'a> {
    inside: Inside,
    /// Its own element; of [`Inside::Repeats`], that of each child.
    tag: Tag<'a>,
    /// The index behind its last child.
    end: usize,
    /// The index of its `#text`, which comes last; 0 where it has none.
    text: usize,
    /// How many prefixes were declared outside of it.
    scope: usize,
    /// Its `@` keys that are no attributes: the first of all such keys that is not written yet, and
    /// the one behind its last.
    apart: [usize; 2],
}

struct Writing<'a, 'i, I> {
    view: View<'a>,
    nodes: &'a [Node],
    /// How items are called.
    item: Span<'a>,
    /// Whether there is a root element in `message`.
    is_wrapped: bool,
    /// Whether `message` says that no `type` below it is one of ours.
    is_document: bool,
    ink: &'i mut I,
    scope: Scope<'a>,
    apart: Vec<usize>,
    /// Attributes in a namespace, and the last element that has each.
    prefixed: HashMap<(usize, &'a [u8]), usize>,
}

/// How a string is written between tags.
enum Spelling {
    /// As it is, all of it in these bytes.
    Short([u8; 16]),
    /// As it is.
    Literal,
    /// With references.
    Escaped,
    /// In base64: XML cannot carry it.
    Encoded,
}

/// A name that is written in one piece.
macro_rules! named {
    ($sixteen:literal) => {
        Tag::Named(Span::new($sixteen, $sixteen.trim_ascii_end().len()))
    };
}

fn write<'a, I: Ink>(view: View<'a>, names: &'a PlainNames, ink: &mut I) -> Result<(), Stop> {
    let root = names.root().filter(|_| !is_one_element(view));
    let is_wrapped = root.is_some();
    let is_document = has_foreign_types(view, is_wrapped);
    let (scope, apart, prefixed) = (Scope::default(), Vec::new(), HashMap::new());
    let nodes = view.nodes();
    let item = match names.item() {
        "item" => Span::new(b"item            ", 4),
        name => Span::new(name.as_bytes(), name.len()),
    };
    let mut writing =
        Writing { view, nodes, item, is_wrapped, is_document, ink, scope, apart, prefixed };
    let Some(root) = root else { return writing.value(named!(b"message         ")) };
    writing.ink.text(b"<message")?;
    writing.ink.text(writing.document())?;
    writing.ink.text(b">")?;
    writing.value(Tag::Named(Span::new(root.as_bytes(), root.len())))?;
    writing.ink.text(b"</message>")
}

impl<'a, I: Ink> Writing<'a, '_, I> {
    /// Writes the value as an element.
    fn value(&mut self, tag: Tag<'a>) -> Result<(), Stop> {
        let whole = Inside::Whole;
        let mut open = Open { inside: whole, tag, end: 1, text: 0, scope: 0, apart: [0; 2] };
        let mut outer = Outer::new(open);
        let mut at = 0;
        loop {
            if open.inside == Inside::Ends {
                self.ink.text(b"</entry>")?;
                open.inside = Inside::Keys;
            }
            if at >= open.end {
                match open.inside {
                    Inside::Whole => return Ok(()),
                    Inside::Repeats => {}
                    _ => self.close(open)?,
                }
                open = outer.pop().ok_or(Stop::Unusual)?;
                if open.inside == Inside::Whole {
                    return Ok(());
                }
                continue;
            }
            let tag = match open.inside {
                Inside::Whole | Inside::Repeats => open.tag,
                Inside::Items => Tag::Named(self.item),
                Inside::Keys | Inside::Ends => {
                    self.ink.text(b"<entry>")?;
                    open.inside = Inside::Values;
                    named!(b"key             ")
                }
                Inside::Values => {
                    open.inside = Inside::Ends;
                    named!(b"value           ")
                }
                Inside::Fields => {
                    let key = at;
                    at += 1;
                    match self.field(&mut open, key)? {
                        Some(tag) => tag,
                        None => {
                            at += self.nodes.get(at).map_or(1, |value| value.nodes());
                            continue;
                        }
                    }
                }
            };
            at = untyped_at(self.nodes, at);
            let node = *self.nodes.get(at).ok_or(Stop::Unusual)?;
            let is_whole = open.inside == Inside::Whole;
            if !node.is_container() {
                self.scalar(tag, node)?;
                if is_whole {
                    return Ok(());
                }
                at += 1;
                continue;
            }
            let inner = if open.inside == Inside::Fields && is_sequence(node) {
                let (scope, apart) = (self.scope.depth(), [self.apart.len(); 2]);
                let end = at + node.nodes();
                Open { inside: Inside::Repeats, tag, end, text: 0, scope, apart }
            } else {
                self.container(tag, at, is_whole && !self.is_wrapped)?
            };
            at += 1;
            outer.push(open);
            open = inner;
        }
    }

    /// How the element of a dict's entry is called; `None` where it is none.
    fn field(&mut self, open: &mut Open<'a>, key: usize) -> Result<Option<Tag<'a>>, Stop> {
        let value_at = untyped_at(self.nodes, key + 1);
        let value = *self.nodes.get(value_at).ok_or(Stop::Unusual)?;
        let span = match self.nodes[key] {
            Node::Str(text) => self.view.span(text),
            Node::None => return Ok(Some(named!(b"null            "))),
            Node::Bool(true) => return Ok(Some(named!(b"true            "))),
            Node::Bool(false) => return Ok(Some(named!(b"false           "))),
            Node::Float(number) if number.is_nan() => return Ok(Some(named!(b"NaN             "))),
            Node::Float(f64::INFINITY) => return Ok(Some(named!(b"Infinity        "))),
            number => return Ok(Some(Tag::NumberItem(number))),
        };
        let text = span.text();
        if text.first() == Some(&b'@') {
            let [next, end] = &mut open.apart;
            if next < end && self.apart.get(*next) == Some(&key) {
                *next += 1;
                return Ok(Some(Tag::Item(text)));
            }
            return Ok(None);
        }
        if text == b"#text" && self.is_text(value) {
            open.text = value_at;
            return Ok(None);
        }
        let is_settled = memchr::memchr(b':', text).is_none();
        Ok(Some(if is_settled { self.called(span) } else { Tag::Key(span) }))
    }

    /// Whether the value stands in text or an attribute as it is.
    fn is_text(&self, value: Node) -> bool {
        match value {
            Node::Str(text) => is_carriable(self.view.text(text)),
            other => !other.is_container(),
        }
    }

    /// The element of a key, with the prefixes that are declared.
    fn called(&self, key: Span<'a>) -> Tag<'a> {
        if self.is_name(key.text()) { Tag::Named(key) } else { Tag::Item(key.text()) }
    }

    fn is_name(&self, name: &[u8]) -> bool {
        chars::is_element_name(name)
            || chars::is_name(name)
                && is_of_every_edition(name)
                && matches!(self.scope.meaning(name), Meaning::Itself | Meaning::In(..))
    }

    /// Writes the element of a value that is no container.
    #[inline]
    fn scalar(&mut self, tag: Tag<'a>, node: Node) -> Result<(), Stop> {
        let tag = self.settled(tag);
        let spelling = match node {
            Node::Str(text) => self.spelling(text),
            _ => Spelling::Literal,
        };
        match (tag, &spelling) {
            (Tag::Named(name), Spelling::Short(_) | Spelling::Literal | Spelling::Escaped) => {
                self.ink.start(name)?;
            }
            (tag, Spelling::Encoded) => {
                self.begin(tag)?;
                self.ink.text(b" encoding=\"base64\">")?;
            }
            (tag, _) => {
                self.begin(tag)?;
                self.ink.text(b">")?;
            }
        }
        match (node, spelling) {
            (Node::Str(text), Spelling::Short(bytes)) => self.ink.short(&bytes, text.len())?,
            (Node::Str(text), Spelling::Literal) => self.ink.text(self.view.text(text))?,
            (Node::Str(text), Spelling::Encoded) => self.ink.base64(self.view.text(text))?,
            (other, _) => self.plain_text(other)?,
        }
        self.end(tag)
    }

    /// Begins the element of the container at an index.
    fn container(&mut self, tag: Tag<'a>, at: usize, is_message: bool) -> Result<Open<'a>, Stop> {
        let node = self.nodes[at];
        let (scope, before) = (self.scope.depth(), self.apart.len());
        let (inside, has_attributes) = match node {
            Node::Dict(_) => fields(self.view, at),
            _ => (Inside::Items, false),
        };
        if has_attributes {
            self.declare(at);
        }
        let tag = self.settled(tag);
        match tag {
            Tag::Named(name) if !(has_attributes || is_message && self.is_document) => {
                self.ink.start(name)?;
            }
            tag => {
                self.begin(tag)?;
                if is_message {
                    self.ink.text(self.document())?;
                }
                if has_attributes {
                    self.attributes(at, tag, is_message)?;
                }
                self.ink.text(b">")?;
            }
        }
        let (end, apart) = (at + node.nodes(), [before, self.apart.len()]);
        Ok(Open { inside, tag, end, text: 0, scope, apart })
    }

    /// The tag with the prefixes that are declared.
    #[inline]
    fn settled(&self, tag: Tag<'a>) -> Tag<'a> {
        match tag {
            Tag::Key(key) => self.called(key),
            tag => tag,
        }
    }

    /// Ends the element of a container.
    fn close(&mut self, open: Open<'a>) -> Result<(), Stop> {
        if open.text > 0 {
            self.plain_text(self.nodes[open.text])?;
        }
        self.end(open.tag)?;
        self.scope.leave(open.scope);
        Ok(())
    }

    /// The attribute of `message` by which no `type` below it is one of ours.
    fn document(&self) -> &'static [u8] {
        if self.is_document { b" type=\"document\"" } else { b"" }
    }

    /// Takes the prefixes that the dict at an index declares.
    fn declare(&mut self, at: usize) {
        for (key, value) in entries(self.nodes, at) {
            if let (Some([b'@', b'x', b'm', b'l', b'n', b's', b':', prefix @ ..]), Node::Str(name)) =
                (self.string(self.nodes[key]), self.nodes[value])
                && let name = self.view.text(name)
                && is_declaration(prefix, name)
            {
                self.scope.bind(prefix, name.to_vec());
            }
        }
    }

    fn string(&self, node: Node) -> Option<&'a [u8]> {
        match node {
            Node::Str(text) => Some(self.view.text(text)),
            _ => None,
        }
    }

    /// Writes the attributes of the dict at an index, and notes which `@` keys are none.
    fn attributes(&mut self, at: usize, tag: Tag<'a>, is_message: bool) -> Result<(), Stop> {
        for (key, value) in entries(self.nodes, at) {
            let Some([b'@', name @ ..]) = self.string(self.nodes[key]) else { continue };
            let value = self.nodes[value];
            let is_ours = match tag {
                Tag::Named(_) | Tag::Key(_) => is_message && self.is_our_type(name, value),
                Tag::Item(_) | Tag::NumberItem(_) => name == b"key" || name == b"key-encoding",
            };
            if is_ours || !self.is_text(value) || !self.is_attribute(name, value, at) {
                self.apart.push(key);
                continue;
            }
            self.ink.text(b" ")?;
            self.ink.text(name)?;
            self.ink.text(b"=\"")?;
            match value {
                Node::Str(text) => self.attribute_text(self.view.text(text))?,
                other => self.plain_text(other)?,
            }
            self.ink.text(b"\"")?;
        }
        Ok(())
    }

    /// Whether this attribute of `message` would be read as a type of ours, or there is one.
    fn is_our_type(&self, name: &[u8], value: Node) -> bool {
        name == b"type"
            && (self.is_document
                || self.string(value).is_some_and(|word| Type::named(word).is_some()))
    }

    fn is_attribute(&mut self, name: &'a [u8], value: Node, element: usize) -> bool {
        if name == b"xmlns" {
            return self.string(value).is_some_and(may_be_default);
        }
        if let Some(prefix) = name.strip_prefix(b"xmlns:") {
            return self.string(value).is_some_and(|name| is_declaration(prefix, name));
        }
        if !self.is_name(name) {
            return false;
        }
        match self.scope.meaning(name) {
            // Under two prefixes of one namespace it would be one attribute twice.
            Meaning::In(namespace, local) => {
                self.prefixed.insert((namespace, local), element) != Some(element)
            }
            _ => true,
        }
    }

    /// Appends the beginning of a start tag.
    fn begin(&mut self, tag: Tag<'a>) -> Result<(), Stop> {
        match tag {
            Tag::Named(name) | Tag::Key(name) => {
                self.ink.text(b"<")?;
                self.ink.text(name.text())
            }
            Tag::Item(key) if is_carriable(key) => {
                self.ink.text(b"<item key=\"")?;
                self.attribute_text(key)?;
                self.ink.text(b"\"")
            }
            Tag::Item(key) => {
                self.ink.text(b"<item key=\"")?;
                self.ink.base64(key)?;
                self.ink.text(b"\" key-encoding=\"base64\"")
            }
            Tag::NumberItem(key) => {
                self.ink.text(b"<item key=\"")?;
                match key {
                    Node::Float(f64::NEG_INFINITY) => self.ink.text(b"-Infinity")?,
                    key => self.plain_text(key)?,
                }
                self.ink.text(b"\"")
            }
        }
    }

    fn end(&mut self, tag: Tag<'a>) -> Result<(), Stop> {
        match tag {
            Tag::Named(name) | Tag::Key(name) => self.ink.end(name),
            Tag::Item(_) | Tag::NumberItem(_) => self.ink.text(b"</item>"),
        }
    }

    fn spelling(&self, text: Text) -> Spelling {
        let span = self.view.span(text);
        if span.len() <= 16 && span.has_no(&span.sixteen(), marks) {
            Spelling::Short(span.sixteen())
        } else if !has_any(span.text(), marks) {
            Spelling::Literal
        } else if is_carriable(span.text()) {
            Spelling::Escaped
        } else {
            Spelling::Encoded
        }
    }

    /// The text of a value that [is one](Self::is_text).
    fn plain_text(&mut self, value: Node) -> Result<(), Stop> {
        match value {
            Node::Str(text) => self.escaped(text),
            Node::Int(number) => self.ink.int(number),
            Node::BigInt(digits) => self.ink.text(self.view.text(digits)),
            Node::Float(number) if number.is_finite() => self.ink.float(number),
            Node::Float(number) if number.is_nan() => self.ink.text(b"NaN"),
            Node::Float(number) => self.ink.text(if number > 0.0 { b"INF" } else { b"-INF" }),
            Node::Bool(truth) => self.ink.text(if truth { b"true" } else { b"false" }),
            Node::Bytes(bytes) => self.ink.base64(self.view.text(bytes)),
            Node::Typed(of, text) => match of.untyped(self.view.text(text)) {
                Untyped::Text(text) => self.ink.text(text),
                Untyped::Float(number) => self.ink.float(number),
            },
            _ => Ok(()),
        }
    }

    /// Text between tags. A carriage return would be read as a line feed if it were not a
    /// reference.
    fn escaped(&mut self, text: Text) -> Result<(), Stop> {
        self.replaced(self.view.text(text), |byte| match byte {
            b'&' => Some(b"&amp;"),
            b'<' => Some(b"&lt;"),
            b'>' => Some(b"&gt;"),
            b'\r' => Some(b"&#13;"),
            _ => None,
        })
    }

    /// Text between double quotes. Tab and line feed would be read as spaces.
    fn attribute_text(&mut self, text: &[u8]) -> Result<(), Stop> {
        self.replaced(text, |byte| match byte {
            b'&' => Some(b"&amp;"),
            b'<' => Some(b"&lt;"),
            b'>' => Some(b"&gt;"),
            b'"' => Some(b"&quot;"),
            b'\t' => Some(b"&#9;"),
            b'\n' => Some(b"&#10;"),
            b'\r' => Some(b"&#13;"),
            _ => None,
        })
    }

    #[inline(always)]
    fn replaced(
        &mut self,
        text: &[u8],
        escape: impl Fn(u8) -> Option<&'static [u8]>,
    ) -> Result<(), Stop> {
        let mut written = 0;
        for (at, &byte) in text.iter().enumerate() {
            if let Some(escaped) = escape(byte) {
                self.ink.text(&text[written..at])?;
                self.ink.text(escaped)?;
                written = at + 1;
            }
        }
        self.ink.text(&text[written..])
    }
}

/// Whether a key `@xmlns:…` declares a prefix.
fn is_declaration(prefix: &[u8], name: &[u8]) -> bool {
    may_be_declared(prefix, name) && is_of_every_edition(prefix) && is_carriable(name)
}

fn is_sequence(node: Node) -> bool {
    node.is_container() && !matches!(node, Node::Dict(_))
}

/// The index of what the value at an index is without its type.
#[inline(always)]
fn untyped_at(nodes: &[Node], at: usize) -> usize {
    match nodes.get(at) {
        Some(node @ Node::Named(..)) => at + node.nodes_of_type(&nodes[at + 1..]),
        _ => at,
    }
}

/// Where the keys and values of the dict at an index lie.
fn entries(nodes: &[Node], at: usize) -> impl Iterator<Item = (usize, usize)> {
    let end = at + nodes[at].nodes();
    let mut next = at + 1;
    std::iter::from_fn(move || {
        if next + 1 >= end {
            return None;
        }
        let key = next;
        let value = untyped_at(nodes, key + nodes[key].nodes());
        next = value + nodes.get(value)?.nodes();
        Some((key, value))
    })
}

/// What the children of the dict at an index are, and whether some of its keys begin with `@`.
fn fields(view: View<'_>, at: usize) -> (Inside, bool) {
    let mut has_attributes = false;
    for (key, _) in entries(view.nodes(), at) {
        match view.nodes()[key] {
            Node::Str(text) => has_attributes |= view.text(text).first() == Some(&b'@'),
            Node::None | Node::Bool(_) | Node::Int(_) | Node::BigInt(_) | Node::Float(_) => {}
            // No text says what the key is.
            _ => return (Inside::Keys, false),
        }
    }
    (Inside::Fields, has_attributes)
}

/// Whether the value is one element of its own: a dict with one key, which is no attribute, no text
/// and no list.
fn is_one_element(view: View<'_>) -> bool {
    let nodes = view.nodes().get(untyped_at(view.nodes(), 0)..).unwrap_or_default();
    let [Node::Dict(size), key, ..] = nodes else { return false };
    let Some(value) = nodes.get(untyped_at(nodes, 1 + key.nodes())) else { return false };
    let is_element = match key {
        Node::Str(text) => {
            let text = view.text(*text);
            text.first() != Some(&b'@') && (text != b"#text" || value.is_container())
        }
        key => !key.is_container() && !matches!(key, Node::Bytes(_) | Node::Typed(..)),
    };
    size.items == 1 && is_element && !is_sequence(*value)
}

/// Whether an attribute below `message` would be read as a type of ours. The attributes of the
/// outermost dict are those of `message`, unless it is `wrapped` in a root element.
fn has_foreign_types(view: View<'_>, wrapped: bool) -> bool {
    let nodes = view.nodes();
    let outermost = untyped_at(nodes, 0);
    let dicts = nodes.iter().enumerate().skip(if wrapped { 0 } else { outermost + 1 });
    dicts.filter(|(_, node)| matches!(node, Node::Dict(_))).any(|(at, _)| {
        entries(nodes, at).any(|(key, value)| {
            let text = |index: usize| match nodes[index] {
                Node::Str(text) => view.text(text),
                _ => b"",
            };
            text(key) == b"@type" && Type::named(text(value)).is_some()
        })
    })
}

#[cfg(test)]
mod tests;
