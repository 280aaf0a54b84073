//! What is fuzzed. Each target is a function from bytes; libFuzzer runs it with bytes of its own
//! making, and the tests run it with those that are kept in `corpus`.
//!
//! A target does not only look for panics. Three things hold for all of them:
//!
//! - what was accepted means what an independent reader says it means, or what it says after a
//!   round trip;
//! - memory and time are linear in the input, see [`linear`];
//! - nothing recurses on input: a target runs on the smallest stack that a thread of the broker
//!   has.

mod cost;
mod envelope;
mod frame;
mod http;
mod json;
mod login;
mod mqtt;
mod pickle;
mod plain;
mod same;
mod segment;
mod topic;
mod translate;
mod users;
mod websocket;
mod xml;

pub use cost::{Bound, frugal, linear};
pub use envelope::envelope;
pub use frame::frame;
pub use http::http;
pub use json::json;
pub use login::login;
pub use mqtt::{mqtt, mqtt_mistakes, mqtt_peer};
pub use pickle::pickle;
pub use segment::segment;
pub use topic::topic;
pub use translate::translate;
pub use users::users;
pub use websocket::websocket;
pub use xml::xml;

use babelmq::protocol::Limits;

/// A target.
pub type Target = fn(&[u8]);

/// Every target, by the name of its corpus.
pub const TARGETS: [(&str, Target); 13] = [
    ("frame", frame),
    ("json", json),
    ("xml", xml),
    ("pickle", pickle),
    ("topic", topic),
    ("envelope", envelope),
    ("translate", translate),
    ("users", users),
    ("login", login),
    ("http", http),
    ("websocket", websocket),
    ("segment", segment),
    ("mqtt", mqtt),
];

/// Bytes of stack that a target gets: an eighth of what a thread that serves a client has.
pub const STACK: usize = 128 << 10;

/// Runs a target on a stack of its own.
pub fn run(target: Target, input: &[u8]) {
    stacker::grow(STACK, || target(input));
}

/// The limits of a broker that takes just such an input: with them, what is bounded by the budget
/// of a payload is bounded by the input.
fn limits(input: &[u8]) -> Limits {
    const SMALLEST: usize = 1 << 10;
    Limits::with_max_frame(u32::try_from(input.len().max(SMALLEST)).unwrap_or(u32::MAX))
}
