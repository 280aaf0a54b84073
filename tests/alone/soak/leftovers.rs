//! What the process holds, counted to the byte.

use std::fmt;
use std::fs;

use crate::ALLOCATOR;
use crate::support::process::{descriptors, until};

/// Bytes that may come and go between two measurements without being left over: the test harness
/// prints and buffers.
const SLACK: i64 = 64 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holdings {
    threads: i64,
    descriptors: i64,
    bytes: i64,
}

impl Holdings {
    pub fn now() -> Holdings {
        let stats = ALLOCATOR.stats();
        Holdings {
            threads: threads(),
            descriptors: descriptors() as i64,
            bytes: stats.bytes_allocated as i64 - stats.bytes_deallocated as i64,
        }
    }

    /// What is held beyond that.
    pub fn beyond(&self, before: &Holdings) -> Holdings {
        // A thread that was joined stands in the kernel's list a moment longer.
        until("every thread is gone", || threads() <= before.threads);
        Holdings {
            threads: threads() - before.threads,
            descriptors: self.descriptors - before.descriptors,
            bytes: self.bytes - before.bytes,
        }
    }

    #[track_caller]
    pub fn check(&self) {
        assert_eq!((self.threads, self.descriptors), (0, 0), "{self}");
        assert!(self.bytes < SLACK, "{self}");
    }
}

impl fmt::Display for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} threads, {} descriptors, {} bytes",
            self.threads, self.descriptors, self.bytes
        )
    }
}

fn threads() -> i64 {
    fs::read_dir("/proc/self/task").unwrap().count() as i64
}
