//! What the disk gives back that was never written is not delivered, and that is said.

use std::fs;
use std::path::Path;

use super::{Json, orders, scratch, start_in};

#[test]
fn a_damaged_message_is_told_and_the_consumer_goes_on_behind_it() {
    let folder = scratch("damage");
    let broker = start_in(&folder, &[orders()]);
    let mut producer = Json::connect(&broker);
    let text = |letter: char| format!("\"{}\"", letter.to_string().repeat(50));
    for letter in ['a', 'b', 'c', 'd'] {
        let format = babelmq::Format::Json;
        producer.client.publish(format, "orders/1", text(letter).as_bytes());
    }
    producer.client.is_quiet();
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", r#","start":"all","window":1"#);
    assert_eq!(consumer.client.next().message(), text('a'));
    consumer.ack_all([]);
    broker.close().unwrap();
    let segments = fs::read_dir(folder.join("streams/orders")).unwrap();
    let segment = segments
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "segment"))
        .unwrap();
    let mut bytes = fs::read(&segment).unwrap();
    let place = bytes.windows(50).position(|window| window == [b'b'; 50]).unwrap();
    bytes[place + 25] = b'x';
    fs::write(&segment, bytes).unwrap();
    let broker = start_in(&folder, &[orders()]);
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", r#","window":4"#);
    assert_eq!(consumer.client.next().message(), text('a'));
    let damaged = consumer.client.next();
    damaged.refuses("damaged", false);
    assert!(damaged.field("reason").contains("messages 2 to 2 of the stream orders"));
    assert_eq!(consumer.client.next().message(), text('c'));
    assert_eq!(consumer.client.next().message(), text('d'));
    consumer.ack_all([1, 3, 4]);
    let consumers = consumer.list(r#"{"command":"consumers"}"#);
    assert_eq!(consumers[0]["pending"], 0, "what cannot be read is settled: {consumers:?}");
}

/// The journal of the consumers of the usual stream, with one letter changed where a name stands
/// for the first so many times.
fn damage_notes(folder: &Path, name: &str, times: usize) {
    let journal = folder.join("streams/orders/consumers.notes");
    let mut bytes = fs::read(&journal).unwrap();
    let places: Vec<_> =
        (0..bytes.len()).filter(|at| bytes[*at..].starts_with(name.as_bytes())).collect();
    assert!(places.len() > times, "{} notes name {name}", places.len());
    places[..times].iter().for_each(|place| bytes[*place] = b'x');
    fs::write(&journal, bytes).unwrap();
}

#[test]
fn a_consumer_whose_notes_are_damaged_misses_nothing_and_holds_up_no_other() {
    let folder = scratch("damaged-notes");
    let broker = start_in(&folder, &[orders()]);
    Json::connect(&broker).publish("orders/1", 1..=4);
    for name in ["billing", "shipping"] {
        let mut consumer = Json::connect(&broker);
        consumer.consume("orders", name, r#","start":"all""#);
        assert_eq!(consumer.seqs(4), [1, 2, 3, 4]);
        consumer.ack_all([1, 2, 4]);
    }
    broker.close().unwrap();
    // Its beginning is lost, and what it has acknowledged is there.
    damage_notes(&folder, "billing", 1);
    // It stays lost until somebody asks for it.
    for _ in 0..2 {
        let broker = start_in(&folder, &[orders()]);
        let mut admin = Json::connect(&broker);
        let consumers = admin.list(r#"{"command":"consumers"}"#);
        assert_eq!((consumers.len(), &consumers[0]["consumer"]), (1, &"shipping".into()));
        broker.close().unwrap();
    }
    let broker = start_in(&folder, &[orders()]);
    let (mut billing, mut shipping) = (Json::connect(&broker), Json::connect(&broker));
    // One that is new would begin with what comes.
    billing.consume("orders", "billing", "");
    assert_eq!(billing.seqs(4), [1, 2, 3, 4]);
    billing.ack_all([1, 2, 3]);
    shipping.consume("orders", "shipping", "");
    assert_eq!(shipping.seqs(1), [3]);
    shipping.client.is_quiet();
    broker.close().unwrap();
    // Of this one nothing is left but its name, behind the notes of all.
    damage_notes(&folder, "shipping", 1);
    let broker = start_in(&folder, &[orders()]);
    let (mut billing, mut shipping) = (Json::connect(&broker), Json::connect(&broker));
    billing.consume("orders", "billing", "");
    assert_eq!(billing.seqs(1), [4]);
    shipping.consume("orders", "shipping", "");
    assert_eq!(shipping.seqs(4), [1, 2, 3, 4]);
    broker.close().unwrap();
    // Whoever does not want what was done before has it removed.
    damage_notes(&folder, "shipping", 1);
    let broker = start_in(&folder, &[orders()]);
    let mut shipping = Json::connect(&broker);
    let remove = r#"{"command":"remove-consumer","stream":"orders","consumer":"shipping"}"#;
    let done = [("command", "done"), ("stream", "orders"), ("consumer", "shipping")];
    shipping.ask(remove).says(&done);
    shipping.ask(remove).refuses("no-consumer", false);
    assert_eq!(shipping.consume("orders", "shipping", "").field("pending"), "0");
}
