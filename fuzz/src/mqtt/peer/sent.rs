//! What rumqttc sends, with fields drawn by lot, is read here as the same.

use babelmq::internals::mqtt::Version;
use rumqttc::mqttbytes::{self as old, Protocol, v4};
use rumqttc::v5::mqttbytes::{self as new, v5};

use super::dice::Dice;
use super::theirs::Theirs;
use super::{compare, reasons};

/// The numbers of reasons that a client may give in DISCONNECT (3.14.2.1).
const GOES: [u8; 14] =
    [0, 4, 0x80, 0x81, 0x82, 0x83, 0x90, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99];
const OLD_QOS: [old::QoS; 3] = [old::QoS::AtMostOnce, old::QoS::AtLeastOnce, old::QoS::ExactlyOnce];
const QOS: [new::QoS; 3] = [new::QoS::AtMostOnce, new::QoS::AtLeastOnce, new::QoS::ExactlyOnce];

/// rumqttc writes a packet, and it is read here as what it is, but for the mistakes of rumqttc.
pub(super) fn check(dice: &mut Dice<'_>) {
    let (version, packet) = if dice.flag() {
        (Version::V5, Theirs::New(new(dice)))
    } else {
        (Version::V3_1_1, Theirs::Old(old(dice)))
    };
    compare::check_writing(version, packet);
}

fn filter(dice: &mut Dice<'_>) -> String {
    let usual = dice.one(&["", "", "#", "a/+/b", "+", "$share/g/a", "$SYS/#"]);
    if usual.is_empty() { dice.text_of_some() } else { usual.to_owned() }
}

fn old(dice: &mut Dice<'_>) -> v4::Packet {
    let pkid = dice.some();
    match dice.below(10) {
        0 => v4::Packet::PingReq,
        1 => v4::Packet::Disconnect,
        2 => v4::Packet::PubAck(v4::PubAck { pkid }),
        3 => v4::Packet::PubRec(v4::PubRec { pkid }),
        4 => v4::Packet::PubRel(v4::PubRel { pkid }),
        5 => v4::Packet::PubComp(v4::PubComp { pkid }),
        6 => {
            let filters = dice.list(1, |dice| {
                let qos = dice.one(&OLD_QOS);
                v4::SubscribeFilter::new(filter(dice), qos)
            });
            v4::Packet::Subscribe(v4::Subscribe { pkid, filters })
        }
        7 => v4::Packet::Unsubscribe(v4::Unsubscribe { pkid, topics: dice.list(1, filter) }),
        8 => {
            let clean_session = dice.flag();
            v4::Packet::Connect(v4::Connect {
                protocol: Protocol::V4,
                keep_alive: dice.two(),
                client_id: if clean_session { dice.text() } else { dice.text_of_some() },
                clean_session,
                last_will: dice.maybe(|dice| {
                    let (topic, payload) = (dice.text_of_some(), dice.binary());
                    v4::LastWill::new(topic, payload, dice.one(&OLD_QOS), dice.flag())
                }),
                login: dice.maybe(|dice| v4::Login::new(dice.text(), dice.text())),
            })
        }
        _ => {
            let qos = dice.one(&OLD_QOS);
            let is_numbered = qos != old::QoS::AtMostOnce;
            v4::Packet::Publish(v4::Publish {
                dup: is_numbered && dice.flag(),
                qos,
                retain: dice.flag(),
                topic: dice.text_of_some(),
                pkid: if is_numbered { pkid } else { 0 },
                payload: dice.binary().into(),
            })
        }
    }
}

fn new(dice: &mut Dice<'_>) -> v5::Packet {
    let pkid = dice.some();
    macro_rules! ack {
        ($kind:ident, $properties:ident, $table:ident) => {
            v5::Packet::$kind(v5::$kind {
                pkid,
                reason: dice.one(&reasons::$table).1,
                properties: dice.maybe(|dice| v5::$properties {
                    reason_string: dice.maybe(Dice::text),
                    user_properties: dice.pairs(),
                }),
            })
        };
    }
    match dice.below(10) {
        0 => v5::Packet::PingReq(v5::PingReq),
        1 => v5::Packet::Disconnect(disconnect(dice)),
        2 => ack!(PubAck, PubAckProperties, PUBACK),
        3 => ack!(PubRec, PubRecProperties, PUBREC),
        4 => ack!(PubRel, PubRelProperties, PUBREL),
        5 => ack!(PubComp, PubCompProperties, PUBCOMP),
        6 => v5::Packet::Subscribe(subscribe(dice, pkid)),
        7 => {
            let (filters, user_properties) = (dice.list(1, filter), dice.pairs());
            let properties = (!user_properties.is_empty())
                .then_some(v5::UnsubscribeProperties { user_properties });
            v5::Packet::Unsubscribe(v5::Unsubscribe { pkid, filters, properties })
        }
        8 => {
            let connect = v5::Connect {
                keep_alive: dice.two(),
                client_id: dice.text(),
                clean_start: dice.flag(),
                properties: connect_properties(dice),
            };
            let will = dice.maybe(will);
            let login = dice.maybe(|dice| v5::Login::new(dice.text(), dice.text()));
            v5::Packet::Connect(connect, will, login)
        }
        _ => v5::Packet::Publish(publish(dice, pkid)),
    }
}

