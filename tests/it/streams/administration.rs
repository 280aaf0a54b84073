//! Adding and removing streams and consumers while the broker runs.

use super::{Json, orders, scratch, start, start_in};

#[test]
fn a_stream_is_added_and_removed_while_the_broker_runs() {
    let folder = scratch("added");
    let broker = start_in(&folder, &[]);
    let mut admin = Json::connect(&broker);
    assert!(admin.list(r#"{"command":"streams"}"#).is_empty());
    let add = r#"{"command":"add-stream","stream":"orders","topic":"orders/#","messages":100}"#;
    admin.ask(add).says(&[("command", "done"), ("stream", "orders")]);
    let mut producer = Json::connect(&broker);
    producer.publish("orders/1", [10]);
    let streams = admin.list(r#"{"command":"streams"}"#);
    let names: Vec<_> = streams.iter().map(|stream| stream["stream"].as_str().unwrap()).collect();
    assert_eq!(names, ["$dead", "orders"], "dead letters have theirs");
    let expected = serde_json::json!({
        "stream": "orders", "filter": "orders/#", "messages": 1, "first": 1, "next": 2,
        "age": null, "max-bytes": null, "max-messages": 100, "full": "drop-oldest", "consumers": 0,
        "damaged": 0,
        "state": "ok", "bytes": streams[1]["bytes"],
    });
    assert_eq!(streams[1], expected);
    broker.close().unwrap();
    // It is there after a restart, without being asked for.
    let broker = start_in(&folder, &[]);
    let (mut admin, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","start":"all""#);
    assert_eq!(consumer.delivery(), (1, 10, 1));
    let remove = r#"{"command":"remove-stream","stream":"orders"}"#;
    admin.ask(remove).says(&[("command", "done"), ("stream", "orders")]);
    admin.ask(remove).refuses("no-stream", false);
    let told = consumer.client.next();
    told.refuses("no-stream", false);
    assert_eq!(
        (told.field("topic"), told.field("reason")),
        ("orders".to_owned(), "the stream orders was removed".to_owned())
    );
    let mut producer = Json::connect(&broker);
    producer.publish("orders/1", [11]);
    consumer.client.is_quiet();
    broker.close().unwrap();
    let broker = start_in(&folder, &[]);
    let streams = Json::connect(&broker).list(r#"{"command":"streams"}"#);
    assert_eq!(streams.len(), 1, "{streams:?}");
}

#[test]
fn a_stream_owes_nothing_to_who_used_the_one_in_whose_place_it_is() {
    let broker = start("places");
    let (mut admin, mut producer) = (Json::connect(&broker), Json::connect(&broker));
    // Much was handed to the one, and no ping has asked for it.
    for number in 0..50 {
        producer.client.publish(babelmq::Format::Json, "orders/1", number.to_string().as_bytes());
        producer.ask(r#"{"command":"get","topic":"orders/1"}"#);
    }
    let remove = r#"{"command":"remove-stream","stream":"orders"}"#;
    admin.ask(remove).says(&[("command", "done"), ("stream", "orders")]);
    let add = r#"{"command":"add-stream","stream":"others","topic":"others/#"}"#;
    admin.ask(add).says(&[("command", "done"), ("stream", "others")]);
    producer.client.is_quiet();
    producer.publish("others/1", [1]);
}

#[test]
fn consumers_are_shown_reset_and_removed() {
    let folder = scratch("shown");
    let broker = start_in(&folder, &[orders()]);
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","window":2,"backoff":[0.5,2]"#);
    producer.publish("orders/1", 10..14);
    assert_eq!(consumer.seqs(2), [1, 2]);
    consumer.ack_all([1]);
    assert_eq!(consumer.delivery().0, 3);
    let shown = consumer.list(r#"{"command":"consumers","stream":"orders"}"#);
    let expected = serde_json::json!({
        "stream": "orders", "consumer": "billing", "filter": "orders", "members": 1, "window": 2,
        "ack-wait": 30.0, "max-deliver": 5, "backoff": [0.5, 2.0], "order": "none", "floor": 1,
        "next-seq": 4, "outstanding": 2, "pending": 3, "redelivered": 0, "dead": 0,
    });
    assert_eq!(shown, [expected]);
    let mut admin = Json::connect(&broker);
    let done = [("command", "done"), ("stream", "orders"), ("consumer", "billing")];
    let reset = r#"{"command":"reset-consumer","stream":"orders","consumer":"billing","start":2}"#;
    admin.ask(reset).says(&done);
    assert_eq!((consumer.delivery(), consumer.delivery()), ((2, 11, 1), (3, 12, 1)));
    let remove = r#"{"command":"remove-consumer","stream":"orders","consumer":"billing"}"#;
    admin.ask(remove).says(&done);
    admin.ask(remove).refuses("no-consumer", false);
    consumer.ack(2);
    consumer.client.next().refuses("no-consumer", false);
    broker.close().unwrap();
    let broker = start_in(&folder, &[orders()]);
    assert!(Json::connect(&broker).list(r#"{"command":"consumers"}"#).is_empty());
}

#[test]
fn what_is_deleted_is_waited_for_by_nobody_and_hides_nothing() {
    let broker = start("deleted");
    let mut admin = Json::connect(&broker);
    admin.publish("orders/a", 1..6);
    let mut before = Json::connect(&broker);
    before.consume("orders", "before", r#","start":"all","window":1"#);
    assert_eq!(before.delivery().0, 1);
    for seq in [2, 4] {
        let delete = format!(r#"{{"command":"delete","stream":"orders","seq":{seq}}}"#);
        admin.ask(&delete).says(&[("command", "done"), ("stream", "orders")]);
    }
    let consumers = admin.list(r#"{"command":"consumers","stream":"orders"}"#);
    assert_eq!(consumers[0]["pending"], 3, "nobody has looked at the deleted ones");
    // One that looks at each message passes over them, and over nothing else.
    let mut narrow = Json::connect(&broker);
    narrow.consume("orders/a", "narrow", r#","start":"all""#);
    assert_eq!(narrow.seqs(3), [1, 3, 5]);
}

#[test]
fn what_cannot_be_done_is_refused_and_says_why() {
    let broker = start("refused");
    let mut client = Json::connect(&broker);
    for (request, code) in [
        (r#"{"command":"subscribe","topic":"weather","consumer":"a"}"#, "no-stream"),
        (r#"{"command":"subscribe","topic":"orders","consumer":"a","stream":"b"}"#, "no-stream"),
        (r#"{"command":"subscribe","topic":"orders","consumer":"a b"}"#, "invalid-field"),
        (r##"{"command":"subscribe","topic":"#","consumer":"a"}"##, "no-stream"),
        (r#"{"command":"ack","seq":1}"#, "no-consumer"),
        (r#"{"command":"add-stream","stream":"$own","topic":"x"}"#, "invalid-field"),
        (r#"{"command":"add-stream","stream":"../x","topic":"x"}"#, "invalid-field"),
        (r#"{"command":"add-stream","stream":"orders","topic":"x"}"#, "invalid-field"),
        (r#"{"command":"remove-stream","stream":"$dead"}"#, "invalid-field"),
        (r#"{"command":"remove-consumer","stream":"orders","consumer":"x"}"#, "no-consumer"),
        (r#"{"command":"delete","stream":"orders","seq":1}"#, "no-stream"),
        (r#"{"command":"consumers","stream":"x"}"#, "no-stream"),
    ] {
        let answer = client.ask(request);
        assert_eq!(answer.fields().get("code").map(String::as_str), Some(code), "{request}");
        answer.refuses(code, false);
    }
    client.consume("orders", "a", "");
    client.consume("orders", "b", "");
    client.ask(r#"{"command":"ack","seq":1}"#).refuses("missing-field", false);
    let other = r#"{"command":"subscribe","topic":"orders/eu","consumer":"a"}"#;
    client.ask(other).refuses("invalid-field", false);
}

#[test]
fn a_filter_cannot_be_changed_by_a_restart() {
    let folder = scratch("changed");
    start_in(&folder, &[orders()]).close().unwrap();
    let config = crate::support::config().streams([super::stream("orders", "others")]);
    let storage = Box::new(babelmq::Storage::open(&folder, true).unwrap());
    let error = babelmq::Broker::start_with(config, storage).unwrap_err();
    assert!(error.to_string().contains("orders/#"), "{error}");
}
