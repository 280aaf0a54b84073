//! Tests that take the whole reader and writer.

mod both_ways;
mod hostile;
pub(crate) mod identity;
mod vectors;

use std::fmt::Write;

use super::{decode_body, decode_message};
use crate::protocol::{Limits, Refusal};
use crate::{Document, NamedType, Node, View};

/// A value as text that the vectors, which CPython wrote, can be compared with: `repr`, but strings
/// as JSON writes them, bytes in hexadecimal and `None` for nothing.
fn shown(view: View<'_>) -> String {
    fn write(view: View<'_>, at: &mut usize, out: &mut String) {
        let node = view.nodes()[*at];
        *at += 1;
        let (open, close, items) = match node {
            Node::None => return out.push_str("None"),
            Node::Bool(truth) => return out.push_str(if truth { "True" } else { "False" }),
            Node::Int(number) => return write!(out, "{number}").unwrap(),
            Node::BigInt(digits) => {
                return out.push_str(str::from_utf8(view.text(digits)).unwrap());
            }
            Node::Float(number) if number.is_nan() => return out.push_str("nan"),
            Node::Float(number) => return write!(out, "{number:?}").unwrap(),
            Node::Str(text) => {
                let text = str::from_utf8(view.text(text)).unwrap();
                return out.push_str(&serde_json::to_string(text).unwrap());
            }
            Node::Typed(of, text) => {
                let text = str::from_utf8(view.text(text)).unwrap();
                return write!(out, "{}:{text}", of.name()).unwrap();
            }
            Node::Bytes(text) => {
                out.push_str("b:");
                return view.text(text).iter().for_each(|byte| write!(out, "{byte:02x}").unwrap());
            }
            Node::List(size) => ("[", "]", size.items),
            Node::Tuple(size) => ("(", ")", size.items),
            Node::Set(size) => ("set(", ")", size.items),
            Node::FrozenSet(size) => ("frozenset(", ")", size.items),
            Node::Dict(size) => ("{", "}", 2 * size.items),
            Node::Named(NamedType::Ndarray, size) => ("array(", ")", size.items),
            Node::Named(NamedType::Object, size) => ("object(", ")", size.items),
        };
        let is_dict = matches!(node, Node::Dict(_));
        let end = *at - 1 + node.nodes();
        out.push_str(open);
        for index in 0..items {
            if index > 0 {
                out.push_str(if is_dict && index % 2 == 1 { ": " } else { ", " });
            }
            write(view, at, out);
        }
        out.push_str(close);
        assert_eq!(*at, end, "sizes do not fit the nodes");
    }
    let mut out = String::new();
    let mut at = 0;
    write(view, &mut at, &mut out);
    assert_eq!(at, view.nodes().len());
    out
}

/// Reads a body; a stored message must give the same value as the one in the body.
fn body(xml: &[u8]) -> Result<String, Refusal> {
    let mut document = Document::new();
    let body = decode_body(xml, 0..xml.len(), &mut document, &Limits::default())?;
    assert_eq!(body.root, 0);
    let shown_body = shown(document.view(xml, 0));
    if let Some(range) = body.message {
        let mut alone = Document::new();
        let at = decode_message(xml, range, &mut alone, &Limits::default()).unwrap();
        let message = shown(alone.view(xml, at));
        assert!(shown_body.contains(&format!("\"message\": {message}")), "{shown_body} {message}");
    }
    Ok(shown_body)
}

/// Reads one element as a value.
fn value(xml: &[u8]) -> Result<String, Refusal> {
    let mut document = Document::new();
    let at = decode_message(xml, 0..xml.len(), &mut document, &Limits::default())?;
    Ok(shown(document.view(xml, at)))
}
