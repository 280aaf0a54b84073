//! What rumqttc 0.25.1 gets wrong: each mistake with where the specification says otherwise, and
//! a packet that shows it.

use babelmq::internals::mqtt::{Properties, Value, Version};
use rumqttc::mqttbytes::{Protocol, v4};
use rumqttc::v5::mqttbytes::v5;

use super::theirs::Theirs;

/// Something that rumqttc gets wrong.
pub(super) struct Mistake {
    pub(super) name: &'static str,
    /// The section that says otherwise, of MQTT 3.1.1 or 5 by the version.
    pub(super) clause: &'static str,
    pub(super) version: Version,
    pub(super) kind: MistakeIn,
}

pub(super) enum MistakeIn {
    /// Bytes are refused, or read as something else than they mean.
    Reading {
        /// Bytes of which it makes the mistake.
        bytes: &'static [u8],
        /// Whether it makes it of others.
        of: fn(&Reading<'_>) -> bool,
    },
    /// A packet is written as something else, or as none.
    Writing { packet: fn() -> Theirs, of: fn(&Theirs) -> bool },
}

/// Bytes that rumqttc reads, and what they mean; none where it has no value for that.
pub(super) struct Reading<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) meant: Option<&'a Theirs>,
}

use MistakeIn::{Reading as InReading, Writing as InWriting};

const V4: Version = Version::V3_1_1;
const V5: Version = Version::V5;

pub(super) const MISTAKES: [Mistake; 12] = [
    Mistake {
        name: "a password is refused that is no text",
        clause: "3.1.3.5: it is binary data",
        version: V4,
        kind: InReading {
            bytes: b"\x10\x13\0\x04MQTT\x04\xc2\0\0\0\x01a\0\x01b\0\x01\xff",
            of: |reading| reading.meant.is_none(),
        },
    },
    Mistake {
        name: "a password is refused that is no text",
        clause: "3.1.3.6, 1.5.6: it is binary data",
        version: V5,
        kind: InReading {
            bytes: b"\x10\x11\0\x04MQTT\x05\x42\0\0\0\0\x01a\0\x01\xff",
            of: |reading| reading.meant.is_none(),
        },
    },
    Mistake {
        name: "a name of no characters is as none",
        clause: "3.1.2.8: the flag says whether there is one",
        version: V4,
        kind: InReading {
            bytes: b"\x10\x0f\0\x04MQTT\x04\x82\0\0\0\x01a\0\0",
            of: |reading| reading.meant.is_some_and(is_empty_login),
        },
    },
    Mistake {
        name: "a name of no characters is as none",
        clause: "3.1.2.8: the flag says whether there is one",
        version: V5,
        kind: InReading {
            bytes: b"\x10\x10\0\x04MQTT\x05\x82\0\0\0\0\x01a\0\0",
            of: |reading| reading.meant.is_some_and(is_empty_login),
        },
    },
    Mistake {
        name: "a DISCONNECT is refused that has neither reason nor properties",
        clause: "3.14.2.1: then its remaining length is 0",
        version: V5,
        kind: InReading { bytes: b"\xe0\0", of: |reading| reading.bytes == b"\xe0\0" },
    },
    Mistake {
        name: "a DISCONNECT is refused that has a reason and no length of properties",
        clause: "3.14.2.2.1: where the remaining length is less than 2, that is 0",
        version: V5,
        kind: InReading {
            bytes: b"\xe0\x01\x04",
            of: |reading| matches!(reading.bytes, [0xe0, 1, _]),
        },
    },
    Mistake {
        name: "each Subscription Identifier counts as a byte more than it has, so that the last \
               properties are left for the payload",
        clause: "2.2.2.1, 3.3.2.3.8",
        version: V5,
        kind: InReading {
            bytes: b"\x30\x0a\0\x01t\x06\x0b\x01\x0b\x02\x0b\x03",
            of: |reading| stops_early(reading),
        },
    },
    Mistake {
        name: "a password without a name is written",
        clause: "3.1.2.9, MQTT-3.1.2-22",
        version: V4,
        kind: InWriting {
            packet: || login(V4, "secret"),
            of: |packet| match packet {
                Theirs::Old(v4::Packet::Connect(v4::Connect { login: Some(login), .. })) => {
                    login.username.is_empty() && !login.password.is_empty()
                }
                _ => false,
            },
        },
    },
    Mistake {
        name: "a name of no characters is not written",
        clause: "3.1.2.8",
        version: V4,
        kind: InWriting { packet: || login(V4, ""), of: is_empty_login },
    },
    Mistake {
        name: "a name of no characters is not written",
        clause: "3.1.2.8",
        version: V5,
        kind: InWriting { packet: || login(V5, ""), of: is_empty_login },
    },
    Mistake {
        name: "a DISCONNECT of a reason without properties is a byte longer than it says",
        clause: "2.1.4",
        version: V5,
        kind: InWriting {
            packet: || goes(None),
            of: |packet| why_it_goes(packet).is_some_and(|properties| properties.is_none()),
        },
    },
    Mistake {
        name: "a DISCONNECT of a reason with no property among its properties loses the reason",
        clause: "3.14.2.1",
        version: V5,
        kind: InWriting {
            packet: || {
                goes(Some(v5::DisconnectProperties {
                    session_expiry_interval: None,
                    reason_string: None,
                    user_properties: Vec::new(),
                    server_reference: None,
                }))
            },
            of: |packet| {
                why_it_goes(packet).is_some_and(|properties| {
                    properties.as_ref().is_some_and(|properties| {
                        properties.session_expiry_interval.is_none()
                            && properties.reason_string.is_none()
                            && properties.user_properties.is_empty()
                    })
                })
            },
        },
    },
];

