//! How many connections each user has, and how fast all of them together send.

use std::sync::Arc;
use std::time::Duration;

use crate::access::GrantLimits;
use crate::broker::sync::{HashMap, Instant, Mutex};

/// The users that are connected.
#[derive(Debug, Default)]
pub(super) struct Seats {
    users: Mutex<HashMap<Arc<str>, Present>>,
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
        let mut users = self.users.lock();
        let now = Instant::now();
        let present = users.entry(user.clone()).or_insert_with(|| Present {
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

impl Seat {
    /// Notes what the connection has sent. Returns how long nothing more is to be read from it.
    pub(in crate::transport) fn spend(
        &self,
        limits: GrantLimits,
        messages: usize,
        bytes: usize,
    ) -> Duration {
        let mut users = self.seats.users.lock();
        let Some(present) = users.get_mut(&self.user) else { return Duration::ZERO };
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
        let mut users = self.seats.users.lock();
        let Some(present) = users.get_mut(&self.user) else { return };
        present.connections -= 1;
        // A debt is not forgotten: who has one would connect anew.
        if present.connections == 0 && present.messages.left >= 0.0 && present.bytes.left >= 0.0 {
            users.remove(&self.user);
        }
    }
}

impl Bucket {
    fn full(rate: Option<u64>, now: Instant) -> Bucket {
        Bucket { left: rate.unwrap_or(0) as f64, since: now }
    }

    /// Takes some out. Returns how long it is until something is in it.
    fn spend(&mut self, now: Instant, rate: u64, used: usize) -> Duration {
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
        assert!(seats.users.lock().is_empty());
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
}
