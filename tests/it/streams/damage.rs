//! What the disk gives back that was never written is not delivered, and that is said.

use std::fs;

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
