//! Writing pickles: protocol 4, data opcodes only.
//!
//! Nothing is memoised and nothing is framed: both are allowed to be missing, and without them a
//! value's opcodes can stand inside a larger pickle unchanged.

use num_bigint::BigInt;

use super::opcode::*;
use super::piece::{put_float, put_int, put_long, put_str};
use super::size::size;
use crate::nesting::Outer;
use crate::out_buf::{OutBuf, Stop, fill, room};
use crate::scalar_type::Untyped;
use crate::span::Span;
use crate::swar::push;
use crate::{Node, Size, View};

/// The protocol that is written: the oldest one that spells sets without imports.
const PROTOCOL: u8 = 4;

/// Writes the opcodes of a value, without PROTO and STOP.
pub fn encode(view: View<'_>, out: &mut Vec<u8>) {
    // Nine bytes for a double, five before a text.
    let guess = view.nodes().len() * 6 + view.text_size() + 64;
    fill(out, room(view.nodes().len(), guess, || size(view)), |page| put(view, page));
}

/// The same on a page.
pub(crate) fn put<'p>(view: View<'_>, mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
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
    for &node in view.nodes() {
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
            Node::BigInt(_) | Node::Bytes(_) | Node::Typed(..) => {
                page.aside(|page| put_unusual(page, node, view))?;
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

/// A scalar whose type is not said.
fn put_untyped<'p>(mut page: OutBuf<'p>, scalar: Untyped<'_>) -> Result<OutBuf<'p>, Stop> {
    match scalar {
        Untyped::Text(text) => put_str(&mut page, Span::new(text, text.len()))?,
        Untyped::Float(number) => put_float(&mut page, number)?,
    }
    Ok(page)
}

const NO_CHILDREN: Size = Size::new(0, 0);

/// Begins a pickle.
pub fn write_prologue(out: &mut Vec<u8>) {
    out.extend_from_slice(&[PROTO, PROTOCOL]);
}

/// Ends a pickle.
pub fn write_stop(out: &mut Vec<u8>) {
    out.push(STOP);
}

/// Begins a dict: keys and values follow in turn, then [`close_dict`].
pub fn open_dict(out: &mut Vec<u8>) {
    out.extend_from_slice(&[EMPTY_DICT, MARK]);
}

/// Ends a dict.
pub fn close_dict(out: &mut Vec<u8>) {
    out.push(SETITEMS);
}

/// Begins a list: its elements follow, then [`close_list`].
pub fn open_list(out: &mut Vec<u8>) {
    out.extend_from_slice(&[EMPTY_LIST, MARK]);
}

/// Ends a list.
pub fn close_list(out: &mut Vec<u8>) {
    out.push(APPENDS);
}

/// Writes `None`.
pub fn write_none(out: &mut Vec<u8>) {
    out.push(NONE);
}

/// Writes a bool.
pub fn write_bool(truth: bool, out: &mut Vec<u8>) {
    out.push(if truth { NEWTRUE } else { NEWFALSE });
}

/// Writes an integer of 64 bits.
#[inline]
pub fn write_int(number: i64, out: &mut Vec<u8>) {
    if let Ok(number) = u8::try_from(number) {
        out.extend_from_slice(&[BININT1, number]);
    } else if let Ok(number) = u16::try_from(number) {
        let [a, b] = number.to_le_bytes();
        out.extend_from_slice(&[BININT2, a, b]);
    } else if let Ok(number) = i32::try_from(number) {
        let [a, b, c, d] = number.to_le_bytes();
        out.extend_from_slice(&[BININT, a, b, c, d]);
    } else {
        let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
        let length = (64 - sign_bits) as usize / 8 + 1;
        out.extend_from_slice(&[LONG1, length as u8]);
        out.extend_from_slice(&number.to_le_bytes()[..length]);
    }
}

/// Writes an integer that is spelled in decimal, as documents spell those beyond 64 bits.
fn put_big_int<'p>(page: OutBuf<'p>, digits: &[u8]) -> Result<OutBuf<'p>, Stop> {
    let number = BigInt::parse_bytes(digits, 10);
    debug_assert!(number.is_some(), "a document's integers are decimal");
    let bytes = number.unwrap_or_default().to_signed_bytes_le();
    put_long(page, LONG1, LONG4, &bytes)
}

/// Writes a str; `text` is UTF-8, shorter than 4 GiB.
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    write_text(SHORT_BINUNICODE, BINUNICODE, text, out);
}

/// A str on a page; `text` is UTF-8.
#[inline]
pub(crate) fn put_text<'p>(text: &[u8], mut page: OutBuf<'p>) -> Result<OutBuf<'p>, Stop> {
    put_str(&mut page, Span::new(text, text.len()))?;
    Ok(page)
}

/// Writes bytes, fewer than 4 GiB.
pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    write_text(SHORT_BINBYTES, BINBYTES, bytes, out);
}

#[inline(always)]
fn write_text(short: u8, long: u8, text: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u8::try_from(text.len()) {
        out.extend_from_slice(&[short, length]);
    } else {
        out.push(long);
        out.extend_from_slice(&(text.len() as u32).to_le_bytes());
    }
    push(text, out);
}
