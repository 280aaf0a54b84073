//! The way from a message that was pulled to the connection on which it came.

use std::fmt;
use std::sync::Weak;

use super::origin::Origin;
use super::outgoing::Outgoing;
use super::settle::{Settle, write_settle};
use crate::protocol::Format;

/// Settles messages of one connection, from any thread. It does not keep the connection open.
#[derive(Clone, Default)]
pub(super) struct Settler {
    out: Weak<Outgoing>,
    format: Option<Format>,
}

impl Settler {
    pub(super) fn new(out: Weak<Outgoing>, format: Format) -> Settler {
        Settler { out, format: Some(format) }
    }

    /// Says what became of a message, together with what is said next. Returns whether the
    /// connection is still there on which it came: on another one its number may be in other hands.
    pub(super) fn settle(&self, origin: &Origin, settle: Settle<'_>) -> bool {
        let (Some(out), Some(format)) = (self.out.upgrade(), self.format) else { return false };
        let mut frame = Vec::new();
        let is_consumers = write_settle(format, origin, settle, &mut frame);
        if is_consumers {
            out.join(&frame);
        }
        is_consumers
    }
}

/// Messages are compared by what they are, and not by where they came.
impl PartialEq for Settler {
    fn eq(&self, _: &Settler) -> bool {
        true
    }
}

impl fmt::Debug for Settler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settler").finish_non_exhaustive()
    }
}
