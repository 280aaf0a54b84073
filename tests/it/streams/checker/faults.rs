//! Histories with one fault each, which the checker has to find.

use super::{Counts, Delivery, Event, Promises, check};

const ALL: &str = "all";
const ORDERED: &str = "ordered";

fn promises() -> Promises {
    let name = |name: &str| name.to_owned();
    Promises {
        consumers: vec![name(ALL), name(ORDERED)],
        ordered: vec![name(ORDERED)],
        attempts_outlive: true,
    }
}

fn sent(number: u64) -> Event {
    Event::Sent { producer: 1, number, topic: "orders/a".to_owned() }
}

fn confirmed(number: u64) -> Event {
    Event::Confirmed { producer: 1, number }
}

/// A message whose number is that of its place, on the connection of the consumer's only member.
fn delivery(consumer: &str, seq: u64) -> Delivery {
    Delivery {
        consumer: consumer.to_owned(),
        connection: if consumer == ALL { 1 } else { 2 },
        seq,
        topic: "orders/a".to_owned(),
        attempt: 1,
        producer: 1,
        number: seq,
    }
}

fn delivered(consumer: &str, seq: u64) -> Event {
    Event::Delivered(delivery(consumer, seq))
}

/// The message comes again on another connection: 9 or 10.
fn again(consumer: &str, seq: u64, attempt: u64) -> Event {
    let first = delivery(consumer, seq);
    Event::Delivered(Delivery { attempt, connection: 8 + first.connection, ..first })
}

fn settled(consumer: &str, seq: u64, rejects: bool) -> [Event; 2] {
    let (connection, consumer) = (delivery(consumer, seq).connection, consumer.to_owned());
    [
        Event::Settled { consumer: consumer.clone(), connection, seq, rejects },
        Event::SettledForGood { consumer, connection, seq, rejects },
    ]
}

fn buried(seq: u64) -> Event {
    Event::Buried { consumer: ALL.to_owned(), seq }
}

/// Three messages; both consumers get them, and one of them is rejected.
fn good() -> Vec<Event> {
    let mut history = vec![sent(1), sent(2), confirmed(1), confirmed(2), sent(3)];
    for consumer in [ALL, ORDERED] {
        history.extend([1, 2, 3].map(|seq| delivered(consumer, seq)));
    }
    history.extend(settled(ALL, 1, false));
    history.extend(settled(ALL, 2, true));
    history.extend(settled(ORDERED, 1, false));
    history.extend([Event::Restarted, buried(2)]);
    history.extend([again(ALL, 3, 1), again(ORDERED, 2, 1), again(ORDERED, 3, 1)]);
    history
}

#[track_caller]
fn finds(history: &[Event], words: &str) {
    let wrong = check(history, &promises()).unwrap_err();
    assert!(wrong.contains(words), "{wrong}");
}

/// The good history, with something in the place of an event.
fn with(event: &Event, instead: impl IntoIterator<Item = Event>) -> Vec<Event> {
    let mut history = good();
    let at = history.iter().position(|other| other == event).unwrap();
    history.splice(at..=at, instead);
    history
}

#[test]
fn a_history_that_is_as_it_should_be_passes() {
    let counts = check(&good(), &promises()).unwrap();
    let expected = Counts { confirmed: 2, kept: 3, delivered: 9, settled: 3, buried: 1 };
    assert_eq!(counts, expected);
    assert_eq!(check(&[], &promises()).unwrap(), Counts::default());
}

#[test]
fn a_confirmed_message_that_a_consumer_never_got_is_found() {
    let mut history = good();
    history.push(sent(4));
    check(&history, &promises()).unwrap();
    history.push(confirmed(4));
    finds(&history, "never got what was confirmed: {(1, 4)}");
    history.push(delivered(ALL, 4));
    finds(&history, "ordered never got what was confirmed: {(1, 4)}");
    let history: Vec<Event> = history.into_iter().filter(|event| *event != confirmed(4)).collect();
    finds(&history, "which others got");
}

