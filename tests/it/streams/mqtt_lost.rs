//! Sessions of MQTT clients of which a restart knows less than there was.

use babelmq::broker::{Change, Kept, Store, StoreError, StreamStore};
use babelmq::codec::Payload;
use babelmq::protocol::{Limits, Value};
use babelmq::{Broker, ListenUrl, Storage};

use super::mqtt_sessions::{back, consumers, fresh, publish, start, staying, take};
use super::{orders, scratch};
use crate::support::config;

/// What is written down of a session says since when its consumer was there.
#[test]
fn a_session_whose_consumer_is_lost_misses_nothing() {
    let folder = scratch("mqtt-lost");
    let broker = start(&folder);
    publish(&broker, "orders/1", &["before"]);
    let mut mqtt = fresh(&broker, &staying("sensor"));
    assert_eq!(mqtt.subscribe("orders/#", 1), 1);
    mqtt.disconnect();
    publish(&broker, "orders/1", &["one", "two"]);
    broker.close().unwrap();
    std::fs::remove_file(folder.join("streams/orders/consumers.notes")).unwrap();

    let broker = start(&folder);
    let mut mqtt = back(&broker, &staying("sensor"));
    take(&mut mqtt, &["one", "two"]);
}

/// A store whose sessions are written in another way.
#[derive(Debug)]
struct Strange(Storage);

impl Store for Strange {
    fn load(&mut self, take: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        self.0.load(&mut |kept| {
            let topic = kept.topic.as_str().to_owned();
            take(if topic.starts_with("$mqtt/sessions/") {
                let payload = Payload::of_value(&topic, &Value::Int(1), &Limits::default());
                Kept::new(kept.topic, payload.unwrap(), kept.published)
            } else {
                kept
            });
        })
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        self.0.write(changes)
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        self.0.commit()
    }

    fn streams(&mut self) -> Result<Option<std::sync::Arc<dyn StreamStore>>, StoreError> {
        self.0.streams()
    }
}

/// A later broker may write sessions down in another way: an older one leaves them what they have.
#[test]
fn a_session_that_is_not_understood_keeps_what_waits_for_it() {
    let folder = scratch("mqtt-strange");
    let broker = start(&folder);
    let mut mqtt = fresh(&broker, &staying("sensor"));
    assert_eq!(mqtt.subscribe("orders/#", 1), 1);
    mqtt.disconnect();
    let kept = consumers(&broker);
    assert_eq!(kept.len(), 1);
    broker.close().unwrap();

    let urls = ["127.0.0.1:0", "mqtt://127.0.0.1:0"].map(|url| url.parse::<ListenUrl>().unwrap());
    let config = config().listeners(urls).streams(vec![orders()]);
    let strange = Strange(Storage::open(&folder, true).unwrap());
    let broker = Broker::start_with(config, Box::new(strange)).unwrap();
    assert_eq!(consumers(&broker), kept);
}
