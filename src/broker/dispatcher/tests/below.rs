//! Subscriptions with what is below them and without, and topics of the broker's own.

use super::*;

fn filter(text: &str, below: bool) -> TopicFilter {
    TopicFilter::parse(text).unwrap().below(below)
}

fn subscribe(dispatcher: &mut Dispatcher, text: &str, below: bool) {
    let subscribe = Control::Subscribe {
        filter: filter(text, below),
        dialect: Dialect::Json,
        overflow: Overflow::Disconnect,
        queue: None,
        names: None,
        cleared: false,
        values: true,
        durable: None,
    };
    control(dispatcher, subscribe);
}

/// The subscriptions that a message would reach.
fn reached(dispatcher: &Dispatcher, topic: &str) -> Vec<(String, bool)> {
    let found = dispatcher.subscriptions_to(&Topic::parse(topic).unwrap());
    found.into_iter().map(|info| (info.filter, info.below)).collect()
}

/// The topics of the stored values that came, and what `subscribed` said of their number.
fn snapshot(inbox: &Inbox) -> (Vec<String>, u64) {
    let mut topics = Vec::new();
    while let Some((delivery, charge)) = inbox.next_waiting() {
        inbox.written(charge);
        match delivery {
            Delivery::Snapshot { values, .. } => {
                topics.extend(values.iter().map(|stored| stored.topic().to_string()));
            }
            Delivery::Reply { reply: Reply::Subscribed { values, .. }, .. } => {
                return (topics, values);
            }
            other => panic!("{other:?}"),
        }
    }
    panic!("it was not answered")
}

#[test]
fn what_is_below_comes_to_those_who_did_not_say_otherwise() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    for topic in ["a", "a/b", "a/b/c", "$dead/a"] {
        publish(&mut dispatcher, topic, true);
    }
    for (text, below, expected) in [
        ("a", false, &["a"][..]),
        ("a/+", false, &["a/b"]),
        ("+", false, &["a"]),
        ("a/#", false, &["a", "a/b", "a/b/c"]),
        ("#", true, &["a", "a/b", "a/b/c"]),
        ("+/a", true, &[]),
        ("$dead", true, &["$dead/a"]),
        ("$dead/#", false, &["$dead/a"]),
        ("$dead", false, &[]),
    ] {
        subscribe(&mut dispatcher, text, below);
        let (topics, values) = snapshot(&inbox);
        assert_eq!(topics, expected, "{text} {below}");
        assert_eq!(values, expected.len() as u64, "{text} {below}");
        let this = (text.to_owned(), below || text.ends_with('#'));
        let mut live = vec!["a", "a/b", "a/b/c", "$dead/a"];
        live.retain(|topic| reached(&dispatcher, topic).contains(&this));
        assert_eq!(live, expected, "{text} {below}");
    }
}

/// The broker itself publishes there: by a batch that no client's request made.
#[test]
fn what_the_broker_publishes_of_its_own_is_stored_and_comes_to_whom_it_names() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    subscribe(&mut dispatcher, "#", true);
    subscribe(&mut dispatcher, "$dead", true);
    assert_eq!(waiting(&inbox), ["reply", "reply"]);
    let payload = Payload::of_value("$dead/a", &Value::Int(1), &Limits::default()).unwrap();
    let topic = Topic::parse("$dead/a").unwrap();
    let batch = Batch::of_payload(topic.clone(), payload, (true, None), Limits::default());
    let (asker, answer) = crate::broker::sync::bounded(1);
    dispatcher.step(Event::Query(Query::Put(Box::new(batch), asker)));
    assert_eq!(answer.recv(), Ok(Ok(())));
    assert_eq!(waiting(&inbox), ["messages"]);
    assert_eq!(reached(&dispatcher, "$dead/a"), [("$dead".to_owned(), true)]);
    // Clearing everything clears nothing of it.
    control(&mut dispatcher, Control::ClearBelow { filter: filter("#", true) });
    settle(&mut dispatcher);
    assert!(dispatcher.tree.get(&topic).is_some());
    assert!(dispatcher.clear(&topic));
}

#[test]
fn a_subscription_takes_the_place_of_one_that_is_spelled_alike() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    let all = |dispatcher: &Dispatcher| {
        assert_eq!(dispatcher.stats().subscriptions, reached(dispatcher, "a").len() as u64);
        reached(dispatcher, "a")
    };
    let (subtree, alone) = (("a".to_owned(), true), ("a".to_owned(), false));
    subscribe(&mut dispatcher, "a", true);
    subscribe(&mut dispatcher, "a", false);
    assert_eq!(all(&dispatcher), std::slice::from_ref(&alone));
    subscribe(&mut dispatcher, "a", true);
    assert_eq!(all(&dispatcher), std::slice::from_ref(&subtree));
    // Both can be had, spelled so that they can be told apart.
    let spelled = ("a/#".to_owned(), true);
    subscribe(&mut dispatcher, "a/#", true);
    subscribe(&mut dispatcher, "a", false);
    assert_eq!(all(&dispatcher), [spelled.clone(), alone.clone()]);
    control(&mut dispatcher, Control::Cancel { filter: filter("a", true) });
    assert_eq!(all(&dispatcher), std::slice::from_ref(&spelled));
    subscribe(&mut dispatcher, "a", false);
    control(&mut dispatcher, Control::Cancel { filter: filter("a/#", true) });
    assert_eq!(all(&dispatcher), std::slice::from_ref(&alone));
    subscribe(&mut dispatcher, "a/#", true);
    subscribe(&mut dispatcher, "a", true);
    assert_eq!(all(&dispatcher), [subtree]);
    control(&mut dispatcher, Control::Cancel { filter: filter("a", false) });
    assert_eq!(all(&dispatcher).len(), 1, "it was another one");
    control(&mut dispatcher, Control::Cancel { filter: filter("a", true) });
    assert_eq!(all(&dispatcher), []);
    let replies = waiting(&inbox);
    assert_eq!(replies.len(), 12, "{replies:?}");
}

/// The memory and the place of the one before are the new one's.
#[test]
fn a_change_of_what_is_below_takes_no_more_room() {
    let (mut dispatcher, inbox) = attached(QueueLimits::default());
    dispatcher.max_subscriptions = 1;
    for below in [true, false, true, false] {
        subscribe(&mut dispatcher, "a", below);
        assert_eq!(waiting(&inbox), ["reply"]);
        assert_eq!(dispatcher.stats().subscriptions, 1);
    }
    subscribe(&mut dispatcher, "b", false);
    assert_eq!(waiting(&inbox), ["error"]);
    control(&mut dispatcher, Control::Cancel { filter: filter("a", true) });
    assert_eq!(dispatcher.stats().subscriptions, 0);
}
