//! Whether this thread reads a value of the model.
//!
//! What stands in an internally tagged or untagged enum, or in a flattened struct, reaches its type
//! through a buffer of serde's, and nothing there says whose deserializer filled it.

use std::cell::Cell;

thread_local! {
    static IS_ON: Cell<bool> = const { Cell::new(false) };
}

/// As long as it lives, a value of the model is read.
pub(super) struct Reading {
    was_on: bool,
}

impl Reading {
    pub(super) fn begin() -> Reading {
        Reading { was_on: IS_ON.replace(true) }
    }

    pub(super) fn is_on() -> bool {
        IS_ON.get()
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        IS_ON.set(self.was_on);
    }
}
