//! Clearing, and telling who wants to know: in steps that are short, whoever is told.

use super::*;
use crate::broker::cost::{EVENT_COST, Search};

/// Connections that are told of all that is cleared below a topic each, numbered from 100.
fn told(
    dispatcher: &mut Dispatcher,
    filters: impl IntoIterator<Item = String>,
    overflow: Overflow,
) -> Vec<Inbox> {
    let mut inboxes = Vec::new();
    for (client, filter) in (100..).map(ClientId).zip(filters) {
        let (outbox, inbox) = outbox(QueueLimits::default());
        let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
        dispatcher.step(Event::Attach { client, peer, rights: Rights::Everything, outbox });
        let filter = TopicFilter::parse(&filter).unwrap();
        let (dialect, queue, names) = (Dialect::Json, None, None);
        let subscribe = Control::Subscribe {
            filter,
            dialect,
            overflow,
            queue,
            names,
            cleared: true,
            values: true,
            durable: None,
        };
        let steps = vec![Step::Control(Token::default(), subscribe)];
        dispatcher.step(Event::Steps { client, steps, queued: Queued::nothing() });
        waiting(&inbox);
        inboxes.push(inbox);
    }
    inboxes
}

fn topics(count: usize) -> Vec<Topic> {
    (0..count).map(|n| Topic::parse(&format!("a/{n}")).unwrap()).collect()
}

/// Makes topics hold a value, without delivering it.
fn fill(dispatcher: &mut Dispatcher, topics: &[Topic]) {
    let payload = Payload::of_value("t", &Value::Int(1), &Limits::default()).unwrap();
    for topic in topics {
        dispatcher.tree.store_new(topic.name(), payload.borrow());
    }
}

fn steps(dispatcher: &mut Dispatcher, steps: Vec<Step>) {
    dispatcher.step(Event::Steps { client: CLIENT, steps, queued: Queued::nothing() });
}

fn clear_below(filter: &str) -> Step {
    let filter = TopicFilter::parse(filter).unwrap();
    Step::Control(Token::default(), Control::ClearBelow { filter })
}

/// What an inbox is told of, delivery by delivery.
fn notices(inbox: &Inbox) -> Vec<Vec<String>> {
    let one = |(delivery, charge)| {
        inbox.written(charge);
        let Delivery::Messages { batch, dialect, selection, .. } = delivery else {
            panic!("{delivery:?}")
        };
        let name = |index: usize| {
            let message = &batch.messages()[index];
            assert!(message.is_cleared());
            batch.topics().get(message.topic()).as_str().to_owned()
        };
        match &selection {
            Selection::Whole => (0..batch.messages().len())
                .filter(|index| batch.is_wanted(dialect, *index))
                .map(name)
                .collect(),
            Selection::Some(indices) => indices.iter().map(|index| name(*index as usize)).collect(),
        }
    };
    std::iter::from_fn(|| inbox.next_waiting()).map(one).collect()
}

/// With 4,000 who were told, each step of a clear took 145 ms, and each topic a delivery to each.
#[test]
fn many_who_are_told_of_many_topics_get_few_deliveries() {
    let topics = topics(1_500);
    let single: Vec<Step> = topics.iter().cloned().map(Step::Clear).collect();
    for asked in [vec![clear_below("a/#")], single] {
        let (mut dispatcher, _inbox) = attached(QueueLimits::default());
        let inboxes = told(&mut dispatcher, vec!["#".to_owned(); 300], Overflow::Disconnect);
        fill(&mut dispatcher, &topics);
        steps(&mut dispatcher, asked);
        while !dispatcher.clearings.is_empty() {
            dispatcher.go_on_clearing();
        }
        assert_eq!(dispatcher.tree.values(), 0);
        for inbox in inboxes {
            let told = notices(&inbox);
            assert!((2..10).contains(&told.len()), "{} deliveries", told.len());
            assert_eq!(told.concat().len(), topics.len());
        }
    }
}

/// An event of a thousand clears held everybody up for four seconds.
#[test]
fn what_is_cleared_goes_on_in_another_step_where_telling_takes_long() {
    let topics = topics(400);
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    let inboxes = told(&mut dispatcher, vec!["#".to_owned(); 300], Overflow::Latest);
    fill(&mut dispatcher, &topics);
    let mut asked: Vec<Step> = topics.iter().cloned().map(Step::Clear).collect();
    asked.push(Step::Control(Token::default(), Control::Ping { id: None }));
    steps(&mut dispatcher, asked);
    let mut left = vec![dispatcher.tree.values()];
    while !dispatcher.clearings.is_empty() {
        assert_eq!(waiting(&inbox), [""; 0], "the ping came last");
        dispatcher.go_on_clearing();
        left.push(dispatcher.tree.values());
    }
    let most = left.windows(2).map(|pair| pair[0] - pair[1]).max().unwrap();
    assert!(most * inboxes.len() * 256 < 2 * EVENT_COST, "{most} topics in one step: {left:?}");
    assert_eq!((left.last(), waiting(&inbox)), (Some(&0), vec!["reply"]));
    let mailboxes = &dispatcher.slots[dispatcher.by_id[&ClientId(100)] as usize];
    let mailbox = mailboxes.as_ref().unwrap().more.mailboxes[0].as_ref().unwrap();
    assert_eq!(mailbox.waiting(), topics.len());
}

