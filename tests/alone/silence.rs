//! Clients that say nothing, and the threads that they do without.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use babelmq::Broker;
use babelmq::Format::Json;

use crate::alone;
use crate::support::line::over_every_line;
use crate::support::process::{broker_threads, until};
use crate::support::{Client, FORMATS, config, number};

over_every_line! {
    a_silent_client_takes_no_thread_and_loses_nothing,
    strangers_take_no_thread_and_are_told_in_time_all_the_same,
}

/// A session whose client is silent does without its thread, and is there again when it is needed.
fn a_silent_client_takes_no_thread_and_loses_nothing() {
    let _alone = alone();
    let sessions = || broker_threads().iter().filter(|name| name.starts_with("session-")).count();
    // A silence is noticed as often as an unfinished frame is.
    let config = config().frame_timeout(Duration::from_millis(50));
    let broker = Broker::start(config).unwrap();
    let mut clients: Vec<Client> = (0..10).map(|_| Client::connect(&broker)).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.subscribe(FORMATS[index % 3], "t");
    }
    for round in 0..3 {
        until("the sessions are parked", || sessions() == 0);
        clients[0].publish(Json, "t", &number(Json, round));
        for client in &mut clients {
            assert_eq!(client.next().number(), round);
        }
        // A session that is parked has read whole frames only.
        clients[1].is_quiet();
    }
    until("the sessions are parked", || sessions() == 0);
    let gone = clients.split_off(5);
    drop(gone);
    until("who goes while parked is noticed", || broker.stats().open == 5);
    assert_eq!(broker.stats().subscriptions, 5);
    drop(broker);
    clients.iter_mut().for_each(Client::ends);
}

/// Whoever connects and does not log in may be many, and holds nothing that others need.
fn strangers_take_no_thread_and_are_told_in_time_all_the_same() {
    let _alone = alone();
    let sessions = || broker_threads().iter().filter(|name| name.starts_with("session-")).count();
    let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("strangers.toml");
    fs::write(&file, "[[user]]\nname = 'oslo'\ncertificate = true\n").unwrap();
    let (login, silence) = (Duration::from_secs(2), Duration::from_millis(50));
    let config = config().users(&file).login_timeout(login).frame_timeout(silence);
    let broker = Broker::start(config).unwrap();
    let began = Instant::now();
    let mut strangers: Vec<Client> = (0..10).map(|_| Client::connect(&broker)).collect();
    until("all are accepted", || broker.stats().open == 10);
    until("the sessions are parked", || sessions() == 0);
    assert!(began.elapsed() < login, "they have not been told yet");
    for client in &mut strangers {
        client.next().refuses("login-required", true);
        client.ends();
    }
    assert!(began.elapsed() >= login);
    fs::remove_file(file).unwrap();
}
