//! JSON, XML and Python pickle: read as plain data, written, and translated into each other.
//!
//! ```
//! use babelmq_codec::{ErrorCode, Format, Message};
//!
//! // What `pickle.dumps({"temp": 21.5, "tags": {"a"}})` makes.
//! let pickled = b"\x80\x04}(\x8c\x04tempG@5\x80\x00\x00\x00\x00\x00\x8c\x04tags\x8f(\x8c\x01a\x90u.";
//! let message = Message::parse(Format::Pickle, pickled)?;
//! let json = message.translate(Format::Json, false)?;
//! assert_eq!(json.bytes(), br#"{"temp":21.5,"tags":{"$set":["a"]}}"#);
//! assert_eq!(message.value()?.get("temp").and_then(|temp| temp.as_f64()), Some(21.5));
//!
//! // A pickle is a program. Here it runs on a machine that knows plain data and nothing else.
//! let attack = Message::parse(Format::Pickle, b"cos\nsystem\n(S'echo hello'\ntR.").unwrap_err();
//! assert_eq!(attack.code, ErrorCode::ForbiddenPickle);
//! assert!(attack.reason.contains("os.system"));
//! # Ok::<(), babelmq_codec::Refusal>(())
//! ```
//!
//! [`Message`] is a payload that was judged: parse one, [`translate`](Message::translate) it, or
//! look at its [`Value`]. `docs/protocol.md` of babelmq, the broker that this library belongs to,
//! tells what a value becomes in each format. [`pickle::opcodes`] takes a pickle apart without
//! running it.
//!
//! - No byte of the input decides what runs: an opcode that imports, calls, builds or fetches is
//!   refused ([`ErrorCode::ForbiddenPickle`]), and so are a document type and entities in XML.
//! - Nothing recurses on the input, and memory is bounded by its length: see [`Limits`].
//! - No threads are started, no clock is read, no socket is opened, and there is no `unsafe`.
//!
//! # The rest of the house
//!
//! The broker works on less than a [`Message`]: on batches of payloads that lie where a read has
//! put them. A reader turns bytes into a `Document`, a writer turns a document into bytes; a
//! `Batch` carries what one read brought to all who want it, and a `Payload` is one message that is
//! remembered. These are public for the broker and hidden here.

mod batch;
mod batch_entry;
mod budget;
mod buffer_pool;
mod claimed;
mod class_name;
mod convert;
mod document;
mod eager;
mod encoding;
mod envelope;
#[doc(hidden)]
pub mod json;
mod keys;
mod lanes;
mod memory;
mod message;
mod ndarray;
mod nesting;
mod node;
mod number;
mod out_buf;
mod payload;
mod payload_kind;
mod payload_spelling;
pub mod pickle;
pub mod protocol;
mod scalar_type;
mod span;
mod swar;
mod tenths;
mod topics;
#[doc(hidden)]
pub mod xml;

pub use message::Message;
pub use protocol::ScalarType;
pub use scalar_type::NotOfType;

pub use protocol::{ErrorCode, Format, Limits, Ndarray, Object, PickleClasses, Refusal, Value};

// What the broker is made of. No part of the interface: it changes with the broker.
#[doc(hidden)]
pub use batch::{Batch, Run, Wanted, id_cost, properties_cost};
#[doc(hidden)]
pub use batch_entry::BatchEntry;
#[doc(hidden)]
pub use budget::Budget;
#[doc(hidden)]
pub use buffer_pool::BufferPool;
#[doc(hidden)]
pub use claimed::{DECODING_FACTOR, Workspace};
#[doc(hidden)]
pub use convert::{from_value, to_value};
#[doc(hidden)]
pub use document::{Document, Mark, View};
#[doc(hidden)]
pub use eager::{DialectHint, EagerEncoding};
#[doc(hidden)]
pub use encoding::Encoding;
#[doc(hidden)]
pub use envelope::{
    Content, ControlRequest, Credentials, Dialect, EnvelopeCache, EnvelopeMatch, FrameField,
    KeptFields, Part, PayloadSpan, RawFormat, Request, decode_part, encoded_size, judge_raw,
    longest_body, quick_ack, read_request, write_backup, write_delivery, write_frame, write_kept,
    write_reply, write_stats, write_value,
};
#[doc(hidden)]
pub use memory::{Account, Claim, Share};
#[doc(hidden)]
pub use node::{NamedType, Node, Size, Text};
#[doc(hidden)]
pub use payload::{Frame, Payload, PayloadRef};
#[doc(hidden)]
pub use payload_kind::PayloadKind;
#[doc(hidden)]
pub use scalar_type::timedelta_microseconds;
#[doc(hidden)]
pub use tenths::Tenths;
pub use topics::Topics;
#[doc(hidden)]
pub use xml::PlainNames;

/// Gives back the memory that this thread keeps from one message to the next: for one of many
/// threads, which may wait for long.
#[doc(hidden)]
pub fn release_scratch() {
    keys::release_scratch();
    pickle::release_scratch();
    xml::release_scratch();
}
