//! Who is connected, as an administrator sees it, and the end of a connection by one.

use super::*;
use crate::broker::ClientReport;
use crate::broker::sync::bounded;

fn connect(dispatcher: &mut Dispatcher, number: u64, limits: QueueLimits) -> Inbox {
    let (outbox, inbox) = outbox(limits);
    let peer = Peer::Tcp(([127, 0, 0, 1], 1).into());
    let client = ClientId(number);
    dispatcher.step(Event::Attach { client, peer, rights: Rights::Everything, outbox });
    inbox
}

fn listen(dispatcher: &mut Dispatcher, number: u64, filter: &str, how: (Overflow, Option<u32>)) {
    let filter = TopicFilter::parse(filter).unwrap();
    let (overflow, queue) = how;
    let dialect = Dialect::Xml;
    let control = Control::Subscribe {
        filter,
        dialect,
        overflow,
        queue,
        names: None,
        cleared: false,
        values: true,
        durable: None,
    };
    let (client, steps) = (ClientId(number), vec![Step::Control(Token::default(), control)]);
    dispatcher.step(Event::Steps { client, steps, queued: Queued::nothing() });
}

fn look(dispatcher: &mut Dispatcher, numbers: &[u64]) -> (Vec<ClientReport>, usize) {
    let (asker, answer) = bounded(1);
    let clients = numbers.iter().map(|number| ClientId(*number)).collect();
    dispatcher.step(Event::Query(Query::Clients(clients, asker)));
    answer.recv().unwrap()
}

fn look_at(dispatcher: &mut Dispatcher, number: u64) -> ClientReport {
    look(dispatcher, &[number]).0.pop().unwrap()
}

fn disconnect(dispatcher: &mut Dispatcher, number: u64) -> bool {
    let (asker, answer) = bounded(1);
    dispatcher.step(Event::Query(Query::Disconnect(ClientId(number), asker)));
    answer.recv().unwrap()
}

#[test]
fn what_waits_is_told_of_each_queue_and_who_is_behind_is_slow() {
    let mut dispatcher = Dispatcher::default();
    let limits = QueueLimits::default();
    let inbox = connect(&mut dispatcher, 1, limits);
    listen(&mut dispatcher, 1, "all/#", (Overflow::Disconnect, Some(10)));
    listen(&mut dispatcher, 1, "oldest", (Overflow::DropOldest, Some(4)));
    listen(&mut dispatcher, 1, "newest/#", (Overflow::Latest, None));
    let fresh = look_at(&mut dispatcher, 1);
    assert_eq!((fresh.waiting, fresh.is_slow, fresh.subscription_count), (0, false, 3));
    for topic in ["all/a", "newest/a", "newest/a", "newest/b", "oldest", "oldest"] {
        publish(&mut dispatcher, topic, false);
    }
    let some = look_at(&mut dispatcher, 1);
    assert_eq!((some.waiting, some.delivered, some.is_slow), (5, 6, false));
    assert!(some.waiting_bytes > 0 && some.user.is_none());
    for _ in 0..3 {
        publish(&mut dispatcher, "oldest", false);
    }
    let behind = look_at(&mut dispatcher, 1);
    assert_eq!((behind.waiting, behind.dropped, behind.is_slow), (7, 1, true));
    let mut told: Vec<_> = behind
        .subscriptions
        .iter()
        .map(|one| (one.filter.as_str(), one.overflow, one.waiting, one.dropped))
        .collect();
    told.sort_unstable_by_key(|(filter, ..)| *filter);
    let expected = [
        ("all/#", Overflow::Disconnect, 0, 0),
        ("newest/#", Overflow::Latest, 2, 0),
        ("oldest", Overflow::DropOldest, 4, 1),
    ];
    assert_eq!(told, expected);
    assert!(behind.subscriptions.iter().all(|one| one.format == Format::Xml));
    let counts = &dispatcher.counts;
    assert_eq!((counts.delivered, counts.dropped), (9, 1));
    let samples: Vec<String> = dispatcher
        .stats()
        .samples()
        .filter(|(metric, _)| ["delivered", "dropped"].contains(&metric.name))
        .map(|(_, samples)| format!("{samples:?}"))
        .collect();
    let of = |label: &str, count: u64| format!("labels: [\"{label}\"], number: Whole({count})");
    assert!(samples[0].contains(&of("xml", 9)) && samples[0].contains(&of("json", 0)));
    assert!(samples[1].contains(&of("drop-oldest", 1)) && samples[1].contains(&of("latest", 0)));
    drop(inbox);
}

#[test]
fn the_outbox_of_who_does_not_read_is_slow_before_it_is_full() {
    let mut dispatcher = Dispatcher::default();
    let limits = QueueLimits { messages: 10, ..QueueLimits::default() };
    let inbox = connect(&mut dispatcher, 1, limits);
    listen(&mut dispatcher, 1, "t", (Overflow::Disconnect, None));
    for _ in 0..5 {
        publish(&mut dispatcher, "t", false);
    }
    assert!(!look_at(&mut dispatcher, 1).is_slow);
    publish(&mut dispatcher, "t", false);
    assert!(look_at(&mut dispatcher, 1).is_slow);
    drop(inbox);
}

/// Everybody else waits meanwhile.
#[test]
fn few_clients_are_looked_at_together_and_few_subscriptions_told() {
    let mut dispatcher = Dispatcher::default();
    let inboxes: Vec<Inbox> =
        (0..250).map(|number| connect(&mut dispatcher, number, QueueLimits::default())).collect();
    for number in 0..30 {
        listen(&mut dispatcher, 3, &format!("t/{number}"), (Overflow::Disconnect, None));
    }
    let numbers: Vec<u64> = (0..250).collect();
    let (reports, looked_at) = look(&mut dispatcher, &numbers);
    assert_eq!((reports.len(), looked_at), (100, 100));
    assert!(reports.iter().map(|report| report.client.0).eq(0..100));
    assert_eq!((reports[3].subscriptions.len(), reports[3].subscription_count), (20, 30));
    // Who is not there is no reason to stop.
    let (reports, looked_at) = look(&mut dispatcher, &[900, 7, 901, 8]);
    assert_eq!((reports.len(), looked_at), (2, 4));
    // Each mailbox has a lock.
    for number in 0..5_000 {
        listen(&mut dispatcher, 9, &format!("m/{number}"), (Overflow::DropOldest, None));
    }
    let (reports, looked_at) = look(&mut dispatcher, &numbers[8..]);
    assert_eq!((reports.len(), looked_at), (2, 2));
    drop(inboxes);
}

#[test]
fn who_is_disconnected_is_told_and_gets_nothing_else() {
    let (mut dispatcher, mut inbox) = attached(QueueLimits::default());
    subscribe(&mut dispatcher, "t", None);
    publish(&mut dispatcher, "t", true);
    assert!(disconnect(&mut dispatcher, CLIENT.0));
    let Some((Delivery::Reply { reply: Reply::Error(refusal), .. }, _)) = inbox.next_waiting()
    else {
        panic!("it is told");
    };
    assert_eq!(refusal.code, ErrorCode::Disconnected);
    assert!(refusal.code.is_fatal());
    assert!(inbox.wait().is_none(), "the outbox is closed");
    let stats = dispatcher.stats();
    assert_eq!((stats.subscriptions, stats.slow_consumers), (0, 0), "it was not too slow");
    assert!(!disconnect(&mut dispatcher, CLIENT.0), "it is not there any more");
    assert!(!disconnect(&mut dispatcher, 900));
    dispatcher.step(Event::Detach { client: CLIENT });
    assert!(dispatcher.cut_off.is_empty());
}
