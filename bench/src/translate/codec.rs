//! The library as a program may call it: a payload is parsed and translated, and each result is
//! memory of its own.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Context, Result};
use babelmq::Message;

use crate::direction::Direction;
use crate::stream::Stream;

pub(super) fn rate(stream: &Stream, direction: Direction, time: Duration) -> Result<f64> {
    super::per_second(time, stream.messages.len(), || {
        for payload in stream.payloads(direction.from) {
            let message = Message::parse(direction.from, black_box(payload));
            let translated = message.and_then(|message| message.translate(direction.to, false));
            black_box(translated.with_context(|| format!("{direction} of a message"))?);
        }
        Ok(())
    })
}
