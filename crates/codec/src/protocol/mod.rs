//! The vocabulary of the wire, and its meaning. This room names no other.
//!
//! The contract in prose is `docs/protocol.md`; here is its vocabulary: [`Format`], [`Topic`] and
//! [`TopicFilter`], the messages, the frames, the limits, the error codes, and the [`Value`] that
//! every format is translated through.

mod error;
mod format;
mod frame;
mod limits;
mod message;
mod ndarray;
#[cfg(feature = "serde")]
#[doc(hidden)]
pub mod newtype;
mod pickle_classes;
mod qos;
mod scalar_type;
#[cfg(feature = "serde")]
mod serde;
mod stream;
mod token;
mod topic;
mod value;

pub use error::{ErrorCode, Grounds, Refusal};
pub use format::{Format, UnknownFormat};
pub use frame::{
    FrameBuffer, FrameFault, HEADER_LEN, Header, LARGEST_BUFFER, NextSize, frame_at, whole_frames,
};
pub use limits::{
    DECODED_FLOOR, DECODED_PER_BYTE, DEFAULT_BACKBONE_WAIT, DEFAULT_FRAME_TIMEOUT,
    DEFAULT_FSYNC_INTERVAL, DEFAULT_KEEPALIVE, DEFAULT_LOGIN_TIMEOUT, DEFAULT_MAX_CONNECTIONS,
    DEFAULT_MAX_ENCODED, DEFAULT_MAX_SUBSCRIPTIONS, DEFAULT_QUEUE_BYTES, DEFAULT_QUEUE_MESSAGES,
    DEFAULT_STOP_TIMEOUT, DEFAULT_STORED_BYTES, DEFAULT_STORED_VALUES, DEFAULT_WRITE_TIMEOUT,
    ENCODED_FLOOR, ENCODED_PER_BYTE, EXPIRY_COST, KEEPALIVE_INTERVAL, KEEPALIVE_PROBES, Limits,
    MAX_DEPTH, MAX_INT_DIGITS, MAX_PATTERNS, MAX_SHAPES_OF_BROKER, MAX_TOPIC_BYTES,
    MAX_TOPIC_SEGMENTS, MAX_UNSAVED_CLEARS, MAXIMUM_DECODED_SIZE, MAXIMUM_MAX_ENCODED,
    MAXIMUM_MAX_FRAME, NODE_SIZE, TOPIC_COST, UNSAVED_CLEAR, plain_size,
};
pub use message::{Command, Id, KeptSubscription, Overflow, Reply};
pub use ndarray::Ndarray;
pub use pickle_classes::{ClassPattern, InvalidClassPattern, PickleClasses};
pub use qos::Qos;
pub use scalar_type::ScalarType;
pub use stream::{
    AdminRequest, DEFAULT_ACK_WAIT, DEFAULT_MAX_DELIVER, DEFAULT_WINDOW, DurableRequest,
    MAX_BACKOFF, MAX_LAST, MAX_PUBLISH_ID_BYTES, MAX_REASON_BYTES, MAX_SECONDS, MAX_WINDOW, Order,
    STREAM_NAME_BYTES, Settlement, Start, WhenFull,
};
pub use token::Token;
pub use topic::{
    Shape, Topic, TopicFilter, TopicName, check_topic_limits, check_writable, is_brokers,
};
pub use value::{Object, ParseIntError, Value};
