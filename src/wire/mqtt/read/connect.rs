//! CONNECT: a client asks for a session, and says how it is to be (3.1).

use std::fmt;

use super::super::fault::Fault;
use super::super::kinds::{Kind, Version};
use super::super::property::{self, Place};
use super::super::reason::Reason;
use super::cursor::Cursor;
use super::head::Head;
use super::properties::{Content, Properties, Value};
use super::publish::topic_name;
use crate::protocol::Qos;

/// Seconds that mean for ever.
const FOR_EVER: u32 = u32::MAX;

/// What a client asks for. `Debug` does not show its password.
#[derive(Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// What it speaks.
    pub version: Version,
    /// Its name for itself; empty where the broker is to choose one.
    pub client_id: &'a str,
    /// Whether what is left of a session is thrown away.
    pub clean: bool,
    /// Seconds within which it says something; 0 where it need not.
    pub keep_alive: u16,
    /// What is published if it goes without a word.
    pub will: Option<Will<'a>>,
    /// As whom it logs in.
    pub user: Option<&'a str>,
    /// The password, or a token.
    pub password: Option<&'a [u8]>,
    /// Seconds for which the session outlives the connection; `u32::MAX` is for ever.
    pub session_expiry: u32,
    /// Messages of QoS 1 and 2 that may be on their way to it. None where it does not say.
    pub receive_maximum: Option<u16>,
    /// Bytes that a packet to it may have.
    pub maximum_packet_size: Option<u32>,
    /// Aliases that the broker may use for topics.
    pub topic_alias_maximum: u16,
    /// Whether it would like to be told where answers can go.
    pub wants_response_information: bool,
    /// Whether it wants reasons in words in any packet but CONNACK, PUBLISH and DISCONNECT.
    pub wants_reasons: bool,
    /// Its properties.
    pub properties: Properties<'a>,
}

/// The message of a client that goes without a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Will<'a> {
    /// Its topic, without wildcards.
    pub topic: &'a str,
    /// How surely it is to arrive.
    pub qos: Qos,
    /// Whether it is to be the topic's last value.
    pub retain: bool,
    /// Seconds that it waits for the client to come back.
    pub delay: u32,
    /// What its properties say.
    pub content: Content<'a>,
    /// The message.
    pub payload: &'a [u8],
}

impl fmt::Debug for Connect<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connect")
            .field("version", &self.version)
            .field("client_id", &self.client_id)
            .field("clean", &self.clean)
            .field("keep_alive", &self.keep_alive)
            .field("will", &self.will)
            .field("user", &self.user)
            .field("has_password", &self.password.is_some())
            .finish_non_exhaustive()
    }
}

/// The version that a CONNECT says, as far as it is there: for the answer to one that is refused.
pub fn said_version(region: &[u8]) -> Option<Version> {
    let head = Head::read(region, None, usize::MAX).ok()??;
    version(&mut Cursor::new(Kind::Connect.name(), region, head.start)).ok()
}

fn version(cursor: &mut Cursor<'_>) -> Result<Version, Fault> {
    const NAME: &str = "Protocol Name";
    const LEVEL: &str = "Protocol Version";
    let at = cursor.at();
    let name = cursor.binary(NAME)?;
    if !matches!(name, b"MQTT" | b"MQIsdp") {
        let what = "it is neither MQTT nor MQIsdp";
        return Err(cursor.fault(Reason::UNSUPPORTED_VERSION, NAME, at, what));
    }
    let at = cursor.at();
    match (name, cursor.byte(LEVEL)?) {
        (b"MQIsdp", 3) => Ok(Version::V3_1),
        (b"MQTT", 4) => Ok(Version::V3_1_1),
        (b"MQTT", 5) => Ok(Version::V5),
        _ => {
            let what = "the broker speaks 3 (MQIsdp), 4 (MQTT 3.1.1) and 5";
            Err(cursor.fault(Reason::UNSUPPORTED_VERSION, LEVEL, at, what))
        }
    }
}

/// The bits that say what a CONNECT has.
struct Flags {
    clean: bool,
    has_will: bool,
    will_qos: Qos,
    will_retain: bool,
    has_user: bool,
    has_password: bool,
}

impl Flags {
    fn read(cursor: &mut Cursor<'_>, is_5: bool) -> Result<Flags, Fault> {
        const FIELD: &str = "Connect Flags";
        let at = cursor.at();
        let bits = cursor.byte(FIELD)?;
        let malformed = |what| cursor.fault(Reason::MALFORMED, FIELD, at, what);
        let is_set = |bit: u8| bits >> bit & 1 == 1;
        let will_qos = Qos::from_byte(bits >> 3 & 0b11);
        let flags = Flags {
            clean: is_set(1),
            has_will: is_set(2),
            will_qos: will_qos.ok_or_else(|| malformed("the QoS of the will is 3"))?,
            will_retain: is_set(5),
            has_user: is_set(7),
            has_password: is_set(6),
        };
        if is_set(0) {
            return Err(malformed("the reserved bit is set"));
        }
        if !flags.has_will && (flags.will_retain || flags.will_qos != Qos::AtMostOnce) {
            return Err(malformed("there is no will, and it has a QoS or RETAIN"));
        }
        if flags.has_password && !flags.has_user && !is_5 {
            return Err(malformed("there is a password and no user name"));
        }
        Ok(flags)
    }
}

