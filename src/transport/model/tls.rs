//! Connections by TLS: the session opens what the writer seals with the same state.

use shuttle::thread;

use super::client::{Client, Line, any_room};
use super::{explore_broker, start_with, stop};
use crate::broker::sync::world::{never_waits_for, one_in};
use crate::transport::closing::GRACE;
use crate::transport::net::Text;

const TOPIC: &str = "t";
const PUBLISHED: u64 = 4;

/// While messages are written to a client, it changes its keys and asks the broker for the same:
/// what the session has to answer goes where the writer is between two records, and every message
/// arrives, those that were there when the broker was stopped too.
#[test]
fn keys_change_while_messages_are_delivered() {
    explore_broker("TLS", || {
        never_waits_for(GRACE);
        let broker = start_with(Text::Tls, 2 * GRACE);
        let mut subscriber = Client::connect_with(any_room());
        subscriber.subscribe(TOPIC, "");
        assert!(subscriber.await_line(&Line::Subscribed));
        let mut publisher = Client::connect();
        publisher.ping();
        assert!(publisher.await_line(&Line::Pong));
        for number in 0..PUBLISHED {
            assert!(publisher.publish(TOPIC, number));
            if one_in(2) {
                subscriber.change_keys();
                assert!(subscriber.ping());
            }
            if one_in(2) {
                assert!(subscriber.await_line(&Line::Message(TOPIC.into(), number)));
            }
        }
        // Of two connections, either may be read to its end first.
        publisher.ping();
        assert!(publisher.await_line(&Line::Pong));
        let stopping = thread::spawn(move || stop(broker));
        let mut heard = subscriber.hear_all().to_vec();
        heard.retain(|line| matches!(line, Line::Message(..)));
        let expected = (0..PUBLISHED).map(|number| Line::Message(TOPIC.into(), number));
        assert_eq!(heard, expected.collect::<Vec<_>>());
        drop(publisher);
        stopping.join().unwrap();
    });
}
