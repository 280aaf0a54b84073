//! How long the opcodes of a value are, without writing them.

use num_bigint::BigInt;

use super::array::{AFTER_DATA, write_array};
use super::calls::{Calls, Classes, Named};
use crate::document::View;
use crate::node::{NamedType, Node};
use crate::scalar_type::Untyped;

/// Bytes that [`encode`](super::encode) appends for a value.
pub(crate) fn size(view: View<'_>, classes: Classes) -> u64 {
    let mut named = Named::default();
    let mut size = 0;
    let mut next = 0;
    while let Some(&node) = view.nodes().get(next) {
        let at = next;
        next += 1;
        size += match node {
            Node::Typed(of, text) if classes == Classes::Listed => {
                let mut calls = Vec::with_capacity(128);
                of.write_call(view.text(text), &mut Calls::new(&mut calls, &mut named));
                calls.len() as u64
            }
            Node::Named(NamedType::Ndarray, of) if classes == Classes::Listed => {
                next += of.nodes as usize;
                array_size(view, at, &mut named) as u64
            }
            Node::Named(..) => {
                next = at + node.nodes_of_type(&view.nodes()[next..]);
                0
            }
            node => node_size(view, node) as u64,
        };
    }
    size
}

fn array_size(view: View<'_>, at: usize, named: &mut Named) -> usize {
    let mut head = Vec::with_capacity(256);
    let data = write_array(view, at, named, &mut head).map_or(0, <[u8]>::len);
    head.len() + text_size(data) + AFTER_DATA.len()
}

/// What is no class's.
#[inline(always)]
fn node_size(view: View<'_>, node: Node) -> usize {
    match node {
        Node::None | Node::Bool(_) => 1,
        Node::Int(number) => int_size(number),
        Node::Float(_) => 9,
        Node::Str(text) | Node::Bytes(text) => text_size(text.len()),
        Node::Typed(of, text) => match of.untyped(view.text(text)) {
            Untyped::Text(text) => text_size(text.len()),
            Untyped::Float(_) => 9,
        },
        Node::BigInt(digits) => text_size(two_complement_size(view.text(digits))),
        Node::List(size) | Node::Set(size) | Node::Dict(size) => {
            if size.items == 0 {
                1
            } else {
                3
            }
        }
        Node::Tuple(size) => {
            if size.items <= 3 {
                1
            } else {
                2
            }
        }
        Node::FrozenSet(_) => 2,
        Node::Named(..) => 0,
    }
}

/// A text or an integer after its opcode and its length.
fn text_size(length: usize) -> usize {
    if length <= usize::from(u8::MAX) { 2 + length } else { 5 + length }
}

fn int_size(number: i64) -> usize {
    if u8::try_from(number).is_ok() {
        2
    } else if u16::try_from(number).is_ok() {
        3
    } else if i32::try_from(number).is_ok() {
        5
    } else {
        let sign_bits = if number < 0 { number.leading_ones() } else { number.leading_zeros() };
        2 + (64 - sign_bits) as usize / 8 + 1
    }
}

/// Bytes of an integer in two's complement, from its decimal digits. To convert these takes the
/// square of their number, so that is done only where their logarithm is next to that of a power of
/// two at which the answer changes.
fn two_complement_size(digits: &[u8]) -> usize {
    /// As many digits as a double holds.
    const LEADING: usize = 15;
    let magnitude = digits.strip_prefix(b"-").unwrap_or(digits);
    let leading = &magnitude[..magnitude.len().min(LEADING)];
    let first = leading
        .iter()
        .fold(0.0, |number, &digit| number * 10.0 + f64::from(digit.wrapping_sub(b'0')));
    let exponent = (magnitude.len() - leading.len()) as f64;
    // 15 digits are exact to 10^-14, and the product with the exponent is to 10^-11.
    let bits = first.log2() + exponent * std::f64::consts::LOG2_10;
    let bytes = (bits + 1.0) / 8.0;
    if (bytes - bytes.round()).abs() > 1e-9 && first >= 1.0 {
        return bytes as usize + 1;
    }
    let number = BigInt::parse_bytes(digits, 10).unwrap_or_default();
    number.to_signed_bytes_le().len()
}
