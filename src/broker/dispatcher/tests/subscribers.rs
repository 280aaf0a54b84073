//! Subscriptions: what they cost, and what is left of them.

use super::*;
use crate::broker::SMALLEST_MEMORY;
use crate::protocol::MAX_SHAPES_OF_BROKER;

fn connect(dispatcher: &mut Dispatcher, number: u64) -> Inbox {
    let (outbox, inbox) = outbox(QueueLimits::default());
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    dispatcher.step(Event::Attach {
        client: ClientId(number),
        peer,
        rights: Rights::Everything,
        outbox,
    });
    inbox
}

/// Subscribes, and returns why it was refused.
fn refused(
    dispatcher: &mut Dispatcher,
    inbox: &Inbox,
    number: u64,
    filter: &str,
) -> Option<String> {
    let (filter, dialect) = (TopicFilter::parse(filter).unwrap(), Dialect::Json);
    let control = Control::Subscribe {
        filter,
        dialect,
        overflow: Overflow::Disconnect,
        queue: None,
        names: None,
        cleared: false,
        values: true,
        durable: None,
    };
    let (client, steps) = (ClientId(number), vec![Step::Control(Token::default(), control)]);
    dispatcher.step(Event::Steps { client, steps, queued: Queued::nothing() });
    match inbox.next_waiting() {
        Some((Delivery::Reply { reply: Reply::Error(refusal), .. }, charge)) => {
            inbox.written(charge);
            assert_eq!(refusal.code, ErrorCode::TooManySubscriptions);
            Some(refusal.reason.clone())
        }
        Some((Delivery::Reply { .. }, charge)) => {
            inbox.written(charge);
            None
        }
        other => panic!("{other:?}"),
    }
}

/// One of 65,536 patterns.
fn pattern(number: usize) -> String {
    let segment = |place: usize| if number >> place & 1 == 1 { "+" } else { "a" };
    (0..16).map(segment).collect::<Vec<_>>().join("/")
}

#[test]
fn patterns_of_all_connections_are_bounded_and_the_next_one_finds_some() {
    let mut dispatcher = Dispatcher::default();
    let shapes = dispatcher.shapes();
    let mut inboxes = Vec::new();
    for number in 0..60_u64 {
        let inbox = connect(&mut dispatcher, number);
        let mut reason = None;
        for index in 0..300 {
            reason = refused(
                &mut dispatcher,
                &inbox,
                number,
                &pattern(1 + number as usize * 300 + index),
            );
            if reason.is_some() {
                assert!(index >= 10, "connection {number} finds only {index}");
                break;
            }
        }
        let reason = reason.expect("each of them is refused at last");
        assert!(reason.contains("different sets of places"), "{reason}");
        inboxes.push(inbox);
    }
    let used = shapes.load(Ordering::Relaxed);
    assert!((3_000..MAX_SHAPES_OF_BROKER).contains(&used), "{used}");
    // What others use costs nothing more, and what is given back is there again.
    assert_eq!(refused(&mut dispatcher, &inboxes[59], 59, &pattern(1)), None);
    for number in 0..60 {
        dispatcher.step(Event::Detach { client: ClientId(number) });
    }
    assert_eq!((shapes.load(Ordering::Relaxed), dispatcher.stats().subscriptions), (0, 0));
}

#[test]
fn subscriptions_take_of_the_memory_for_connections() {
    let memory = Memory::new(SMALLEST_MEMORY);
    let share = memory.of(Use::Connections).clone();
    let mut dispatcher = Dispatcher::default().with_memory(memory);
    let (greedy, modest) = (connect(&mut dispatcher, 1), connect(&mut dispatcher, 2));
    assert_eq!(share.used(), 0);
    let filter = |index: usize| format!("{}/{index}", "x".repeat(1_000));
    let taken = (0..10_000)
        .take_while(|n| refused(&mut dispatcher, &greedy, 1, &filter(*n)).is_none())
        .count();
    assert!((4_000..8_000).contains(&taken), "{taken}");
    let reason = refused(&mut dispatcher, &greedy, 1, &filter(10_000)).unwrap();
    assert!(reason.contains("no memory left for more subscriptions"), "{reason}");
    assert_eq!(
        refused(&mut dispatcher, &greedy, 1, &filter(0)),
        None,
        "the one that it has is no other"
    );
    assert_eq!(refused(&mut dispatcher, &modest, 2, "a"), None, "somebody modest finds room");
    let used = share.used();
    let filter = TopicFilter::parse("a").unwrap();
    let steps = vec![Step::Control(Token::default(), Control::Cancel { filter })];
    dispatcher.step(Event::Steps { client: ClientId(2), steps, queued: Queued::nothing() });
    assert_eq!(used, share.used(), "what is little is a part of what the connection takes");
    dispatcher.step(Event::Detach { client: ClientId(1) });
    while !dispatcher.leaving.is_empty() {
        dispatcher.leave_on();
    }
    assert_eq!(share.used(), 0);
}

