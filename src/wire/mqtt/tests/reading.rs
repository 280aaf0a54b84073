//! What a client sends is read as the specification has it.

use super::*;

#[test]
fn a_publish_lies_in_the_bytes_that_it_was_read_from() {
    let bytes = packet(0b0011_1101, &[&text("a/b"), &[0, 7], b"21.5"]);
    let Packet::Publish(publish) = read(Version::V3_1_1, &bytes) else { panic!() };
    let Publish { dup, qos, retain, topic, id, alias, content, payload } = publish;
    assert_eq!((dup, qos, retain, topic), (true, Qos::ExactlyOnce, true, "a/b"));
    assert_eq!(
        (id, alias, content, payload),
        (Some(super::id(7)), None, Content::default(), &b"21.5"[..])
    );
    assert_eq!(payload.as_ptr(), bytes[bytes.len() - 4..].as_ptr());
}

#[test]
fn properties_of_a_publish_are_told_and_those_for_everyone_passed_on() {
    let user = [&[38], &text("k")[..], &text("v1")].concat();
    let again = [&[38], &text("k")[..], &text("v2")].concat();
    let content_type = [&[3], &text("text/plain")[..]].concat();
    let answer = [&[8], &text("re/ply")[..]].concat();
    let correlation = [&[9], &text("c")[..]].concat();
    let all: Vec<&[u8]> = vec![
        &[1, 1],
        &user,
        &[35, 0, 9],
        &content_type,
        &answer,
        &[2, 0, 0, 1, 0],
        &correlation,
        &again,
    ];
    let properties = all.concat();
    let head = [&text("")[..], &[0, 1], &[properties.len() as u8]].concat();
    let bytes = packet(0x32, &[&head, &properties, b"x"]);
    let Packet::Publish(publish) = read(Version::V5, &bytes) else { panic!() };
    let content = publish.content;
    assert_eq!((publish.topic, publish.alias, publish.payload), ("", Some(9), &b"x"[..]));
    assert_eq!((content.is_text, content.expiry), (Some(true), Some(256)));
    assert_eq!(
        (content.content_type, content.response_topic),
        (Some("text/plain"), Some("re/ply"))
    );
    assert_eq!(content.correlation, Some(&b"c"[..]));
    let pairs: Vec<_> = content.properties.user().collect();
    assert_eq!(pairs, [("k", "v1"), ("k", "v2")]);
    let ids: Vec<u8> = content.properties.iter().map(|property| property.id).collect();
    assert_eq!(ids, [1, 38, 35, 3, 8, 2, 9, 38]);
    let passed_on = [all[0], all[1], all[3], all[4], all[6], all[7]].concat();
    assert_eq!(content.properties.passed_on(), passed_on);
    let properties = Properties::kept(&passed_on);
    let kept = Content { expiry: None, properties, ..content };
    assert_eq!(Content::of(properties), kept);
}

#[test]
fn what_is_passed_on_is_copied_only_where_it_has_a_hole() {
    let user = [&[38], &text("k")[..], &text("v")].concat();
    let expiry: &[u8] = &[2, 0, 0, 0, 1];
    for (parts, is_borrowed) in [
        (vec![], true),
        (vec![expiry], true),
        (vec![&user[..], &user], true),
        (vec![expiry, &user, &user], true),
        (vec![&user, &user, expiry], true),
        (vec![&user, expiry, &user], false),
    ] {
        let properties = parts.concat();
        let bytes = packet(0x30, &[&text("t"), &[properties.len() as u8], &properties]);
        let Packet::Publish(publish) = read(Version::V5, &bytes) else { panic!() };
        let passed_on = publish.content.properties.passed_on();
        let expected: Vec<u8> =
            parts.iter().filter(|part| **part != expiry).copied().flatten().copied().collect();
        assert_eq!(passed_on, expected);
        assert_eq!(matches!(passed_on, std::borrow::Cow::Borrowed(_)), is_borrowed, "{parts:?}");
    }
}

#[test]
fn an_answer_is_short_where_all_is_well() {
    for (first, kind) in
        [(0x40, Kind::Puback), (0x50, Kind::Pubrec), (0x62, Kind::Pubrel), (0x70, Kind::Pubcomp)]
    {
        let plain = Packet::Ack(Ack::new(kind, id(0x102), Reason::SUCCESS));
        for version in [Version::V3_1, Version::V3_1_1, Version::V5] {
            assert_eq!(read(version, &packet(first, &[&[1, 2]])), plain);
        }
        assert_eq!(read(Version::V5, &packet(first, &[&[1, 2, 0]])), plain);
        assert_eq!(read(Version::V5, &packet(first, &[&[1, 2, 0, 0]])), plain);
    }
    let words = [&[31], &text("no room")[..]].concat();
    let bytes = packet(0x40, &[&[1, 2, 0x97, words.len() as u8], &words]);
    let (kind, reason) = (Kind::Puback, Reason::QUOTA);
    let expected = Ack { kind, id: id(0x102), reason, reason_string: Some("no room") };
    assert_eq!(read(Version::V5, &bytes), Packet::Ack(expected));
}

