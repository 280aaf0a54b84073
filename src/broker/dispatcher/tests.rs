//! What the dispatcher decides, one event at a time and without a thread.

mod below;
mod beside;
mod clients;
mod judging;
mod notices;
mod pressure;
mod rights;
mod sharing;
mod subscribers;

use super::*;
use crate::broker::delivery::outbox;
use crate::broker::{Inbox, QueueLimits, Queued, Selection, Step};
use crate::codec::{Batch, BatchEntry, Document, Part, Payload, PayloadSpan, Topics};
use crate::protocol::{Format, Limits, Overflow, Value};

const CLIENT: ClientId = ClientId(7);

fn attached(limits: QueueLimits) -> (Dispatcher, Inbox) {
    attached_from([127, 0, 0, 1], limits)
}

fn attached_from(address: [u8; 4], limits: QueueLimits) -> (Dispatcher, Inbox) {
    let mut dispatcher = Dispatcher::default();
    let (outbox, inbox) = outbox(limits);
    let peer = Peer::Tcp((address, 1).into());
    dispatcher.step(Event::Attach { client: CLIENT, peer, rights: Rights::Everything, outbox });
    (dispatcher, inbox)
}

fn control(dispatcher: &mut Dispatcher, control: Control) {
    dispatcher.step(Event::Steps {
        client: CLIENT,
        steps: vec![Step::Control(Token::default(), control)],
        queued: Queued::nothing(),
    });
}

fn publish(dispatcher: &mut Dispatcher, topic: &str, retain: bool) {
    let limits = Limits::default();
    let payload = Payload::of_value("t", &Value::Int(1), &limits).unwrap();
    let batch = Batch::of_payload(Topic::parse(topic).unwrap(), payload, (retain, None), limits);
    dispatcher.step(Event::Steps {
        client: ClientId(8),
        steps: vec![Step::Publish(Box::new(batch))],
        queued: Queued::nothing(),
    });
}

fn subscribe(dispatcher: &mut Dispatcher, filter: &str, queue: Option<u32>) {
    let filter = TopicFilter::parse(filter).unwrap();
    control(
        dispatcher,
        Control::Subscribe {
            filter,
            dialect: Dialect::Json,
            overflow: Overflow::Disconnect,
            queue,
            names: None,
            cleared: false,
            values: true,
            durable: None,
        },
    );
}

/// Goes on until nothing is left to be done without an event.
fn settle(dispatcher: &mut Dispatcher) {
    while !dispatcher.judging.is_empty() || !dispatcher.clearings.is_empty() {
        dispatcher.go_on_judging();
        if !dispatcher.clearings.is_empty() {
            dispatcher.go_on_clearing();
        }
    }
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
                Delivery::LongSnapshot { .. } => "long snapshot",
                Delivery::Topics { .. } => "topics",
                Delivery::Report { .. } => "stats",
                Delivery::Backup { .. } => "backup",
                Delivery::Names(_) => "names",
                Delivery::Wake => "wake",
                Delivery::Feed(_)
                | Delivery::Last(_)
                | Delivery::Streams { .. }
                | Delivery::Consumers { .. }
                | Delivery::Answer { .. } => "of a stream",
            }
        })
        .collect()
}

