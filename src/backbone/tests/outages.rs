//! Servers that stop, hang, come back, and have no stream.

use std::path::Path;
use std::time::Duration;

use super::fixture::{Line, Plain, texts, wanted, with_orders};
use super::nats::NatsServer;
use super::proxy::Proxy;
use crate::broker::JoinShared;

/// Whether a server is given up for saying nothing: by who asked it, or by the connection.
fn is_silence(reason: &str) -> bool {
    reason.contains("does not answer") || reason.contains("is lost (the server is gone)")
}

fn numbers(count: usize) -> Vec<String> {
    (0..count).map(|number| number.to_string()).collect()
}

#[test]
fn a_stream_that_is_missing_is_said_and_found_when_it_is_made() {
    let server = NatsServer::start();
    let mut line = Line::open(&server, None);
    line.publish_text("orders/1", "0");
    let reason = line.unavailable();
    let how =
        format!("babelmq backbone create --backbone {} --shared 'orders=orders/#'", server.url());
    assert!(reason.contains("no stream orders") && reason.contains(&how), "{reason}");
    let plain = Plain::connect(&server);
    plain.make("orders=other/#", |_| ());
    let reason = line.unavailable();
    assert!(reason.contains("keeps other, other.>, and not orders;"), "{reason}");
    plain.remove("orders");
    assert!(line.unavailable().contains("no stream orders"));
    plain.make("orders/#", |_| ());
    line.connected();
    assert_eq!(line.stored(), 1);
    assert_eq!(texts(&line.arrived(1).0), ["0"]);
    // It may be removed while everything runs.
    plain.remove("orders");
    line.publish_text("orders/1", "1");
    assert!(line.unavailable().contains("no stream orders"));
    plain.make("orders/#", |_| ());
    assert_eq!(line.stored(), 2);
}

