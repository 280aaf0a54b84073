//! Streams: the dispatcher, the threads of each stream, and those who wait for them, with a disk
//! that takes its time and may fail.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::thread;

use super::client::{Client, Line};
use super::disk::Disk;
use super::{config, explore_broker, filter, stop};
use crate::broker::sync::world::{any, lack_threads, never_waits_for, one_in};
use crate::broker::sync::{Receiver, Sender, unbounded};
use crate::broker::{Fsync, StreamDefinition};
use crate::transport::closing::GRACE;
use crate::transport::net::{self, Text};
use crate::transport::{Broker, BrokerHandle};

const STREAM: &str = "s";
/// The topics of two publishers.
const TOPICS: [&str; 2] = ["t/a", "t/b"];
const ROUNDS: u64 = 2;
const PUBLISHED: u64 = 4;
/// A second: those that wait so long, or longer, for a stream do it for what may never come.
pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn start(disk: &Disk, fsync: Fsync) -> BrokerHandle {
    net::set_text(Text::Plain);
    let stream = StreamDefinition::new(STREAM, filter("t/#")).unwrap();
    let config = config(2 * GRACE).streams([stream]).fsync(fsync);
    Broker::start_with(config, Box::new(disk.clone())).unwrap()
}

fn any_fsync() -> Fsync {
    [Fsync::Always, Fsync::Interval, Fsync::Never][any(3) as usize]
}

