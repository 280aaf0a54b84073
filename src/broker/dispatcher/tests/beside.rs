//! Texts and bytes, and what was said beside a payload: from a batch to the tree and out of it.

use super::*;
use crate::broker::delivery::Letter;
use crate::broker::retained::Stored;
use crate::codec::Encoding;
use crate::protocol::Qos;

/// Three messages on `t`, of which the last is to stay, and one on `u`.
fn batch() -> Batch {
    let bytes = b"[1]text\x00\xff".to_vec();
    let entry = |topic, part, qos| {
        let message = PayloadSpan { part, document: None };
        BatchEntry::new(topic, Format::Json, &message, true, None, None).with_qos(qos)
    };
    let messages = vec![
        entry(0, Part::Value(0..3), None),
        entry(0, Part::Text(3..7), Some(Qos::AtMostOnce)),
        entry(0, Part::Text(3..6), Some(Qos::AtLeastOnce)),
        entry(1, Part::Bytes(7..9), Some(Qos::ExactlyOnce)),
    ];
    let topics = Topics::from_iter(["t", "u"].map(|name| Topic::parse(name).unwrap()));
    Batch::new(bytes, Document::new(), topics, messages, Limits::default())
        .with_properties(vec![(1, b"old"[..].into()), (2, b"content-type"[..].into())])
}

fn send(dispatcher: &mut Dispatcher, batch: Batch) {
    let steps = vec![Step::Publish(Box::new(batch))];
    dispatcher.step(Event::Steps { client: ClientId(8), steps, queued: Queued::nothing() });
}

#[test]
fn a_last_value_has_what_was_said_beside_it_and_pays_for_it() {
    let mut dispatcher = Dispatcher::default();
    let held = |dispatcher: &Dispatcher, topic: &str| {
        let stored = dispatcher.tree.get(&Topic::parse(topic).unwrap()).unwrap();
        (stored.payload().to_payload(), stored.weight())
    };
    let before = dispatcher.stored_cost();
    // Twice: into new topics, and over values that are there.
    for _ in 0..2 {
        send(&mut dispatcher, batch());
        let (text, weight) = held(&dispatcher, "t");
        assert_eq!((text.encoding(), text.source()), (Encoding::Text, &b"tex"[..]));
        assert_eq!((text.qos(), text.properties()), (Some(Qos::AtLeastOnce), &b"content-type"[..]));
        assert_eq!(weight, 3 + 1 + 4 + 12);
        let (bytes, weight) = held(&dispatcher, "u");
        assert_eq!((bytes.encoding(), bytes.source()), (Encoding::Bytes, &b"\x00\xff"[..]));
        assert_eq!((bytes.qos(), bytes.properties()), (Some(Qos::ExactlyOnce), &b""[..]));
        assert_eq!(weight, 2 + 1);
        let names = 2 * (1 + crate::protocol::TOPIC_COST);
        assert_eq!(dispatcher.stored_cost() - before, names + 20 + 3);
    }
    // What replaces it says nothing of its own.
    publish(&mut dispatcher, "t", true);
    let (plain, _) = held(&dispatcher, "t");
    assert_eq!((plain.qos(), plain.properties()), (None, &b""[..]));
    assert!(dispatcher.clear(&Topic::parse("t").unwrap()));
    assert!(dispatcher.clear(&Topic::parse("u").unwrap()));
    assert_eq!(dispatcher.stored_cost(), before);
}

/// Whoever is slow and asked for the newest alone gets copies.
#[test]
fn a_copy_for_a_mailbox_has_what_was_said_beside_it() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    let filter = TopicFilter::parse("#").unwrap();
    let subscribe = Control::Subscribe {
        filter,
        dialect: Dialect::Json,
        overflow: Overflow::Latest,
        queue: None,
        names: None,
        cleared: false,
        values: true,
        durable: None,
    };
    control(&mut dispatcher, subscribe);
    send(&mut dispatcher, batch());
    let mut copies: Vec<Stored> = Vec::new();
    while let Some((delivery, charge)) = inbox.next_waiting() {
        inbox.written(charge);
        if let Delivery::Mailbox(mailbox) = delivery {
            let mut rest = mailbox.open();
            while rest > 0 {
                let taken = mailbox.take();
                rest -= taken.messages;
                copies.extend(taken.letters.into_iter().map(|letter| match letter {
                    Letter::Newest(stored) => stored,
                    letter @ Letter::Messages(..) => panic!("{letter:?}"),
                }));
            }
        }
    }
    let said: Vec<_> = copies
        .iter()
        .map(|copy| (copy.payload().qos(), copy.payload().properties().len()))
        .collect();
    assert_eq!(said, [(Some(Qos::AtLeastOnce), 12), (Some(Qos::ExactlyOnce), 0)]);
}