#[test]
fn what_is_published_while_the_server_is_away_is_stored_when_it_is_back() {
    let (mut server, _plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.arrived(0);
    server.kill();
    let reason = line.unavailable();
    assert!(reason.contains(&server.url()), "{reason}");
    for number in 0..50 {
        line.publish_text("orders/1", &number.to_string());
    }
    server.start_again();
    assert_eq!((1..=50).map(|_| line.stored()).collect::<Vec<_>>(), (1..=50).collect::<Vec<_>>());
    assert_eq!(texts(&line.arrived(50).0), numbers(50));
}

#[test]
fn a_server_that_is_killed_in_the_middle_loses_and_repeats_nothing() {
    let (mut server, _plain) = with_orders();
    let mut lines = [Line::open(&server, None), Line::open(&server, None)];
    for line in &mut lines {
        line.arrived(0);
    }
    let count = 4_000;
    for number in 0..count {
        lines[0].publish_text("orders/1", &number.to_string());
    }
    for round in 0..3 {
        while lines[0].stored() < 300 * (round + 1) {}
        server.kill();
        server.start_again();
    }
    for line in &mut lines {
        let (arrived, position) = line.arrived(count);
        assert_eq!(texts(&arrived), numbers(count));
        assert!(arrived.is_sorted_by(|one, other| one.seq < other.seq));
        assert_eq!(position.seq, count as u64);
    }
}

#[test]
fn a_server_that_hangs_is_waited_for() {
    let (server, plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.arrived(0);
    line.publish_text("orders/1", "0");
    line.stored();
    server.freeze();
    for number in 1..3_000 {
        line.publish_text("orders/1", &number.to_string());
    }
    // Acknowledgements and signs of life are missed, whichever is due first.
    let reason = line.unavailable();
    assert!(is_silence(&reason), "{reason}");
    server.thaw();
    let (arrived, _) = line.arrived(3_000);
    assert_eq!(texts(&arrived), numbers(3_000));
    assert_eq!(plain.messages("orders"), 3_000);
}

/// What a client has when its connection breaks is not sent by the next one, behind what is sent
/// again meanwhile.
#[test]
fn what_a_connection_still_held_does_not_come_out_of_order() {
    let (server, _plain) = with_orders();
    let address = server.url().trim_start_matches("nats://").parse().unwrap();
    let proxy = Proxy::to(address);
    let mut line = Line::at(&format!("nats://{}", proxy.address), "orders/#", None);
    line.arrived(0);
    proxy.hold();
    // More than sockets have room for.
    let text = |number: usize| format!("{number:08192}");
    for number in 0..1_500 {
        line.publish_text("orders/1", &text(number));
    }
    assert!(is_silence(&line.unavailable()));
    proxy.cut();
    let (arrived, position) = line.arrived(1_500);
    assert_eq!(position.seq, 1_500);
    assert!(
        (0..).zip(&arrived).all(|(number, message)| super::fixture::text(message) == text(number))
    );
}

/// What a server has had for longer than it knows repeats is neither sent again nor confirmed.
#[test]
fn what_could_be_stored_twice_is_refused_and_what_was_not_sent_is_stored() {
    let mut server = NatsServer::start();
    let plain = Plain::connect(&server);
    plain.make("orders/#", |stream| stream.duplicate_window = Duration::from_millis(100));
    let mut line = Line::open(&server, None);
    line.arrived(0);
    server.freeze();
    // The first is on its way, and so is what comes after it, as far as the way is wide.
    for number in 0..2_000 {
        line.publish_text("orders/1", &number.to_string());
    }
    assert!(is_silence(&line.unavailable()));
    server.kill();
    server.start_again();
    let (number, reason) = line.refused();
    assert!(number == 1 && reason.contains("in doubt"), "{reason}");
    let refused = 1 + (2..=1_024).map(|_| line.refused()).count();
    let stored: Vec<u64> = (refused..2_000).map(|_| line.stored()).collect();
    assert_eq!(stored, (1_025..=2_000).collect::<Vec<_>>());
    assert_eq!(line.arrived(976).0.len(), 976);
}

#[test]
fn users_log_in_and_who_is_none_is_told() {
    let user = "authorization { users: [{user: ada, password: \"p:w\"}] }";
    let server = NatsServer::start_with(&[user]);
    let at = |login: &str| server.url().replace("//", &format!("//{login}"));
    let mut line = Line::at(&at("eve:p@"), "orders/#", None);
    let reason = line.unavailable();
    assert!(reason.contains("authorization violation") && !reason.contains("eve"), "{reason}");
    let mut line = Line::at(&at("ada:p%3Aw@"), "orders/#", None);
    assert!(line.unavailable().contains("no stream orders"));
}

/// A disk that was not written to the end, or a copy of before: what was read is not there any
/// more, and its numbers are given to other messages.
#[test]
fn a_stream_that_has_lost_messages_is_another_one() {
    let (mut server, plain) = with_orders();
    let mut line = Line::open(&server, None);
    line.arrived(0);
    let follows = JoinShared { consumer: None, ..wanted(1) };
    line.join_as(follows).unwrap();
    plain.publish("orders.1", &[], "a");
    plain.publish("orders.2", &[], "b");
    let epoch = line.arrived(2).1.epoch;
    server.stop();
    let (store, copy) = (server.directory().join("store"), server.directory().join("copy"));
    copy_all(&store, &copy);
    server.start_again();
    let plain = Plain::connect(&server);
    for text in ["c", "d", "e"] {
        plain.publish("orders.1", &[], text);
    }
    let (arrived, position) = line.arrived(3);
    assert_eq!(
        (texts(&arrived).concat(), position.seq, &position.epoch),
        ("cde".into(), 5, &epoch)
    );
    let followed: Vec<_> = (0..5).map(|_| line.delivered(1).0).collect();
    assert_eq!(followed, [1, 2, 3, 4, 5]);
    server.stop();
    std::fs::remove_dir_all(&store).unwrap();
    std::fs::rename(&copy, &store).unwrap();
    server.start_again();
    Plain::connect(&server).publish("orders.1", &[], "f");
    let (arrived, then) = line.arrived(2);
    assert_eq!((texts(&arrived).concat(), then.seq), ("bf".to_owned(), 3));
    assert_ne!(then.epoch, epoch);
    // So it is for a broker that starts later, and the one that goes on with it is right.
    let mut other = Line::open(&server, Some(position));
    assert_eq!(texts(&other.arrived(2).0).concat(), "bf");
    Plain::connect(&server).publish("orders.1", &[], "g");
    let mut after = Line::open(&server, Some(then.clone()));
    let (arrived, at) = after.arrived(1);
    assert_eq!((texts(&arrived).concat(), at.seq, at.epoch), ("g".to_owned(), 4, then.epoch));
    // One that follows goes on where the stream ended when it came by; that may be behind "f".
    let mut next = line.delivered(1);
    if next.0 == 3 {
        next = line.delivered(1);
    }
    assert_eq!(next, (4, 1, "g".to_owned()));
}

fn copy_all(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy_all(&entry.path(), &to),
            false => assert!(std::fs::copy(entry.path(), to).is_ok()),
        }
    }
}
