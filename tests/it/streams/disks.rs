//! What a stream does whose disk fails or hangs, and what others have to do with it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use babelmq::{BrokerHandle, Format, Fsync, Storage, Store};

use super::trouble::{Switch, Trouble, VALUES, start_on, start_sharing_on};
use super::{Json, orders, scratch, start_in, stream};
use crate::support::backbone::LocalBackbone;
use crate::support::config;
use crate::support::process::until;

const FSYNCS: [Fsync; 3] = [Fsync::Always, Fsync::Interval, Fsync::Never];

fn start(name: &str, fsync: Fsync) -> (BrokerHandle, Switch) {
    let folder = scratch(&format!("disks-{name}-{fsync:?}"));
    let mut few = orders();
    // So that there is always something to be dropped.
    few.messages = Some(1_000_000);
    let config = config()
        .streams(vec![few, stream("others", "others/#")])
        .fsync(fsync)
        .fsync_interval(std::time::Duration::from_millis(20));
    start_on(&folder, config, "orders")
}

/// What answers a ping: `pong`, or the code of the error in its place.
fn ping(client: &mut Json) -> String {
    client.send(r#"{"command":"ping"}"#);
    loop {
        let frame = client.client.next();
        let is_refused = frame.field("command") == "error";
        if !is_refused {
            return frame.field("command");
        }
        // Other errors are of what was published.
        if frame.field("reason").contains("what was published before") {
            return frame.field("code");
        }
    }
}

fn publish(client: &mut Json, topic: &str, number: i64) {
    client.client.publish(Format::Json, topic, number.to_string().as_bytes());
}

/// Fails, is refused meanwhile, and has everything that was confirmed afterwards.
fn fails_and_recovers(name: &str, trouble: Trouble, refuses: bool) {
    for fsync in FSYNCS {
        if trouble.sync && fsync != Fsync::Always {
            continue;
        }
        let (broker, disk) = start(name, fsync);
        let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
        consumer.consume("orders", "billing", "");
        producer.publish("orders/1", [1]);
        assert_eq!(consumer.delivery(), (1, 1, 1));
        // That there is such a consumer is on the disk, and nothing of it waits from now on.
        assert_eq!(ping(&mut consumer), "pong");
        disk.set(trouble);
        publish(&mut producer, "orders/1", 2);
        assert_eq!(ping(&mut producer), "storage-failed", "{fsync:?}");
        // It fails at once and again, and takes no more where it cannot be written.
        publish(&mut producer, "orders/1", 3);
        assert_eq!(ping(&mut producer), "storage-failed", "{fsync:?}");
        if trouble.sync {
            // It would be lost with the power.
            consumer.client.is_quiet();
        }
        let mut other = Json::connect(&broker);
        other.publish("others/1", [1]);
        disk.wait_for_failures(1);
        other.publish("others/1", [2]);
        if refuses {
            let mut late = Json::connect(&broker);
            publish(&mut late, "orders/1", 4);
            let refusal = late.client.next();
            refusal.refuses("storage-failed", false);
            assert!(refusal.field("reason").contains("no space left"), "{:?}", refusal.fields());
            // Nothing of it waits.
            late.client.is_quiet();
        }
        disk.set(Trouble::default());
        until("the disk is whole", || ping(&mut producer) == "pong");
        // It was taken, is confirmed now, and nothing else has to come.
        assert_eq!(consumer.delivery(), (2, 2, 1), "{fsync:?}");
        producer.publish("orders/1", [5]);
        // What was never confirmed may be there.
        let mut got = vec![2];
        while got.last() != Some(&5) {
            let (seq, number, attempt) = consumer.delivery();
            assert_eq!((seq, attempt), (got.len() as u64 + 2, 1), "{fsync:?}");
            got.push(number);
        }
        broker.close().unwrap();
    }
}

#[test]
fn a_disk_that_is_full_refuses_and_recovers() {
    fails_and_recovers("full", Trouble { append: true, ..Trouble::default() }, true);
}

#[test]
fn an_acknowledgement_that_cannot_be_written_is_not_confirmed() {
    for fsync in FSYNCS {
        let (broker, disk) = start("notes", fsync);
        let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
        consumer.consume("orders", "billing", "");
        producer.publish("orders/1", [1]);
        assert_eq!(consumer.delivery(), (1, 1, 1));
        disk.set(Trouble { note: true, ..Trouble::default() });
        consumer.ack(1);
        assert_eq!(ping(&mut consumer), "storage-failed", "{fsync:?}");
        // Messages would come before notes that are missing.
        publish(&mut producer, "orders/1", 2);
        producer.client.next().refuses("storage-failed", false);
        disk.set(Trouble::default());
        until("the disk is whole", || ping(&mut consumer) == "pong");
        producer.publish("orders/1", [3]);
        assert_eq!(consumer.delivery(), (2, 3, 1));
        broker.close().unwrap();
    }
}

#[test]
fn a_message_is_safe_and_delivered_when_only_dropping_fails() {
    fails_and_recovers("trim", Trouble { trim: true, ..Trouble::default() }, true);
}

#[test]
fn a_disk_that_cannot_be_synchronised_confirms_nothing() {
    fails_and_recovers("sync", Trouble { sync: true, ..Trouble::default() }, false);
}

/// A connection that has asked for nothing so far is not known to the part that answers.
#[test]
fn what_was_published_before_the_first_ping_is_confirmed_by_it() {
    let (broker, disk) = start("silent", Fsync::Always);
    disk.set(Trouble { sync: true, ..Trouble::default() });
    let mut producer = Json::connect(&broker);
    publish(&mut producer, "orders/1", 1);
    disk.wait_for_failures(1);
    assert_eq!(ping(&mut producer), "storage-failed");
    disk.set(Trouble::default());
    until("the disk is whole", || ping(&mut producer) == "pong");
    broker.close().unwrap();
}

/// What a consumer has acknowledged stands in nobody's way until somebody waits for it.
#[test]
fn messages_are_delivered_and_confirmed_while_acknowledgements_wait_for_the_disk() {
    let folder = scratch("disks-rest");
    let config = config()
        .streams(vec![orders()])
        .fsync(Fsync::Always)
        .fsync_interval(std::time::Duration::from_secs(3_600));
    let (broker, disk) = start_on(&folder, config, "orders");
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "");
    assert_eq!(ping(&mut consumer), "pong");
    disk.set(Trouble { sync_rest: true, ..Trouble::default() });
    for number in 1..=3 {
        publish(&mut producer, "orders/1", number);
        assert_eq!(ping(&mut producer), "pong");
        assert_eq!(consumer.delivery(), (number as u64, number, 1));
        consumer.ack(number as u64);
    }
    assert_eq!(ping(&mut consumer), "storage-failed");
    disk.set(Trouble::default());
    until("the disk is whole", || ping(&mut consumer) == "pong");
    broker.close().unwrap();
}

