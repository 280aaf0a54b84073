//! Time that passes by chance.
//!
//! Whoever waits with a deadline may find at any moment that it has come, whatever others have done
//! meanwhile; the clock then shows no less than that for everybody. Between that it goes on a
//! little, now and then, so that any wait may have been short or long. A model so states what holds
//! whatever the clock does. Where that is too little (a broker that stops gives its clients time),
//! it says which waits [have no end](super::world::never_waits_for).

use std::ops::Add;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::world::{WORLD, one_in};

/// What the clock goes on by, now and then: longer than what counts as soon, and too short for
/// anything else.
const MOMENT: u64 = 100_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instant(u64);

impl Instant {
    pub(crate) fn now() -> Instant {
        let moment = if one_in(4) { MOMENT } else { 0 };
        Instant(WORLD.now.fetch_add(moment, Ordering::Relaxed))
    }

    pub(crate) fn elapsed(self) -> Duration {
        Instant::now().duration_since(self)
    }

    pub(crate) fn duration_since(self, earlier: Instant) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    pub(crate) fn saturating_duration_since(self, earlier: Instant) -> Duration {
        self.duration_since(earlier)
    }
}

impl Add<Duration> for Instant {
    type Output = Instant;

    fn add(self, time: Duration) -> Instant {
        Instant(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

/// Tells one who waits when to give up.
#[derive(Debug)]
pub(crate) struct Timer(Option<Instant>);

impl Timer {
    pub(crate) fn after(patience: Option<Duration>) -> Timer {
        let for_ever = Duration::from_nanos(WORLD.for_ever.load(Ordering::Relaxed));
        let patience = patience.filter(|patience| *patience < for_ever);
        Timer(patience.map(|patience| Instant::now() + patience))
    }

    pub(crate) fn until(deadline: Instant) -> Timer {
        let now = Instant(WORLD.now.load(Ordering::Relaxed));
        Timer::after(Some(deadline.duration_since(now)))
    }

    /// Whether it never says so.
    pub(crate) fn is_endless(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the time is over; it may be whenever this is asked.
    pub(crate) fn is_over(&self) -> bool {
        let Some(deadline) = self.0 else { return false };
        let is_over = deadline.0 <= WORLD.now.load(Ordering::Relaxed) || one_in(4);
        if is_over {
            WORLD.now.fetch_max(deadline.0, Ordering::Relaxed);
        }
        is_over
    }
}
