//! From every format to every format.

use babelmq::codec::json::{self, Tags};
use babelmq::codec::{Dialect, Document, Node, Part, PlainNames, View, decode_part, pickle, xml};
use babelmq::protocol::{ErrorCode, Format, Limits, NODE_SIZE};
use serde::de::IgnoredAny;

use crate::same::{Decode, assert_same};
use crate::{Bound, limits, linear, plain};

/// For each byte that a value weighs. A control character takes 6, in a buffer that has doubled,
/// and a key is written twice in XML.
const ENCODE: Bound = Bound { base: 4 << 10, per_byte: 24 };

/// The byte that stands for a text by itself, and the one for bytes.
const TEXT: u8 = 0xfe;
const BYTES: u8 = 0xff;

/// The input is the byte of a format, or of none, and a payload in it. What it says arrives in
/// exact JSON, XML and pickle as it is, and in plain JSON as the table of the protocol has it.
pub fn translate(input: &[u8]) {
    let [first, payload @ ..] = input else { return };
    let all = 0..payload.len();
    let (format, part) = match *first {
        TEXT => (Format::Pickle, Part::Text(all)),
        BYTES => (Format::Pickle, Part::Bytes(all)),
        format => (Format::ALL[usize::from(format % 3)], Part::Value(all)),
    };
    let limits = limits(payload);
    let mut document = Document::new();
    let all = 0..payload.len();
    let root = match (&part, format) {
        (Part::Value(_), Format::Json) => json::decode(payload, all, &mut document, &limits),
        (Part::Value(_), Format::Xml) => xml::decode_message(payload, all, &mut document, &limits),
        (Part::Value(_), Format::Pickle) => pickle::decode(payload, all, &mut document, &limits),
        _ => decode_part(payload, format, &part, &mut document, &limits),
    };
    let Ok(root) = root else {
        let is_text = matches!(part, Part::Text(_)) && str::from_utf8(payload).is_ok();
        assert!(!is_text && !matches!(part, Part::Bytes(_)), "nothing is wrong with it");
        return;
    };
    let view = document.view(payload, root);
    let weight = weight(view);

    if format == Format::Json {
        onward(payload, view);
    }

    let written = encoded("to exact JSON", weight, |out| json::encode(view, Tags::Exact, out));
    same(view, &written, json::decode);

    let written = encoded("to JSON for JavaScript", weight, |out| {
        json::encode(view, Tags::Js, out);
    });
    same(view, &written, json::decode);

    let written = encoded("to XML", weight, |out| xml::encode(view, out));
    same(view, &written, xml::decode_message);

    plain_xml(payload, format, view, weight);

    for classes in [pickle::Classes::None, pickle::Classes::Listed] {
        encoded("to pickle", weight, |out| pickle::encode(view, classes, out));
        crate::pickle::settles(view, classes);
    }

    let written = encoded("to JSON", weight, |out| json::encode(view, Tags::Needed, out));
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&written) {
        panic!("{error}: {}", written.escape_ascii());
    }
    let has_types = |node: &Node| matches!(node, Node::Typed(..) | Node::Named(..));
    if plain::is_readable(view) && !view.nodes().iter().any(has_types) {
        let (document, root) = read(&written, json::decode);
        plain::assert_plain(view, document.view(&written, root));
    }
}

/// XML without types is well-formed whatever a value is, and nothing in it is read as a type; what
/// came without types comes back as it was.
fn plain_xml(payload: &[u8], format: Format, view: View<'_>, weight: usize) {
    let is_untyped = |xml: &[u8]| Dialect::PlainXml.passes_on_payload(Format::Xml, xml);
    let own = PlainNames::new(Some("root"), Some("row")).expect("these are names");
    for names in [PlainNames::default(), own] {
        // Longer than that it is not written.
        if Dialect::PlainXml.fitting(view, &names, u32::MAX) != Dialect::PlainXml {
            continue;
        }
        let written = encoded("to plain XML", weight, |out| xml::encode_plain(view, &names, out));
        assert!(is_untyped(&written), "{}", written.escape_ascii());
        let mut document = Document::new();
        match xml::decode_message(&written, 0..written.len(), &mut document, &Limits::NONE) {
            Ok(root) if names.are_usual() && format == Format::Xml && is_untyped(payload) => {
                if is_of_every_edition(payload) {
                    assert_same(view, document.view(&written, root));
                }
            }
            Ok(_) => {}
            // A list in a list is an element in an element.
            Err(refusal) if refusal.code == ErrorCode::TooDeep => {}
            Err(refusal) => panic!("{refusal:?}: {}", written.escape_ascii()),
        }
    }
}

/// Whether there surely is no name that only the fifth edition of XML 1.0 takes: it would be
/// written as a key.
fn is_of_every_edition(xml: &[u8]) -> bool {
    xml.is_ascii()
}

/// What is written while JSON is read is what is written from its document.
fn onward(json: &[u8], view: View<'_>) {
    // Something may stand around it.
    let source = [b"..", json, b"\"}"].concat();
    let range = 2..2 + json.len();
    let (mut elements, mut opcodes) = (Vec::new(), Vec::new());
    xml::encode(view, &mut elements);
    pickle::encode(view, pickle::Classes::None, &mut opcodes);
    let mut out = Vec::new();
    assert!(!xml::encode_json(&source, range.clone(), &mut out) || out == elements);
    out.clear();
    assert!(!pickle::encode_json(&source, range, &mut out) || out == opcodes);
}

/// What a value costs of its budget. A text that is referred to twice is written twice.
fn weight(view: View<'_>) -> usize {
    let text = |node: &Node| match node {
        Node::BigInt(text) | Node::Str(text) | Node::Bytes(text) | Node::Typed(_, text) => {
            text.len()
        }
        _ => 0,
    };
    view.nodes().iter().map(|node| NODE_SIZE + text(node)).sum()
}

fn encoded(what: &str, weight: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    linear(what, weight, ENCODE, || {
        let mut out = Vec::new();
        encode(&mut out);
        out
    })
}

#[track_caller]
fn same(view: View<'_>, written: &[u8], decode: Decode) {
    let (document, root) = read(written, decode);
    assert_same(view, document.view(written, root));
}

#[track_caller]
fn read(written: &[u8], decode: Decode) -> (Document, usize) {
    let mut document = Document::new();
    match decode(written, 0..written.len(), &mut document, &Limits::NONE) {
        Ok(root) => (document, root),
        Err(refusal) => {
            panic!("what was written cannot be read: {refusal:?}: {}", written.escape_ascii())
        }
    }
}
