//! Streams by HTTP: which there are, who consumes them, what they keep as events, dead letters.
#![cfg(feature = "storage")]

use std::path::Path;

use babelmq::{Broker, BrokerHandle, Format, NoStore, Storage, StreamDefinition, TopicFilter};
use serde_json::{Value, json};

use super::monitor::scrape;
use super::{Web, config};
use crate::support::Client;
use crate::support::backbone::LocalBackbone;
use crate::support::line::over_each_line;
use crate::support::process::until;

over_each_line! {
    streams_and_consumers_are_told_as_to_the_commands,
    a_client_is_told_with_what_it_consumes,
    a_dead_letter_is_retried_and_another_deleted,
    events_of_a_stream_have_ids_and_go_on_behind_the_last,
    events_of_a_shared_stream_do_too,
    a_scrape_tells_of_streams_and_consumers,
}

/// A broker that keeps what is published below `orders`, in a folder of its own.
fn start(name: &str) -> BrokerHandle {
    let kind = format!("{:?}", crate::support::line::kind());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("http-{name}-{kind}"));
    // What a failed run left behind.
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let filter = TopicFilter::parse("orders/#").unwrap();
    let config = config().streams(vec![StreamDefinition::new("orders", filter).unwrap()]);
    Broker::start_with(config, Box::new(Storage::open(&folder, false).unwrap())).unwrap()
}

fn publish(client: &mut Client, topic: &str, messages: &[&str]) {
    for message in messages {
        client.publish(Format::Json, topic, message.as_bytes());
    }
    client.is_quiet();
}

/// A client that consumes, and hears so.
fn consume(broker: &BrokerHandle, consumer: &str) -> Client {
    let mut client = Client::connect(broker);
    let body = format!(r#"{{"command":"subscribe","topic":"orders","consumer":"{consumer}"}}"#);
    client.send(Format::Json, body.as_bytes());
    assert_eq!(client.next().field("command"), "subscribed");
    client
}

/// Says something of messages, and waits until that is known.
fn say(client: &mut Client, body: &str) {
    client.send(Format::Json, body.as_bytes());
    client.is_quiet();
}

/// The elements of a list that have these values.
fn found<'a>(list: &'a Value, values: &[(&str, &str)]) -> &'a Value {
    let all = list.as_array().unwrap();
    let is_it = |one: &&Value| values.iter().all(|(name, value)| one[*name] == *value);
    all.iter().find(is_it).unwrap_or_else(|| panic!("{list}"))
}

