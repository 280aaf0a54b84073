//! Members of durable consumers.

use std::time::Duration;

use super::fixture::{Line, Plain, wanted, with_orders};
use super::nats::NatsServer;
use crate::broker::{FromBackbone, HowSettled, JoinShared, ToBackbone};
use crate::protocol::{Start, TopicFilter};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn members_at_two_brokers_share_the_work() {
    let (server, plain) = with_orders();
    for at in 0..40 {
        plain.publish("orders.1", &[], &at.to_string());
    }
    let mut lines = [Line::open(&server, None), Line::open(&server, None)];
    assert_eq!(lines[0].join(1, 4), Ok(40));
    let second = lines[1].join(1, 4).unwrap();
    assert!(second <= 40);
    let mut seen = Vec::new();
    let mut op = 0;
    while seen.len() < 40 {
        for line in &mut lines {
            // Never more than its window.
            let mut at_once = Vec::new();
            while let Some((seq, attempt)) = line.delivered_now(1) {
                assert_eq!(attempt, 1);
                at_once.push(seq);
            }
            assert!(at_once.len() <= 4);
            for &seq in &at_once {
                op += 1;
                line.settle(1, seq, HowSettled::Ack, op);
            }
            if !at_once.is_empty() {
                line.settled_up_to(op);
            }
            seen.extend(at_once);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, (1..=40).collect::<Vec<_>>());
    let report = lines[0].ask_for_a_report();
    assert_eq!((report.messages, report.first, report.next), (40, 1, 41));
    let [consumer] = &report.consumers[..] else { panic!("{report:?}") };
    assert_eq!((consumer.name.as_str(), consumer.floor, consumer.outstanding), ("billing", 40, 0));
    assert_eq!((consumer.delivered, consumer.pending, consumer.redelivered), (40, 0, 0));
    assert_eq!(consumer.filter, Some(TopicFilter::parse("orders").unwrap()));
    assert_eq!(consumer.ack_wait, wanted(1).ack_wait);
}

#[test]
fn what_is_settled_stays_so_and_what_is_not_comes_again() {
    let (mut server, plain) = with_orders();
    for text in ["a", "b", "c", "d"] {
        plain.publish("orders.1", &[], text);
    }
    let mut line = Line::open(&server, None);
    line.join(1, 10).unwrap();
    let all: Vec<_> = (0..4).map(|_| line.delivered(1)).collect();
    let expected: Vec<_> =
        (1..).zip(["a", "b", "c", "d"]).map(|(seq, text)| (seq, 1, text.to_owned())).collect();
    assert_eq!(all, expected);
    line.settle(1, 1, HowSettled::Ack, 1);
    line.settle(1, 2, HowSettled::Nak(Duration::ZERO), 2);
    line.settle(1, 3, HowSettled::Term, 3);
    line.settle(1, 4, HowSettled::Touch, 4);
    // Of a message that it has not, there is nothing to be said, and that is answered.
    line.settle(1, 99, HowSettled::Ack, 5);
    line.settled_up_to(5);
    assert_eq!(line.delivered(1), (2, 2, "b".to_owned()));
    line.settle(1, 2, HowSettled::Nak(SECOND), 6);
    assert_eq!(line.delivered(1), (2, 3, "b".to_owned()));
    line.settle(1, 2, HowSettled::Ack, 7);
    line.settled_up_to(7);

    server.stop();
    server.start_again();
    // It is confirmed by a server that was not there when it was said.
    line.settle(1, 4, HowSettled::Ack, 8);
    line.settled_up_to(8);
    let plain = Plain::connect(&server);
    plain.publish("orders.1", &[], "e");
    assert_eq!(line.delivered(1), (5, 1, "e".to_owned()));
    let report = line.ask_for_a_report();
    assert_eq!((report.consumers[0].floor, report.consumers[0].outstanding), (4, 1));
}

#[test]
fn what_a_member_has_goes_to_others_when_it_leaves() {
    let (server, plain) = with_orders();
    for at in 0..6 {
        plain.publish("orders.1", &[], &at.to_string());
    }
    let mut line = Line::open(&server, None);
    line.join(1, 6).unwrap();
    let had: Vec<u64> = (0..6).map(|_| line.delivered(1).0).collect();
    assert_eq!(had, [1, 2, 3, 4, 5, 6]);
    line.settle(1, 2, HowSettled::Ack, 1);
    line.hand(ToBackbone::Leave { member: 1 });
    line.settled_up_to(1);
    // Another has them at once, and not when the time for them is over.
    let mut other = Line::open(&server, None);
    other.join(7, 6).unwrap();
    let mut has: Vec<_> = (0..5).map(|_| other.delivered(7)).map(|got| (got.0, got.1)).collect();
    has.sort_unstable();
    assert_eq!(has, [(1, 2), (3, 2), (4, 2), (5, 2), (6, 2)]);
    // So it is when the whole broker goes.
    drop(other);
    line.join(2, 6).unwrap();
    let has: Vec<u64> = (0..5).map(|_| line.delivered(2).0).collect();
    assert_eq!(has.len(), 5);
}

#[test]
fn what_is_kept_for_too_long_is_another_members() {
    let (server, plain) = with_orders();
    plain.publish("orders.1", &[], "a");
    let mut line = Line::open(&server, None);
    let ack_wait = Duration::from_millis(700);
    let of = |member| JoinShared { window: 1, ack_wait, ..wanted(member) };
    line.join_as(of(1)).unwrap();
    assert_eq!(line.delivered(1), (1, 1, "a".to_owned()));
    line.join_as(of(2)).unwrap();
    let (seq, attempt) = line.delivered_to_any();
    assert_eq!((seq, attempt), (1, 2));
}

#[test]
fn a_consumer_is_one_filters_and_can_be_forgotten() {
    let (server, plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.join(1, 1).unwrap();
    let filter = TopicFilter::parse("orders/eu").unwrap().below(false);
    let refused = line.join_as(JoinShared { filter, ..wanted(2) }).unwrap_err();
    assert!(refused.contains("billing is there already, with the filter orders and"), "{refused}");
    let odd = JoinShared { consumer: Some("a.b".into()), start: Start::New, ..wanted(3) };
    plain.publish("orders.1", &[], "a");
    assert_eq!(line.join_as(odd), Ok(0));
    let names: Vec<_> =
        line.ask_for_a_report().consumers.into_iter().map(|consumer| consumer.name).collect();
    assert_eq!(names, ["a.b", "billing"]);
    let mut remove = |op, name: &str| {
        line.hand(ToBackbone::Remove { consumer: name.into(), op });
        line.wait("Removed", |said| match said {
            FromBackbone::Removed { op: of, removed } if *of == op => Some(removed.clone()),
            _ => None,
        })
    };
    assert_eq!((remove(1, "billing"), remove(2, "billing")), (Ok(true), Ok(false)));
    let gone = line.joined(1).unwrap_err();
    assert!(gone.contains("billing was forgotten"), "{gone}");
    // What it still says is answered.
    line.settle(1, 1, HowSettled::Ack, 9);
    line.settled_up_to(9);
}

#[test]
fn a_consumer_begins_where_it_is_wanted() {
    let (server, plain) = with_orders();
    for (subject, text) in [("orders.1", "a"), ("orders.2", "b"), ("orders.1", "c")] {
        plain.publish(subject, &[], text);
    }
    let mut line = Line::open(&server, None);
    let time = line.arrived(2).0[1].time;
    let starts = [Start::All, Start::Last, Start::New, Start::Seq(2), Start::Time(time + 60_000)];
    for (member, (start, expected)) in (1..).zip(starts.into_iter().zip([3, 2, 0, 2, 0])) {
        let consumer = Some(format!("c{member}").as_str().into());
        let joined = line.join_as(JoinShared { consumer, start, ..wanted(member) });
        assert_eq!(joined, Ok(expected), "{start:?}");
    }
}

#[test]
fn members_go_on_with_a_stream_that_was_made_anew() {
    let server = NatsServer::start();
    let plain = Plain::connect(&server);
    plain.make("orders/#", |_| ());
    let mut line = Line::open(&server, None);
    line.join_as(JoinShared { start: Start::New, ..wanted(1) }).unwrap();
    plain.publish("orders.1", &[], "a");
    assert_eq!(line.delivered(1), (1, 1, "a".to_owned()));
    let epoch = line.arrived(1).1.epoch;
    plain.remove("orders");
    plain.make("orders/#", |_| ());
    plain.publish("orders.1", &[], "b");
    assert_eq!(line.delivered(1), (1, 1, "b".to_owned()));
    let (arrived, position) = line.arrived(1);
    assert!(arrived[0].seq == 1 && position.epoch != epoch);
}
