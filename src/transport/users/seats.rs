//! How many connections each user has, and how fast all of them together send.

use std::sync::Arc;
use std::time::Duration;

use crate::access::GrantLimits;
use crate::broker::sync::{HashMap, Instant, Mutex};

/// Users that are not connected any more and are remembered without a look at whether they have to
/// be.
const FEW: usize = 64;

/// The users that are connected, or were until lately.
#[derive(Debug, Default)]
pub(super) struct Seats {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    users: HashMap<Arc<str>, Present>,
    /// How many there may be before those are looked for who need not be remembered.
    most: usize,
}

#[derive(Debug)]
struct Present {
    connections: u64,
    messages: Bucket,
    bytes: Bucket,
}

/// What a rate has left: as much as comes in a second, at most.
#[derive(Debug)]
struct Bucket {
    /// Less than nothing while it is waited for.
    left: f64,
    since: Instant,
    /// What it was last; none where there was none.
    rate: Option<u64>,
}

/// A user's connection, until it is dropped.
#[derive(Debug)]
pub(in crate::transport) struct Seat {
    seats: Arc<Seats>,
    user: Arc<str>,
}

impl Seats {
    /// Counts another connection of a user, if there may be one.
    ///
    /// # Errors
    /// How many there may be.
    pub(super) fn take(
        self: &Arc<Seats>,
        user: &Arc<str>,
        limits: GrantLimits,
    ) -> Result<Seat, u64> {
        let mut inner = self.inner.lock();
        let now = Instant::now();
        inner.forget_some(now);
        let present = inner.users.entry(user.clone()).or_insert_with(|| Present {
            connections: 0,
            messages: Bucket::full(limits.messages_per_second, now),
            bytes: Bucket::full(limits.bytes_per_second, now),
        });
        if let Some(most) = limits.connections
            && present.connections >= most
        {
            return Err(most);
        }
        present.connections += 1;
        Ok(Seat { seats: self.clone(), user: user.clone() })
    }
}

impl Inner {
    /// Forgets who is not connected and has spent nothing, if there are many. That is looked for
    /// once for as many as there are, so it costs each of them little.
    fn forget_some(&mut self, now: Instant) {
        if self.users.len() >= self.most.max(FEW) {
            self.users.retain(|_, present| present.connections > 0 || !present.is_unspent(now));
            self.most = self.users.len() * 2;
        }
    }
}

impl Present {
    fn is_unspent(&self, now: Instant) -> bool {
        self.messages.is_full(now) && self.bytes.is_full(now)
    }
}

impl Seat {
    /// Whether it is of this user.
    pub(super) fn is_of(&self, user: &str) -> bool {
        *self.user == *user
    }

    /// Notes what the connection has sent. Returns how long nothing more is to be read from it.
    pub(in crate::transport) fn spend(
        &self,
        limits: GrantLimits,
        messages: usize,
        bytes: usize,
    ) -> Duration {
        let mut inner = self.seats.inner.lock();
        let Some(present) = inner.users.get_mut(&self.user) else { return Duration::ZERO };
        let now = Instant::now();
        let pause_for = |bucket: &mut Bucket, rate: Option<u64>, used| {
            rate.map_or(Duration::ZERO, |rate| bucket.spend(now, rate, used))
        };
        pause_for(&mut present.messages, limits.messages_per_second, messages).max(pause_for(
            &mut present.bytes,
            limits.bytes_per_second,
            bytes,
        ))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut inner = self.seats.inner.lock();
        let Some(present) = inner.users.get_mut(&self.user) else { return };
        present.connections -= 1;
        // What was spent is not forgotten: whoever connected anew would have it again.
        if present.connections == 0 && present.is_unspent(Instant::now()) {
            inner.users.remove(&self.user);
        }
    }
}

impl Bucket {
    fn full(rate: Option<u64>, now: Instant) -> Bucket {
        Bucket { left: rate.unwrap_or(0) as f64, since: now, rate }
    }

    fn is_full(&self, now: Instant) -> bool {
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.rate.is_none_or(|rate| self.left + passed * rate as f64 >= rate as f64)
    }