/// A topic with as many shapes as there may be was held against all of them twice.
#[test]
fn who_is_told_is_known_from_the_last_publish() {
    let (mut dispatcher, _inbox) = attached(QueueLimits::default());
    let _inboxes = told(&mut dispatcher, ["#".to_owned(), "+/+".to_owned()], Overflow::Disconnect);
    publish(&mut dispatcher, "a/1", true);
    dispatcher.tree.take_search();
    let topic = Topic::parse("a/1").unwrap();
    assert!(dispatcher.notice_routes(&topic).is_some());
    assert_eq!(dispatcher.tree.take_search(), Search::default());
    // It is looked for again when the subscriptions have changed, and that is counted.
    subscribe(&mut dispatcher, "b", None);
    assert!(dispatcher.notice_routes(&topic).is_some());
    let shapes = dispatcher.subscriptions.shapes();
    let search = Search { found: 2 + 4, compared: 2, shapes, judged: 0 };
    assert_eq!(dispatcher.tree.take_search(), search);
    // Another topic of the same filters goes the same way, however many are told.
    publish(&mut dispatcher, "a/2", true);
    assert!(dispatcher.clear(&topic));
    dispatcher.subscriptions_changed();
    let search = Search { found: 2, ..search };
    assert!(dispatcher.notice_routes(&Topic::parse("a/2").unwrap()).is_some());
    assert_eq!(dispatcher.tree.take_search(), Search { found: 2 + 4, ..search });
    fill(&mut dispatcher, &[Topic::parse("a/3").unwrap()]);
    assert!(dispatcher.notice_routes(&Topic::parse("a/3").unwrap()).is_some());
    assert_eq!(dispatcher.tree.take_search(), search);
}

/// However they are told together, each is told of the same, in the same order.
#[test]
fn ways_that_part_tell_each_what_it_wants_to_know() {
    let topics = topics(60);
    let filters = || {
        let one = |n: usize| match n % 4 {
            0 => "#".to_owned(),
            1 => format!("a/{}", n % 60),
            2 => "a/+".to_owned(),
            _ => "b".to_owned(),
        };
        (0..200).map(one)
    };
    let (mut together, _one) = attached(QueueLimits::default());
    let (mut apart, _other) = attached(QueueLimits::default());
    let of_together = told(&mut together, filters(), Overflow::Disconnect);
    let of_apart = told(&mut apart, filters(), Overflow::Disconnect);
    fill(&mut together, &topics);
    fill(&mut apart, &topics);
    steps(&mut together, topics.iter().cloned().map(Step::Clear).collect());
    while !together.clearings.is_empty() {
        together.go_on_clearing();
    }
    topics.iter().for_each(|topic| assert!(apart.clear(topic)));
    let mut most = 0;
    for (one, other) in of_together.iter().zip(&of_apart) {
        let told = notices(one);
        most = most.max(told.len());
        assert_eq!(told.concat(), notices(other).concat());
    }
    assert!((1..10).contains(&most), "{most} deliveries");
}

/// Only the order of one connection is promised: until a pong, nobody knows when what was sent
/// comes to its turn.
#[test]
fn what_waits_behind_a_clear_is_done_and_answered_though_its_client_has_left() {
    let topics = topics(5_000);
    let (mut dispatcher, mut inbox) = attached(QueueLimits::default());
    fill(&mut dispatcher, &topics);
    let value = |value: i64| {
        let limits = Limits::default();
        let payload = Payload::of_value("x", &Value::Int(value), &limits).unwrap();
        let batch = Batch::of_payload(Topic::parse("x").unwrap(), payload, (true, None), limits);
        Step::Publish(Box::new(batch))
    };
    let ping = || Step::Control(Token::default(), Control::Ping { id: None });
    steps(&mut dispatcher, vec![clear_below("a/#"), value(1), clear_below("x/#"), ping()]);
    steps(&mut dispatcher, vec![ping()]);
    dispatcher.step(Event::Detach { client: CLIENT });
    // Somebody else's newer value is routed meanwhile, and confirmed.
    let other = ClientId(8);
    dispatcher.step(Event::Steps {
        client: other,
        steps: vec![value(2)],
        queued: Queued::nothing(),
    });
    let held = |dispatcher: &Dispatcher| {
        let stored = dispatcher.tree.get(&Topic::parse("x").unwrap());
        stored.map(|stored| stored.payload().source().to_vec())
    };
    let of_other = held(&dispatcher);
    assert!(of_other.is_some() && waiting(&inbox).is_empty());
    while dispatcher.tree.values() > 1 {
        assert_eq!(held(&dispatcher), of_other);
        dispatcher.go_on_clearing();
    }
    while !dispatcher.clearings.is_empty() {
        dispatcher.go_on_clearing();
    }
    // A filter is not cleared any more for who has left.
    assert!(held(&dispatcher).is_some_and(|held| Some(held) != of_other));
    assert_eq!(waiting(&inbox), ["reply", "reply"]);
    assert!(inbox.wait().is_none(), "the outbox is closed");
    assert!(dispatcher.by_id.is_empty());
}
