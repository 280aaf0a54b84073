//! Bugs that were found, each with the input that showed it.

#![cfg(all(feature = "broker", feature = "middleware"))]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod support;

use babelmq::{Format, XmlQueue};

/// Judging a JSON payload did not charge for moving what stands under duplicate keys, and decoding it did: an accepted
/// message was lost to everyone who wanted it translated.
#[test]
fn what_was_judged_is_never_too_large_to_translate() {
    let broker = support::start();
    let mut consumer = XmlQueue::builder("t").address(broker.local_addr()).consumer().unwrap();
    let items = vec!["1"; 300_001].join(",");
    let message = format!("{}[{items}]{}", r#"{"a":0,"a":"#.repeat(100), "}".repeat(100));
    let mut producer = support::Client::connect(&broker);
    let publish = format!(r#"{{"command":"publish","topic":"t","message":{message}}}"#);
    producer.send_raw(&support::frame(0, publish.as_bytes()));
    let (_, value) = consumer.pull_timeout(std::time::Duration::from_secs(30)).unwrap();
    assert!(value.get("a").is_some());
    assert_eq!(broker.stats().encoding_failures, 0);
}

/// A namespace prefix was not held to be a name, and the default namespace was judged before its references were read:
/// both were passed on to consumers whose parsers (expat, for one) refuse the whole document.
#[test]
fn namespaces_that_parsers_refuse() {
    let broker = support::start();
    let mut producer = support::Client::connect(&broker);
    for declaration in ["xmlns:2a='u'", "xmlns='http://www.w3.org/2000/xmln&#115;/'"] {
        let body = format!("<f command='publish' topic='t'><message {declaration}/></f>");
        producer.send(Format::Xml, body.as_bytes());
        let answers = producer.flush(Format::Xml);
        assert_eq!(answers.len(), 1, "{declaration}");
        answers[0].refuses("malformed-xml", false);
    }
}
