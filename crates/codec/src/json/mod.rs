//! JSON (RFC 8259).
//!
//! One grammar serves two readers: [`decode`] builds a document, `read_fields` judges a
//! message body and leaves its bytes as they are. Written by hand because what is judged here is what serde_json
//! lets through or cannot tell: integers beyond 64 bits, numbers beyond a double, lone surrogates, depth.

mod glance;
mod grammar;
mod judge;
mod onward;
mod read;
mod size;
mod straight;
mod write;

pub(super) use judge::{literal_length, may_be_everyday, plain_value, read_fields};
pub(super) use onward::{Spelled, Target, walk};
pub use read::decode;
pub(super) use size::size;
pub use write::{encode, encode_published, write_str};
pub(super) use write::{put, put_text};

#[cfg(test)]
mod tests;
