//! Refused messages in the log: a few of each client, so that one that sends nothing else does not fill the disk.

use std::time::{Duration, Instant};

use crate::broker::{Control, Step};

/// Refusals of one client that are logged in a [`SPAN`].
const LOGGED: u32 = 3;
const SPAN: Duration = Duration::from_secs(1);

/// What was logged of one client lately.
#[derive(Debug, Default)]
pub(super) struct Complaints {
    since: Option<Instant>,
    logged: u32,
    unlogged: u64,
}

impl Complaints {
    /// Logs the refusals among `steps`, or that there were more of them. Call it in the span of the connection.
    #[cold]
    pub(super) fn log(&mut self, steps: &[Step]) {
        let now = Instant::now();
        if self.since.is_none_or(|since| now.duration_since(since) >= SPAN) {
            self.end();
            *self = Complaints { since: Some(now), ..Complaints::default() };
        }
        for step in steps {
            let Step::Control(Control::Refuse { refusal, format }) = step else { continue };
            if self.logged < LOGGED {
                self.logged += 1;
                let topic = refusal.topic.as_deref();
                tracing::info!(code = %refusal.code, %format, topic, reason = refusal.reason, "message refused");
            } else {
                self.unlogged += 1;
            }
        }
    }

    /// Says how many were not logged.
    pub(super) fn end(&mut self) {
        if self.unlogged > 0 {
            tracing::info!(messages = self.unlogged, "more messages refused than are logged one by one");
            self.unlogged = 0;
        }
    }
}
