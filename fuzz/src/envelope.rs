//! Whole message bodies: requests of clients, and the broker's own frames.

use babelmq::codec::pickle::Classes;
use babelmq::codec::{
    Content, ControlRequest, Dialect, Document, Frame, KeptFields, Node, Part, Payload,
    PayloadSpan, Request, View, decode_part, json, pickle, quick_ack, read_request, write_delivery,
    write_reply, write_value, xml,
};
use babelmq::protocol::{
    DurableRequest, Format, HEADER_LEN, Header, KeptSubscription, Limits, MAX_BACKOFF, MAX_LAST,
    MAX_PUBLISH_ID_BYTES, MAX_REASON_BYTES, MAX_WINDOW, Reply, Settlement, Start,
};
use babelmq::{ErrorCode, Topic, TopicFilter};

use crate::pickle::loses_types;
use crate::same::assert_same;
use crate::{Bound, limits, linear};

/// As for a pickle, the dearest of the three; and the text of a refusal.
const READ: Bound = crate::pickle::DECODE;

/// What was judged has no budget any more: in JSON, what stands under a duplicate key is moved once
/// for each level around it.
const AGAIN: Bound = Bound { base: READ.base, per_byte: 1_600 };

/// The input is the byte of a format and a body in it.
pub fn envelope(input: &[u8]) {
    let [format, body @ ..] = input else { return };
    let Some(format) = Format::from_byte(format % 3) else { return };
    let limits = limits(body);
    let mut document = Document::new();
    document.append_text(|own| own.extend_from_slice(b"before"));
    let before = document.weight();
    let request = linear("a body", body.len(), READ, || {
        read_request(body, format, 0..body.len(), &mut document, &limits)
    });
    if let Some(quick) = quick_ack(format, body) {
        let is_same = matches!(
            &request,
            Ok(Request::Control(ControlRequest::Settle {
                stream: None,
                consumer: None,
                what: Settlement::Ack { seq },
            })) if *seq == quick
        );
        assert!(is_same, "read quickly as {quick}: {request:?}");
    }
    match request {
        Err(refusal) => {
            assert_eq!(document.weight(), before, "a refused body leaves something: {refusal:?}");
            answered(format, &Reply::Error(refusal));
        }
        Ok(Request::Control(ControlRequest::Ping { id })) => answered(format, &Reply::Pong { id }),
        Ok(Request::Control(ControlRequest::Subscribe { durable: Some(durable), .. })) => {
            asks_within_limits(&durable);
            let stream = durable.stream.unwrap_or_default().into();
            let consumer = durable.consumer.map(Into::into);
            let kept =
                Some(Box::new(KeptSubscription { stream, consumer, pending: 1, next: None }));
            let topic = TopicFilter::parse("a").expect("a filter");
            answered(format, &Reply::Subscribed { topic, values: 0, limited: false, kept });
        }
        Ok(Request::Control(ControlRequest::Get { last: Some(last), .. })) => {
            assert!((1..=MAX_LAST).contains(&last));
        }
        Ok(Request::Control(ControlRequest::Settle { what, .. })) => match what {
            Settlement::Ack { seq } | Settlement::AckUpto { seq } | Settlement::Touch { seq } => {
                assert!(seq > 0);
            }
            Settlement::Nak { seq, .. } => assert!(seq > 0),
            Settlement::Reject { seq, reason } => {
                assert!(seq > 0 && reason.len() <= MAX_REASON_BYTES);
            }
        },
        Ok(Request::Control(ControlRequest::Admin(request))) => {
            let (stream, consumer) = request.names();
            let (stream, consumer) = (stream.map(Into::into), consumer.map(Into::into));
            answered(format, &Reply::Done { stream, consumer });
        }
        Ok(Request::Publish { topic, message, id, .. }) => {
            assert!(id.is_none_or(|id| (1..=MAX_PUBLISH_ID_BYTES).contains(&id.len())));
            if Topic::parse(&topic).is_ok() {
                published(body, format, &topic, &message, &document);
            }
            held_to_less(body, format);
        }
        Ok(_) => {}
    }
}

/// What is asked of a stream is within what the protocol promises.
fn asks_within_limits(asked: &DurableRequest) {
    assert!(asked.consumer.is_some() || asked.start.is_some());
    assert!(asked.window.is_none_or(|window| (1..=MAX_WINDOW).contains(&window)));
    assert!(asked.max_deliver.is_none_or(|times| times > 0));
    assert!(asked.ack_wait.is_none_or(|wait| !wait.is_zero()));
    let pauses = asked.backoff.as_deref();
    assert!(pauses.is_none_or(|pauses| (1..=MAX_BACKOFF).contains(&pauses.len())));
    assert_ne!(asked.start, Some(Start::Seq(0)));
}

/// What the broker says can be read.
fn answered(format: Format, reply: &Reply) {
    let mut frame = Vec::new();
    write_reply(&mut frame, format, reply);
    let body = body_of(&frame, format);
    let all = 0..body.len();
    let mut document = Document::new();
    let read = match format {
        Format::Json => json::decode(body, all, &mut document, &Limits::NONE),
        Format::Xml => {
            xml::decode_body(body, all, &mut document, &Limits::NONE).map(|body| body.root)
        }
        Format::Pickle => pickle::decode_body(body, all, &mut document, &Limits::NONE),
    };
    if let Err(refusal) = read {
        panic!("{reply:?} cannot be read: {refusal:?}: {}", frame.escape_ascii());
    }
}

