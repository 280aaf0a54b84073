//! Queues of streams: nothing is lost, whatever becomes of the connection, and what comes again
//! says so.
#![cfg(all(feature = "storage", feature = "middleware"))]

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use babelmq::{
    Broker, BrokerHandle, ErrorCode, Json, JsonQueue, Pickle, Queue, QueueBuilder, QueueError,
    Start, Storage, StreamDefinition, TopicFilter, Wire, Xml,
};

use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::{PATIENCE, config};

/// A broker with the stream `orders`, in a directory of its own for the test.
fn start(name: &str) -> BrokerHandle {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("durable-{name}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    start_in(&folder)
}

fn start_in(folder: &PathBuf) -> BrokerHandle {
    std::fs::create_dir_all(folder).unwrap();
    let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#").unwrap());
    let storage = Box::new(Storage::open(folder, true).unwrap());
    Broker::start_with(config().streams([orders.unwrap()]), storage).unwrap()
}

fn queue<W: Wire>(address: impl std::fmt::Display) -> QueueBuilder<W> {
    Queue::builder("orders").address(address).timeout(PATIENCE)
}

/// A consumer from the first message on.
fn consumer<W: Wire>(address: impl std::fmt::Display) -> Queue<W> {
    queue(address).durable("billing").start(Start::All).consumer().unwrap()
}

fn publish(broker: &BrokerHandle, numbers: impl IntoIterator<Item = i64>) {
    let mut producer = queue::<Json>(broker.local_addr()).producer().unwrap();
    numbers.into_iter().for_each(|number| producer.push_to("orders/7", &number).unwrap());
    producer.flush().unwrap();
}

fn pull<W: Wire>(queue: &mut Queue<W>) -> i64 {
    queue.pull_as_timeout(PATIENCE).unwrap().1
}

/// What is known of the consumer.
fn shown(broker: &BrokerHandle) -> serde_json::Value {
    let mut client = babelmq::Client::connect(&broker.local_addr().to_string(), PATIENCE).unwrap();
    let consumers = client.consumers(Some("orders")).unwrap();
    let mut all: Vec<serde_json::Value> = serde_json::from_slice(consumers.bytes()).unwrap();
    all.remove(0)
}

#[test]
fn a_pull_acknowledges_the_one_before() {
    fn check<W: Wire>() {
        let broker = start(&format!("pull-{}", W::FORMAT));
        publish(&broker, 1..=3);
        let mut queue = consumer::<W>(broker.local_addr());
        assert_eq!((pull(&mut queue), pull(&mut queue)), (1, 2));
        drop(queue);
        let mut queue = consumer::<W>(broker.local_addr());
        let again = queue.pull_message_timeout(PATIENCE).unwrap();
        let origin = again.origin.as_ref().unwrap();
        assert_eq!((origin.seq, origin.attempt, &*origin.stream), (2, 2, "orders"));
        assert_eq!(origin.consumer.as_deref(), Some("billing"));
        assert!(origin.time.elapsed().unwrap() < PATIENCE);
        assert_eq!(again.topic.as_str(), "orders/7");
        // By hand it stays unsettled, whatever is pulled after it.
        assert_eq!(pull(&mut queue), 3);
        assert!(again.ack() && queue.ack() && !queue.ack());
        queue.flush().unwrap();
        assert_eq!(shown(&broker)["pending"], 0);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_message_is_settled_by_hand_from_another_thread() {
    let broker = start("hand");
    publish(&broker, 1..=3);
    let builder = queue::<Xml>(broker.local_addr()).durable("billing").start(1).window(3);
    let mut queue = builder.backoff([Duration::from_millis(1)]).consumer().unwrap();
    let mut next = || queue.pull_message_timeout(PATIENCE).unwrap();
    let (first, second, third) = (next(), next(), next());
    // The window is full, so the next comes only when something is settled while the queue waits.
    let settles = thread::spawn(move || {
        assert!(first.touch() && first.nak(None) && second.ack() && third.reject("no \"such\" <>"));
    });
    let again = next();
    settles.join().unwrap();
    assert_eq!((again.value.as_i64(), again.origin.as_ref().unwrap().attempt), (Some(1), 2));
    assert!(again.nak(Duration::from_millis(2)));
    assert_eq!(next().origin.unwrap().attempt, 3);
    until("the third is dead", || shown(&broker)["dead"] == 1);
    let letters = JsonQueue::builder("$dead").address(broker.local_addr()).start(Start::All);
    let letter = letters.consumer().unwrap().pull_message_timeout(PATIENCE).unwrap();
    assert_eq!(
        letter.value.get("reason").and_then(|reason| reason.as_str()),
        Some("no \"such\" <>")
    );
    assert!(!letter.ack(), "a follower settles nothing");
}

#[test]
fn what_cannot_be_read_is_a_dead_letter() {
    let broker = start("unreadable");
    publish(&broker, 1..=2);
    let mut queue = consumer::<Json>(broker.local_addr());
    let error = queue.pull_as::<String>().unwrap_err();
    assert!(matches!(error, QueueError::Type(_)), "{error}");
    assert_eq!(pull(&mut queue), 2);
    queue.ack();
    queue.flush().unwrap();
    until("it is dead", || shown(&broker)["dead"] == 1 && shown(&broker)["pending"] == 0);
}

#[test]
fn what_was_not_acknowledged_comes_again_on_the_next_connection() {
    let broker = start("again");
    let proxy = Proxy::to(broker.local_addr());
    publish(&broker, 1..=5);
    let mut queue = consumer::<Pickle>(proxy.address);
    assert_eq!((pull(&mut queue), pull(&mut queue)), (1, 2));
    queue.flush().unwrap();
    let third = queue.pull_message_timeout(PATIENCE).unwrap();
    // That has acknowledged the second.
    queue.flush().unwrap();
    proxy.cut();
    // It is noticed by this, and what waited in the queue is forgotten.
    queue.flush().unwrap();
    let again = queue.pull_message_timeout(PATIENCE).unwrap();
    assert_eq!((again.value.as_i64(), again.origin.as_ref().unwrap().attempt), (Some(3), 2));
    assert!(!third.ack(), "its connection is gone");
    assert!(again.ack());
    // What waited in the queue is not pulled twice.
    assert_eq!((pull(&mut queue), pull(&mut queue)), (4, 5));
    queue.ack();
    queue.flush().unwrap();
    assert_eq!(shown(&broker)["pending"], 0);
    let timed_out = queue.pull_timeout(Duration::from_millis(20));
    assert!(matches!(timed_out, Err(QueueError::TimedOut)), "{timed_out:?}");
}

#[test]
fn a_follower_misses_nothing_and_sees_nothing_twice() {
    let broker = start("follower");
    let proxy = Proxy::to(broker.local_addr());
    publish(&broker, 1..=3);
    let mut queue = queue::<Json>(proxy.address).start(2).consumer().unwrap();
    assert_eq!(pull(&mut queue), 2);
    for number in 3..8 {
        proxy.cut();
        publish(&broker, [number + 1]);
        assert_eq!(pull(&mut queue), number);
    }
    let error = queue.subscribe_to("orders/8").unwrap_err();
    assert!(matches!(error, QueueError::Options(_)), "{error}");
}

/// It has no message yet that would say how far it is.
#[test]
fn a_follower_that_lost_its_connection_before_the_first_message_misses_none() {
    fn check<W: Wire>() {
        let broker = start(&format!("follower-new-{}", W::FORMAT));
        let proxy = Proxy::to(broker.local_addr());
        publish(&broker, [1]);
        let mut queue = queue::<W>(proxy.address).start(Start::New).consumer().unwrap();
        proxy.cut();
        publish(&broker, [2, 3]);
        assert_eq!((pull(&mut queue), pull(&mut queue)), (2, 3));
        // What is asked for anew begins as it was asked for.
        queue.cancel().unwrap();
        publish(&broker, [4]);
        queue.subscribe_to("orders").unwrap();
        publish(&broker, [5]);
        assert_eq!(pull(&mut queue), 5);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn what_was_pushed_reliably_is_kept_once_however_often_the_connection_is_lost() {
    fn check<W: Wire>() {
        let broker = start(&format!("reliable-{}", W::FORMAT));
        let proxy = Proxy::to(broker.local_addr());
        let builder = Queue::<W>::builder("orders/7").address(proxy.address).timeout(PATIENCE);
        let mut producer = builder.reliable(true).producer().unwrap();
        for number in 0..2_000 {
            if number % 300 == 299 {
                proxy.cut();
            }
            producer.push(&number).unwrap();
        }
        producer.flush().unwrap();
        assert_eq!(producer.unconfirmed(), 0);
        let mut queue = consumer::<Json>(broker.local_addr());
        for number in 0..2_000 {
            assert_eq!(pull(&mut queue), number, "in order, and each once");
        }
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_reliable_push_does_not_wait_for_a_broker_until_much_is_kept() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("durable-away");
    let _ = std::fs::remove_dir_all(&folder);
    let broker = start_in(&folder);
    let address = broker.local_addr();
    let builder = Queue::<Json>::builder("orders/7").address(address);
    let builder = builder.timeout(Duration::from_millis(100)).reliable(true);
    let mut producer = builder.producer().unwrap();
    producer.push(&0).unwrap();
    producer.flush().unwrap();
    broker.close().unwrap();
    let mut pushed = 0;
    while producer.push(&(pushed + 1)).is_ok() {
        pushed += 1;
    }
    assert_eq!((pushed, producer.unconfirmed()), (16_384, 16_384));
    let orders = StreamDefinition::new("orders", TopicFilter::parse("orders/#").unwrap());
    let config = babelmq::Config::listening_on(address).streams([orders.unwrap()]);
    let mut broker = None;
    until("the address is free", || {
        let storage = Box::new(Storage::open(&folder, true).unwrap());
        broker = Broker::start_with(config.clone(), storage).ok();
        broker.is_some()
    });
    until("all is confirmed", || producer.flush().is_ok());
    let mut queue = consumer::<Json>(address);
    assert!((0..=pushed).all(|number| pull(&mut queue) == number));
}

#[test]
fn an_id_of_the_program_keeps_a_message_once_and_the_last_are_found() {
    let broker = start("ids");
    let mut producer =
        Queue::<Xml>::builder("orders/7").address(broker.local_addr()).producer().unwrap();
    for (value, id) in [(1, "a"), (1, "a"), (2, "b")] {
        producer.push_with_id(&value, id).unwrap();
    }
    producer.flush().unwrap();
    let last = producer.get_last("orders/7", 10).unwrap();
    let values: Vec<_> = last.iter().map(|one| one.value.as_i64().unwrap()).collect();
    assert_eq!(values, [1, 2]);
    assert_eq!(producer.get_last("orders/7", 1).unwrap()[0].origin.as_ref().unwrap().seq, 2);
    assert!(producer.get_last("orders/none", 1).unwrap().is_empty());
    let error = producer.get_last("weather", 1).unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NoStream));
    for error in
        [producer.get_last("a", 0).unwrap_err(), producer.push_with_id(&1, "").unwrap_err()]
    {
        assert_eq!(error.code(), Some(ErrorCode::InvalidField));
    }
}
