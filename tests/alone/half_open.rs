//! Peers that are gone without a word, as when their machine loses its power: nothing of them is
//! left in the broker, and those that are there notice nothing.
#![cfg(all(feature = "cli", feature = "middleware"))]

use std::fs;
use std::process::Command;

use babelmq::Format::Json;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use socket2::{SockFilter, SockRef};

use crate::alone;
use crate::support::Field::Str;
use crate::support::line::{Kind, kind, listen_arguments, over_each_line};
use crate::support::process::until;
use crate::support::served::Served;
use crate::support::{Client, FORMATS, number};

over_each_line! {
    thousands_of_half_open_peers_are_found_and_leave_nothing,
}

/// With the bystander and its publisher as many as a broker admits.
const PEERS: usize = 9_998;
/// Of those that shake hands first, which takes a while in tests.
const TLS_PEERS: usize = 1_000;
/// A packet filter that lets nothing pass, in the words of classic BPF: return 0.
const NOTHING: SockFilter = SockFilter::new(0x06, 0, 0, 0);

/// From now on the peer's system answers nothing, not even to say that it knows no such connection.
fn vanish(peer: &Client) {
    SockRef::from(peer.stream()).attach_filter(&[NOTHING]).unwrap();
}

fn counter(client: &mut Client, name: &str) -> u64 {
    client.command(Json, &[("command", Str("stats"))]);
    let stats: serde_json::Value = serde_json::from_str(&client.next().message()).unwrap();
    stats["counters"][name].as_u64().unwrap()
}

fn thousands_of_half_open_peers_are_found_and_leave_nothing() {
    let _alone = alone();
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let peers = if kind() == Kind::Tls { TLS_PEERS } else { PEERS };
    let most = limit.maximum.map_or(peers, |most| peers.min(most as usize - 200));
    // A frame that was begun is not what ends them.
    let settings = ["--keepalive", "1s", "--write-timeout", "4s", "--frame-timeout", "1h"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_babelmq"));
    let served = Served::start(command.arg("serve").args(listen_arguments()).args(settings));
    let connect = || match kind() {
        Kind::Plain => Client::to(served.address),
        Kind::Tls | Kind::WebSocket => Client::to_tls(served.address),
    };
    let descriptors = || fs::read_dir(format!("/proc/{}/fd", served.id())).unwrap().count();
    let threads = || fs::read_dir(format!("/proc/{}/task", served.id())).unwrap().count();

    let (mut bystander, mut publisher) = (connect(), connect());
    bystander.subscribe(Json, "here");
    publisher.flush(Json);
    let (threads_before, descriptors_before) = (threads(), descriptors());
    let peers: Vec<Client> = (0..most)
        .map(|index| {
            let mut peer = connect();
            match index % 8 {
                // Says nothing.
                0..3 => {}
                // Has begun a frame.
                3 => peer.send_raw(b"\x00\x00\x00"),
                // Is told something that it does not take any more.
                4..6 => drop(peer.subscribe(FORMATS[index % 3], "gone")),
                // Would only listen.
                _ => drop(peer.subscribe(FORMATS[index % 3], "silent")),
            }
            peer
        })
        .collect();
    until("all are accepted", || counter(&mut publisher, "open") == most as u64 + 2);
    assert_eq!(counter(&mut publisher, "vanished"), 0, "they are all there");

    peers.iter().for_each(vanish);
    publisher.publish(Json, "gone", &number(Json, 1));
    let mut said = 0;
    until("their descriptors and threads are given back", || {
        said += 1;
        publisher.publish(Json, "here", &number(Json, said));
        assert_eq!(bystander.next().number(), said);
        descriptors() <= descriptors_before && threads() <= threads_before
    });
    assert_eq!(counter(&mut publisher, "vanished"), most as u64);
    assert_eq!(counter(&mut publisher, "open"), 2);
    assert_eq!(counter(&mut publisher, "subscriptions"), 1);
    println!("{most} peers vanished; meanwhile {said} messages for a bystander");
}
