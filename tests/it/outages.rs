//! Queues whose broker goes away and comes back.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use babelmq::{
    Broker, BrokerHandle, Client, Config, ConnectionEvent, ErrorCode, Format, Json, JsonQueue,
    Limits, ListenUrl, Message, Overflow, Pickle, Publish, Queue, QueueBuilder, QueueError,
    Subscribe, Topic, TopicFilter, Value, Wire, Xml,
};

use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::{self, PATIENCE, start};

const SHORT: Duration = Duration::from_millis(20);

/// A broker at an address that another had.
fn start_at(address: SocketAddr) -> BrokerHandle {
    start_as(&Config::listening_on(address))
}

fn start_as(config: &Config) -> BrokerHandle {
    let mut broker = None;
    // The one before may be about to let the address go.
    until("the address is free", || {
        broker = Broker::start(config.clone()).ok();
        broker.is_some()
    });
    broker.unwrap()
}

fn at<W: Wire>(address: SocketAddr, topic: &str) -> QueueBuilder<W> {
    Queue::builder(topic).address(address).timeout(PATIENCE)
}

/// A builder, and what its queue says of its connection.
fn watched<W: Wire>(builder: QueueBuilder<W>) -> (QueueBuilder<W>, Receiver<ConnectionEvent>) {
    let (tell, told) = channel();
    (builder.on_connection(move |event| drop(tell.send(event.clone()))), told)
}

fn number<W: Wire>(queue: &mut Queue<W>) -> i64 {
    queue.pull_timeout(PATIENCE).unwrap().1.as_i64().unwrap()
}

