//! What was read here, as rumqttc has it.

use babelmq::internals::mqtt::{
    Ack, Asked, Connect, Content, Disconnect, Kind, Packet, Properties, Publish, Qos, Reason,
    RetainHandling, Subscribe, Unsubscribe, Value, Version, Will,
};
use bytes::Bytes;
use rumqttc::mqttbytes::{self as old, Protocol, v4};
use rumqttc::v5::mqttbytes::{self as new, v5};

use super::reasons;
use super::theirs::Theirs;

/// What rumqttc is to read where a packet was read here; none where it has no value for that.
pub(super) fn meant(version: Version, packet: &Packet<'_>) -> Option<Theirs> {
    if version.is_5() { new(packet).map(Theirs::New) } else { old(packet).map(Theirs::Old) }
}

pub(super) fn old_qos(qos: Qos) -> old::QoS {
    old::qos(qos.byte()).expect("there are three")
}

pub(super) fn new_qos(qos: Qos) -> new::QoS {
    new::qos(qos.byte()).expect("there are three")
}

fn bytes(bytes: &[u8]) -> Bytes {
    Bytes::copy_from_slice(bytes)
}

/// Name and password, where there is one of them; none where the password is no text.
fn login(connect: &Connect<'_>) -> Option<Option<(String, String)>> {
    if connect.user.is_none() && connect.password.is_none() {
        return Some(None);
    }
    let password = str::from_utf8(connect.password.unwrap_or_default()).ok()?;
    Some(Some((connect.user.unwrap_or_default().into(), password.into())))
}

fn old(packet: &Packet<'_>) -> Option<v4::Packet> {
    Some(match packet {
        Packet::Connect(connect) => v4::Packet::Connect(v4::Connect {
            protocol: Protocol::V4,
            keep_alive: connect.keep_alive,
            client_id: connect.client_id.into(),
            clean_session: connect.clean,
            last_will: connect.will.as_ref().map(|will| {
                v4::LastWill::new(will.topic, will.payload, old_qos(will.qos), will.retain)
            }),
            login: login(connect)?.map(|(name, password)| v4::Login::new(name, password)),
        }),
        Packet::Publish(publish) => v4::Packet::Publish(v4::Publish {
            dup: publish.dup,
            qos: old_qos(publish.qos),
            retain: publish.retain,
            topic: publish.topic.into(),
            pkid: publish.id.map_or(0, |id| id.get()),
            payload: bytes(publish.payload),
        }),
        Packet::Ack(Ack { kind, id, .. }) => {
            let pkid = id.get();
            match kind {
                Kind::Puback => v4::Packet::PubAck(v4::PubAck { pkid }),
                Kind::Pubrec => v4::Packet::PubRec(v4::PubRec { pkid }),
                Kind::Pubrel => v4::Packet::PubRel(v4::PubRel { pkid }),
                _ => v4::Packet::PubComp(v4::PubComp { pkid }),
            }
        }
        Packet::Subscribe(subscribe) => {
            let filter = |asked: Asked<'_>| {
                v4::SubscribeFilter::new(asked.filter.into(), old_qos(asked.qos))
            };
            v4::Packet::Subscribe(v4::Subscribe {
                pkid: subscribe.id.get(),
                filters: subscribe.filters().map(filter).collect(),
            })
        }
        Packet::Unsubscribe(unsubscribe) => v4::Packet::Unsubscribe(v4::Unsubscribe {
            pkid: unsubscribe.id.get(),
            topics: unsubscribe.filters().map(Into::into).collect(),
        }),
        Packet::Pingreq => v4::Packet::PingReq,
        Packet::Disconnect(_) => v4::Packet::Disconnect,
    })
}

fn new(packet: &Packet<'_>) -> Option<v5::Packet> {
    Some(match packet {
        Packet::Connect(connect) => {
            let login = login(connect)?.map(|(name, password)| v5::Login::new(name, password));
            let will = connect.will.as_ref().map(will);
            let connect = v5::Connect {
                keep_alive: connect.keep_alive,
                client_id: connect.client_id.into(),
                clean_start: connect.clean,
                properties: connect_properties(connect),
            };
            v5::Packet::Connect(connect, will, login)
        }
        Packet::Publish(message) => v5::Packet::Publish(publish(message)),
        Packet::Ack(it) => ack(it),
        Packet::Subscribe(it) => v5::Packet::Subscribe(subscribe(it)),
        Packet::Unsubscribe(it) => v5::Packet::Unsubscribe(unsubscribe(it)),
        Packet::Pingreq => v5::Packet::PingReq(v5::PingReq),
        Packet::Disconnect(it) => v5::Packet::Disconnect(disconnect(it)),
    })
}

fn pairs(properties: Properties<'_>) -> Vec<(String, String)> {
    properties.user().map(|(name, value)| (name.into(), value.into())).collect()
}

/// The number that a property says; none where it is not there.
fn number(properties: Properties<'_>, id: u8) -> Option<u32> {
    properties.iter().find(|property| property.id == id).map(|property| match property.value {
        Value::Number(number) => number,
        value => panic!("{value:?}"),
    })
}

