//! From every format to every format.

use babelmq::codec::{Document, View, json, pickle, xml};
use babelmq::protocol::{Format, Limits};
use serde::de::IgnoredAny;

use crate::same::assert_same;
use crate::{Bound, limits, linear, plain};

/// For each byte that a document weighs. An element is longer than the node it says: 25 bytes for 16.
const ENCODE: Bound = Bound { base: 4 << 10, per_byte: 16 };

/// What was accepted once is not refused for its size again.
pub(crate) fn unlimited() -> Limits {
    Limits { decoded_size: usize::MAX, ..Limits::default() }
}

/// The input is the byte of a format and a payload in it. What it says arrives in exact JSON, XML and pickle as it is, and
/// in plain JSON as the table of the protocol has it.
pub fn translate(input: &[u8]) {
    let [format, payload @ ..] = input else { return };
    let Some(format) = Format::from_byte(format % 3) else { return };
    let limits = limits(payload);
    let mut document = Document::new();
    let all = 0..payload.len();
    let root = match format {
        Format::Json => json::decode(payload, all, &mut document, &limits),
        Format::Xml => xml::decode_message(payload, all, &mut document, &limits),
        Format::Pickle => pickle::decode(payload, all, &mut document, &limits),
    };
    let Ok(root) = root else { return };
    let weight = payload.len() + document.weight();
    let view = document.view(payload, root);

    let written = encoded("to exact JSON", weight, |out| json::encode(view, true, out));
    same(view, &written, json::decode);

    let written = encoded("to XML", weight, |out| xml::encode(view, "message", out));
    same(view, &written, xml::decode_message);

    let written = encoded("to pickle", weight, |out| {
        pickle::write_prologue(out);
        pickle::encode(view, out);
        pickle::write_stop(out);
    });
    crate::pickle::only_data(&written);
    same(view, &written, pickle::decode);

    let written = encoded("to JSON", weight, |out| json::encode(view, false, out));
    if let Err(error) = serde_json::from_slice::<IgnoredAny>(&written) {
        panic!("{error}: {}", written.escape_ascii());
    }
    if plain::is_readable(view) {
        let (document, root) = read(&written, json::decode);
        plain::assert_plain(view, document.view(&written, root));
    }
}

fn encoded(what: &str, weight: usize, encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    linear(what, weight, ENCODE, || {
        let mut out = Vec::new();
        encode(&mut out);
        out
    })
}

type Decode = fn(&[u8], std::ops::Range<usize>, &mut Document, &Limits) -> Result<usize, babelmq::Refusal>;

#[track_caller]
fn same(view: View<'_>, written: &[u8], decode: Decode) {
    let (document, root) = read(written, decode);
    assert_same(view, document.view(written, root));
}

#[track_caller]
fn read(written: &[u8], decode: Decode) -> (Document, usize) {
    let mut document = Document::new();
    match decode(written, 0..written.len(), &mut document, &unlimited()) {
        Ok(root) => (document, root),
        Err(refusal) => panic!("what was written cannot be read: {refusal:?}: {}", written.escape_ascii()),
    }
}
