//! rumqttc held to what is read and written here, and to its mistakes.

use babelmq::internals::mqtt::{Packet, Version, packet_at};
use rumqttc::v5::mqttbytes::v5;

use super::mistakes::MistakeIn;
use super::theirs::{Theirs, without_user_properties};
use super::{meant, mistakes};

/// Holds rumqttc to what was read of some bytes: it reads the same, but for its mistakes.
pub(in crate::mqtt) fn reads_the_same(version: Version, packet: &Packet<'_>, bytes: &[u8]) {
    // It does not speak MQTT 3.1, whose other packets are as those of 3.1.1.
    if version != Version::V3_1 || !matches!(packet, Packet::Connect(_)) {
        check_reading(version.is_5(), meant::meant(version, packet).as_ref(), bytes);
    }
}

/// rumqttc reads some bytes as they are meant, unless it makes a mistake of them, and then it does
/// not. What is meant is none where it has no value for that.
#[track_caller]
pub(super) fn check_reading(is_5: bool, meant: Option<&Theirs>, bytes: &[u8]) {
    let read = Theirs::read(is_5, bytes);
    match mistakes::of_reading(is_5, meant, bytes) {
        None => assert_eq!(read.as_ref().ok(), meant, "{read:?}: {bytes:02x?}"),
        Some(name) => {
            let is_other = meant.is_some() && read.as_ref().ok() != meant;
            assert!(read.is_err() || is_other, "no mistake, {name}: {bytes:02x?}");
        }
    }
}

/// What rumqttc writes is read here as what it is, unless it makes a mistake of it, and then it is
/// not.
#[track_caller]
pub(super) fn check_writing(version: Version, packet: Theirs) {
    let bytes = packet.write();
    let is_first = bytes.first().is_some_and(|first| first >> 4 == 1);
    let read = packet_at(&bytes, 0, (!is_first).then_some(version), usize::MAX);
    let mistake = mistakes::of_writing(&packet);
    let packet = match packet {
        Theirs::New(packet) => Theirs::New(without_user_properties(packet)),
        old => old,
    };
    let is_same = match &read {
        Ok(Some((read, end))) if *end == bytes.len() => {
            reads_the_same(version, read, &bytes);
            meant::meant(version, read).as_ref() == Some(&packet)
        }
        _ => false,
    };
    match mistake {
        None => assert!(is_same, "{packet:?}: {read:?}: {bytes:02x?}"),
        Some(name) => assert!(!is_same, "no mistake, {name}: {packet:?}: {bytes:02x?}"),
    }
}

/// Holds rumqttc to each of its mistakes: one that it does not make any more is to go from the
/// table.
pub fn mqtt_mistakes() {
    for mistake in &mistakes::MISTAKES {
        let (is_5, name) = (mistake.version.is_5(), mistake.name);
        println!("{name} ({})", mistake.clause);
        match mistake.kind {
            MistakeIn::Reading { bytes, .. } => {
                let meaning = meaning(mistake.version, bytes);
                assert_eq!(mistakes::of_reading(is_5, meaning.as_ref(), bytes), Some(name));
                check_reading(is_5, meaning.as_ref(), bytes);
            }
            MistakeIn::Writing { packet, .. } => {
                assert_eq!(mistakes::of_writing(&packet()), Some(name));
                check_writing(mistake.version, packet());
            }
        }
    }
}

/// What some bytes mean; none where rumqttc has no value for that.
fn meaning(version: Version, bytes: &[u8]) -> Option<Theirs> {
    let is_first = bytes[0] >> 4 == 1;
    match packet_at(bytes, 0, (!is_first).then_some(version), usize::MAX) {
        Ok(Some((packet, end))) if end == bytes.len() => meant::meant(version, &packet),
        // Only a server sends it.
        other => {
            assert_eq!(bytes[0] >> 4, 3, "{other:?}: {bytes:02x?}");
            let properties = v5::PublishProperties {
                subscription_identifiers: vec![1, 2, 3],
                ..v5::PublishProperties::default()
            };
            Some(Theirs::New(v5::Packet::Publish(v5::Publish {
                topic: "t".into(),
                properties: Some(properties),
                ..v5::Publish::default()
            })))
        }
    }
}
