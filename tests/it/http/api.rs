//! What can be asked of the broker.

use std::time::Duration;

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::StoreLimits;

use super::{Web, start};
use crate::support::line::over_each_line;
use crate::support::process::until;
use crate::support::{Client, number};

over_each_line! {
    a_message_reaches_subscribers_of_every_format,
    a_value_is_had_in_the_format_that_is_wanted,
    values_are_cleared_by_topic_and_by_filter,
    topics_of_the_brokers_own_are_read_and_not_written,
    topics_come_in_pages,
    counters_and_limits_are_told,
}

fn a_message_reaches_subscribers_of_every_format() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let mut clients: Vec<Client> = [Json, Xml, Pickle]
        .map(|format| {
            let mut client = Client::connect(&broker);
            client.subscribe(format, "/t");
            client
        })
        .into();
    for (media, body) in [
        ("application/json", &b"5"[..]),
        ("application/vnd.api+json; charset=utf-8", b" 5 "),
        ("text/xml", b"<?xml version=\"1.0\"?><message type=\"int\">5</message>"),
        ("application/x-python-pickle", b"\x80\x04K\x05."),
    ] {
        let line = "POST /api/v1/publish?topic=/t/a&retain=false";
        web.request(line, &format!("Content-Type: {media}\r\n"), body);
        let answer = web.answer();
        assert_eq!((answer.status, answer.body.len()), (202, 0), "{media}: {answer:?}");
        for client in &mut clients {
            let frame = client.next();
            assert_eq!((frame.field("topic").as_str(), frame.number()), ("/t/a", 5), "{media}");
        }
    }
    assert_eq!(broker.stats().topics, 0, "nothing was retained");
    web.request("POST /api/v1/publish?topic=/t/a", "Content-Type: text/plain\r\n", b"a \"b\"");
    assert_eq!(web.answer().status, 202);
    assert_eq!(web.get("/api/v1/value?topic=/t/a").text(), r#""a \"b\"""#);
    for (topic, media, body, status, code) in [
        ("/t", "application/json", &b"{\"a\":}"[..], 400, "malformed-json"),
        ("/t", "application/json", b"1,\"topic\":\"/u\"", 400, "malformed-json"),
        ("/t", "application/json", b"", 400, "malformed-json"),
        ("/t", "text/xml", b"<a/><b/>", 400, "malformed-xml"),
        ("/t", "application/x-python-pickle", b"cos\nsystem\n(S'id'\ntR.", 422, "forbidden-pickle"),
        ("/t", "text/plain", b"\xff", 422, "invalid-value"),
        ("/t/%23", "application/json", b"1", 400, "invalid-topic"),
        ("/t", "image/png", b"1", 415, ""),
    ] {
        let line = format!("POST /api/v1/publish?topic={topic}");
        let mut web = Web::connect(&broker);
        web.request(&line, &format!("Content-Type: {media}\r\n"), body);
        web.answer().is_problem(status, code);
    }
    assert_eq!(broker.stats().published, 5);
}

fn a_value_is_had_in_the_format_that_is_wanted() {
    let broker = start(|config| config);
    let mut client = Client::connect(&broker);
    client.publish(Pickle, "/t/\u{e9}", b"\x8a\x01\x07\x85");
    client.is_quiet();
    let mut web = Web::connect(&broker);
    let target = "/api/v1/value?topic=/t/%C3%A9";
    let json = web.get(target);
    assert_eq!((json.status, json.text()), (200, "[7]"));
    assert_eq!(json.field("content-type"), Some("application/json"));
    assert_eq!(json.field("babelmq-topic"), Some("/t/%C3%A9"));
    assert_eq!(web.get(&format!("{target}&exact")).text(), r#"{"$tuple":[7]}"#);
    client.publish(Json, "/t/100% ", b"1");
    client.is_quiet();
    let odd = web.get("/api/v1/value?topic=/t/100%25%20");
    assert_eq!(odd.field("babelmq-topic"), Some("/t/100%25%20"), "it can be asked for again");
    let mut wanting = |accept: &str| {
        web.request(&format!("GET {target}"), &format!("Accept: {accept}\r\n"), b"");
        web.answer()
    };
    let xml = wanting("application/xml");
    assert!(xml.text().starts_with("<message type=\"tuple\">"), "{xml:?}");
    let pickle = wanting("application/x-python-pickle");
    assert!(pickle.body.starts_with(b"\x80") && pickle.body.ends_with(b"."));
    assert_eq!(wanting("text/plain, */*;q=0.1").text(), "[7]");
    wanting("text/plain").is_problem(406, "");
    // What is known is not sent again, until it changes.
    let etag = json.field("etag").unwrap().to_owned();
    let mut knowing = |etag: &str| {
        web.request(&format!("GET {target}"), &format!("If-None-Match: {etag}\r\n"), b"");
        web.answer()
    };
    let same = knowing(&etag);
    assert_eq!((same.status, same.body.len(), same.field("etag")), (304, 0, Some(&*etag)));
    client.publish(Json, "/t/\u{e9}", b"[7]");
    client.is_quiet();
    assert_eq!(knowing(&etag).status, 200);
    web.get("/api/v1/value?topic=/t/none").is_problem(404, "");
    web.get("/api/v1/value?topic=/t/%2B").is_problem(400, "invalid-topic");
}

fn values_are_cleared_by_topic_and_by_filter() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    for topic in ["/a/1", "/a/2", "/b"] {
        assert_eq!(web.publish(topic, "1").status, 202);
    }
    let mut clear = |topic: &str| {
        web.request(&format!("DELETE /api/v1/value?topic={topic}"), "", b"");
        assert_eq!(web.answer().status, 204);
        broker.stats().topics
    };
    assert_eq!((clear("/b"), clear("/b"), clear("/a/%23")), (2, 2, 0));
}

