//! What the payloads of an MQTT listener are, where a message does not say so itself.

use crate::codec::Dialect;
use crate::protocol::Format;

/// What the payloads of an MQTT listener are, where the content type of an MQTT 5 message does not
/// say so; and what its subscribers get of messages that came from elsewhere.
///
/// ```
/// use babelmq::{ListenUrl, MqttFormat};
///
/// let url: ListenUrl = "mqtt://127.0.0.1:1883?format=xml".parse()?;
/// assert_eq!(url, ListenUrl::Mqtt(([127, 0, 0, 1], 1883).into(), MqttFormat::Xml));
/// # Ok::<(), babelmq::ParseListenUrlError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MqttFormat {
    /// JSON where it is JSON, else text where it is UTF-8, else bytes. Subscribers get JSON.
    #[default]
    Auto,
    /// JSON; anything else is refused.
    Json,
    /// XML; anything else is refused.
    Xml,
    /// Pickle; anything else is refused.
    Pickle,
    /// Text; what is not UTF-8 is refused. Subscribers get JSON of what is no text.
    Text,
    /// Bytes, whatever they are. Subscribers get JSON of what is neither bytes nor text.
    Bytes,
}

impl MqttFormat {
    const ALL: [MqttFormat; 6] = [
        MqttFormat::Auto,
        MqttFormat::Json,
        MqttFormat::Xml,
        MqttFormat::Pickle,
        MqttFormat::Text,
        MqttFormat::Bytes,
    ];

    /// Its name in a URL.
    pub fn name(self) -> &'static str {
        match self {
            MqttFormat::Auto => "auto",
            MqttFormat::Json => "json",
            MqttFormat::Xml => "xml",
            MqttFormat::Pickle => "pickle",
            MqttFormat::Text => "text",
            MqttFormat::Bytes => "bytes",
        }
    }

    /// The one of a name in a URL.
    pub(crate) fn from_name(name: &str) -> Option<MqttFormat> {
        MqttFormat::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Whether subscribers get what MQTT has brought as it came, whatever it is.
    pub(crate) fn takes_all(self) -> bool {
        matches!(self, MqttFormat::Auto | MqttFormat::Text | MqttFormat::Bytes)
    }

    /// How subscribers get what came from elsewhere.
    pub(crate) fn dialect(self) -> Dialect {
        let format = match self {
            MqttFormat::Xml => Format::Xml,
            MqttFormat::Pickle => Format::Pickle,
            MqttFormat::Auto | MqttFormat::Json | MqttFormat::Text | MqttFormat::Bytes => {
                Format::Json
            }
        };
        Dialect::new(format, false)
    }
}
