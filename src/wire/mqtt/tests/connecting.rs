//! CONNECT, in its three versions.

use super::*;

/// The head of a CONNECT's body.
fn hello(name: &str, level: u8, flags: u8) -> Vec<u8> {
    [&text(name)[..], &[level, flags, 0, 60]].concat()
}

#[test]
fn three_versions_say_hello() {
    for (name, level, version, properties) in [
        ("MQIsdp", 3, Version::V3_1, &[][..]),
        ("MQTT", 4, Version::V3_1_1, &[]),
        ("MQTT", 5, Version::V5, &[0]),
    ] {
        let bytes = packet(0x10, &[&hello(name, level, 2), properties, &text("me")]);
        let Packet::Connect(connect) = read(version, &bytes) else { panic!() };
        assert_eq!((connect.version, connect.client_id, connect.clean), (version, "me", true));
        assert_eq!((connect.keep_alive, connect.session_expiry), (60, 0));
        assert_eq!(said_version(&bytes), Some(version));
        assert_eq!(said_version(&bytes[..name.len() + 5]), Some(version));
        assert_eq!(said_version(&bytes[..name.len() + 4]), None);
    }
}

#[test]
fn a_session_that_is_kept_is_so_for_ever_before_5() {
    let bytes = packet(0x10, &[&hello("MQTT", 4, 0), &text("me")]);
    let Packet::Connect(connect) = read(Version::V3_1_1, &bytes) else { panic!() };
    assert_eq!((connect.clean, connect.session_expiry), (false, u32::MAX));
}

#[test]
fn a_will_a_name_and_a_password_follow() {
    let flags = 0b1111_0100;
    let rest = [text("me"), text("last/words"), text("bye"), text("user"), text("secret")].concat();
    let bytes = packet(0x10, &[&hello("MQTT", 4, flags), &rest]);
    let Packet::Connect(connect) = read(Version::V3_1_1, &bytes) else { panic!() };
    let will = connect.will.clone().unwrap();
    assert_eq!((will.topic, will.payload), ("last/words", &b"bye"[..]));
    assert_eq!((will.qos, will.retain, will.delay), (Qos::ExactlyOnce, true, 0));
    assert_eq!((connect.user, connect.password), (Some("user"), Some(&b"secret"[..])));
    let shown = format!("{connect:?}");
    assert!(shown.contains("has_password: true") && !shown.contains("secret"), "{shown}");
    assert!(!shown.contains("115, 101, 99"), "{shown}");
}

#[test]
fn properties_of_5_say_how_the_session_is_to_be() {
    let properties: Vec<u8> = [
        &[17, 0, 0, 1, 0][..],
        &[33, 0, 20],
        &[39, 0, 0, 4, 0],
        &[34, 0, 10],
        &[25, 1],
        &[23, 0],
        &[38, 0, 1, b'k', 0, 1, b'v'],
    ]
    .concat();
    let will = [&[9, 24, 0, 0, 0, 5, 3, 0, 1, b't'][..], &text("w"), &text("x")].concat();
    let length = [properties.len() as u8];
    // A password without a name is a token.
    let bytes = packet(
        0x10,
        &[&hello("MQTT", 5, 0b0100_0110), &length, &properties, &text(""), &will, &text("token")],
    );
    let Packet::Connect(connect) = read(Version::V5, &bytes) else { panic!() };
    assert_eq!((connect.session_expiry, connect.receive_maximum), (256, Some(20)));
    assert_eq!((connect.maximum_packet_size, connect.topic_alias_maximum), (Some(1024), 10));
    assert!(connect.wants_response_information && !connect.wants_reasons);
    assert_eq!(connect.properties.user().collect::<Vec<_>>(), [("k", "v")]);
    assert_eq!((connect.client_id, connect.user), ("", None));
    assert_eq!(connect.password, Some(&b"token"[..]));
    let will = connect.will.unwrap();
    assert_eq!((will.delay, will.content.content_type), (5, Some("t")));
}

