//! Histories with one lie each, which the checker has to find.

use std::collections::BTreeMap;

use super::{Counts, Delivery, Ending, Event, check};

const A: &str = "orders/a";
const B: &str = "orders/b";

fn values(values: &[(&str, i64)]) -> BTreeMap<String, i64> {
    values.iter().map(|(topic, number)| ((*topic).to_owned(), *number)).collect()
}

fn sent(connection: u64, number: i64) -> Event {
    let topic = if number == 2 { B } else { A };
    Event::Sent { connection, number, topic: topic.to_owned() }
}

fn subscribed(connection: u64, of: &[(&str, i64)]) -> Event {
    Event::Subscribed { connection, values: values(of), may_be_newer: false }
}

fn heard(connection: u64, number: i64) -> Event {
    let topic = if number == 2 { B } else { A };
    Event::Heard { connection, topic: topic.to_owned(), number }
}

fn delivery(seq: u64, number: i64) -> Delivery {
    let topic = if number == 2 { B } else { A };
    let (consumer, topic) = ("billing".to_owned(), topic.to_owned());
    Delivery { consumer, connection: 20, seq, topic, number, attempt: 1, time: 0 }
}

fn delivered(seq: u64, number: i64) -> Event {
    Event::Delivered(delivery(seq, number))
}

fn settled(seq: u64, time: u64) -> Event {
    Event::Settled { consumer: "billing".to_owned(), seq, time }
}

fn followed(follower: usize, seq: u64, number: i64) -> Event {
    let topic = if number == 2 { B } else { A };
    Event::Followed { follower, seq, topic: topic.to_owned(), number }
}

/// Messages 1 to 4, and `orders/b` is cleared behind the third. One subscriber is there all the
/// time, one from the third message to the end, one goes in the middle.
fn good() -> (Vec<Event>, Ending) {
    let mut history = vec![sent(1, 1), sent(1, 2), subscribed(7, &[])];
    history.extend([heard(7, 1), heard(7, 2), Event::Confirmed { number: 1 }]);
    history.extend([subscribed(8, &[(A, 1), (B, 2)]), subscribed(9, &[(A, 1), (B, 2)])]);
    history.extend([sent(1, 3), sent(1, 4), heard(9, 3), heard(8, 3), heard(7, 3)]);
    history.extend([heard(8, 4), heard(7, 4), Event::Confirmed { number: 4 }]);
    history.extend([delivered(1, 1), delivered(2, 2), delivered(3, 3), delivered(5, 4)]);
    history.extend([settled(1, 100), settled(2, 100), subscribed(10, &[(A, 4)])]);
    history.extend([followed(0, 1, 1), followed(0, 2, 2), followed(0, 3, 3), followed(0, 5, 4)]);
    let kept = |topic: &str, number| (topic.to_owned(), number);
    let stream =
        vec![kept(A, Some(1)), kept(B, Some(2)), kept(A, Some(3)), kept(B, None), kept(A, Some(4))];
    let last = values(&[(A, 4)]);
    let ending = Ending {
        stream,
        values: vec![last.clone(), last],
        present: [7, 8, 10].into(),
        consumers: vec!["billing".to_owned()],
    };
    (history, ending)
}

#[track_caller]
fn finds(history: &[Event], ending: &Ending, words: &str) {
    let wrong = check(history, ending).unwrap_err();
    assert!(wrong.contains(words), "{wrong}");
}

/// The good history with something in the place of an event has a fault that is said so.
#[track_caller]
fn finds_with(event: &Event, instead: impl IntoIterator<Item = Event>, words: &str) {
    let (mut history, ending) = good();
    let at = history.iter().position(|other| other == event).unwrap();
    history.splice(at..=at, instead);
    finds(&history, &ending, words);
}

#[test]
fn a_history_that_is_as_it_should_be_passes() {
    let (history, ending) = good();
    let expected = Counts {
        confirmed: 2,
        kept: 5,
        subscribers: 4,
        heard: 7,
        delivered: 4,
        settled: 2,
        followed: 4,
    };
    assert_eq!(check(&history, &ending), Ok(expected));
    assert_eq!(check(&[], &Ending::default()), Ok(Counts::default()));
    // One that subscribes before or behind what was cleared.
    for begun in [&[(A, 3), (B, 2)][..], &[(A, 3)]] {
        let (mut history, ending) = good();
        history.extend([subscribed(11, begun), heard(11, 4)]);
        check(&history, &ending).unwrap();
    }
}

#[test]
fn what_was_confirmed_and_is_not_there_is_found() {
    let (mut history, ending) = good();
    history.extend([sent(1, 5), Event::Confirmed { number: 5 }]);
    finds(&history, &ending, "it is not in the stream");
}

