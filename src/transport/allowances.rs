//! How much more than they look like the messages from one address may turn out to be.
//!
//! A pickle that refers to its own parts can decode to two thousand times its length, and to take it in costs as much. One
//! such message is no harm; a stream of them would buy much of a processor for few bytes. So what messages decode to beyond
//! what their length explains is counted for each address, over all its connections, also those that are closed: there is an
//! allowance to begin with, each byte that is sent adds to it, and a little comes with time. Whoever has used it up is not
//! read from until there is some again; nothing is refused.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Bytes that an address may have at once: two of the largest messages that there are by default.
const MOST: u64 = 512 << 20;
/// Bytes that each byte sent adds.
const PER_BYTE: u64 = 256;
/// Bytes that each second adds, whatever is sent: to decode so many takes about a hundredth of a processor's time.
const PER_SECOND: u64 = 16 << 20;
/// Addresses that are remembered before those that have all their allowance again are looked for.
const MANY: usize = 1_024;

/// The allowances of all addresses that have used some of theirs.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    allowances: HashMap<IpAddr, Allowance>,
    /// So many addresses are looked through next.
    next_look: usize,
}

#[derive(Clone, Copy, Debug)]
struct Allowance {
    /// Less than nothing while it is waited for.
    left: i64,
    since: Instant,
}

impl Allowances {
    /// Takes `extra` bytes of the allowance of an address that has sent `sent` bytes for them. Returns how long is to be
    /// waited before it is read from again.
    pub(super) fn spend(&self, address: IpAddr, sent: usize, extra: usize) -> Duration {
        self.spend_at(Instant::now(), address, sent, extra)
    }

    fn spend_at(&self, now: Instant, address: IpAddr, sent: usize, extra: usize) -> Duration {
        let mut inner = self.inner.lock();
        inner.look_through(now);
        let whole = Allowance { left: MOST as i64, since: now };
        let allowance = inner.allowances.entry(address).or_insert(whole);
        allowance.come(now);
        allowance.add((sent as u64).saturating_mul(PER_BYTE));
        allowance.left = allowance.left.saturating_sub_unsigned(extra as u64);
        let missing = u64::try_from(-allowance.left).unwrap_or(0);
        Duration::from_millis(missing.saturating_mul(1_000) / PER_SECOND)
    }
}

impl Inner {
    /// Forgets addresses that have all their allowance again, now and then: as often as their number has doubled.
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
            u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(PER_SECOND) / 1_000_000,
        );
    }

    fn add(&mut self, bytes: u64) {
        self.left = self.left.saturating_add_unsigned(bytes).min(MOST as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[test]
    fn who_has_used_it_up_waits_and_others_do_not() {
        let (allowances, start) = (Allowances::default(), Instant::now());
        let spend = |after: u64, address: IpAddr, sent, extra| {
            allowances.spend_at(start + Duration::from_millis(after), address, sent, extra)
        };
        let most = MOST as usize;
        assert_eq!(spend(0, HERE, 0, most), Duration::ZERO);
        let second = PER_SECOND as usize;
        assert_eq!(spend(0, HERE, 0, 2 * second), Duration::from_secs(2), "over any connection");
        assert_eq!(spend(0, "127.0.0.2".parse().unwrap(), 0, most), Duration::ZERO);
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
        let (allowances, start) = (Allowances::default(), Instant::now());
        for number in 0..10 * MANY as u32 {
            // Each has all of it again when the next but hundred comes.
            let now = start + Duration::from_millis(u64::from(number) * 10);
            allowances.spend_at(now, IpAddr::from(number.to_be_bytes()), 0, PER_SECOND as usize);
        }
        let remembered = allowances.inner.lock().allowances.len();
        assert!(remembered <= 2 * MANY, "{remembered}");
    }
}
