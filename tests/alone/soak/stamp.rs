//! What a sober producer says: the number of the message, and when it was sent.

use std::sync::LazyLock;
use std::time::Instant;

static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Microseconds that are told apart: 19 hours of them.
const TIME_BITS: u32 = 36;

#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// Of its topic, from 0.
    pub count: u64,
    /// Microseconds since the process began to stamp.
    pub sent: u64,
}

impl Stamp {
    pub fn now(count: u64) -> Stamp {
        Stamp { count, sent: Stamp::time() }
    }

    /// As a number that every format carries.
    pub fn pack(self) -> i64 {
        assert!(self.count < 1 << (63 - TIME_BITS) && self.sent < 1 << TIME_BITS, "{self:?}");
        (self.count << TIME_BITS | self.sent) as i64
    }

    pub fn unpack(packed: i64) -> Stamp {
        let packed = packed as u64;
        Stamp { count: packed >> TIME_BITS, sent: packed & ((1 << TIME_BITS) - 1) }
    }

    /// Microseconds since it was sent.
    pub fn age(self) -> u64 {
        Stamp::time() - self.sent
    }

    fn time() -> u64 {
        BEGIN.elapsed().as_micros() as u64
    }
}
