//! What the dispatcher decides, one event at a time and without a thread.

use super::*;
use crate::broker::{Claim, Inbox, QueueLimits, Selection, outbox};
use crate::codec::{Batch, Document, Message, Part, Payload, Published, Topics};
use crate::protocol::{Limits, Value};

const CLIENT: ClientId = ClientId(7);

fn attached(limits: QueueLimits) -> (Dispatcher, Inbox) {
    attached_from([127, 0, 0, 1], limits)
}

fn attached_from(address: [u8; 4], limits: QueueLimits) -> (Dispatcher, Inbox) {
    let mut dispatcher = Dispatcher::default();
    let (outbox, inbox) = outbox(limits);
    let peer = SocketAddr::from((address, 1));
    dispatcher.step(Event::Attach { client: CLIENT, peer, outbox });
    (dispatcher, inbox)
}

fn control(dispatcher: &mut Dispatcher, control: Control) {
    dispatcher.step(Event::Steps {
        client: CLIENT,
        steps: vec![Step::Control(control)],
        claim: Claim::nothing(),
    });
}

fn publish(dispatcher: &mut Dispatcher, topic: &str, retain: bool) {
    let limits = Limits::default();
    let payload = Payload::of_value(&Value::Int(1), &limits).unwrap();
    let batch = Batch::of_payload(Topic::parse(topic).unwrap(), payload, retain, limits);
    dispatcher.step(Event::Steps {
        client: ClientId(8),
        steps: vec![Step::Publish(Box::new(batch))],
        claim: Claim::nothing(),
    });
}

fn subscribe(dispatcher: &mut Dispatcher, filter: &str, queue: Option<u32>) {
    let filter = TopicFilter::parse(filter).unwrap();
    control(
        dispatcher,
        Control::Subscribe { filter, dialect: Dialect::Json, overflow: Overflow::Disconnect, queue },
    );
}

/// What is waiting, in a word each.
fn waiting(inbox: &Inbox) -> Vec<&'static str> {
    std::iter::from_fn(|| inbox.next_waiting())
        .map(|(delivery, charge)| {
            inbox.written(charge);
            match delivery {
                Delivery::Messages { .. } => "messages",
                Delivery::Snapshot { .. } => "snapshot",
                Delivery::Value { .. } => "value",
                Delivery::Reply { reply: Reply::Error(_), .. } => "error",
                Delivery::Durable { .. } => "durable",
                Delivery::Reply { .. } => "reply",
                Delivery::Mailbox(_) => "mailbox",
                Delivery::Walk { .. } => "walk",
                Delivery::Topics { .. } => "topics",
                Delivery::Report { .. } => "stats",
            }
        })
        .collect()
}

/// When the dispatcher is behind, what a session says of its end comes late; delivering to those who are gone meanwhile
/// kept it behind for good.
#[test]
fn who_cannot_be_written_to_any_more_is_let_go_with_the_next_delivery() {
    for overflow in [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest] {
        let (mut dispatcher, inbox) = attached(QueueLimits::default());
        let filter = TopicFilter::parse("t").unwrap();
        let dialect = Dialect::Json;
        control(&mut dispatcher, Control::Subscribe { filter, dialect, overflow, queue: None });
        assert_eq!(dispatcher.stats().subscriptions, 1);
        drop(inbox);
        publish(&mut dispatcher, "t", true);
        assert_eq!(dispatcher.stats().subscriptions, 0, "{overflow:?}");
        // What the session says then is no news.
        dispatcher.step(Event::Detach { client: CLIENT });
        assert_eq!(dispatcher.stats().topics, 1);
    }
}

#[test]
fn a_subscription_begins_with_its_snapshot_and_goes_on_live() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    publish(&mut dispatcher, "t/a", true);
    subscribe(&mut dispatcher, "t", None);
    publish(&mut dispatcher, "t/b", false);
    publish(&mut dispatcher, "u", true);
    assert_eq!(waiting(&inbox), ["snapshot", "reply", "messages"]);
    assert_eq!(dispatcher.stats().topics, 2);
}

