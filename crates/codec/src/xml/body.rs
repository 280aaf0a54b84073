//! The root that a reader is asked for, and the parts of a message body that it found.

use std::ops::Range;

/// The kinds of root elements.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// A message body.
    Body,
    /// A value.
    Value,
}

/// A message body that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Body {
    /// The index of the body's node, a [`Node::Dict`](crate::Node::Dict) from field names to
    /// values.
    pub root: usize,
    /// Where in the source the element `message` lies, from its `<` to its last `>`. `None` when
    /// the body has no such child element; an attribute `message` is among the fields all the same.
    pub message: Option<Range<usize>>,
    /// Whether every name in the message is one of every edition of XML 1.0, so that every parser
    /// can read the element.
    pub is_readable_to_all: bool,
}
