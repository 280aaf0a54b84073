//! What the broker sends, with fields drawn by lot, is read by rumqttc as what it means.

use babelmq::internals::mqtt::{
    Ack, Connack, Disconnect, Fault, Kind, Missing, PacketId, PublishHead, Qos, Reason, Version,
    put_disconnect, put_pingresp, put_suback, put_unsuback, said_version,
};
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

use super::compare::check_reading;
use super::dice::Dice;
use super::theirs::Theirs;
use super::{meant, mistakes, reasons};

const QOS: [Qos; 3] = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
/// What the broker finds of filters that are to end; UNSUBACK has no word for the last two.
const ENDED: [u8; 9] = [0, 0x11, 0x80, 0x83, 0x87, 0x8f, 0x91, 0x97, 0x9e];
const NO_LIMIT: usize = usize::MAX;

/// Writes a packet of a server, and rumqttc reads it. Only what it gets wrong of Subscription
/// Identifiers cannot be written otherwise.
pub(super) fn check(dice: &mut Dice<'_>) {
    let version = if dice.flag() { Version::V5 } else { Version::V3_1_1 };
    let mut out = Vec::new();
    let meant = match dice.below(7) {
        0 => connack(dice, version, &mut out),
        1 => publish(dice, version, &mut out),
        2 => ack(dice, version, &mut out),
        3 => suback(dice, version, &mut out),
        4 => unsuback(dice, version, &mut out),
        5 if version.is_5() => disconnect(dice, &mut out),
        _ => {
            put_pingresp(&mut out);
            if version.is_5() {
                Theirs::New(v5::Packet::PingResp(v5::PingResp))
            } else {
                Theirs::Old(v4::Packet::PingResp)
            }
        }
    };
    let is_misread = mistakes::of_reading(version.is_5(), Some(&meant), &out);
    let is_publish = matches!(meant, Theirs::New(v5::Packet::Publish(_)));
    assert!(is_publish || is_misread.is_none(), "{is_misread:?}: {meant:?}: {out:02x?}");
    check_reading(version.is_5(), Some(&meant), &out);
}

fn id(dice: &mut Dice<'_>) -> PacketId {
    PacketId::new(dice.some()).expect("it is not 0")
}

fn connack(dice: &mut Dice<'_>, version: Version, out: &mut Vec<u8>) -> Theirs {
    let (code, reason) = dice.one(&reasons::CONNACK);
    let name = dice.maybe(Dice::text);
    let words = dice.maybe(Dice::text);
    let connack = Connack {
        session_present: dice.flag(),
        reason: Reason(code),
        session_expiry: dice.maybe(Dice::four),
        receive_maximum: dice.maybe(Dice::some),
        maximum_packet_size: dice.maybe(Dice::four),
        assigned_client_id: name.as_deref(),
        topic_alias_maximum: dice.maybe(Dice::two),
        reason_string: words.as_deref(),
        missing: Missing {
            retain: dice.flag(),
            wildcards: dice.flag(),
            subscription_ids: dice.flag(),
            shared: dice.flag(),
        },
        server_keep_alive: dice.maybe(Dice::two),
    };
    let is_put = connack.put(version, out, NO_LIMIT).expect("there is no limit");
    // 3.2.2.1.1.
    let session_present = connack.session_present && code == 0;
    if !version.is_5() {
        let Some(code) = connack.reason.return_code() else {
            assert!(!is_put && out.is_empty());
            put_pingresp(out);
            return Theirs::Old(v4::Packet::PingResp);
        };
        let code = reasons::of(&reasons::OLD_CONNACK, code).expect("there are six");
        return Theirs::Old(v4::Packet::ConnAck(v4::ConnAck { session_present, code }));
    }
    let no = |is_missing: bool| is_missing.then_some(0);
    let missing = connack.missing;
    let properties = v5::ConnAckProperties {
        session_expiry_interval: connack.session_expiry,
        receive_max: connack.receive_maximum,
        max_qos: None,
        retain_available: no(missing.retain),
        max_packet_size: connack.maximum_packet_size,
        assigned_client_identifier: name.clone(),
        topic_alias_max: connack.topic_alias_maximum,
        reason_string: words.clone(),
        user_properties: Vec::new(),
        wildcard_subscription_available: no(missing.wildcards),
        subscription_identifiers_available: no(missing.subscription_ids),
        shared_subscription_available: no(missing.shared),
        server_keep_alive: connack.server_keep_alive,
        response_information: None,
        server_reference: None,
        authentication_method: None,
        authentication_data: None,
    };
    // A head of two bytes, flags, reason, and no properties.
    let properties = (out.len() > 5).then_some(properties);
    Theirs::New(v5::Packet::ConnAck(v5::ConnAck { session_present, code: reason, properties }))
}

