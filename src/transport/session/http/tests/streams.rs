//! What is said of a stream while its disk fails, or does not answer.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{config, get, is_ready};
use crate::broker::sync::{Condvar, Mutex};
use crate::broker::{
    Change, Cursor, Found, Kept, Log, LogReader, LogSync, LogWriter, Record, Store, StoreError,
    StreamDefinition, StreamStore,
};
use crate::protocol::{TopicFilter, TopicName, Value};
use crate::transport::{Broker, BrokerHandle};

/// What the disk does with what it is given.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Mood {
    Takes,
    Fails,
    Hangs,
}

/// A disk that keeps the number of messages and nothing else.
#[derive(Clone, Debug)]
struct Disk(Arc<(Mutex<(Mood, u64)>, Condvar)>);

impl Disk {
    fn new() -> Disk {
        Disk(Arc::new((Mutex::new((Mood::Takes, 1)), Condvar::new())))
    }

    fn turn(&self, mood: Mood) {
        self.0.0.lock().0 = mood;
        self.0.1.notify_all();
    }

    fn take(&self, messages: usize) -> Result<(), StoreError> {
        let mut state = self.0.0.lock();
        while state.0 == Mood::Hangs {
            self.0.1.wait(&mut state);
        }
        if state.0 == Mood::Fails {
            return Err(StoreError::new("no space left on \"device\""));
        }
        state.1 += messages as u64;
        Ok(())
    }
}

impl Store for Disk {
    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    fn streams(&mut self) -> Result<Option<Arc<dyn StreamStore>>, StoreError> {
        Ok(Some(Arc::new(self.clone())))
    }
}

impl StreamStore for Disk {
    fn list(&self) -> Result<Vec<StreamDefinition>, StoreError> {
        Ok(Vec::new())
    }

    fn open(&self, definition: &StreamDefinition) -> Result<Log, StoreError> {
        // Only one stream is on the disk that has moods.
        let disk = if definition.name == "orders" { self.clone() } else { Disk::new() };
        let (writer, sync) = (Box::new(disk.clone()), Box::new(disk.clone()));
        Ok(Log { writer, sync, reader: Arc::new(disk), notes: Vec::new() })
    }

    fn remove(&self, _: &str) -> Result<(), StoreError> {
        Ok(())
    }
}

impl LogWriter for Disk {
    fn append(&mut self, records: &[Record<'_>]) -> Result<(), StoreError> {
        self.take(records.len())
    }

    fn note(&mut self, _: &[&[u8]]) -> Result<(), StoreError> {
        Ok(())
    }

    fn replace_notes(&mut self, _: &[&[u8]]) -> Result<(), StoreError> {
        Ok(())
    }

    fn noted(&self) -> u64 {
        0
    }

    fn trim(&mut self, _: u64, _: Option<u64>) -> Result<u64, StoreError> {
        Ok(1)
    }

    fn delete(&mut self, _: u64) -> Result<bool, StoreError> {
        Ok(false)
    }

    fn is_full(&self, _: usize) -> bool {
        false
    }

    fn define(&mut self, _: &StreamDefinition) -> Result<(), StoreError> {
        Ok(())
    }
}

impl LogSync for Disk {
    fn sync(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

impl LogReader for Disk {
    fn first(&self) -> u64 {
        1
    }

    fn next(&self) -> u64 {
        self.0.0.lock().1
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn cursor(&self, seq: u64) -> Box<dyn Cursor> {
        Box::new(Nowhere(seq))
    }

    fn at_time(&self, _: u64) -> Result<u64, StoreError> {
        Ok(1)
    }

    fn last_of_topic(&self, _: TopicName<'_>, _: usize) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }

    fn last_of_each(&self, _: &TopicFilter) -> Result<Vec<u64>, StoreError> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
struct Nowhere(u64);

impl Cursor for Nowhere {
    fn seek(&mut self, seq: u64) {
        self.0 = seq;
    }

    fn seq(&self) -> u64 {
        self.0
    }

    fn read(&mut self) -> Result<Option<Found<'_>>, StoreError> {
        Ok(None)
    }
}

/// A disk that takes everything in the end, however a test ends: its broker waits for that.
struct Held(Disk);

impl Held {
    fn turn(&self, mood: Mood) {
        self.0.turn(mood);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.turn(Mood::Takes);
    }
}

/// A broker with a stream on a disk that has moods, and what is published to it.
fn start() -> (BrokerHandle, Held) {
    let disk = Disk::new();
    let stream = StreamDefinition::new("orders", TopicFilter::parse("orders").unwrap()).unwrap();
    let broker = Broker::start_with(config().streams(vec![stream]), Box::new(disk.clone()));
    (broker.unwrap(), Held(disk))
}

/// Asks until the answer has a line.
#[track_caller]
fn until_told(broker: &BrokerHandle, path: &str, line: &str) {
    let began = Instant::now();
    loop {
        let told = get(broker, path);
        if told.contains(line) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{told}");
    }
}

#[test]
fn a_broker_with_a_stream_that_fails_is_not_ready_and_says_which() {
    let (broker, disk) = start();
    assert_eq!(is_ready(&broker), Ok(()));
    disk.turn(Mood::Fails);
    broker.put_topic("orders/7", &Value::Int(1)).unwrap();
    until_told(&broker, "/metrics", "_state{stream=\"orders\",state=\"failing\"} 1\n");
    let why = is_ready(&broker).unwrap_err();
    let said = "the stream orders cannot be written to: no space left on \\\"device\\\"";
    assert!(why.contains(said), "{why}");
    assert!(get(&broker, "/healthz").starts_with("HTTP/1.1 200 "));
    disk.turn(Mood::Takes);
    until_told(&broker, "/readyz", "\"ready\"");
    until_told(&broker, "/metrics", "_state{stream=\"orders\",state=\"ok\"} 1\n");
}

#[test]
fn a_stream_whose_disk_hangs_holds_up_no_scrape_and_is_named() {
    let (broker, disk) = start();
    disk.turn(Mood::Hangs);
    broker.put_topic("orders/7", &Value::Int(1)).unwrap();
    until_told(&broker, "/metrics", "_state{stream=\"orders\",state=\"silent\"} 1\n");
    let began = Instant::now();
    let told = get(&broker, "/metrics");
    let took = began.elapsed();
    assert!(took < Duration::from_secs(2), "a scrape took {took:?}");
    for line in ["_state{stream=\"$dead\",state=\"ok\"} 1\n", "_consumers{stream=\"$dead\"} 0\n"] {
        assert!(told.contains(line), "{told}");
    }
    assert!(!told.contains("_consumers{stream=\"orders\"}"), "nobody knows: {told}");
    let consumers = get(&broker, "/api/v1/consumers");
    assert!(consumers.ends_with(r#"{"consumers":[],"silent":["orders"]}"#), "{consumers}");
    let why = is_ready(&broker).unwrap_err();
    assert!(why.contains("the disk has not taken what was stored for too long"), "{why}");
    disk.turn(Mood::Takes);
    until_told(&broker, "/metrics", "_state{stream=\"orders\",state=\"ok\"} 1\n");
}