/// Asks whether everything that was sent before is where it is to be. Returns how much of it was
/// refused, and whether the rest is there; `None` where the connection has ended.
fn ask(client: &mut Client) -> Option<(usize, bool)> {
    client.ping();
    // A refusal of a ping is no other than one of a publication; behind this is neither.
    client.send(r#"{"command":"cancel","topic":"nothing"}"#);
    let (mut refused, mut is_there) = (0, false);
    loop {
        match client.hear()? {
            Line::Pong => is_there = true,
            Line::Error(code) => {
                assert_eq!(code, "storage-failed");
                refused += 1;
            }
            Line::Cancelled if is_there => return Some((refused, true)),
            Line::Cancelled => return Some((refused - 1, false)),
            other => panic!("{other:?}"),
        }
    }
}

/// Publishes, and holds every pong to what it says. Returns how many messages were accepted.
fn publish(topic: &str, disk: &Disk, is_durable: bool, may_fail: bool) -> usize {
    let mut client = Client::connect();
    let (mut next, mut accepted) = (0, 0);
    for _ in 0..ROUNDS {
        for _ in 0..1 + any(2) {
            assert!(client.publish(topic, next));
            (next, accepted) = (next + 1, accepted + 1);
        }
        loop {
            let (refused, is_there) = ask(&mut client).unwrap();
            assert!(may_fail || (refused, is_there) == (0, true), "the disk is whole");
            accepted -= refused;
            if is_there {
                break;
            }
            // It fails until somebody was told.
            disk.heal();
        }
        let numbers = disk.numbers(STREAM, topic, is_durable);
        assert_eq!(numbers.len(), accepted, "{numbers:?} of {next} are there");
        assert!(numbers.is_sorted_by(|one, other| one < other), "{numbers:?}");
    }
    accepted
}

/// A pong comes when everything before it is where it is to be, and comes: whether the disk takes
/// its time, or fails for a while.
#[test]
fn what_a_pong_confirms_is_there() {
    explore_broker("streams, pong", || {
        let failures = [0, 1 + any(3) as usize, usize::MAX][any(3) as usize];
        // While nothing fails, everybody is woken in time.
        never_waits_for(if failures == 0 { SECOND } else { GRACE });
        let (disk, fsync) = (Disk::default(), any_fsync());
        let broker = start(&disk, fsync);
        disk.fail(failures, one_in(2));
        let publishers = TOPICS.map(|topic| {
            let disk = disk.clone();
            thread::spawn(move || publish(topic, &disk, fsync == Fsync::Always, failures > 0))
        });
        let accepted = publishers.map(|publisher| publisher.join().unwrap());
        disk.heal();
        stop(broker);
        for (topic, accepted) in TOPICS.iter().zip(accepted) {
            let numbers = disk.numbers(STREAM, topic, true);
            assert_eq!(numbers.len(), accepted, "{topic}: {numbers:?} are there in the end");
        }
    });
}

/// The acknowledgements that a pong has confirmed.
type Confirmed = Arc<Mutex<BTreeSet<u64>>>;
/// What a cut of power has left, and the acknowledgements that were confirmed before it.
type Cut = Arc<Mutex<Option<(Disk, BTreeSet<u64>)>>>;

/// A member of a consumer, and what it is to do.
struct Member {
    disk: Disk,
    is_durable: bool,
    /// Leaves as soon as it has a message.
    leaves: bool,
    window: u64,
    order: &'static str,
    confirmed: Confirmed,
    /// Where the power is cut as soon as a pong has come.
    cut: Option<Cut>,
    /// Who is told what it has acknowledged.
    done: Sender<u64>,
}

impl Member {
    /// Consumes until the connection ends. Returns the messages that it was given, by their place,
    /// and at which attempt.
    fn consume(mut self) -> Vec<(u64, u64)> {
        let mut client = Client::connect();
        join(&mut client, self.window, self.order);
        let (mut given, mut said) = (Vec::new(), Vec::new());
        while let Some(line) = client.hear() {
            match line {
                Line::Kept { seq, number, attempt } => {
                    assert!(!self.is_durable || self.disk.safe(STREAM) >= seq, "{seq} is not safe");
                    assert_eq!(seq, number + 1, "one producer fills the stream");
                    given.push((seq, attempt));
                    if self.leaves {
                        return given;
                    }
                    client.send(&format!(r#"{{"command":"ack","seq":{seq}}}"#));
                    said.push(seq);
                    if one_in(2) {
                        client.ping();
                    }
                    let _ = self.done.send(seq);
                }
                // Of what was said since the ping nothing is known.
                Line::Pong => {
                    let sure = {
                        let mut confirmed = self.confirmed.lock().unwrap();
                        confirmed.extend(said.drain(..1));
                        confirmed.clone()
                    };
                    if let Some(cut) = self.cut.take_if(|_| one_in(2)) {
                        *cut.lock().unwrap() = Some((self.disk.after_a_cut(), sure));
                    }
                }
                Line::Subscribed => {}
                other => panic!("{other:?}"),
            }
        }
        given
    }
}

pub(super) fn join(client: &mut Client, window: u64, order: &str) {
    // However long anything takes, nothing comes again for that.
    client.subscribe(
        "t/#",
        &format!(
            r#","consumer":"c","start":"all","window":{window},"order":"{order}","ack-wait":1e7"#
        ),
    );
}

/// A message is given to one member, once, while that stays and acknowledges; to another, where it
/// leaves; never before it is safe; and never again, where its acknowledgement was confirmed.
#[test]
fn messages_are_shared_by_members() {
    explore_broker("streams, members", || {
        never_waits_for(SECOND);
        let (disk, fsync) = (Disk::default(), any_fsync());
        let broker = start(&disk, fsync);
        let (done, settled): (_, Receiver<u64>) = unbounded();
        let (one_leaves, window) = (one_in(2), 1 + any(2));
        let order = if one_in(2) { "topic" } else { "none" };
        let confirmed = Confirmed::default();
        let cut = (fsync == Fsync::Always && one_in(2)).then(Cut::default);
        let members = [false, one_leaves].map(|leaves| {
            let member = Member {
                disk: disk.clone(),
                is_durable: fsync == Fsync::Always,
                leaves,
                window,
                order,
                confirmed: confirmed.clone(),
                cut: cut.clone(),
                done: done.clone(),
            };
            thread::spawn(move || member.consume())
        });
        drop(done);
        let producer = Client::connect();
        for number in 0..PUBLISHED {
            assert!(producer.publish("t/a", number));
        }
        let mut missing: BTreeSet<u64> = (1..=PUBLISHED).collect();
        while !missing.is_empty() {
            // Nobody but the members knows where it ends.
            missing.remove(&settled.recv().unwrap());
        }
        drop(producer);
        stop(broker);
        let given = members.map(|member| member.join().unwrap());
        let mut all: Vec<u64> = given.iter().flatten().map(|(seq, _)| *seq).collect();
        all.sort_unstable();
        if !one_leaves {
            assert_eq!(all, (1..=PUBLISHED).collect::<Vec<_>>(), "{given:?}");
            assert!(given.iter().all(|given| given.is_sorted_by(|one, other| one.0 < other.0)));
            assert!(given.iter().flatten().all(|(_, attempt)| *attempt == 1), "{given:?}");
        }
        // What was confirmed when the power is cut outlives it.
        let cut = cut.and_then(|cut| cut.lock().unwrap().take());
        if let Some((disk, sure)) = cut {
            comes_again(&disk, &sure);
        } else if one_in(4) {
            comes_again(&disk, &confirmed.lock().unwrap());
        }
    });
}

/// After a start of the broker, nothing comes whose acknowledgement was confirmed.
fn comes_again(disk: &Disk, sure: &BTreeSet<u64>) {
    let broker = start(disk, Fsync::Always);
    let mut client = Client::connect();
    join(&mut client, 10, "none");
    assert!(client.await_line(&Line::Subscribed));
    let producer = Client::connect();
    assert!(producer.publish("t/a", 100));
    loop {
        match client.hear().unwrap() {
            Line::Kept { number: 100, .. } => break,
            Line::Kept { seq, .. } => assert!(!sure.contains(&seq), "{seq} of {sure:?}"),
            other => panic!("{other:?}"),
        }
    }
    drop((client, producer));
    stop(broker);
}

/// Everything ends, and everybody is answered or sees the end of the connection: the stream is
/// removed and added again, the disk fails for a while or for ever, and the broker stops, while
/// some publish, consume and wait.
#[test]
fn whoever_waits_for_a_stream_that_ends_is_told() {
    explore_broker("streams, ends", || {
        never_waits_for(GRACE);
        let disk = Disk::default();
        let broker = start(&disk, any_fsync());
        disk.fail([0, 2, usize::MAX][any(3) as usize], one_in(2));
        if one_in(4) {
            lack_threads();
        }
        let publisher = thread::spawn(|| {
            let mut client = Client::connect();
            for number in 0..ROUNDS {
                client.publish("t/a", number);
                if ask(&mut client).is_none() {
                    break;
                }
            }
            client
        });
        let member = thread::spawn(|| {
            let mut client = Client::connect();
            join(&mut client, 2, "none");
            while let Some(line) = client.hear() {
                if let Line::Kept { seq, .. } = line {
                    client.send(&format!(r#"{{"command":"ack","seq":{seq}}}"#));
                }
            }
        });
        let admin = thread::spawn(|| {
            let mut client = Client::connect();
            let remove = format!(r#"{{"command":"remove-stream","stream":"{STREAM}"}}"#);
            let add = format!(r#"{{"command":"add-stream","stream":"{STREAM}","topic":"t/#"}}"#);
            for command in [remove.clone(), add, remove] {
                client.send(&command);
                // Done or refused.
                if one_in(2) && client.hear().is_none() {
                    break;
                }
            }
            client
        });
        if one_in(2) {
            stop(broker);
            drop((publisher.join().unwrap(), admin.join().unwrap()));
        } else {
            // Whoever is answered has been while the broker runs.
            drop((publisher.join().unwrap(), admin.join().unwrap()));
            stop(broker);
        }
        member.join().unwrap();
    });
}