#[test]
fn a_connect_that_is_none_is_refused_with_its_reason() {
    let malformed = Reason::MALFORMED;
    let name = text("me");
    let five = |flags, properties: &[u8], rest: &[u8]| {
        packet(0x10, &[&hello("MQTT", 5, flags), &[properties.len() as u8], properties, rest])
    };
    let four = |flags, rest: &[u8]| packet(0x10, &[&hello("MQTT", 4, flags), rest]);
    let unsupported = Reason::UNSUPPORTED_VERSION;
    for (bytes, reason, field) in [
        (packet(0x10, &[&hello("MQTT", 6, 2), &name]), unsupported, "Protocol Version"),
        (packet(0x10, &[&hello("MQTT", 3, 2), &name]), unsupported, "Protocol Version"),
        (packet(0x10, &[&hello("HTTP", 4, 2), &name]), unsupported, "Protocol Name"),
        (four(3, &name), malformed, "Connect Flags"),
        (four(0b0001_1110, &name), malformed, "Connect Flags"),
        (four(0b0000_1010, &name), malformed, "Connect Flags"),
        (four(0b0010_0010, &name), malformed, "Connect Flags"),
        (four(0b0100_0010, &name), malformed, "Connect Flags"),
        (four(0, &text("")), Reason::CLIENT_ID, "Client Identifier"),
        (
            packet(0x10, &[&hello("MQIsdp", 3, 2), &text("")]),
            Reason::CLIENT_ID,
            "Client Identifier",
        ),
        (four(2, b"\0\x02\xc3\x28"), malformed, "Client Identifier"),
        (four(2, b"\0\x03\xed\xa0\x80"), malformed, "Client Identifier"),
        (four(2, b"\0\x02a\0"), malformed, "Client Identifier"),
        (four(2, b"\0\x03a"), malformed, "Client Identifier"),
        (four(2, b"\0\x01a!"), malformed, "the end"),
        (
            four(0b0000_0110, &[&name[..], &text("a/#"), &text("")].concat()),
            Reason::TOPIC_NAME,
            "Will Topic",
        ),
        (
            four(0b0000_0110, &[&name[..], &text(""), &text("")].concat()),
            Reason::TOPIC_NAME,
            "Will Topic",
        ),
        (five(2, &[33, 0, 0], &name), Reason::PROTOCOL_ERROR, "Receive Maximum"),
        (five(2, &[39, 0, 0, 0, 0], &name), Reason::PROTOCOL_ERROR, "Maximum Packet Size"),
        (five(2, &[23, 2], &name), Reason::PROTOCOL_ERROR, "Request Problem Information"),
        (five(2, &[23, 1, 23, 1], &name), Reason::PROTOCOL_ERROR, "Request Problem Information"),
        (five(2, &[1, 1], &name), malformed, "Payload Format Indicator"),
        (five(2, &[24, 0, 0, 0, 1], &name), malformed, "Will Delay Interval"),
        (five(2, &[99, 1], &name), malformed, "property identifier"),
        (five(2, &[0xa3, 0x00, 1], &name), malformed, "property identifier"),
        (five(2, &[17, 0, 0], &name), malformed, "Session Expiry Interval"),
        (five(2, &[22, 0, 0], &name), Reason::PROTOCOL_ERROR, "Authentication Data"),
        (
            five(2, &[21, 0, 1, b'x', 22, 0, 0], &name),
            Reason::AUTHENTICATION_METHOD,
            "Authentication Method",
        ),
        (
            five(2, &[22, 0, 0, 21, 0, 1, b'x'], &name),
            Reason::AUTHENTICATION_METHOD,
            "Authentication Method",
        ),
    ] {
        let (is, of, _) = refused(None, &bytes);
        assert_eq!((is, of), (reason, field), "{bytes:02x?}");
    }
}
