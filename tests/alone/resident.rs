//! What the process has resident while clients ask for much.
#![cfg(all(feature = "broker", feature = "middleware"))]

use babelmq::Broker;
use babelmq::Format::{self, Json, Pickle, Xml};

use crate::alone;
use crate::support::Field::Str;
use crate::support::process::memory;
use crate::support::{Client, config, frame, start};

/// A frame of 16 MiB that is only claimed costs nothing, and one that is full of openings is
/// refused at once.
#[test]
fn claims_and_openings_are_cheap() {
    let _alone = alone();
    let broker = start();
    let mut claims = Vec::new();
    for format in 0..3_u8 {
        for _ in 0..20 {
            let mut client = Client::connect(&broker);
            client.send_raw(&[format, 1, 0, 0, 0]);
            claims.push(client);
        }
    }
    let mut client = Client::connect(&broker);
    let openings: [(Format, &[u8], &str); 3] =
        [(Json, b"[", "too-deep"), (Xml, b"<a>", "too-deep"), (Pickle, b"(", "malformed-pickle")];
    for (format, opening, code) in openings {
        client.send_raw(&frame(format.byte(), &opening.repeat((4 << 20) / opening.len())));
        client.next().refuses(code, false);
    }
    client.is_quiet();
    let resident = memory("self", "VmRSS") >> 20;
    assert!(resident < 600, "{resident} MiB are resident");
}

fn publish_big(producer: &mut Client, topic: &str) {
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    producer.publish(Json, topic, payload.as_bytes());
}

/// The bytes of all queues of a connection together are bounded, whatever the policies.
#[test]
fn all_queues_of_a_connection_share_one_bound_of_bytes() {
    let _alone = alone();
    let mut config = config();
    config.queue.bytes = 8 << 20;
    let broker = Broker::start(config).unwrap();
    let mut slow = Client::connect(&broker);
    for topic in 0..20 {
        let policy = if topic % 2 == 0 { "drop-oldest" } else { "latest" };
        slow.subscribe_with(Json, &format!("t/{topic}"), &[("overflow", Str(policy))]);
    }
    let mut producer = Client::connect(&broker);
    let before = memory("self", "VmRSS");
    for round in 0..20 {
        for topic in 0..20 {
            let topic = format!("t/{topic}/{round}");
            publish_big(&mut producer, &topic);
            // What the broker remembers is not what this test is about.
            producer.command(Json, &[("command", Str("clear")), ("topic", Str(&topic))]);
        }
        producer.flush(Json);
    }
    let held = memory("self", "VmRSS").saturating_sub(before);
    assert!(held < 100 << 20, "{} MiB are held for one client that does not read", held >> 20);
    assert!(broker.stats().dropped > 300);
    producer.is_quiet();
}
