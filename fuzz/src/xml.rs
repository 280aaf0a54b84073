//! XML to values.

use babelmq::Limits;
use babelmq::codec::{Document, xml as codec};

use crate::same::{assert_alone, assert_read, assert_same};
use crate::{Bound, frugal, limits, linear};

pub(crate) const DECODE: Bound = Bound { base: 16 << 10, per_byte: 400 };

/// The input is a payload, and a whole body.
pub fn xml(input: &[u8]) {
    let limits = limits(input);
    let mut document = Document::new();
    let decoded = linear("xml", input.len(), DECODE, || {
        codec::decode_message(input, 0..input.len(), &mut document, &limits)
    });
    frugal("xml", input.len(), |limits| {
        let mut document = Document::new();
        let _ = codec::decode_message(input, 0..input.len(), &mut document, limits);
        document
    });
    let read = decoded.as_ref().ok().map(|&root| document.view(input, root));
    assert_alone(input, read, &limits, codec::decode_message);
    // The quick reader gives up on a comment, so that this is read by events, and comes to the
    // same.
    let by_events = [input, b"<!---->"].concat();
    let mut read_by_events = Document::new();
    let root = codec::decode_message(&by_events, 0..by_events.len(), &mut read_by_events, &limits);
    assert_read(read, root, &read_by_events, &by_events);
    if let Ok(root) = decoded {
        well_formed(input);
        let mut written = Vec::new();
        codec::encode(document.view(input, root), &mut written);
        well_formed(&written);
        let mut again = Document::new();
        let root_again =
            codec::decode_message(&written, 0..written.len(), &mut again, &Limits::NONE)
                .unwrap_or_else(|refusal| panic!("{refusal:?}: {}", written.escape_ascii()));
        assert_same(document.view(input, root), again.view(&written, root_again));
    }

    let mut document = Document::new();
    let body = linear("xml as a body", input.len(), DECODE, || {
        codec::decode_body(input, 0..input.len(), &mut document, &limits)
    });
    let Ok(body) = body else { return };
    // Outside of the message, prefixes are nobody's business.
    if let Some(message) = body.message {
        let mut cut = Document::new();
        // The declaration and what else stands around it are not needed to read it.
        codec::decode_message(input, message.clone(), &mut cut, &Limits::NONE)
            .unwrap_or_else(|refusal| panic!("read inside of its body, not cut out: {refusal:?}"));
        well_formed(&input[message]);
    }
}

/// Refuses what another reader refuses; that one takes the square of their number for attributes
/// and prefixes.
fn well_formed(xml: &[u8]) {
    if xml.len() > 16 << 10 {
        return;
    }
    let text =
        str::from_utf8(xml).unwrap_or_else(|error| panic!("{error}: {}", xml.escape_ascii()));
    if let Err(error) = roxmltree::Document::parse(text) {
        panic!("accepted or written, and roxmltree refuses it: {error}: {text:?}");
    }
}