/// Which mistake rumqttc makes when it reads some bytes.
pub(super) fn of_reading(is_5: bool, meant: Option<&Theirs>, bytes: &[u8]) -> Option<&'static str> {
    let reading = Reading { bytes, meant };
    MISTAKES.iter().find_map(|mistake| match mistake.kind {
        InReading { of, .. } if mistake.version.is_5() == is_5 && of(&reading) => {
            Some(mistake.name)
        }
        _ => None,
    })
}

/// Which mistake it makes when it writes a packet.
pub(super) fn of_writing(packet: &Theirs) -> Option<&'static str> {
    let is_5 = matches!(packet, Theirs::New(_));
    MISTAKES.iter().find_map(|mistake| match mistake.kind {
        InWriting { of, .. } if mistake.version.is_5() == is_5 && of(packet) => Some(mistake.name),
        _ => None,
    })
}

/// A CONNECT with a password, which may be empty, and a name that is.
fn login(version: Version, password: &str) -> Theirs {
    let client_id = "a".to_owned();
    if version.is_5() {
        let connect = v5::Connect { keep_alive: 0, client_id, clean_start: true, properties: None };
        return Theirs::New(v5::Packet::Connect(connect, None, Some(v5::Login::new("", password))));
    }
    Theirs::Old(v4::Packet::Connect(v4::Connect {
        protocol: Protocol::V4,
        keep_alive: 0,
        client_id,
        clean_session: true,
        last_will: None,
        login: Some(v4::Login::new("", password)),
    }))
}

/// Whether there is a login, and nothing in it.
fn is_empty_login(packet: &Theirs) -> bool {
    match packet {
        Theirs::Old(v4::Packet::Connect(v4::Connect { login: Some(login), .. })) => {
            login.username.is_empty() && login.password.is_empty()
        }
        Theirs::New(v5::Packet::Connect(_, _, Some(login))) => {
            login.username.is_empty() && login.password.is_empty()
        }
        _ => false,
    }
}

fn goes(properties: Option<v5::DisconnectProperties>) -> Theirs {
    let reason_code = v5::DisconnectReasonCode::DisconnectWithWillMessage;
    Theirs::New(v5::Packet::Disconnect(v5::Disconnect { reason_code, properties }))
}

/// The properties of a DISCONNECT that has a reason.
fn why_it_goes(packet: &Theirs) -> Option<&Option<v5::DisconnectProperties>> {
    match packet {
        Theirs::New(v5::Packet::Disconnect(v5::Disconnect { reason_code, properties })) => {
            let has_reason = *reason_code != v5::DisconnectReasonCode::NormalDisconnection;
            has_reason.then_some(properties)
        }
        _ => None,
    }
}

/// Whether what it has counted of the properties of a PUBLISH is all of them before the last.
fn stops_early(reading: &Reading<'_>) -> bool {
    let Some(Theirs::New(v5::Packet::Publish(publish))) = reading.meant else { return false };
    let id = if publish.pkid == 0 { 0 } else { 2 };
    let head = 1 + varint(&reading.bytes[1..]) + 2 + publish.topic.len() + id;
    let rest = &reading.bytes[head..reading.bytes.len() - publish.payload.len()];
    let properties = &rest[varint(rest)..];
    let mut counted = 0;
    Properties::kept(properties).iter().any(|property| {
        let stops = counted >= properties.len();
        counted += 1 + match property.value {
            Value::Text(text) => 2 + text.len(),
            Value::Binary(data) => 2 + data.len(),
            Value::Pair(name, value) => 4 + name.len() + value.len(),
            Value::Number(number) => match property.id {
                1 => 1,
                35 => 2,
                11 => 1 + subscription_size(number),
                _ => 4,
            },
        };
        stops
    })
}

/// Bytes of a number that begins here.
fn varint(bytes: &[u8]) -> usize {
    1 + bytes.iter().take_while(|byte| **byte >= 0x80).count()
}

fn subscription_size(number: u32) -> usize {
    match number {
        0..0x80 => 1,
        0x80..0x4000 => 2,
        0x4000..0x20_0000 => 3,
        _ => 4,
    }
}
