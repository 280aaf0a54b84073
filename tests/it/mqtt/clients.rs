//! What who administrates the broker sees of clients of MQTT, and does to them.

use std::net::TcpStream;

use babelmq::{BrokerHandle, Config};
use serde_json::Value;

use super::{reason, start_with};
use crate::http::Web;
use crate::http::monitor::scrape;
use crate::support::Client;
use crate::support::Field::Str;
use crate::support::line::Line;
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, Will, packet, text};
use crate::support::process::until;
use crate::support::websocket::WebSocket;

const URLS: &str = "mqtt://127.0.0.1:0,http://127.0.0.1:0";
/// Session Expiry Interval, of 1,000 seconds.
const STAYING: &[u8] = &[17, 0, 0, 3, 0xe8];

fn start() -> (BrokerHandle, Web) {
    let broker = start_with(Config::default(), URLS);
    let web = Web::connect(&broker);
    (broker, web)
}

/// The clients, page by page of so many.
fn clients_by(web: &mut Web, limit: usize) -> Vec<Value> {
    let mut clients = Vec::new();
    let mut after = String::new();
    loop {
        let page = web.get(&format!("/api/v1/clients?limit={limit}{after}")).json();
        let some = page["clients"].as_array().unwrap();
        assert!(some.len() <= limit, "{page}");
        clients.extend(some.iter().cloned());
        match page.get("next") {
            Some(next) => after = format!("&after={next}"),
            None => return clients,
        }
    }
}

/// The clients that say who they are, by what they call themselves.
fn named(web: &mut Web, name: &str) -> Option<Value> {
    clients_by(web, 1_000).into_iter().find(|client| client["client_id"] == name)
}

/// The same once it is as it should be.
fn named_when(web: &mut Web, name: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let mut found = None;
    until("the client is as it should be", || {
        found = named(web, name).filter(&is_so);
        found.is_some()
    });
    found.unwrap()
}

/// A client in a browser, which calls itself `page`.
fn page(broker: &BrokerHandle) -> WebSocket {
    let stream = TcpStream::connect(broker.http_addr()).unwrap();
    let page = WebSocket::over(Line::plain(stream), "mqtt", b"");
    let connect = packet(0x10, &[&text("MQTT")[..], &[4, 2, 0, 0], &text("page")].concat());
    assert_eq!(page.write(&connect).unwrap(), connect.len());
    page
}

fn disconnect(web: &mut Web, client: &Value) -> u16 {
    web.request(&format!("DELETE /api/v1/clients?id={}", client["id"]), "", b"");
    web.answer().status
}

#[test]
fn a_client_is_listed_with_its_version_its_identifier_and_what_is_on_its_way() {
    let (broker, mut web) = start();
    let mut old = Mqtt::dial(&broker, V3_1_1);
    let connect = [&text("MQIsdp")[..], &[3, 2, 0, 0], &text("old")].concat();
    old.send(&packet(0x10, &connect));
    assert_eq!(old.read().kind(), "CONNACK");
    // A name of a stranger, and a Receive Maximum of 2.
    let name = "<b>\"\u{202e}\\x";
    let mut sensor =
        Mqtt::hello(&broker, &Hello { properties: &[33, 0, 2], ..Hello::new(V5, name) }).0;
    assert_eq!(sensor.subscribe("t", 2), 2);
    let _page = page(&broker);
    // One that says nothing has neither a version nor a name.
    let _silent = Mqtt::dial(&broker, V5);
    until("all are listed", || clients_by(&mut web, 1_000).len() == 5);
    for (name, version) in [("old", "3.1"), (name, "5"), ("page", "3.1.1")] {
        let it = named_when(&mut web, name, |_| true);
        assert_eq!((&it["protocol"], &it["protocol_version"]), (&"mqtt".into(), &version.into()));
        assert_eq!((&it["connected"], &it["inflight"]), (&true.into(), &0.into()));
        assert_eq!((it.get("disconnected_for"), it.get("expires_in")), (None, None));
    }
    let all = clients_by(&mut web, 1_000);
    let silent = all.iter().filter(|it| it["protocol"] == "mqtt" && it.get("client_id").is_none());
    assert_eq!(silent.count(), 1, "{all:?}");
    assert!(all.iter().all(|it| it["connected"] == true), "{all:?}");
    assert_eq!(named(&mut web, "page").unwrap()["receive_maximum"], 1_024);

    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for id in 1..=3 {
        publisher.publish("t", b"1", 2, false, id);
        assert_eq!(publisher.read().kind(), "PUBREC");
    }
    let [first, second] = [sensor.message(), sensor.message()];
    let it = named(&mut web, name).unwrap();
    assert_eq!((&it["inflight"], &it["receive_maximum"]), (&2.into(), &2.into()));
    assert!(it["waiting_messages"].as_u64() >= Some(1), "{it}");
    let told = scrape(&mut web);
    assert_eq!(told["babelmq_mqtt_inflight_messages"], 2.0);
    // What the client has and does not know it has is still on its way.
    sensor.ack(0x50, first.id);
    assert_eq!(sensor.read().kind(), "PUBREL");
    assert_eq!(named(&mut web, name).unwrap()["inflight"], 2);
    sensor.ack(0x70, first.id);
    let third = sensor.message();
    for message in [second, third] {
        sensor.ack(0x50, message.id);
        assert_eq!(sensor.read().kind(), "PUBREL");
        sensor.ack(0x70, message.id);
    }
    named_when(&mut web, name, |it| it["inflight"] == 0 && it["waiting_messages"] == 0);
}

