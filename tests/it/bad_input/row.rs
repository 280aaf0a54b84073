//! One bad input and what must come of it.

use babelmq::Format::{self, Json, Pickle, Xml};

use crate::support::Field::{Raw, Str};
use crate::support::{body, frame};

/// Where every payload of the table is published to, should it be accepted.
pub const TARGET: &str = "/t";

pub struct Row {
    pub name: String,
    /// Everything that is sent, headers included.
    pub bytes: Vec<u8>,
    pub outcome: Outcome,
    /// What the reason of a refusal names.
    pub named: String,
}

impl Row {
    pub fn naming(self, what: &str) -> Row {
        Row { named: what.into(), ..self }
    }
}

/// What the broker does.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// An `error` with this code in this format; the connection goes on.
    Refused(Format, &'static str),
    /// An `error` with a code that random bytes decide; the connection goes on.
    RefusedSomehow(Format),
    /// An `error` with this code in this format, and then the end of the connection.
    Fatal(Format, &'static str),
    /// It waits for the rest, and when there is none the connection ends without a word.
    Unfinished,
    /// It is no bad input after all: everyone gets this, as Python's `repr` has it.
    Delivered(String),
}

use Outcome::{Delivered, Refused};

/// Bytes that are not in frames, or not in whole ones.
pub fn raw(name: impl Into<String>, bytes: impl Into<Vec<u8>>, outcome: Outcome) -> Row {
    Row { name: name.into(), bytes: bytes.into(), outcome, named: String::new() }
}

/// A body that is refused.
pub fn refused(
    name: impl Into<String>,
    format: Format,
    body: impl AsRef<[u8]>,
    code: &'static str,
) -> Row {
    raw(name, frame(format.byte(), body.as_ref()), Refused(format, code))
}

/// A payload that is refused in an otherwise good publish. It is spelled as [`Raw`] is.
pub fn payload(
    name: impl Into<String>,
    format: Format,
    payload: impl AsRef<[u8]>,
    code: &'static str,
) -> Row {
    refused(name, format, around(format, payload.as_ref()), code)
}

/// A payload that is accepted.
pub fn delivered(
    name: impl Into<String>,
    format: Format,
    payload: impl AsRef<[u8]>,
    repr: &str,
) -> Row {
    raw(name, frame(format.byte(), &around(format, payload.as_ref())), Delivered(repr.into()))
}

/// The body of a publish.
pub fn around(format: Format, payload: &[u8]) -> Vec<u8> {
    let fields = [("command", Str("publish")), ("topic", Str(TARGET)), ("message", Raw(payload))];
    body(format, &fields)
}

/// The beginnings of a whole frame, each with what becomes of it: as they are, and with a header
/// that says what they are.
pub fn truncations(format: Format, payload: &[u8]) -> Vec<Row> {
    let body = around(format, payload);
    let whole = frame(format.byte(), &body);
    let cut_off = (1..whole.len())
        .map(|cut| raw(format!("{format} frame cut at {cut}"), &whole[..cut], Outcome::Unfinished));
    let code = match format {
        Json => "malformed-json",
        Xml => "malformed-xml",
        Pickle => "malformed-pickle",
    };
    let shortened = (0..body.len()).map(|length| {
        refused(format!("{format} body cut at {length}"), format, &body[..length], code)
    });
    cut_off.chain(shortened).collect()
}
