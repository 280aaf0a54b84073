//! What one consumer is promised.

use super::{Json, orders, scratch, start, start_in, stream};

#[test]
fn a_consumer_gets_what_was_published_while_it_was_away() {
    let broker = start("away");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "").says(&[
        ("command", "subscribed"),
        ("topic", "orders"),
        ("values", "0"),
        ("stream", "orders"),
        ("consumer", "billing"),
        ("pending", "0"),
    ]);
    producer.publish("orders/1", [10]);
    let first = consumer.client.next();
    let fields = first.fields();
    let expected = [
        ("command", "publish"),
        ("topic", "orders/1"),
        ("stream", "orders"),
        ("consumer", "billing"),
        ("seq", "1"),
    ];
    for (name, value) in expected {
        assert_eq!(fields[name], value, "{name} of {fields:?}");
    }
    assert!(fields["time"].ends_with('Z') && !fields.contains_key("attempt"), "{fields:?}");
    consumer.ack_all([1]);
    drop(consumer);
    producer.until_nobody_consumes();
    producer.publish("orders/1", [11, 12]);
    let mut consumer = Json::connect(&broker);
    assert_eq!(consumer.consume("orders", "billing", "").field("pending"), "2");
    assert_eq!(
        (consumer.delivery(), consumer.delivery()),
        ((2, 11, 1), (3, 12, 1)),
        "what came while it was away"
    );
}

