//! Every limit that a deployment can choose, and what happens there: an answer, a count, and nobody
//! else notices.
#![cfg(feature = "broker")]

use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

use babelmq::Format::{Json, Pickle, Xml};
use babelmq::broker::StoreLimits;
use babelmq::protocol::{MAX_PATTERNS, TOPIC_COST};
use babelmq::{Broker, BrokerHandle, Config, Limits};

use crate::support::Field::Str;
use crate::support::line::over_every_line;
use crate::support::process::until;
use crate::support::{self, Client, FORMATS, Frame, config, number};

over_every_line! {
    a_frame_that_is_not_finished_ends_the_connection,
    a_frame_that_comes_in_drops_is_not_finished_either,
    a_client_that_takes_nothing_is_given_up,
}

fn start(change: impl FnOnce(&mut Config)) -> BrokerHandle {
    let mut config = config();
    change(&mut config);
    Broker::start(config).unwrap()
}

/// What a client gets until its connection ends.
fn until_the_end(client: &mut Client) -> Vec<Frame> {
    std::iter::from_fn(|| client.next_or_end()).collect()
}

fn a_frame_that_is_not_finished_ends_the_connection() {
    let broker = start(|config| config.frame_timeout = Duration::from_millis(100));
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "t");
    for format in FORMATS {
        let whole = support::publish(format, "t", &number(format, 1));
        for cut in [1, 4, 5, whole.len() - 1] {
            let mut client = Client::connect(&broker);
            client.send_raw(&whole);
            client.send_raw(&whole[..cut]);
            let end = until_the_end(&mut client);
            assert_eq!(end.len(), 1);
            end[0].refuses("frame-timeout", true);
            assert_eq!(end[0].format, format);
            assert_eq!(bystander.next().number(), 1, "what was whole is delivered");
        }
    }
    bystander.is_quiet();
    assert_eq!(broker.stats().frame_timeouts, 12);
    assert_eq!(broker.stats().refused, 12);
}

/// A byte now and then does not make the time longer.
fn a_frame_that_comes_in_drops_is_not_finished_either() {
    let broker = start(|config| config.frame_timeout = Duration::from_millis(300));
    let mut client = Client::connect(&broker);
    let mut drops = client.share();
    let dropping = std::thread::spawn(move || {
        const LENGTH: u32 = 16 << 20;
        drops.send_raw(&[&[0], &LENGTH.to_be_bytes()[..]].concat());
        let sent = (0..LENGTH).take_while(|_| drops.try_send_raw(b"x").is_ok()).count();
        assert!(sent < LENGTH as usize, "the whole frame was taken");
    });
    // It is cut off in the middle, and what it sends after that is read away or answered with a
    // reset.
    let mut header = Vec::new();
    let refused = client.read_some(&mut header);
    assert!(
        refused == 0 || String::from_utf8_lossy(&header).contains("frame-timeout"),
        "{header:?}"
    );
    until("the time is over", || broker.stats().frame_timeouts == 1);
    drop(client);
    drop(broker);
    dropping.join().unwrap();
}

#[test]
fn connections_of_one_address_and_of_all_are_bounded() {
    let broker = start(|config| {
        config.max_connections = 4;
        config.max_connections_per_address = 2;
    });
    let mut clients = [Client::connect(&broker), Client::connect(&broker)];
    clients.iter_mut().for_each(Client::is_quiet);
    for _ in 0..3 {
        let mut third = Client::connect(&broker);
        // What it sends does not destroy what it is told.
        third.send_raw(&support::publish(Json, "t", &number(Json, 1)).repeat(100));
        let error = third.next();
        error.refuses("too-many-connections", true);
        assert!(error.field("reason").contains("from 127.0.0.1"), "{}", error.field("reason"));
        third.ends();
    }
    let [first, mut second] = clients;
    drop(first);
    until("its place is free", || broker.stats().open == 1);
    Client::connect(&broker).is_quiet();
    second.is_quiet();
    assert_eq!(broker.stats().turned_away, 3);
}

#[test]
fn subscriptions_of_a_connection_are_bounded() {
    let broker = start(|config| config.max_subscriptions = 2);
    let mut client = Client::connect(&broker);
    client.subscribe(Json, "a");
    client.subscribe(Xml, "b");
    client.command(Pickle, &[("command", Str("subscribe")), ("topic", Str("c"))]);
    let error = client.next();
    error.refuses("too-many-subscriptions", false);
    assert_eq!(error.field("topic"), "c");
    // The same one again is not one more, and there is room again after a cancel.
    client.subscribe(Json, "a/#");
    client.command(Json, &[("command", Str("cancel")), ("topic", Str("b"))]);
    assert_eq!(client.next().field("command"), "cancelled");
    client.subscribe(Json, "c");
    let mut another = Client::connect(&broker);
    another.subscribe(Json, "c");
    another.publish(Json, "c", b"1");
    assert_eq!((client.next().number(), another.next().number()), (1, 1));
    assert_eq!(broker.stats().subscriptions, 3);
}

