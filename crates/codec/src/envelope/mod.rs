//! The message around the payload, in every format: requests are read, replies and deliveries are
//! written.

mod cache;
mod fields;
mod live;
mod longest;
mod reply;
mod request;
mod tighter;
mod write;

pub(super) use cache::MOST_REMEMBERED;
pub use cache::{EnvelopeCache, EnvelopeMatch};
pub(super) use fields::{Field, Fields, Name};
pub(super) use live::{payload_in, write_judged, write_live, write_unjudged};
pub(super) use longest::{decoded_surely_fits, hold_value_to_max_encoded, longest_unjudged};
pub use longest::{encoded_size, longest_body};
pub use reply::{
    Content, Dialect, write_backup, write_delivery, write_reply, write_stats, write_value,
};
pub(crate) use request::decode_within;
pub use request::{ControlRequest, Part, PayloadSpan, Request, decode_part, read_request};
pub use write::{Field as FrameField, write_frame};
