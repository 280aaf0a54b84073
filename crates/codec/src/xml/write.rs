//! From a document to an element, in the habit of dicttoxml: the key is the name, `type` says the
//! type.

use super::element::{
    BOOL, DICT, FLOAT, FROZEN_SET, INT, KnownNames, LIST, MAP, NULL, Name, SET, STR, TUPLE, begin,
    end, unusual_text,
};
use super::escape::{is_carriable, is_literal, marks, push_base64, push_text};
use super::named::put_type;
use super::size::size;
use crate::View;
use crate::lanes::has_any;
use crate::nesting::Outer;
use crate::node::{NamedType, Node, has_string_keys};
use crate::number::{put_float, put_int};
use crate::out_buf::{OutBuf, Stop, fill, room};
use crate::swar::push;

/// How the elements inside a container are named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inside {
    /// No container: the value itself.
    Whole,
    /// As `item`.
    Items,
    /// By their keys.
    Fields,
    /// `entry` with `key` and `value`.
    Entries,
}

/// A container whose start tag is written.
#[derive(Clone, Copy)]
struct Open<'a> {
    name: Name<'a>,
    inside: Inside,
    /// Values that are still to be written; of [`Inside::Entries`], keys as well.
    left: u64,
}

/// Appends the value as an element `message`.
///
/// The element is well-formed without anything around it, and read again is the same value.
pub fn encode(view: View<'_>, out: &mut Vec<u8>) {
    // Two tags, a type and a number; keys stand in both tags.
    let guess = view.nodes().len() * 24 + view.text_size() * 3 / 2 + 64;
    fill(out, room(view.nodes().len(), guess, || size::<false>(view)), |page| put(view, page));
}

/// The same on a page.
pub(crate) fn put<'p>(view: View<'_>, page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    let mut known = KnownNames::take();
    let written = put_named(view, &mut known, page);
    known.keep();
    written
}

fn put_named<'p>(
    view: View<'_>,
    known: &mut KnownNames,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let nodes = view.nodes();
    let others = &mut Vec::new();
    let mut open = Open { name: Name::MESSAGE, inside: Inside::Whole, left: 1 };
    let mut outer = Outer::new(open);
    let mut at = 0;
    while let Some(&node) = nodes.get(at) {
        let mut node = node;
        let name = match open.inside {
            Inside::Fields => {
                // Only strings are keys here, so the key is one node, and the value follows it.
                let Node::Str(key) = node else { return Err(Stop::Unusual) };
                let key = view.span(key);
                at += 1;
                node = *nodes.get(at).ok_or(Stop::Unusual)?;
                known.name_of(key, others)
            }
            Inside::Items => Name::ITEM,
            Inside::Whole => open.name,
            Inside::Entries if open.left.is_multiple_of(2) => {
                page.put(b"<entry>")?;
                Name::KEY
            }
            Inside::Entries => Name::VALUE,
        };
        at += 1;
        let (kind, inside, left) = match node {
            Node::Str(text) => {
                let text = view.span(text);
                if text.len() <= 16
                    && let bytes = text.sixteen()
                    && text.has_no(&bytes, marks)
                {
                    begin(&mut page, name, STR, others)?;
                    page.part(&bytes, text.len())?;
                } else {
                    let (kind, _) = STR;
                    begin(&mut page, name, (kind, 0), others)?;
                    page.aside(|page| put_text(page, text.text()))?;
                }
                (STR, Inside::Whole, 0)
            }
            Node::Int(number) => {
                begin(&mut page, name, INT, others)?;
                put_int(&mut page, number)?;
                (STR, Inside::Whole, 0)
            }
            Node::Float(number) if number.is_finite() => {
                begin(&mut page, name, FLOAT, others)?;
                put_float(&mut page, number)?;
                (STR, Inside::Whole, 0)
            }
            Node::Bool(truth) => {
                begin(&mut page, name, BOOL, others)?;
                page.part(if truth { b"true\0" } else { b"false" }, if truth { 4 } else { 5 })?;
                (STR, Inside::Whole, 0)
            }
            Node::None => {
                begin(&mut page, name, NULL, others)?;
                (STR, Inside::Whole, 0)
            }
            Node::List(size) => (LIST, Inside::Items, u64::from(size.items)),
            Node::Tuple(size) => (TUPLE, Inside::Items, u64::from(size.items)),
            Node::Set(size) => (SET, Inside::Items, u64::from(size.items)),
            Node::FrozenSet(size) => (FROZEN_SET, Inside::Items, u64::from(size.items)),
            Node::Dict(size) if has_string_keys(size, &nodes[at..at - 1 + node.nodes()]) => {
                (DICT, Inside::Fields, u64::from(size.items))
            }
            Node::Dict(size) => (MAP, Inside::Entries, 2 * u64::from(size.items)),
            Node::Named(of, size) => {
                let (kind, _) = STR;
                begin(&mut page, name, (kind, 0), others)?;
                page.aside(|page| put_type(page, view, at - 1))?;
                match (of, nodes.get(at + 1)) {
                    (NamedType::Object, Some(Node::Dict(state))) => {
                        at += 2;
                        (STR, Inside::Fields, u64::from(state.items))
                    }
                    _ => {
                        at += size.nodes as usize;
                        (STR, Inside::Whole, 0)
                    }
                }
            }
            scalar => {
                let (kind, _) = STR;
                begin(&mut page, name, (kind, 0), others)?;
                page.aside(|page| put_scalar(page, scalar, view))?;
                (STR, Inside::Whole, 0)
            }
        };
        if inside != Inside::Whole && !matches!(node, Node::Named(..)) {
            begin(&mut page, name, kind, others)?;
            if let Node::FrozenSet(_) = node {
                page.put(b"\">")?;
            }
        }
        if left > 0 {
            outer.push(open);
            open = Open { name, inside, left };
            continue;
        }
        // A value is complete, and perhaps the containers around it.
        let mut name = name;
        loop {
            end(&mut page, name, others)?;
            open.left -= 1;
            if open.inside == Inside::Entries && open.left.is_multiple_of(2) {
                page.put(b"</entry>")?;
            }
            if open.left > 0 {
                break;
            }
            if open.inside == Inside::Whole {
                return Ok(page);
            }
            name = open.name;
            open = outer.pop().ok_or(Stop::Unusual)?;
        }
    }
    Ok(page)
}

