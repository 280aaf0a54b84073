//! The time of day, which may be set.

use std::time::{SystemTime, UNIX_EPOCH};

/// The time by the wall clock, in milliseconds since 1970.
pub fn wall_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
