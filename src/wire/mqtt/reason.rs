//! Reason codes of MQTT 5, and what the versions before it have of them.

use std::fmt;

/// A reason code (MQTT 5, 2.4). Those from 0x80 on are failures.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u8);

macro_rules! reasons {
    ($($name:ident = $code:literal $words:literal)*) => {
        impl Reason {
            $(
                #[doc = $words]
                pub const $name: Reason = Reason($code);
            )*

            /// The words of the specification for it.
            pub fn words(self) -> &'static str {
                match self.0 {
                    $($code => $words,)*
                    _ => "no reason code of MQTT",
                }
            }
        }
    };
}

reasons! {
    SUCCESS = 0x00 "Success"
    GRANTED_1 = 0x01 "Granted QoS 1"
    GRANTED_2 = 0x02 "Granted QoS 2"
    WITH_WILL = 0x04 "Disconnect with Will Message"
    NO_MATCHING_SUBSCRIBERS = 0x10 "No matching subscribers"
    NO_SUBSCRIPTION_EXISTED = 0x11 "No subscription existed"
    UNSPECIFIED = 0x80 "Unspecified error"
    MALFORMED = 0x81 "Malformed Packet"
    PROTOCOL_ERROR = 0x82 "Protocol Error"
    IMPLEMENTATION = 0x83 "Implementation specific error"
    UNSUPPORTED_VERSION = 0x84 "Unsupported Protocol Version"
    CLIENT_ID = 0x85 "Client Identifier not valid"
    BAD_LOGIN = 0x86 "Bad User Name or Password"
    NOT_AUTHORIZED = 0x87 "Not authorized"
    UNAVAILABLE = 0x88 "Server unavailable"
    BUSY = 0x89 "Server busy"
    BANNED = 0x8a "Banned"
    SHUTTING_DOWN = 0x8b "Server shutting down"
    AUTHENTICATION_METHOD = 0x8c "Bad authentication method"
    KEEP_ALIVE = 0x8d "Keep Alive timeout"
    TAKEN_OVER = 0x8e "Session taken over"
    TOPIC_FILTER = 0x8f "Topic Filter invalid"
    TOPIC_NAME = 0x90 "Topic Name invalid"
    ID_IN_USE = 0x91 "Packet Identifier in use"
    ID_NOT_FOUND = 0x92 "Packet Identifier not found"
    RECEIVE_MAXIMUM = 0x93 "Receive Maximum exceeded"
    TOPIC_ALIAS = 0x94 "Topic Alias invalid"
    TOO_LARGE = 0x95 "Packet too large"
    MESSAGE_RATE = 0x96 "Message rate too high"
    QUOTA = 0x97 "Quota exceeded"
    ADMINISTRATIVE = 0x98 "Administrative action"
    PAYLOAD_FORMAT = 0x99 "Payload format invalid"
    RETAIN = 0x9a "Retain not supported"
    QOS = 0x9b "QoS not supported"
    ANOTHER_SERVER = 0x9c "Use another server"
    SERVER_MOVED = 0x9d "Server moved"
    SHARED = 0x9e "Shared Subscriptions not supported"
    CONNECTION_RATE = 0x9f "Connection rate exceeded"
    MAXIMUM_CONNECT_TIME = 0xa0 "Maximum connect time"
    SUBSCRIPTION_IDS = 0xa1 "Subscription Identifiers not supported"
    WILDCARDS = 0xa2 "Wildcard Subscriptions not supported"
}

impl Reason {
    /// Whether it says that something has failed.
    pub fn is_failure(self) -> bool {
        self.0 >= 0x80
    }

    /// The return code of a CONNACK of MQTT 3.1.1 (3.2.2.3). None where that version has none: then
    /// the connection is closed without an answer.
    pub fn return_code(self) -> Option<u8> {
        Some(match self {
            Reason::SUCCESS => 0,
            Reason::UNSUPPORTED_VERSION => 1,
            Reason::CLIENT_ID => 2,
            Reason::UNAVAILABLE
            | Reason::BUSY
            | Reason::SHUTTING_DOWN
            | Reason::QUOTA
            | Reason::CONNECTION_RATE => 3,
            Reason::BAD_LOGIN => 4,
            Reason::NOT_AUTHORIZED | Reason::BANNED | Reason::AUTHENTICATION_METHOD => 5,
            _ => return None,
        })
    }

    /// What a SUBACK of MQTT 3.1.1 says (3.9.3): what was granted, or that it has failed.
    pub fn granted(self) -> u8 {
        self.0.min(Reason::UNSPECIFIED.0)
    }

    /// What an UNSUBACK says of it (3.11.3), which has fewer words than SUBACK: none for a quota
    /// and none for a shared subscription.
    pub fn ended(self) -> Reason {
        match self {
            Reason::SUCCESS
            | Reason::NO_SUBSCRIPTION_EXISTED
            | Reason::UNSPECIFIED
            | Reason::IMPLEMENTATION
            | Reason::NOT_AUTHORIZED
            | Reason::TOPIC_FILTER
            | Reason::ID_IN_USE => self,
            _ => Reason::IMPLEMENTATION,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (0x{:02x})", self.words(), self.0)
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
