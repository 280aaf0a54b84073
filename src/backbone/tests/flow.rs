//! How much is asked for and sent, and in which order a line begins.

use async_nats::jetstream::consumer::{AckPolicy, pull};
use tokio::time::timeout;

use super::super::link::Connection;
use super::super::place;
use super::super::pull::{Pull, Pulled};
use super::super::thread::runtime;
use super::PATIENCE;
use super::fixture::{Line, texts, with_orders};
use super::nats::NatsServer;
use crate::broker::SharedTopics;

/// A broker's own subscribers get what it publishes, from its first moment on: a stream that is not
/// read yet would give each topic's last message only.
#[test]
fn what_a_line_publishes_at_once_comes_back_to_it() {
    let (server, _plain) = with_orders();
    for round in 1..=5 {
        let mut line = Line::at(&server.url(), "orders/#", None);
        let expected: Vec<_> = (0..100).map(|number| format!("\"{round}-{number}\"")).collect();
        for text in &expected {
            line.publish_text("orders/1", text);
        }
        let before = usize::from(round > 1);
        let (arrived, _) = line.arrived(before + expected.len());
        assert_eq!(texts(&arrived[before..]), expected, "round {round}");
    }
}

/// A stream takes so much at a time of all brokers, and says no to the rest. What it refuses is
/// stored behind what it took after that, and once.
#[test]
fn a_stream_that_takes_little_at_a_time_is_sent_less() {
    let server = NatsServer::start_with(&["jetstream { max_buffered_msgs: 20 }"]);
    super::fixture::Plain::connect(&server).make("orders/#", |_| ());
    let mut line = Line::open(&server, None);
    line.connected();
    for number in 1..=3_000 {
        line.publish_text("orders/1", &number.to_string());
    }
    let mut arrived: Vec<u64> =
        texts(&line.arrived(3_000).0).iter().map(|text| text.parse().unwrap()).collect();
    let mut stored: Vec<u64> = (0..3_000).map(|_| line.stored()).collect();
    arrived.sort_unstable();
    stored.sort_unstable();
    let all: Vec<u64> = (1..=3_000).collect();
    assert_eq!((arrived, stored), (all.clone(), all));
}

/// The server says nothing of a request that it has filled to the byte.
#[test]
fn a_request_that_is_filled_to_the_byte_is_over() {
    let (server, plain) = with_orders();
    for text in ["a", "bb", "ccc"] {
        plain.publish("orders.1", &[], text);
    }
    let topics: SharedTopics = "orders/#".parse().unwrap();
    let lengths = |bytes: usize, count: usize| {
        let (url, topics) = (server.url(), topics.clone());
        runtime().unwrap().block_on(async move {
            let client = async_nats::connect(url).await.unwrap();
            let connection = Connection { number: 1, client, server: "here".into() };
            let place = place::look(&topics, &connection).await.unwrap();
            let config = pull::Config { ack_policy: AckPolicy::None, ..pull::Config::default() };
            let stream = &place.stream;
            let consumer = place.jetstream.create_consumer_on_stream(config, stream).await;
            let mut pull = Pull::new(&place, consumer.unwrap()).await.unwrap();
            pull.ask(10, bytes).await;
            let mut lengths = Vec::new();
            for _ in 0..count {
                match timeout(PATIENCE, pull.next()).await.unwrap() {
                    Pulled::Message(message) => lengths.push(message.length),
                    other => panic!("{other:?}"),
                }
            }
            (lengths, pull.is_over())
        })
    };
    let (all, is_over) = lengths(0, 3);
    assert!(!is_over);
    assert_eq!(lengths(all.iter().sum(), 3), (all.clone(), true));
    assert_eq!(lengths(all.iter().sum::<usize>() + 1, 3), (all.clone(), false));
    assert_eq!(lengths(all[0] + all[1], 2), (all[..2].to_vec(), true));
}
