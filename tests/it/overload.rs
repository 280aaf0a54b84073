//! More than the broker can take: producers that outrun it, and more clients than there are
//! descriptors.
#![cfg(all(feature = "cli", feature = "middleware"))]

use std::fs;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use babelmq::Format::Json;

use crate::support::Field::{Bool, Raw, Str};
use crate::support::process::{memory, until};
use crate::support::served::Served;
use crate::support::{Client, body, frame, number};

const BABELMQ: &str = env!("CARGO_BIN_EXE_babelmq");

const PRODUCERS: usize = 8;
/// Of each producer, and more than the sockets on its way hold.
const MESSAGES: usize = 600;
const MESSAGE: usize = 64 << 10;

/// Segments of every topic before those that are its own.
const DEPTH: usize = 16;

/// Each topic is new and matches 256 long filters, so that it is the dispatcher that is behind.
#[test]
fn producers_that_outrun_the_dispatcher_wait_their_turn() {
    let served = Served::start(Command::new(BABELMQ).args(["serve", "--listen", "127.0.0.1:0"]));
    let mut consumer = Client::to(served.address);
    for filter in 0..1 << 8 {
        let segment = |bit| if bit < 8 && filter >> bit & 1 == 0 { "+" } else { "a" };
        let segments: Vec<&str> = (0..DEPTH).map(segment).collect();
        let filter = segments.join("/");
        consumer.command(Json, &[("command", Str("subscribe")), ("topic", Str(&filter))]);
        assert_eq!(consumer.next().field("command"), "subscribed");
    }
    let idle = memory(&served.id(), "VmRSS");
    let done = AtomicUsize::new(0);
    let mut at_first_end = None;
    thread::scope(|scope| {
        for producer in 0..PRODUCERS {
            let (address, done) = (served.address, &done);
            scope.spawn(move || {
                let mut client = Client::to(address);
                for message in 0..MESSAGES {
                    client.send_raw(&publication(producer, message));
                }
                done.fetch_add(1, Ordering::Relaxed);
                assert_eq!(client.flush(Json), []);
            });
        }
        let mut received = [0; PRODUCERS];
        for count in 0..PRODUCERS * MESSAGES {
            // It keeps up: what it reads is not parsed.
            let frame = consumer.next();
            let topic = frame.text().strip_prefix(r#"{"command":"publish","topic":""#).unwrap();
            let (topic, _) = topic.split_once('"').unwrap();
            let (producer, message) =
                topic.strip_prefix(&"a/".repeat(DEPTH)).unwrap().split_once('/').unwrap();
            let producer: usize = producer.parse().unwrap();
            assert_eq!(message.parse(), Ok(received[producer]), "of producer {producer}");
            received[producer] += 1;
            if count == PRODUCERS * MESSAGES / 10 {
                assert_eq!(done.load(Ordering::Relaxed), 0, "nothing holds the producers back");
            }
            if received[producer] == MESSAGES && at_first_end.is_none() {
                at_first_end = Some(received);
            }
        }
    });
    // They take turns: who was last had at least half when the first had all.
    let at_first_end = at_first_end.unwrap();
    assert!(at_first_end.iter().all(|had| *had > MESSAGES / 2), "{at_first_end:?}");
    let most = (memory(&served.id(), "VmHWM") - idle) >> 20;
    println!("{} MiB were sent, {most} MiB of memory used", (PRODUCERS * MESSAGES * MESSAGE) >> 20);
    assert!(most < 160, "{most} MiB of memory used");
}

fn publication(producer: usize, message: usize) -> Vec<u8> {
    let topic = format!("{}{producer}/{message}", "a/".repeat(DEPTH));
    let payload = format!("\"{}\"", "x".repeat(MESSAGE));
    let fields = [
        ("command", Str("publish")),
        ("topic", Str(&topic)),
        ("retain", Bool(false)),
        ("message", Raw(payload.as_bytes())),
    ];
    frame(0, &body(Json, &fields))
}

/// Descriptors that the broker may have.
const DESCRIPTORS: usize = 40;
/// Clients that want to be connected.
const CLIENTS: usize = 60;

#[test]
fn without_descriptors_the_listener_waits_and_who_is_connected_is_served() {
    let (served, clients, log) = exhausted();
    let now = accepted(&served);
    let is_accepted = |client: &Client| now.contains(&client.local_addr().port());
    let (mut clients, mut waiting): (Vec<Client>, Vec<Client>) =
        clients.into_iter().partition(is_accepted);
    assert!((10..DESCRIPTORS).contains(&clients.len()), "{}", clients.len());
    for client in &mut clients {
        assert_eq!(client.next().field("command"), "pong");
    }
    for count in 0..100 {
        let (one, others) = clients.split_first_mut().unwrap();
        if count == 0 {
            others.iter_mut().for_each(|other| drop(other.subscribe(Json, "/t")));
        }
        one.publish(Json, "/t", &number(Json, count));
        others.iter_mut().for_each(|other| assert_eq!(other.next().number(), count));
    }
    // One goes, and another comes in its place.
    for _ in 0..5 {
        drop(clients.remove(0));
        let mut next = None;
        until("somebody is accepted", || {
            let accepted = accepted(&served);
            next = waiting.iter().position(|client| accepted.contains(&client.local_addr().port()));
            next.is_some()
        });
        clients.push(waiting.remove(next.unwrap()));
        assert_eq!(clients.last_mut().unwrap().next().field("command"), "pong");
        clients.iter_mut().for_each(Client::is_quiet);
    }
    drop((clients, waiting));
    served.signal("TERM");
    // However often it tried, it said so once, and once that it was over.
    let said: Vec<String> = log.collect();
    for (line, words) in
        said.iter().zip(["accepting connections again", "cannot accept"].iter().cycle())
    {
        assert!(line.contains(words), "{said:#?}");
    }
    assert_eq!(served.end().0, Some(0));
}

/// The listener was woken by a connection, for which the broker had no descriptor: it never
/// stopped.
#[test]
fn a_broker_without_descriptors_can_be_stopped() {
    let served = limited();
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", served.id())).unwrap().count();
    let mut clients = Vec::new();
    // A listener that waits keeps one for who comes next, and there is no other.
    while descriptors() < DESCRIPTORS - 1 {
        let mut client = Client::to(served.address);
        client.is_quiet();
        clients.push(client);
    }
    served.signal("TERM");
    clients.iter_mut().for_each(Client::ends);
    assert_eq!(served.end().0, Some(0));
}

fn limited() -> Served {
    let limited = format!("ulimit -n {DESCRIPTORS}; exec \"$0\" serve --listen 127.0.0.1:0");
    Served::start(Command::new("sh").args(["-c", &limited, BABELMQ]).env("BABELMQ_LOG", "info"))
}

/// A broker that has no descriptor left, the clients that are or want to be connected, all of which
/// asked something, and what the listener says from then on.
fn exhausted() -> (Served, Vec<Client>, impl Iterator<Item = String>) {
    let mut served = limited();
    let of_the_listener = |line: &String| {
        line.contains("cannot accept connections") || line.contains("accepting connections")
    };
    let mut log = served.log().filter(of_the_listener);
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::to(served.address)).collect();
    for client in &mut clients {
        client.command(Json, &[("command", Str("ping"))]);
    }
    let says = log.next().unwrap();
    assert!(says.contains("limit of open files"), "{says}");
    (served, clients, log)
}

/// The ports of the clients that the broker has accepted: the system's table has these connections
/// with the inode of a descriptor.
fn accepted(served: &Served) -> Vec<u16> {
    let local = format!("0100007F:{:04X}", served.address.port());
    let table = fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let remote = columns[2].rsplit(':').next().unwrap();
        (columns[1] == local && columns[3] == "01" && columns[9] != "0")
            .then(|| u16::from_str_radix(remote, 16).unwrap())
    };
    table.lines().skip(1).filter_map(port).collect()
}
