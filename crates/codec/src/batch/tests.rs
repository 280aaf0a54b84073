use super::*;
use crate::document::View;
use crate::envelope::KeptFields;
use crate::payload::Frame;
use crate::protocol::{Qos, Value};
use crate::{Document, from_value};

/// Texts and bytes that some format or other has its difficulties with, and their values.
fn raws() -> Vec<(Payload, Value)> {
    let limits = Limits::default();
    let controls: String = (0..0x20).chain(0x7f..0xa0).filter_map(char::from_u32).collect();
    let (long, zeros) = ("x".repeat(1 << 20), "\0".repeat(1 << 18));
    let texts = [
        "",
        "a",
        "\0",
        &controls,
        "\u{ffff}\u{fffe}",
        "]]>",
        "</message></frame>",
        "\"\\",
        "h\u{e9}llo \u{6f22} \u{1f600}",
        " 1 ",
        "null",
        "{\"$bytes\":\"AA==\"}",
        "\u{feff}1",
        "\r\n",
        &long,
        &zeros,
    ];
    let every: Vec<u8> = (0..=u8::MAX).collect();
    let bytes = [&b""[..], b"\0", b"text", b"\x80\x04N.", b"\xff\xfe", &every, &[0xff; 1 << 20]];
    let texts = texts
        .map(|text| (Payload::of_text("/a", text, &limits).unwrap(), Value::Str(text.to_owned())));
    let bytes = bytes.map(|bytes| {
        (Payload::of_bytes("/a", bytes, &limits).unwrap(), Value::Bytes(bytes.to_vec()))
    });
    texts.into_iter().chain(bytes).collect()
}

fn batch_of(payload: &Payload) -> Batch {
    let topic = Topic::parse("/a/\u{ffff}").unwrap();
    Batch::of_payload(topic, payload.clone(), (true, None), Limits::default())
}

/// The frames of a batch in a dialect, where their payloads lie in them, and how many were
/// translated.
fn run(batch: &mut Batch, dialect: Dialect) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, [usize; 3]) {
    batch.want(dialect, Wanted::All);
    let run = batch.run(dialect);
    assert_eq!(run.failed(), 0);
    let all = 0..batch.messages().len();
    let cut = |range: Range<usize>| batch.run_bytes(run)[range].to_vec();
    (
        all.clone().map(|index| cut(batch.frame(run, index))).collect(),
        all.map(|index| cut(batch.payload_in(run, dialect, index))).collect(),
        run.take_translated(),
    )
}

#[test]
fn what_is_raw_is_written_as_a_value_of_any_other_origin() {
    let limits = Limits::default();
    for (raw, value) in raws() {
        let other = Payload::of_value("/a", &value, &limits).unwrap();
        assert_eq!(other.format(), Format::Pickle);
        for dialect in Dialect::ALL {
            let kept = KeptFields::new(dialect.format(), "orders", None);
            for frame in [
                Frame::Live,
                Frame::Retained,
                Frame::Value,
                Frame::Kept(&kept),
                Frame::KeptValue(&kept),
            ] {
                let written = |payload: &Payload| {
                    let (mut out, mut scratch) = (Vec::new(), Document::new());
                    let payload = payload.borrow();
                    payload.write(&mut out, dialect, "/a", frame, &mut scratch, &limits).unwrap();
                    out
                };
                assert!(written(&raw) == written(&other), "{dialect:?} {:?}", value);
            }
            assert_eq!(raw.borrow().as_it_came(dialect).map(drop), None);
            let (raw, other) =
                (run(&mut batch_of(&raw), dialect), run(&mut batch_of(&other), dialect));
            assert!(raw == other, "{dialect:?} {value:?}");
            assert_eq!(raw.2, [0, 0, 1]);
        }
    }
}

