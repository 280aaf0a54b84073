//! Values that have a type, and lie in the document with what they are without it: arrays and
//! objects, as exact JSON has them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::scalar::write_str;
use crate::budget::Budget;
use crate::class_name::is_class_name;
use crate::document::{Document, View};
use crate::ndarray::{self, Dtype, NotAnArray};
use crate::node::{NamedType, Node, Size, has_string_keys};
use crate::number::write_int;
use crate::out_buf::{OutBuf, Stop};

/// What the value at an index is written as, up to what it is without its type: of an array, which
/// says that another way, all of it.
#[inline(never)]
pub(super) fn put_type<'p>(
    view: View<'_>,
    at: usize,
    mut page: OutBuf<'p>,
) -> Result<OutBuf<'p>, Stop> {
    let mut head = Vec::with_capacity(64);
    if let Some(array) = write_type(view, at, &mut head) {
        page.slice(&head)?;
        page.aside(|page| page.base64(array.data))?;
        page.put(b"\"}}")?;
    } else {
        page.slice(&head)?;
    }
    Ok(page)
}

/// Bytes that [`put_type`] writes.
pub(super) fn type_size(view: View<'_>, at: usize) -> i64 {
    let mut head = Vec::with_capacity(64);
    let behind = match write_type(view, at, &mut head) {
        Some(array) => array.data.len().div_ceil(3) * 4 + b"\"}}".len(),
        None => 0,
    };
    (head.len() + behind) as i64
}

/// The same without the data of an array, which is returned.
fn write_type<'a>(view: View<'a>, at: usize, out: &mut Vec<u8>) -> Option<ndarray::Parts<'a>> {
    match view.nodes()[at] {
        Node::Named(NamedType::Ndarray, _) => {
            let array = ndarray::Parts::of(view, at)?;
            out.extend_from_slice(b"{\"$ndarray\":{\"dtype\":\"");
            out.extend_from_slice(array.dtype);
            out.extend_from_slice(b"\",\"shape\":[");
            for (axis, dimension) in array.dimensions().enumerate() {
                if axis > 0 {
                    out.push(b',');
                }
                write_int(dimension, out);
            }
            out.extend_from_slice(b"],\"data\":\"");
            Some(array)
        }
        Node::Named(NamedType::Object, _) => {
            out.extend_from_slice(b"{\"$object\":{\"class\":");
            if let Some(Node::Str(class)) = view.nodes().get(at + 1) {
                write_str(view.text(*class), out);
            }
            out.extend_from_slice(b",\"state\":");
            None
        }
        _ => None,
    }
}

/// Turns `{"$ndarray": {"dtype": …, "shape": […], "data": …}}`, the object at the end of a document
/// from `at` on, into an array; `None` where it holds something else.
pub(super) fn read_array(
    document: &mut Document,
    source: &[u8],
    at: usize,
    budget: &mut Budget,
) -> Option<Result<(), NotAnArray>> {
    let [dtype, shape, data] = fields(document, source, at, ["dtype", "shape", "data"])?;
    let nodes = document.nodes();
    let (Node::Str(dtype), Node::List(size), Node::Str(data)) =
        (nodes[dtype], nodes[shape], nodes[data])
    else {
        return None;
    };
    let dimensions = &nodes[shape + 1..shape + 1 + size.nodes as usize];
    let shape: Option<Vec<u64>> = dimensions
        .iter()
        .map(|node| match node {
            Node::Int(dimension) => u64::try_from(*dimension).ok(),
            _ => None,
        })
        .collect();
    let shape = shape?;
    let spelled = document.text(source, dtype);
    let Some(dtype) = Dtype::parse(spelled) else {
        return Some(Err(NotAnArray::no_dtype(spelled)));
    };
    let data = BASE64.decode(document.text(source, data)).ok()?;
    let data = document.append_text(|own| own.extend_from_slice(&data));
    document.nodes_mut().truncate(at);
    Some(ndarray::push(document, source, dtype, &shape, data, budget).map(drop))
}

/// Turns `{"$object": {"class": …, "state": {…}}}` into an object, likewise.
pub(super) fn read_object(document: &mut Document, source: &[u8], at: usize) -> Option<()> {
    let [class, state] = fields(document, source, at, ["class", "state"])?;
    let nodes = document.nodes();
    let (class @ Node::Str(name), Node::Dict(size)) = (nodes[class], nodes[state]) else {
        return None;
    };
    let state = state..state + nodes[state].nodes();
    if !is_class_name(document.text(source, name))
        || !has_string_keys(size, &nodes[state.start + 1..state.end])
    {
        return None;
    }
    let nodes = document.nodes_mut();
    let size = Size::new(2, (1 + state.len()) as u32);
    nodes[at] = Node::Named(NamedType::Object, size);
    nodes.copy_within(state, at + 2);
    nodes[at + 1] = class;
    nodes.truncate(at + 1 + size.nodes as usize);
    Some(())
}

/// Where the values of these fields, and no others, lie in the object in the tagged object at `at`.
fn fields<const N: usize>(
    document: &Document,
    source: &[u8],
    at: usize,
    names: [&str; N],
) -> Option<[usize; N]> {
    let nodes = document.nodes();
    let Some(Node::Dict(size)) = nodes.get(at + 2) else { return None };
    if size.items as usize != N {
        return None;
    }
    let mut found = [None; N];
    let mut key = at + 3;
    for _ in 0..N {
        let Node::Str(name) = nodes[key] else { return None };
        let name = document.text(source, name);
        let place = names.iter().position(|wanted| wanted.as_bytes() == name)?;
        found[place] = Some(key + 1);
        key += 1 + nodes[key + 1].nodes();
    }
    // No two keys of an object are equal.
    let found = found.map(|place| place.unwrap_or_default());
    Some(found)
}
