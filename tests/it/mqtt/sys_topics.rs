//! `$SYS/broker/…`.

use super::start;
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5};

/// They are said every ten seconds, and `#` does not stand for them.
#[test]
fn the_broker_tells_its_counters() {
    let broker = start();
    let mut all = Mqtt::connect(&broker, V3_1_1, "all");
    all.subscribe("#", 0);
    let mut sys = Mqtt::connect(&broker, V3_1_1, "sys");
    sys.subscribe("$SYS/#", 0);
    // Session Expiry Interval: a second.
    let short = Hello { properties: &[17, 0, 0, 0, 1], ..Hello::new(V5, "short") };
    Mqtt::hello(&broker, &short).0.disconnect();
    all.publish("t", b"1", 0, false, 0);
    let mut told = std::collections::BTreeMap::new();
    while !told.contains_key("$SYS/broker/load/connections/15min") {
        let (topic, value) = sys.plain_message();
        told.insert(topic, String::from_utf8(value).unwrap());
    }
    let number = |name: &str| told[&format!("$SYS/broker/{name}")].parse::<f64>().unwrap();
    assert_eq!(number("clients/connected"), 2.0);
    assert_eq!((number("clients/disconnected"), number("clients/expired")), (0.0, 1.0));
    assert_eq!(number("subscriptions/count"), 2.0);
    assert_eq!(number("publish/messages/received"), 1.0);
    assert!(number("bytes/received") > 0.0 && number("load/bytes/received/1min") > 0.0);
    assert!(told["$SYS/broker/uptime"].ends_with(" seconds"), "{told:?}");
    assert!(told["$SYS/broker/version"].contains(env!("CARGO_PKG_VERSION")), "{told:?}");
    assert_eq!(all.plain_message(), ("t".into(), b"1".to_vec()));
    all.ping();
}