#[test]
fn a_consumer_goes_on_when_its_broker_was_restarted() {
    fn check<W: Wire>() {
        let broker = start();
        let address = broker.local_addr();
        let (builder, told) = watched(at::<W>(address, "/t"));
        let mut queue = builder.consumer().unwrap();
        broker.put_topic("/t", &1.into()).unwrap();
        assert_eq!(number(&mut queue), 1);
        broker.shutdown();
        assert!(matches!(queue.pull_timeout(SHORT), Err(QueueError::TimedOut)));
        assert!(!queue.is_connected());
        let broker = start_at(address);
        broker.put_topic("/t", &2.into()).unwrap();
        assert_eq!(number(&mut queue), 2);
        broker.put_topic("/t/below", &3.into()).unwrap();
        assert_eq!(number(&mut queue), 3);
        assert!(queue.is_connected());
        let said: Vec<_> = told.try_iter().collect();
        let is_lost = |event: &ConnectionEvent| matches!(event, ConnectionEvent::Lost { .. });
        assert_eq!(said.first(), Some(&ConnectionEvent::Connected));
        assert!(is_lost(&said[1]), "{said:?}");
        assert_eq!(said.last(), Some(&ConnectionEvent::Connected));
        assert_eq!(said.iter().filter(|event| is_lost(event)).count(), 1, "{said:?}");
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_connection_that_an_administrator_has_ended_is_made_again() {
    let urls = ["127.0.0.1:0", "http://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let broker = Broker::start(Config::default().listeners(urls)).unwrap();
    let (builder, told) = watched(at::<Xml>(broker.local_addr(), "/t"));
    let mut queue = builder.consumer().unwrap();
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(number(&mut queue), 1);
    let client = broker.list_subscriptions("/t").unwrap()[0].client;
    let mut web = TcpStream::connect(broker.http_addr()).unwrap();
    let line = format!("DELETE /api/v1/clients?id={client} HTTP/1.1");
    write!(web, "{line}\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    web.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    broker.put_topic("/t", &2.into()).unwrap();
    assert_eq!(number(&mut queue), 2, "no call says that it was refused");
    let said: Vec<_> = told.try_iter().collect();
    let is_lost = |event: &ConnectionEvent| matches!(event, ConnectionEvent::Lost { .. });
    assert!(
        matches!(&said[..], [_, lost, ConnectionEvent::Connected] if is_lost(lost)),
        "{said:?}"
    );
}

/// Each call began the pause anew, and after an outage of some length none was patient enough.
#[test]
fn pulls_of_little_patience_find_the_broker_after_a_long_outage() {
    let broker = start();
    let address = broker.local_addr();
    let (builder, told) = watched(at::<Json>(address, "/t"));
    let mut queue = builder.consumer().unwrap();
    broker.shutdown();
    let mut failures = 0;
    // The pause is many times as long as the patience by then.
    until("several attempts fail", || {
        assert!(matches!(queue.pull_timeout(SHORT), Err(QueueError::TimedOut)));
        let failed =
            told.try_iter().filter(|event| matches!(event, ConnectionEvent::Unreachable { .. }));
        failures += failed.count();
        failures >= 6
    });
    let broker = start_at(address);
    broker.put_topic("/t", &1.into()).unwrap();
    until("it is connected again", || queue.pull_timeout(SHORT).is_ok());
}

#[test]
fn a_flush_says_once_that_what_was_pushed_may_be_lost() {
    fn check<W: Wire>() {
        let broker = start();
        let address = broker.local_addr();
        let mut queue = at::<W>(address, "/t").producer().unwrap();
        queue.push(&1).unwrap();
        queue.flush().unwrap();
        queue.push(&2).unwrap();
        broker.shutdown();
        let broker = start_at(address);
        assert!(matches!(queue.flush(), Err(QueueError::Lost)));
        queue.flush().unwrap();
        queue.push(&3).unwrap();
        queue.flush().unwrap();
        assert_eq!(broker.stats().published, 1);
        // What was confirmed before is not lost, so there is nothing to say.
        broker.shutdown();
        let broker = start_at(address);
        queue.flush().unwrap();
        queue.push(&4).unwrap();
        queue.flush().unwrap();
        assert_eq!(broker.stats().published, 1);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_push_waits_for_the_broker_as_long_as_the_queue_is_told_to() {
    let broker = start();
    let address = broker.local_addr();
    let mut patient = at::<Json>(address, "/t").producer().unwrap();
    let mut hasty = at::<Json>(address, "/t").timeout(SHORT).producer().unwrap();
    broker.shutdown();
    assert!(matches!(hasty.push(&1), Err(QueueError::TimedOut)));
    let pushing = thread::spawn(move || patient.push(&2).and_then(|()| patient.flush()));
    let broker = start_at(address);
    pushing.join().unwrap().unwrap();
    until("the other one gets through", || hasty.push(&3).is_ok());
    until("all of it is routed", || hasty.flush().is_ok());
    // What was not pushed did not come later.
    assert_eq!(broker.stats().published, 2);
}

#[test]
fn a_broker_that_is_full_when_its_clients_come_back_is_waited_for() {
    fn check<W: Wire>() {
        let broker = start();
        let address = broker.local_addr();
        let (builder, told) = watched(at::<W>(address, "/t"));
        let mut queue = builder.consumer().unwrap();
        broker.shutdown();
        let full = Config::listening_on(address).max_connections(1);
        let broker = start_as(&full);
        let occupied = support::Client::connect(&broker);
        broker.put_topic("/t", &1.into()).unwrap();
        let leaving = thread::spawn(move || {
            // The first is from before; then it was connected, and sent away.
            let mut lost = 0;
            while lost < 3 {
                let event = told.recv_timeout(PATIENCE).unwrap();
                lost += usize::from(matches!(event, ConnectionEvent::Lost { .. }));
            }
            drop(occupied);
        });
        assert_eq!(number(&mut queue), 1);
        leaving.join().unwrap();
    }
    check::<Json>();
    check::<Pickle>();
}

#[test]
fn a_subscription_that_is_refused_the_second_time_is_no_silence() {
    let broker = start();
    let address = broker.local_addr();
    let mut queue = at::<Json>(address, "/a/rather/long/topic").consumer().unwrap();
    broker.shutdown();
    let strict = Config::listening_on(address).limits(Limits::default().topic_bytes(8));
    let broker = start_as(&strict);
    for _ in 0..2 {
        match queue.pull_timeout(PATIENCE) {
            Err(QueueError::Refused(refused)) => assert!(refused.is(ErrorCode::InvalidTopic)),
            other => panic!("{other:?}"),
        }
    }
    broker.shutdown();
    let broker = start_at(address);
    broker.put_topic("/a/rather/long/topic", &1.into()).unwrap();
    until("it is asked for again", || queue.pull_timeout(PATIENCE).is_ok());
}

#[test]
fn all_subscriptions_and_questions_go_over_to_the_next_connection() {
    let broker = start();
    let proxy = Proxy::to(broker.local_addr());
    let mut queue = at::<Xml>(proxy.address, "/a").consumer().unwrap();
    queue.subscribe_to("/b").unwrap();
    proxy.cut();
    let (tell, told) = channel();
    queue.list_topics(move |topics| tell.send(topics.len()).unwrap()).unwrap();
    proxy.cut();
    for topic in ["/a", "/b"] {
        broker.put_topic(topic, &1.into()).unwrap();
    }
    let mut topics: Vec<String> =
        (0..2).map(|_| queue.pull_timeout(PATIENCE).unwrap().0.to_string()).collect();
    topics.sort();
    assert_eq!(topics, ["/a", "/b"]);
    assert_eq!(queue.topics().unwrap().len(), 2);
    assert!(told.try_recv().is_ok());
}

#[test]
fn a_connection_on_which_nothing_comes_any_more_is_made_again() {
    fn check<W: Wire>() {
        let broker = start();
        let proxy = Proxy::to(broker.local_addr());
        let mut queue = at::<W>(proxy.address, "/t")
            .timeout(Duration::from_millis(200))
            .keepalive(Duration::from_millis(100))
            .consumer()
            .unwrap();
        proxy.stall();
        broker.put_topic("/t", &1.into()).unwrap();
        assert_eq!(number(&mut queue), 1);
        proxy.stall();
        broker.put_topic("/t", &2.into()).unwrap();
        // Whoever has little patience finds out as well.
        until("the value comes", || {
            queue.pull_timeout(SHORT).is_ok_and(|(_, value)| value.as_i64() == Some(2))
        });
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_connection_that_takes_nothing_any_more_is_made_again() {
    const LARGE: usize = 1 << 20;
    // More than the buffers of the two ends of a connection can hold.
    const PUSHES: usize = 40;
    let broker = start();
    let proxy = Proxy::to(broker.local_addr());
    let (builder, told) = watched(at::<Json>(proxy.address, "/t"));
    // A call may take as long as the silence is, which is as long as an answer may take.
    let patience = Duration::from_secs(1);
    let mut queue = builder.timeout(patience).keepalive(patience).producer().unwrap();
    queue.push(&1).unwrap();
    queue.flush().unwrap();
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), ConnectionEvent::Connected);
    proxy.accepted();
    proxy.hold();
    let large = "x".repeat(LARGE);
    (0..PUSHES).for_each(|_| queue.push(&large).unwrap());
    let lost = told.recv_timeout(PATIENCE).unwrap();
    assert!(matches!(lost, ConnectionEvent::Lost { .. }), "{lost:?}");
    assert_eq!(told.recv_timeout(PATIENCE).unwrap(), ConnectionEvent::Connected);
    assert!(matches!(queue.flush(), Err(QueueError::Lost)));
    until("the rest has come", || queue.flush().is_ok());
    assert_eq!(broker.get_topic("/t").unwrap(), Some(large.clone().into()));

    // A client is one connection, and says that it has ended.
    let mut client = Client::connect(&proxy.address.to_string(), patience).unwrap();
    client.set_keepalive(Some(patience));
    client.flush().unwrap();
    (0..2).for_each(|_| proxy.accepted());
    proxy.hold();
    let message = Message::parse(Format::Json, format!("{large:?}").as_bytes()).unwrap();
    let topic = Topic::parse("/t").unwrap();
    let gone = (0..PUSHES)
        .find_map(|_| client.publish(&topic, &message, Publish::default()).err())
        .expect("an error");
    assert!(matches!(gone, QueueError::Connection(_)), "{gone:?}");
}

#[test]
fn a_broker_that_has_nothing_to_say_is_asked_and_not_left() {
    let broker = start();
    let (builder, told) = watched(at::<Pickle>(broker.local_addr(), "/t"));
    let mut queue = builder.keepalive(SHORT).consumer().unwrap();
    let before = broker.stats().bytes_in;
    // Four pings and their frames' headers are more than this.
    until("it was asked", || {
        assert!(matches!(queue.pull_timeout(SHORT), Err(QueueError::TimedOut)));
        broker.stats().bytes_in > before + 80
    });
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(number(&mut queue), 1);
    queue.flush().unwrap();
    assert_eq!(told.try_iter().collect::<Vec<_>>(), [ConnectionEvent::Connected]);
}

/// A client is one connection; nothing that it does waits for ever.
#[test]
fn a_client_finds_out_that_its_broker_is_gone() {
    let broker = start();
    let proxy = Proxy::to(broker.local_addr());
    let mut client =
        Client::connect(&proxy.address.to_string(), Duration::from_millis(200)).unwrap();
    client.set_keepalive(Some(Duration::from_millis(100)));
    client
        .subscribe(&TopicFilter::parse("/t").unwrap(), Format::Json, Subscribe::default())
        .unwrap();
    client.flush().unwrap();
    proxy.stall();
    let deadline = Instant::now() + PATIENCE;
    let gone = loop {
        match client.next(Some(deadline)) {
            Ok(Some(_)) => {}
            other => break other,
        }
    };
    assert!(matches!(gone, Err(QueueError::Connection(_))), "{gone:?}");
}

#[test]
fn a_frame_that_is_too_long_is_one_error_and_the_queue_goes_on() {
    fn check<W: Wire>() {
        let broker = start();
        let mut queue = at::<W>(broker.local_addr(), "/t").max_frame(1_000).consumer().unwrap();
        // One that comes with the next in one read, and one that takes many.
        for length in [1_001, 3_000_000] {
            broker.put_topic("/t", &"x".repeat(length).into()).unwrap();
            broker.put_topic("/t", &1.into()).unwrap();
            match queue.pull_timeout(PATIENCE) {
                Err(QueueError::TooLarge { length: found, max_frame: 1_000, .. }) => {
                    assert!(found as usize > length, "{found}");
                }
                other => panic!("{other:?}"),
            }
            assert_eq!(number(&mut queue), 1);
        }
        assert_eq!(broker.stats().connections, 1);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_queue_may_start_before_its_broker() {
    let address = start().local_addr();
    let waiting = thread::spawn(move || {
        let consumer = at::<Json>(address, "/t").wait(PATIENCE).consumer();
        consumer.map(|mut queue| number(&mut queue))
    });
    let client = thread::spawn(move || {
        Client::connect_within(&address.to_string(), PATIENCE, PATIENCE).map(drop)
    });
    let refused = at::<Json>(address, "/t").wait(SHORT).producer();
    assert!(matches!(refused, Err(QueueError::Connect { .. })), "{refused:?}");
    let broker = start_at(address);
    broker.put_topic("/t", &1.into()).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), 1);
    client.join().unwrap().unwrap();
}

#[test]
fn pushes_to_many_topics_keep_their_order_on_one_connection() {
    const TOPICS: i64 = 3_000;
    let broker = start();
    let mut consumer = at::<Json>(broker.local_addr(), "/t").consumer().unwrap();
    let mut producer = at::<Pickle>(broker.local_addr(), "/t").producer().unwrap();
    for count in 0..TOPICS {
        producer.push_to(&format!("/t/{count}"), &count).unwrap();
    }
    for count in 0..TOPICS {
        let (topic, value) = consumer.pull_timeout(PATIENCE).unwrap();
        assert_eq!((topic.as_str(), value.as_i64()), (&*format!("/t/{count}"), Some(count)));
    }
    assert!(matches!(producer.push_to("a//b", &1), Err(QueueError::Invalid(_))));
    assert!(matches!(producer.push_to("/t/#", &1), Err(QueueError::Invalid(_))));
    producer.flush().unwrap();
    assert_eq!(broker.stats().connections, 2);
}

/// The last of them waited for a call that did not come.
#[test]
fn what_was_pushed_arrives_though_the_producer_does_nothing_more() {
    fn check<W: Wire>(pushes: i64) {
        let broker = start();
        let mut consumer = at::<W>(broker.local_addr(), "/t").consumer().unwrap();
        let mut producer = at::<W>(broker.local_addr(), "/t").producer().unwrap();
        for count in 0..pushes {
            producer.push(&count).unwrap();
        }
        for count in 0..pushes {
            assert_eq!(number(&mut consumer), count);
        }
        drop(producer);
    }
    for pushes in [1, 2, 5_000] {
        check::<Json>(pushes);
        check::<Xml>(pushes);
        check::<Pickle>(pushes);
    }
}

#[test]
fn a_queue_that_is_dropped_leaves_nothing_unsent() {
    let broker = start();
    for _ in 0..50 {
        let mut producer = at::<Json>(broker.local_addr(), "/t").producer().unwrap();
        (0..20).for_each(|count| producer.push(&count).unwrap());
    }
    until("all has come", || broker.stats().published == 1_000);
}

#[test]
fn stored_values_can_be_told_from_what_is_published() {
    fn check<W: Wire>() {
        let broker = start();
        for topic in ["/t/a", "/t/b"] {
            broker.put_topic(topic, &1.into()).unwrap();
        }
        let builder = at::<W>(broker.local_addr(), "/t");
        let mut queue = builder.clone().consumer().unwrap();
        let mut live = builder.clone().retained(false).consumer().unwrap();
        let mut all = builder.consumer().unwrap();
        broker.put_topic("/t/a", &2.into()).unwrap();
        let mut stored = Vec::new();
        while let Some(delivery) = queue.pull_stored().unwrap() {
            assert!(delivery.retained && delivery.format == W::FORMAT, "{delivery:?}");
            stored.push(delivery.topic.to_string());
        }
        stored.sort();
        assert_eq!(stored, ["/t/a", "/t/b"]);
        for queue in [&mut queue, &mut live] {
            let delivery = queue.pull_message_timeout(PATIENCE).unwrap();
            assert_eq!((delivery.retained, delivery.value.as_i64()), (false, Some(2)));
            assert!(queue.pull_stored().unwrap().is_none());
        }
        let retained: Vec<bool> =
            (0..3).map(|_| all.pull_message_timeout(PATIENCE).unwrap().retained).collect();
        assert_eq!(retained, [true, true, false]);
    }
    check::<Json>();
    check::<Xml>();
    check::<Pickle>();
}

#[test]
fn a_queue_subscribes_again_and_to_more() {
    let broker = start();
    let mut queue = at::<Json>(broker.local_addr(), "/a").producer().unwrap();
    assert!(matches!(queue.pull(), Err(QueueError::NotSubscribed)));
    let put = |topic: &str, value: i64| broker.put_topic(topic, &value.into()).unwrap();
    queue.subscribe_to("/a").unwrap();
    queue.subscribe_to("/b/+").unwrap();
    queue.subscribe_to("/a").unwrap();
    put("/a", 1);
    put("/b/x", 2);
    assert_eq!((number(&mut queue), number(&mut queue)), (1, 2));
    queue.cancel().unwrap();
    put("/a", 3);
    queue.flush().unwrap();
    assert!(matches!(queue.pull(), Err(QueueError::NotSubscribed)));
    queue.subscribe_to("/a").unwrap();
    put("/b/x", 4);
    put("/a", 5);
    assert_eq!((number(&mut queue), number(&mut queue)), (3, 5));
    assert!(matches!(queue.subscribe_to("a//b"), Err(QueueError::Invalid(_))));
}

#[test]
fn a_consumer_that_would_rather_lose_messages_knows_how_many() {
    const MESSAGES: u64 = 1_000;
    let broker = start();
    let builder = at::<Json>(broker.local_addr(), "/t").overflow(Overflow::DropOldest).queue(2);
    let mut queue: JsonQueue = builder.consumer().unwrap();
    let text = "x".repeat(30_000);
    for count in 0..MESSAGES {
        let value = Value::List(vec![(count as i64).into(), text.as_str().into()]);
        broker.put_topic("/t", &value).unwrap();
    }
    let mut pulled = 0;
    loop {
        let (_, value) = queue.pull_as_timeout::<(u64, String)>(PATIENCE).unwrap();
        pulled += 1;
        if value.0 == MESSAGES - 1 {
            break;
        }
    }
    queue.flush().unwrap();
    assert_eq!(pulled + queue.dropped(), MESSAGES);
    assert!(queue.dropped() > 0);
}
