//! XML without types, for consumers with names of their own.

use crate::support::Field::{Bool, Int, Str};
use crate::support::{Client, FORMATS, config, start};
use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, BrokerHandle, Limits, Overflow};

/// A connection that gets XML without types.
fn plain(broker: &BrokerHandle, topic: &str, overflow: Overflow, names: &[(&str, &str)]) -> Client {
    let mut client = Client::connect(broker);
    subscribe(&mut client, topic, overflow, names);
    client
}

fn subscribe(client: &mut Client, topic: &str, overflow: Overflow, names: &[(&str, &str)]) {
    let mut options = vec![("plain", Bool(true)), ("overflow", Str(overflow.as_str()))];
    options.extend(names.iter().map(|(name, value)| (*name, Str(value))));
    client.subscribe_with(Xml, topic, &options);
}

#[track_caller]
fn gets(client: &mut Client, expected: &str) {
    let frame = client.next();
    assert_eq!((frame.format, frame.message().as_str()), (Xml, expected));
}

const ORDER: &str = r#"{"order":{"@id":"5","sku":["X1","X2"]}}"#;
const ORDER_XML: &str = r#"<message><order id="5"><sku>X1</sku><sku>X2</sku></order></message>"#;

#[test]
fn a_document_that_went_through_json_is_the_document_that_it_was() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    let mut json = Client::connect(&broker);
    json.subscribe(Json, "xml");
    producer.publish(Xml, "xml", ORDER_XML.as_bytes());
    assert_eq!(json.next().message(), ORDER);
    for overflow in [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest] {
        let mut consumer = plain(&broker, "json", overflow, &[]);
        producer.publish(Json, "json", ORDER.as_bytes());
        producer.flush(Json);
        gets(&mut consumer, ORDER_XML);
        drop(consumer);
        // The stored value as well.
        let mut late = Client::connect(&broker);
        let stored = late.subscribe_with(Xml, "json", &[("plain", Bool(true))]);
        assert_eq!(stored[0].message(), ORDER_XML);
    }
}

#[test]
fn xml_without_types_is_passed_on_as_it_came_and_with_types_it_is_written_anew() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    let mut consumers = [
        plain(&broker, "t", Overflow::Disconnect, &[]),
        plain(&broker, "t", Overflow::Latest, &[]),
        plain(&broker, "t", Overflow::Disconnect, &[("root", "r"), ("item", "i")]),
    ];
    let as_it_came = "<message ><!-- c --><a b = 'type'/>\n<type>x</type></message>";
    for (xml, expected) in [
        (as_it_came, [as_it_came; 2]),
        (
            "<message type='list'><item type='int'>05</item></message>",
            ["<message><item>5</item></message>", "<message><r><i>5</i></r></message>"],
        ),
        ("<message><a type='int'>5</a></message>", ["<message><a>5</a></message>"; 2]),
        (
            "<message type='document'><a type='int'/></message>",
            ["<message type='document'><a type='int'/></message>"; 2],
        ),
    ] {
        producer.publish(Xml, "t", xml.as_bytes());
        producer.flush(Xml);
        for (consumer, expected) in
            consumers.iter_mut().zip([expected[0], expected[0], expected[1]])
        {
            gets(consumer, expected);
        }
    }
}

/// They belong to a connection; what others of the same subtree get has other names.
#[test]
fn names_are_those_of_the_last_subscription_that_gave_some() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "a", b"[1]");
    producer.flush(Json);
    let mut usual = plain(&broker, "#", Overflow::Disconnect, &[]);
    for overflow in [Overflow::Disconnect, Overflow::DropOldest, Overflow::Latest] {
        let mut client = Client::connect(&broker);
        let options = [("plain", Bool(true)), ("root", Str("data")), ("item", Str("row"))];
        let stored = client.subscribe_with(Xml, "a", &options);
        assert_eq!(stored[0].message(), "<message><data><row>1</row></data></message>");
        // Without names the second subscription has those of the first.
        subscribe(&mut client, "b", overflow, &[]);
        producer.publish(Pickle, "b", b"]K\x02a");
        gets(&mut client, "<message><data><row>2</row></data></message>");
        gets(&mut usual, "<message><item>2</item></message>");
        // The one that is not given is the usual one again.
        subscribe(&mut client, "c", overflow, &[("item", "line")]);
        for topic in ["b", "c"] {
            producer.publish(Json, topic, br#"{"x":[[3]]}"#);
            gets(&mut client, "<message><x><line>3</line></x></message>");
            gets(&mut usual, "<message><x><item>3</item></x></message>");
        }
        for topic in ["b", "c"] {
            producer.command(Json, &[("command", Str("clear")), ("topic", Str(topic))]);
        }
        producer.flush(Json);
    }
}

