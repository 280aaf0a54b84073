use super::*;
use crate::{Dialect, Payload};

fn judge(bytes: &[u8], format: RawFormat, limits: &Limits) -> Result<(Part, bool), ErrorCode> {
    // Something stands around it.
    let source = [b"1,\"", bytes, b"23]\""].concat();
    let range = 3..3 + bytes.len();
    let mut document = Document::new();
    let judged = judge_raw("/a", &source, range.clone(), format, &mut document, limits);
    let (format, span) = judged.map_err(|refusal| {
        assert!(document.is_empty(), "{}", bytes.escape_ascii());
        refusal.code
    })?;
    assert_eq!(*span.part.range(), range, "all of it");
    assert_eq!(format == Format::Json, matches!(span.part, Part::Value(_)));
    let mut again = Document::new();
    decode_part(&source, format, &span.part, &mut again, &Limits::NONE).unwrap();
    Ok((span.part, span.document.is_some()))
}

fn auto(bytes: &[u8]) -> &'static str {
    match judge(bytes, RawFormat::Auto, &Limits::default()).unwrap() {
        (Part::Value(_), false) => "json",
        (Part::Value(_), true) => "decoded json",
        (Part::Text(_), _) => "text",
        (Part::Bytes(_), _) => "bytes",
        (Part::Body(_), _) => "body",
    }
}

#[test]
fn a_payload_is_json_else_text_else_bytes() {
    let deep = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();
    for (bytes, expected) in [
        (&b"1"[..], "json"),
        (b" \t\r\n{\"a\": [1, 2.5e3, null, \"\\u00e9\"]} \n", "json"),
        (b"\"h\xc3\xa9\"", "json"),
        (b"{\"$bytes\":\"AA==\"}", "decoded json"),
        (&deep(128), "json"),
        (&deep(129), "text"),
        (&deep(100_000), "text"),
        (b"{\"$bytes\":7}", "text"),
        (b"{\"$what\":7}", "json"),
        (b"", "text"),
        (b" ", "text"),
        (b"1 2", "text"),
        (b"1\x0b", "text"),
        (b"1\0", "text"),
        (b"{\"a\":1", "text"),
        (b"-", "text"),
        (b"1e999", "text"),
        (&b"9".repeat(4_300), "json"),
        (&b"9".repeat(4_301), "text"),
        (b"\"\\ud800\"", "text"),
        (b"\xef\xbb\xbf1", "text"),
        (b"on", "text"),
        (b"NaN", "text"),
        ("\u{ffff}\0\u{7f}".as_bytes(), "text"),
        (b"\"\xff\"", "bytes"),
        (b"\xff", "bytes"),
        (b"\xc3", "bytes"),
        (b"\xed\xa0\x80", "bytes"),
        (b"\x80\x04N.", "bytes"),
    ] {
        let shown = bytes[..bytes.len().min(40)].escape_ascii();
        assert_eq!(auto(bytes), expected, "{shown}");
    }
}

/// What the quick way takes the slow one takes, and the other way round.
#[test]
fn limits_change_how_json_is_judged_and_not_what_it_is() {
    let tight = Limits::default().depth(2).int_digits(3);
    for (bytes, usual, tighter) in [
        (&b" [[100]] "[..], "json", "json"),
        (b"[[[1]]]", "json", "text"),
        (b"1000", "json", "text"),
        (b"1 1", "text", "text"),
    ] {
        for (limits, expected) in [(Limits::default(), usual), (tight, tighter)] {
            let (part, _) = judge(bytes, RawFormat::Auto, &limits).unwrap();
            assert_eq!(matches!(part, Part::Value(_)), expected == "json");
        }
    }
}

#[test]
fn what_is_asked_for_is_what_it_has_to_be() {
    let limits = Limits::default();
    let code = |bytes: &[u8], format| judge(bytes, format, &limits).map(|(part, _)| part);
    assert_eq!(code(b"1 2", RawFormat::Json), Err(ErrorCode::MalformedJson));
    assert_eq!(code(b"\xff", RawFormat::Text), Err(ErrorCode::InvalidValue));
    assert_eq!(code(b"1", RawFormat::Text), Ok(Part::Text(3..4)));
    assert_eq!(code(b"1", RawFormat::Bytes), Ok(Part::Bytes(3..4)));
}

/// What was accepted is within the limit in every dialect, and what was refused is not in one.
#[test]
fn what_is_accepted_can_be_delivered_in_every_format() {
    let limits = Limits::default().max_encoded(1 << 20);
    let mut refused = 0;
    for length in [0, 1, 100_000, 170_000, 180_000, 700_000, 785_000, 1_000_000] {
        for byte in [b'x', b'"', 0, b'<', 0xff] {
            let bytes = vec![byte; length];
            let payload = match str::from_utf8(&bytes) {
                Ok(text) => Payload::of_text("/a", text, &limits),
                Err(_) => Payload::of_bytes("/a", &bytes, &limits),
            };
            let part = if byte == 0xff { Part::Bytes(0..length) } else { Part::Text(0..length) };
            let mut document = Document::new();
            let root = decode_part(&bytes, Format::Pickle, &part, &mut document, &Limits::NONE);
            let view = document.view(&bytes, root.unwrap());
            let longest = Dialect::ALL
                .into_iter()
                .filter(|dialect| *dialect != Dialect::PlainXml)
                .map(|dialect| crate::longest_body(dialect, "/a", crate::Content::Decoded(view)))
                .max();
            assert_eq!(payload.is_ok(), longest <= Some(1 << 20), "{length} times {byte:#x}");
            refused += usize::from(payload.is_err());
        }
    }
    assert!(refused > 5, "{refused}");
    let small = Limits::default().decoded_size(1_000);
    let code = Payload::of_bytes("/a", &[0; 1_000], &small).map_err(|refusal| refusal.code);
    assert_eq!(code, Err(ErrorCode::TooLarge));
}