/// Properties, or none where they say nothing.
fn some<T: PartialEq>(properties: T, nothing: T) -> Option<T> {
    (properties != nothing).then_some(properties)
}

fn disconnect(dice: &mut Dice<'_>) -> v5::Disconnect {
    v5::Disconnect {
        reason_code: reasons::of(&reasons::DISCONNECT, dice.one(&GOES)).expect("it is one"),
        properties: dice.maybe(|dice| v5::DisconnectProperties {
            session_expiry_interval: dice.maybe(Dice::four),
            reason_string: dice.maybe(Dice::text),
            user_properties: dice.pairs(),
            server_reference: None,
        }),
    }
}

fn subscribe(dice: &mut Dice<'_>, pkid: u16) -> v5::Subscribe {
    let filters = dice.list(1, |dice| {
        let path = filter(dice);
        v5::Filter {
            qos: dice.one(&QOS),
            // 3.8.3.1.
            nolocal: dice.flag() && !path.starts_with("$share/"),
            preserve_retain: dice.flag(),
            retain_forward_rule: match dice.below(3) {
                0 => v5::RetainForwardRule::OnEverySubscribe,
                1 => v5::RetainForwardRule::OnNewSubscribe,
                _ => v5::RetainForwardRule::Never,
            },
            path,
        }
    });
    let properties = v5::SubscribeProperties {
        id: dice.maybe(|dice| dice.subscription() as usize),
        user_properties: dice.pairs(),
    };
    let nothing = v5::SubscribeProperties { id: None, user_properties: Vec::new() };
    v5::Subscribe { pkid, filters, properties: some(properties, nothing) }
}

fn connect_properties(dice: &mut Dice<'_>) -> Option<v5::ConnectProperties> {
    let properties = v5::ConnectProperties {
        session_expiry_interval: dice.maybe(Dice::four),
        receive_maximum: dice.maybe(Dice::some),
        max_packet_size: dice.maybe(|dice| dice.four().max(1)),
        topic_alias_max: dice.maybe(Dice::two),
        request_response_info: dice.maybe(|dice| dice.flag().into()),
        request_problem_info: dice.maybe(|dice| dice.flag().into()),
        user_properties: dice.pairs(),
        authentication_method: None,
        authentication_data: None,
    };
    some(properties, v5::ConnectProperties::default())
}

fn will(dice: &mut Dice<'_>) -> v5::LastWill {
    let mut properties = v5::LastWillProperties {
        delay_interval: None,
        payload_format_indicator: None,
        message_expiry_interval: None,
        content_type: None,
        response_topic: None,
        correlation_data: None,
        user_properties: Vec::new(),
    };
    let nothing = properties.clone();
    properties.delay_interval = dice.maybe(Dice::four);
    properties.payload_format_indicator = dice.maybe(|dice| dice.flag().into());
    properties.message_expiry_interval = dice.maybe(Dice::four);
    properties.content_type = dice.maybe(Dice::text);
    properties.response_topic = dice.maybe(Dice::text_of_some);
    properties.correlation_data = dice.maybe(|dice| dice.binary().into());
    properties.user_properties = dice.pairs();
    let (topic, payload) = (dice.text_of_some(), dice.binary());
    v5::LastWill::new(topic, payload, dice.one(&QOS), dice.flag(), some(properties, nothing))
}

fn publish(dice: &mut Dice<'_>, pkid: u16) -> v5::Publish {
    let properties = v5::PublishProperties {
        payload_format_indicator: dice.maybe(|dice| dice.flag().into()),
        message_expiry_interval: dice.maybe(Dice::four),
        topic_alias: dice.maybe(Dice::some),
        response_topic: dice.maybe(Dice::text_of_some),
        correlation_data: dice.maybe(|dice| dice.binary().into()),
        user_properties: dice.pairs(),
        // Only a server sends them.
        subscription_identifiers: Vec::new(),
        content_type: dice.maybe(Dice::text),
    };
    let qos = dice.one(&QOS);
    let is_numbered = qos != new::QoS::AtMostOnce;
    // 3.3.2.1: an alias may stand for it.
    let has_name = properties.topic_alias.is_none() || dice.flag();
    let topic = if has_name { dice.text_of_some() } else { String::new() };
    v5::Publish {
        dup: is_numbered && dice.flag(),
        qos,
        retain: dice.flag(),
        topic: topic.into(),
        pkid: if is_numbered { pkid } else { 0 },
        payload: dice.binary().into(),
        properties: some(properties, v5::PublishProperties::default()),
    }
}