/// Everybody else would wait for it otherwise.
#[test]
fn many_subscriptions_of_a_connection_that_ends_are_forgotten_in_parts() {
    let mut dispatcher = Dispatcher::default();
    let inbox = connect(&mut dispatcher, 1);
    for index in 0..5_000 {
        assert_eq!(refused(&mut dispatcher, &inbox, 1, &format!("t/{index}")), None);
    }
    publish(&mut dispatcher, "t/4999", false);
    dispatcher.step(Event::Detach { client: ClientId(1) });
    let left = dispatcher.stats().subscriptions;
    assert!((3_000..5_000).contains(&left), "{left}");
    // No other connection is given its place meanwhile, nor what is routed there.
    let other = connect(&mut dispatcher, 2);
    for index in 0..5_000 {
        publish(&mut dispatcher, &format!("t/{index}"), index % 2 == 0);
    }
    let mut parts = 1;
    while !dispatcher.leaving.is_empty() {
        dispatcher.leave_on();
        parts += 1;
    }
    assert_eq!((parts, dispatcher.stats().subscriptions), (5, 0));
    let third = connect(&mut dispatcher, 3);
    for index in 0..5_000 {
        publish(&mut dispatcher, &format!("t/{index}"), index % 2 == 0);
    }
    assert_eq!((waiting(&other), waiting(&third)), (vec![], vec![]));
    assert_eq!(dispatcher.slots.len(), 2, "its place is given again");
}

/// All subscribers of everything, and a set of routes for each topic that somebody subscribes to by
/// itself.
#[test]
fn routes_that_are_forgotten_in_the_middle_of_a_batch_are_found_again() {
    let mut dispatcher = Dispatcher::default();
    dispatcher.tree.remember_routes(0);
    let everything: Vec<Inbox> = (0..2_000)
        .map(|number| {
            let inbox = connect(&mut dispatcher, number);
            assert_eq!(refused(&mut dispatcher, &inbox, number, "#"), None);
            inbox
        })
        .collect();
    let one = connect(&mut dispatcher, 2_000);
    let dialects = [Dialect::Json, Dialect::Xml];
    // As many sets of 2,001 routes as are not remembered all together.
    let topics: Vec<String> = (0..600).map(|n| format!("t/{n}")).collect();
    for (index, topic) in topics.iter().enumerate() {
        let (filter, dialect) = (TopicFilter::parse(topic).unwrap(), dialects[index % 2]);
        let control = Control::Subscribe {
            filter,
            dialect,
            overflow: Overflow::Disconnect,
            queue: None,
            names: None,
            cleared: false,
            values: true,
            durable: None,
        };
        let steps = vec![Step::Control(Token::default(), control)];
        dispatcher.step(Event::Steps {
            client: ClientId(index as u64),
            steps,
            queued: Queued::nothing(),
        });
        assert_eq!(waiting(&everything[index]), ["reply"]);
    }
    assert_eq!(refused(&mut dispatcher, &one, 2_000, "t/599"), None);
    let names: Topics = topics.iter().map(|topic| Topic::parse(topic).unwrap()).collect();
    let messages = (0..topics.len()).map(|at| {
        let message = PayloadSpan { part: Part::Value(at..at + 1), document: None };
        BatchEntry::new(at as u32, Format::Pickle, &message, at % 2 == 0, None, None)
    });
    let batch = Batch::new(
        vec![b'1'; topics.len()],
        Document::new(),
        names,
        messages.collect(),
        Limits::default(),
    );
    dispatcher.publish(Box::new(batch), true);
    let remembered = dispatcher.tree.remembered_routes();
    assert!((1..600 * 2_000).contains(&remembered), "{remembered}");
    assert_eq!(dispatcher.counts.delivered, 600 * 2_000 + 1);
    assert_eq!(waiting(&one), ["messages"]);
}

/// However many connections want as many subscriptions as they can have, there is memory for
/// another connection.
#[test]
fn subscriptions_leave_memory_for_newcomers() {
    let memory = Memory::new(SMALLEST_MEMORY);
    let share = memory.of(Use::Connections).clone();
    let mut dispatcher = Dispatcher::default().with_memory(memory);
    for number in 0..8 {
        let greedy = connect(&mut dispatcher, number);
        let filter = |index: usize| format!("{number}/{}/{index}", "x".repeat(900));
        let taken = (0..10_000)
            .take_while(|n| refused(&mut dispatcher, &greedy, number, &filter(*n)).is_none());
        taken.for_each(drop);
    }
    let left = share.limit() - share.used();
    assert!(left >= share.limit() / 4, "{left} bytes are left");
    // And whoever finds a place may subscribe, though all of it be taken.
    let _connections = share.account().charge(left);
    let newcomer = connect(&mut dispatcher, 8);
    for index in 0..10 {
        assert_eq!(refused(&mut dispatcher, &newcomer, 8, &format!("t/{index}")), None);
    }
}

#[test]
fn a_connection_that_cancels_its_subscriptions_keeps_no_room_for_them() {
    let mut dispatcher = Dispatcher::default();
    let inbox = connect(&mut dispatcher, 1);
    for index in 0..5_000 {
        assert_eq!(refused(&mut dispatcher, &inbox, 1, &format!("t/{index}")), None);
    }
    for index in 0..5_000 {
        let filter = TopicFilter::parse(&format!("t/{index}")).unwrap();
        let steps = vec![Step::Control(Token::default(), Control::Cancel { filter })];
        dispatcher.step(Event::Steps { client: ClientId(1), steps, queued: Queued::nothing() });
        waiting(&inbox);
    }
    let client = dispatcher.slots[0].as_ref().unwrap();
    assert!(client.filters.capacity() <= 512, "{}", client.filters.capacity());
    assert_eq!(client.more.mailboxes.capacity(), 0);
}

/// A subtree can be named with and without `/#`: forgotten is what was counted, however it is
/// spelled.
#[test]
fn a_subscription_that_is_spelled_in_another_way_is_the_same() {
    let mut dispatcher = Dispatcher::default();
    let inbox = connect(&mut dispatcher, 1);
    for filter in ["t", "t/#", "t", "t/#"] {
        assert_eq!(refused(&mut dispatcher, &inbox, 1, filter), None, "{filter}");
        assert_eq!(dispatcher.stats().subscriptions, 1, "{filter}");
    }
}
