//! Reading a stream of JetStream without acknowledgements.

use babelmq::Format::Json;
use babelmq::broker::{Use, wall_clock};
use babelmq::{Broker, NoStore};
use serde_json::{Value, json};

use super::{backbone, patient, ready, server, server_with, start, start_with};
use crate::shared::following::{begins, follow, read};
use crate::shared::publish;
use crate::support::Field::Str;
use crate::support::plain_nats::PlainNats;
use crate::support::process::until;
use crate::support::proxy::Proxy;
use crate::support::{Client, claimed, number};

/// The consumers of those that follow.
fn followers(nats: &mut PlainNats) -> Vec<String> {
    let names = nats.ask("CONSUMER.NAMES.orders", &json!({})).unwrap();
    let names = names["consumers"].as_array().into_iter().flatten().filter_map(Value::as_str);
    names.filter(|name| name.starts_with("babelmq-follows-")).map(str::to_owned).collect()
}

fn seqs(client: &mut Client, count: usize) -> Vec<i64> {
    (0..count).map(|_| read(client).0).collect()
}

#[test]
fn a_follower_begins_where_it_is_wanted_and_goes_on_live() {
    let (server, mut nats) = server();
    let broker = start(&server);
    // What is not there any more is no place to begin.
    for subject in ["orders.0", "orders.1", "orders.2", "orders.1", "orders.3", "orders.1"] {
        nats.publish(subject, &[], b"0");
        let now = wall_clock();
        until("no two have one time", || wall_clock() > now + 1);
    }
    nats.ask("STREAM.PURGE.orders", &json!({"seq": 2})).unwrap();
    let of = |seq| json!({ "seq": seq });
    let time = nats.ask("STREAM.MSG.GET.orders", &of(4)).unwrap()["message"]["time"].clone();
    let begin = |topic, start: &str| {
        let mut client = Client::connect(&broker);
        let at = begins(&mut client, topic, start);
        (client, at)
    };
    let mut all: Vec<_> = [
        ("orders", "all", ("5", "2"), &[2, 3, 4, 5, 6, 7, 8][..]),
        ("orders", "1", ("5", "2"), &[2, 3, 4, 5, 6, 7, 8]),
        ("orders", "5", ("2", "5"), &[5, 6, 7, 8]),
        ("orders", "100", ("0", "7"), &[7, 8]),
        ("orders", "last", ("3", "3"), &[3, 5, 6, 7, 8]),
        ("orders", "new", ("0", "7"), &[7, 8]),
        ("orders", time.as_str().unwrap(), ("3", "4"), &[4, 5, 6, 7, 8]),
        ("orders/1", "all", ("3", "2"), &[2, 4, 6, 7]),
        ("orders/1", "last", ("1", "6"), &[6, 7]),
        ("orders/4", "last", ("0", "7"), &[]),
    ]
    .into_iter()
    .map(|(topic, start, expected, seqs)| {
        let (client, (pending, next)) = begin(topic, start);
        assert_eq!((&*pending, &*next), expected, "{topic} {start}");
        (client, topic, start, seqs)
    })
    .collect();
    let mut producer = Client::connect(&broker);
    publish(&mut producer, Json, "orders/1", 0);
    publish(&mut producer, Json, "orders/2", 0);
    for (client, topic, start, expected) in &mut all {
        assert_eq!(seqs(client, expected.len()), *expected, "{topic} {start}");
        client.is_quiet();
    }
    assert_eq!(followers(&mut nats).len(), all.len());
    drop(all);
    until("nothing is left of them", || followers(&mut nats).is_empty());
}

#[test]
fn followers_at_two_brokers_read_the_same_through_restarts_of_the_server() {
    let (mut server, _nats) = server();
    let (one, other) = (start(&server), start(&server));
    let mut followers = [&one, &other].map(Client::connect);
    for follower in &mut followers {
        begins(follower, "orders", "new");
    }
    let mut producers = [&one, &other].map(Client::connect);
    for round in 0..3 {
        for (at, producer) in producers.iter_mut().enumerate() {
            for value in 0..300 {
                let value = 1_000 * round + value;
                producer.publish(Json, &format!("orders/{at}"), &number(Json, value));
            }
            producer.command(Json, &[("command", Str("ping"))]);
        }
        let sent = 600 * (round as u64 + 1);
        until("some of it is confirmed", || one.shared_topics()[0].applied > sent - 500);
        server.kill();
        server.start_again();
        for producer in &mut producers {
            assert_eq!(producer.next().field("command"), "pong");
        }
    }
    let [here, there] =
        followers.each_mut().map(|it| (0..1_800).map(|_| read(it)).collect::<Vec<_>>());
    assert_eq!(here, there);
    assert!(here.iter().map(|(seq, _)| *seq).eq(1..=1_800));
    let mut values: Vec<_> = here.iter().map(|(_, value)| *value).collect();
    values.sort_unstable();
    let expected = (0..3).flat_map(|round| (0..300).map(move |value| 1_000 * round + value));
    assert!(values.into_iter().eq(expected.flat_map(|value| [value, value])));
    followers.iter_mut().for_each(Client::is_quiet);
}

