//! Servers that stop, hang, come back, and have no stream.

use super::fixture::{Line, Plain, texts, with_orders};
use super::nats::NatsServer;

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
    // No signs of life come, long before what is published has waited for too long.
    let reason = line.unavailable();
    assert!(reason.contains(&server.url()), "{reason}");
    server.thaw();
    let (arrived, _) = line.arrived(3_000);
    assert_eq!(texts(&arrived), numbers(3_000));
    assert_eq!(plain.messages("orders"), 3_000);
}