/// What a publisher has said of its message, each in any order.
#[derive(Default)]
struct PassedOn {
    bytes: Vec<u8>,
    said: v5::PublishProperties,
}

impl PassedOn {
    fn draw(dice: &mut Dice<'_>) -> PassedOn {
        let mut passed_on = PassedOn::default();
        let PassedOn { bytes, said } = &mut passed_on;
        for _ in 0..dice.below(6) {
            match dice.below(5) {
                0 if said.content_type.is_none() => {
                    let text = dice.text();
                    put(bytes, 3, &[text.as_bytes()]);
                    said.content_type = Some(text);
                }
                1 if said.response_topic.is_none() => {
                    let topic = dice.text_of_some();
                    put(bytes, 8, &[topic.as_bytes()]);
                    said.response_topic = Some(topic);
                }
                2 if said.correlation_data.is_none() => {
                    let data = dice.binary();
                    put(bytes, 9, &[&data]);
                    said.correlation_data = Some(data.into());
                }
                3 if said.payload_format_indicator.is_none() => {
                    let is_text = dice.flag().into();
                    bytes.extend([1, is_text]);
                    said.payload_format_indicator = Some(is_text);
                }
                4 => {
                    let (name, value) = (dice.text(), dice.text());
                    put(bytes, 38, &[name.as_bytes(), value.as_bytes()]);
                    said.user_properties.push((name, value));
                }
                _ => {}
            }
        }
        passed_on
    }
}

/// Appends a property of texts or bytes.
fn put(out: &mut Vec<u8>, id: u8, values: &[&[u8]]) {
    out.push(id);
    for value in values {
        out.extend((value.len() as u16).to_be_bytes());
        out.extend_from_slice(value);
    }
}

fn publish(dice: &mut Dice<'_>, version: Version, out: &mut Vec<u8>) -> Theirs {
    let PassedOn { bytes, mut said } = PassedOn::draw(dice);
    let qos = dice.one(&QOS);
    let id = (qos != Qos::AtMostOnce).then(|| id(dice));
    let topic = dice.text_of_some();
    let content_type = dice.maybe(Dice::text).filter(|_| said.content_type.is_none());
    let is_text = said.payload_format_indicator.is_none() && dice.flag();
    let subscription_ids = dice.list(0, Dice::subscription);
    let payload = dice.binary();
    let head = PublishHead {
        dup: id.is_some() && dice.flag(),
        qos,
        retain: dice.flag(),
        topic: &topic,
        id,
        expiry: dice.maybe(Dice::four),
        content_type: content_type.as_deref(),
        is_text,
        subscription_ids: &subscription_ids,
        passed_on: &bytes,
        payload: payload.len(),
    };
    head.put(version, out, NO_LIMIT).expect("there is no limit");
    out.extend_from_slice(&payload);
    let pkid = id.map_or(0, |id| id.get());
    if !version.is_5() {
        let qos = meant::old_qos(qos);
        let (dup, retain, payload) = (head.dup, head.retain, payload.into());
        return Theirs::Old(v4::Packet::Publish(v4::Publish {
            dup,
            qos,
            retain,
            topic,
            pkid,
            payload,
        }));
    }
    said.message_expiry_interval = head.expiry;
    said.subscription_identifiers = subscription_ids.iter().map(|id| *id as usize).collect();
    if let Some(text) = &content_type {
        said.content_type = Some(text.clone());
    }
    if is_text {
        said.payload_format_indicator = Some(1);
    }
    let properties = (said != v5::PublishProperties::default()).then_some(said);
    Theirs::New(v5::Packet::Publish(v5::Publish {
        dup: head.dup,
        qos: meant::new_qos(qos),
        retain: head.retain,
        topic: topic.clone().into(),
        pkid,
        payload: payload.into(),
        properties,
    }))
}

fn ack(dice: &mut Dice<'_>, version: Version, out: &mut Vec<u8>) -> Theirs {
    let words = dice.maybe(Dice::text);
    let (kind, reason) = match dice.below(4) {
        0 => (Kind::Puback, dice.one(&reasons::PUBACK).0),
        1 => (Kind::Pubrec, dice.one(&reasons::PUBREC).0),
        2 => (Kind::Pubrel, dice.one(&reasons::PUBREL).0),
        _ => (Kind::Pubcomp, dice.one(&reasons::PUBCOMP).0),
    };
    let (id, reason) = (id(dice), Reason(reason));
    let ack = Ack { kind, id, reason, reason_string: words.as_deref() };
    ack.put(version, out, NO_LIMIT).expect("there is no limit");
    if version.is_5() {
        return Theirs::New(meant::ack(&ack));
    }
    let pkid = id.get();
    Theirs::Old(match kind {
        Kind::Puback => v4::Packet::PubAck(v4::PubAck { pkid }),
        Kind::Pubrec => v4::Packet::PubRec(v4::PubRec { pkid }),
        Kind::Pubrel => v4::Packet::PubRel(v4::PubRel { pkid }),
        _ => v4::Packet::PubComp(v4::PubComp { pkid }),
    })
}

