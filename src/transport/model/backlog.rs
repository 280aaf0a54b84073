//! Sessions that claim room in the backlog, and a dispatcher that gives it back.

use std::sync::Arc;

use shuttle::sync::Mutex;
use shuttle::thread;

use super::explore;
use crate::broker::sync::world::any;
use crate::broker::{Backlog, Queued};

const LIMIT: usize = 100;
/// Nothing, what fits beside others, what fills it, and what is too large.
const SIZES: [usize; 5] = [0, 30, 60, 100, 150];

/// A session that waits for room is woken when there is some, and claims are never over the limit,
/// but for one that is alone.
#[test]
fn backlog() {
    explore("backlog", || {
        let backlog = Backlog::new(LIMIT);
        let held = Arc::new(Mutex::new(Vec::new()));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let (lane, held) = (backlog.lane(), held.clone());
                thread::spawn(move || {
                    for _ in 0..3 {
                        let bytes = SIZES[any(SIZES.len() as u64) as usize];
                        let queued: Queued = lane.claim(bytes);
                        {
                            let mut held = held.lock().unwrap();
                            held.push(bytes);
                            let all: usize = held.iter().sum();
                            let large = held.iter().filter(|bytes| **bytes > 0).count();
                            assert!(all <= LIMIT || large == 1, "{held:?} is over the limit");
                        }
                        thread::yield_now();
                        {
                            let mut held = held.lock().unwrap();
                            let place = held.iter().position(|other| *other == bytes).unwrap();
                            held.swap_remove(place);
                        }
                        drop(queued);
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(backlog.used(), 0);
    });
}
