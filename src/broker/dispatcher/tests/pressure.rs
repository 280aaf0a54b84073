//! Who lets go of memory when little is left.

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
    let (client, peer) = (ClientId(number), SocketAddr::from(([127, 0, 0, 1], 1)));
    dispatcher.step(Event::Attach { client, peer, outbox });
    let (filter, dialect) = (TopicFilter::parse(topic).unwrap(), Dialect::Json);
    let steps = vec![Step::Control(Control::Subscribe { filter, dialect, overflow, queue: None })];
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
    let greedy = [1, 2].map(|number| subscribed(&mut dispatcher, number, "t", Overflow::Disconnect));
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

/// Each takes as much as there is for one, and then nothing more is sent to it: what it holds is not for ever.
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
    let topics: Topics = (0..600).map(|topic| Topic::parse(&format!("t/{topic}")).unwrap()).collect();
    let messages = (0..600).map(|at| {
        let message = Message { part: Part::Value(at..at + 1), document: None };
        Published::new(at as u32, Format::Pickle, &message, false, None, None)
    });
    let limits = Limits::default();
    let batch = Batch::new(vec![b'1'; 600], Document::new(), topics, messages.collect(), limits);
    dispatcher.publish(batch, true);
    let used = share.used();
    assert!((share.limit() / 2..share.limit()).contains(&used), "{used} are held");
    assert!(greedy.iter().all(|inbox| waiting(inbox) == ["reply", "mailbox"]));
}
