use proptest::prelude::*;

use super::*;
use crate::envelope::bounds::PER_BYTE;
use crate::protocol::{DECODED_FLOOR, Value};
use crate::{KeptFields, from_value, read_request, write_delivery, write_kept};

/// The value's length in each dialect, as writing it has it.
fn written(view: View<'_>) -> [u64; Dialect::ALL.len()] {
    Dialect::ALL.map(|dialect| {
        let mut out = Vec::new();
        match dialect {
            Dialect::Json | Dialect::ExactJson | Dialect::JsJson => {
                json::encode(view, dialect.tags(), &mut out);
            }
            Dialect::Xml => xml::encode(view, &mut out),
            Dialect::PlainXml => xml::encode_plain(view, &PlainNames::default(), &mut out),
            Dialect::Pickle | Dialect::ExactPickle => {
                pickle::encode(view, dialect.classes(), &mut out);
            }
        }
        out.len() as u64
    })
}

#[track_caller]
fn check(view: View<'_>) {
    let sizes = Dialect::ALL.map(|dialect| encoded_size(view, dialect));
    assert_eq!(sizes, written(view), "{view:?}");
    let most = view.nodes().len() * PER_NODE + view.text_size() * PER_TEXT;
    for dialect in Dialect::ALL.into_iter().filter(|dialect| *dialect != Dialect::PlainXml) {
        let size = sizes[dialect.index()];
        assert!(size <= most as u64 + 64, "{dialect:?} {size} {most} {view:?}");
    }
    for topic in ["t", "a & \"b\"", "\u{ffff}", &"é\u{1f600}".repeat(40)] {
        for dialect in Dialect::ALL {
            let mut frame = Vec::new();
            let name = "x".repeat(STREAM_NAME_BYTES);
            let mut kept = KeptFields::new(dialect.format(), &name, Some(&name));
            kept.set(i64::MAX as u64, u64::MAX, u32::MAX);
            write_kept(&mut frame, dialect, topic, &kept, Content::Decoded(view), false);
            let body = (frame.len() - HEADER_LEN) as u64;
            assert_eq!(longest_body(dialect, topic, Content::Decoded(view)), body);
            assert!(body <= sizes[dialect.index()] + AROUND as u64);
            for retained in [true, false] {
                frame.clear();
                write_delivery(&mut frame, dialect, topic, Content::Decoded(view), retained);
                assert!(((frame.len() - HEADER_LEN) as u64) < body, "other deliveries are shorter");
            }
        }
    }
}

fn check_value(value: &Value) {
    let mut document = Document::new();
    let Ok(root) = from_value(value, &mut document, &Limits::NONE) else { return };
    check(document.view(&[], root));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn sizes_are_those_of_what_is_written(value in xml::values()) {
        check_value(&value);
    }

    #[test]
    fn texts_of_any_bytes_are_as_long_as_said(text in "\\PC{0,40}|[\\x00-\\x7f]{0,300}", key in "[\\x00-\\x7fé\u{ffff}漢]{0,20}") {
        check_value(&Value::Dict(vec![(key.as_str().into(), text.as_str().into())]));
        check_value(&Value::Dict(vec![(key.as_str().into(), 1.into()), (1.into(), text.as_str().into())]));
        check_value(&Value::Bytes(text.into_bytes()));
    }

    #[test]
    fn integers_of_any_length_are_as_long_as_said(digits in "-?[1-9][0-9]{0,700}", power in 50_u32..3_000, sign in any::<bool>()) {
        check_value(&Value::parse_int(&digits).unwrap());
        // Where one more byte begins.
        let edge = num_bigint::BigInt::from(1) << power;
        let edge = if sign { -edge } else { edge };
        for number in [edge.clone() - 1, edge.clone(), edge + 1] {
            check_value(&Value::BigInt(number));
        }
    }

    /// Payloads of few bytes that become many.
    #[test]
    fn a_byte_becomes_thirteen_at_most(
        pieces in prop::collection::vec(prop::sample::select(JSON), 1..6),
        elements in prop::collection::vec(prop::sample::select(XML), 1..6),
        times in 1_usize..40,
    ) {
        let json = format!("[{}1]", pieces.concat().repeat(times));
        let xml = format!("<message>{}</message>", elements.concat().repeat(times));
        let typed = format!("<message type='list'>{}</message>", elements.concat().repeat(times));
        for (format, payload) in [(Format::Json, json), (Format::Xml, xml), (Format::Xml, typed)] {
            let mut document = Document::new();
            let all = 0..payload.len();
            let part = Part::Value(all);
            let root = decode_part(payload.as_bytes(), format, &part, &mut document, &Limits::NONE);
            let Ok(root) = root else { continue };
            let view = document.view(payload.as_bytes(), root);
            for dialect in Dialect::ALL {
                let size = encoded_size(view, dialect) as usize;
                let most = payload.len() * PER_BYTE + 64;
                prop_assert!(size <= most, "{payload}: {size} in {dialect:?}, {most} at most");
            }
        }
    }
}

const JSON: &[&str] = &[
    "1,",
    "\"\",",
    "\"&\",",
    "\"\\\"\",",
    "\"\\u0001\",",
    "[],",
    "{},",
    "[[]],",
    "1e9,",
    "1e15,",
    "-1e99,",
    "{\"\":1},",
    "{\"&\":[1,1,1]},",
    "{\"$a\":1},",
    "{\"\\n\":\"<\"},",
    "{\"a\":1,\"&&\":2},",
    "{\"$set\":[1]},",
    "{\"$dict\":[[1,1],[2,1],[\"\",1]]},",
    "{\"$bytes\":\"\"},",
    "{\"$float\":\"inf\"},",
    "null,",
];