/// A topic costs memory even if its value is small, and so does every topic above it.
#[test]
fn what_topics_cost_counts_for_the_store() {
    let deep = ["s"; 64].join("/");
    let all_above: usize = (1..=64).map(|segments| 2 * segments - 1 + TOPIC_COST).sum();
    let room = all_above + 1 + "s/s/t".len() + TOPIC_COST + 1;
    for (bytes, refused) in [(room, None), (room - 1, Some("s/s/t"))] {
        let broker = start(|config| config.store = StoreLimits::default().values(10).bytes(bytes));
        let mut client = Client::connect(&broker);
        client.publish(Json, &deep, b"1");
        client.is_quiet();
        // What is above it is there already.
        client.publish(Json, "s/s/t", b"2");
        let told: Vec<String> =
            client.flush(Json).iter().map(|error| error.field("topic")).collect();
        assert_eq!(told.first().map(String::as_str), refused);
        assert_eq!(
            broker.stats().stored_cost as usize,
            bytes - if refused.is_some() { 5 + TOPIC_COST } else { 0 }
        );
        client.command(Json, &[("command", Str("clear")), ("topic", Str(&deep))]);
        client.publish(Json, "s/s/t", b"2");
        assert_eq!(client.flush(Json).len(), 0, "it made room");
        let left = 2 * "s/s/t".len() - 1 + 3 * TOPIC_COST;
        assert_eq!(
            broker.stats().stored_cost as usize,
            left + 1,
            "of it, what is above the other is left"
        );
        assert!(broker.clear_topic("s/s/t").unwrap());
        assert_eq!(broker.stats().stored_cost, 0);
        let wide =
            start(|config| config.store = StoreLimits::default().values(10).bytes(all_above));
        assert!(
            wide.put_topic(&deep, &babelmq::Value::Int(1)).is_err(),
            "for its topics alone there is room"
        );
    }
}

/// All mixtures of a segment and a wildcard match one topic: 65,536 of them where there are 16
/// segments.
#[test]
fn patterns_of_a_connection_are_bounded() {
    let broker = start(|_| ());
    let mut client = Client::connect(&broker);
    let mixture = |number: usize, segments: usize| -> String {
        let segment = |place| if number >> place & 1 == 1 { "+" } else { "a" };
        (0..segments).map(segment).collect::<Vec<_>>().join("/")
    };
    // One of them has no wildcard.
    for number in 0..=MAX_PATTERNS {
        client.subscribe(Json, &mixture(number, 16));
    }
    client.command(
        Json,
        &[("command", Str("subscribe")), ("topic", Str(&mixture(MAX_PATTERNS + 1, 16)))],
    );
    client.next().refuses("too-many-subscriptions", false);
    // Others of the same patterns are as many as one likes, and there is room again after a cancel.
    client.subscribe(Json, &mixture(1, 16).replace('a', "b"));
    client.subscribe(Json, &mixture(3, 16));
    for filter in [mixture(1, 16), mixture(1, 16).replace('a', "b")] {
        client.command(Json, &[("command", Str("cancel")), ("topic", Str(&filter))]);
        assert_eq!(client.next().field("command"), "cancelled");
    }
    client.subscribe(Json, &mixture(MAX_PATTERNS + 1, 16));
    client.publish(Json, &mixture(0, 16), b"1");
    assert_eq!(client.next().number(), 1, "all of them deliver it once");
    client.is_quiet();
}

#[test]
fn a_full_store_refuses_what_needs_more_room_and_nothing_else() {
    let broker = start(|config| {
        config.store = StoreLimits::default().values(2).bytes(20 + 2 * (1 + TOPIC_COST))
    });
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "#");
    let mut client = Client::connect(&broker);
    client.publish(Json, "a", b"1");
    client.publish(Json, "b", b"2");
    client.flush(Json);
    client.publish(Xml, "c", &number(Xml, 3));
    let error = client.next();
    error.refuses("store-full", false);
    assert_eq!((error.format, error.field("topic").as_str()), (Xml, "c"));
    // A topic that holds a value may get another, and what is not kept needs no room.
    client.publish(Json, "a", b"4");
    let without =
        [("command", Str("publish")), ("topic", Str("c")), ("retain", support::Field::Bool(false))];
    client.command(Json, &[&without[..], &[("message", support::Field::Raw(b"5"))]].concat());
    // But not a value that is too large.
    client.publish(Json, "b", b"\"twenty-one bytes long\"");
    let error = client.next();
    error.refuses("store-full", false);
    // Refused messages between others are left out, whoever subscribed to what.
    client.publish(Json, "d", b"6");
    client.publish(Json, "b", b"7");
    client.next().refuses("store-full", false);
    client.command(Json, &[("command", Str("clear")), ("topic", Str("a"))]);
    client.publish(Json, "d", b"8");
    client.is_quiet();
    let delivered: Vec<i64> = bystander.flush(Json).iter().map(Frame::number).collect();
    assert_eq!(delivered, [1, 2, 4, 5, 7, 8]);
    let topics: Vec<String> = broker.list_topics().iter().map(ToString::to_string).collect();
    assert_eq!(topics, ["b", "d"]);
    assert_eq!(broker.stats().store_refused, 3);
    assert!(
        broker.put_topic("e", &babelmq::Value::Int(1)).is_err(),
        "the embedding program is refused as well"
    );
    assert!(broker.put_topic("d", &babelmq::Value::Int(1)).is_ok());
}

