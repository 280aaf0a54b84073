//! Reason codes of MQTT 5 and return codes of 3.1.1 as rumqttc has them: the tables of the
//! specification, once for each packet.

use rumqttc::mqttbytes::v4;
use rumqttc::v5::mqttbytes::{QoS, v5};

/// The reason with a number, of those that there are.
pub(super) fn of<T: Copy>(table: &[(u8, T)], number: u8) -> Option<T> {
    table.iter().find(|(code, _)| *code == number).map(|(_, reason)| *reason)
}

/// 3.4.2.1 and 3.5.2.1 have the same.
macro_rules! of_messages {
    ($reason:ident) => {{
        use v5::$reason::*;
        [
            (0x00, Success),
            (0x10, NoMatchingSubscribers),
            (0x80, UnspecifiedError),
            (0x83, ImplementationSpecificError),
            (0x87, NotAuthorized),
            (0x90, TopicNameInvalid),
            (0x91, PacketIdentifierInUse),
            (0x97, QuotaExceeded),
            (0x99, PayloadFormatInvalid),
        ]
    }};
}

pub(super) const PUBACK: [(u8, v5::PubAckReason); 9] = of_messages!(PubAckReason);
pub(super) const PUBREC: [(u8, v5::PubRecReason); 9] = of_messages!(PubRecReason);
/// 3.6.2.1.
pub(super) const PUBREL: [(u8, v5::PubRelReason); 2] =
    [(0x00, v5::PubRelReason::Success), (0x92, v5::PubRelReason::PacketIdentifierNotFound)];
/// 3.7.2.1.
pub(super) const PUBCOMP: [(u8, v5::PubCompReason); 2] =
    [(0x00, v5::PubCompReason::Success), (0x92, v5::PubCompReason::PacketIdentifierNotFound)];

/// 3.9.3.
pub(super) const SUBACK: [(u8, v5::SubscribeReasonCode); 12] = {
    use v5::SubscribeReasonCode::*;
    [
        (0x00, Success(QoS::AtMostOnce)),
        (0x01, Success(QoS::AtLeastOnce)),
        (0x02, Success(QoS::ExactlyOnce)),
        (0x80, Unspecified),
        (0x83, ImplementationSpecific),
        (0x87, NotAuthorized),
        (0x8f, TopicFilterInvalid),
        (0x91, PkidInUse),
        (0x97, QuotaExceeded),
        (0x9e, SharedSubscriptionsNotSupported),
        (0xa1, SubscriptionIdNotSupported),
        (0xa2, WildcardSubscriptionsNotSupported),
    ]
};

/// 3.9.3 of MQTT 3.1.1.
pub(super) const OLD_SUBACK: [(u8, v4::SubscribeReasonCode); 4] = {
    use rumqttc::mqttbytes::QoS;
    use v4::SubscribeReasonCode::*;
    [
        (0x00, Success(QoS::AtMostOnce)),
        (0x01, Success(QoS::AtLeastOnce)),
        (0x02, Success(QoS::ExactlyOnce)),
        (0x80, Failure),
    ]
};

/// 3.11.3.
pub(super) const UNSUBACK: [(u8, v5::UnsubAckReason); 7] = {
    use v5::UnsubAckReason::*;
    [
        (0x00, Success),
        (0x11, NoSubscriptionExisted),
        (0x80, UnspecifiedError),
        (0x83, ImplementationSpecificError),
        (0x87, NotAuthorized),
        (0x8f, TopicFilterInvalid),
        (0x91, PacketIdentifierInUse),
    ]
};

/// 3.2.2.2.
pub(super) const CONNACK: [(u8, v5::ConnectReturnCode); 22] = {
    use v5::ConnectReturnCode::*;
    [
        (0x00, Success),
        (0x80, UnspecifiedError),
        (0x81, MalformedPacket),
        (0x82, ProtocolError),
        (0x83, ImplementationSpecificError),
        (0x84, UnsupportedProtocolVersion),
        (0x85, ClientIdentifierNotValid),
        (0x86, BadUserNamePassword),
        (0x87, NotAuthorized),
        (0x88, ServerUnavailable),
        (0x89, ServerBusy),
        (0x8a, Banned),
        (0x8c, BadAuthenticationMethod),
        (0x90, TopicNameInvalid),
        (0x95, PacketTooLarge),
        (0x97, QuotaExceeded),
        (0x99, PayloadFormatInvalid),
        (0x9a, RetainNotSupported),
        (0x9b, QoSNotSupported),
        (0x9c, UseAnotherServer),
        (0x9d, ServerMoved),
        (0x9f, ConnectionRateExceeded),
    ]
};

/// 3.2.2.3 of MQTT 3.1.1.
pub(super) const OLD_CONNACK: [(u8, v4::ConnectReturnCode); 6] = {
    use v4::ConnectReturnCode::*;
    [
        (0, Success),
        (1, RefusedProtocolVersion),
        (2, BadClientId),
        (3, ServiceUnavailable),
        (4, BadUserNamePassword),
        (5, NotAuthorized),
    ]
};

/// 3.14.2.1: what a server says, and what a client does.
pub(super) const DISCONNECT: [(u8, v5::DisconnectReasonCode); 29] = {
    use v5::DisconnectReasonCode::*;
    [
        (0x00, NormalDisconnection),
        (0x04, DisconnectWithWillMessage),
        (0x80, UnspecifiedError),
        (0x81, MalformedPacket),
        (0x82, ProtocolError),
        (0x83, ImplementationSpecificError),
        (0x87, NotAuthorized),
        (0x89, ServerBusy),
        (0x8b, ServerShuttingDown),
        (0x8d, KeepAliveTimeout),
        (0x8e, SessionTakenOver),
        (0x8f, TopicFilterInvalid),
        (0x90, TopicNameInvalid),
        (0x93, ReceiveMaximumExceeded),
        (0x94, TopicAliasInvalid),
        (0x95, PacketTooLarge),
        (0x96, MessageRateTooHigh),
        (0x97, QuotaExceeded),
        (0x98, AdministrativeAction),
        (0x99, PayloadFormatInvalid),
        (0x9a, RetainNotSupported),
        (0x9b, QoSNotSupported),
        (0x9c, UseAnotherServer),
        (0x9d, ServerMoved),
        (0x9e, SharedSubscriptionNotSupported),
        (0x9f, ConnectionRateExceeded),
        (0xa0, MaximumConnectTime),
        (0xa1, SubscriptionIdentifiersNotSupported),
        (0xa2, WildcardSubscriptionsNotSupported),
    ]
};
