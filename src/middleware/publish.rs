//! What a publish can ask for beside its message.

use std::time::Duration;

use crate::codec::{Content, FrameField, Message, write_frame};
use crate::protocol::{ErrorCode, Format, MAX_PUBLISH_ID_BYTES, Refusal, Topic};

/// How a message is to be published.
///
/// ```
/// use std::time::Duration;
/// use babelmq::Publish;
///
/// let stored_for_half_a_minute = Publish::default().ttl(Duration::from_secs(30));
/// let not_stored = Publish::default().retain(false);
/// # assert!(stored_for_half_a_minute.retain && !not_stored.retain);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Publish {
    /// Whether it becomes the topic's last value, for those who subscribe later. Default true.
    pub retain: bool,
    /// How long it is the last value, unless another comes before; a fraction of a second counts as
    /// a whole one. `None`, the default, leaves it to the broker, which keeps it until another
    /// comes if it has no rule for the topic.
    pub ttl: Option<Duration>,
}

impl Default for Publish {
    fn default() -> Publish {
        Publish { retain: true, ttl: None }
    }
}

impl Publish {
    /// Says whether the message becomes the topic's last value.
    #[must_use]
    pub fn retain(self, retain: bool) -> Publish {
        Publish { retain, ..self }
    }

    /// Has the broker forget the value after so long.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Publish {
        Publish { ttl: Some(ttl), ..self }
    }

    /// The time to live as it is said on the wire, in seconds.
    ///
    /// # Errors
    /// [`ErrorCode::InvalidField`] for no time at all, and for more seconds than 32 bits hold.
    pub(super) fn seconds(&self) -> Result<Option<u32>, Refusal> {
        let Some(ttl) = self.ttl else { return Ok(None) };
        let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0));
        match u32::try_from(seconds) {
            Ok(seconds) if seconds > 0 => Ok(Some(seconds)),
            _ => Err(Refusal::new(
                ErrorCode::InvalidField,
                format!("a time to live is from 1 to {} seconds, not {ttl:?}", u32::MAX),
            )),
        }
    }
}

/// An `id` as a broker takes it.
///
/// # Errors
/// [`ErrorCode::InvalidField`] for one that is empty or too long.
pub(super) fn check_id(id: &str) -> Result<&str, Refusal> {
    match id.len() {
        1..=MAX_PUBLISH_ID_BYTES => Ok(id),
        length => Err(Refusal::new(
            ErrorCode::InvalidField,
            format!("an id has 1 to {MAX_PUBLISH_ID_BYTES} bytes, not {length}"),
        )),
    }
}

/// Appends the `publish` frame of a message.
pub(super) fn write_message(
    message: &Message,
    topic: &Topic,
    (how, id): (Publish, Option<&str>),
    out: &mut Vec<u8>,
) -> Result<(), Refusal> {
    let id = id.map(check_id).transpose()?.map(|id| ("id", FrameField::Str(id)));
    let passing = (!how.retain).then_some(("retain", FrameField::Bool(false)));
    let ttl = how.seconds()?.map(|seconds| ("ttl", FrameField::Int(seconds.into())));
    let fields =
        [("command", FrameField::Str("publish")), ("topic", FrameField::Str(topic.as_str()))];
    let fields = fields.iter().chain(&passing).chain(&ttl).chain(&id);
    match message.format() {
        Format::Json | Format::Xml => {
            write_frame(out, message.dialect(), fields, Some(Content::Published(message.bytes())));
        }
        Format::Pickle => message.looked_at(|view| {
            write_frame(out, message.dialect(), fields, Some(Content::Decoded(view)));
        })?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_to_live_is_whole_seconds_and_never_shorter_than_asked_for() {
        for (ttl, seconds) in [
            (Some(Duration::ZERO), None),
            (Some(Duration::from_nanos(1)), Some(Some(1))),
            (Some(Duration::from_millis(1_001)), Some(Some(2))),
            (Some(Duration::from_secs(u64::from(u32::MAX))), Some(Some(u32::MAX))),
            (Some(Duration::from_secs(u64::from(u32::MAX) + 1)), None),
            (Some(Duration::MAX), None),
            (None, Some(None)),
        ] {
            assert_eq!(Publish { ttl, ..Publish::default() }.seconds().ok(), seconds, "{ttl:?}");
        }
    }
}
