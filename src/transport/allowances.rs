//! How much more than they look like the messages from one address may turn out to be.
//!
//! A pickle that refers to its own parts can decode to two thousand times its length, and to take
//! it in costs as much. One such message is no harm; a stream of them would buy much of a processor
//! for few bytes. So what messages decode to beyond what their length explains is counted for each
//! address, over all its connections, also those that are closed: there is an allowance to begin
//! with, each byte that is sent adds to it, and a little comes with time. Whoever has used it up is
//! not read from until there is some again; nothing is refused. And only a few such messages are
//! decoded at a time, so that processors are left for everybody else.

use std::sync::Arc;
use std::time::Duration;

use crate::broker::Origin;
use crate::broker::sync::thread::available_parallelism;
use crate::broker::sync::{Condvar, HashMap, Instant, Mutex};

/// Bytes that an address may have at once: two of the largest messages that there are by default.
const MOST: u64 = 512 << 20;
/// Bytes that each byte sent adds.
const PER_BYTE: u64 = 256;
/// Bytes that each second adds, whatever is sent: to decode so many takes about a hundredth of a
/// processor's time.
const PER_SECOND: u64 = 16 << 20;
/// Addresses that are remembered before those that have all their allowance again are looked for.
const MANY: usize = 1_024;

/// The allowances of all addresses that have used some of theirs, and the permits to decode.
#[derive(Debug)]
pub(super) struct Allowances {
    inner: Mutex<Inner>,
    /// Notified when a permit is given back.
    returned: Condvar,
}

#[derive(Debug)]
struct Inner {
    allowances: HashMap<Origin, Allowance>,
    /// So many addresses are looked through next.
    next_look: usize,
    /// Permits that nobody has.
    permits: usize,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// Less than nothing while it is waited for.
    left: i64,
    since: Instant,
}

/// A permit to decode a message to far more than its length explains, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Allowances>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.inner.lock().permits += 1;
        self.0.returned.notify_one();
    }
}

impl Allowances {
    /// Whole allowances for all, and a permit for every second processor.
    pub(super) fn new() -> Arc<Allowances> {
        let permits = available_parallelism().map_or(1, |all| all.get().div_ceil(2));
        Allowances::with_permits(permits)
    }

    fn with_permits(permits: usize) -> Arc<Allowances> {
        let inner = Inner { allowances: HashMap::default(), next_look: 0, permits };
        Arc::new(Allowances { inner: Mutex::new(inner), returned: Condvar::new() })
    }

    /// A permit for an address that has some of its allowance left, as soon as there is one; gives
    /// up after `patience`.
    pub(super) fn permit(
        self: &Arc<Allowances>,
        origin: Origin,
        patience: Duration,
    ) -> Option<Permit> {
        let until = Instant::now() + patience;
        let mut inner = self.inner.lock();
        loop {
            let now = Instant::now();
            let pause = inner.spend(now, origin, 0, 0);
            if pause.is_zero() && inner.permits > 0 {
                inner.permits -= 1;
                return Some(Permit(self.clone()));
            }
            if now >= until {
                return None;
            }
            let wake = if pause.is_zero() { until } else { until.min(now + pause) };
            self.returned.wait_until(&mut inner, wake);
        }
    }

    /// Takes `extra` bytes of the allowance of an address that has sent `sent` bytes for them.
    pub(super) fn spend(&self, origin: Origin, sent: usize, extra: usize) {
        self.inner.lock().spend(Instant::now(), origin, sent, extra);
    }
}

impl Inner {
    /// Takes some of an allowance. Returns how long it is until there is some left.
    fn spend(&mut self, now: Instant, origin: Origin, sent: usize, extra: usize) -> Duration {
        self.look_through(now);
        let whole = Allowance { left: MOST as i64, since: now };
        let allowance = self.allowances.entry(origin).or_insert(whole);
        allowance.come(now);
        allowance.add((sent as u64).saturating_mul(PER_BYTE));
        allowance.left = allowance.left.saturating_sub_unsigned(extra as u64);
        let missing = u64::try_from(-allowance.left).unwrap_or(0);
        Duration::from_millis(missing.saturating_mul(1_000).div_ceil(PER_SECOND))
    }

    /// Forgets addresses that have all their allowance again, now and then: as often as their
    /// number has doubled.
    fn look_through(&mut self, now: Instant) {
        if self.allowances.len() < self.next_look.max(MANY) {
            return;
        }
        self.allowances.retain(|_, allowance| {
            allowance.come(now);
            allowance.left < MOST as i64
        });
        self.next_look = 2 * self.allowances.len();
    }
}

impl Allowance {
    /// Adds what came with time.
    fn come(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.since);
        self.since = now;
        self.add(
            u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(PER_SECOND)
                / 1_000_000,
        );
    }

    fn add(&mut self, bytes: u64) {
        self.left = self.left.saturating_add_unsigned(bytes).min(MOST as i64);
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    const HERE: Origin = Origin::Address(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));
    const OTHER: Origin = Origin::User(1_000);

    #[test]
    fn who_has_used_it_up_waits_and_others_do_not() {
        let (allowances, start) = (Allowances::with_permits(1), Instant::now());
        let spend = |after: u64, origin: Origin, sent, extra| {
            allowances.inner.lock().spend(start + Duration::from_millis(after), origin, sent, extra)
        };
        let most = MOST as usize;
        assert_eq!(spend(0, HERE, 0, most), Duration::ZERO);
        let second = PER_SECOND as usize;
        assert_eq!(spend(0, HERE, 0, 2 * second), Duration::from_secs(2), "over any connection");
        assert_eq!(spend(0, OTHER, 0, most), Duration::ZERO);
        assert_eq!(spend(1_000, HERE, 0, 0), Duration::from_secs(1), "some has come");
        assert_eq!(
            spend(1_000, HERE, second / PER_BYTE as usize, 0),
            Duration::ZERO,
            "bytes were sent for it"
        );
        // It never grows beyond the whole.
        assert_eq!(spend(3_600_000, HERE, most, most), Duration::ZERO);
        assert_eq!(spend(3_600_000, HERE, 0, second), Duration::from_secs(1));
    }

    #[test]
    fn addresses_that_have_all_of_it_again_are_forgotten() {
        let (allowances, start) = (Allowances::with_permits(1), Instant::now());
        for number in 0..10 * MANY as u32 {
            // Each has all of it again when the next but hundred comes.
            let now = start + Duration::from_millis(u64::from(number) * 10);
            allowances.inner.lock().spend(now, Origin::User(number), 0, PER_SECOND as usize);
        }
        let remembered = allowances.inner.lock().allowances.len();
        assert!(remembered <= 2 * MANY, "{remembered}");
    }

    #[test]
    fn so_many_permits_are_given_and_one_that_comes_back_wakes_who_waits() {
        let allowances = Allowances::with_permits(1);
        let first = allowances.permit(HERE, Duration::ZERO).unwrap();
        assert!(allowances.permit(HERE, Duration::ZERO).is_none());
        let waiting = {
            let allowances = allowances.clone();
            std::thread::spawn(move || allowances.permit(HERE, Duration::from_secs(60)).is_some())
        };
        drop(first);
        assert!(waiting.join().unwrap());
        // An origin that has used its allowance up gets none; others do.
        allowances.spend(HERE, 0, 2 * MOST as usize);
        assert!(allowances.permit(HERE, Duration::ZERO).is_none());
        assert!(allowances.permit(OTHER, Duration::ZERO).is_some());
    }
}
