//! What a client of MQTT sends, to packets.

mod book;
mod peer;

use babelmq::Topic;
use babelmq::internals::mqtt::{
    Ack, Content, Disconnect, Fault, Packet, Publish, PublishHead, Version, packet_at, packet_size,
    put_disconnect, said_version, topic_name, wanted,
};
use babelmq::protocol::Limits;

use crate::{Bound, linear};
pub use peer::{mqtt_mistakes, mqtt_peer};

/// Packets lie where they came, so nothing is allocated. A byte is the least bound that can be
/// kept.
const READING: Bound = Bound { base: 1, per_byte: 0 };
/// A refusal shows 80 characters of a topic, each escaped; a filter is copied.
const TOPIC: Bound = Bound { base: 8 << 10, per_byte: 8 };
/// Bytes that a packet may have here.
const LONGEST: usize = 1 << 16;

/// The input is two bytes that say how the stream is cut, one with the version that was agreed on,
/// and the stream. However it is cut, its packets are those of the whole stream. They are what
/// rules that are written down again say, and what rumqttc reads, and what is written of them is
/// read as the same. The bytes also make other packets, see [`mqtt_peer`].
pub fn mqtt(input: &[u8]) {
    let [cut, more, version, stream @ ..] = input else { return };
    let version = [None, Some(Version::V3_1), Some(Version::V3_1_1), Some(Version::V5)]
        [usize::from(version % 4)];
    let seed = u32::from(u16::from_be_bytes([*cut, *more]));
    let count = linear("packets", stream.len(), READING, || count(stream, version));
    let whole = shown(stream, version, usize::MAX, &mut || usize::MAX);
    assert_eq!(whole.packets.len(), count);
    if let (None, Some((first, _))) = (version, whole.packets.first()) {
        let said = said_version(stream).expect("it was connected");
        assert!(first.contains(&format!("version: {said:?}")), "{said:?}: {first}");
    }
    let mut state = seed;
    let mut random = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        1 + (state >> 24) as usize % 24
    };
    assert_eq!(shown(stream, version, 0, &mut random), whole);
    each(stream, version, |version, at, read| {
        let rest = &stream[at..];
        let said = version.map(|version| match version {
            Version::V3_1 => 3,
            Version::V3_1_1 => 4,
            Version::V5 => 5,
        });
        match (book::packet(said, rest, LONGEST), read) {
            (Some(Some(length)), Ok(Some((packet, end)))) if at + length == end => {
                let version = connected(&packet).or(version).expect("the first is a CONNECT");
                again(version, &packet);
                peer::reads_the_same(version, &packet, &stream[at..end]);
            }
            (None, Err(fault)) => peer::fault_is_told(version, rest, &fault),
            (Some(None), Ok(None)) => {}
            (expected, read) => panic!("{version:?}: {expected:?}, not {read:?}: {rest:02x?}"),
        }
    });
    mqtt_peer(input);
}

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Came {
    /// Each packet, and where it ends.
    packets: Vec<(String, usize)>,
    fault: Option<Fault>,
}

