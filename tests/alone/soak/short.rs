//! Connections that are over as soon as they have begun.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use babelmq::Format::Json;

use super::leftovers::Holdings;
use super::{setting, wild};
use crate::alone;
use crate::support::Field::Str;
use crate::support::process::{broker_threads, no_thread_is_left, until};
use crate::support::{body, frame, number, publish, start};

/// Clients that connect at the same time.
const CLIENTS: u64 = 8;

#[test]
fn short_connections_leave_nothing_behind() {
    let _alone = alone();
    let connections = setting("CONNECTIONS", 4_000);
    let broker = start();
    let connect = |count: u64| {
        thread::scope(|scope| {
            for client in 0..CLIENTS {
                let address = broker.local_addr();
                scope.spawn(move || {
                    for connection in 0..count / CLIENTS {
                        once(address, client, connection);
                    }
                });
            }
        });
        until("the broker notices that all are gone", || broker.stats().open == 0);
        until("their threads end", || broker_threads().len() == 3);
    };
    // What is set up once is set up.
    connect(connections / 10);
    let before = Holdings::now();
    connect(connections);
    let left = Holdings::now().beyond(&before);
    let stats = broker.stats();
    println!(
        "soak: {} short connections; left over while the broker runs: {left}",
        stats.connections
    );
    left.check();
    assert_eq!((stats.subscriptions, stats.panics), (0, 0));
    broker.shutdown();
    no_thread_is_left();
}

/// A connection of one of many kinds.
fn once(address: SocketAddr, client: u64, connection: u64) {
    // Hundreds of addresses, so that there are ports enough.
    let mut stream = wild::connect(address, client + CLIENTS * (connection % 64));
    let command = |name| frame(0, &body(Json, &[("command", Str(name)), ("topic", Str("/short"))]));
    let mut send = |bytes: &[u8]| stream.write_all(bytes).unwrap();
    match connection % 10 {
        0 => {}
        1 => send(&[0, 0]),
        2 => send(&publish(Json, "/short", &number(Json, 1))),
        3 => send(&command("subscribe")),
        4 => {
            send(&command("subscribe"));
            read_to_the_end(&mut stream);
        }
        5 => {
            send(&command("ping"));
            read_to_the_end(&mut stream);
        }
        6 => {
            send(b"GET / HTTP/1.1\r\n\r\n");
            read_to_the_end(&mut stream);
        }
        7 => {
            send(&[2, 0, 0, 1, 0, b'(']);
            wild::reset(stream);
        }
        8 => {
            send(&command("list"));
            wild::reset(stream);
        }
        _ => wild::reset(stream),
    }
}

fn read_to_the_end(stream: &mut TcpStream) {
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answers = Vec::new();
    match stream.read_to_end(&mut answers) {
        Ok(_) => assert!(!answers.is_empty()),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}