#[test]
fn a_session_whose_client_is_away_is_listed_until_it_ends() {
    let (broker, mut web) = start();
    let hello = Hello { clean: false, properties: STAYING, ..Hello::new(V5, "phone") };
    let mut phone = Mqtt::hello(&broker, &hello).0;
    assert_eq!(phone.subscribe("t", 1), 1);
    let number = named(&mut web, "phone").unwrap()["id"].clone();
    phone.disconnect();
    let it = named_when(&mut web, "phone", |it| it["connected"] == false);
    assert_eq!((&it["id"], &it["protocol_version"]), (&number, &"5".into()));
    assert!(it["peer"].as_str().unwrap().starts_with("127.0.0.1:"), "{it}");
    assert_eq!(it["subscriptions"][0]["filter"], "t");
    let seconds = |name: &str| it[name].as_u64().unwrap_or_else(|| panic!("{name}: {it}"));
    assert!(seconds("disconnected_for") < 60);
    assert!((900..=1_000).contains(&seconds("expires_in")), "{it}");
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"1", 1, false, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    assert_eq!(named(&mut web, "phone").unwrap()["waiting_messages"], 1);
    let (phone, is_present) = Mqtt::hello(&broker, &hello);
    assert!(is_present);
    let it = named_when(&mut web, "phone", |it| it["connected"] == true);
    assert_eq!((&it["id"], it.get("disconnected_for")), (&number, None));
    drop(phone);
    // One that is waited for as long as there is a broker says no end.
    Mqtt::hello(&broker, &Hello::new(V3_1_1, "forever").staying()).0.disconnect();
    let it = named_when(&mut web, "forever", |it| it["connected"] == false);
    assert_eq!(it.get("expires_in"), None);
}

#[test]
fn pages_have_every_connection_and_every_session_once() {
    let (broker, mut web) = start();
    let mut there = Vec::new();
    for number in 0..12 {
        let name = format!("client-{number}");
        let (client, _) = Mqtt::hello(&broker, &Hello::new(V5, &name).staying());
        // Every third one goes: what is away lies between what is there.
        if number % 3 == 0 {
            client.disconnect()
        } else {
            there.push(client)
        }
        there.push(Mqtt::connect(&broker, V5, &format!("other-{number}")));
    }
    // The connections of those that are away end some time later.
    until("four are away", || (broker.stats().mqtt_away, broker.stats().open) == (4, 21));
    let all = clients_by(&mut web, 1_000);
    let ids: Vec<u64> = all.iter().map(|client| client["id"].as_u64().unwrap()).collect();
    assert!(ids.is_sorted() && ids.len() == 25, "{ids:?}");
    assert_eq!(all.iter().filter(|client| client["connected"] == false).count(), 4);
    for limit in [1, 2, 3, 7, 24, 25] {
        let paged: Vec<u64> = clients_by(&mut web, limit)
            .iter()
            .map(|client| client["id"].as_u64().unwrap())
            .collect();
        assert_eq!(paged, ids, "{limit}");
    }
}

#[test]
fn who_is_disconnected_is_told_that_it_was_an_administrator_and_its_session_ends() {
    let (broker, mut web) = start();
    for version in [V3_1_1, V5] {
        let hello = Hello::new(version, "sensor").staying();
        let mut sensor = Mqtt::hello(&broker, &hello).0;
        assert_eq!(sensor.subscribe("t", 1), 1);
        let it = named(&mut web, "sensor").unwrap();
        assert_eq!(disconnect(&mut web, &it), 204);
        if version == V5 {
            let packet = sensor.read();
            assert_eq!((packet.kind(), packet.body[0]), ("DISCONNECT", reason::ADMINISTRATIVE));
        }
        assert_eq!(sensor.next(), None);
        until("it is forgotten", || named(&mut web, "sensor").is_none());
        assert_eq!(disconnect(&mut web, &it), 404);
        let (sensor, is_present) = Mqtt::hello(&broker, &hello);
        assert!(!is_present, "another session");
        drop(sensor);
        let it = named_when(&mut web, "sensor", |it| it["connected"] == false);
        assert_eq!(disconnect(&mut web, &it), 204);
    }
    assert_eq!(broker.list_subscriptions("t").unwrap(), []);
}

