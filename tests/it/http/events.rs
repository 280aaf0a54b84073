//! What is published, as Server-Sent Events.

use std::time::Duration;

use babelmq::Format::{Json, Pickle};

use super::{Web, start};
use crate::support::line::over_each_line;
use crate::support::process::until;
use crate::support::{Client, number};

over_each_line! {
    events_are_the_frames_of_a_subscription_in_json,
    a_stream_can_leave_out_what_is_below,
    a_stuck_reader_of_events_is_cut_off_and_a_bystander_goes_on,
    a_silent_stream_has_comments_between_its_events,
}

/// A stream of events that has begun.
fn subscribe(web: &mut Web, query: &str) {
    web.request(&format!("GET /api/v1/subscribe?{query}"), "Accept: text/event-stream\r\n", b"");
    let head = web.head().unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    let lines = head.to_ascii_lowercase();
    assert!(lines.contains("content-type: text/event-stream"), "{head}");
    assert!(lines.contains("connection: close") && !lines.contains("content-length"), "{head}");
}

fn a_stream_can_leave_out_what_is_below() {
    let broker = start(|config| config);
    let mut producer = Client::connect(&broker);
    let mut web = Web::connect(&broker);
    subscribe(&mut web, "topic=/t/%2B&below=false");
    assert_eq!(web.event().unwrap(), r#"data: {"command":"subscribed","topic":"/t/+","values":0}"#);
    for topic in ["/t/a/b", "/t", "/t/a"] {
        producer.publish(Json, topic, b"7");
    }
    assert_eq!(web.event().unwrap(), r#"data: {"command":"publish","topic":"/t/a","message":7}"#);
    let refused = Web::connect(&broker).get("/api/v1/subscribe?topic=/t&below=no");
    refused.is_problem(400, "");
}

fn events_are_the_frames_of_a_subscription_in_json() {
    let broker = start(|config| config);
    let mut producer = Client::connect(&broker);
    // Whitespace of a producer is no end of a line.
    producer.publish(Json, "/t/a", b"[1,\n 2]");
    producer.is_quiet();
    let mut web = Web::connect(&broker);
    subscribe(&mut web, "topic=/t&cleared=true");
    let event = web.event().unwrap();
    let retained =
        r#"data: {"command":"publish","topic":"/t/a","retained":true,"message":[1,  2]}"#;
    assert_eq!(event, retained);
    assert_eq!(web.event().unwrap(), r#"data: {"command":"subscribed","topic":"/t","values":1}"#);
    producer.publish(Pickle, "/t/b", &number(Pickle, 7));
    assert_eq!(web.event().unwrap(), r#"data: {"command":"publish","topic":"/t/b","message":7}"#);
    let mut other = Web::connect(&broker);
    other.request("DELETE /api/v1/value?topic=/t/b", "", b"");
    assert_eq!(other.answer().status, 204);
    assert_eq!(web.event().unwrap(), r#"data: {"command":"cleared","topic":"/t/b"}"#);
    // What is sent behind the request is not read as anything.
    web.send("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n\0\0\0\0\u{2}{}");
    producer.publish(Json, "/t/b", b"8");
    assert_eq!(web.event().unwrap(), r#"data: {"command":"publish","topic":"/t/b","message":8}"#);
    drop(web);
    until("the subscription is over", || broker.stats().subscriptions == 0);
}

/// The system holds some megabytes for it; the rest is what a slow consumer is cut off for.
fn a_stuck_reader_of_events_is_cut_off_and_a_bystander_goes_on() {
    let broker = start(|config| config.queue(babelmq::QueueLimits::default().messages(50)));
    let mut stuck = Web::connect(&broker);
    subscribe(&mut stuck, "topic=/t");
    let mut bystander = Web::connect(&broker);
    subscribe(&mut bystander, "topic=/u");
    let mut producer = Client::connect(&broker);
    let long = format!("\"{}\"", "x".repeat(1 << 20));
    until("it is cut off", || {
        producer.publish(Json, "/t", long.as_bytes());
        producer.is_quiet();
        broker.stats().slow_consumers == 1
    });
    assert!(bystander.event().unwrap().contains("subscribed"));
    producer.publish(Json, "/u", b"1");
    assert!(bystander.event().unwrap().ends_with("\"message\":1}"));
    // It reads what was written, and hears why there is no more.
    let mut last = String::new();
    while let Some(event) = stuck.event() {
        last = event;
    }
    assert!(last.starts_with("event: refusal\ndata: ") && last.contains("slow-consumer"), "{last}");
}

#[test]
fn a_subscription_that_is_refused_is_no_stream() {
    let broker = start(|config| config.max_subscriptions(0));
    let mut web = Web::connect(&broker);
    web.get("/api/v1/subscribe?topic=/t").is_problem(429, "too-many-subscriptions");
    web.get("/api/v1/subscribe?topic=/t/%23/x").is_problem(400, "invalid-topic");
    web.get("/api/v1/subscribe").is_problem(400, "");
    assert_eq!(web.get("/healthz").status, 200, "the connection goes on");
    web.request("HEAD /api/v1/subscribe?topic=/t", "", b"");
    assert_eq!(web.answer_to("HEAD").unwrap().field("content-type"), Some("text/event-stream"));
    assert!(web.is_over());
}

#[test]
fn a_broker_that_stops_ends_a_stream_behind_the_last_event() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    subscribe(&mut web, "topic=/t");
    assert!(web.event().unwrap().contains("subscribed"));
    broker.put_topic("/t", &1.into()).unwrap();
    broker.shutdown();
    assert!(web.event().unwrap().contains("\"message\":1"));
    assert!(web.event().is_none());
}

/// What is silent is not to be taken for what has ended.
fn a_silent_stream_has_comments_between_its_events() {
    const COMMENTS: &[u8] = b":\n\n:\n\n:\n\n";
    // Comments come as often as a silence is noticed, or twice as seldom.
    let broker = start(|config| config.frame_timeout(Duration::from_millis(100)));
    let mut web = Web::connect(&broker);
    subscribe(&mut web, "topic=/t");
    assert!(web.event().unwrap().contains("subscribed"));
    for number in 0..2 {
        while web.ahead.len() < COMMENTS.len() {
            assert!(web.read());
        }
        assert!(web.ahead.starts_with(COMMENTS), "{}", web.ahead.escape_ascii());
        let mut producer = Client::connect(&broker);
        producer.publish(Json, "/t", number.to_string().as_bytes());
        assert!(web.event().unwrap().ends_with(&format!("\"message\":{number}}}")));
    }
    drop(web);
    until("the subscription is over", || broker.stats().subscriptions == 0);
}
