//! A broker that is stopped while its clients come, go, stall and talk nonsense.

use std::time::Duration;

use shuttle::thread;

use super::client::{Client, Line, any_room};
use super::{explore_broker, patient, start, stop};
use crate::broker::sync::world::{lack_threads, lack_watches, one_in};
use crate::transport::closing::GRACE;

const TOPIC: &str = "t";
const PUBLISHED: u64 = 4;
const DROP_OLDEST: &str = r#","overflow":"drop-oldest""#;

/// Connects a client that has heard that it subscribed, if it could.
fn subscriber(overflow: &str) -> Client {
    let mut client = Client::connect();
    client.subscribe(TOPIC, overflow);
    client.await_line(&Line::Subscribed);
    client
}

/// A message that arrived before a broker was stopped reaches every subscriber that is still there.
#[test]
fn what_arrived_is_delivered() {
    explore_broker("shutdown, delivery", || {
        let broker = patient(GRACE);
        let subscribers = ["", DROP_OLDEST].map(subscriber);
        let mut publisher = Client::connect();
        publisher.ping();
        assert!(publisher.await_line(&Line::Pong));
        drop(subscriber(""));
        for number in 0..PUBLISHED {
            assert!(publisher.publish(TOPIC, number));
        }
        stop(broker);
        let mut expected = vec![Line::Subscribed];
        expected.extend((0..PUBLISHED).map(|number| Line::Message(TOPIC.into(), number)));
        for mut subscriber in subscribers {
            assert_eq!(subscriber.hear_all(), expected);
        }
    });
}

/// Everything ends, whatever clients do meanwhile and however long anything takes.
#[test]
fn everything_ends() {
    explore_broker("shutdown, ends", || {
        let broker = start(Duration::from_secs(2));
        if one_in(2) {
            lack_threads();
            lack_watches();
        }
        let slow = Client::connect_with(any_room());
        slow.subscribe(TOPIC, r#","queue":1"#);
        let mut sober = subscriber("");
        let publisher = Client::connect();
        publisher.ping();
        let stranger = Client::connect();
        // It says nothing, and may be accepted at the last moment.
        let silent = Client::connect();
        let clients = [
            thread::spawn(move || {
                let _ = (0..PUBLISHED).all(|number| publisher.publish(TOPIC, number));
                publisher
            }),
            thread::spawn(move || {
                slow.ping();
                slow
            }),
            thread::spawn(move || {
                stranger.send_bytes(&[0xff; 8]);
                stranger
            }),
        ];
        if one_in(2) {
            stop(broker);
            clients.into_iter().for_each(|client| drop(client.join().unwrap()));
        } else {
            // They are gone meanwhile.
            let [publisher, slow, stranger] = clients;
            let gone =
                [slow, stranger].map(|client| thread::spawn(move || drop(client.join().unwrap())));
            stop(broker);
            drop(publisher.join().unwrap());
            gone.into_iter().for_each(|client| client.join().unwrap());
        }
        drop(silent);
        // However much of it came in time, nothing is missing in between.
        let expected = [Line::Subscribed].into_iter();
        let expected =
            expected.chain((0..PUBLISHED).map(|number| Line::Message(TOPIC.into(), number)));
        for (heard, expected) in sober.hear_all().iter().zip(expected) {
            assert_eq!(*heard, expected);
        }
    });
}