/// One that is silent because it has all that may be on its way to it is told as well.
#[test]
fn who_has_not_answered_is_disconnected_all_the_same() {
    let (broker, mut web) = start();
    let hello = Hello { properties: &[33, 0, 1], ..Hello::new(V5, "stuck") };
    let mut stuck = Mqtt::hello(&broker, &hello).0;
    assert_eq!(stuck.subscribe("t", 1), 1);
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    for id in 1..=5 {
        publisher.publish("t", b"1", 1, false, id);
        assert_eq!(publisher.read().kind(), "PUBACK");
    }
    stuck.message();
    let it = named(&mut web, "stuck").unwrap();
    assert_eq!(disconnect(&mut web, &it), 204);
    let packet = stuck.read();
    assert_eq!((packet.kind(), packet.body[0]), ("DISCONNECT", reason::ADMINISTRATIVE));
    assert_eq!(stuck.next(), None);
}

#[test]
fn the_session_of_a_client_that_is_away_can_be_ended_and_its_will_is_said() {
    let (broker, mut web) = start();
    let mut heir = Mqtt::connect(&broker, V5, "heir");
    assert_eq!(heir.subscribe("will", 0), 0);
    // Will Delay Interval: an hour.
    let properties = &[24, 0, 0, 0x0e, 0x10];
    let will = Will { topic: "will", payload: b"gone", properties, ..Will::default() };
    let hello = Hello { will: Some(will), ..Hello::new(V5, "phone").staying() };
    let mut phone = Mqtt::hello(&broker, &hello).0;
    assert_eq!(phone.subscribe("t", 1), 1);
    drop(phone);
    let it = named_when(&mut web, "phone", |it| it["connected"] == false);
    assert_eq!(disconnect(&mut web, &it), 204);
    assert_eq!(heir.plain_message(), ("will".into(), b"gone".to_vec()));
    assert_eq!((named(&mut web, "phone"), disconnect(&mut web, &it)), (None, 404));
    assert_eq!(broker.list_subscriptions("t").unwrap(), []);
    assert!(!Mqtt::hello(&broker, &hello).1, "another session");
}

#[test]
fn sessions_and_messages_of_mqtt_are_counted() {
    let (broker, mut web) = start();
    let named = |told: &std::collections::BTreeMap<String, f64>, name: &str| {
        told.get(name).copied().unwrap_or_else(|| panic!("{name}: {told:#?}"))
    };
    let told = scrape(&mut web);
    for name in [
        "clients{protocol=\"mqtt\"}",
        "clients{protocol=\"websocket\"}",
        "mqtt_sessions",
        "mqtt_sessions_away",
        "mqtt_inflight_messages",
        "mqtt_messages_sent_total{qos=\"2\"}",
        "mqtt_sessions_expired_total",
    ] {
        assert_eq!(named(&told, &format!("babelmq_{name}")), 0.0, "{name}");
    }
    // Session Expiry Interval: a second.
    let short = Hello { clean: false, properties: &[17, 0, 0, 0, 1], ..Hello::new(V5, "short") };
    Mqtt::hello(&broker, &short).0.disconnect();
    Mqtt::hello(&broker, &Hello::new(V5, "phone").staying()).0.disconnect();
    let _before = Mqtt::hello(&broker, &Hello::new(V5, "same"));
    let mut sensor = Mqtt::hello(&broker, &Hello::new(V5, "same")).0;
    assert_eq!(sensor.subscribe("t", 1), 1);
    let _native = Client::connect(&broker);
    let _page = page(&broker);
    let mut publisher = Mqtt::connect(&broker, V3_1_1, "publisher");
    for (id, qos) in (1..).zip([0, 1, 1, 2, 2, 2]) {
        publisher.publish("t", b"1", qos, false, id);
        if qos > 0 {
            publisher.read();
        }
    }
    for _ in 0..6 {
        let message = sensor.message();
        if message.qos == 1 {
            sensor.ack(0x40, message.id);
        }
    }
    until("one has expired, and all others are there", || {
        let stats = broker.stats();
        (stats.mqtt_expired, stats.mqtt_sessions, stats.open) == (1, 4, 5)
    });
    let told = scrape(&mut web);
    for (name, expected) in [
        ("clients{protocol=\"mqtt\"}", 3.0),
        ("clients{protocol=\"tcp\"}", 1.0),
        ("clients{protocol=\"http\"}", 1.0),
        ("mqtt_sessions", 4.0),
        ("mqtt_sessions_away", 1.0),
        ("mqtt_sessions_taken_over_total", 1.0),
        ("mqtt_sessions_expired_total", 1.0),
        ("mqtt_messages_received_total{qos=\"0\"}", 1.0),
        ("mqtt_messages_received_total{qos=\"1\"}", 2.0),
        ("mqtt_messages_received_total{qos=\"2\"}", 3.0),
        ("mqtt_messages_sent_total{qos=\"0\"}", 1.0),
        ("mqtt_messages_sent_total{qos=\"1\"}", 5.0),
        ("mqtt_messages_sent_total{qos=\"2\"}", 0.0),
    ] {
        assert_eq!(named(&told, &format!("babelmq_{name}")), expected, "{name}: {told:#?}");
    }
    let stats = broker.stats();
    assert_eq!((stats.mqtt_received, stats.mqtt_sent), (6, 6));
    assert_eq!((stats.mqtt_sessions, stats.mqtt_away, stats.mqtt_taken_over), (4, 1, 1));
}

