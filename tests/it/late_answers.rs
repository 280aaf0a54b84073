//! Answers that come after a queue stopped waiting for them. The peer is the test itself, so that
//! it can be late.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use babelmq::{JsonQueue, QueueError};

use crate::support::{Client, PATIENCE};

/// Waited out where the peer says nothing, and long enough for the peer to say what it does.
const SHORT: Duration = Duration::from_secs(1);

/// A queue that is subscribed, and its peer.
fn consumer() -> (JsonQueue, Client) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = thread::spawn(move || {
        let mut peer = Client::of(listener.accept().unwrap().0);
        assert_eq!(peer.next().field("command"), "subscribe");
        says(&mut peer, r#"{"command":"subscribed","topic":"/t","values":0}"#);
        peer
    });
    let queue = JsonQueue::builder("/t").address(address).timeout(SHORT).consumer().unwrap();
    (queue, accepting.join().unwrap())
}

fn says(peer: &mut Client, body: &str) {
    peer.send(babelmq::Format::Json, body.as_bytes());
}

/// Answers the ping that comes next.
fn pongs(peer: &mut Client) {
    let ping = peer.next();
    assert_eq!(ping.field("command"), "ping");
    says(peer, &format!(r#"{{"command":"pong","id":{}}}"#, ping.field("id")));
}

fn delivers(peer: &mut Client, queue: &mut JsonQueue, number: i64) {
    says(peer, &format!(r#"{{"command":"publish","topic":"/t","message":{number}}}"#));
    assert_eq!(queue.pull_timeout(PATIENCE).unwrap().1.as_i64(), Some(number));
}

#[test]
fn regression_a_late_cancelled_does_not_confirm_the_next_cancel() {
    let (mut queue, mut peer) = consumer();
    assert!(matches!(queue.cancel(), Err(QueueError::TimedOut)));
    assert_eq!(peer.next().field("command"), "cancel");
    says(&mut peer, r#"{"command":"cancelled","topic":"/t"}"#);
    pongs(&mut peer);
    delivers(&mut peer, &mut queue, 1);
    // This one was not answered.
    let unanswered = queue.cancel();
    assert!(matches!(unanswered, Err(QueueError::TimedOut)), "{unanswered:?}");
    assert!(matches!(queue.flush(), Err(QueueError::TimedOut)));
}

#[test]
fn a_late_pong_does_not_confirm_the_next_flush() {
    let (mut queue, mut peer) = consumer();
    assert!(matches!(queue.flush(), Err(QueueError::TimedOut)));
    pongs(&mut peer);
    delivers(&mut peer, &mut queue, 1);
    assert!(matches!(queue.flush(), Err(QueueError::TimedOut)));
}

#[test]
fn a_late_storage_failed_does_not_end_the_next_flush() {
    let (mut queue, mut peer) = consumer();
    assert!(matches!(queue.flush(), Err(QueueError::TimedOut)));
    assert_eq!(peer.next().field("command"), "ping");
    let failed = r#"{"command":"error","code":"storage-failed","reason":"","fatal":false}"#;
    says(&mut peer, failed);
    delivers(&mut peer, &mut queue, 1);
    assert!(matches!(queue.flush(), Err(QueueError::TimedOut)));
    // This one is answered, with what was late for the one before.
    pongs(&mut peer);
    says(&mut peer, failed);
    match queue.flush() {
        Err(QueueError::Refused(refused)) => assert_eq!(refused.code, "storage-failed"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn late_topics_are_not_those_of_the_next_question() {
    let (mut queue, mut peer) = consumer();
    assert!(matches!(queue.topics(), Err(QueueError::TimedOut)));
    says(&mut peer, r#"{"command":"topics","topics":["late"]}"#);
    says(&mut peer, r#"{"command":"topics","topics":["in time"]}"#);
    let topics = queue.topics().unwrap();
    assert_eq!(topics.iter().map(|topic| topic.as_str()).collect::<Vec<_>>(), ["in time"]);
}
