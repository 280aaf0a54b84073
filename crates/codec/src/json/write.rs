//! A document to JSON: what `json.dumps` writes, and `$` tags for what JSON cannot say.

use super::named::put_type;
use super::scalar::{put_other_key, put_scalar, put_string};
use super::size::size;
use super::style::{Style, is_object, style_of_type};
use super::tags::Tags;
use crate::document::View;
use crate::nesting::Outer;
use crate::node::Node;
use crate::number::{put_float, put_int};
use crate::out_buf::{OutBuf, Stop, fill, room};

/// Appends a value, with `tags` for what JSON cannot say or tell apart.
///
/// The text has no spaces, and non-ASCII characters stand for themselves.
pub fn encode(view: View<'_>, tags: Tags, out: &mut Vec<u8>) {
    // A number takes up to 24 bytes, and most nodes less; control characters take more than they
    // weigh.
    let guess = room(view.nodes().len(), view.nodes().len() * 8 + view.text_size() + 64, || {
        size::<false>(view, tags)
    });
    fill(out, guess, |page| put(view, tags, page));
}

/// The same as [`encode`] on a page.
pub(crate) fn put<'p>(
    view: View<'_>,
    tags: Tags,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let (exact, widest_int) = (tags.is_exact(), tags.widest_int());
    let nodes = view.nodes();
    let mut open = Open { style: Style::Whole, missing: 1 };
    let mut outer = Outer::new(open);
    let mut at = 0;
    while let Some(&node) = nodes.get(at) {
        let mut node = node;
        let mut index = at;
        match open.style {
            Style::Object => {
                match node {
                    Node::Str(text) => put_string(&mut page, view.span(text), b"", b"\":")?,
                    key => page.aside(|page| put_other_key(view, key, page))?,
                }
                index += 1;
                node = *nodes.get(index).ok_or(Stop::Unusual)?;
            }
            Style::Pairs if open.missing.is_multiple_of(2) => page.put(b"[")?,
            _ => {}
        }
        at = index + 1;
        let (style, missing) = match node {
            Node::Str(text) => {
                put_string(&mut page, view.span(text), b"", b"\"")?;
                (Style::Whole, 0)
            }
            Node::Int(number) if number.unsigned_abs() <= widest_int => {
                put_int(&mut page, number)?;
                (Style::Whole, 0)
            }
            Node::Float(number) if number.is_finite() => {
                put_float(&mut page, number)?;
                (Style::Whole, 0)
            }
            Node::Bool(truth) => {
                page.part(if truth { b"true\0" } else { b"false" }, if truth { 4 } else { 5 })?;
                (Style::Whole, 0)
            }
            Node::List(size) => (Style::Array, size.items),
            Node::Tuple(size) => (if exact { Style::Tuple } else { Style::Array }, size.items),
            Node::FrozenSet(size) if exact => (Style::FrozenSet, size.items),
            Node::Set(size) | Node::FrozenSet(size) => (Style::Set, size.items),
            Node::Dict(size) if is_object(&view, index, exact) => (Style::Object, size.items),
            Node::Dict(size) => (Style::Pairs, size.items * 2),
            Node::Named(of, size) => {
                let style = style_of_type(of, exact);
                if exact {
                    page.aside(|page| put_type(view, index, page))?;
                }
                if style == Style::Whole {
                    at += size.nodes as usize;
                    (style, 0)
                } else {
                    at = index + node.nodes_of_type(&nodes[at..]);
                    (style, 1)
                }
            }
            scalar => {
                page.aside(|page| put_scalar(view, scalar, tags, page))?;
                (Style::Whole, 0)
            }
        };
        if style != Style::Whole {
            let (opening, length) = style.opening();
            page.part(opening, length)?;
            if missing > 0 {
                outer.push(open);
                open = Open { style, missing };
                continue;
            }
            let (closing, length) = style.closing();
            page.part(closing, length)?;
        }
        // A value is complete, and perhaps the containers around it.
        loop {
            open.missing -= 1;
            if open.missing > 0 {
                if open.style == Style::Pairs && open.missing.is_multiple_of(2) {
                    page.put(b"]")?;
                }
                page.put(b",")?;
                break;
            }
            let (closing, length) = open.style.closing();
            page.part(closing, length)?;
            let Some(around) = outer.pop() else { return Ok(page) };
            open = around;
        }
    }
    Ok(page)
}

/// A container that is being written.
#[derive(Clone, Copy)]
struct Open {
    style: Style,
    /// Children still to come; of an object, entries; of pairs, keys and values.
    missing: u32,
}
