//! Power cuts under load: at a random operation of the disk all that it was not told to keep may be
//! gone. With `--fsync always` nothing is that a pong has confirmed, or that a consumer has seen.
//!
//!     make soak-streams KILLS=200 SEED=1
#![cfg(feature = "cli")]

use std::collections::BTreeMap;

use babelmq::{Broker, BrokerHandle, Fsync, StartError};

use super::checker::Event;
use super::forgetful::{Disk, Image};
use super::kills::{Load, settle_everything};
use super::{Json, orders};
use crate::storage::setting;
use crate::support::config;
use crate::support::process::until;
use crate::support::random::Random;

fn disk(image: Image, power: u64, random: &mut Random) -> Disk {
    Disk::new(image, power, Random::new(random.next()))
}

fn start(disk: &Disk, fsync: Fsync) -> Result<BrokerHandle, StartError> {
    let config = config().streams(vec![orders()]).fsync(fsync);
    Broker::start_with(config, Box::new(disk.clone()))
}

#[test]
fn streams_keep_their_promises_when_the_power_is_cut() {
    let (cuts, seed) = (setting("KILLS", 8), setting("SEED", 1));
    let mut random = Random::new(seed);
    let mut load = Load::new(seed);
    let mut image = BTreeMap::new();
    for _ in 0..cuts {
        let disk = disk(image, random.below(600) as u64, &mut random);
        // It may be cut while the broker starts.
        if let Ok(broker) = start(&disk, Fsync::Always) {
            load.work(broker.local_addr(), |_| {
                until("the power is cut", || disk.survived().is_some());
                let _ = broker.close();
            });
        }
        image = disk.survived().unwrap();
        load.shared.note(Event::Restarted);
    }
    let disk = disk(image, u64::MAX, &mut random);
    let broker = start(&disk, Fsync::Always).unwrap();
    settle_everything(&mut load, broker.local_addr());
    broker.close().unwrap();
    // That a message is tried again is written down, and not waited for.
    load.check("cuts", cuts, false);
}

/// The acknowledgements were on the disk, and what they were of was not.
#[test]
fn acknowledgements_of_what_was_lost_are_forgotten_before_others_have_its_place() {
    let mut random = Random::new(1);
    let first = disk(Image::new(), u64::MAX, &mut random);
    let broker = start(&first, Fsync::Never).unwrap();
    let mut client = Json::connect(&broker);
    client.consume("orders", "billing", "");
    let mut producer = Json::connect(&broker);
    for number in 1..=3 {
        producer.publish("orders/1", [number]);
        assert_eq!(client.delivery(), (number as u64, number, 1));
        client.ack_all([number as u64]);
    }
    let image = first.cut(1, true);
    broker.close().unwrap();

    let second = disk(image, u64::MAX, &mut random);
    let broker = start(&second, Fsync::Never).unwrap();
    Json::connect(&broker).publish("orders/1", [4, 5]);
    // What the broker wrote of the consumer meanwhile, and did not make last, is lost again.
    let image = second.cut(3, false);
    broker.close().unwrap();

    let broker = start(&disk(image, u64::MAX, &mut random), Fsync::Never).unwrap();
    let mut client = Json::connect(&broker);
    client.consume("orders", "billing", "");
    assert_eq!((client.delivery(), client.delivery()), ((2, 4, 1), (3, 5, 1)));
}
