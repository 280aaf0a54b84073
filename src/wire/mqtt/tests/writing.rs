//! What a server sends is written as the specification has it.

use super::*;

const NO_LIMIT: usize = usize::MAX;

#[test]
fn a_connack_says_what_is_not_as_usual() {
    let put = |connack: Connack<'_>, version| {
        let mut out = Vec::new();
        connack.put(version, &mut out, NO_LIMIT).map(|is_put| (is_put, out))
    };
    let plain = Connack { session_present: true, ..Connack::default() };
    assert_eq!(put(plain, Version::V3_1), Ok((true, vec![0x20, 2, 0, 0])));
    assert_eq!(put(plain, Version::V3_1_1), Ok((true, vec![0x20, 2, 1, 0])));
    assert_eq!(put(plain, Version::V5), Ok((true, vec![0x20, 3, 1, 0, 0])));
    let refused = Connack { reason: Reason::BAD_LOGIN, ..plain };
    assert_eq!(put(refused, Version::V3_1_1), Ok((true, vec![0x20, 2, 0, 4])));
    assert_eq!(put(refused, Version::V5), Ok((true, vec![0x20, 3, 0, 0x86, 0])));
    let unsayable = Connack { reason: Reason::TOO_LARGE, ..plain };
    assert_eq!(put(unsayable, Version::V3_1_1), Ok((false, vec![])));
    let full = Connack {
        session_expiry: Some(1),
        receive_maximum: Some(2),
        maximum_packet_size: Some(3),
        assigned_client_id: Some("id"),
        topic_alias_maximum: Some(4),
        reason_string: Some("why"),
        missing: Missing { retain: true, wildcards: true, subscription_ids: true, shared: true },
        server_keep_alive: Some(5),
        ..plain
    };
    let properties: &[&[u8]] = &[
        &[17, 0, 0, 0, 1],
        &[33, 0, 2],
        &[39, 0, 0, 0, 3],
        b"\x12\0\x02id",
        &[34, 0, 4],
        b"\x1f\0\x03why",
        &[37, 0, 40, 0, 41, 0, 42, 0],
        &[19, 0, 5],
    ];
    let properties = properties.concat();
    let expected = packet(0x20, &[&[1, 0, properties.len() as u8], &properties]);
    assert_eq!(put(full, Version::V5), Ok((true, expected)));
}

#[test]
fn a_publish_is_its_head_and_the_payload_behind_it() {
    let user = [&[38], &text("k")[..], &text("v")].concat();
    let head = PublishHead {
        dup: true,
        qos: Qos::AtLeastOnce,
        retain: true,
        topic: "a/b",
        id: Some(id(0x1234)),
        expiry: Some(9),
        content_type: Some("application/json"),
        is_text: true,
        subscription_ids: &[1, 300],
        passed_on: &user,
        payload: 300,
    };
    let mut out = Vec::new();
    head.put(Version::V5, &mut out, NO_LIMIT).unwrap();
    let properties: &[&[u8]] = &[
        &[2, 0, 0, 0, 9],
        &[1, 1],
        &[3, 0, 16],
        b"application/json",
        &[11, 1, 11, 0xac, 2],
        &user,
    ];
    let properties = properties.concat();
    let length = 5 + 2 + 1 + properties.len() + 300;
    let mut expected = vec![0x3b, length as u8 | 0x80, (length >> 7) as u8];
    expected
        .extend([&text("a/b")[..], &[0x12, 0x34, properties.len() as u8], &properties].concat());
    assert_eq!(out, expected);
    assert_eq!(head.size(Version::V5, NO_LIMIT), Ok(out.len() + 300));

    out.clear();
    head.put(Version::V3_1_1, &mut out, NO_LIMIT).unwrap();
    assert_eq!(out, [&[0x3b, 0xb3, 2], &text("a/b")[..], &[0x12, 0x34]].concat());
}

#[test]
fn what_a_client_does_not_take_is_not_written() {
    let head = PublishHead { topic: "t", payload: 10, ..PublishHead::default() };
    let size = head.size(Version::V5, NO_LIMIT).unwrap();
    let mut out = Vec::new();
    assert_eq!(head.put(Version::V5, &mut out, size - 1), Err(TooLong { size }));
    assert!(out.is_empty());
    assert_eq!(head.put(Version::V5, &mut out, size), Ok(()));
    let huge = PublishHead { payload: 268_435_455, ..head };
    assert!(huge.put(Version::V3_1_1, &mut out, NO_LIMIT).is_err());
    let most = PublishHead { payload: 268_435_455 - 3, ..head };
    assert_eq!(most.size(Version::V3_1_1, NO_LIMIT), Ok(268_435_455 + 5));
}