#[test]
fn with_names_a_connection_is_told_in_order_what_is_cleared() {
    let broker = start();
    let mut producer = Client::connect(&broker);
    let mut consumer = Client::connect(&broker);
    let options = [("plain", Bool(true)), ("cleared", Bool(true)), ("root", Str("r"))];
    consumer.subscribe_with(Xml, "#", &options);
    for _ in 0..3 {
        producer.publish(Json, "a", b"1");
        producer.command(Json, &[("command", Str("clear")), ("topic", Str("a"))]);
    }
    producer.flush(Json);
    for _ in 0..3 {
        gets(&mut consumer, "<message><r>1</r></message>");
        consumer.next().says(&[("command", "cleared"), ("topic", "a")]);
    }
}

/// Whatever was accepted is delivered: with types where it would be far longer without.
#[test]
fn what_would_be_far_longer_has_types() {
    let broker = Broker::start(config().limits(Limits::default().max_encoded(100_000))).unwrap();
    let mut producer = Client::connect(&broker);
    let mut consumers = [
        plain(&broker, "#", Overflow::Disconnect, &[]),
        plain(&broker, "#", Overflow::Latest, &[]),
        plain(&broker, "#", Overflow::Disconnect, &[("item", "row")]),
    ];
    let list = |key: &str, items: usize| format!("{{\"{key}\":[{}1]}}", "1,".repeat(items - 1));
    for (json, has_types) in [
        (list("k", 100), false),
        (list(&"k".repeat(100), 2), false),
        (list(&"k".repeat(100), 100), true),
        // 25 bytes each with types and 45 without, which is no frame any more.
        (list(&"k".repeat(20), 1_900), false),
        (list(&"k".repeat(20), 3_000), true),
    ] {
        producer.publish(Json, "t", json.as_bytes());
        assert!(producer.flush(Json).is_empty(), "{}", &json[..30]);
        for consumer in &mut consumers {
            let frame = consumer.next();
            assert!(frame.body.len() <= 100_000);
            let message = frame.message();
            assert_eq!(
                message.starts_with("<message type=\"dict\">"),
                has_types,
                "{}",
                &json[..30]
            );
        }
    }
}

#[test]
fn options_of_plain_xml_are_judged_in_every_format_and_mean_something_in_xml() {
    let broker = start();
    let mut client = Client::connect(&broker);
    let (subscribe, topic) = (("command", Str("subscribe")), ("topic", Str("t")));
    for format in FORMATS {
        for (name, value) in [
            ("plain", Str("yes")),
            ("plain", Int(1)),
            ("root", Bool(true)),
            ("root", Str("a b")),
            ("item", Str("a:b")),
            ("item", Str("xml")),
            ("item", Str(&"a".repeat(65))),
        ] {
            // Everything in an attribute is a string.
            if format == Xml && matches!(value, Bool(_) | Int(_)) && name == "root" {
                continue;
            }
            client.command(format, &[subscribe, topic, (name, value)]);
            let frame = client.next();
            frame.refuses("invalid-field", false);
            assert!(frame.field("reason").contains(&format!("\"{name}\"")), "{format}");
        }
    }
    client.subscribe_with(Json, "t", &[("plain", Bool(true)), ("root", Str("r"))]);
    client.publish(Json, "t", b"[1]");
    assert_eq!(client.next().message(), "[1]");
    client.command(Xml, &[("command", Str("get")), ("topic", Str("t"))]);
    gets(&mut client, r#"<message type="list"><item type="int">1</item></message>"#);
    let info = broker.list_subscriptions("t").unwrap();
    assert!(!info[0].plain);
    client.subscribe_with(Xml, "t", &[("plain", Bool(true))]);
    assert!(broker.list_subscriptions("t").unwrap()[0].plain);
}
