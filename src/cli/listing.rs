//! Lists of a broker: as it says them, and read.

use std::io::{self, Write};

use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::pretty;
use crate::codec::Message;
use crate::middleware::QueueError;

/// Prints what the broker says.
pub(super) fn json(message: &Message) -> Result<(), Failure> {
    let text = String::from_utf8_lossy(message.bytes());
    Ok(writeln!(io::stdout(), "{}", pretty::data(&text))?)
}

/// Reads what the broker says, in JSON.
pub(super) fn read<T: DeserializeOwned>(message: &Message) -> Result<T, QueueError> {
    serde_json::from_slice(message.bytes()).map_err(|error| QueueError::Protocol(error.to_string()))
}
