//! Clients of a broker that runs: what it owes them comes whether it is stopped or not.

use std::time::Duration;

use super::client::{Client, Line, any_room};
use super::{explore_broker, patient, stop};
use crate::broker::sync::world::{lack_threads, one_in};
use crate::transport::closing::GRACE;

const TOPIC: &str = "t";
const PUBLISHED: u64 = 3;

/// Every message reaches both subscribers, once and in order, while the next is waited for: whether
/// sessions are parked, or writers rest, or the system lacks threads.
#[test]
fn messages_are_delivered_while_the_broker_runs() {
    explore_broker("delivery", || {
        let broker = patient(GRACE);
        if one_in(4) {
            lack_threads();
        }
        let overflow = ["", r#","overflow":"drop-oldest""#];
        let mut subscribers = overflow.map(|overflow| {
            let client = Client::connect_with(any_room());
            client.subscribe(TOPIC, overflow);
            client
        });
        let mut publisher = Client::connect();
        let mut expected = vec![Line::Subscribed];
        assert!(subscribers.iter_mut().all(|client| client.await_line(&Line::Subscribed)));
        for number in 0..PUBLISHED {
            assert!(publisher.publish(TOPIC, number));
            expected.push(Line::Message(TOPIC.into(), number));
            if one_in(2) {
                publisher.ping();
                assert!(publisher.await_line(&Line::Pong));
            }
            for subscriber in &mut subscribers {
                subscriber.hear();
                assert_eq!(subscriber.heard, expected);
            }
        }
        drop(publisher);
        stop(broker);
        for subscriber in &mut subscribers {
            assert_eq!(subscriber.hear_all(), expected);
        }
    });
}

/// A subscriber that does not read hears everything up to where it was cut off, and why; or it was
/// not, and hears everything.
#[test]
fn a_slow_consumer_is_told() {
    explore_broker("slow consumer", || {
        let broker = patient(Duration::from_millis(10));
        let mut slow = Client::connect_with(any_room());
        slow.subscribe(TOPIC, r#","queue":1"#);
        let mut publisher = Client::connect();
        assert!(slow.await_line(&Line::Subscribed));
        for number in 0..2 * PUBLISHED {
            publisher.publish(TOPIC, number);
        }
        publisher.ping();
        assert!(publisher.await_line(&Line::Pong));
        slow.ping();
        let (mut next, mut is_told) = (0, false);
        while let Some(line) = slow.hear() {
            assert!(!is_told, "{:?}", slow.heard);
            match line {
                Line::Message(_, number) => {
                    assert_eq!(number, next, "{:?}", slow.heard);
                    next += 1;
                }
                Line::Error(code) => {
                    assert_eq!(code, "slow-consumer");
                    is_told = true;
                }
                Line::Pong => {
                    assert_eq!(next, 2 * PUBLISHED, "{:?}", slow.heard);
                    slow.finish();
                }
                other => panic!("{other:?}"),
            }
        }
        assert!(is_told || next == 2 * PUBLISHED, "{:?}", slow.heard);
        drop(slow);
        drop(publisher);
        stop(broker);
    });
}

/// A client that sends no frames hears what is wrong with that before the connection ends, whatever
/// else it has sent; and what it asked for before is answered before.
#[test]
fn who_talks_nonsense_is_told() {
    explore_broker("nonsense", || {
        let broker = patient(Duration::from_millis(10));
        // Where another one's writer has the thread, the stranger's is in the pool.
        let other = one_in(2).then(|| {
            let mut other = Client::connect();
            other.ping();
            assert!(other.await_line(&Line::Pong));
            other
        });
        let mut stranger = Client::connect_with(any_room());
        stranger.ping();
        // The broker may have had enough before it was all.
        stranger.send_bytes(&[0xff; 600]);
        assert_eq!(stranger.hear_all(), [Line::Pong, Line::Error("unknown-format".into())]);
        drop((stranger, other));
        stop(broker);
    });
}
