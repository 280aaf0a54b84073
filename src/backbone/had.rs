//! The messages that a member has and has not settled.

use std::collections::{BTreeSet, HashMap};

use async_nats::Subject;
use tokio::time::Instant;

#[derive(Debug)]
struct One {
    /// Where it is settled.
    reply: Subject,
    bytes: usize,
    /// When the server gives it to another member.
    until: Instant,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Had {
    all: HashMap<u64, One>,
    untils: BTreeSet<(Instant, u64)>,
    bytes: usize,
}

impl Had {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Bytes of all together.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// When the server gives the next of them to another member; `None` where there is none.
    pub(super) fn until(&self) -> Option<Instant> {
        self.untils.first().map(|(until, _)| *until)
    }

    /// Adds a message, again where it was there.
    pub(super) fn add(&mut self, seq: u64, reply: Subject, bytes: usize, until: Instant) {
        self.settle(seq);
        self.all.insert(seq, One { reply, bytes, until });
        self.untils.insert((until, seq));
        self.bytes += bytes;
    }

    /// Takes one out. Returns where it is settled, if it was there.
    pub(super) fn settle(&mut self, seq: u64) -> Option<Subject> {
        let One { reply, bytes, until } = self.all.remove(&seq)?;
        self.untils.remove(&(until, seq));
        self.bytes -= bytes;
        Some(reply)
    }

    /// The server leaves one here until then. Returns where that is said, if it is there.
    pub(super) fn touch(&mut self, seq: u64, until: Instant) -> Option<Subject> {
        let one = self.all.get_mut(&seq)?;
        self.untils.remove(&(one.until, seq));
        one.until = until;
        self.untils.insert((until, seq));
        Some(one.reply.clone())
    }

    /// Lets go of what has become another member's.
    pub(super) fn expire(&mut self, now: Instant) {
        while let Some(&(until, seq)) = self.untils.first()
            && until <= now
        {
            self.settle(seq);
        }
    }

    /// Lets go of all. Returns where each is settled.
    pub(super) fn let_go(&mut self) -> Vec<Subject> {
        std::mem::take(self).all.into_values().map(|one| one.reply).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_kept_for_too_long_is_another_members() {
        let (mut had, now, second) = (Had::default(), Instant::now(), Duration::from_secs(1));
        for seq in 1..=3 {
            had.add(seq, format!("reply.{seq}").into(), 10, now + second);
        }
        // It came once more.
        had.add(2, "reply.again".into(), 12, now + second);
        assert_eq!((had.len(), had.bytes(), had.until()), (3, 32, Some(now + second)));
        assert_eq!(had.touch(3, now + 3 * second).as_deref(), Some("reply.3"));
        assert_eq!(had.touch(4, now), None);
        assert_eq!(had.settle(2).as_deref(), Some("reply.again"));
        assert_eq!(had.settle(2), None);
        had.expire(now);
        assert_eq!(had.len(), 2);
        had.expire(now + second);
        assert_eq!((had.len(), had.bytes(), had.until()), (1, 10, Some(now + 3 * second)));
        assert_eq!(had.let_go(), [Subject::from("reply.3")]);
        assert_eq!((had.len(), had.bytes(), had.until()), (0, 0, None));
    }
}
