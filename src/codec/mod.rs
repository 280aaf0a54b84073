//! Bytes to values and back: one file or folder per format.

mod document;
mod keys;
pub mod pickle;
pub mod xml;

pub use document::{Budget, Document, Mark, Node, Size, Text, View};