#[test]
fn a_full_queue_ends_the_connection_with_an_error_and_nothing_else() {
    let (mut dispatcher, mut inbox) = attached(QueueLimits::default());
    subscribe(&mut dispatcher, "t", Some(2));
    for _ in 0..3 {
        publish(&mut dispatcher, "t", false);
    }
    assert_eq!(waiting(&inbox), ["error"]);
    assert!(inbox.wait().is_none(), "the outbox is closed");
    assert_eq!((dispatcher.stats().slow_consumers, dispatcher.stats().subscriptions), (1, 0));
}

#[test]
fn a_client_that_asks_and_does_not_read_is_bounded() {
    let (mut dispatcher, mut inbox) = attached(QueueLimits { messages: 1, bytes: 10_000 });
    for _ in 0..1_000 {
        control(&mut dispatcher, Control::Ping { id: None, format: Format::Json });
    }
    assert_eq!(waiting(&inbox), ["error"]);
    assert!(inbox.wait().is_none());
}

#[test]
fn stats_are_for_clients_on_this_machine() {
    for (address, expected) in [([127, 0, 0, 1], None), ([192, 0, 2, 1], Some("not-permitted"))] {
        let (mut dispatcher, inbox) = attached_from(address, QueueLimits::default());
        control(&mut dispatcher, Control::Stats { format: Format::Json });
        let refused = match inbox.next_waiting() {
            Some((Delivery::Report { .. }, _)) => None,
            Some((Delivery::Reply { reply: Reply::Error(refusal), .. }, _)) => Some(refusal.code.as_str()),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused, expected);
        // Whoever was refused goes on.
        subscribe(&mut dispatcher, "t", None);
        assert_eq!(waiting(&inbox), ["reply"]);
    }
}

#[test]
fn a_report_names_what_was_published_last_whatever_reads_the_store_meanwhile() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    for topic in ["t/a", "t/b", "t/a"] {
        publish(&mut dispatcher, topic, true);
    }
    // A subscriber that is half way through the values has left a marker among them.
    let filter = TopicFilter::parse("#").unwrap();
    let slot = dispatcher.by_id[&CLIENT];
    let pieces = dispatcher.walks.begin(&mut dispatcher.tree, slot, filter);
    let named: Vec<(String, u64)> =
        dispatcher.tree.recent().map(|(stored, messages)| (stored.topic().to_string(), messages)).collect();
    assert_eq!(named, [("t/a".to_owned(), 2), ("t/b".to_owned(), 1)]);
    drop((pieces, inbox));
}

/// Topics that take turns in one batch, some of which are new, some not stored, and some refused.
#[test]
fn a_batch_of_many_topics_stores_the_last_of_each() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    dispatcher.store.values = 30;
    subscribe(&mut dispatcher, "t/1", None);
    subscribe(&mut dispatcher, "t/2", None);
    waiting(&inbox);
    let topics: Topics = (0..40).map(|n| Topic::parse(&format!("t/{n}")).unwrap()).collect();
    let bytes: Vec<u8> = (0..200_u8).collect();
    let messages = (0..200_usize).map(|at| {
        let message = Message { part: Part::Value(at..at + 1), document: None };
        Published::new((at % 40) as u32, Format::Pickle, &message, at < 150, None, None)
    });
    let batch = Batch::new(bytes, Document::new(), topics, messages.collect(), Limits::default());
    let refused = dispatcher.publish(batch, true);
    // Ten topics found no room, in all the four rounds that were to be stored but the last, of which 30 were.
    assert_eq!(refused.len(), 30);
    for n in 0..40_u8 {
        let stored = dispatcher.tree.get(&Topic::parse(&format!("t/{n}")).unwrap());
        let last = if n < 30 { Some(120 + n) } else { None };
        assert_eq!(
            stored.map(|stored| stored.payload().source().to_vec()),
            last.map(|last| vec![last]),
            "{n}"
        );
    }
    let delivered: Vec<usize> = std::iter::from_fn(|| inbox.next_waiting())
        .map(|(delivery, _)| match delivery {
            Delivery::Messages { selection: Selection::Whole, batch, .. } => batch.messages().len(),
            Delivery::Messages { selection: Selection::Some(messages), .. } => messages.len(),
            _ => 0,
        })
        .collect();
    assert_eq!((delivered.len(), dispatcher.counts.delivered), (1, 10), "{delivered:?}");
}