/// What was published is delivered in every dialect as it is, decoded before or not.
fn published(body: &[u8], format: Format, topic: &str, message: &PayloadSpan, document: &Document) {
    let mut scratch = Document::new();
    let root = linear("a payload again", body.len(), AGAIN, || {
        decode_part(body, format, &message.part, &mut scratch, &limits(body))
            .unwrap_or_else(|refusal| panic!("accepted, and it cannot be decoded: {refusal:?}"))
    });
    let view = scratch.view(body, root);
    if let Some(root) = message.document {
        assert_same(document.view(body, root), view);
    }
    let stored = Payload::copy(body, format, &message.part);
    for dialect in Dialect::ALL {
        let mut frame = Vec::new();
        write_delivery(&mut frame, dialect, topic, Content::Decoded(view), true);
        delivered(&frame, dialect, topic, view);
        frame.clear();
        write_delivery(&mut frame, dialect, topic, Content::Decoded(view), false);
        delivered(&frame, dialect, topic, view);
        frame.clear();
        stored
            .borrow()
            .write(&mut frame, dialect, topic, Frame::Retained, &mut Document::new(), &Limits::NONE)
            .unwrap_or_else(|refusal| panic!("stored, and it cannot be delivered: {refusal:?}"));
        delivered(&frame, dialect, topic, view);
        let mut kept = KeptFields::new(dialect.format(), "orders", Some("billing"));
        kept.set(body.len() as u64, body.len() as u64, 2);
        frame.clear();
        Frame::Kept(&kept).write(&mut frame, dialect, topic, Content::Decoded(view));
        delivered(&frame, dialect, topic, view);
        let mut value = Vec::new();
        Frame::KeptValue(&kept).write(&mut value, dialect, topic, Content::Decoded(view));
        body_of(&value, dialect.format());
        value.clear();
        write_value(&mut value, dialect, topic, Content::Decoded(view));
        body_of(&value, dialect.format());
        if let (true, Part::Value(range)) = (dialect.passes_on(format), &message.part) {
            frame.clear();
            write_delivery(
                &mut frame,
                dialect,
                topic,
                Content::Published(&body[range.clone()]),
                true,
            );
            delivered(&frame, dialect, topic, view);
        }
    }
}

/// Tighter limits refuse what is beyond them and nothing else, and leave nothing behind.
fn held_to_less(body: &[u8], format: Format) {
    let less = Limits::NONE.depth(2).int_digits(3);
    let mut document = Document::new();
    let request = read_request(body, format, 0..body.len(), &mut document, &less);
    let refused = match request {
        Ok(Request::Publish { message, .. }) => {
            let mut scratch = Document::new();
            let root = decode_part(body, format, &message.part, &mut scratch, &less)
                .expect("it was accepted");
            let view = scratch.view(body, root);
            assert!(depth(view) <= less.depth, "accepted, and {} deep", depth(view));
            return;
        }
        Ok(_) => panic!("no publish any more"),
        Err(refusal) => refusal.code,
    };
    assert!(matches!(refused, ErrorCode::TooDeep | ErrorCode::TooManyDigits), "{refused:?}");
    assert!(document.is_empty());
}

/// How deep containers nest in a value.
fn depth(view: View<'_>) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    let mut deepest = 0;
    for (index, node) in view.nodes().iter().enumerate() {
        ends.retain(|&end| end > index);
        // What an array or an object is without its type is in it, and nests as deep.
        if node.is_container() && !matches!(node, Node::Named(..)) {
            ends.push(index + node.nodes());
            deepest = deepest.max(ends.len());
        }
    }
    deepest
}

fn delivered(frame: &[u8], dialect: Dialect, topic: &str, view: View<'_>) {
    let format = dialect.format();
    let body = body_of(frame, format);
    let mut document = Document::new();
    let plain_json = dialect == Dialect::Json;
    // The target `translate` looks at what it says.
    let is_plain = plain_json || dialect == Dialect::PlainXml;
    let request = match read_request(body, format, 0..body.len(), &mut document, &Limits::NONE) {
        Ok(request) => request,
        Err(_) if plain_json && !crate::plain::is_readable(view) => return,
        Err(refusal) if is_plain && refusal.code == ErrorCode::TooDeep => return,
        Err(refusal) => panic!("a delivery cannot be read: {refusal:?}: {}", frame.escape_ascii()),
    };
    let Request::Publish { topic: read, message, .. } = request else {
        panic!("a delivery is no publish: {}", frame.escape_ascii());
    };
    assert_eq!(read, topic);
    let is_lossy = match dialect {
        Dialect::Pickle => loses_types(view, Classes::None),
        Dialect::ExactPickle => loses_types(view, Classes::Listed),
        _ => is_plain,
    };
    if is_lossy {
        return;
    }
    let mut scratch = Document::new();
    let root = decode_part(body, format, &message.part, &mut scratch, &Limits::NONE)
        .expect("it was read just now");
    assert_same(view, scratch.view(body, root));
}

/// The body of a frame that stands alone.
fn body_of(frame: &[u8], format: Format) -> &[u8] {
    let (header, body) = frame.split_first_chunk::<HEADER_LEN>().expect("a frame has a header");
    assert_eq!(Header::parse(*header, u32::MAX), Ok(Header { format, length: body.len() as u32 }));
    body
}
