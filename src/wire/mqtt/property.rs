//! Properties of MQTT 5: which there are, what their values are, and in which packets they may be
//! (2.2.2.2).

use super::kinds::Kind;

/// What the value of a property is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// A byte that is 0 or 1.
    Flag,
    /// Two bytes.
    Two,
    /// Two bytes that are not 0.
    Some2,
    /// Four bytes.
    Four,
    /// Four bytes that are not 0.
    Some4,
    /// One to four bytes that are not 0.
    Varint,
    Text,
    Binary,
    /// Two texts.
    Pair,
}

/// A property as the specification describes it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// A bit for each kind of packet, by its number; the lowest is a will.
    places: u16,
}

/// Where properties stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Packet(Kind),
    /// The message in a CONNECT.
    Will,
}

pub(super) const PAYLOAD_FORMAT: u8 = 1;
pub(super) const MESSAGE_EXPIRY: u8 = 2;
pub(super) const CONTENT_TYPE: u8 = 3;
pub(super) const RESPONSE_TOPIC: u8 = 8;
pub(super) const CORRELATION_DATA: u8 = 9;
pub(super) const SUBSCRIPTION_ID: u8 = 11;
pub(super) const SESSION_EXPIRY: u8 = 17;
pub(super) const ASSIGNED_CLIENT_ID: u8 = 18;
pub(super) const SERVER_KEEP_ALIVE: u8 = 19;
pub(super) const AUTHENTICATION_METHOD: u8 = 21;
pub(super) const AUTHENTICATION_DATA: u8 = 22;
pub(super) const REQUEST_PROBLEM: u8 = 23;
pub(super) const WILL_DELAY: u8 = 24;
pub(super) const REQUEST_RESPONSE: u8 = 25;
pub(super) const SERVER_REFERENCE: u8 = 28;
pub(super) const REASON_STRING: u8 = 31;
pub(super) const RECEIVE_MAXIMUM: u8 = 33;
pub(super) const TOPIC_ALIAS_MAXIMUM: u8 = 34;
pub(super) const TOPIC_ALIAS: u8 = 35;
pub(super) const RETAIN_AVAILABLE: u8 = 37;
pub(super) const USER: u8 = 38;
pub(super) const MAXIMUM_PACKET_SIZE: u8 = 39;
pub(super) const WILDCARDS_AVAILABLE: u8 = 40;
pub(super) const SUBSCRIPTION_IDS_AVAILABLE: u8 = 41;
pub(super) const SHARED_AVAILABLE: u8 = 42;

/// The payload as it came, where the broker keeps it in other bytes. It is in no packet.
pub(super) const ORIGINAL: u8 = 0x7e;

const WILL: u16 = 1;
const CONNECT: u16 = 1 << Kind::Connect as u16;
const CONNACK: u16 = 1 << Kind::Connack as u16;
const PUBLISH: u16 = 1 << Kind::Publish as u16;
const SUBSCRIBE: u16 = 1 << Kind::Subscribe as u16;
const DISCONNECT: u16 = 1 << Kind::Disconnect as u16;
const AUTH: u16 = 1 << Kind::Auth as u16;
/// All answers.
const ANSWERS: u16 = 1 << Kind::Puback as u16
    | 1 << Kind::Pubrec as u16
    | 1 << Kind::Pubrel as u16
    | 1 << Kind::Pubcomp as u16
    | 1 << Kind::Suback as u16
    | 1 << Kind::Unsuback as u16
    | CONNACK
    | DISCONNECT
    | AUTH;

/// What a property is; none where there is no such.
pub(super) fn row(id: u8) -> Option<Row> {
    let (name, shape, places) = match id {
        PAYLOAD_FORMAT => ("Payload Format Indicator", Shape::Flag, PUBLISH | WILL),
        MESSAGE_EXPIRY => ("Message Expiry Interval", Shape::Four, PUBLISH | WILL),
        CONTENT_TYPE => ("Content Type", Shape::Text, PUBLISH | WILL),
        RESPONSE_TOPIC => ("Response Topic", Shape::Text, PUBLISH | WILL),
        CORRELATION_DATA => ("Correlation Data", Shape::Binary, PUBLISH | WILL),
        SUBSCRIPTION_ID => ("Subscription Identifier", Shape::Varint, PUBLISH | SUBSCRIBE),
        SESSION_EXPIRY => ("Session Expiry Interval", Shape::Four, CONNECT | CONNACK | DISCONNECT),
        ASSIGNED_CLIENT_ID => ("Assigned Client Identifier", Shape::Text, CONNACK),
        SERVER_KEEP_ALIVE => ("Server Keep Alive", Shape::Two, CONNACK),
        AUTHENTICATION_METHOD => ("Authentication Method", Shape::Text, CONNECT | CONNACK | AUTH),
        AUTHENTICATION_DATA => ("Authentication Data", Shape::Binary, CONNECT | CONNACK | AUTH),
        REQUEST_PROBLEM => ("Request Problem Information", Shape::Flag, CONNECT),
        WILL_DELAY => ("Will Delay Interval", Shape::Four, WILL),
        REQUEST_RESPONSE => ("Request Response Information", Shape::Flag, CONNECT),
        26 => ("Response Information", Shape::Text, CONNACK),
        SERVER_REFERENCE => ("Server Reference", Shape::Text, CONNACK | DISCONNECT),
        REASON_STRING => ("Reason String", Shape::Text, ANSWERS),
        RECEIVE_MAXIMUM => ("Receive Maximum", Shape::Some2, CONNECT | CONNACK),
        TOPIC_ALIAS_MAXIMUM => ("Topic Alias Maximum", Shape::Two, CONNECT | CONNACK),
        TOPIC_ALIAS => ("Topic Alias", Shape::Two, PUBLISH),
        36 => ("Maximum QoS", Shape::Flag, CONNACK),
        RETAIN_AVAILABLE => ("Retain Available", Shape::Flag, CONNACK),
        USER => ("User Property", Shape::Pair, u16::MAX),
        MAXIMUM_PACKET_SIZE => ("Maximum Packet Size", Shape::Some4, CONNECT | CONNACK),
        WILDCARDS_AVAILABLE => ("Wildcard Subscription Available", Shape::Flag, CONNACK),
        SUBSCRIPTION_IDS_AVAILABLE => ("Subscription Identifier Available", Shape::Flag, CONNACK),
        ORIGINAL => ("payload as it came", Shape::Binary, 0),
        SHARED_AVAILABLE => ("Shared Subscription Available", Shape::Flag, CONNACK),
        _ => return None,
    };
    Some(Row { name, shape, places })
}

impl Row {
    /// Whether it may stand there.
    pub(super) fn may_be_in(&self, place: Place) -> bool {
        let bit = match place {
            Place::Packet(kind) => kind as u16,
            Place::Will => 0,
        };
        self.places >> bit & 1 == 1
    }
}

/// Whether a publisher's property goes on to who receives the message (3.3.2.3).
pub(super) fn is_passed_on(id: u8) -> bool {
    matches!(id, PAYLOAD_FORMAT | CONTENT_TYPE | RESPONSE_TOPIC | CORRELATION_DATA | USER)
}
