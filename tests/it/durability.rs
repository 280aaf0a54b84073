//! A broker with a store, as programs see it: what a flush says, and what it does not wait for.
#![cfg(all(feature = "broker", feature = "middleware"))]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use babelmq::broker::{Change, Fsync, Kept, Store, StoreError};
use babelmq::{
    Broker, BrokerHandle, Client, ErrorCode, Format, JsonQueue, Message, PickleQueue, Publish,
    Queue, QueueError, Topic, Value, Wire, XmlQueue,
};

use crate::support::process::until;
use crate::support::{PATIENCE, config, start};

/// A store that can be made to fail, and counts what it is told.
#[derive(Clone, Debug, Default)]
struct Disk {
    broken: Arc<AtomicBool>,
    kept: Arc<AtomicUsize>,
    forgotten: Arc<AtomicUsize>,
}

impl Store for Disk {
    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StoreError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(StoreError::new("the disk is broken"));
        }
        for change in changes {
            let count =
                if matches!(change, Change::Forget(_)) { &self.forgotten } else { &self.kept };
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

fn start_on(disk: &Disk, fsync: Fsync, fsync_interval: Duration) -> BrokerHandle {
    let config = config().fsync(fsync).fsync_interval(fsync_interval);
    Broker::start_with(config, Box::new(disk.clone())).unwrap()
}

/// Waits as long as the broker takes.
fn producer<W: Wire>(broker: &BrokerHandle) -> Queue<W> {
    Queue::builder("t").address(broker.local_addr()).timeout(Duration::MAX).producer().unwrap()
}

#[track_caller]
fn is_storage_failed(result: Result<(), QueueError>) {
    match result {
        Err(QueueError::Refused(refused)) => {
            assert!(refused.is(ErrorCode::StorageFailed) && !refused.fatal, "{refused}");
            assert!(refused.reason.contains("the disk is broken"), "{refused}");
        }
        other => panic!("{other:?}"),
    }
}

fn queue<W: Wire>() {
    let disk = Disk::default();
    let broker = start_on(&disk, Fsync::Always, Duration::ZERO);
    let mut queue: Queue<W> = producer(&broker);
    queue.push(&1).unwrap();
    queue.flush().unwrap();
    disk.broken.store(true, Ordering::Relaxed);
    for number in 2..5 {
        queue.push(&number).unwrap();
        // A timeout would never come.
        is_storage_failed(queue.flush());
    }
    // Whatever else is asked is answered, and a subscription has what is remembered.
    assert_eq!(queue.topics().unwrap().len(), 1);
    queue.cancel().unwrap();
    let mut consumer =
        Queue::<W>::builder("t").address(broker.local_addr()).timeout(PATIENCE).consumer().unwrap();
    assert_eq!(consumer.pull_as::<u32>().unwrap().1, 4);
    disk.broken.store(false, Ordering::Relaxed);
    until("the disk is whole", || queue.flush().is_ok());
    queue.push(&5).unwrap();
    queue.flush().unwrap();
    assert_eq!(consumer.pull_as::<u32>().unwrap().1, 5);
}

#[test]
fn a_flush_in_json_fails_at_once_where_the_disk_does_and_works_again() {
    queue::<babelmq::Json>();
}

#[test]
fn a_flush_in_xml_fails_at_once_where_the_disk_does_and_works_again() {
    queue::<babelmq::Xml>();
}

#[test]
fn a_flush_in_pickle_fails_at_once_where_the_disk_does_and_works_again() {
    queue::<babelmq::Pickle>();
}

#[test]
fn a_clients_flush_and_clear_fail_at_once_too() {
    let disk = Disk::default();
    let broker = start_on(&disk, Fsync::Always, Duration::ZERO);
    let mut client = Client::connect(&broker.local_addr().to_string(), Duration::MAX).unwrap();
    let topic = Topic::parse("t").unwrap();
    let one = Message::parse(Format::Json, b"1").unwrap();
    disk.broken.store(true, Ordering::Relaxed);
    for _ in 0..2 {
        client.publish(&topic, &one, Publish::default()).unwrap();
        is_storage_failed(client.flush());
        is_storage_failed(client.clear(&topic));
        assert_eq!(client.get(&topic, Format::Json).unwrap(), None);
    }
    disk.broken.store(false, Ordering::Relaxed);
    until("the disk is whole", || client.flush().is_ok());
    client.publish(&topic, &one, Publish::default()).unwrap();
    client.flush().unwrap();
    assert_eq!(client.get(&topic, Format::Json).unwrap(), Some(one));
}

#[test]
fn put_topic_does_not_wait_and_flush_does() {
    for fsync in [Fsync::Always, Fsync::Interval, Fsync::Never] {
        let disk = Disk::default();
        let broker = start_on(&disk, fsync, Duration::from_millis(1));
        broker.flush().unwrap();
        for n in 1..=100_usize {
            broker.put_topic(&format!("t/{n}"), &Value::Int(1)).unwrap();
            broker.flush().unwrap();
            assert_eq!(disk.kept.load(Ordering::Relaxed), n, "{fsync:?}");
        }
        assert!(broker.clear_topic("t/7").unwrap());
        broker.flush().unwrap();
        assert_eq!(disk.forgotten.load(Ordering::Relaxed), 1);
        assert_eq!(broker.stats().unsaved, Duration::ZERO);
        assert_eq!(broker.stats().unsaved_clears, 0);
        disk.broken.store(true, Ordering::Relaxed);
        broker.put_topic("t/1", &Value::Int(2)).unwrap();
        assert_eq!(broker.flush().unwrap_err().code, ErrorCode::StorageFailed);
        assert_ne!(broker.stats().unsaved, Duration::ZERO);
        assert_eq!(broker.get_topic("t/1").unwrap(), Some(Value::Int(2)));
        disk.broken.store(false, Ordering::Relaxed);
        until("the disk is whole", || broker.flush().is_ok());
        assert_eq!(broker.stats().unsaved, Duration::ZERO);
    }
    let broker = start();
    broker.put_topic("t", &Value::Int(1)).unwrap();
    broker.flush().expect("there is nothing to wait for");
}

#[test]
fn a_time_to_live_is_said_by_every_client() {
    let broker = start();
    let short = Duration::from_millis(1);
    let mut json: JsonQueue =
        Queue::builder("json").address(broker.local_addr()).producer().unwrap();
    let mut xml: XmlQueue = Queue::builder("xml").address(broker.local_addr()).producer().unwrap();
    let mut pickle: PickleQueue =
        Queue::builder("pickle").address(broker.local_addr()).producer().unwrap();
    json.push_with_ttl(&1, short).unwrap();
    xml.push_with_ttl(&1, short).unwrap();
    pickle.push_with_ttl(&1, short).unwrap();
    assert!(matches!(json.push_with_ttl(&1, Duration::ZERO), Err(QueueError::Invalid(_))));
    let mut client = Client::connect(&broker.local_addr().to_string(), PATIENCE).unwrap();
    for (topic, ttl) in [("short", Some(short)), ("long", Some(PATIENCE * 10)), ("ever", None)] {
        for format in [Format::Json, Format::Xml, Format::Pickle] {
            let message =
                Message::of_value(&Value::Int(1), babelmq::codec::Dialect::new(format, false))
                    .unwrap();
            let topic = Topic::parse(&format!("{topic}/{format}")).unwrap();
            let how = ttl.map_or(Publish::default(), |ttl| Publish::default().ttl(ttl));
            client.publish(&topic, &message, how).unwrap();
        }
    }
    [json.flush(), xml.flush(), pickle.flush(), client.flush()]
        .into_iter()
        .for_each(Result::unwrap);
    let rest = ["ever/json", "ever/pickle", "ever/xml", "long/json", "long/pickle", "long/xml"];
    until("what is short is gone", || {
        broker.list_topics().iter().map(Topic::as_str).eq(rest.iter().copied())
    });
    assert_eq!(broker.stats().expired, 6);
}
