//! How a container is written in JSON: as an array, as an object, or tagged.

use std::collections::HashSet;

use super::scalar::spell_key;
use crate::document::View;
use crate::node::{NamedType, Node, Size};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Style {
    /// No container: the value itself.
    Whole,
    Array,
    Tuple,
    Set,
    FrozenSet,
    /// `{"key":value}`
    Object,
    /// `{"$dict":[[key,value]]}`
    Pairs,
    /// A value whose type is lost: it stands for itself.
    Untyped,
    /// `{"$object":{"class":"…","state":value}}`, of which all before the value is written apart.
    State,
}

impl Style {
    /// How its text begins: so many of these bytes.
    #[inline(always)]
    pub(super) fn opening(self) -> (&'static [u8; 16], usize) {
        match self {
            Style::Whole | Style::Untyped | Style::State => (b"                ", 0),
            Style::Array => (b"[               ", 1),
            Style::Object => (b"{               ", 1),
            Style::Tuple => (b"{\"$tuple\":[     ", 11),
            Style::Set => (b"{\"$set\":[       ", 9),
            Style::FrozenSet => (b"{\"$frozenset\":[ ", 15),
            Style::Pairs => (b"{\"$dict\":[      ", 10),
        }
    }

    /// How it ends.
    #[inline(always)]
    pub(super) fn closing(self) -> (&'static [u8; 4], usize) {
        match self {
            Style::Whole | Style::Untyped => (b"    ", 0),
            Style::Array => (b"]   ", 1),
            Style::Object => (b"}   ", 1),
            Style::Tuple | Style::Set | Style::FrozenSet => (b"]}  ", 2),
            Style::State => (b"}}  ", 2),
            // There is at least one: a dict without entries is an object.
            Style::Pairs => (b"]]} ", 3),
        }
    }
}

/// How the value at `index` is written.
pub(super) fn style_of(view: &View<'_>, index: usize, node: Node, exact: bool) -> Style {
    match node {
        Node::List(_) => Style::Array,
        Node::Tuple(_) => {
            if exact {
                Style::Tuple
            } else {
                Style::Array
            }
        }
        Node::FrozenSet(_) if exact => Style::FrozenSet,
        Node::Set(_) | Node::FrozenSet(_) => Style::Set,
        Node::Dict(_) if is_object(view, index, exact) => Style::Object,
        Node::Dict(_) => Style::Pairs,
        Node::Named(of, _) => style_of_type(of, exact),
        _ => Style::Whole,
    }
}

/// The same for a value that has a type.
pub(super) fn style_of_type(of: NamedType, exact: bool) -> Style {
    match of {
        _ if !exact => Style::Untyped,
        NamedType::Ndarray => Style::Whole,
        NamedType::Object => Style::State,
    }
}

/// Whether the dict at `index` can be a JSON object without pretending to be something else.
#[inline(always)]
pub(super) fn is_object(view: &View<'_>, index: usize, exact: bool) -> bool {
    match view.nodes()[index] {
        // One key alone may pretend to be a tag.
        Node::Dict(size) if size.has_string_keys && size.items != 1 => true,
        Node::Dict(size) => may_be_object(view, index, size, exact),
        _ => false,
    }
}

fn may_be_object(view: &View<'_>, index: usize, size: Size, exact: bool) -> bool {
    let mut all_strings = true;
    let mut at = index + 1;
    let end = at + size.nodes as usize;
    while at < end {
        match view.nodes()[at] {
            Node::Str(key) if size.items == 1 && view.text(key).starts_with(b"$") => return false,
            Node::Str(_) => {}
            Node::None
            | Node::Bool(_)
            | Node::Int(_)
            | Node::BigInt(_)
            | Node::Float(_)
            | Node::Typed(..)
                if !exact =>
            {
                all_strings = false;
            }
            _ => return false,
        }
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    all_strings || no_two_keys_meet(view, index + 1, end)
}

/// Whether keys that differ in Python (`1` and `"1"`) still do when they are spelled as strings.
fn no_two_keys_meet(view: &View<'_>, start: usize, end: usize) -> bool {
    // Numbers, booleans and None that differ are spelled differently, each from the others; only a
    // nan equals nothing.
    let may_meet = |key: Node| {
        matches!(key, Node::Str(_) | Node::Typed(..))
            || matches!(key, Node::Float(number) if number.is_nan())
    };
    let mut at = start;
    while at < end && !may_meet(view.nodes()[at]) {
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    if at >= end {
        return true;
    }
    let mut seen = HashSet::new();
    let mut at = start;
    while at < end {
        let mut spelled = Vec::new();
        spell_key(view, view.nodes()[at], &mut spelled);
        if !seen.insert(spelled) {
            return false;
        }
        at += view.nodes()[at].nodes();
        at += view.nodes()[at].nodes();
    }
    true
}
