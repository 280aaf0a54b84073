//! Whether a value is short enough to be written without types.
//!
//! A list under a key repeats the key for each item, so a long key makes a message long that was
//! not judged as such when it was published. The form with types, which was, takes its place then.

use super::names::PlainNames;
use super::plain_size;
use crate::document::View;
use crate::node::Node;
use crate::xml::size::{size, tag_size, untyped_size};

/// How many times as long as the form with types it may be.
const TIMES: u64 = 4;
/// The tags of an item with a type take a quarter of so many bytes at least.
const SHORT_TAGS: i64 = 96;
/// The tags of a key of so many bytes are not longer.
const SHORT_KEY: usize = 12;
/// A name of so many bytes has such tags.
const SHORT_NAME: usize = 40;
/// Bytes that a value becomes at most, beside its text.
const PER_NODE: usize = 192;
/// Bytes that a byte of text becomes at most.
const PER_TEXT: usize = 6;
/// Bytes of everything around a payload at most.
const AROUND: usize = 8 << 10;

/// Whether the plain form of a value fits a frame of `most` bytes and is not far longer than its
/// form with types.
pub(crate) fn is_short_enough(view: View<'_>, names: &PlainNames, most: u64) -> bool {
    let nodes = view.nodes();
    let longest = names.item().len().max(names.root().map_or(0, str::len));
    let (mut text, mut is_short) = (0, longest <= SHORT_NAME);
    let mut last: &[u8] = b"";
    let mut next = 0;
    while let Some(node) = nodes.get(next) {
        next += 1;
        if let Node::Named(..) = node {
            // What it takes is not written; what it is without its type stands under its key.
            next += node.nodes_of_type(&nodes[next..]) - 1;
            continue;
        }
        let before = std::mem::take(&mut last);
        match node {
            Node::Str(string) => {
                last = view.text(*string);
                text += last.len();
            }
            Node::Bytes(bytes) | Node::BigInt(bytes) | Node::Typed(_, bytes) => {
                text += bytes.len();
            }
            Node::List(_) | Node::Tuple(_) | Node::Set(_) | Node::FrozenSet(_) => {
                is_short &= before.len() <= SHORT_KEY || tag_size(before) <= SHORT_TAGS;
            }
            _ => {}
        }
    }
    if is_short && (nodes.len() * PER_NODE + text * PER_TEXT + AROUND) as u64 <= most {
        return true;
    }
    let plain = plain_size(view, names);
    // An array is compared as the lists that it is here, not as the base64 that it is with types.
    plain <= TIMES * untyped_size(view)
        && (plain + AROUND as u64 <= most || plain <= size::<true>(view))
}