#[test]
fn filters_come_with_their_options() {
    let bytes = packet(0x82, &[&[0, 3], &text("a/+"), &[1], &text("#"), &[0]]);
    let Packet::Subscribe(subscribe) = read(Version::V3_1_1, &bytes) else { panic!() };
    let filters: Vec<_> = subscribe.filters().map(|asked| (asked.filter, asked.qos)).collect();
    assert_eq!(filters, [("a/+", Qos::AtLeastOnce), ("#", Qos::AtMostOnce)]);
    assert_eq!((subscribe.id, subscribe.identifier), (id(3), None));

    let bytes = packet(
        0x82,
        &[
            &[0, 3, 5, 11, 0xff, 0xff, 0xff, 0x7f],
            &text("a"),
            &[0b10_1110],
            &text("b"),
            &[0b01_0001],
        ],
    );
    let Packet::Subscribe(subscribe) = read(Version::V5, &bytes) else { panic!() };
    assert_eq!(subscribe.identifier, Some(268_435_455));
    let filters: Vec<_> = subscribe.filters().collect();
    let first = Asked {
        filter: "a",
        qos: Qos::ExactlyOnce,
        no_local: true,
        retain_as_published: true,
        retain_handling: RetainHandling::Never,
    };
    let second = Asked {
        filter: "b",
        qos: Qos::AtLeastOnce,
        no_local: false,
        retain_as_published: false,
        retain_handling: RetainHandling::IfNew,
    };
    assert_eq!(filters, [first, second]);

    let bytes = packet(0xa2, &[&[0, 4, 0], &text("a/+"), &text("b")]);
    let Packet::Unsubscribe(unsubscribe) = read(Version::V5, &bytes) else { panic!() };
    assert_eq!(unsubscribe.filters().collect::<Vec<_>>(), ["a/+", "b"]);
}

#[test]
fn a_client_goes_with_a_reason_and_a_new_expiry() {
    let plain = Disconnect { reason: Reason::SUCCESS, session_expiry: None, reason_string: None };
    for (version, body) in [
        (Version::V3_1_1, &[][..]),
        (Version::V5, &[]),
        (Version::V5, &[0]),
        (Version::V5, &[0, 0]),
    ] {
        assert_eq!(read(version, &packet(0xe0, &[body])), Packet::Disconnect(plain));
    }
    let bytes = packet(0xe0, &[&[4, 9, 17, 0, 0, 0, 60, 31, 0, 1, b'x']]);
    let reason = Reason::WITH_WILL;
    let expected = Disconnect { reason, session_expiry: Some(60), reason_string: Some("x") };
    assert_eq!(read(Version::V5, &bytes), Packet::Disconnect(expected));
    assert_eq!(read(Version::V5, &[0xc0, 0]), Packet::Pingreq);
}

#[test]
fn packets_stand_one_behind_the_other_and_wait_for_what_is_missing() {
    let one = packet(0x30, &[&text("a"), &[0], b"1"]);
    let two = packet(0x32, &[&text("b"), &[0, 1, 0], b"2"]);
    let region = [&one[..], &two, &[0xc0, 0]].concat();
    let (mut at, mut count) = (0, 0);
    while let Some((_, end)) = packet_at(&region, at, Some(Version::V5), 64).unwrap() {
        (at, count) = (end, count + 1);
    }
    assert_eq!((at, count), (region.len(), 3));
    for cut in 0..one.len() {
        assert_eq!(packet_at(&one[..cut], 0, Some(Version::V5), 64), Ok(None));
        let size = packet_size(&one[..cut], 0, Some(Version::V5), 64).unwrap();
        assert_eq!(size, (cut >= 2).then_some(one.len()));
    }
    assert_eq!(packet_at(&one, one.len(), Some(Version::V5), 64), Ok(None));
    assert_eq!(packet_at(&one, one.len() + 1, Some(Version::V5), 64), Ok(None));
}

#[test]
fn a_length_of_four_bytes_is_the_longest() {
    let sizes =
        [(0, 2), (127, 2), (128, 3), (16_383, 3), (16_384, 4), (2_097_151, 4), (2_097_152, 5)];
    for (length, head) in sizes.into_iter().chain([(268_435_455, 5)]) {
        let mut bytes = vec![0x30];
        varint::put(&mut bytes, length);
        assert_eq!(varint::size(length), bytes.len() - 1);
        let size = packet_size(&bytes, 0, Some(Version::V5), usize::MAX);
        assert_eq!((bytes.len(), size), (head, Ok(Some(head + length))));
    }
}