#[test]
fn a_stream_that_has_something_twice_or_of_nobody_is_found() {
    let (history, mut ending) = good();
    ending.stream.push((A.to_owned(), Some(4)));
    finds(&history, &ending, "4 is in the stream twice");
    ending.stream.pop();
    ending.stream.push((A.to_owned(), Some(9)));
    finds(&history, &ending, "was never sent there");
    ending.stream.pop();
    ending.stream.push((B.to_owned(), Some(3)));
    finds(&history, &ending, "3 of orders/b is message 5, and was never sent there");
}

#[test]
fn what_one_that_follows_misses_or_has_twice_is_found() {
    finds_with(&followed(0, 2, 2), [], "it follows, and Some(2) was to come");
    finds_with(&followed(0, 5, 4), [], "follower 0 never got message 5");
    let twice = [followed(0, 2, 2), followed(0, 2, 2)];
    finds_with(&followed(0, 2, 2), twice, "Some(3) was to come");
    let more = [followed(0, 5, 4), followed(0, 6, 4)];
    finds_with(&followed(0, 5, 4), more, "it follows, and None was to come");
    finds_with(&followed(0, 3, 3), [followed(0, 3, 1)], "the stream has");
}

#[test]
fn messages_of_a_producer_that_change_places_are_found() {
    let (mut history, ending) = good();
    let at = |event: Event| good().0.iter().position(|other| *other == event).unwrap();
    history.swap(at(sent(1, 1)), at(sent(1, 3)));
    finds(&history, &ending, "behind message");
    // Not what was sent again, nor what another connection sent.
    history.push(sent(2, 3));
    check(&history, &ending).unwrap();
}

#[test]
fn a_subscriber_that_misses_repeats_or_swaps_something_is_found() {
    finds_with(&heard(7, 2), [], "it heard 3 of orders/a, and Some((\"orders/b\", 2)) was to come");
    finds_with(&heard(8, 3), [heard(8, 3), heard(8, 3)], "it heard 3");
    finds_with(&heard(7, 1), [heard(7, 2), heard(7, 1)], "subscriber 7");
    finds_with(&heard(8, 4), [], "it never heard (\"orders/a\", 4)");
    finds_with(&heard(7, 1), [heard(7, 6)], "nobody stored 6");
    // A loop: it comes once more when all is over.
    finds_with(&heard(7, 4), [heard(7, 4), heard(7, 3)], "it heard 3");
}

#[test]
fn a_subscriber_that_begins_with_other_values_is_found() {
    let right = subscribed(8, &[(A, 1), (B, 2)]);
    for wrong in [&[(A, 1)][..], &[(A, 3), (B, 2)], &[], &[(A, 1), (B, 2), ("orders/c", 3)]] {
        finds_with(&right, [subscribed(8, wrong)], "it began with");
    }
    // One that is there and has heard nothing has the last values.
    finds_with(&subscribed(10, &[(A, 4)]), [subscribed(10, &[(A, 3)])], "never those");
}

#[test]
fn after_a_kill_values_may_be_newer_and_not_older() {
    let with = |of: &[(&str, i64)]| {
        let (mut history, ending) = good();
        let newer = Event::Subscribed { connection: 12, values: values(of), may_be_newer: true };
        history.extend([newer, heard(12, 3)]);
        check(&history, &ending)
    };
    for fine in [&[(A, 1), (B, 2)][..], &[(A, 3), (B, 2)], &[(A, 4)], &[(A, 3)]] {
        with(fine).unwrap();
    }
    for wrong in [&[(B, 2)][..], &[]] {
        assert!(with(wrong).unwrap_err().contains("it began with"), "{wrong:?}");
    }
}

#[test]
fn what_a_consumer_never_got_is_found() {
    finds_with(&delivered(2, 2), [], "billing never got 2 of orders/b");
}

#[test]
fn a_delivery_of_something_else_is_found() {
    finds_with(&delivered(2, 2), [delivered(2, 1)], "the stream has");
    finds_with(&delivered(2, 2), [delivered(4, 2)], "the stream has");
    finds_with(&delivered(2, 2), [delivered(9, 2)], "the stream has None");
}

#[test]
fn what_comes_again_though_it_was_settled_for_good_is_found() {
    let (mut history, ending) = good();
    let again = |time| Event::Delivered(Delivery { attempt: 2, time, ..delivery(1, 1) });
    history.push(again(200));
    check(&history, &ending).unwrap();
    history.pop();
    history.push(again(6_000));
    finds(&history, &ending, "it was settled for good at 100");
}

#[test]
fn attempts_that_do_not_ascend_are_found() {
    let (mut history, ending) = good();
    history.push(delivered(3, 3));
    finds(&history, &ending, "attempt 1 came before");
    // Of another member nobody knows when it was sent.
    history.pop();
    history.push(Event::Delivered(Delivery { connection: 21, ..delivery(3, 3) }));
    check(&history, &ending).unwrap();
}

#[test]
fn brokers_that_do_not_agree_are_found() {
    for wrong in [&[(A, 3)][..], &[(A, 4), (B, 2)], &[]] {
        let (history, mut ending) = good();
        ending.values[1] = values(wrong);
        finds(&history, &ending, "broker 1 has");
    }
}