#[test]
fn words_are_left_out_where_they_do_not_fit() {
    let ack = Ack {
        kind: Kind::Pubrec,
        id: id(1),
        reason: Reason::QUOTA,
        reason_string: Some("the store is full"),
    };
    let mut out = Vec::new();
    ack.put(Version::V5, &mut out, 10).unwrap();
    assert_eq!(out, [0x50, 3, 0, 1, 0x97]);
    out.clear();
    ack.put(Version::V5, &mut out, 64).unwrap();
    assert_eq!(out, [&[0x50, 24, 0, 1, 0x97, 20, 31][..], &text("the store is full")].concat());
    let size = out.len();
    out.clear();
    assert_eq!(ack.put(Version::V5, &mut out, 4), Err(TooLong { size: 5 }));
    ack.put(Version::V3_1_1, &mut out, 64).unwrap();
    assert_eq!(out, [0x50, 2, 0, 1]);
    assert_eq!(size, 26);
    out.clear();
    put_disconnect(&mut out, Reason::BUSY, Some("later"), 8).unwrap();
    put_disconnect(&mut out, Reason::BUSY, Some("later"), 64).unwrap();
    assert_eq!(out, b"\xe0\x02\x89\0\xe0\x0a\x89\x08\x1f\0\x05later");
}

#[test]
fn each_filter_is_answered_in_its_place() {
    let reasons = [Reason::GRANTED_2, Reason::NOT_AUTHORIZED, Reason::SUCCESS];
    let mut out = Vec::new();
    put_suback(&mut out, Version::V5, id(1), &reasons, None, NO_LIMIT).unwrap();
    assert_eq!(out, [0x90, 6, 0, 1, 0, 2, 0x87, 0]);
    out.clear();
    put_suback(&mut out, Version::V3_1_1, id(1), &reasons, Some("no"), NO_LIMIT).unwrap();
    assert_eq!(out, [0x90, 5, 0, 1, 2, 0x80, 0]);
    out.clear();
    let reasons = [Reason::SUCCESS, Reason::NO_SUBSCRIPTION_EXISTED];
    put_unsuback(&mut out, Version::V5, id(1), &reasons, Some("x"), NO_LIMIT).unwrap();
    assert_eq!(out, [0xb0, 9, 0, 1, 4, 31, 0, 1, b'x', 0, 0x11]);
    out.clear();
    put_unsuback(&mut out, Version::V3_1_1, id(1), &reasons, None, NO_LIMIT).unwrap();
    put_pingresp(&mut out);
    assert_eq!(out, [0xb0, 2, 0, 1, 0xd0, 0]);
}

#[test]
fn an_unsuback_has_fewer_words_than_a_suback() {
    let reasons = [
        Reason::QUOTA,
        Reason::SHARED,
        Reason::TOPIC_FILTER,
        Reason::NOT_AUTHORIZED,
        Reason::NO_SUBSCRIPTION_EXISTED,
    ];
    let mut out = Vec::new();
    put_unsuback(&mut out, Version::V5, id(1), &reasons, None, NO_LIMIT).unwrap();
    assert_eq!(out, [0xb0, 8, 0, 1, 0, 0x83, 0x83, 0x8f, 0x87, 0x11]);
    out.clear();
    put_suback(&mut out, Version::V5, id(1), &reasons, None, NO_LIMIT).unwrap();
    assert_eq!(out[5..7], [0x97, 0x9e]);
}

#[test]
fn a_disconnect_has_a_length_of_its_properties() {
    let mut out = Vec::new();
    put_disconnect(&mut out, Reason::TAKEN_OVER, None, 4).unwrap();
    assert_eq!(out, [0xe0, 2, 0x8e, 0]);
    assert_eq!(put_disconnect(&mut out, Reason::BUSY, Some("later"), 3), Err(TooLong { size: 4 }));
}

#[test]
fn a_text_that_is_longer_than_texts_can_be_is_cut_between_characters() {
    let long = "ü".repeat(40_000);
    let head = PublishHead { topic: &long, ..PublishHead::default() };
    let mut out = Vec::new();
    head.put(Version::V3_1_1, &mut out, NO_LIMIT).unwrap();
    let Packet::Publish(publish) = read(Version::V3_1_1, &out) else { panic!() };
    assert_eq!(publish.topic, &long[..65_534]);
}