/// When the dispatcher is behind, what a session says of its end comes late; delivering to those
/// who are gone meanwhile kept it behind for good.
#[test]
fn who_cannot_be_written_to_any_more_is_let_go_with_the_next_delivery() {
    for overflow in [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest] {
        let (mut dispatcher, inbox) = attached(QueueLimits::default());
        let filter = TopicFilter::parse("t").unwrap();
        let dialect = Dialect::Json;
        control(
            &mut dispatcher,
            Control::Subscribe {
                filter,
                dialect,
                overflow,
                queue: None,
                names: None,
                cleared: false,
                values: true,
                durable: None,
            },
        );
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

/// Everybody else would wait for it otherwise.
#[test]
fn many_values_that_expire_together_are_forgotten_in_parts() {
    let mut dispatcher = Dispatcher::default();
    for n in 0..3_000 {
        let topic = format!("t/{n}");
        publish(&mut dispatcher, &topic, true);
        dispatcher.expiries.set(Topic::parse(&topic).unwrap().name(), Some(1));
    }
    let mut left = Vec::new();
    while !dispatcher.expiries.is_empty() {
        assert!(
            dispatcher.next_expiry().is_some_and(|at| at <= std::time::Instant::now()),
            "it is due at once"
        );
        dispatcher.expire();
        left.push(dispatcher.tree.values());
    }
    assert_eq!(left, [1_976, 952, 0]);
}

#[test]
fn a_client_that_asks_and_does_not_read_is_bounded() {
    let (mut dispatcher, mut inbox) = attached(QueueLimits { messages: 1, bytes: 10_000 });
    for _ in 0..1_000 {
        control(&mut dispatcher, Control::Ping { id: None });
    }
    assert_eq!(waiting(&inbox), ["error"]);
    assert!(inbox.wait().is_none());
}

#[test]
fn backups_are_for_clients_on_this_machine_and_for_brokers_with_a_store() {
    for (address, expected) in
        [([127, 0, 0, 1], "storage-failed"), ([192, 0, 2, 1], "not-permitted")]
    {
        let (mut dispatcher, inbox) = attached_from(address, QueueLimits::default());
        control(&mut dispatcher, Control::Backup);
        match inbox.next_waiting() {
            Some((Delivery::Reply { reply: Reply::Error(refusal), .. }, _)) => {
                assert_eq!(refusal.code.as_str(), expected);
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn stats_are_for_clients_on_this_machine() {
    for (address, expected) in [([127, 0, 0, 1], None), ([192, 0, 2, 1], Some("not-permitted"))] {
        let (mut dispatcher, inbox) = attached_from(address, QueueLimits::default());
        control(&mut dispatcher, Control::Stats);
        let refused = match inbox.next_waiting() {
            Some((Delivery::Report { .. }, _)) => None,
            Some((Delivery::Reply { reply: Reply::Error(refusal), .. }, _)) => {
                Some(refusal.code.as_str())
            }
            other => panic!("{other:?}"),
        };
        assert_eq!(refused, expected);
        // A client that was refused goes on.
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
    let pieces = dispatcher.snapshots.begin(&mut dispatcher.tree, slot, filter);
    let named: Vec<(String, u64)> = dispatcher
        .tree
        .recent()
        .map(|(stored, messages)| (stored.topic().to_string(), messages))
        .collect();
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
        let message = PayloadSpan { part: Part::Value(at..at + 1), document: None };
        BatchEntry::new((at % 40) as u32, Format::Pickle, &message, at < 150, None, None)
    });
    let batch = Batch::new(bytes, Document::new(), topics, messages.collect(), Limits::default());
    let refused = dispatcher.publish(Box::new(batch), true);
    // Ten topics found no room, in all the four rounds that were to be stored but the last, of
    // which 30 were.
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

/// What is not stored because the batch's next message takes its place could as well have been: the
/// same messages in batches of one leave the same.
#[test]
fn messages_that_are_overtaken_in_their_batch_are_missing_nowhere() {
    let names: Vec<Topic> = ["a", "a/b", "c"].map(|name| Topic::parse(name).unwrap()).to_vec();
    for seed in 1..400_u64 {
        let mut state = seed;
        let mut below = |end: u64| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % end
        };
        let (mut whole, whole_inbox) = attached(QueueLimits::default());
        let (mut single, single_inbox) = attached(QueueLimits::default());
        // In some rounds there is not room for all.
        let limits = (2 + below(3) as usize, [usize::MAX, 900, 1_100][below(3) as usize]);
        let overflow =
            [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest][below(3) as usize];
        for dispatcher in [&mut whole, &mut single] {
            (dispatcher.store.values, dispatcher.store.bytes) = limits;
            let (filter, dialect) = (TopicFilter::parse("a").unwrap(), Dialect::Json);
            control(
                dispatcher,
                Control::Subscribe {
                    filter,
                    dialect,
                    overflow,
                    queue: None,
                    names: None,
                    cleared: false,
                    values: true,
                    durable: None,
                },
            );
        }
        for _ in 0..8 {
            let can_refuse = below(4) > 0;
            let messages: Vec<(usize, usize, bool, Option<u32>)> = (0..1 + below(6))
                .map(|_| {
                    let topic = [0, 0, 0, 1, 2][below(5) as usize];
                    (topic, below(300) as usize, below(5) > 0, [None, Some(60)][below(2) as usize])
                })
                .collect();
            let batch = |messages: &[(usize, usize, bool, Option<u32>)]| {
                let (mut bytes, mut published) = (Vec::new(), Vec::new());
                for (topic, length, retain, ttl) in messages {
                    let start = bytes.len();
                    bytes.resize(start + length, (bytes.len() % 251) as u8);
                    let message =
                        PayloadSpan { part: Part::Value(start..bytes.len()), document: None };
                    published.push(BatchEntry::new(
                        *topic as u32,
                        Format::Json,
                        &message,
                        *retain,
                        *ttl,
                        None,
                    ));
                }
                let topics = names.iter().cloned().collect();
                Batch::new(bytes, Document::new(), topics, published, Limits::default())
            };
            let told = |refused: Vec<(Token, Refusal)>| -> Vec<_> {
                refused
                    .into_iter()
                    .map(|(_, refusal)| (refusal.code, refusal.topic.clone()))
                    .collect()
            };
            let of_whole = told(whole.publish(Box::new(batch(&messages)), can_refuse));
            let of_single: Vec<_> = messages
                .iter()
                .flat_map(|message| told(single.publish(Box::new(batch(&[*message])), can_refuse)))
                .collect();
            assert_eq!(of_whole, of_single, "seed {seed}: {messages:?}");
            let left = |dispatcher: &Dispatcher| {
                let values: Vec<_> = dispatcher
                    .tree
                    .recent()
                    .map(|(stored, messages)| {
                        let expires = dispatcher.expiries.of(stored.topic()).is_some();
                        let name = stored.topic().as_str().to_owned();
                        (name, stored.weight(), messages, expires)
                    })
                    .collect();
                let tree = &dispatcher.tree;
                let order = tree.recent().map(|(stored, _)| stored.published());
                assert!(
                    order.is_sorted_by(|newer, older| newer > older),
                    "seed {seed}: {messages:?}"
                );
                let counts = &dispatcher.counts;
                (
                    values,
                    tree.cost(),
                    tree.published(),
                    counts.published,
                    counts.store_refused,
                    counts.delivered,
                )
            };
            assert_eq!(left(&whole), left(&single), "seed {seed}: {messages:?}");
        }
        drop((whole_inbox, single_inbox));
    }
}
