//! Values that have a type, and lie in the document with what they are without it: arrays and
//! objects, as XML with types has them.

use super::fault::Fault;
use super::typed::{self, Scalar};
use crate::Budget;
use crate::document::{Document, View};
use crate::ndarray::{self, Dtype, NotAnArray};
use crate::node::{NamedType, Node};
use crate::out_buf::{OutBuf, Stop};

/// The rest of the start tag of the value at an index; of an array, all up to its end tag.
#[cold]
pub(super) fn put_type<'p>(
    mut page: OutBuf<'p>,
    view: View<'_>,
    at: usize,
) -> Result<OutBuf<'p>, Stop> {
    let mut head = Vec::with_capacity(64);
    let array = write_type(view, at, &mut head);
    page.slice(&head)?;
    if let Some(array) = array {
        page.aside(|page| page.base64(array.data))?;
    }
    Ok(page)
}

/// Bytes that [`put_type`] writes.
pub(super) fn type_size(view: View<'_>, at: usize) -> i64 {
    let mut head = Vec::with_capacity(64);
    let array = write_type(view, at, &mut head);
    (head.len() + array.map_or(0, |array| array.data.len().div_ceil(3) * 4)) as i64
}

/// The same without the data of an array, which is returned.
fn write_type<'a>(view: View<'a>, at: usize, out: &mut Vec<u8>) -> Option<ndarray::Parts<'a>> {
    match view.nodes()[at] {
        Node::Named(NamedType::Ndarray, _) => {
            let array = ndarray::Parts::of(view, at)?;
            out.extend_from_slice(b" type=\"ndarray\" dtype=\"");
            for &byte in array.dtype {
                match byte {
                    b'<' => out.extend_from_slice(b"&lt;"),
                    b'>' => out.extend_from_slice(b"&gt;"),
                    byte => out.push(byte),
                }
            }
            out.extend_from_slice(b"\" shape=\"");
            for (axis, dimension) in array.dimensions().enumerate() {
                let space = if axis > 0 { " " } else { "" };
                out.extend_from_slice(format!("{space}{dimension}").as_bytes());
            }
            out.extend_from_slice(b"\">");
            Some(array)
        }
        Node::Named(NamedType::Object, _) => {
            // Its letters, digits and dots stand in an attribute as they are.
            out.extend_from_slice(b" type=\"object\" class=\"");
            if let Some(Node::Str(class)) = view.nodes().get(at + 1) {
                out.extend_from_slice(view.text(*class));
            }
            out.extend_from_slice(b"\">");
            None
        }
        _ => None,
    }
}

/// The dimensions that an attribute says, with spaces between them.
pub(super) fn shape(attribute: &[u8]) -> Option<Vec<u64>> {
    let text = str::from_utf8(attribute).ok()?;
    let is_number = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_ascii_whitespace().map(|part| is_number(part).then(|| part.parse().ok())?).collect()
}

/// Turns the element at the end of a document into an array, now that all of its text is there: its
/// node is at `at`, and its dtype and its shape behind that.
pub(super) fn read_array(
    text: &[u8],
    source: &[u8],
    at: usize,
    document: &mut Document,
    budget: &mut Budget,
) -> Result<(), Fault> {
    let wrong = |fault: NotAnArray| match fault {
        NotAnArray::Refused(refusal) => Fault::from(refusal),
        fault => typed::invalid(format!("type=\"ndarray\" holds {fault}")),
    };
    let (dtype, dimensions) = match document.nodes()[at + 1..] {
        [Node::Str(dtype), Node::Tuple(_), ref dimensions @ ..] => (dtype, dimensions),
        _ => return Err(typed::invalid("an array without its dtype and its shape")),
    };
    let shape: Vec<u64> = dimensions
        .iter()
        .map(|node| match node {
            Node::Int(dimension) => dimension.unsigned_abs(),
            _ => 0,
        })
        .collect();
    let spelled = document.text(source, dtype);
    let dtype =
        Dtype::parse(spelled).ok_or_else(|| NotAnArray::no_dtype(spelled)).map_err(wrong)?;
    let data = typed::base64(text, document)
        .ok_or_else(|| Scalar::Ndarray.wrong(text, "base64 with its padding"))?;
    budget.bytes(data.len())?;
    document.nodes_mut().truncate(at);
    ndarray::push(document, source, dtype, &shape, data, budget).map_err(wrong)?;
    Ok(())
}
