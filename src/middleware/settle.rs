//! What a consumer says of a message: frames that are not answered.

use std::time::Duration;

use super::origin::Origin;
use super::wire::write_command;
use crate::codec::FrameField;
use crate::protocol::{Command, Format};

/// What became of a message.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settle<'a> {
    /// It is done.
    Ack,
    /// It could not be done, and is to come again: after so long, or as the consumer's `backoff`
    /// says.
    Nak(Option<Duration>),
    /// It is still worked at.
    Touch,
    /// It can never be done, and why.
    Reject(&'a str),
}

/// Appends the frame; `false` where the message is not of a consumer.
pub(super) fn write_settle(
    format: Format,
    origin: &Origin,
    settle: Settle<'_>,
    out: &mut Vec<u8>,
) -> bool {
    let (Some(consumer), Ok(seq)) = (&origin.consumer, i64::try_from(origin.seq)) else {
        return false;
    };
    let mut fields = vec![
        ("seq", FrameField::Int(seq)),
        ("consumer", FrameField::Str(consumer)),
        ("stream", FrameField::Str(&origin.stream)),
    ];
    let command = match settle {
        Settle::Ack => Command::Ack,
        Settle::Touch => Command::Touch,
        Settle::Nak(delay) => {
            let delay = delay.map(|delay| FrameField::Float(delay.as_secs_f64()));
            fields.extend(delay.map(|delay| ("delay", delay)));
            Command::Nak
        }
        Settle::Reject(reason) => {
            fields.extend((!reason.is_empty()).then_some(("reason", FrameField::Str(reason))));
            Command::Reject
        }
    };
    write_command(format, command.as_str(), &fields, out);
    true
}