fn a_client_that_takes_nothing_is_given_up() {
    let broker = start(|config| config.write_timeout = Duration::from_millis(200));
    let mut stuck = Client::connect(&broker);
    stuck.subscribe(Json, "big");
    let mut client = Client::connect(&broker);
    let payload = format!("\"{}\"", "x".repeat(1 << 20));
    for _ in 0..20 {
        client.publish(Json, "big", payload.as_bytes());
    }
    client.flush(Json);
    until("it is given up", || broker.stats().write_timeouts == 1);
    until("its connection is over", || broker.stats().open == 1);
    client.is_quiet();
}

#[test]
fn messages_can_be_held_to_less_than_every_format_can_carry() {
    let limits = Limits::default().depth(2).int_digits(25).topic_bytes(10).topic_segments(2);
    let broker = start(|config| config.limits = limits);
    let mut bystander = Client::connect(&broker);
    bystander.subscribe(Json, "#");
    let mut client = Client::connect(&broker);
    let nines = "9".repeat(25);
    let xml = |inner: &str| format!("<message type=\"list\">{inner}</message>").into_bytes();
    let item = |inner: &str| format!("<item type=\"list\">{inner}</item>");
    let fits = [
        (Json, b"[[1]]".to_vec()),
        (Json, format!("-{nines}").into_bytes()),
        (Xml, xml(&item(""))),
        (Pickle, b"]]a".to_vec()),
        (Pickle, format!("L-{nines}L\n").into_bytes()),
    ];
    for (format, message) in &fits {
        client.publish(*format, "a/b", message);
        client.is_quiet();
    }
    assert_eq!(bystander.flush(Json).len(), fits.len());
    let does_not = [
        (Json, "a", b"[[[]]]".to_vec(), "too-deep"),
        (Json, "a", format!("[{nines}9]").into_bytes(), "too-many-digits"),
        (Xml, "a", xml(&item(&item(""))), "too-deep"),
        (Pickle, "a", b"]]]aa".to_vec(), "too-deep"),
        (Pickle, "a", format!("L{nines}9L\n").into_bytes(), "too-many-digits"),
        (Json, "a/b/c", b"1".to_vec(), "invalid-topic"),
        (Json, "/abcdefghij", b"1".to_vec(), "invalid-topic"),
    ];
    for (format, topic, message, code) in does_not {
        client.publish(format, topic, &message);
        let error = client.next();
        error.refuses(code, false);
        assert_eq!(error.field("topic"), topic);
    }
    client.command(Json, &[("command", Str("subscribe")), ("topic", Str("a/+/c"))]);
    client.next().refuses("invalid-topic", false);
    bystander.is_quiet();
}

/// The kernel's list of connections says which timer runs for each: 2 is the keepalive.
#[test]
fn an_idle_client_is_asked_whether_it_is_there() {
    let timer = |broker: &BrokerHandle, client: &TcpStream| {
        let end = |port: u16| format!("0100007F:{port:04X}");
        let local = end(broker.local_addr().port());
        let peer = end(client.local_addr().unwrap().port());
        let table = std::fs::read_to_string("/proc/self/net/tcp").unwrap();
        let mut rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        rows.find(|row| row[1] == local && row[2] == peer).map(|row| row[5].to_owned())
    };
    for (keepalive, expected) in [(Some(Duration::from_secs(60)), "02"), (None, "00")] {
        let broker = start(|config| config.keepalive = keepalive);
        let mut client = TcpStream::connect(broker.local_addr()).unwrap();
        client.write_all(&support::publish(Json, "t", b"1")).unwrap();
        until("its message is here", || broker.stats().published == 1);
        until("the timer is as it should be", || {
            timer(&broker, &client).is_some_and(|timer| timer.starts_with(expected))
        });
    }
}
