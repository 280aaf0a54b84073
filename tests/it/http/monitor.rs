//! What is asked of the broker itself: its metrics, and who is connected.

use std::collections::BTreeMap;

use babelmq::Format::{Json, Pickle, Xml};

use super::{Answer, Web, start};
use crate::support::Field::{Int, Str};
use crate::support::line::{Kind, kind, over_each_line};
use crate::support::process::until;
use crate::support::{Client, number};

over_each_line! {
    a_scrape_counts_by_format_policy_and_listener,
    every_metric_of_the_document_is_told_and_no_other,
    clients_come_in_pages_with_what_waits_for_them,
    who_is_disconnected_is_told_and_may_come_back,
    who_hears_nothing_is_ended_without_a_word,
    a_stream_of_events_is_listed_as_one_and_hears_of_its_end,
}

/// The samples of a scrape: what stands before the number, and the number.
pub fn scrape(web: &mut Web) -> BTreeMap<String, f64> {
    let answer = web.get("/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    let media_type = "text/plain; version=0.0.4; charset=utf-8";
    assert_eq!(answer.field("content-type"), Some(media_type));
    let samples = answer.text().lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    samples.map(parse).collect()
}

fn a_scrape_counts_by_format_policy_and_listener() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let mut client = Client::connect(&broker);
    client.subscribe(Xml, "/t");
    let mut slow = Client::connect(&broker);
    slow.subscribe_with(Json, "/d", &[("overflow", Str("drop-oldest")), ("queue", Int(1))]);
    for value in 0..3 {
        client.publish(Pickle, "/t", &number(Pickle, value));
    }
    client.publish(Json, "/t", &number(Json, 3));
    client.publish(Xml, "/t", &number(Xml, 4));
    for value in 0..5 {
        assert_eq!(client.next().number(), value);
    }
    // What one read brings is put into a mailbox together, which has room for one of them.
    let three: Vec<u8> = (0..3)
        .flat_map(|value| crate::support::publish(Json, "/d", &number(Json, value)))
        .collect();
    client.send_raw(&three);
    client.is_quiet();
    let listeners: Vec<String> = broker.listeners().map(ToString::to_string).collect();
    let told = scrape(&mut web);
    let value = |name: &str| told.get(name).copied().unwrap_or_else(|| panic!("{name}: {told:#?}"));
    for (name, expected) in [
        ("babelmq_messages_published_total{format=\"pickle\"}", 3.0),
        ("babelmq_messages_published_total{format=\"json\"}", 4.0),
        ("babelmq_messages_published_total{format=\"xml\"}", 1.0),
        ("babelmq_messages_delivered_total{format=\"xml\"}", 5.0),
        ("babelmq_messages_delivered_total{format=\"pickle\"}", 0.0),
        ("babelmq_messages_translated_total{from=\"pickle\",to=\"xml\"}", 3.0),
        ("babelmq_messages_translated_total{from=\"json\",to=\"xml\"}", 1.0),
        ("babelmq_messages_translated_total{from=\"xml\",to=\"xml\"}", 0.0),
        ("babelmq_messages_dropped_total{policy=\"latest\"}", 0.0),
        ("babelmq_topics", 2.0),
        ("babelmq_subscriptions", 2.0),
        ("babelmq_logins_failed_total", 0.0),
        ("babelmq_fsync_seconds_count", 0.0),
    ] {
        assert_eq!(value(name), expected, "{name}");
    }
    let dropped = value("babelmq_messages_dropped_total{policy=\"drop-oldest\"}");
    assert_eq!(dropped as u64, broker.stats().dropped);
    // Two connections of the broker's protocol, and the one that asks.
    for (listener, open) in listeners.iter().zip([2.0, 1.0]) {
        let scheme = if listener.contains("://") { "" } else { "tcp://" };
        assert_eq!(
            value(&format!("babelmq_connections{{listener=\"{scheme}{listener}\"}}")),
            open,
            "{listener}"
        );
    }
    assert!(value("babelmq_bytes_received_total") > 100.0);
    assert!(value("process_resident_memory_bytes") > 1e6 && value("process_open_fds") > 5.0);
    // One step of 17 is measured, and the first.
    assert!(value("babelmq_routing_seconds_count") >= 1.0);
    assert!(value("babelmq_routing_seconds_sum") < 10.0);
    drop(slow);
    until("the connection is not counted any more", || {
        let told = scrape(&mut web);
        told.iter()
            .filter(|(name, _)| name.starts_with("babelmq_connections{"))
            .map(|(_, n)| n)
            .sum::<f64>()
            == 2.0
    });
}

/// The names of families, with their types.
fn families(answer: &Answer) -> Vec<(String, String)> {
    let types = answer.text().lines().filter_map(|line| line.strip_prefix("# TYPE "));
    types.map(|line| line.split_once(' ').map(|(a, b)| (a.into(), b.into())).unwrap()).collect()
}

fn every_metric_of_the_document_is_told_and_no_other() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let told = families(&web.get("/metrics"));
    let mut documented: Vec<(String, String)> = crate::metrics_doc::rows()
        .into_iter()
        .map(|row| (row[0].to_owned(), row[1].to_owned()))
        .collect();
    if kind() == Kind::Plain {
        // There is no certificate.
        documented.retain(|(name, _)| name != "babelmq_certificate_expiry_timestamp_seconds");
    }
    // Of these there are none.
    documented.retain(|(name, _)| {
        let of_one = ["babelmq_stream_", "babelmq_consumer_", "babelmq_shared_"];
        name == "babelmq_shared_unremembered_total"
            || !of_one.iter().any(|prefix| name.starts_with(prefix))
    });
    assert_eq!(told, documented);
}

