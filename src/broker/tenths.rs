//! The clock by which messages are over that wait for their readers.

use std::sync::OnceLock;
use std::time::Instant;

use crate::codec::Tenths;

/// What it shows now. Models have it as well: no thread waits for it.
pub fn tenths() -> Tenths {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    Tenths::after(FIRST.get_or_init(Instant::now).elapsed())
}
