//! The connections that let go of memory when little is left.

use std::time::Duration;

use super::*;
use crate::broker::{SMALLEST_MEMORY, outbox_with};
use crate::codec::Share;

/// 4 MiB for queues.
fn dispatcher() -> (Dispatcher, Arc<Share>) {
    let memory = Memory::new(SMALLEST_MEMORY);
    let share = memory.of(Use::Queues).clone();
    (Dispatcher::default().with_memory(memory), share)
}

fn subscribed(dispatcher: &mut Dispatcher, number: u64, topic: &str, overflow: Overflow) -> Inbox {
    let accounts = [Use::Answers, Use::Queues].map(|this| dispatcher.memory.of(this).account());
    let [answers, queue] = accounts;
    let (outbox, inbox) = outbox_with(QueueLimits::default(), answers, queue);
    let (client, peer) = (ClientId(number), Peer::Tcp(([127, 0, 0, 1], 1).into()));
    dispatcher.step(Event::Attach { client, peer, rights: Rights::Everything, outbox });
    let (filter, dialect) = (TopicFilter::parse(topic).unwrap(), Dialect::Json);
    let steps = vec![Step::Control(
        Token::default(),
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
    )];
    dispatcher.step(Event::Steps { client, steps, queued: Queued::nothing() });
    inbox
}

/// What the thread does between events.
fn settle(dispatcher: &mut Dispatcher) {
    while !(dispatcher.pressure.is_empty() && dispatcher.leaving.is_empty()) {
        dispatcher.relieve_on();
        dispatcher.leave_on();
    }
}

#[test]
fn consumers_with_most_of_the_queues_are_cut_off_and_a_modest_one_is_not() {
    let (mut dispatcher, share) = dispatcher();
    let greedy =
        [1, 2].map(|number| subscribed(&mut dispatcher, number, "t", Overflow::Disconnect));
    let modest = subscribed(&mut dispatcher, 3, "few", Overflow::Disconnect);
    for number in 0..30_000 {
        publish(&mut dispatcher, "t", false);
        if number % 100 == 0 {
            publish(&mut dispatcher, "few", false);
        }
        assert!(share.used() <= share.limit(), "{} are held", share.used());
        settle(&mut dispatcher);
    }
    assert_eq!(dispatcher.stats().slow_consumers, 2);
    assert!(
        share.used() < 64 << 10,
        "what waited for them is let go of without their writers: {}",
        share.used()
    );
    for inbox in &greedy {
        assert_eq!(waiting(inbox), ["error"]);
    }
    assert_eq!(waiting(&modest).iter().filter(|what| **what == "messages").count(), 300);
    assert_eq!(share.used(), 0);
}

#[test]
fn mailboxes_make_room_before_their_connections_are_cut_off() {
    for overflow in [Overflow::DropOldest, Overflow::Latest] {
        let (mut dispatcher, share) = dispatcher();
        let greedy = [1, 2, 3].map(|number| subscribed(&mut dispatcher, number, "t", overflow));
        for number in 0..20_000 {
            publish(&mut dispatcher, &format!("t/{number}"), false);
            assert!(share.used() <= share.limit(), "{} are held", share.used());
            settle(&mut dispatcher);
        }
        let stats = dispatcher.stats();
        assert_eq!(stats.slow_consumers, 0);
        assert!(stats.dropped > 1_000, "{overflow:?}: {} were dropped", stats.dropped);
        drop(greedy);
        for number in [1, 2, 3] {
            dispatcher.step(Event::Detach { client: ClientId(number) });
        }
        settle(&mut dispatcher);
        assert_eq!(share.used(), 0);
    }
}

/// Each takes as much as there is for one, and then nothing more is sent to it: what it holds is
/// not for ever.
#[test]
fn what_was_taken_before_is_there_for_those_who_come_later() {
    let (mut dispatcher, share) = dispatcher();
    let mut greedy = Vec::new();
    for number in 0..8 {
        let topic = format!("greedy/{number}");
        greedy.push(subscribed(&mut dispatcher, number, &topic, Overflow::Latest));
        for message in 0..15_000 {
            publish(&mut dispatcher, &format!("{topic}/{message}"), false);
            settle(&mut dispatcher);
        }
    }
    let modest = subscribed(&mut dispatcher, 8, "modest", Overflow::Disconnect);
    let left = share.limit() - share.used();
    assert!(left > share.limit() / 8, "{left} bytes are left");
    for _ in 0..2_000 {
        publish(&mut dispatcher, "modest", false);
        settle(&mut dispatcher);
    }
    assert_eq!(waiting(&modest).iter().filter(|what| **what == "messages").count(), 2_000);
}