#[test]
fn a_message_that_comes_again_after_it_was_settled_for_good_is_found() {
    let mut history = good();
    history.push(again(ALL, 1, 2));
    finds(&history, "settled for good");
    history.pop();
    history.push(again(ALL, 2, 2));
    finds(&history, "settled for good");
    // Within a run another member may have had it on its way, and the same may not.
    let mut history = good();
    history.retain(|event| *event != Event::Restarted);
    let on_its_way =
        |connection| Event::Delivered(Delivery { attempt: 2, connection, ..delivery(ORDERED, 1) });
    history.retain(|event| !matches!(event, Event::Delivered(Delivery { connection: 9 | 10, .. })));
    history.push(on_its_way(8));
    check(&history, &promises()).unwrap();
    history.push(on_its_way(2));
    finds(&history, "settled for good");
}

#[test]
fn an_acknowledgement_that_nothing_confirmed_promises_nothing() {
    let mut history = good();
    history.push(Event::Settled { consumer: ALL.into(), connection: 9, seq: 3, rejects: false });
    history.push(Event::Restarted);
    history.push(Event::Delivered(Delivery { connection: 20, ..delivery(ALL, 3) }));
    check(&history, &promises()).unwrap();
}

#[test]
fn messages_of_a_topic_that_change_places_are_found() {
    // In the stream itself.
    let swapped: Vec<Event> = good()
        .into_iter()
        .map(|event| match event {
            Event::Delivered(delivery) if delivery.number < 3 => {
                Event::Delivered(Delivery { number: 3 - delivery.number, ..delivery })
            }
            event => event,
        })
        .collect();
    finds(&swapped, "one sent before it");
    // On the way to an ordered consumer, to whichever of its members.
    let history = with(&delivered(ORDERED, 1), []);
    let at = history.iter().position(|event| *event == delivered(ORDERED, 3)).unwrap();
    let mut history = history;
    history.insert(at + 1, Event::Delivered(Delivery { connection: 7, ..delivery(ORDERED, 1) }));
    history.retain(|event| {
        !matches!(
            event,
            Event::Settled { connection: 2, .. } | Event::SettledForGood { connection: 2, .. }
        )
    });
    finds(&history, "comes behind");
    // To one member of any consumer.
    let mut history = good();
    let at = history.iter().position(|event| *event == delivered(ALL, 2)).unwrap();
    history.swap(at, at + 1);
    finds(&history, "comes behind 3");
}

#[test]
fn a_hole_and_a_seq_that_two_messages_have_are_found() {
    let mut history = good();
    history.push(sent(5));
    history.extend([delivered(ALL, 5), delivered(ORDERED, 5)]);
    finds(&history, "there is no 4");
    let other = Event::Delivered(Delivery { number: 4, ..delivery(ORDERED, 3) });
    finds(&with(&delivered(ORDERED, 3), [sent(4), other]), "its seq is that of (1, 3)");
    let mut history = good();
    history.push(Event::Delivered(Delivery { number: 3, ..delivery(ALL, 4) }));
    finds(&history, "it is kept as 3 too");
}

#[test]
fn what_nobody_published_or_published_elsewhere_is_found() {
    finds(&with(&sent(3), []), "never published");
    let elsewhere = Delivery { topic: "orders/b".to_owned(), ..delivery(ALL, 1) };
    finds(&with(&delivered(ALL, 1), [Event::Delivered(elsewhere)]), "published to orders/a");
    finds(&with(&sent(1), []), "never sent");
}

#[test]
fn an_attempt_that_does_not_rise_is_found() {
    let mut history = good();
    history.push(again(ORDERED, 2, 1));
    finds(&history, "attempt 1 came before");
    history.pop();
    history.push(again(ORDERED, 2, 2));
    history.push(Event::Restarted);
    check(&history, &promises()).unwrap();
    // The second attempt was written down before it was made.
    history.push(Event::Delivered(Delivery { connection: 20, attempt: 2, ..delivery(ORDERED, 2) }));
    finds(&history, "attempt 2 came before");
    let forgotten = Promises { attempts_outlive: false, ..promises() };
    check(&history, &forgotten).unwrap();
}

#[test]
fn a_dead_letter_that_is_missing_or_of_nothing_is_found() {
    finds(&with(&buried(2), []), "no dead letter of (\"all\", 2)");
    finds(&with(&buried(2), [buried(2), buried(3)]), "nobody rejected it");
}