#[test]
fn the_answer_to_stats_says_which_subscribers_are_sessions_of_mqtt() {
    let (broker, mut web) = start();
    let long = "ö".repeat(200);
    let mut phone = Mqtt::hello(&broker, &Hello::new(V5, &long).staying()).0;
    assert_eq!(phone.subscribe("t", 1), 1);
    let mut native = Client::connect(&broker);
    native.subscribe(babelmq::Format::Json, "u");
    phone.disconnect();
    until("it is away", || broker.stats().mqtt_away == 1);
    let stats = web.get("/api/v1/stats").json();
    let subscribers = stats["subscribers"].as_array().unwrap();
    let [phone, native_one] = ["t", "u"].map(|topic| {
        subscribers.iter().find(|it| it["topics"] == serde_json::json!([topic])).unwrap()
    });
    // So much of a name that a table has room for.
    assert_eq!(phone["client_id"], "ö".repeat(64));
    assert_eq!((&phone["protocol"], &phone["protocol_version"]), (&"mqtt".into(), &"5".into()));
    assert_eq!((&phone["connected"], &phone["inflight"]), (&false.into(), &0.into()));
    assert_eq!((native_one.get("client_id"), native_one.get("protocol")), (None, None));
    assert_eq!(stats["counters"]["mqtt_away"], 1);
    // The same to who asks in the broker's own protocol.
    native.command(babelmq::Format::Json, &[("command", Str("stats"))]);
    let told: Value = serde_json::from_str(&native.next().message()).unwrap();
    let told = told["subscribers"].as_array().unwrap();
    assert!(told.iter().any(|it| it["client_id"] == "ö".repeat(64)), "{told:?}");
}

/// Those whose clients are away among them: what was on its way to these is sent again.
#[test]
fn what_is_on_its_way_to_hundreds_of_clients_is_counted() {
    let (broker, mut web) = start();
    let names: Vec<String> = (0..600).map(|number| format!("client-{number}")).collect();
    let connect = |name: &String| {
        let mut client = Mqtt::hello(&broker, &Hello::new(V5, name).staying()).0;
        assert_eq!(client.subscribe("t", 1), 1);
        client
    };
    let mut clients: Vec<Mqtt> = names.iter().map(connect).collect();
    let mut publisher = Mqtt::connect(&broker, V5, "publisher");
    publisher.publish("t", b"1", 1, false, 1);
    assert_eq!(publisher.read().kind(), "PUBACK");
    clients.iter_mut().for_each(|client| assert_eq!(client.message().payload, b"1"));
    clients.drain(..300).for_each(Mqtt::disconnect);
    until("half are away", || (broker.stats().mqtt_away, broker.stats().open) == (300, 302));
    assert_eq!(scrape(&mut web)["babelmq_mqtt_inflight_messages"], 600.0);
    let all = clients_by(&mut web, 100);
    let inflight = |is_there: bool| {
        let are_so = all.iter().filter(|it| it["connected"] == is_there);
        are_so.filter_map(|it| it["inflight"].as_u64()).sum::<u64>()
    };
    assert_eq!((all.len(), inflight(true), inflight(false)), (602, 300, 300));
}
