//! The bytes that a payload may take while it is decoded, asked for before each value, so that a
//! short one cannot become a large one.

use crate::protocol::{DECODED_FLOOR, DECODED_PER_BYTE, ErrorCode, Limits, NODE_SIZE, Refusal};

/// The bytes that one payload may still take when decoded, see [`Limits::decoded_budget`].
#[derive(Debug)]
pub struct Budget {
    left: usize,
    limit: usize,
}

impl Budget {
    /// The whole budget of one payload, in a body of `len` bytes.
    pub fn new(limits: &Limits, len: usize) -> Budget {
        Budget::of(limits.decoded_budget(len))
    }

    /// A budget of so many bytes.
    pub fn of(limit: usize) -> Budget {
        Budget { left: limit, limit }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.left
    }

    /// Pays for one node and `text` bytes of text that belongs to it.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] when it is more than what is left.
    #[inline]
    pub fn node(&mut self, text: usize) -> Result<(), Refusal> {
        self.bytes(NODE_SIZE + text)
    }

    /// Pays for `count` bytes.
    ///
    /// # Errors
    /// [`ErrorCode::TooLarge`] when it is more than what is left.
    #[inline]
    pub fn bytes(&mut self, count: usize) -> Result<(), Refusal> {
        match self.left.checked_sub(count) {
            Some(left) => {
                self.left = left;
                Ok(())
            }
            None => Err(self.exhausted()),
        }
    }

    #[cold]
    fn exhausted(&self) -> Refusal {
        Refusal::new(
            ErrorCode::TooLarge,
            format!(
                "the message decodes to more than {} bytes, the limit of this broker for one of \
                 its length: {DECODED_PER_BYTE} \
                 bytes for each that was sent, {DECODED_FLOOR} at least, and --max-decoded at most",
                self.limit
            ),
        )
    }
}
