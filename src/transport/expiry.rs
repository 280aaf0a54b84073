//! A certificate that ends soon, and the log that says so.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::x509::End;

/// How often one looks.
pub(super) const EVERY: Duration = Duration::from_secs(DAY);
const DAY: u64 = 24 * 60 * 60;
/// Seconds before the end from which on the log says so.
const SOON: u64 = 14 * DAY;

/// When the certificate of the broker ends.
#[derive(Debug)]
pub(super) struct Expiry {
    /// The file that it is from.
    pub(super) file: PathBuf,
    pub(super) end: End,
}

/// What is left of a certificate's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    Enough,
    Days(u64),
    Nothing,
}

impl Expiry {
    /// Says in the log that the certificate ends soon, or has ended.
    pub(super) fn log(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let (file, end) = (self.file.display(), &self.end.text);
        match self.left(now.as_secs()) {
            Left::Enough => {}
            Left::Days(days) => tracing::warn!(
                %file, %end, days, "the certificate of the broker ends soon; renew it and send \
                SIGHUP"
            ),
            Left::Nothing => tracing::error!(
                %file, %end, "the certificate of the broker has ended, and clients refuse it; \
                renew it and send SIGHUP"
            ),
        }
    }

    /// What is left `now`, in seconds since 1970.
    fn left(&self, now: u64) -> Left {
        match self.end.at.saturating_sub(now) {
            0 => Left::Nothing,
            left if left > SOON => Left::Enough,
            left => Left::Days(left / DAY),
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn fourteen_days_before_its_end_it_is_soon() {
        let end = End { at: 100 * DAY, text: String::new() };
        let expiry = Expiry { file: PathBuf::new(), end };
        for (now, left) in [
            (0, Left::Enough),
            (86 * DAY - 1, Left::Enough),
            (86 * DAY, Left::Days(14)),
            (99 * DAY + 1, Left::Days(0)),
            (100 * DAY, Left::Nothing),
            (101 * DAY, Left::Nothing),
        ] {
            assert_eq!(expiry.left(now), left, "{now}");
        }
    }
}
