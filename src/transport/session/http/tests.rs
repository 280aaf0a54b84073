//! Whether a broker is ready, while its dispatcher or its disk stands still.

mod streams;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::broker::sync::{Condvar, Mutex, bounded};
use crate::broker::{Change, Event, Kept, Query, Store, StoreError};
use crate::protocol::Value;
use crate::transport::{Broker, BrokerHandle, Config, ListenUrl};

fn config() -> Config {
    let url = |text: &str| text.parse::<ListenUrl>().unwrap();
    Config::default().listeners([url("127.0.0.1:0"), url("http://127.0.0.1:0")])
}

/// What is found at a path.
fn get(broker: &BrokerHandle, path: &str) -> String {
    let mut stream = TcpStream::connect(broker.http_addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn is_ready(broker: &BrokerHandle) -> Result<(), String> {
    let answer = get(broker, "/readyz");
    match answer.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some("503") => Err(answer),
        _ => panic!("{answer}"),
    }
}

#[test]
fn a_broker_whose_dispatcher_stands_still_lives_and_is_not_ready() {
    let broker = Broker::start(config()).unwrap();
    assert_eq!(is_ready(&broker), Ok(()));
    // It answers to somebody who does not listen yet.
    let (sender, receiver) = bounded(0);
    broker.events.as_ref().unwrap().send(Event::Query(Query::Stats(sender))).unwrap();
    let why = is_ready(&broker).unwrap_err();
    assert!(why.contains("dispatcher has not answered"), "{why}");
    assert!(get(&broker, "/healthz").starts_with("HTTP/1.1 200 "));
    receiver.recv().unwrap();
    assert_eq!(is_ready(&broker), Ok(()));
}

/// A disk that takes nothing while it is held.
#[derive(Debug, Default)]
struct Disk(Arc<(Mutex<bool>, Condvar)>);

impl Store for Disk {
    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        let (is_held, changed) = &*self.0;
        let mut is_held = is_held.lock();
        while *is_held {
            changed.wait(&mut is_held);
        }
        Ok(())
    }
}

#[test]
fn a_broker_whose_disk_stands_still_lives_and_is_not_ready() {
    let disk = Arc::new((Mutex::new(true), Condvar::new()));
    let config = config().fsync_interval(Duration::from_millis(10));
    let broker = Broker::start_with(config, Box::new(Disk(disk.clone()))).unwrap();
    assert_eq!(is_ready(&broker), Ok(()), "there is nothing to be kept");
    broker.put_topic("/t", &Value::Int(1)).unwrap();
    let why = is_ready(&broker).unwrap_err();
    assert!(why.contains("disk"), "{why}");
    assert!(get(&broker, "/healthz").starts_with("HTTP/1.1 200 "));
    *disk.0.lock() = false;
    disk.1.notify_all();
    assert_eq!(is_ready(&broker), Ok(()));
}
