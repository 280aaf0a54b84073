//! The message around the payload, in every format: requests are read, replies and deliveries are
//! written.

mod bounds;
mod cache;
mod decode;
mod dialect;
mod fields;
mod kept;
mod live;
mod longest;
mod payload_span;
mod quick_ack;
mod raw;
mod read;
mod reply;
mod request;
mod tighter;
mod write;

pub(super) use bounds::{decoded_surely_fits, longest_unjudged};
pub(super) use cache::MOST_REMEMBERED;
pub use cache::{EnvelopeCache, EnvelopeMatch};
pub use decode::decode_part;
pub(crate) use decode::decode_within;
pub use dialect::Dialect;
pub(super) use fields::{Field, Fields, Name};
pub use kept::{KeptFields, write_kept};
pub(super) use live::{payload_in, write_judged, write_live, write_unjudged};
pub(super) use longest::hold_value_to_max_encoded;
pub use longest::{encoded_size, longest_body};
pub use payload_span::{Part, PayloadSpan};
pub use quick_ack::quick_ack;
pub(super) use raw::hold_raw_to_limits;
pub use raw::{RawFormat, judge_raw};
pub use read::read_request;
pub use reply::{write_backup, write_delivery, write_reply, write_stats, write_value};
pub use request::{ControlRequest, Credentials, Request};
pub use write::{Content, Field as FrameField, write_frame};