const XML: &[&str] = &[
    "<a/>",
    "<a b=''/>",
    "<a b='\"'/>",
    "<a b='&#9;'/>",
    "<_>\"\"\"\"</_>",
    "<a><b/>\"</a>",
    "<a><![CDATA[&<>]]></a>",
    "<é/>",
    "<a type='int'>1</a>",
    "<a type='float'>1e9</a>",
    "<a type='str'>\n\n\n\n\n\n\n\n\n\n</a>",
    "<a type='list'/>",
    "<a type='dict'><item key='&quot;'/></a>",
    "<a type='map'><entry><key/><value/></entry></a>",
    "<a type='str' encoding='base64'>AQEBAQEBAQEBAQEB</a>",
];

/// Row A2: a pickle of 1.3 KB that refers to its parts, in levels of 22, around a text of 1,000
/// control characters.
fn references(levels: u8) -> Vec<u8> {
    let text = [&b"X\xe8\x03\0\0"[..], &[1; 1_000], b"q\0"].concat();
    let level = |number: u8| [b"](", &[b'h', number].repeat(22)[..], b"eq", &[number + 1]].concat();
    // What is left on the stack below the last list is nobody's.
    let inside: Vec<u8> = (0..levels).flat_map(level).collect();
    [text, inside, b".".to_vec()].concat()
}

fn read(pickle: &[u8]) -> (Document, usize) {
    let mut document = Document::new();
    let root = pickle::decode(pickle, 0..pickle.len(), &mut document, &Limits::NONE).unwrap();
    (document, root)
}

#[test]
fn the_size_of_a_pickle_that_repeats_itself_is_known_unwritten() {
    let pickle = references(4);
    assert!(pickle.len() < 1_300, "{}", pickle.len());
    let (document, root) = read(&pickle);
    // 6,000 bytes and two quotes for each text, two brackets for each list, a comma for each but
    // the first of its list.
    let (texts, lists) = (22_u64.pow(4), 1 + 22 + 22_u64.pow(2) + 22_u64.pow(3));
    let expected = texts * 6_002 + 2 * lists + 21 * lists;
    assert_eq!(encoded_size(document.view(&pickle, root), Dialect::Json), expected);
    assert_eq!(expected, 1_406_261_077);
}

#[test]
fn a_pickle_that_repeats_itself_is_refused_with_its_size() {
    let pickle = references(3);
    let (mut document, root) = read(&pickle);
    let message = PayloadSpan { part: Part::Body(0..pickle.len()), document: Some(root) };
    let limits = Limits::default();
    let refusal = hold_to_max_encoded(
        &pickle,
        Format::Pickle,
        pickle.len(),
        "t",
        &message,
        &mut document,
        &limits,
    )
    .unwrap_err();
    assert_eq!(refusal.code, ErrorCode::TooLarge);
    assert!(refusal.reason.starts_with("as JSON the message would be a frame of 639"), "{refusal}");
}

/// A body that publishes the value in `message`.
fn body(format: Format, message: &[u8]) -> Vec<u8> {
    match format {
        Format::Json => [br#"{"command":"publish","topic":"t","message":"#, message, b"}"].concat(),
        Format::Xml => [b"<f command='publish' topic='t'>", message, b"</f>"].concat(),
        Format::Pickle => [
            b"}(X\x07\0\0\0commandX\x07\0\0\0publishX\x05\0\0\0topicX\x01\0\0\0tX\x07\0\0\0message",
            message,
            b"u.",
        ]
        .concat(),
    }
}

/// Every way of judging holds to the limit, and to a byte.
#[test]
fn the_limit_is_that_of_the_longest_frame() {
    let text = "\u{1}".repeat(5_000);
    let xml = format!("<message type='str'>{}</message>", "\"".repeat(5_000));
    let tagged = format!("[{{\"$tuple\":[{}1]}}]", "1,".repeat(2_000));
    let pickled = [b"X", &5_000_u32.to_le_bytes()[..], text.as_bytes()].concat();
    let rows: [(Format, &[u8]); 5] = [
        (
            Format::Json,
            b"[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]",
        ),
        (Format::Json, tagged.as_bytes()),
        (Format::Xml, xml.as_bytes()),
        (Format::Pickle, &pickled),
        (Format::Xml, b"<message/>"),
    ];
    for (format, message) in rows {
        let body = body(format, message);
        let read = |max_encoded| {
            let limits = Limits { max_encoded, ..Limits::default() };
            let mut document = Document::new();
            let read = read_request(&body, format, 0..body.len(), &mut document, &limits);
            if read.is_err() {
                assert!(document.is_empty());
            }
            read.map(drop)
        };
        let reason = read(1).unwrap_err().reason.clone();
        let size = reason.split_once(" of ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
        assert_eq!(read(size), Ok(()), "{reason}");
        assert_eq!(read(size - 1).unwrap_err().code, ErrorCode::TooLarge, "{reason}");
    }
}

#[test]
fn short_messages_are_not_looked_at() {
    let limits = Limits::default();
    assert!(surely_fits(5_000_000, &limits));
    assert!(!surely_fits(6 << 20, &limits));
    assert!(decoded_surely_fits(DECODED_FLOOR, limits.encoded_budget(0)));
    assert!(!surely_fits(1, &Limits { max_encoded: 1_000, ..limits }));
}
