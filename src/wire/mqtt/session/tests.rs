//! Sessions of MQTT, held to naive ones in random schedules.

mod aliases;
mod incoming;
mod outgoing;

/// How many schedules of a kind there are.
const SCHEDULES: u64 = 10_000;

struct Random(u64);

impl Random {
    /// The numbers of a schedule.
    fn new(schedule: u64) -> Random {
        Random((schedule + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 8) as usize % end
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}
