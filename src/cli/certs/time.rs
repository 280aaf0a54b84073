//! Times of certificates, counted from 1970.

use std::time::{Duration, SystemTime};

pub(super) const DAY: Duration = Duration::from_secs(86_400);
/// The last second of the year 9999, which no certificate goes beyond.
const LAST: Duration = Duration::from_secs(253_402_300_799);

pub(super) fn now() -> Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default()
}

/// The day of a time, as 2026-11-29.
pub(super) fn day(time: Duration) -> String {
    let time = SystemTime::UNIX_EPOCH + time.min(LAST);
    humantime::format_rfc3339_seconds(time).to_string().chars().take(10).collect()
}
