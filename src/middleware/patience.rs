//! When waiting ends.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// When waiting ends.
#[derive(Clone, Copy, Debug)]
pub(super) enum Patience {
    /// Not before something has come.
    Endless,
    /// At this time.
    Until(Instant),
}

impl Patience {
    pub(super) fn new(timeout: Option<Duration>) -> Patience {
        // A time too far away to be said is never reached.
        Patience::until(timeout.and_then(|timeout| Instant::now().checked_add(timeout)))
    }

    pub(super) fn until(end: Option<Instant>) -> Patience {
        end.map_or(Patience::Endless, Patience::Until)
    }

    /// Whichever ends first.
    pub(super) fn and(self, other: Patience) -> Patience {
        match (self, other) {
            (Patience::Until(one), Patience::Until(other)) => Patience::Until(one.min(other)),
            (Patience::Endless, other) => other,
            (this, Patience::Endless) => this,
        }
    }

    /// What is left of it; `None` where it is endless.
    fn left(self) -> Option<Duration> {
        match self {
            Patience::Endless => None,
            Patience::Until(end) => Some(end.saturating_duration_since(Instant::now())),
        }
    }

    pub(super) fn is_over(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Waits until `due`, if that is before the end; returns whether it was.
    pub(super) fn sleep_until(self, due: Instant) -> bool {
        let mut left = due.saturating_duration_since(Instant::now());
        let in_time = self.left().is_none_or(|most| left <= most);
        left = self.left().map_or(left, |most| most.min(left));
        std::thread::sleep(left);
        in_time
    }
}

/// Waits for readiness; empty when the patience is at its end.
pub(super) fn wait(
    socket: &impl AsFd,
    flags: PollFlags,
    patience: Patience,
) -> io::Result<PollFlags> {
    loop {
        let mut sockets = [PollFd::new(socket, flags)];
        let left = patience.left().map(|left| Timespec {
            tv_sec: left.as_secs().try_into().unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        });
        match poll(&mut sockets, left.as_ref()) {
            Ok(_) => return Ok(sockets[0].revents()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
