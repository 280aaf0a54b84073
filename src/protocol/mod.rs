//! What crosses the wire, and what it means. This room names no other.
//!
//! The contract in prose is `docs/protocol.md`; here is its vocabulary: [`Format`], [`Topic`] and
//! [`TopicFilter`], the messages, the frames, the limits, the error codes, and the [`Value`] that every
//! format is translated through.

mod error;
mod format;
mod frame;
mod limits;
mod message;
mod topic;
mod value;

pub use error::{ErrorCode, Grounds, Refusal};
pub use format::{Format, UnknownFormat};
pub use frame::{FrameBuffer, FrameFault, HEADER_LEN, Header};
pub use limits::{
    Limits, MAX_DEPTH, MAX_INT_DIGITS, MAX_TOPIC_BYTES, MAX_TOPIC_SEGMENTS, MAXIMUM_MAX_FRAME, NODE_SIZE,
};
pub use message::{Command, Id, Overflow, Reply};
pub use topic::{Topic, TopicFilter};
pub use value::{ParseIntError, Value};