    /// Takes some out. Returns how long it is until something is in it.
    fn spend(&mut self, now: Instant, rate: u64, used: usize) -> Duration {
        self.rate = Some(rate);
        let rate = rate as f64;
        let passed = now.saturating_duration_since(self.since).as_secs_f64();
        self.since = now;
        self.left = (self.left + passed * rate).min(rate) - used as f64;
        // What nobody would live to see is no time either.
        Duration::try_from_secs_f64(-self.left / rate).unwrap_or(Duration::ZERO)
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn limits(text: &str) -> GrantLimits {
        let file = format!("[[user]]\nname='anonymous'\nroles=['r']\n[role.r]\n{text}");
        crate::access::Policy::parse(&file).unwrap().user("anonymous").unwrap().grant().limits()
    }

    #[test]
    fn a_user_has_so_many_connections_and_others_have_theirs() {
        let (seats, two) = (Arc::new(Seats::default()), limits("connections = 2"));
        let (ada, bob): (Arc<str>, Arc<str>) = ("ada".into(), "bob".into());
        let first = seats.take(&ada, two).unwrap();
        let second = seats.take(&ada, two).unwrap();
        assert_eq!(seats.take(&ada, two).unwrap_err(), 2);
        assert!(seats.take(&bob, two).is_ok());
        drop(first);
        assert!(seats.take(&ada, two).is_ok());
        drop(second);
        assert!(seats.inner.lock().users.is_empty());
    }

    #[test]
    fn who_sends_more_than_the_rate_waits_for_what_is_too_much() {
        let start = Instant::now();
        let mut bucket = Bucket::full(Some(100), start);
        assert_eq!(bucket.spend(start, 100, 100), Duration::ZERO, "a second's worth at once");
        assert_eq!(bucket.spend(start, 100, 250), Duration::from_millis(2_500));
        let later = start + Duration::from_secs(2);
        assert_eq!(bucket.spend(later, 100, 0), Duration::from_millis(500));
        assert_eq!(bucket.spend(later, 1_000, 0), Duration::from_millis(50), "the rate was raised");
        let much_later = later + Duration::from_secs(3_600);
        assert_eq!(bucket.spend(much_later, 100, 101), Duration::from_millis(10));
    }

    #[test]
    fn a_user_cannot_leave_its_debt_behind() {
        let (seats, slow) = (Arc::new(Seats::default()), limits("messages-per-second = 1"));
        let ada: Arc<str> = "ada".into();
        assert!(seats.take(&ada, slow).unwrap().spend(slow, 1_000, 0) > Duration::from_secs(900));
        assert!(seats.take(&ada, slow).unwrap().spend(slow, 0, 0) > Duration::from_secs(900));
    }

    #[test]
    fn who_connects_anew_does_not_have_what_was_spent_again() {
        let (seats, slow) = (Arc::new(Seats::default()), limits("messages-per-second = 1000"));
        let ada: Arc<str> = "ada".into();
        let pauses = (0..100).map(|_| seats.take(&ada, slow).unwrap().spend(slow, 1_000, 0));
        assert!(pauses.max().unwrap() > Duration::from_secs(90), "a hundred seconds' worth");
    }

    #[test]
    fn a_user_that_is_gone_is_remembered_for_as_long_as_what_it_spent() {
        let (seats, slow) = (Arc::new(Seats::default()), limits("messages-per-second = 1000"));
        let spend = |number: usize, messages| {
            let user: Arc<str> = number.to_string().into();
            seats.take(&user, slow).unwrap().spend(slow, messages, 0)
        };
        spend(0, 1_000_000);
        let began = Instant::now();
        (1..1_000).for_each(|number| assert!(spend(number, 1).is_zero()));
        assert!(spend(0, 0) > Duration::from_secs(900), "a debt is not forgotten");
        // A message's worth is there again after a millisecond.
        while began.elapsed() < Duration::from_millis(50) {
            std::thread::yield_now();
        }
        (0..2_000).for_each(|number| assert_eq!(spend(number, 0).is_zero(), number > 0));
        let known = seats.inner.lock().users.len();
        assert!(known <= 2 * FEW, "{known} are remembered");
    }
}