/// A value lies where it came: nothing is copied to decode it.
#[test]
fn what_is_raw_is_one_node_in_its_source() {
    for (raw, value) in raws() {
        let (mut document, mut other) = (Document::new(), Document::new());
        let root = raw.decode(&mut document, &Limits::default()).unwrap();
        let view = document.view(raw.source(), root);
        assert_eq!((view.nodes().len(), document.weight()), (1, crate::protocol::NODE_SIZE));
        let root = from_value(&value, &mut other, &Limits::NONE).unwrap();
        let text = |view: View<'_>| match view.nodes()[0] {
            crate::Node::Str(text) => (true, view.text(text).to_vec()),
            crate::Node::Bytes(text) => (false, view.text(text).to_vec()),
            node => panic!("{node:?}"),
        };
        assert!(text(view) == text(other.view(&[], root)));
    }
    // A file may hold what was never published.
    let forged = PayloadRef::new(b"\xff", crate::Encoding::Text);
    assert!(forged.decode(&mut Document::new(), &Limits::NONE).is_err());
    let raw = PayloadRef::new(&[7; 100], crate::Encoding::Bytes);
    for (decoded, is_read) in [(115, false), (116, true)] {
        let read = raw.decode_within(&mut Document::new(), &Limits::NONE, decoded);
        assert_eq!(read.is_ok(), is_read);
    }
}

/// Messages of every kind in one batch, with something between them.
#[test]
fn a_batch_of_every_kind_is_delivered_and_remembers_what_was_said_beside() {
    let bytes = b"..[1]..t\"xt..\x00\xff..".to_vec();
    let entry = |part: Part| {
        let message = PayloadSpan { part, document: None };
        BatchEntry::new(0, Format::Json, &message, false, None, None)
    };
    let messages = vec![
        entry(Part::Value(2..5)),
        entry(Part::Text(7..11)).with_qos(Some(Qos::AtLeastOnce)),
        entry(Part::Bytes(13..15)),
        entry(Part::Text(0..0)).with_qos(Some(Qos::AtMostOnce)),
    ];
    let topics = Topics::from_iter([Topic::parse("a").unwrap()]);
    let plain = Batch::new(bytes, Document::new(), topics, messages, Limits::default());
    assert!(!plain.has_properties());
    let before = plain.weight();
    let mut batch = plain.with_properties(vec![(1, b"abc"[..].into()), (3, b"d"[..].into())]);
    assert!(batch.has_properties());
    assert_eq!(batch.weight() - before, properties_cost(b"abc") + properties_cost(b"d"));
    let said: Vec<_> =
        (0..4).map(|index| (batch.payload(index).qos(), batch.properties(index))).collect();
    let (once, most) = (Some(Qos::AtLeastOnce), Some(Qos::AtMostOnce));
    assert_eq!(said, [(None, &b""[..]), (once, b"abc"), (None, b""), (most, b"d")]);
    assert!((0..4).all(|index| batch.payload(index).properties() == batch.properties(index)));
    for (dialect, expected) in [
        (Dialect::Json, ["[1]", "\"t\\\"xt\"", "{\"$bytes\":\"AP8=\"}", "\"\""]),
        (
            Dialect::Xml,
            [
                "<message type=\"list\"><item type=\"int\">1</item></message>",
                "<message type=\"str\">t\"xt</message>",
                "<message type=\"bytes\">AP8=</message>",
                "<message type=\"str\"></message>",
            ],
        ),
    ] {
        let (_, payloads, translated) = run(&mut batch, dialect);
        let payloads = payloads.iter().map(|payload| str::from_utf8(payload).unwrap());
        assert_eq!(payloads.collect::<Vec<_>>(), expected);
        assert_eq!(translated, [usize::from(dialect == Dialect::Xml), 0, 3]);
    }
}

/// What is published of a payload is all of it.
#[test]
fn a_batch_of_one_payload_has_what_was_said_beside_it() {
    let payload = Payload::of_text("a", "x", &Limits::default()).unwrap();
    let payload = payload.with_qos(Some(Qos::ExactlyOnce)).with_properties(*b"abc");
    assert_eq!(batch_of(&payload).payload(0).to_payload(), payload);
}
