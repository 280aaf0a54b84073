//! What happened, counted by everyone.

use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use babelmq::Stats;

#[derive(Default)]
pub struct Tally {
    /// Connections that were made.
    pub connections: Count,
    /// Messages that sober producers published.
    pub published: Count,
    /// Messages that sober consumers received, stored ones included.
    pub received: Count,
    pub lost: Count,
    pub duplicates: Count,
    /// Stored values that were not the last.
    pub stale: Count,
    /// Messages that dawdlers were told that they would not get.
    pub dropped: Count,
    /// What wild clients did.
    pub acts: Count,
    /// Frames of theirs that were no frames, or half of one.
    pub garbage: Count,
    /// Connections of theirs that just ended.
    pub vanished: Count,
    /// Microseconds from a sober producer to a steady sober consumer.
    latencies: Mutex<Vec<u32>>,
    summary: Mutex<Summary>,
}

/// What is known at the end.
#[derive(Default)]
struct Summary {
    stats: Stats,
    /// In milliseconds: the median, what 99 % are not above, and the worst.
    latencies: [f64; 3],
}

#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

impl Tally {
    /// Adds what one consumer measured.
    pub fn latencies(&self, mut of_one: Vec<u32>) {
        self.latencies.lock().unwrap().append(&mut of_one);
    }

    /// At the end, with what the broker counted; the tally holds no more memory for it than before.
    pub fn close(&self, stats: Stats) {
        let mut latencies = std::mem::take(&mut *self.latencies.lock().unwrap());
        latencies.sort_unstable();
        let at = |part: f64| {
            let last = latencies.len().saturating_sub(1);
            let index = (latencies.len() as f64 * part) as usize;
            latencies.get(index.min(last)).map_or(0.0, |latency| f64::from(*latency) / 1e3)
        };
        *self.summary.lock().unwrap() = Summary { stats, latencies: [at(0.5), at(0.99), at(1.0)] };
    }

    #[track_caller]
    pub fn check(&self) {
        let wrong = [&self.lost, &self.duplicates, &self.stale].map(Count::get);
        assert_eq!(wrong, [0; 3], "lost, duplicates, stale: {self}");
        let stats = &self.summary.lock().unwrap().stats;
        assert_eq!((stats.panics, stats.encoding_failures), (0, 0), "{stats:?}");
        assert!(
            self.received.get() > self.published.get(),
            "the sober clients were not served: {self}"
        );
        assert!(
            self.garbage.get() > 0 && self.vanished.get() > 0,
            "the wild clients were too tame: {self}"
        );
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Summary { stats, latencies: [median, most, worst] } = &*self.summary.lock().unwrap();
        writeln!(
            f,
            "soak: {} connections, {} published by sober clients, {} received; lost {}, duplicates \
             {}, stale {}; \
             {} dropped for dawdlers, and told",
            self.connections.get(),
            self.published.get(),
            self.received.get(),
            self.lost.get(),
            self.duplicates.get(),
            self.stale.get(),
            self.dropped.get(),
        )?;
        writeln!(
            f,
            "soak: latency of these: median {median:.2} ms, 99 % {most:.2} ms, worst {worst:.2} ms",
        )?;
        write!(
            f,
            "soak: wild: {} acts, {} of them garbage, {} vanished; the broker: {} published, {} \
             delivered, {} refused, \
             {} slow consumers, {} dropped",
            self.acts.get(),
            self.garbage.get(),
            self.vanished.get(),
            stats.published,
            stats.delivered,
            stats.refused,
            stats.slow_consumers,
            stats.dropped,
        )
    }
}