/// A ping of a kind that does not wait for the disk.
fn is_handed_over(client: &mut Json) {
    client.send(r#"{"command":"get","topic":"nothing"}"#);
    assert_eq!(client.client.next().field("command"), "value");
}

/// Publishes messages of a megabyte.
fn publish_long(client: &mut Json, messages: usize) {
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    (0..messages).for_each(|_| client.client.publish(Format::Json, "orders/long", long.as_bytes()));
}

#[test]
fn what_was_written_waits_no_more_though_notes_could_not_be() {
    let (broker, disk) = start("leaks", Fsync::Never);
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", r#","window":65536"#);
    producer.publish("orders/1", [1]);
    assert_eq!(consumer.delivery(), (1, 1, 1));
    let mut last = 1;
    // More than may wait for the disk of one stream, all in all.
    for _ in 0..3 {
        disk.set(Trouble { hangs: true, ..Trouble::default() });
        publish(&mut producer, "orders/1", 2);
        disk.wait_for_failures(1);
        // These are taken together, and only the messages can be written.
        consumer.ack(last);
        is_handed_over(&mut consumer);
        publish_long(&mut producer, 8);
        is_handed_over(&mut producer);
        disk.set(Trouble { note: true, ..Trouble::default() });
        disk.wait_for_failures(2);
        disk.set(Trouble::default());
        until("the disk is whole", || ping(&mut producer) == "pong");
        for _ in 0..9 {
            last = consumer.client.next().field("seq").parse().unwrap();
        }
    }
    assert_eq!(last, 28);
}

/// Megabytes that are more than may wait for the disk of one stream, and on the way to it.
const MUCH: usize = 64;

#[test]
fn a_disk_that_hangs_holds_up_its_own_publishers_alone() {
    for fsync in FSYNCS {
        let (broker, disk) = start("hangs", fsync);
        let mut producer = Json::connect(&broker);
        let (mut consumer, mut other) = (Json::connect(&broker), Json::connect(&broker));
        consumer.consume("orders", "billing", "");
        other.consume("others", "billing", "");
        disk.set(Trouble { hangs: true, ..Trouble::default() });
        // More than may wait: whoever sends it waits, or is done where the system takes it all.
        let sent = Arc::new(AtomicUsize::new(0));
        let sender = std::thread::spawn({
            let sent = sent.clone();
            move || {
                for _ in 0..MUCH {
                    publish_long(&mut producer, 1);
                    sent.fetch_add(1, Ordering::Relaxed);
                }
                producer.client.is_quiet();
            }
        });
        disk.wait_for_failures(1);
        until("as much waits as may", || sent.load(Ordering::Relaxed) > 16);
        let mut busy = Json::connect(&broker);
        for number in 0..50 {
            busy.publish("others/1", [number]);
            assert_eq!(other.delivery().1, number);
        }
        // Those who only ask are answered.
        assert_eq!(busy.list(r#"{"command":"streams"}"#).len(), 3);
        let sent = sent.load(Ordering::Relaxed);
        assert!(sent < MUCH, "{sent} were taken, and none of them was written");
        disk.set(Trouble::default());
        sender.join().unwrap();
        for seq in 1..=MUCH {
            assert_eq!(consumer.client.next().field("seq"), seq.to_string());
        }
        broker.close().unwrap();
    }
}

#[test]
fn a_broker_stops_though_a_disk_hangs_and_says_what_is_lost() {
    for fsync in FSYNCS {
        let folder = scratch(&format!("disks-stops-{fsync:?}"));
        let config = config()
            .streams(vec![orders(), stream("others", "others/#")])
            .fsync(fsync)
            .stop_timeout(Duration::from_millis(300));
        let (broker, disk) = start_on(&folder, config, "orders");
        let (mut producer, mut other) = (Json::connect(&broker), Json::connect(&broker));
        producer.publish("orders/1", [1]);
        disk.set(Trouble { hangs: true, ..Trouble::default() });
        (0..3).for_each(|number| publish(&mut producer, "orders/1", number));
        producer.send(r#"{"command":"ping"}"#);
        // Others are confirmed, and written before the end.
        other.publish("others/1", [1]);
        disk.wait_for_failures(1);
        let unsaved = broker.close().unwrap_err();
        assert_eq!((unsaved.messages, unsaved.values), (3, 0), "{fsync:?}: {unsaved}");
        let said = unsaved.to_string();
        assert!(said.contains("3 messages of streams") && said.contains("0.3 s"), "{said}");
        assert!(said.contains("stream orders"), "{said}");
        // Nobody else may write there while something may still be written.
        let error = Storage::open(&folder, true).and_then(|mut storage| storage.streams());
        assert!(error.unwrap_err().to_string().contains("in use"));
        disk.set(Trouble::default());
        let storage = || Storage::open(&folder, true).and_then(|mut storage| storage.streams());
        until("the disk answers", || storage().is_ok());
        let broker = start_in(&folder, &[orders(), stream("others", "others/#")]);
        let mut consumer = Json::connect(&broker);
        consumer.consume("others", "billing", r#","start":"all""#);
        assert_eq!(consumer.delivery(), (1, 1, 1));
        consumer.consume("orders", "billing", r#","start":"all""#);
        assert_eq!(consumer.delivery(), (1, 1, 1));
    }
}

#[test]
fn a_broker_stops_though_the_disk_of_its_last_values_hangs() {
    let folder = scratch("disks-stops-values");
    let config = config().fsync(Fsync::Always).stop_timeout(Duration::from_millis(300));
    let (broker, disk) = start_on(&folder, config, VALUES);
    let mut producer = Json::connect(&broker);
    producer.publish("a", [1]);
    disk.set(Trouble { hangs: true, ..Trouble::default() });
    publish(&mut producer, "a", 2);
    publish(&mut producer, "b", 3);
    producer.send(r#"{"command":"ping"}"#);
    disk.wait_for_failures(1);
    let unsaved = broker.close().unwrap_err();
    assert_eq!((unsaved.messages, unsaved.values), (0, 2), "{unsaved}");
    assert!(unsaved.reason.contains("0.3 s"), "{unsaved}");
}

/// The connection has asked for nothing before, so that the broker had nobody to answer yet.
#[test]
fn the_first_pong_of_a_publisher_waits_for_what_came_in_a_read_before() {
    let (broker, disk) = start("first", Fsync::Always);
    let mut producer = Json::connect(&broker);
    disk.set(Trouble { sync: true, ..Trouble::default() });
    publish(&mut producer, "orders/1", 1);
    until("it is published", || broker.stats().published == 1);
    assert_eq!(ping(&mut producer), "storage-failed");
    disk.set(Trouble::default());
    until("the disk is whole", || ping(&mut producer) == "pong");
}

/// A publisher that does not know whether its message arrived sends it again, on another
/// connection.
#[test]
fn a_repetition_is_confirmed_when_the_first_one_is() {
    let (broker, disk) = start("repeated", Fsync::Always);
    let (mut first, mut second) = (Json::connect(&broker), Json::connect(&broker));
    disk.set(Trouble { sync: true, ..Trouble::default() });
    let publish = r#"{"command":"publish","topic":"orders/1","id":"a","message":1}"#;
    first.send(publish);
    assert_eq!(ping(&mut first), "storage-failed");
    second.send(publish);
    assert_eq!(ping(&mut second), "storage-failed");
    disk.set(Trouble::default());
    until("the disk is whole", || ping(&mut second) == "pong");
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", r#","start":"all""#);
    assert_eq!(consumer.delivery(), (1, 1, 1));
    consumer.client.is_quiet();
}

#[test]
fn an_id_that_was_refused_may_come_again() {
    let (broker, disk) = start("ids", Fsync::Always);
    let mut producer = Json::connect(&broker);
    disk.set(Trouble { append: true, ..Trouble::default() });
    publish(&mut producer, "orders/1", 1);
    assert_eq!(ping(&mut producer), "storage-failed");
    let named = r#"{"command":"publish","topic":"orders/1","id":"a","message":2}"#;
    producer.ask(named).refuses("storage-failed", false);
    disk.set(Trouble::default());
    until("the disk is whole", || ping(&mut producer) == "pong");
    for _ in 0..2 {
        producer.send(named);
        producer.client.is_quiet();
    }
    let mut consumer = Json::connect(&broker);
    consumer.consume("orders", "billing", r#","start":"all""#);
    assert_eq!((consumer.delivery(), consumer.delivery()), ((1, 1, 1), (2, 2, 1)));
    consumer.client.is_quiet();
}

#[test]
fn a_message_is_settled_when_its_dead_letter_is_safe() {
    let folder = scratch("disks-dead");
    let config = config().streams(vec![orders()]).fsync(Fsync::Always);
    dies_safely(start_on(&folder, config, "$dead"), "pong");
}

#[test]
fn a_shared_message_is_settled_when_its_dead_letter_is_safe() {
    let folder = scratch("disks-shared-dead");
    let config = config().streams(vec![stream("others", "others/#")]).fsync(Fsync::Always);
    let config =
        config.shared(["orders/#".parse().unwrap()]).backbone_wait(Duration::from_millis(200));
    let backbone = Box::new(LocalBackbone::default());
    // The backbone does not know that it is dead before the letter is safe.
    dies_safely(start_sharing_on(&folder, config, "$dead", backbone), "error");
}

/// Rejects a message while the disk of dead letters fails; a ping behind that is answered so.
fn dies_safely((broker, disk): (BrokerHandle, Switch), answered: &str) {
    let (mut producer, mut consumer) = (Json::connect(&broker), Json::connect(&broker));
    consumer.consume("orders", "billing", "");
    producer.publish("orders/1", [1]);
    assert_eq!(consumer.delivery(), (1, 1, 1));
    let pending = |admin: &mut Json| {
        let consumers = admin.list(r#"{"command":"consumers","stream":"orders"}"#);
        consumers[0]["pending"].as_u64().unwrap()
    };
    disk.set(Trouble { sync: true, ..Trouble::default() });
    consumer.send(r#"{"command":"reject","seq":1}"#);
    disk.wait_for_failures(1);
    assert_eq!(consumer.ask(r#"{"command":"ping"}"#).field("command"), answered);
    assert_eq!(pending(&mut consumer), 1);
    disk.set(Trouble::default());
    until("the letter is safe", || pending(&mut consumer) == 0);
}
