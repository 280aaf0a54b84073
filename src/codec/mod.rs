//! Bytes to values and back: one file or folder per format, and around them the envelope.
//!
//! A reader turns bytes into a [`Document`], a writer turns a document into bytes; a [`Batch`] carries what one read
//! brought to all who want it, and a [`Payload`] is one message that is remembered.

mod ahead;
mod batch;
mod claimed;
mod convert;
mod document;
mod envelope;
pub mod json;
mod keys;
mod memory;
mod nesting;
mod number;
mod page;
mod payload;
pub mod pickle;
mod published;
mod spares;
mod topics;
mod words;
pub mod xml;

pub use ahead::{Ahead, Asked};
pub use batch::{Batch, Run, Wanted};
pub use claimed::{DECODING_FACTOR, Workspace};
pub use convert::{from_value, to_value};
pub use document::{Budget, Document, Mark, Node, Size, Text, View};
pub use envelope::{
    Content, ControlRequest, Dialect, FrameField, KnownEnvelope, Message, Part, Recognised, Request,
    decode_part, encoded_size, longest_body, read_request, write_backup, write_delivery, write_frame,
    write_reply, write_stats, write_value,
};
pub use memory::{Account, Claim, Share};
pub use payload::{Frame, Payload, PayloadRef};
pub use published::Published;
pub use spares::Spares;
pub use topics::Topics;
