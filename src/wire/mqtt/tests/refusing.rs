//! What the specification does not allow is refused, with its reason and where it is.

use super::*;

#[test]
fn each_mistake_has_its_reason_and_its_place() {
    let (old, new) = (Version::V3_1_1, Version::V5);
    let (malformed, protocol_error) = (Reason::MALFORMED, Reason::PROTOCOL_ERROR);
    let topic = text("t");
    let publish = |first, rest: &[u8]| packet(first, &[&topic, rest]);
    for (version, bytes, reason, field) in [
        // Heads.
        (new, vec![0x00], malformed, ""),
        (new, vec![0xc1], malformed, ""),
        (new, vec![0x80], malformed, ""),
        (old, vec![0x63], malformed, ""),
        (old, vec![0xf0], malformed, ""),
        (new, vec![0x20], protocol_error, ""),
        (new, vec![0xd0], protocol_error, ""),
        (new, vec![0x10], protocol_error, ""),
        (new, packet(0xf0, &[&[0x18, 0]]), protocol_error, ""),
        (new, vec![0xc0, 0x80, 0x80, 0x80, 0x80], malformed, "Remaining Length"),
        (new, vec![0xc0, 0x80, 0x00], malformed, "Remaining Length"),
        (new, vec![0xc0, 1, 0], malformed, "the end"),
        // PUBLISH.
        (old, publish(0x36, &[0, 1]), malformed, "QoS"),
        (old, publish(0x38, &[]), malformed, "DUP"),
        (old, publish(0x32, &[0, 0]), protocol_error, "Packet Identifier"),
        (old, publish(0x32, &[0]), malformed, "Packet Identifier"),
        (old, packet(0x30, &[&text("a/+")]), Reason::TOPIC_NAME, "Topic Name"),
        (old, packet(0x30, &[&text("#")]), Reason::TOPIC_NAME, "Topic Name"),
        (old, packet(0x30, &[&text("a\0")]), malformed, "Topic Name"),
        (old, packet(0x30, &[b"\0\x01\xff"]), malformed, "Topic Name"),
        (old, packet(0x30, &[&text("")]), Reason::TOPIC_NAME, "Topic Name"),
        (new, packet(0x30, &[&text(""), &[0]]), protocol_error, "Topic Name"),
        (new, publish(0x30, &[3, 35, 0, 0]), Reason::TOPIC_ALIAS, "Topic Alias"),
        (new, publish(0x30, &[6, 35, 0, 1, 35, 0, 1]), protocol_error, "Topic Alias"),
        (new, publish(0x30, &[2, 11, 1]), protocol_error, "Subscription Identifier"),
        (new, publish(0x30, &[2, 1, 2]), protocol_error, "Payload Format Indicator"),
        (new, publish(0x30, &[5, 8, 0, 2, b'a', b'#']), protocol_error, "Response Topic"),
        (new, publish(0x30, &[3, 8, 0, 0]), protocol_error, "Response Topic"),
        (new, publish(0x30, &[5, 17, 0, 0, 0, 1]), malformed, "Session Expiry Interval"),
        (new, publish(0x30, &[]), malformed, "Property Length"),
        (new, publish(0x30, &[9, 1, 1]), malformed, "Property Length"),
        (new, publish(0x30, &[0x80, 0x00]), malformed, "Property Length"),
        (new, publish(0x30, &[3, 2, 0, 0, 0, 9]), malformed, "Message Expiry Interval"),
        // Answers.
        (old, packet(0x40, &[&[0, 0]]), protocol_error, "Packet Identifier"),
        (old, packet(0x40, &[&[0, 1, 0]]), malformed, "the end"),
        (new, packet(0x40, &[&[0, 1, 1]]), protocol_error, "Reason Code"),
        (new, packet(0x62, &[&[0, 1, 0x10]]), protocol_error, "Reason Code"),
        (new, packet(0x40, &[&[0, 1, 0, 0, 0]]), malformed, "the end"),
        (new, packet(0x40, &[&[0, 1, 0, 2, 1, 1]]), malformed, "Payload Format Indicator"),
        // SUBSCRIBE and UNSUBSCRIBE.
        (old, packet(0x82, &[&[0, 1]]), protocol_error, "Topic Filter"),
        (old, packet(0x82, &[&[0, 0], &topic, &[0]]), protocol_error, "Packet Identifier"),
        (old, packet(0x82, &[&[0, 1], &topic]), malformed, "Subscription Options"),
        (old, packet(0x82, &[&[0, 1], &topic, &[3]]), malformed, "Subscription Options"),
        (old, packet(0x82, &[&[0, 1], &topic, &[4]]), malformed, "Subscription Options"),
        (old, packet(0x82, &[&[0, 1], &text(""), &[0]]), malformed, "Topic Filter"),
        (new, packet(0x82, &[&[0, 1, 0], &topic, &[0x40]]), malformed, "Subscription Options"),
        (new, packet(0x82, &[&[0, 1, 0], &topic, &[0x80]]), malformed, "Subscription Options"),
        (new, packet(0x82, &[&[0, 1, 0], &topic, &[0x30]]), protocol_error, "Subscription Options"),
        (
            new,
            packet(0x82, &[&[0, 1, 0], &text("$share/g/t"), &[4]]),
            protocol_error,
            "Subscription Options",
        ),
        (
            new,
            packet(0x82, &[&[0, 1, 2, 11, 0], &topic, &[0]]),
            protocol_error,
            "Subscription Identifier",
        ),
        (
            new,
            packet(0x82, &[&[0, 1, 4, 11, 1, 11, 2], &topic, &[0]]),
            protocol_error,
            "Subscription Identifier",
        ),
        (
            new,
            packet(0x82, &[&[0, 1, 6, 11, 0xff, 0xff, 0xff, 0xff, 1], &topic, &[0]]),
            malformed,
            "Subscription Identifier",
        ),
        (new, packet(0xa2, &[&[0, 1, 0]]), protocol_error, "Topic Filter"),
        (new, packet(0xa2, &[&[0, 1, 2, 11, 1], &topic]), malformed, "Subscription Identifier"),
        // DISCONNECT.
        (old, packet(0xe0, &[&[0]]), malformed, "the end"),
        (new, packet(0xe0, &[&[0x8e]]), protocol_error, "Reason Code"),
        (new, packet(0xe0, &[&[0, 4, 28, 0, 1, b'x']]), protocol_error, "Server Reference"),
    ] {
        let (is, of, _) = refused(Some(version), &bytes);
        assert_eq!((is, of), (reason, field), "{version:?} {bytes:02x?}");
    }
}

