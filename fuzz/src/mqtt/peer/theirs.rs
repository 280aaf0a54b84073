//! Packets as rumqttc has them, of both versions.

use bytes::BytesMut;
use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::v5;

/// A packet as rumqttc has it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub(super) enum Theirs {
    /// Of MQTT 3.1.1.
    Old(v4::Packet),
    /// Of MQTT 5.
    New(v5::Packet),
}

impl Theirs {
    /// Reads the one packet in some bytes.
    pub(super) fn read(is_5: bool, bytes: &[u8]) -> Result<Theirs, String> {
        let mut rest = BytesMut::from(bytes);
        let read = if is_5 {
            v5::Packet::read(&mut rest, None)
                .map(|packet| Theirs::New(without_user_properties(packet)))
                .map_err(|error| error.to_string())
        } else {
            v4::Packet::read(&mut rest, usize::MAX)
                .map(Theirs::Old)
                .map_err(|error| error.to_string())
        };
        if rest.is_empty() { read } else { Err(format!("{} bytes are left", rest.len())) }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        match self {
            Theirs::Old(packet) => packet.write(&mut bytes, usize::MAX).map_err(|e| e.to_string()),
            Theirs::New(packet) => packet.write(&mut bytes, None).map_err(|e| e.to_string()),
        }
        .unwrap_or_else(|error| panic!("{self:?}: {error}"));
        bytes.to_vec()
    }
}

/// A packet without what the broker does not look at: user properties of answers and of DISCONNECT.
pub(super) fn without_user_properties(mut packet: v5::Packet) -> v5::Packet {
    macro_rules! clear {
        ($packet:ident) => {{
            if let Some(properties) = &mut $packet.properties {
                properties.user_properties.clear();
            }
            $packet.properties.take_if(|properties| properties.reason_string.is_none());
        }};
    }
    match &mut packet {
        v5::Packet::PubAck(ack) => clear!(ack),
        v5::Packet::PubRec(ack) => clear!(ack),
        v5::Packet::PubRel(ack) => clear!(ack),
        v5::Packet::PubComp(ack) => clear!(ack),
        v5::Packet::Disconnect(disconnect) => {
            if let Some(properties) = &mut disconnect.properties {
                properties.user_properties.clear();
            }
            disconnect.properties.take_if(|properties| {
                properties.session_expiry_interval.is_none()
                    && properties.reason_string.is_none()
                    && properties.server_reference.is_none()
            });
        }
        _ => {}
    }
    packet
}
