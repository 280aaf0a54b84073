//! JSON to values.

use babelmq::ErrorCode;
use babelmq::codec::{
    Document, EnvelopeCache, Part, RawFormat, Request, View, json as codec, judge_raw, read_request,
};
use babelmq::protocol::{Format, Limits, Refusal};
use serde::de::IgnoredAny;

use crate::same::{assert_alone, assert_same};
use crate::{Bound, frugal, limits, linear};

pub(crate) const DECODE: Bound = Bound { base: 4 << 10, per_byte: 400 };

/// The input is a payload.
pub fn json(input: &[u8]) {
    let limits = limits(input);
    let mut document = Document::new();
    let decoded = linear("json", input.len(), DECODE, || {
        codec::decode(input, 0..input.len(), &mut document, &limits)
    });
    frugal("json", input.len(), |limits| {
        let mut document = Document::new();
        let _ = codec::decode(input, 0..input.len(), &mut document, limits);
        document
    });

    // serde_json knows no depth here, no digits and no range of numbers, and leaves UTF-8 and
    // surrogates alone; but what is JSON, it knows.
    let grammatical =
        str::from_utf8(input).is_ok() && serde_json::from_slice::<IgnoredAny>(input).is_ok();
    match &decoded {
        Ok(_) => assert!(grammatical, "accepted, and serde_json refuses it"),
        Err(refusal) if refusal.code == ErrorCode::MalformedJson => {
            assert!(!grammatical, "serde_json accepts it: {}", refusal.reason);
        }
        Err(_) => {}
    }

    let read = decoded.as_ref().ok().map(|&root| document.view(input, root));
    assert_alone(input, read, &limits, codec::decode);
    read_inside(input, read);
    let code = decoded.as_ref().map(|_| ()).map_err(|refusal| refusal.code);
    judged_as_decoded(input, code);
    judged_by_itself(input, code);

    let Ok(root) = decoded else { return };
    let mut exact = Vec::new();
    codec::encode(document.view(input, root), codec::Tags::Exact, &mut exact);
    let mut again = Document::new();
    let root_again = codec::decode(&exact, 0..exact.len(), &mut again, &Limits::NONE)
        .unwrap_or_else(|refusal| panic!("{refusal:?}: {}", exact.escape_ascii()));
    assert_same(document.view(input, root), again.view(&exact, root_again));
}

/// A value is inside of others what it is by itself.
fn read_inside(input: &[u8], read: Option<View<'_>>) {
    let Some(read) = read else { return };
    let source = [b"[", input, br#",{"$":0}]"#].concat();
    let mut document = Document::new();
    match codec::decode(&source, 0..source.len(), &mut document, &Limits::NONE) {
        Ok(root) => assert_same(read, document.view(&source, root + 1)),
        Err(refusal) => assert_eq!(refusal.code, ErrorCode::TooDeep, "{}", refusal.reason),
    }
}

/// A payload inside a message is judged without being decoded where that is possible. Both ways
/// agree.
fn judged_as_decoded(input: &[u8], decoded: Result<(), ErrorCode>) {
    let head = br#"{"command":"publish","topic":"t","message":"#;
    let body = [head, input, b"}"].concat();
    let limits = limits(input);
    let mut document = Document::new();
    let judged = linear("json in a message", body.len(), DECODE, || {
        read_request(&body, Format::Json, 0..body.len(), &mut document, &limits)
    });
    recognised(head, &body, &judged);
    let space = |byte: &&u8| matches!(byte, b' ' | b'\n' | b'\r' | b'\t');
    let before = input.iter().take_while(space).count();
    let after = input.iter().rev().take_while(space).count().min(input.len() - before);
    let whole = head.len() + before..head.len() + input.len() - after;
    match (judged, decoded) {
        (Ok(Request::Publish { message, .. }), decoded)
            if message.part == Part::Value(whole.clone()) =>
        {
            // Judging does not charge for moving what stands under duplicate keys, and delivering
            // does not either.
            let good = matches!(decoded, Ok(()) | Err(ErrorCode::TooLarge));
            assert!(good, "judged good, and it cannot be decoded: {decoded:?}");
        }
        (Ok(_), Ok(())) => panic!("decoded whole, and judged as something else"),
        // The input has closed the message, or the field, and gone on.
        (Ok(_), Err(_)) => {}
        (Err(refusal), decoded) => {
            assert!(decoded.is_err(), "it can be decoded, and is judged bad: {refusal:?}");
        }
    }
}

/// A payload that comes by itself is JSON where it can be decoded, and else a text or bytes.
fn judged_by_itself(input: &[u8], decoded: Result<(), ErrorCode>) {
    let all = 0..input.len();
    let limits = limits(input);
    let mut document = Document::new();
    let judged = linear("json by itself", input.len(), DECODE, || {
        judge_raw("t", input, all.clone(), RawFormat::Auto, &mut document, &limits)
    });
    let raw = if str::from_utf8(input).is_ok() {
        Part::Text(all.clone())
    } else {
        Part::Bytes(all.clone())
    };
    match (judged, decoded) {
        // As in a message, duplicate keys are not charged for.
        (Ok((Format::Json, message)), Ok(()) | Err(ErrorCode::TooLarge)) => {
            assert_eq!(message.part, Part::Value(all));
        }
        (Ok((Format::Pickle, message)), Err(_)) => assert_eq!(message.part, raw),
        (Err(refusal), _) => assert_eq!(refusal.code, ErrorCode::TooLarge, "{}", refusal.reason),
        other => panic!("{other:?}"),
    }
}

/// A publish that is spelled like the one before it, another payload and another topic apart, is
/// judged at a glance. That comes to what the full reading says, or to nothing.
fn recognised(head: &[u8], body: &[u8], judged: &Result<Request<'_>, Refusal>) {
    let mut known = EnvelopeCache::default();
    let of_another_topic = br#"{"command":"publish","topic":"another","message":1}"#.to_vec();
    for before in [[head, b"1}"].concat(), of_another_topic] {
        let payload = before.len() - 2..before.len() - 1;
        let read = read_request(
            &before,
            Format::Json,
            0..before.len(),
            &mut Document::new(),
            &Limits::NONE,
        );
        let Ok(Request::Publish { topic, .. }) = read else { panic!("{}", before.escape_ascii()) };
        known.learn(&before, 0..before.len(), payload, &topic);
        let Some(recognised) = known.recognise(body, 0..body.len(), &limits(body)) else {
            continue;
        };
        match judged {
            Ok(Request::Publish {
                topic,
                message,
                retain: true,
                ttl: None,
                verbatim: true,
                id: None,
            }) => {
                assert_eq!(recognised.topic.unwrap_or("t"), topic);
                assert_eq!(Part::Value(recognised.message), message.part);
                assert_eq!(message.document, None);
            }
            other => panic!("recognised, and read in full it is {other:?}"),
        }
    }
}