fn topics_of_the_brokers_own_are_read_and_not_written() {
    let broker = start(|config| config);
    // What is refused before its body was read is the last on its connection.
    Web::connect(&broker).publish("$dead/a", "1").is_problem(400, "invalid-topic");
    for topic in ["$dead/a", "$dead/%23"] {
        let mut web = Web::connect(&broker);
        web.request(&format!("DELETE /api/v1/value?topic={topic}"), "", b"");
        web.answer().is_problem(400, "invalid-topic");
    }
    let mut web = Web::connect(&broker);
    web.get("/api/v1/value?topic=$dead/a").is_problem(404, "");
    assert_eq!(web.get("/api/v1/topics?filter=$dead").text(), r#"{"topics":[]}"#);
}

fn topics_come_in_pages() {
    let broker = start(|config| config);
    let mut client = Client::connect(&broker);
    // More than are listed on the spot.
    for topic in 0..3_000 {
        client.publish(Json, &format!("/t/{topic:04}"), b"1");
    }
    client.is_quiet();
    let mut web = Web::connect(&broker);
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let page = web.get(&format!("/api/v1/topics?filter=/t&limit=999{after}")).json();
        let topics = page["topics"].as_array().unwrap();
        seen.extend(topics.iter().map(|topic| topic.as_str().unwrap().to_owned()));
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (0..3_000).map(|topic| format!("/t/{topic:04}")).collect::<Vec<_>>());
    assert_eq!(web.get("/api/v1/topics?filter=/none").text(), r#"{"topics":[]}"#);
}

fn counters_and_limits_are_told() {
    let broker = start(|config| config.max_subscriptions(7));
    let mut web = Web::connect(&broker);
    web.publish("/t", "1");
    let stats = web.get("/api/v1/stats").json();
    assert_eq!(
        (&stats["counters"]["published"], &stats["counters"]["open"]),
        (&1.into(), &1.into())
    );
    let limits = web.get("/api/v1/limits").json();
    assert_eq!((&limits["subscriptions"], &limits["topic_bytes"]), (&7.into(), &1_024.into()));
}

#[test]
fn what_does_not_fit_the_store_is_said() {
    let broker = start(|config| config.store(StoreLimits::default().values(1)));
    let mut web = Web::connect(&broker);
    assert_eq!(web.publish("/a", "1").status, 202);
    web.publish("/b", "1").is_problem(507, "store-full");
    assert_eq!(web.publish("/a", "2").status, 202);
}

#[test]
fn a_value_with_a_time_to_live_ends() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    web.request("POST /api/v1/publish?topic=/t&ttl=1", "", b"1");
    assert_eq!(web.answer().status, 202);
    until("it has expired", || web.get("/api/v1/value?topic=/t").status == 404);
    assert_eq!(broker.stats().expired, 1);
}

#[test]
fn a_client_is_parked_between_requests_and_served_again() {
    let broker = start(|config| config.frame_timeout(Duration::from_millis(200)));
    let mut webs: Vec<Web> = (0..5).map(|_| Web::connect(&broker)).collect();
    let mut client = Client::connect(&broker);
    client.subscribe(Json, "/t");
    for web in &mut webs {
        assert_eq!(web.publish("/t", "1").status, 202);
        assert_eq!(client.next().number(), 1);
    }
    // They are silent for longer than a session waits.
    let began = std::time::Instant::now();
    until("they are parked", || began.elapsed() > Duration::from_millis(600));
    for web in &mut webs {
        assert_eq!(web.publish("/t", "2").status, 202);
        assert_eq!(client.next().number(), 2);
    }
    client.publish(Json, "/u", &number(Json, 3));
    client.is_quiet();
    assert_eq!(webs[0].get("/api/v1/value?topic=/u").text(), "3");
    drop(webs);
    until("they are gone", || broker.stats().open == 1);
}

#[test]
fn a_broker_is_ready_until_it_stops() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    assert_eq!(web.get("/healthz").text(), r#"{"status":"ok"}"#);
    assert_eq!(web.get("/readyz").text(), r#"{"status":"ready"}"#);
    broker.shutdown();
    assert!(web.is_over());
}