/// The rest of a string's start tag, and its text.
#[inline(never)]
fn put_text<'p>(mut page: OutBuf<'p>, text: &[u8]) -> Result<OutBuf<'p>, Stop> {
    if has_any(text, marks) {
        return unusual_text(page, text);
    }
    let (kind, length) = STR;
    page.part(kind, length)?;
    page.slice(text)?;
    Ok(page)
}

/// The rest of the start tag of a scalar that is met less often, and its text.
#[cold]
fn put_scalar<'p>(mut page: OutBuf<'p>, scalar: Node, view: View<'_>) -> Result<OutBuf<'p>, Stop> {
    match scalar {
        Node::BigInt(digits) => {
            page.put(b" type=\"int\">")?;
            page.slice(view.text(digits))?;
        }
        Node::Typed(of, text) => {
            page.put(b" type=\"")?;
            page.slice(of.name().as_bytes())?;
            page.put(b"\">")?;
            page.slice(view.text(text))?;
        }
        Node::Bytes(bytes) => {
            page.put(b" type=\"bytes\">")?;
            page.aside(|page| page.base64(view.text(bytes)))?;
        }
        Node::Float(number) if number.is_nan() => page.put(b" type=\"float\">NaN")?,
        Node::Float(number) if number > 0.0 => page.put(b" type=\"float\">INF")?,
        Node::Float(_) => page.put(b" type=\"float\">-INF")?,
        other => debug_assert!(false, "{other:?} is none of these scalars"),
    }
    Ok(page)
}

/// Appends a string as an element `name`, which must be an XML name; any string, however little XML
/// can carry it.
pub fn write_text(name: &str, text: &[u8], out: &mut Vec<u8>) {
    for part in ["<", name] {
        out.extend_from_slice(part.as_bytes());
    }
    write_str(text, out);
    for part in ["</", name, ">"] {
        out.extend_from_slice(part.as_bytes());
    }
}

#[inline]
pub(super) fn write_str(text: &[u8], out: &mut Vec<u8>) {
    if is_literal(text) {
        out.extend_from_slice(b" type=\"str\">");
        push(text, out);
    } else {
        push_unusual(text, out);
    }
}

/// Writes a string that is to be escaped, or looked at more closely.
#[cold]
fn push_unusual(text: &[u8], out: &mut Vec<u8>) {
    if is_carriable(text) {
        out.extend_from_slice(b" type=\"str\">");
        push_text(text, out);
    } else {
        out.extend_from_slice(b" type=\"str\" encoding=\"base64\">");
        push_base64(text, out);
    }
}