#[test]
fn what_is_not_acknowledged_comes_again_and_what_is_does_not() {
    let broker = start("again");
    let mut producer = Json::connect(&broker);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", "");
    producer.publish("orders/1", [10, 11, 12]);
    assert_eq!(consumer.seqs(3), [1, 2, 3]);
    consumer.ack_all([2]);
    drop(consumer);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", "");
    assert_eq!((consumer.delivery(), consumer.delivery()), ((1, 10, 2), (3, 12, 2)));
    consumer.send(r#"{"command":"ack","upto":3}"#);
    consumer.client.is_quiet();
    drop(consumer);
    let mut consumer = Json::connect(&broker);
    assert_eq!(consumer.consume("orders", "billing", "").field("pending"), "0");
    consumer.client.is_quiet();
}

#[test]
fn what_was_acknowledged_is_known_after_a_restart_of_the_broker() {
    for fsync in [babelmq::Fsync::Always, babelmq::Fsync::Interval] {
        let folder = scratch(&format!("restart-{fsync:?}"));
        let config = || crate::support::config().streams([orders()]).fsync(fsync);
        let broker = super::start_with(&folder, config());
        let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
        consumer.consume("orders", "billing", "");
        producer.publish("orders/1", 10..15);
        assert_eq!(consumer.seqs(5), [1, 2, 3, 4, 5]);
        consumer.ack_all([1, 2, 4]);
        broker.close().unwrap();
        let broker = super::start_with(&folder, config());
        let mut consumer = Json::connect(&broker);
        assert_eq!(consumer.consume("orders", "billing", "").field("pending"), "2");
        assert_eq!(consumer.seqs(2), [3, 5]);
        let mut producer = Json::connect(&broker);
        producer.publish("orders/1", [15]);
        assert_eq!(consumer.delivery().0, 6, "the numbers go on");
    }
}

#[test]
fn a_nak_brings_a_message_again_at_once_or_after_its_delay() {
    let broker = start("nak");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "");
    producer.publish("orders/1", [10]);
    assert_eq!(consumer.delivery(), (1, 10, 1));
    consumer.send(r#"{"command":"nak","seq":1}"#);
    assert_eq!(consumer.delivery(), (1, 10, 2));
    let began = std::time::Instant::now();
    consumer.send(r#"{"command":"nak","seq":1,"delay":0.3}"#);
    assert_eq!(consumer.delivery(), (1, 10, 3));
    assert!(began.elapsed() >= std::time::Duration::from_millis(299), "{:?}", began.elapsed());
}

#[test]
fn a_message_that_is_not_acknowledged_in_time_comes_again() {
    let broker = start("ack-wait");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","ack-wait":0.2"#);
    let began = std::time::Instant::now();
    producer.publish("orders/1", [10]);
    assert_eq!(consumer.delivery(), (1, 10, 1));
    assert_eq!(consumer.delivery(), (1, 10, 2));
    assert!(began.elapsed() >= std::time::Duration::from_millis(199));
    consumer.ack_all([1]);
}

#[test]
fn no_more_than_the_window_is_outstanding() {
    let broker = start("window");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","window":3"#);
    producer.publish("orders/1", 10..20);
    assert_eq!(consumer.seqs(3), [1, 2, 3]);
    consumer.client.is_quiet();
    consumer.ack(2);
    assert_eq!(consumer.delivery().0, 4);
    consumer.send(r#"{"command":"ack","upto":4}"#);
    assert_eq!(consumer.seqs(3), [5, 6, 7]);
    consumer.client.is_quiet();
}

#[test]
fn a_consumer_begins_where_it_is_told() {
    let broker = start("start");
    let mut producer = Json::connect(&broker);
    for (topic, number) in [("orders/a", 1), ("orders/b", 2), ("orders/a", 3), ("orders/c", 4)] {
        producer.publish(topic, [number]);
    }
    let expected: [(&str, &[u64]); 6] = [
        (r#""new""#, &[]),
        (r#""all""#, &[1, 2, 3, 4]),
        (r#""last""#, &[2, 3, 4]),
        ("3", &[3, 4]),
        (r#""2020-01-01T00:00:00Z""#, &[1, 2, 3, 4]),
        (r#""2100-01-01T00:00:00+01:00""#, &[]),
    ];
    for (number, (start, expected)) in expected.iter().enumerate() {
        let mut consumer = Json::connect(&broker);
        consumer.consume("orders", &format!("c{number}"), &format!(r#","start":{start}"#));
        assert_eq!(consumer.seqs(expected.len()), *expected, "start {start}");
        consumer.client.is_quiet();
    }
    producer.publish("orders/d", [5]);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "c3", r#","start":"all""#);
    assert_eq!(consumer.seqs(3), [3, 4, 5], "where it begins counts only when it is new");
}

#[test]
fn a_consumer_of_a_part_gets_that_part() {
    let broker = start("part");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders/eu/+/paid", "eu", "");
    for topic in ["orders/us/1/paid", "orders/eu/1/paid", "orders/eu/1/sent", "orders/eu/2/paid"] {
        producer.publish(topic, [1]);
    }
    assert_eq!(consumer.seqs(2), [2, 4]);
    consumer.ack_all([2, 4]);
    drop(consumer);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders/eu/+/paid", "eu", "");
    consumer.client.is_quiet();
}

#[test]
fn each_format_gets_what_the_others_have_published() {
    use babelmq::Format;
    let broker = start_in(&scratch("formats"), &[orders()]);
    let mut producer = crate::support::Client::connect(&broker);
    for format in Format::ALL {
        producer.publish(format, "orders/1", &crate::support::number(format, 7));
    }
    producer.is_quiet();
    for (format, expected) in [
        (Format::Json, "7"),
        (Format::Xml, "<message type=\"int\">7</message>"),
        (Format::Pickle, "7"),
    ] {
        use crate::support::Field::Str;
        let mut consumer = crate::support::Client::connect(&broker);
        consumer.command(
            format,
            &[
                ("command", Str("subscribe")),
                ("topic", Str("orders")),
                ("consumer", Str(format.name())),
                ("start", Str("all")),
            ],
        );
        assert_eq!(consumer.next().field("command"), "subscribed");
        for seq in ["1", "2", "3"] {
            let frame = consumer.next();
            assert_eq!(frame.field("seq"), seq);
            assert_eq!(frame.message(), expected, "{format} gets what has number {seq}");
        }
    }
}

#[test]
fn a_consumer_of_a_part_is_quick_behind_much_that_it_does_not_want() {
    let broker = start("narrow");
    let mut producer = Json::connect(&broker);
    for number in 0..30_000 {
        let number = number.to_string();
        producer.client.publish(babelmq::Format::Json, "orders/a", number.as_bytes());
    }
    producer.publish("orders/b", [1]);
    let mut consumer = Json::connect(&broker);
    let began = std::time::Instant::now();
    consumer.consume("orders/b", "b", r#","start":"all""#);
    assert_eq!(consumer.delivery().0, 30_001);
    // It goes on by itself: nothing else happens that would remind it.
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn a_crash_kills_no_more_than_what_was_worked_at() {
    let broker = start("crashes");
    let mut producer = Json::connect(&broker);
    producer.publish("orders/1", 0..4);
    for attempt in 1..=2 {
        let mut consumer = Json::connect(&broker);
        consumer.consume("orders", "billing", r#","start":"all","max-deliver":2"#);
        let all: Vec<_> =
            (0..4).map(|_| consumer.delivery()).map(|(seq, _, of)| (seq, of)).collect();
        assert_eq!(all, [(1, attempt), (2, attempt), (3, attempt), (4, attempt)]);
    }
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", "");
    let all: Vec<_> = (0..3).map(|_| consumer.delivery()).map(|(seq, _, of)| (seq, of)).collect();
    assert_eq!(all, [(2, 3), (3, 3), (4, 3)], "the first is a dead letter");
}

/// A connection may have several subscriptions of one filter; a `cancel` that names none of them
/// means all.
#[test]
fn a_cancel_may_name_the_consumer_or_the_stream_that_it_means() {
    let folder = scratch("named-cancels");
    let broker = start_in(&folder, &[orders(), stream("all", "#")]);
    let mut client = Json::connect(&broker);
    client.send(r#"{"command":"subscribe","topic":"orders","overflow":"latest"}"#);
    client.client.next().says(&[("command", "subscribed"), ("topic", "orders"), ("values", "0")]);
    for stream in ["orders", "all"] {
        for consumer in ["billing", "shipping"] {
            client.consume("orders", consumer, &format!(r#","stream":"{stream}""#));
        }
        client.subscribe("orders", &format!(r#""start":"new","stream":"{stream}""#));
    }
    // Who is told of a message: stream and consumer, or the words for none.
    let told = |client: &mut Json, enough: usize| {
        Json::connect(&broker).publish("orders/1", [7]);
        let mut told: Vec<_> = (0..enough)
            .map(|_| {
                let frame = client.client.next();
                let of = |name| frame.fields().get(name).cloned().unwrap_or_default();
                format!("{} {}", of("stream"), of("consumer"))
            })
            .collect();
        client.client.is_quiet();
        told.sort();
        told
    };
    let mut all = [
        " ",
        "all ",
        "all billing",
        "all shipping",
        "orders ",
        "orders billing",
        "orders shipping",
    ]
    .map(str::to_owned)
    .to_vec();
    assert_eq!(told(&mut client, 7), all);
    for (names, gone) in [
        (r#","consumer":"billing","stream":"all""#, &["all billing"][..]),
        (r#","consumer":"shipping""#, &["all shipping", "orders shipping"]),
        (r#","stream":"orders""#, &["orders "]),
        (r#","stream":"nothing""#, &[]),
        ("", &[" ", "all ", "orders billing"]),
    ] {
        let cancel = format!(r#"{{"command":"cancel","topic":"orders"{names}}}"#);
        client.ask(&cancel).says(&[("command", "cancelled"), ("topic", "orders")]);
        all.retain(|one| !gone.contains(&one.as_str()));
        assert_eq!(told(&mut client, all.len()), all, "{names}");
    }
    let refused = r#"{"command":"cancel","topic":"orders","consumer":"a b"}"#;
    client.ask(refused).refuses("invalid-field", false);
}

/// What a member is due together is more than its writer reads in one turn.
#[test]
fn a_member_gets_all_of_what_is_long() {
    let broker = start("long");
    let mut producer = Json::connect(&broker);
    let long = "x".repeat(60_000);
    for number in 1..=20 {
        let body = format!(
            r#"{{"command":"publish","topic":"orders/{number}","retain":false,"message":"{long}"}}"#
        );
        producer.send(&body);
    }
    producer.client.is_quiet();
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", r#","start":"all""#);
    let seqs: Vec<String> = (1..=20).map(|_| consumer.client.next().field("seq")).collect();
    assert_eq!(seqs, (1..=20).map(|seq: u64| seq.to_string()).collect::<Vec<_>>());
}