#[test]
fn a_follower_goes_on_behind_what_it_has_read() {
    let (server, mut nats) = server();
    let link = Proxy::to(server.url().trim_start_matches("nats://").parse().unwrap());
    let url = format!("nats://{}", link.address);
    let broker = Broker::start_sharing(patient(), Box::new(NoStore), backbone(&url));
    let broker = ready(broker.unwrap());
    for _ in 0..2 {
        nats.publish("orders.1", &[], b"0");
    }
    let (mut last, mut new) = (Client::connect(&broker), Client::connect(&broker));
    begins(&mut last, "orders", "last");
    begins(&mut new, "orders", "new");
    assert_eq!(seqs(&mut last, 1), [2]);
    // Its connection is lost,
    link.close(true);
    link.cut();
    until("it is away", || !broker.shared_topics()[0].is_connected);
    for _ in 0..2 {
        nats.publish("orders.1", &[], b"0");
    }
    link.close(false);
    for follower in [&mut last, &mut new] {
        assert_eq!(seqs(follower, 2), [3, 4]);
    }
    // and its consumer, and those that it had before.
    until("both go on", || followers(&mut nats).len() == 2);
    for name in followers(&mut nats) {
        nats.ask(&format!("CONSUMER.DELETE.orders.{name}"), &Value::Null).unwrap();
    }
    for _ in 0..2 {
        nats.publish("orders.1", &[], b"0");
    }
    for follower in [&mut last, &mut new] {
        assert_eq!(seqs(follower, 2), [5, 6]);
    }
    // The stream, too.
    nats.ask("STREAM.DELETE.orders", &Value::Null).unwrap();
    nats.make("orders", super::SUBJECTS, json!({})).unwrap();
    for value in [b"1", b"2"] {
        nats.publish("orders.1", &[], value);
    }
    for follower in [&mut last, &mut new] {
        assert_eq!((read(follower), read(follower)), ((1, 1), (2, 2)));
        follower.is_quiet();
    }
}

/// Those that take more than half of what a follower may have, last values among them: the server
/// drops such a one that did not fit into a request.
#[test]
fn large_messages_come_too() {
    let (server, mut nats) = server_with(&[], json!({}));
    let broker = start(&server);
    let text = format!("\"{}\"", "x".repeat(900_000));
    for topic in 0..20 {
        nats.publish(&format!("orders.{topic}"), &[], text.as_bytes());
        nats.publish(&format!("orders.{topic}"), &[], b"0");
        nats.publish(&format!("orders.{topic}"), &[], text.as_bytes());
    }
    let before = claimed(&broker, Use::Streams);
    let (mut all, mut last) = (Client::connect(&broker), Client::connect(&broker));
    begins(&mut all, "orders", "all");
    begins(&mut last, "orders", "last");
    for seq in 1..=60 {
        let frame = all.next();
        assert_eq!(frame.field("seq"), seq.to_string());
        assert_eq!(frame.message() == text, seq % 3 != 2);
    }
    for topic in 1..=20 {
        assert_eq!(last.next().field("seq"), (3 * topic).to_string());
    }
    for follower in [all, last] {
        assert!(claimed(&broker, Use::Streams) > before);
        drop(follower);
    }
    until("nothing is left of them", || claimed(&broker, Use::Streams) == before);
}

/// It reads as much as it has room for, and its server keeps the rest: also where the consumer is
/// forgotten meanwhile, because nobody asks it.
#[test]
fn a_slow_follower_misses_nothing() {
    let (server, mut nats) = server();
    let config = patient().write_timeout(std::time::Duration::from_secs(60));
    let broker = ready(start_with(&server, config));
    let before = claimed(&broker, Use::Streams);
    let (mut slow, mut quick) = (Client::connect(&broker), Client::connect(&broker));
    begins(&mut slow, "orders", "all");
    begins(&mut quick, "orders", "all");
    let reserved = claimed(&broker, Use::Streams);
    let text = format!("\"{}\"", "x".repeat(50_000));
    let mut producer = Client::connect(&broker);
    for _ in 0..10 {
        for _ in 0..60 {
            producer.publish(Json, "orders/1", text.as_bytes());
        }
        producer.is_quiet();
    }
    for seq in 1..=600 {
        assert_eq!(quick.next().field("seq"), seq.to_string());
    }
    assert_eq!(claimed(&broker, Use::Streams), reserved);
    for name in followers(&mut nats) {
        nats.ask(&format!("CONSUMER.DELETE.orders.{name}"), &Value::Null).unwrap();
    }
    for seq in 1..=600 {
        assert_eq!(slow.next().field("seq"), seq.to_string());
    }
    publish(&mut producer, Json, "orders/1", 7);
    assert_eq!((read(&mut slow), read(&mut quick)), ((601, 7), (601, 7)));
    drop((slow, quick));
    until("nothing is left of them", || claimed(&broker, Use::Streams) == before);
    until("nor there", || followers(&mut nats).is_empty());
}

#[test]
fn a_broker_that_stops_forgets_its_consumers_and_one_that_is_refused_says_why() {
    let (server, mut nats) = server_with(&[], json!({ "max_consumers": 2 }));
    let broker = start(&server);
    let (mut one, mut other) = (Client::connect(&broker), Client::connect(&broker));
    begins(&mut one, "orders", "all");
    let refused = follow(&mut other, "orders", "all");
    refused.refuses("backbone-unavailable", false);
    let reason = refused.field("reason");
    assert!(reason.contains("maximum consumers limit reached"), "{reason}");
    assert_eq!(followers(&mut nats).len(), 1);
    broker.shutdown();
    assert!(followers(&mut nats).is_empty());
}
