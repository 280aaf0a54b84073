//! Writing pickles: protocol 4, of data opcodes only unless a consumer asks for types.
//!
//! Nothing is memoised but classes, and nothing is framed: both are allowed to be missing, and
//! without them a value's opcodes can stand inside a larger pickle unchanged.

use num_bigint::BigInt;

use super::array::{AFTER_DATA, write_array};
use super::calls::{Calls, Classes, Named};
use super::opcode::*;
use super::piece::{put_float, put_int, put_long, put_str};
use super::size::size;
use crate::nesting::Outer;
use crate::node::NamedType;
use crate::out_buf::{OutBuf, Stop, fill, room};
use crate::protocol::ScalarType;
use crate::scalar_type::Untyped;
use crate::span::Span;
use crate::{Node, Size, View};

/// Writes the opcodes of a value, without PROTO and STOP.
pub fn encode(view: View<'_>, classes: Classes, out: &mut Vec<u8>) {
    // Nine bytes for a double, five before a text.
    let guess = view.nodes().len() * 6 + view.text_size() + 64;
    let room = room(view.nodes().len(), guess, || size(view, classes));
    fill(out, room, |page| put(view, classes, page));
}

/// The same on a page.
pub(crate) fn put<'p>(
    view: View<'_>,
    classes: Classes,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    /// A container that is being written.
    #[derive(Clone, Copy)]
    struct Open {
        /// Nodes left in it.
        left: usize,
        /// The opcode that completes it.
        close: u8,
    }
    // The pickle around the value ends with the nodes.
    let mut open = Open { left: usize::MAX, close: STOP };
    let mut outer = Outer::new(open);
    let mut named = Named::default();
    let mut nodes = view.nodes().iter();
    while let Some(&node) = nodes.next() {
        open.left -= 1;
        let (start, length, size, close) = match node {
            Node::Str(text) => {
                put_str(&mut page, view.span(text))?;
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::Int(number) => {
                put_int(&mut page, number)?;
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::Float(double) => {
                put_float(&mut page, double)?;
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::None => ([NONE, 0], 1, NO_CHILDREN, STOP),
            Node::Bool(truth) => {
                ([if truth { NEWTRUE } else { NEWFALSE }, 0], 1, NO_CHILDREN, STOP)
            }
            Node::Typed(of, text) if classes == Classes::Listed => {
                page.aside(|page| put_typed(page, of, view.text(text), &mut named))?;
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::BigInt(_) | Node::Bytes(_) | Node::Typed(..) => {
                page.aside(|page| put_unusual(page, node, view))?;
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::Named(of, size) => {
                let behind = nodes.as_slice();
                let passed = if of == NamedType::Ndarray && classes == Classes::Listed {
                    let at = view.nodes().len() - behind.len() - 1;
                    page.aside(|page| put_array(page, view, at, &mut named))?;
                    size.nodes as usize
                } else {
                    // What it is without its type comes next.
                    node.nodes_of_type(behind) - 1
                };
                nodes = behind.get(passed..).unwrap_or_default().iter();
                open.left = open.left.saturating_sub(passed);
                if passed < size.nodes as usize {
                    continue;
                }
                ([0; 2], 0, NO_CHILDREN, STOP)
            }
            Node::List(size) if size.items == 0 => ([EMPTY_LIST, 0], 1, size, STOP),
            Node::List(size) => ([EMPTY_LIST, MARK], 2, size, APPENDS),
            Node::Tuple(size) => match size.items {
                0 => ([EMPTY_TUPLE, 0], 1, size, STOP),
                1 => ([0; 2], 0, size, TUPLE1),
                2 => ([0; 2], 0, size, TUPLE2),
                3 => ([0; 2], 0, size, TUPLE3),
                _ => ([MARK, 0], 1, size, TUPLE),
            },
            Node::Set(size) if size.items == 0 => ([EMPTY_SET, 0], 1, size, STOP),
            Node::Set(size) => ([EMPTY_SET, MARK], 2, size, ADDITEMS),
            Node::FrozenSet(size) if size.items == 0 => ([MARK, FROZENSET], 2, size, STOP),
            Node::FrozenSet(size) => ([MARK, 0], 1, size, FROZENSET),
            Node::Dict(size) if size.items == 0 => ([EMPTY_DICT, 0], 1, size, STOP),
            Node::Dict(size) => ([EMPTY_DICT, MARK], 2, size, SETITEMS),
        };
        page.part(&start, length)?;
        if size.nodes > 0 {
            let below = size.nodes as usize;
            open.left = open.left.saturating_sub(below);
            outer.push(open);
            open = Open { left: below, close };
        }
        while open.left == 0
            && let Some(around) = outer.pop()
        {
            page.put(&[open.close])?;
            open = around;
        }
    }
    Ok(page)
}

/// A scalar that is met less often.
#[inline(never)]
fn put_unusual<'p>(page: OutBuf<'p>, scalar: Node, view: View<'_>) -> Result<OutBuf<'p>, Stop> {
    match scalar {
        Node::Bytes(text) => put_long(page, SHORT_BINBYTES, BINBYTES, view.text(text)),
        Node::BigInt(digits) => put_big_int(page, view.text(digits)),
        Node::Typed(of, text) => put_untyped(page, of.untyped(view.text(text))),
        _ => Ok(page),
    }
}

/// A scalar whose type is said.
#[inline(never)]
fn put_typed<'p>(
    mut page: OutBuf<'p>,
    of: ScalarType,
    canonical: &[u8],
    named: &mut Named,
) -> Result<OutBuf<'p>, Stop> {
    let mut calls = Vec::with_capacity(128);
    of.write_call(canonical, &mut Calls::new(&mut calls, named));
    page.slice(&calls)?;
    Ok(page)
}

/// The array at an index, whose type is said.
#[inline(never)]
fn put_array<'p>(
    mut page: OutBuf<'p>,
    view: View<'_>,
    at: usize,
    named: &mut Named,
) -> Result<OutBuf<'p>, Stop> {
    let mut head = Vec::with_capacity(256);
    let data = write_array(view, at, named, &mut head).ok_or(Stop::Unusual)?;
    page.slice(&head)?;
    page.aside(|page| put_long(page, SHORT_BINBYTES, BINBYTES, data))?;
    page.put(&AFTER_DATA)?;
    Ok(page)
}

/// A scalar whose type is not said.
fn put_untyped<'p>(mut page: OutBuf<'p>, scalar: Untyped<'_>) -> Result<OutBuf<'p>, Stop> {
    match scalar {
        Untyped::Text(text) => put_str(&mut page, Span::new(text, text.len()))?,
        Untyped::Float(number) => put_float(&mut page, number)?,
    }
    Ok(page)
}

const NO_CHILDREN: Size = Size::new(0, 0);

/// Writes an integer that is spelled in decimal, as documents spell those beyond 64 bits.
fn put_big_int<'p>(page: OutBuf<'p>, digits: &[u8]) -> Result<OutBuf<'p>, Stop> {
    let number = BigInt::parse_bytes(digits, 10);
    debug_assert!(number.is_some(), "a document's integers are decimal");
    let bytes = number.unwrap_or_default().to_signed_bytes_le();
    put_long(page, LONG1, LONG4, &bytes)
}

/// A str on a page; `text` is UTF-8.
#[inline]
pub(crate) fn put_text<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    put_str(&mut page, Span::new(text, text.len()))?;
    Ok(page)
}