fn streams_and_consumers_are_told_as_to_the_commands() {
    let broker = start("told");
    let mut web = Web::connect(&broker);
    let none = web.get("/api/v1/consumers?stream=orders");
    assert_eq!((none.status, none.text()), (200, r#"{"consumers":[]}"#));
    let mut consumer = consume(&broker, "billing");
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/7", &["1", "2"]);
    assert_eq!((consumer.next().number(), consumer.next().number()), (1, 2));
    say(&mut consumer, r#"{"command":"ack","seq":1}"#);
    for (path, command, name) in
        [("/api/v1/streams", "streams", "streams"), ("/api/v1/consumers", "consumers", "consumers")]
    {
        let told = web.get(path);
        assert_eq!(told.field("content-type"), Some("application/json"));
        producer.send(Format::Json, format!(r#"{{"command":"{command}"}}"#).as_bytes());
        let by_command: Value = serde_json::from_str(&producer.next().message()).unwrap();
        assert_eq!(told.json(), json!({ name: by_command }), "{path}");
    }
    let streams = web.get("/api/v1/streams").json();
    let orders = found(&streams["streams"], &[("stream", "orders")]);
    assert_eq!((&orders["messages"], &orders["state"]), (&json!(2), &json!("ok")));
    let consumers = web.get("/api/v1/consumers?stream=orders").json();
    let billing = found(&consumers["consumers"], &[("consumer", "billing")]);
    assert_eq!((&billing["pending"], &billing["outstanding"]), (&json!(1), &json!(1)));
    assert_eq!(web.get("/api/v1/consumers?stream=$dead").json(), json!({ "consumers": [] }));
    web.get("/api/v1/consumers?stream=bills").is_problem(404, "no-stream");
    web.get("/api/v1/streams?stream=orders").is_problem(400, "");
}

fn a_client_is_told_with_what_it_consumes() {
    let broker = start("consumes");
    let mut web = Web::connect(&broker);
    assert_eq!(web.get("/healthz").status, 200);
    let mut consumer = Client::connect(&broker);
    for body in [
        r#"{"command":"subscribe","topic":"orders","consumer":"billing","window":2,"ack-wait":2,"backoff":[600]}"#,
        r#"{"command":"subscribe","topic":"orders/7","start":"new"}"#,
    ] {
        consumer.send(Format::Json, body.as_bytes());
        assert_eq!(consumer.next().field("command"), "subscribed");
    }
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/7", &["1", "2", "3"]);
    // Two as the member, and all that it follows.
    (0..5).for_each(|_| assert_eq!(consumer.next().field("command"), "publish"));
    let told = |web: &mut Web| {
        let clients = web.get("/api/v1/clients").json();
        clients["clients"].as_array().unwrap()[1].clone()
    };
    let member = |outstanding: u64| {
        json!({
            "stream": "orders", "consumer": "billing", "filter": "orders", "format": "json",
            "window": 2, "outstanding": outstanding,
        })
    };
    let follower = json!({ "stream": "orders", "filter": "orders/7", "format": "json" });
    let it = told(&mut web);
    assert_eq!(it["consumes"], json!([member(2), follower]));
    assert_eq!((&it["consumes_count"], &it["subscription_count"]), (&json!(2), &json!(0)));
    consumer.send(Format::Json, br#"{"command":"ack","upto":2}"#);
    assert_eq!(consumer.next().number(), 3);
    assert_eq!(told(&mut web)["consumes"][0], member(1));
    until("it has kept it for too long", || told(&mut web)["consumes"][0] == member(0));
    // A list of subscribers knows it, too.
    consumer.send(Format::Json, br#"{"command":"stats"}"#);
    let stats: Value = serde_json::from_str(&consumer.next().message()).unwrap();
    let names: Vec<_> =
        stats["subscribers"].as_array().unwrap().iter().map(|one| &one["topics"]).collect();
    assert!(names.contains(&&json!(["orders", "orders/7"])), "{names:?}");
}

fn send(web: &mut Web, line: &str) -> super::Answer {
    web.request(line, "", b"");
    web.answer()
}

/// The numbers of messages in `$dead`: the first, and the one behind the last.
fn letters(web: &mut Web) -> (u64, u64) {
    let streams = web.get("/api/v1/streams").json();
    let dead = found(&streams["streams"], &[("stream", "$dead")]);
    (dead["first"].as_u64().unwrap(), dead["next"].as_u64().unwrap())
}

fn a_dead_letter_is_retried_and_another_deleted() {
    let broker = start("dead");
    let mut web = Web::connect(&broker);
    let mut consumer = consume(&broker, "billing");
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/7", &["5", "6", "7"]);
    for number in 5..8 {
        assert_eq!(consumer.next().number(), number);
    }
    // Another message than the letter that is retried has its number.
    say(&mut consumer, r#"{"command":"ack","seq":1}"#);
    for seq in [2, 3] {
        say(&mut consumer, &format!(r#"{{"command":"reject","seq":{seq},"reason":"no"}}"#));
    }
    until("both are dead letters", || letters(&mut web) == (1, 3));
    assert_eq!(send(&mut web, "POST /api/v1/dead/retry?seq=1").status, 204);
    let again = consumer.next();
    assert_eq!((again.field("seq").as_str(), again.number()), ("2", 6));
    send(&mut web, "POST /api/v1/dead/retry?seq=1").is_problem(404, "no-stream");
    assert_eq!(send(&mut web, "DELETE /api/v1/dead?seq=2").status, 204);
    send(&mut web, "DELETE /api/v1/dead?seq=2").is_problem(404, "no-stream");
    send(&mut web, "DELETE /api/v1/dead?seq=9").is_problem(404, "no-stream");
    // Nothing was given to the consumer for what was deleted.
    say(&mut consumer, r#"{"command":"ack","seq":2}"#);
    let consumers = web.get("/api/v1/consumers").json();
    let billing = found(&consumers["consumers"], &[("consumer", "billing")]);
    assert_eq!((&billing["pending"], &billing["dead"]), (&json!(0), &json!(2)));
    // A letter whose consumer has gone stays, and says why.
    publish(&mut producer, "orders/8", &["8"]);
    let delivered = consumer.next();
    assert_eq!(delivered.number(), 8);
    say(&mut consumer, r#"{"command":"reject","seq":4}"#);
    until("it is a dead letter", || letters(&mut web).1 == 4);
    producer.send(
        Format::Json,
        br#"{"command":"remove-consumer","stream":"orders","consumer":"billing"}"#,
    );
    assert_eq!(producer.next().field("command"), "done");
    send(&mut web, "POST /api/v1/dead/retry?seq=3").is_problem(404, "no-consumer");
    assert_eq!(send(&mut web, "DELETE /api/v1/dead?seq=3").status, 204);
}

fn subscribe(broker: &BrokerHandle, query: &str, fields: &str) -> Web {
    let mut web = Web::connect(broker);
    web.request(&format!("GET /api/v1/subscribe?{query}"), fields, b"");
    let head = web.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    web
}

/// The id of the next event and what it says, which is a number.
#[track_caller]
fn event(web: &mut Web) -> (String, u64) {
    let event = web.event().unwrap();
    let (data, id) = event.split_once("\nid: ").unwrap_or_else(|| panic!("{event}"));
    let frame: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
    (id.to_owned(), frame["message"].as_u64().unwrap())
}

fn events_of_a_stream_have_ids_and_go_on_behind_the_last() {
    let broker = start("events");
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/\u{e9}\\\"", &["10", "11", "12"]);
    let mut web = subscribe(&broker, "topic=orders&start=2", "");
    let subscribed = web.event().unwrap();
    let expected = r#""topic":"orders","values":0,"stream":"orders","pending":2"#;
    assert!(subscribed.contains(expected) && !subscribed.contains("id:"), "{subscribed}");
    assert_eq!(event(&mut web), ("orders:2".to_owned(), 11));
    assert_eq!(event(&mut web), ("orders:3".to_owned(), 12));
    drop(web);
    publish(&mut producer, "orders/7", &["13"]);
    // The same request again, as a browser sends it.
    let mut web = subscribe(&broker, "topic=orders&start=2", "Last-Event-ID: orders:3\r\n");
    assert!(web.event().unwrap().contains("\"pending\":1"));
    assert_eq!(event(&mut web), ("orders:4".to_owned(), 13));
    publish(&mut producer, "orders/7", &["14"]);
    assert_eq!(event(&mut web), ("orders:5".to_owned(), 14));
    // What follows no stream has none.
    let mut plain = subscribe(&broker, "topic=orders/7", "Last-Event-ID: orders:3\r\n");
    for _ in 0..2 {
        let event = plain.event().unwrap();
        assert!(!event.contains("id:"), "{event}");
    }
    let mut web = Web::connect(&broker);
    web.get("/api/v1/subscribe?topic=bills&start=all").is_problem(404, "no-stream");
    web.get("/api/v1/subscribe?topic=orders&start=all&stream=bills").is_problem(404, "no-stream");
    web.get("/api/v1/subscribe?topic=orders&start=soon").is_problem(400, "");
    let refused = web.get("/api/v1/subscribe?topic=orders&start=all&consumer=billing");
    refused.is_problem(400, "");
    assert!(refused.text().contains("acknowledge"), "{}", refused.text());
}

fn events_of_a_shared_stream_do_too() {
    let config = config().shared(["orders/#".parse().unwrap()]);
    let backbone = Box::new(LocalBackbone::default());
    let broker = Broker::start_sharing(config, Box::new(NoStore), backbone).unwrap();
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/7", &["10", "11", "12"]);
    let mut web = subscribe(&broker, "topic=orders&start=2", "");
    let expected = r#""topic":"orders","values":0,"stream":"orders","pending":2,"next":2"#;
    assert!(web.event().unwrap().contains(expected));
    assert_eq!(event(&mut web), ("orders:2".to_owned(), 11));
    drop(web);
    let mut web = subscribe(&broker, "topic=orders&start=2", "Last-Event-ID: orders:2\r\n");
    assert!(web.event().unwrap().contains("\"pending\":1"));
    assert_eq!(event(&mut web), ("orders:3".to_owned(), 12));
    publish(&mut producer, "orders/7", &["13"]);
    assert_eq!(event(&mut web), ("orders:4".to_owned(), 13));
}

fn a_scrape_tells_of_streams_and_consumers() {
    let broker = start("metrics");
    let mut web = Web::connect(&broker);
    let mut consumer = consume(&broker, "billing");
    let mut producer = Client::connect(&broker);
    publish(&mut producer, "orders/7", &["1", "2", "3"]);
    for number in 1..4 {
        assert_eq!(consumer.next().number(), number);
    }
    say(&mut consumer, r#"{"command":"ack","seq":1}"#);
    // It comes again before a pong would, or behind it.
    consumer.send(Format::Json, br#"{"command":"nak","seq":2}"#);
    assert_eq!(consumer.next().number(), 2);
    say(&mut consumer, r#"{"command":"reject","seq":3}"#);
    until("it is a dead letter", || letters(&mut web) == (1, 2));
    let told = scrape(&mut web);
    let of_consumer = r#"{stream="orders",consumer="billing"}"#;
    for (name, labels, expected) in [
        ("stream_messages", r#"{stream="orders"}"#, 3.0),
        ("stream_first_seq", r#"{stream="orders"}"#, 1.0),
        ("stream_next_seq", r#"{stream="orders"}"#, 4.0),
        ("stream_next_seq", r#"{stream="$dead"}"#, 2.0),
        ("stream_damaged_messages", r#"{stream="orders"}"#, 0.0),
        ("stream_state", r#"{stream="orders",state="ok"}"#, 1.0),
        ("stream_state", r#"{stream="orders",state="failing"}"#, 0.0),
        ("stream_consumers", r#"{stream="orders"}"#, 1.0),
        ("stream_consumers", r#"{stream="$dead"}"#, 0.0),
        ("consumer_lag_messages", of_consumer, 1.0),
        ("consumer_outstanding_messages", of_consumer, 1.0),
        ("consumer_members", of_consumer, 1.0),
        ("consumer_redelivered_total", of_consumer, 1.0),
        ("consumer_dead_letters_total", of_consumer, 1.0),
    ] {
        let found = told.get(&format!("babelmq_{name}{labels}"));
        assert_eq!(found, Some(&expected), "{name}{labels}: {told:#?}");
    }
    assert!(told[r#"babelmq_stream_bytes{stream="orders"}"#] > 0.0);
    let of_streams = |name: &&String| {
        name.starts_with("babelmq_stream_") || name.starts_with("babelmq_consumer_")
    };
    let mut documented: Vec<String> = crate::metrics_doc::rows()
        .into_iter()
        .map(|row| row[0].clone())
        .filter(|name| of_streams(&name))
        .collect();
    let mut families: Vec<String> = told
        .keys()
        .filter(of_streams)
        .map(|name| name.split('{').next().unwrap().to_owned())
        .collect();
    families.dedup();
    documented.sort();
    assert_eq!(families, documented);
}