impl<'a> Connect<'a> {
    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<Connect<'a>, Fault> {
        let version = version(cursor)?;
        let flags = Flags::read(cursor, version.is_5())?;
        let mut connect = Connect {
            version,
            client_id: "",
            clean: flags.clean,
            keep_alive: cursor.two("Keep Alive")?,
            will: None,
            user: None,
            password: None,
            // A session of the versions before is either kept or not.
            session_expiry: if version.is_5() || flags.clean { 0 } else { FOR_EVER },
            receive_maximum: None,
            maximum_packet_size: None,
            topic_alias_maximum: 0,
            wants_response_information: false,
            wants_reasons: true,
            properties: Properties::default(),
        };
        if version.is_5() {
            connect.read_properties(cursor)?;
        }
        let at = cursor.at();
        connect.client_id = cursor.text("Client Identifier")?;
        let must_have_name = version == Version::V3_1 || (!version.is_5() && !flags.clean);
        if connect.client_id.is_empty() && must_have_name {
            let what = "it is empty, and the session is to be kept, or the version is 3.1";
            return Err(cursor.fault(Reason::CLIENT_ID, "Client Identifier", at, what));
        }
        if flags.has_will {
            connect.will = Some(Will::read(cursor, &flags, version.is_5())?);
        }
        if flags.has_user {
            connect.user = Some(cursor.text("User Name")?);
        }
        if flags.has_password {
            connect.password = Some(cursor.binary("Password")?);
        }
        Ok(connect)
    }

    fn read_properties(&mut self, cursor: &mut Cursor<'a>) -> Result<(), Fault> {
        let at = cursor.at();
        let (mut has_method, mut has_data) = (false, false);
        self.properties = Properties::read(cursor, Place::Packet(Kind::Connect), |property| {
            match (property.id, property.value) {
                (property::SESSION_EXPIRY, Value::Number(seconds)) => {
                    self.session_expiry = seconds;
                }
                (property::RECEIVE_MAXIMUM, Value::Number(messages)) => {
                    self.receive_maximum = u16::try_from(messages).ok();
                }
                (property::MAXIMUM_PACKET_SIZE, Value::Number(bytes)) => {
                    self.maximum_packet_size = Some(bytes);
                }
                (property::TOPIC_ALIAS_MAXIMUM, Value::Number(aliases)) => {
                    self.topic_alias_maximum = aliases as u16;
                }
                (property::REQUEST_RESPONSE, Value::Number(flag)) => {
                    self.wants_response_information = flag == 1;
                }
                (property::REQUEST_PROBLEM, Value::Number(flag)) => self.wants_reasons = flag == 1,
                (property::AUTHENTICATION_METHOD, _) => has_method = true,
                (property::AUTHENTICATION_DATA, _) => has_data = true,
                _ => {}
            }
            Ok(())
        })?;
        if has_method {
            let what = "the broker has none but user name and password";
            let reason = Reason::AUTHENTICATION_METHOD;
            return Err(cursor.fault(reason, "Authentication Method", at, what));
        }
        if has_data {
            let what = "there is no authentication method";
            let reason = Reason::PROTOCOL_ERROR;
            return Err(cursor.fault(reason, "Authentication Data", at, what));
        }
        Ok(())
    }
}

impl<'a> Will<'a> {
    fn read(cursor: &mut Cursor<'a>, flags: &Flags, is_5: bool) -> Result<Will<'a>, Fault> {
        let (mut delay, mut content) = (0, Content::default());
        if is_5 {
            content.properties = Properties::read(cursor, Place::Will, |property| {
                match (property.id, property.value) {
                    (property::WILL_DELAY, Value::Number(seconds)) => delay = seconds,
                    _ => return content.take(property),
                }
                Ok(())
            })?;
        }
        let at = cursor.at();
        let topic = topic_name(cursor, "Will Topic")?;
        if topic.is_empty() {
            return Err(cursor.fault(Reason::TOPIC_NAME, "Will Topic", at, "it is empty"));
        }
        let payload = cursor.binary("Will Payload")?;
        let (qos, retain) = (flags.will_qos, flags.will_retain);
        Ok(Will { topic, qos, retain, delay, content, payload })
    }
}
