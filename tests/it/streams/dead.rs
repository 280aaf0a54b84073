//! Dead letters: what a consumer cannot do.

use super::{Json, orders, scratch, start, start_in};

#[test]
fn a_message_that_is_delivered_too_often_becomes_a_dead_letter() {
    let broker = start("exhausted");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","max-deliver":2"#);
    let mut undertaker = Json::connect(&broker);
    undertaker.consume("$dead", "undertaker", "");
    producer.publish("orders/7", [10, 11]);
    assert_eq!(consumer.seqs(2), [1, 2]);
    consumer.send(r#"{"command":"nak","seq":1}"#);
    assert_eq!(consumer.delivery(), (1, 10, 2));
    consumer.send(r#"{"command":"nak","seq":1}"#);
    let letter = undertaker.client.next();
    assert_eq!(letter.field("topic"), "$dead/billing/orders/7");
    let content: serde_json::Value = serde_json::from_str(&letter.message()).unwrap();
    assert_eq!(
        content,
        serde_json::json!({
            "topic": "orders/7", "stream": "orders", "seq": 1, "attempts": 2,
            "reason": "it was delivered 2 times", "message": 10,
        })
    );
    consumer.ack_all([2]);
    drop(consumer);
    let mut consumer = Json::connect(&broker);
    assert_eq!(consumer.consume("orders", "billing", "").field("pending"), "0");
}

#[test]
fn a_message_that_is_rejected_becomes_a_dead_letter_at_once() {
    let folder = scratch("rejected");
    let broker = start_in(&folder, &[orders()]);
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "");
    producer.publish("/orders/7", [1]);
    producer.publish("orders/7", [10]);
    assert_eq!(consumer.delivery(), (1, 10, 1));
    consumer.send(r#"{"command":"reject","seq":1,"reason":"no such customer"}"#);
    consumer.client.is_quiet();
    let mut reader = Json::connect(&broker);
    reader.subscribe("$dead/billing", r#""start":"all""#);
    let letter = reader.client.next();
    let content: serde_json::Value = serde_json::from_str(&letter.message()).unwrap();
    assert_eq!(content["reason"], "no such customer");
    broker.close().unwrap();
    let broker = start_in(&folder, &[orders()]);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", "");
    consumer.client.is_quiet();
    let mut reader = Json::connect(&broker);
    reader.subscribe("$dead/billing", r#""start":"all""#);
    assert_eq!(reader.client.next().field("seq"), "1", "it is kept");
}

#[test]
fn a_dead_letter_of_a_dead_letter_goes_nowhere() {
    let broker = start("twice-dead");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "");
    let mut undertaker = Json::connect(&broker);
    undertaker.consume("$dead", "undertaker", "");
    producer.publish("orders/7", [10]);
    assert_eq!(consumer.delivery().0, 1);
    consumer.send(r#"{"command":"reject","seq":1}"#);
    assert_eq!(undertaker.client.next().field("seq"), "1");
    undertaker.send(r#"{"command":"reject","seq":1}"#);
    undertaker.client.is_quiet();
    let of_dead = undertaker.list(r#"{"command":"consumers","stream":"$dead"}"#);
    assert_eq!((&of_dead[0]["pending"], &of_dead[0]["dead"]), (&0.into(), &1.into()));
}

#[test]
fn a_dead_message_can_be_tried_again_by_its_consumer_alone() {
    let broker = start("retried");
    let mut producer = Json::connect(&broker);
    let (mut billing, mut mail) = (Json::connect(&broker), Json::connect(&broker));
    billing.consume("orders", "billing", "");
    mail.consume("orders", "mail", "");
    producer.publish("orders/7", [10]);
    assert_eq!((billing.delivery().0, mail.delivery().0), (1, 1));
    mail.ack_all([1]);
    billing.send(r#"{"command":"reject","seq":1}"#);
    billing.client.is_quiet();
    // The letter is safe when it can be read.
    let mut reader = Json::connect(&broker);
    reader.subscribe("$dead", r#""start":"all""#);
    assert_eq!(reader.client.next().field("seq"), "1");
    let mut admin = Json::connect(&broker);
    let retry = r#"{"command":"retry","stream":"orders","consumer":"billing","seq":1}"#;
    crate::support::process::until("the message is settled and delivered again", || {
        admin.ask(retry).says(&[
            ("command", "done"),
            ("stream", "orders"),
            ("consumer", "billing"),
        ]);
        let consumers = admin.list(r#"{"command":"consumers","stream":"orders"}"#);
        consumers[0]["outstanding"] == 1
    });
    assert_eq!(billing.delivery(), (1, 10, 1));
    mail.client.is_quiet();
    let delete = r#"{"command":"delete","stream":"$dead","seq":1}"#;
    admin.ask(delete).says(&[("command", "done"), ("stream", "$dead")]);
    let mut reader = Json::connect(&broker);
    reader.subscribe("$dead", r#""start":"all""#);
    reader.client.is_quiet();
}
