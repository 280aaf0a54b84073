//! Dead letters: two streams, and what is settled in the one when it is safe in the other.

use std::collections::BTreeSet;

use super::client::{Client, Line};
use super::disk::Disk;
use super::streams::{SECOND, join, start};
use super::{explore_broker, stop};
use crate::broker::Fsync;
use crate::broker::sync::world::{any, never_waits_for, one_in};

const PUBLISHED: u64 = 3;

/// A message whose rejection was confirmed has its dead letter, whenever the power is cut: it is
/// safe, or is made anew.
#[test]
fn what_was_rejected_has_its_letter_after_a_cut() {
    explore_broker("streams, dead letters", || {
        never_waits_for(SECOND);
        let disk = Disk::default();
        let broker = start(&disk, Fsync::Always);
        let producer = Client::connect();
        for number in 0..PUBLISHED {
            assert!(producer.publish("t/a", number));
        }
        let mut member = Client::connect();
        join(&mut member, PUBLISHED, "none");
        let mut rejected = BTreeSet::new();
        while rejected.len() < PUBLISHED as usize {
            match member.hear().unwrap() {
                Line::Kept { seq, .. } => {
                    member.send(&format!(r#"{{"command":"reject","seq":{seq}}}"#));
                    rejected.insert(seq);
                    if one_in(2) {
                        member.ping();
                    }
                }
                Line::Pong | Line::Subscribed => {}
                other => panic!("{other:?}"),
            }
        }
        // What pongs before these do not confirm is confirmed by the first; what is settled since
        // comes to the disk with the others.
        member.send(r#"{"command":"cancel","topic":"nothing"}"#);
        assert!(member.await_line(&Line::Cancelled));
        for _ in 0..1 + any(3) {
            member.ping();
            assert!(member.await_line(&Line::Pong));
        }
        let cut = disk.after_a_cut();
        drop((producer, member));
        stop(broker);

        let broker = start(&cut, Fsync::Always);
        let mut reader = Client::connect();
        reader.subscribe("$dead", r#","start":"all""#);
        while !rejected.is_empty() {
            // One that is missing is waited for in vain.
            if let Line::Letter(seq) = reader.hear().unwrap() {
                rejected.remove(&seq);
            }
        }
        drop(reader);
        stop(broker);
    });
}
