//! What anybody can bring about by connecting: a few lines a second in the log, and a number.

use std::time::Duration;

use crate::broker::sync::Instant;

/// Events that are logged in a [`SPAN`], of all clients together: each may connect anew.
const LOGGED: u32 = 10;
const SPAN: Duration = Duration::from_secs(1);

/// The events of a kind that were logged lately.
#[derive(Debug, Default)]
pub(super) struct LogLimit {
    since: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

impl LogLimit {
    /// Counts one. Where it is to be logged, returns how many before it were not.
    pub(super) fn note(&mut self, now: Instant) -> Option<u64> {
        if self.since.is_none_or(|since| now.saturating_duration_since(since) >= SPAN) {
            (self.since, self.logged) = (Some(now), 0);
        }
        if self.logged >= LOGGED {
            self.unlogged += 1;
            return None;
        }
        self.logged += 1;
        Some(std::mem::take(&mut self.unlogged))
    }

    /// How many were not logged since the last that was.
    pub(super) fn unlogged(&self) -> u64 {
        self.unlogged
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_few_lines_and_a_number() {
        let (mut limit, start) = (LogLimit::default(), Instant::now());
        let lines = (0..1_000).filter(|_| limit.note(start) == Some(0)).count();
        assert_eq!((lines, limit.unlogged()), (LOGGED as usize, 1_000 - u64::from(LOGGED)));
        assert_eq!(limit.note(start + SPAN), Some(1_000 - u64::from(LOGGED)));
        assert_eq!(limit.note(start + SPAN), Some(0));
    }
}
