//! What a connection takes of the heap while nothing happens.
#![cfg(feature = "broker")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use babelmq::{Broker, BrokerHandle, ListenUrl};
use stats_alloc::{Region, Stats};

use crate::support::config;
use crate::support::process::until;
use crate::{ALLOCATOR, alone};

/// Writers that have threads of their own, and keep them.
const OWN_THREADS: usize = 16;
/// Sessions that are measured.
const SESSIONS: usize = 100;
/// Bytes that each may take; it was 9,700 before connections that rest gave back what they do not
/// need.
const MOST: usize = 4_500;

/// A client of MQTT 3.1.1 with a subscription of its own.
fn subscribed(broker: &BrokerHandle, number: usize) -> TcpStream {
    let topic = format!("idle/{number}/commands");
    let mut packets = b"\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0\x82".to_vec();
    packets.extend([topic.len() as u8 + 5, 0, 1, 0, topic.len() as u8]);
    packets.extend(topic.bytes().chain([0]));
    let mut client = TcpStream::connect(broker.mqtt_addr()).unwrap();
    client.write_all(&packets).unwrap();
    client.read_exact(&mut [0; 4 + 5]).unwrap();
    client
}

fn held(stats: &Stats) -> isize {
    stats.bytes_allocated as isize - stats.bytes_deallocated as isize
}

#[test]
fn an_idle_session_of_mqtt_takes_little() {
    let _alone = alone();
    let mqtt: ListenUrl = "mqtt://127.0.0.1:0".parse().unwrap();
    // A silence is noticed as often as an unfinished frame is.
    let config = config().listeners([mqtt]).frame_timeout(Duration::from_millis(50));
    let broker = Broker::start(config).unwrap();
    let _first: Vec<_> = (0..=OWN_THREADS).map(|number| subscribed(&broker, number)).collect();
    let mut clients = Vec::with_capacity(SESSIONS);
    let counted = Region::new(ALLOCATOR);
    clients.extend((0..SESSIONS).map(|number| subscribed(&broker, OWN_THREADS + 1 + number)));
    until("what they do not need is given back", || {
        let each = held(&counted.change()) / SESSIONS as isize;
        each <= MOST as isize
    });
}