/// All of it comes before anybody could be relieved.
#[test]
fn what_one_event_brings_to_mailboxes_does_not_pass_the_share() {
    let (mut dispatcher, share) = dispatcher();
    let greedy: Vec<Inbox> =
        (0..60).map(|number| subscribed(&mut dispatcher, number, "t", Overflow::Latest)).collect();
    let topics: Topics =
        (0..600).map(|topic| Topic::parse(&format!("t/{topic}")).unwrap()).collect();
    let messages = (0..600).map(|at| {
        let message = PayloadSpan { part: Part::Value(at..at + 1), document: None };
        BatchEntry::new(at as u32, Format::Pickle, &message, false, None, None)
    });
    let limits = Limits::default();
    let batch = Batch::new(vec![b'1'; 600], Document::new(), topics, messages.collect(), limits);
    dispatcher.publish(Box::new(batch), true);
    let used = share.used();
    assert!((share.limit() / 2..share.limit()).contains(&used), "{used} are held");
    assert!(greedy.iter().all(|inbox| waiting(inbox) == ["reply", "mailbox"]));
}

/// Both hold as much as anybody; one of them is only reading it.
#[test]
fn a_consumer_that_keeps_up_is_not_taken_for_one_that_is_behind() {
    let (mut dispatcher, _) = dispatcher();
    let share = dispatcher.memory.of(Use::InFlight).clone();
    let taken = share.account().charge(share.limit());
    let waiter = std::thread::spawn({
        let share = share.clone();
        move || share.account().claim(1, Duration::from_secs(60)).is_some()
    });
    while !share.is_wanted() {
        std::thread::yield_now();
    }
    let quick = subscribed(&mut dispatcher, 1, "t", Overflow::Disconnect);
    let slow = subscribed(&mut dispatcher, 2, "t", Overflow::Disconnect);
    let limits = Limits::default();
    for _ in 0..3 {
        let payload = Payload::of_value("t", &Value::Str("x".repeat(200_000)), &limits).unwrap();
        let topic = Topic::parse("t").unwrap();
        let batch = Batch::of_payload(topic, payload, (false, None), limits);
        dispatcher.publish(Box::new(batch), true);
        dispatcher.pressure.forget_when();
        dispatcher.step(Event::Pressure);
        settle(&mut dispatcher);
        waiting(&quick);
    }
    assert_eq!(waiting(&slow), ["error"]);
    assert_eq!(dispatcher.stats().slow_consumers, 1);
    drop(taken);
    assert!(waiter.join().unwrap());
}

/// The messages of a batch that it gets are named for each subscriber by itself.
#[test]
fn selections_are_held_of_the_queues() {
    let (mut dispatcher, share) = dispatcher();
    let slow = subscribed(&mut dispatcher, 1, "a", Overflow::Disconnect);
    let other = subscribed(&mut dispatcher, 2, "b", Overflow::DropOldest);
    let names: Topics = ["a", "b"].map(|name| Topic::parse(name).unwrap()).into_iter().collect();
    let count = 20_000;
    let messages = (0..2 * count).map(|at| {
        let message = PayloadSpan { part: Part::Value(at..at + 1), document: None };
        BatchEntry::new(at as u32 % 2, Format::Json, &message, false, None, None)
    });
    let bytes = vec![b'1'; 2 * count];
    let batch = Batch::new(bytes, Document::new(), names, messages.collect(), Limits::default());
    dispatcher.publish(Box::new(batch), true);
    assert!(share.used() >= 2 * (4 * count - (4 << 10)), "{} are held", share.used());
    drop((slow, other));
    dispatcher.step(Event::Detach { client: ClientId(1) });
    dispatcher.step(Event::Detach { client: ClientId(2) });
    settle(&mut dispatcher);
    assert_eq!(share.used(), 0);
}
