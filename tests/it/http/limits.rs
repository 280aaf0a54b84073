//! What a client may send, and how long it may take.

use std::time::Duration;

use babelmq::Limits;
use babelmq::broker::{SMALLEST_MEMORY, Use};

use super::{Web, start};
use crate::support::line::over_each_line;
use crate::support::process::until;

over_each_line! {
    a_request_that_is_not_finished_ends_the_connection,
    a_body_that_is_too_long_is_refused_before_it_is_sent,
    answers_that_nobody_reads_are_given_up,
}

fn a_request_that_is_not_finished_ends_the_connection() {
    let broker = start(|config| config.frame_timeout(Duration::from_millis(200)));
    let mut bystander = Web::connect(&broker);
    for begun in [
        "G",
        "GET /healthz HTTP/1.1\r\nHost: loc",
        "POST /api/v1/publish?topic=/t HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n1",
        "POST /api/v1/publish?topic=/t HTTP/1.1\r\nHost: localhost\r\n\
         Transfer-Encoding: chunked\r\n\r\n5\r\n1",
    ] {
        let mut web = Web::connect(&broker);
        web.send(begun);
        web.answer().is_problem(408, "");
        assert!(web.is_over(), "{begun}");
        assert_eq!(bystander.get("/healthz").status, 200);
    }
    assert_eq!((broker.stats().frame_timeouts, broker.stats().published), (4, 0));
}

fn a_body_that_is_too_long_is_refused_before_it_is_sent() {
    let broker = start(|config| config.limits(Limits::with_max_frame(1_000)));
    let line = "POST /api/v1/publish?topic=/t";
    for (fields, body) in [
        ("Content-Length: 1001\r\n", ""),
        ("Content-Length: 18446744073709551615\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", "3e9\r\n"),
        ("Transfer-Encoding: chunked\r\n", "fffffffffffffff\r\n"),
    ] {
        let mut web = Web::connect(&broker);
        web.request(line, fields, b"");
        web.send(body);
        web.answer().is_problem(413, "");
        assert!(web.is_over());
    }
    let mut web = Web::connect(&broker);
    web.request(line, "", format!("\"{}\"", "x".repeat(998)).as_bytes());
    assert_eq!(web.answer().status, 202);
}

/// Answers are written while their client takes them, and take memory no longer than that.
fn answers_that_nobody_reads_are_given_up() {
    let broker =
        start(|config| config.memory(SMALLEST_MEMORY).write_timeout(Duration::from_millis(500)));
    let claimed = || {
        let stats = broker.stats();
        let mut claims = stats.memory_claimed();
        claims.find(|(name, _)| *name == Use::Writing.name()).map(|(_, bytes)| bytes)
    };
    let mut web = Web::connect(&broker);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    assert_eq!(web.publish("/t", &long).status, 202);
    // More than the system holds.
    for _ in 0..100 {
        web.request("GET /api/v1/value?topic=/t", "Accept: application/xml\r\n", b"");
    }
    until("it is given up", || broker.stats().write_timeouts == 1);
    until("its memory is given back", || claimed() == Some(0));
    until("it is gone", || broker.stats().open == 0);
}

/// Answers that are being written are charged, however many clients read none.
#[test]
fn answers_that_nobody_reads_take_no_more_than_there_is() {
    let broker = start(|config| config.memory(SMALLEST_MEMORY));
    let mut web = Web::connect(&broker);
    assert_eq!(web.publish("/t", &format!("\"{}\"", "x".repeat(900 << 10))).status, 202);
    let mut idle: Vec<Web> = (0..40).map(|_| Web::connect(&broker)).collect();
    for web in &mut idle {
        // The system holds some of them.
        for _ in 0..8 {
            web.request("GET /api/v1/value?topic=/t", "", b"");
        }
    }
    let claimed = |name| {
        let stats = broker.stats();
        stats.memory_claimed().find(|(known, _)| *known == name).map_or(0, |(_, bytes)| bytes)
    };
    until("memory is claimed for them", || claimed(Use::Writing.name()) > 1 << 20);
    assert!(claimed(Use::Writing.name()) <= 8 << 20);
    // Who reads gets an answer, or is told that there is no memory.
    let answer = web.get("/api/v1/value?topic=/t");
    assert!([200, 503].contains(&answer.status), "{answer:?}");
    drop(idle);
    until("it is given back", || claimed(Use::Writing.name()) == 0);
    assert_eq!(web.get("/api/v1/value?topic=/t").status, 200);
}

/// A text is longer in JSON, and that counts.
#[test]
fn a_text_that_is_too_long_in_json_is_refused() {
    let broker = start(|config| config.limits(Limits::with_max_frame(6_000)));
    let mut web = Web::connect(&broker);
    let line = "POST /api/v1/publish?topic=/t";
    web.request(line, "Content-Type: text/plain\r\n", &[1; 1_000]);
    web.answer().is_problem(413, "too-large");
    web.request(line, "Content-Type: text/plain\r\n", &[1; 999]);
    assert_eq!(web.answer().status, 202);
}

/// Each claims what it announces before it is read.
#[test]
fn bodies_wait_for_memory_and_not_for_each_other() {
    let broker = start(|config| config.memory(SMALLEST_MEMORY));
    let body = format!("\"{}\"", "x".repeat(900 << 10));
    let senders: Vec<_> = (0..12)
        .map(|_| {
            let (mut web, body) = (Web::connect(&broker), body.clone());
            std::thread::spawn(move || {
                for _ in 0..3 {
                    let answer = web.publish("/t", &body);
                    assert_eq!(answer.status, 202, "{answer:?}");
                }
            })
        })
        .collect();
    senders.into_iter().for_each(|sender| sender.join().unwrap());
    assert_eq!(broker.stats().published, 36);
}
