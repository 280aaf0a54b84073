//! The beginning and the end of a connection.

use super::{reason, start};
use crate::support::mqtt::{Hello, Mqtt, V3_1_1, V5, packet, text};

#[test]
fn a_client_is_told_that_it_is_connected() {
    let broker = start();
    let mut old = Mqtt::dial(&broker, V3_1_1);
    let connack = old.ask(&Hello::new(V3_1_1, "old"));
    assert_eq!((connack.first, &connack.body[..]), (0x20, &[0, 0][..]));
    let mut new = Mqtt::dial(&broker, V5);
    let connack = new.ask(&Hello::new(V5, "new"));
    assert_eq!((connack.first, &connack.body[..2]), (0x20, &[0, 0][..]));
    old.ping();
    new.ping();
    old.disconnect();
    new.disconnect();
}

/// MQTT 5, 3.1.3.1: a client without a name is given one, and told it.
#[test]
fn a_client_without_a_name_is_given_one() {
    let broker = start();
    let mut new = Mqtt::dial(&broker, V5);
    let connack = new.ask(&Hello::new(V5, ""));
    let body = String::from_utf8_lossy(&connack.body).into_owned();
    assert!(connack.body[1] == 0 && body.contains("auto-"), "{body:?}");
    let mut old = Mqtt::dial(&broker, V3_1_1);
    assert_eq!(old.ask(&Hello::new(V3_1_1, "")).body, [0, 0]);
    // MQTT 3.1.1, 3.1.3.1: one whose session is to stay must have one.
    let mut staying = Mqtt::dial(&broker, V3_1_1);
    assert_eq!(staying.ask(&Hello::new(V3_1_1, "").staying()).body, [0, 2]);
    assert_eq!(staying.next(), None);
}

#[test]
fn what_is_no_connect_ends_the_connection() {
    let broker = start();
    for first in
        [&[0xc0, 0][..], b"GET / HTTP/1.1\r\n\r\n", &[0x10, 3, 0, 4, b'M'], b"\0\0\0\0\x02{}"]
    {
        let mut mqtt = Mqtt::dial(&broker, V3_1_1);
        mqtt.send(first);
        assert_eq!(mqtt.next(), None, "{}", first.escape_ascii());
    }
    // The broker knows no MQTT 6, and says so.
    let mut mqtt = Mqtt::dial(&broker, V3_1_1);
    let body = [&text("MQTT")[..], &[6, 2, 0, 0, 0], &text("x")].concat();
    mqtt.send(&packet(0x10, &body));
    assert_eq!(mqtt.read().body, [0, 1]);
    assert_eq!(mqtt.next(), None);
}

#[test]
fn a_second_connect_is_a_protocol_error() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "twice");
    let again = mqtt.ask(&Hello::new(V5, "twice"));
    assert_eq!((again.kind(), again.body[0]), ("DISCONNECT", reason::PROTOCOL_ERROR));
    assert_eq!(mqtt.next(), None);
}

/// A reset would destroy what the client was told last.
#[test]
fn a_client_that_goes_on_sending_can_read_why_its_connection_ended() {
    let broker = start();
    let mut mqtt = Mqtt::connect(&broker, V5, "amiss");
    // A PINGRESP comes from a server only.
    let pings = [0xc0, 0].repeat(1_000);
    mqtt.send(&[&[0xd0, 0][..], &pings].concat());
    let goodbye = mqtt.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::PROTOCOL_ERROR));
    assert_eq!(mqtt.next(), None);
    for sent in 0..500 {
        mqtt.try_send(&pings).unwrap_or_else(|error| panic!("{error} after {sent}"));
    }
}

/// One and a half times the keepalive is waited (MQTT 5, 3.1.2.10).
#[test]
fn a_client_that_is_silent_for_too_long_is_disconnected() {
    let broker = start();
    let (mut mqtt, _) = Mqtt::hello(&broker, &Hello { keep_alive: 1, ..Hello::new(V5, "silent") });
    let began = std::time::Instant::now();
    let goodbye = mqtt.read();
    assert_eq!((goodbye.kind(), goodbye.body[0]), ("DISCONNECT", reason::KEEP_ALIVE));
    assert!(began.elapsed().as_millis() >= 1_400, "{:?}", began.elapsed());
    assert_eq!(mqtt.next(), None);
}
