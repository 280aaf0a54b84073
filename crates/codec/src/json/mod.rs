//! JSON (RFC 8259).
//!
//! One grammar serves two readers: [`decode`] builds a document, `read_fields` judges a message
//! body and leaves its bytes as they are. Written by hand because what is judged here is what
//! serde_json lets through or cannot tell: integers beyond 64 bits, numbers beyond a double, lone
//! surrogates, depth.

mod fast_decode;
mod fast_validate;
mod grammar;
mod read;
mod scalar;
mod size;
mod style;
mod tags;
mod transcode;
mod unescape;
mod validate;
mod write;

pub use read::decode;
pub(super) use scalar::put_text;
pub use scalar::write_str;
pub(super) use size::size;
pub use tags::Tags;
pub(super) use transcode::{Spelled, Target, walk};
pub(super) use validate::{literal_length, may_be_everyday, plain_value, read_fields};
pub(super) use write::put;
pub use write::{encode, encode_published};

#[cfg(test)]
mod tests;
