//! What others bring about by what they publish: a line of the log now and then, and a number.

use std::time::Duration;

use tokio::time::Instant;

/// At most one line in so long.
const SPAN: Duration = Duration::from_secs(10);

/// Events of a kind, of which few are logged.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    next: Option<Instant>,
    count: u64,
}

impl Warnings {
    /// Counts one; where it is to be logged, returns how many there were in all.
    pub(super) fn note(&mut self) -> Option<u64> {
        let now = Instant::now();
        self.count += 1;
        if self.next.is_some_and(|next| now < next) {
            return None;
        }
        self.next = Some(now + SPAN);
        Some(self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_a_line_and_a_number() {
        let mut warnings = Warnings::default();
        let logged: Vec<_> = (0..1_000).filter_map(|_| warnings.note()).collect();
        assert_eq!(logged, [1]);
        warnings.next = Some(Instant::now());
        assert_eq!(warnings.note(), Some(1_001));
    }
}
