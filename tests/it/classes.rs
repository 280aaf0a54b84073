//! Objects of classes of people's own: data where the broker was told their classes, and refused by
//! name where it was not.
#![cfg(feature = "broker")]

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::{Broker, Limits};

use crate::support::Field::Bool;
use crate::support::{Client, config};

/// `pickle.dumps(app.models.Order(id=5, tags=["a"]))`, without PROTO and STOP.
const ORDER: &[u8] =
    b"\x8c\x0aapp.models\x8c\x05Order\x93)\x81}(\x8c\x02idK\x05\x8c\x04tags]\x8c\x01aaub";
/// An Enum's member, `app.models.Color(1)`.
const COLOR: &[u8] = b"\x8c\x0aapp.models\x8c\x05Color\x93K\x01\x85R";

#[test]
fn an_object_is_its_state() {
    let mut config = config();
    config.limits = Limits::default().pickle_classes("app.models.*".parse().unwrap());
    let broker = Broker::start(config).unwrap();
    let mut producer = Client::connect(&broker);
    producer.publish(Pickle, "t", ORDER);
    producer.flush(Pickle);
    let state = r#"{"id":5,"tags":["a"]}"#;
    let object = format!(r#"{{"$object":{{"class":"app.models.Order","state":{state}}}}}"#);
    let element = "<id type=\"int\">5</id><tags type=\"list\"><item type=\"str\">a</item></tags>";
    // Once as it was stored, once as it comes.
    let mut consumers = [(Json, false, state), (Json, true, &object), (Xml, false, element)].map(
        |(format, exact, expected)| {
            let mut client = Client::connect(&broker);
            let stored = client.subscribe_with(format, "t", &[("exact", Bool(exact))]);
            assert_eq!(stored.len(), 1);
            assert!(stored[0].text().contains(expected), "{}", stored[0].text());
            (client, expected)
        },
    );
    let mut in_pickle = Client::connect(&broker);
    in_pickle.subscribe_with(Pickle, "t", &[("exact", Bool(true))]);
    producer.publish(Pickle, "t", ORDER);
    for (consumer, expected) in &mut consumers {
        let delivered = consumer.next();
        assert!(delivered.text().contains(*expected), "{}", delivered.text());
    }
    // Never a producer's class.
    let delivered = in_pickle.next();
    let state = b"}(\x8c\x02idK\x05\x8c\x04tags](\x8c\x01aeu";
    assert!(delivered.body.windows(state.len()).any(|part| part == state));
    assert!(!delivered.body.windows(3).any(|part| part == b"app"));

    producer.publish(Pickle, "t", COLOR);
    assert!(consumers[1].0.next().text().contains(r#""message":1}"#));
}

#[test]
fn a_class_that_was_not_named_is_refused_by_name() {
    let mut config = config();
    config.limits = Limits::default().pickle_classes("app.models.Color".parse().unwrap());
    let broker = Broker::start(config).unwrap();
    let mut producer = Client::connect(&broker);
    producer.publish(Pickle, "t", ORDER);
    let refused = producer.next();
    refused.refuses("forbidden-pickle", false);
    let reason = refused.field("reason");
    assert!(reason.contains("app.models.Order") && reason.contains("--pickle-class"), "{reason}");
    producer.publish(Pickle, "t", COLOR);
    assert!(producer.flush(Pickle).is_empty(), "the other is taken");
}
