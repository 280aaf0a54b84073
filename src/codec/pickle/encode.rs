//! Writing pickles: protocol 4, data opcodes only.
//!
//! Nothing is memoised and nothing is framed: both are allowed to be missing, and without them a value's
//! opcodes can stand inside a larger pickle unchanged.

use num_bigint::BigInt;

use super::opcode::*;
use crate::codec::nesting::Outer;
use crate::codec::words::push;
use crate::codec::{Node, Size, View};

/// The protocol that is written: the oldest one that spells sets without imports.
const PROTOCOL: u8 = 4;

/// Writes the opcodes of a value, without PROTO and STOP.
pub fn encode(view: View<'_>, out: &mut Vec<u8>) {
    /// A container that is being written.
    #[derive(Clone, Copy)]
    struct Open {
        /// Nodes left in it.
        left: usize,
        /// The opcodes that complete it.
        close: &'static [u8],
    }
    // What is around the value ends with the nodes.
    let mut open = Open { left: usize::MAX, close: &[] };
    let mut outer = Outer::new(open);
    for &node in view.nodes() {
        open.left -= 1;
        let (start, size, close): (&[u8], Size, &'static [u8]) = match node {
            Node::Str(text) => {
                write_str(view.text(text), out);
                (&[], NO_CHILDREN, &[])
            }
            Node::Int(number) => {
                write_int(number, out);
                (&[], NO_CHILDREN, &[])
            }
            Node::Float(double) => {
                let [a, b, c, d, e, f, g, h] = double.to_be_bytes();
                out.extend_from_slice(&[BINFLOAT, a, b, c, d, e, f, g, h]);
                (&[], NO_CHILDREN, &[])
            }
            Node::None => (&[NONE], NO_CHILDREN, &[]),
            Node::Bool(true) => (&[NEWTRUE], NO_CHILDREN, &[]),
            Node::Bool(false) => (&[NEWFALSE], NO_CHILDREN, &[]),
            Node::BigInt(digits) => {
                write_big_int(view.text(digits), out);
                (&[], NO_CHILDREN, &[])
            }
            Node::Bytes(text) => {
                write_bytes(view.text(text), out);
                (&[], NO_CHILDREN, &[])
            }
            Node::List(size) if size.items == 0 => (&[EMPTY_LIST], size, &[]),
            Node::List(size) => (&[EMPTY_LIST, MARK], size, &[APPENDS]),
            Node::Tuple(size) => match size.items {
                0 => (&[EMPTY_TUPLE], size, &[]),
                1 => (&[], size, &[TUPLE1]),
                2 => (&[], size, &[TUPLE2]),
                3 => (&[], size, &[TUPLE3]),
                _ => (&[MARK], size, &[TUPLE]),
            },
            Node::Set(size) if size.items == 0 => (&[EMPTY_SET], size, &[]),
            Node::Set(size) => (&[EMPTY_SET, MARK], size, &[ADDITEMS]),
            Node::FrozenSet(size) if size.items == 0 => (&[MARK, FROZENSET], size, &[]),
            Node::FrozenSet(size) => (&[MARK], size, &[FROZENSET]),
            Node::Dict(size) if size.items == 0 => (&[EMPTY_DICT], size, &[]),
            Node::Dict(size) => (&[EMPTY_DICT, MARK], size, &[SETITEMS]),
        };
        push(start, out);
        if size.nodes > 0 {
            let below = size.nodes as usize;
            open.left = open.left.saturating_sub(below);
            outer.push(open);
            open = Open { left: below, close };
        }
        while open.left == 0
            && let Some(around) = outer.pop()
        {
            push(open.close, out);
            open = around;
        }
    }
}

const NO_CHILDREN: Size = Size { items: 0, nodes: 0 };

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
fn write_big_int(digits: &[u8], out: &mut Vec<u8>) {
    let number = BigInt::parse_bytes(digits, 10);
    debug_assert!(number.is_some(), "a document's integers are decimal");
    let bytes = number.unwrap_or_default().to_signed_bytes_le();
    if let Ok(length) = u8::try_from(bytes.len()) {
        out.extend_from_slice(&[LONG1, length]);
    } else {
        out.push(LONG4);
        out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    }
    out.extend_from_slice(&bytes);
}

/// Writes a str; `text` is UTF-8, shorter than 4 GiB.
pub fn write_str(text: &[u8], out: &mut Vec<u8>) {
    write_text(SHORT_BINUNICODE, BINUNICODE, text, out);
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
