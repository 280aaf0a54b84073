//! Every limit, its unit, and why it is there.

/// How deep containers may nest inside one message. A list of lists of lists is 3 deep, a number 0.
///
/// Python's own pickler and `json` stop near 1,000; real messages stay below 20. A bound that every
/// format's reader can hold means that a message accepted once is readable everywhere.
pub const MAX_DEPTH: usize = 128;

/// Decimal digits in one integer, the sign not counted: CPython's `sys.int_info.default_max_str_digits`.
pub const MAX_INT_DIGITS: usize = 4_300;

/// Bytes in a topic or a topic filter, as UTF-8.
pub const MAX_TOPIC_BYTES: usize = 1_024;

/// Segments in a topic or a topic filter, the empty one before a leading `/` not counted.
pub const MAX_TOPIC_SEGMENTS: usize = 64;

/// The largest frame limit that may be configured, in bytes of body.
///
/// The worst that a translation does to a string is 6 bytes for 1 (a control character in JSON), so with
/// [`Limits::decoded_size`] held to 512 MiB no delivery can pass the 4 GiB that a frame's length can say.
pub const MAXIMUM_MAX_FRAME: u32 = 256 << 20;

/// What one value costs of the decoded-size budget, in bytes, before the bytes of its text.
pub const NODE_SIZE: usize = 16;

/// The limits that a deployment may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes in the body of one received frame. Default 16 MiB.
    pub max_frame: u32,
    /// Bytes that one payload may take when decoded: [`NODE_SIZE`] for each value and the bytes of its
    /// text, shared references counted as often as they are referred to. Default 16 × `max_frame`.
    pub decoded_size: usize,
}

impl Limits {
    /// Limits that follow from a frame limit, as the command line sets it; `max_frame` is in bytes and
    /// is cut to [`MAXIMUM_MAX_FRAME`].
    pub fn with_max_frame(max_frame: u32) -> Limits {
        let max_frame = max_frame.min(MAXIMUM_MAX_FRAME);
        let decoded_size = (max_frame as usize).saturating_mul(16).min(512 << 20);
        Limits { max_frame, decoded_size }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits::with_max_frame(16 << 20)
    }
}