fn clients_come_in_pages_with_what_waits_for_them() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    // The others come behind it, by another listener.
    assert_eq!(web.get("/healthz").status, 200);
    let mut reader = Client::connect(&broker);
    reader.subscribe(Pickle, "/all");
    reader.subscribe_with(Json, "/d/#", &[("overflow", Str("latest"))]);
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "/all/a", &number(Json, 1));
    producer.is_quiet();
    assert_eq!(reader.next().number(), 1);
    // One that has said nothing.
    let silent = Client::connect(&broker);
    until("all are there", || {
        web.get("/api/v1/clients").json()["clients"].as_array().unwrap().len() == 4
    });
    let told = web.get("/api/v1/clients").json();
    assert_eq!(told.get("next"), None);
    let clients = told["clients"].as_array().unwrap();
    let protocol = if kind() == Kind::Tls { "tls" } else { "tcp" };
    let protocols: Vec<&str> =
        clients.iter().map(|client| client["protocol"].as_str().unwrap()).collect();
    assert_eq!(protocols, ["http", protocol, protocol, protocol]);
    let it = &clients[1];
    assert_eq!(it["peer"], reader.local_addr().to_string());
    assert_eq!((&it["waiting_messages"], &it["waiting_bytes"]), (&0.into(), &0.into()));
    assert_eq!((&it["slow"], &it["subscription_count"]), (&false.into(), &2.into()));
    assert_eq!(it.get("user"), None, "there are no users");
    let subscriptions = it["subscriptions"].as_array().unwrap();
    let one = subscriptions.iter().find(|one| one["filter"] == "/all").unwrap();
    let expected = serde_json::json!({
        "filter": "/all", "format": "pickle", "overflow": "disconnect", "waiting": 0, "dropped": 0
    });
    assert_eq!(one, &expected);
    assert_eq!(clients[3]["subscriptions"], serde_json::json!([]));
    // Two at a time.
    let first = web.get("/api/v1/clients?limit=2").json();
    let next = first["next"].as_u64().unwrap();
    assert_eq!(first["clients"][1]["id"], next);
    let rest = web.get(&format!("/api/v1/clients?limit=2&after={next}")).json();
    assert_eq!((rest.get("next"), &rest["clients"][0]), (None, &clients[2]));
    assert_eq!(rest["clients"].as_array().unwrap().len(), 2);
    for wrong in ["limit=0", "limit=1001", "after=x", "filter=a"] {
        web.get(&format!("/api/v1/clients?{wrong}")).is_problem(400, "");
    }
    drop((silent, producer));
}

/// The number of the client at an address.
fn id_of(web: &mut Web, client: &Client) -> u64 {
    let peer = client.local_addr().to_string();
    let mut id = None;
    until("it is listed", || {
        let told = web.get("/api/v1/clients").json();
        let clients = told["clients"].as_array().unwrap();
        id = clients.iter().find(|it| it["peer"] == peer).and_then(|it| it["id"].as_u64());
        id.is_some()
    });
    id.unwrap()
}

fn disconnect(web: &mut Web, id: u64) -> Answer {
    web.request(&format!("DELETE /api/v1/clients?id={id}"), "", b"");
    web.answer()
}

fn who_is_disconnected_is_told_and_may_come_back() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let mut client = Client::connect(&broker);
    client.subscribe(Xml, "/t");
    let id = id_of(&mut web, &client);
    assert_eq!(disconnect(&mut web, id).status, 204);
    client.next().refuses("disconnected", true);
    client.ends();
    assert_eq!((broker.stats().subscriptions, broker.stats().slow_consumers), (0, 0));
    until("it is forgotten", || disconnect(&mut web, id).status == 404);
    disconnect(&mut web, id).is_problem(404, "");
    Client::connect(&broker).subscribe(Xml, "/t");
    web.request("DELETE /api/v1/clients", "", b"");
    web.answer().is_problem(400, "");
}

/// A producer that asks for no answer has no outbox, and a client that speaks HTTP is told nothing
/// that it has not asked for.
fn who_hears_nothing_is_ended_without_a_word() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let mut producer = Client::connect(&broker);
    producer.publish(Json, "/t", &number(Json, 1));
    let id = id_of(&mut web, &producer);
    assert_eq!(disconnect(&mut web, id).status, 204);
    producer.ends();
    let mut other = Web::connect(&broker);
    assert_eq!(other.get("/api/v1/topics").text(), r#"{"topics":["/t"]}"#, "nothing is lost");
    let told = web.get("/api/v1/clients").json();
    let last = told["clients"].as_array().unwrap().last().unwrap();
    assert_eq!(last["protocol"], "http");
    assert_eq!(disconnect(&mut web, last["id"].as_u64().unwrap()).status, 204);
    assert!(other.head().is_none());
}

fn a_stream_of_events_is_listed_as_one_and_hears_of_its_end() {
    let broker = start(|config| config);
    let mut web = Web::connect(&broker);
    let mut events = Web::connect(&broker);
    events.request("GET /api/v1/subscribe?topic=/t", "", b"");
    assert!(events.head().unwrap().starts_with("HTTP/1.1 200 "));
    let mut id = None;
    until("it is listed", || {
        let told = web.get("/api/v1/clients").json();
        let clients = told["clients"].as_array().unwrap();
        id = clients.iter().find(|it| it["protocol"] == "sse").and_then(|it| it["id"].as_u64());
        id.is_some()
    });
    assert_eq!(disconnect(&mut web, id.unwrap()).status, 204);
    while events.read() {}
    let said = String::from_utf8(events.ahead.clone()).unwrap();
    assert!(said.contains("event: refusal\n") && said.contains("\"disconnected\""), "{said}");
}
