//! The usual `ack`, read without taking its body apart: a consumer sends one for each message.

use crate::protocol::Format;

/// How programs spell it, up to the number: without and with the spaces of Python's `json`.
const JSON: [&[u8]; 2] = [b"{\"command\":\"ack\",\"seq\":", b"{\"command\": \"ack\", \"seq\": "];
const XML: &[u8] = b"<frame command=\"ack\" seq=\"";
const XML_BEHIND: [&[u8]; 2] = [b"\"/>", b"\"></frame>"];
/// What this broker's clients write, and what picklers do, who remember each text.
const PICKLE: [&[u8]; 2] = [
    b"}(\x8c\x07command\x8c\x03ack\x8c\x03seq",
    b"}\x94(\x8c\x07command\x94\x8c\x03ack\x94\x8c\x03seq\x94",
];
const PICKLE_BEHIND: &[u8] = b"u.";
/// Digits of a number that surely has 63 bits.
const DIGITS: usize = 18;

/// The number of the message that a body acknowledges, where it holds nothing else and is spelled
/// as usual; `None` for everything that is to be read in full.
#[inline]
pub fn quick_ack(format: Format, body: &[u8]) -> Option<u64> {
    match format {
        Format::Json => {
            let [plain, spaced] = JSON;
            let rest = body.strip_prefix(plain).or_else(|| body.strip_prefix(spaced))?;
            number(rest.strip_suffix(b"}")?)
        }
        Format::Xml => {
            let rest = body.strip_prefix(XML)?;
            let [short, long] = XML_BEHIND;
            number(rest.strip_suffix(short).or_else(|| rest.strip_suffix(long))?)
        }
        Format::Pickle => {
            let rest = match body {
                // The length of the rest as one frame (PEP 3154).
                [0x80, 4 | 5, 0x95, a, b, c, d, e, f, g, h, rest @ ..] => {
                    let length = u64::from_le_bytes([*a, *b, *c, *d, *e, *f, *g, *h]);
                    (length == rest.len() as u64).then_some(rest)?
                }
                [0x80, 4 | 5, rest @ ..] => rest,
                _ => return None,
            };
            let [plain, remembered] = PICKLE;
            let rest = rest.strip_prefix(plain).or_else(|| rest.strip_prefix(remembered))?;
            pickled(rest.strip_suffix(PICKLE_BEHIND)?)
        }
    }
}

/// The number that digits spell, from 1 on.
#[inline]
fn number(digits: &[u8]) -> Option<u64> {
    if digits.len() > DIGITS || !matches!(digits.first(), Some(b'1'..=b'9')) {
        return None;
    }
    digits.iter().try_fold(0, |number, digit| {
        let digit = digit.wrapping_sub(b'0');
        (digit < 10).then(|| 10 * number + u64::from(digit))
    })
}

/// The number that one opcode makes, from 1 on.
#[inline]
fn pickled(opcode: &[u8]) -> Option<u64> {
    let number = match *opcode {
        [b'K', a] => u64::from(a),
        [b'M', a, b] => u64::from(u16::from_le_bytes([a, b])),
        [b'J', a, b, c, d] => u64::try_from(i32::from_le_bytes([a, b, c, d])).ok()?,
        [0x8a, length, ref bytes @ ..]
            if bytes.len() <= 8 && bytes.len() == usize::from(length) =>
        {
            // Its highest bit is its sign.
            bytes.last().filter(|last| **last < 0x80)?;
            bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
        }
        _ => return None,
    };
    (number > 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::*;
    use crate::protocol::{Limits, Settlement};
    use crate::{ControlRequest, Document, FrameField, Request, read_request, write_frame};

    /// The same, as the complete reader finds it.
    fn read(format: Format, body: &[u8]) -> Option<u64> {
        let limits = Limits::default();
        match read_request(body, format, 0..body.len(), &mut Document::new(), &limits).ok()? {
            Request::Control(ControlRequest::Settle {
                stream: None,
                consumer: None,
                what: Settlement::Ack { seq },
            }) => Some(seq),
            _ => None,
        }
    }

    fn bodies(seq: u64) -> Vec<(Format, Vec<u8>)> {
        let mut bodies = Vec::new();
        for spelled in [
            format!(r#"{{"command":"ack","seq":{seq}}}"#),
            format!(r#"{{"command": "ack", "seq": {seq}}}"#),
        ] {
            bodies.push((Format::Json, spelled.into_bytes()));
        }
        bodies.push((Format::Xml, format!("<frame command=\"ack\" seq=\"{seq}\"/>").into_bytes()));
        for format in Format::ALL {
            let fields =
                [("command", FrameField::Str("ack")), ("seq", FrameField::Int(seq as i64))];
            let mut frame = Vec::new();
            write_frame(&mut frame, crate::Dialect::new(format, false), fields.iter(), None);
            bodies.push((format, frame[5..].to_vec()));
        }
        // What `pickle.dumps({"command": "ack", "seq": seq})` makes.
        let own = bodies.last().map(|(_, body)| body.clone()).unwrap_or_default();
        let opcode = own.strip_prefix(b"\x80\x04}(\x8c\x07command\x8c\x03ack\x8c\x03seq");
        let inside = [
            b"}\x94(\x8c\x07command\x94\x8c\x03ack\x94\x8c\x03seq\x94",
            opcode.unwrap_or_default(),
        ]
        .concat();
        let length = (inside.len() as u64).to_le_bytes();
        bodies.push((Format::Pickle, [b"\x80\x04\x95", &length[..], &inside].concat()));
        bodies
    }

    #[test]
    fn the_usual_spellings_are_read_quickly() {
        let seqs = [1, 9, 10, 127, 128, 255, 256, 65_535, 65_536, (1 << 31) - 1, 1 << 31, 1 << 47];
        for seq in seqs {
            for (format, body) in bodies(seq) {
                let shown = body.escape_ascii();
                assert_eq!(quick_ack(format, &body), Some(seq), "{shown}");
                assert_eq!(read(format, &body), Some(seq), "{shown}");
            }
        }
    }

    #[test]
    fn others_are_not() {
        for body in [
            r#"{"command":"ack","seq":0}"#,
            r#"{"command":"ack","seq":01}"#,
            r#"{"command":"ack","seq":1.0}"#,
            r#"{"command":"ack","seq":}"#,
            r#"{"command":"ack","seq":1,"consumer":"a"}"#,
            r#"{"command":"ack","seq":99999999999999999999}"#,
        ] {
            assert_eq!(quick_ack(Format::Json, body.as_bytes()), None, "{body}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 20_000,
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        /// The short way never accepts what the full reading refuses, nor understands it otherwise.
        #[test]
        fn what_is_read_quickly_is_what_would_have_been_read(
            seq in prop_oneof![1..300_u64, any::<u32>().prop_map(u64::from), 1..=i64::MAX as u64],
            changes in prop::collection::vec(
                (any::<Index>(), 0..3_usize, prop::collection::vec(any::<u8>(), 0..3)),
                0..3,
            ),
        ) {
            for (format, mut body) in bodies(seq.max(1)) {
                for (at, removed, put) in &changes {
                    let at = at.index(body.len() + 1);
                    let end = (at + removed).min(body.len());
                    body.splice(at..end, put.iter().copied());
                }
                if let Some(seq) = quick_ack(format, &body) {
                    prop_assert_eq!(Some(seq), read(format, &body), "{}", body.escape_ascii());
                }
            }
        }
    }
}