fn connect_properties(connect: &Connect<'_>) -> Option<v5::ConnectProperties> {
    let properties = connect.properties;
    let flag = |id| number(properties, id).map(|number| number as u8);
    let said = v5::ConnectProperties {
        session_expiry_interval: number(properties, 17),
        receive_maximum: connect.receive_maximum,
        max_packet_size: connect.maximum_packet_size,
        topic_alias_max: number(properties, 34).map(|number| number as u16),
        request_response_info: flag(25),
        request_problem_info: flag(23),
        user_properties: pairs(properties),
        authentication_method: None,
        authentication_data: None,
    };
    // What is made of them: 3.1.2.11.
    assert_eq!(connect.session_expiry, said.session_expiry_interval.unwrap_or(0));
    assert_eq!(connect.topic_alias_maximum, said.topic_alias_max.unwrap_or(0));
    assert_eq!(connect.wants_response_information, said.request_response_info == Some(1));
    assert_eq!(connect.wants_reasons, said.request_problem_info != Some(0));
    (!properties.is_empty()).then_some(said)
}

fn will(will: &Will<'_>) -> v5::LastWill {
    let Content { is_text, expiry, content_type, response_topic, correlation, properties } =
        will.content;
    let said = v5::LastWillProperties {
        delay_interval: number(properties, 24),
        payload_format_indicator: is_text.map(u8::from),
        message_expiry_interval: expiry,
        content_type: content_type.map(Into::into),
        response_topic: response_topic.map(Into::into),
        correlation_data: correlation.map(bytes),
        user_properties: pairs(properties),
    };
    assert_eq!(will.delay, said.delay_interval.unwrap_or(0));
    let said = (!properties.is_empty()).then_some(said);
    v5::LastWill::new(will.topic, will.payload, new_qos(will.qos), will.retain, said)
}

fn publish(publish: &Publish<'_>) -> v5::Publish {
    let Content { is_text, expiry, content_type, response_topic, correlation, properties } =
        publish.content;
    let said = v5::PublishProperties {
        payload_format_indicator: is_text.map(u8::from),
        message_expiry_interval: expiry,
        topic_alias: publish.alias,
        response_topic: response_topic.map(Into::into),
        correlation_data: correlation.map(bytes),
        user_properties: pairs(properties),
        subscription_identifiers: Vec::new(),
        content_type: content_type.map(Into::into),
    };
    v5::Publish {
        dup: publish.dup,
        qos: new_qos(publish.qos),
        retain: publish.retain,
        topic: bytes(publish.topic.as_bytes()),
        pkid: publish.id.map_or(0, |id| id.get()),
        payload: bytes(publish.payload),
        properties: (!properties.is_empty()).then_some(said),
    }
}

fn subscribe(subscribe: &Subscribe<'_>) -> v5::Subscribe {
    let properties = subscribe.properties;
    let filter = |asked: Asked<'_>| v5::Filter {
        path: asked.filter.into(),
        qos: new_qos(asked.qos),
        nolocal: asked.no_local,
        preserve_retain: asked.retain_as_published,
        retain_forward_rule: match asked.retain_handling {
            RetainHandling::Always => v5::RetainForwardRule::OnEverySubscribe,
            RetainHandling::IfNew => v5::RetainForwardRule::OnNewSubscribe,
            RetainHandling::Never => v5::RetainForwardRule::Never,
        },
    };
    v5::Subscribe {
        pkid: subscribe.id.get(),
        filters: subscribe.filters().map(filter).collect(),
        properties: (!properties.is_empty()).then(|| v5::SubscribeProperties {
            id: subscribe.identifier.map(|id| id as usize),
            user_properties: pairs(properties),
        }),
    }
}

fn unsubscribe(unsubscribe: &Unsubscribe<'_>) -> v5::Unsubscribe {
    let properties = unsubscribe.properties;
    v5::Unsubscribe {
        pkid: unsubscribe.id.get(),
        filters: unsubscribe.filters().map(Into::into).collect(),
        properties: (!properties.is_empty())
            .then(|| v5::UnsubscribeProperties { user_properties: pairs(properties) }),
    }
}

/// An answer. The broker looks at none of its user properties.
pub(super) fn ack(ack: &Ack<'_>) -> v5::Packet {
    let (pkid, Reason(number)) = (ack.id.get(), ack.reason);
    let reason_string = ack.reason_string.map(str::to_owned);
    macro_rules! packet {
        ($kind:ident, $properties:ident, $table:ident) => {
            v5::Packet::$kind(v5::$kind {
                pkid,
                reason: reasons::of(&reasons::$table, number).expect("it was read"),
                properties: reason_string.map(|text| v5::$properties {
                    reason_string: Some(text),
                    user_properties: Vec::new(),
                }),
            })
        };
    }
    match ack.kind {
        Kind::Puback => packet!(PubAck, PubAckProperties, PUBACK),
        Kind::Pubrec => packet!(PubRec, PubRecProperties, PUBREC),
        Kind::Pubrel => packet!(PubRel, PubRelProperties, PUBREL),
        _ => packet!(PubComp, PubCompProperties, PUBCOMP),
    }
}

pub(super) fn disconnect(disconnect: &Disconnect<'_>) -> v5::Disconnect {
    let Disconnect { reason: Reason(number), session_expiry, reason_string } = *disconnect;
    v5::Disconnect {
        reason_code: reasons::of(&reasons::DISCONNECT, number).expect("it was read"),
        properties: (session_expiry.is_some() || reason_string.is_some()).then(|| {
            v5::DisconnectProperties {
                session_expiry_interval: session_expiry,
                reason_string: reason_string.map(Into::into),
                user_properties: Vec::new(),
                server_reference: None,
            }
        }),
    }
}
