//! What a piece of code costs: bytes that it allocates, bytes that it holds at once, and time of
//! the processor.
//!
//! Whoever links this crate allocates through its allocator, which counts for each thread by itself
//! and leaves the rest to the system's.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

mod signal;

pub use signal::report_overflows;

/// What something cost the thread that did it.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// Bytes allocated, whether they were freed again or not. What is reallocated counts as
    /// allocated anew, since it may have been copied; so this is a measure of time that is the same
    /// in every run.
    pub allocated: usize,
    /// The most bytes that were held at once.
    pub held: usize,
    /// Time of the processor.
    pub time: Duration,
}

/// Does `work` and says what it cost.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let allocated = ALLOCATED.get();
    let live = LIVE.get();
    MOST.set(live);
    let begin = thread_time();
    let result = work();
    let time = thread_time().saturating_sub(begin);
    let held = usize::try_from(MOST.get() - live).unwrap_or(0);
    (result, Cost { allocated: ALLOCATED.get() - allocated, held, time })
}

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
    /// Below 0 where a thread frees what another allocated.
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(allocated: usize, freed: usize) {
    // None of these has a destructor, so they are there as long as the thread is.
    let _ = ALLOCATED.try_with(|all| all.set(all.get() + allocated));
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + allocated as isize - freed as isize);
        let _ = MOST.try_with(|most| most.set(most.get().max(live.get())));
    });
}

// SAFETY: every call is the system allocator's own, with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size(), 0);
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, layout.size());
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size, layout.size());
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// How long the calling thread has run.
fn thread_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the call writes to the one pointer that it is given.
    match unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) } {
        0 => Duration::new(time.tv_sec as u64, time.tv_nsec as u32),
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_allocated_and_what_is_held() {
        let kept = vec![0u8; 1_000];
        let (_, cost) = measure(|| {
            drop(kept);
            drop(std::hint::black_box(vec![0u8; 500]));
            let mut grown = Vec::<u8>::with_capacity(100);
            grown.reserve_exact(std::hint::black_box(300));
            std::hint::black_box(grown)
        });
        assert_eq!(cost.allocated, 500 + 100 + 300);
        // 1,000 were given back first, so that at no time more was held than before.
        assert_eq!(cost.held, 0);
        let (_, cost) = measure(|| drop(std::hint::black_box(vec![0u8; 500])));
        assert_eq!((cost.allocated, cost.held), (500, 500));
    }

    #[test]
    fn other_threads_do_not_count() {
        let ((), cost) = measure(|| {
            std::thread::scope(|scope| {
                scope.spawn(|| drop(std::hint::black_box(vec![0u8; 1 << 20])));
            });
        });
        assert!(cost.allocated < 1 << 16, "{cost:?}");
    }
}