#[test]
fn a_fault_says_what_and_where() {
    let bytes = packet(0x32, &[&text("t"), &[0, 1, 4, 1, 1, 1, 1]]);
    let fault = packet_at(&bytes, 0, Some(Version::V5), 64).unwrap_err();
    assert_eq!((fault.field, fault.at), ("Payload Format Indicator", 10));
    let words = "PUBLISH, Payload Format Indicator at byte 10: it is there twice: Protocol Error \
                 (0x82)";
    assert_eq!(fault.to_string(), words);
}

#[test]
fn nothing_comes_before_a_connect_and_none_after_it() {
    assert_eq!(refused(None, &[0x47]), (Reason::PROTOCOL_ERROR, "", 0));
    let fault = packet_at(b"\x16\x03\x01", 0, None, 64).unwrap_err();
    assert_eq!(fault.reason, Reason::MALFORMED);
    let fault = packet_at(&[0x10], 0, Some(Version::V3_1_1), 64).unwrap_err();
    assert_eq!(fault.what, "a connection has one CONNECT");
}

#[test]
fn a_packet_over_the_limit_is_refused_by_its_head() {
    let bytes = packet(0x30, &[&text("a"), b"payload"]);
    let limit = |limit| packet_at(&bytes[..2], 0, Some(Version::V3_1_1), limit);
    assert_eq!(limit(bytes.len()), Ok(None));
    assert_eq!(limit(bytes.len() - 1).unwrap_err().reason, Reason::TOO_LARGE);
}

#[test]
fn versions_before_5_may_keep_room_for_a_length() {
    let bytes = [0xc0, 0x80, 0x80, 0x00];
    let packet = packet_at(&bytes, 0, Some(Version::V3_1_1), 64);
    assert_eq!(packet, Ok(Some((Packet::Pingreq, 4))));
}

#[test]
fn what_3_1_sends_again_has_dup_set() {
    let (first, body) = (0x6a, [0, 1]);
    let bytes = packet(first, &[&body]);
    let pubrel = Packet::Ack(Ack::new(Kind::Pubrel, id(1), Reason::SUCCESS));
    assert_eq!(read(Version::V3_1, &bytes), pubrel);
    assert_eq!(refused(Some(Version::V3_1_1), &bytes).0, Reason::MALFORMED);
}
