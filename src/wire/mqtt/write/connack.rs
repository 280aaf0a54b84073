//! CONNACK: what becomes of a session, and what the broker can do (3.2).

use super::super::kinds::{Kind, Version};
use super::super::property;
use super::super::reason::Reason;
use super::parts::{Parts, TooLong, put_with_reason};

/// The answer to a CONNECT. What is none is not said, and so what the specification has for it.
///
/// ```
/// # use babelmq::internals::mqtt::{Connack, Reason, Version};
/// let mut out = Vec::new();
/// let refused = Connack { reason: Reason::BAD_LOGIN, ..Connack::default() };
/// assert_eq!(refused.put(Version::V3_1_1, &mut out, usize::MAX), Ok(true));
/// assert_eq!(out, [0x20, 2, 0, 4]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Connack<'a> {
    /// Whether there is a session that goes on. Not said of one that is refused.
    pub session_present: bool,
    /// What became of it.
    pub reason: Reason,
    /// Seconds for which the session stays, where that is not what the client asked for.
    pub session_expiry: Option<u32>,
    /// Messages of QoS 1 and 2 that may be on their way to the broker.
    pub receive_maximum: Option<u16>,
    /// Bytes that a packet to the broker may have.
    pub maximum_packet_size: Option<u32>,
    /// The name of a client that had none.
    pub assigned_client_id: Option<&'a str>,
    /// Aliases that the client may use for topics.
    pub topic_alias_maximum: Option<u16>,
    /// Why, in words.
    pub reason_string: Option<&'a str>,
    /// What the broker cannot do.
    pub missing: Missing,
    /// Seconds within which the client says something, where that is not what it said itself.
    pub server_keep_alive: Option<u16>,
}

/// What the broker cannot do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Last values.
    pub retain: bool,
    /// Filters with wildcards.
    pub wildcards: bool,
    /// Numbers of subscriptions.
    pub subscription_ids: bool,
    /// Subscriptions that several clients share.
    pub shared: bool,
}

impl Default for Connack<'_> {
    fn default() -> Self {
        Connack {
            session_present: false,
            reason: Reason::SUCCESS,
            session_expiry: None,
            receive_maximum: None,
            maximum_packet_size: None,
            assigned_client_id: None,
            topic_alias_maximum: None,
            reason_string: None,
            missing: Missing::default(),
            server_keep_alive: None,
        }
    }
}

impl Connack<'_> {
    /// Appends it, and says whether it did: versions before 5 have no word for most reasons, and
    /// then the connection is closed without an answer. A reason string that does not fit into
    /// `limit` bytes with the rest is left out.
    ///
    /// # Errors
    /// It is longer than `limit`; nothing is appended.
    pub fn put(&self, version: Version, out: &mut Vec<u8>, limit: usize) -> Result<bool, TooLong> {
        let session_present = u8::from(self.session_present && !self.reason.is_failure());
        if !version.is_5() {
            let Some(code) = self.reason.return_code() else { return Ok(false) };
            let mut parts = Parts::new(Kind::Connack);
            // The first byte is reserved in MQTT 3.1.
            parts.byte(if version == Version::V3_1 { 0 } else { session_present });
            parts.byte(code);
            return parts.put(out, limit).map(|()| true);
        }
        put_with_reason(self.reason_string, |words| {
            let mut parts = Parts::new(Kind::Connack);
            parts.byte(session_present);
            parts.byte(self.reason.0);
            parts.properties(|properties| {
                properties.four(property::SESSION_EXPIRY, self.session_expiry);
                properties.two(property::RECEIVE_MAXIMUM, self.receive_maximum);
                properties.four(property::MAXIMUM_PACKET_SIZE, self.maximum_packet_size);
                properties.text(property::ASSIGNED_CLIENT_ID, self.assigned_client_id);
                properties.two(property::TOPIC_ALIAS_MAXIMUM, self.topic_alias_maximum);
                properties.reason_string(words);
                properties.no(property::RETAIN_AVAILABLE, self.missing.retain);
                properties.no(property::WILDCARDS_AVAILABLE, self.missing.wildcards);
                properties.no(property::SUBSCRIPTION_IDS_AVAILABLE, self.missing.subscription_ids);
                properties.no(property::SHARED_AVAILABLE, self.missing.shared);
                properties.two(property::SERVER_KEEP_ALIVE, self.server_keep_alive);
            });
            parts.put(out, limit)
        })
        .map(|()| true)
    }
}
