//! As many clients as a broker is made for, and what it says where the system has not enough for
//! them.
#![cfg(all(feature = "cli", feature = "middleware"))]

use std::process::Command;

use babelmq::Format::Json;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::alone;
use crate::support::process::{memory, until};
use crate::support::served::Served;
use crate::support::{Client, FORMATS, number};

const BABELMQ: &str = env!("CARGO_BIN_EXE_babelmq");

/// What a broker is made for: these, and one that publishes.
const SUBSCRIBERS: usize = 9_999;
/// Bytes of memory that an idle subscriber may take, in a build that is not optimised.
const MEMORY: u64 = 24 << 10;

#[test]
fn ten_thousand_subscribers_are_served_by_few_threads() {
    let _alone = alone();
    // Each client is a descriptor of this process.
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    let most = limit.maximum.map_or(SUBSCRIBERS, |most| SUBSCRIBERS.min(most as usize - 200));
    let served = Served::start(Command::new(BABELMQ).args(["serve", "--listen", "127.0.0.1:0"]));
    let before = memory(&served.id(), "VmRSS");
    let mut clients: Vec<Client> = (0..most)
        .map(|index| {
            let mut client = Client::to(served.address);
            client.subscribe(FORMATS[index % 3], &format!("crowd/{}", index % 100));
            client
        })
        .collect();
    let threads = || std::fs::read_dir(format!("/proc/{}/task", served.id())).unwrap().count();
    // 16 writers keep their threads.
    until("their sessions are parked, and their writers rest", || threads() < 60);
    let each = (memory(&served.id(), "VmRSS") - before) / most as u64;
    println!("{most} subscribers: {} threads, {} KiB each", threads(), each >> 10);
    assert!(each < MEMORY, "{} KiB each", each >> 10);
    // One for a hundredth of them, by a client that came last; and everybody can still speak.
    let mut publisher = Client::to(served.address);
    publisher.publish(Json, "crowd/7", &number(Json, 1));
    for client in clients.iter_mut().skip(7).step_by(100) {
        assert_eq!(client.next().number(), 1);
    }
    for index in 0..100 {
        publisher.publish(Json, &format!("crowd/{index}"), &number(Json, 2));
    }
    for client in &mut clients {
        assert_eq!(client.next().number(), 2);
    }
    clients[0].is_quiet();
    clients[most - 1].is_quiet();
}

#[test]
fn a_system_that_allows_less_is_named_at_the_start() {
    let _alone = alone();
    let limited = "ulimit -n 200; exec \"$0\" serve --listen 127.0.0.1:0 --max-connections 5000";
    let mut served =
        Served::start(Command::new("sh").args(["-c", limited, BABELMQ]).env("BABELMQ_LOG", "warn"));
    let said = served.log().find(|line| line.contains("the system allows")).unwrap();
    assert!(said.contains("about 168 connections") && said.contains("ulimit -n"), "{said}");
}