/// Reads each packet, in the version that those before it said.
fn each<'a>(
    stream: &'a [u8],
    mut version: Option<Version>,
    mut each: impl FnMut(Option<Version>, usize, Result<Option<(Packet<'a>, usize)>, Fault>),
) {
    let mut at = 0;
    loop {
        let read = packet_at(stream, at, version, LONGEST);
        let next = match &read {
            Ok(Some((packet, end))) => Some((connected(packet).or(version), *end)),
            _ => None,
        };
        each(version, at, read);
        let Some(next) = next else { return };
        (version, at) = next;
    }
}

fn connected(packet: &Packet<'_>) -> Option<Version> {
    match packet {
        Packet::Connect(connect) => Some(connect.version),
        _ => None,
    }
}

fn count(stream: &[u8], version: Option<Version>) -> usize {
    let mut count = 0;
    each(stream, version, |_, _, read| count += usize::from(matches!(read, Ok(Some(_)))));
    count
}

/// As a session reads it: of a buffer in which there is more and more.
fn shown(
    stream: &[u8],
    mut version: Option<Version>,
    mut there: usize,
    piece: &mut dyn FnMut() -> usize,
) -> Came {
    let (mut packets, mut at) = (Vec::new(), 0);
    loop {
        there = there.min(stream.len());
        let region = &stream[..there];
        match packet_at(region, at, version, LONGEST) {
            Ok(Some((packet, end))) => {
                let size = packet_size(region, at, version, LONGEST);
                assert_eq!(size, Ok(Some(end - at)));
                version = connected(&packet).or(version);
                packets.push((format!("{packet:?}"), end));
                at = end;
            }
            Ok(None) if there == stream.len() => return Came { packets, fault: None },
            Ok(None) => there = there.saturating_add(piece()),
            Err(fault) => return Came { packets, fault: Some(fault) },
        }
    }
}

/// Writes what a packet says, and reads it again.
fn again(version: Version, packet: &Packet<'_>) {
    match packet {
        Packet::Publish(publish) => publish_again(version, publish),
        Packet::Ack(ack) => {
            let mut out = Vec::new();
            ack.put(version, &mut out, usize::MAX).expect("it was short");
            assert_eq!(read(version, &out), *packet);
            // Without its words it is shorter, and the same.
            let mut short = Vec::new();
            ack.put(version, &mut short, 5).expect("it has five bytes at most");
            let expected = Ack { reason_string: None, ..*ack };
            let words = if short.len() < out.len() { expected } else { *ack };
            assert_eq!(read(version, &short), Packet::Ack(words));
        }
        Packet::Disconnect(disconnect) if version == Version::V5 => {
            let (reason, reason_string) = (disconnect.reason, disconnect.reason_string);
            let mut out = Vec::new();
            put_disconnect(&mut out, reason, reason_string, usize::MAX).expect("it was short");
            let expected = Disconnect { session_expiry: None, ..*disconnect };
            assert_eq!(read(version, &out), Packet::Disconnect(expected));
        }
        Packet::Subscribe(subscribe) => {
            assert!(subscribe.filters().next().is_some());
            for asked in subscribe.filters() {
                let length = asked.filter.len();
                let _ = linear("filter", length, TOPIC, || wanted(asked.filter, &LIMITS));
            }
        }
        Packet::Unsubscribe(unsubscribe) => assert!(unsubscribe.filters().next().is_some()),
        Packet::Connect(connect) => {
            let (user, password) = (connect.user, connect.password);
            assert!(password.is_none() || user.is_some() || connect.version == Version::V5);
        }
        Packet::Disconnect(_) | Packet::Pingreq => {}
    }
}

const LIMITS: Limits = Limits::NONE;

fn publish_again(version: Version, publish: &Publish<'_>) {
    let content = publish.content;
    let topic = if publish.topic.is_empty() { "by/its/number" } else { publish.topic };
    let named = linear("topic", topic.len(), TOPIC, || topic_name(topic, &LIMITS));
    assert!(
        named.is_ok_and(|name| name.as_str() == topic)
            || Topic::parse(topic).is_err()
            || topic.starts_with('$')
    );
    let passed_on = content.properties.passed_on();
    let head = PublishHead {
        dup: publish.dup,
        qos: publish.qos,
        retain: publish.retain,
        topic,
        id: publish.id,
        expiry: content.expiry,
        passed_on: &passed_on,
        payload: publish.payload.len(),
        ..PublishHead::default()
    };
    let mut out = Vec::new();
    head.put(version, &mut out, usize::MAX).expect("it was short");
    out.extend_from_slice(publish.payload);
    assert_eq!(head.size(version, usize::MAX), Ok(out.len()));
    let Packet::Publish(same) = read(version, &out) else { panic!("{out:02x?}") };
    let properties = same.content.properties;
    assert_eq!(Content::of(properties), same.content);
    assert_eq!(properties.passed_on(), passed_on);
    assert!(properties.user().eq(content.properties.user()));
    let expected = Content { properties, ..content };
    assert_eq!(same, Publish { topic, alias: None, content: expected, ..*publish });
}

fn read(version: Version, bytes: &[u8]) -> Packet<'_> {
    match packet_at(bytes, 0, Some(version), usize::MAX) {
        Ok(Some((packet, end))) if end == bytes.len() => {
            peer::reads_the_same(version, &packet, bytes);
            packet
        }
        other => panic!("{version:?}: {other:?}: {bytes:02x?}"),
    }
}