fn suback(dice: &mut Dice<'_>, version: Version, out: &mut Vec<u8>) -> Theirs {
    let drawn = dice.list(1, |dice| dice.one(&reasons::SUBACK));
    let reasons: Vec<Reason> = drawn.iter().map(|(number, _)| Reason(*number)).collect();
    let (id, words) = (id(dice), dice.maybe(Dice::text));
    put_suback(out, version, id, &reasons, words.as_deref(), NO_LIMIT).expect("there is no limit");
    let pkid = id.get();
    if version.is_5() {
        let properties = words.map(|text| v5::SubAckProperties {
            reason_string: Some(text),
            user_properties: Vec::new(),
        });
        let return_codes = drawn.iter().map(|(_, reason)| *reason).collect();
        return Theirs::New(v5::Packet::SubAck(v5::SubAck { pkid, return_codes, properties }));
    }
    // 3.9.3 of MQTT 3.1.1 has one word for what has failed.
    let code = |number: u8| {
        reasons::of(&reasons::OLD_SUBACK, if number < 3 { number } else { 0x80 })
            .expect("there are four")
    };
    let return_codes = drawn.iter().map(|(number, _)| code(*number)).collect();
    Theirs::Old(v4::Packet::SubAck(v4::SubAck { pkid, return_codes }))
}

fn unsuback(dice: &mut Dice<'_>, version: Version, out: &mut Vec<u8>) -> Theirs {
    let numbers = dice.list(1, |dice| dice.one(&ENDED));
    let reasons: Vec<Reason> = numbers.iter().map(|number| Reason(*number)).collect();
    let (id, words) = (id(dice), dice.maybe(Dice::text));
    put_unsuback(out, version, id, &reasons, words.as_deref(), NO_LIMIT)
        .expect("there is no limit");
    let pkid = id.get();
    if !version.is_5() {
        return Theirs::Old(v4::Packet::UnsubAck(v4::UnsubAck { pkid }));
    }
    let properties = words.map(|text| v5::UnsubAckProperties {
        reason_string: Some(text),
        user_properties: Vec::new(),
    });
    let word = |number: &u8| {
        reasons::of(&reasons::UNSUBACK, *number)
            .unwrap_or(v5::UnsubAckReason::ImplementationSpecificError)
    };
    let reasons = numbers.iter().map(word).collect();
    Theirs::New(v5::Packet::UnsubAck(v5::UnsubAck { pkid, reasons, properties }))
}

fn disconnect(dice: &mut Dice<'_>, out: &mut Vec<u8>) -> Theirs {
    let reason = Reason(dice.one(&reasons::DISCONNECT).0);
    let words = dice.maybe(Dice::text);
    put_disconnect(out, reason, words.as_deref(), NO_LIMIT).expect("there is no limit");
    let meant = Disconnect { reason, session_expiry: None, reason_string: words.as_deref() };
    Theirs::New(v5::Packet::Disconnect(meant::disconnect(&meant)))
}

/// A fault that was found can be told: in a DISCONNECT, or a CONNACK where there was none before.
pub(in crate::mqtt) fn fault_is_told(said: Option<Version>, stream: &[u8], fault: &Fault) {
    let (mut out, words) = (Vec::new(), fault.to_string());
    let (Reason(number), reason_string) = (fault.reason, Some(words.as_str()));
    if said == Some(Version::V5) {
        put_disconnect(&mut out, fault.reason, reason_string, NO_LIMIT).expect("it is short");
        let meant = Disconnect { reason: fault.reason, session_expiry: None, reason_string };
        let meant = Theirs::New(v5::Packet::Disconnect(meant::disconnect(&meant)));
        check_reading(true, Some(&meant), &out);
    } else if said.is_none() && said_version(stream) == Some(Version::V5) {
        let connack = Connack { reason: fault.reason, reason_string, ..Connack::default() };
        connack.put(Version::V5, &mut out, NO_LIMIT).expect("it is short");
        let Ok(Theirs::New(v5::Packet::ConnAck(read))) = Theirs::read(true, &out) else {
            panic!("{fault}: {out:02x?}");
        };
        assert_eq!(Some(read.code), reasons::of(&reasons::CONNACK, number), "{fault}");
    }
}
