//! The limits of the broker, for clients that would rather know than try.

use super::response::Response;
use crate::protocol::{Limits, Value};

/// The limits of what a message may be, and others that the broker has.
pub(crate) fn limits(limits: &Limits, others: &[(&'static str, usize)]) -> Response {
    let number = |number: usize| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
    let of_messages = [
        ("max_frame", limits.max_frame as usize),
        ("max_encoded", limits.max_encoded as usize),
        ("decoded_size", limits.decoded_size),
        ("depth", limits.depth),
        ("int_digits", limits.int_digits),
        ("topic_bytes", limits.topic_bytes),
        ("topic_segments", limits.topic_segments),
    ];
    let all = of_messages.iter().chain(others).map(|(name, limit)| (*name, number(*limit)));
    let version = ("version", Value::Str(env!("CARGO_PKG_VERSION").to_owned()));
    Response::of_json([version].into_iter().chain(all))
}
