//! Brokers that do not start.

use super::*;
use crate::broker::{Change, Kept};
use crate::transport::threads::{SPAWNED, SPAWNS_LEFT};

/// Keeps nothing, and needs a thread for it.
#[derive(Debug)]
struct Forgetful;

impl Store for Forgetful {
    fn load(&mut self, _: &mut dyn FnMut(Kept)) -> Result<(), StoreError> {
        Ok(())
    }

    fn write(&mut self, _: &[Change]) -> Result<(), StoreError> {
        Ok(())
    }

    fn commit(&mut self) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Threads that this test has started and that have not ended.
fn running() -> usize {
    SPAWNED.with(Arc::strong_count) - 1
}

#[test]
fn where_a_thread_cannot_be_started_none_is_left() {
    let start = |spawns: usize| {
        SPAWNS_LEFT.set(spawns);
        let config = Config::listening_on(([127, 0, 0, 1], 0));
        Broker::start_with(config, Box::new(Forgetful))
    };
    // A dispatcher, a store, an attendant, a listener.
    let all = 4 + turns::thread_count();
    for spawns in 0..all {
        let started = start(spawns);
        assert!(matches!(started, Err(StartError::Thread(_))), "{spawns}: {started:?}");
        assert_eq!(running(), 0, "after {spawns} of {all} threads");
    }
    let broker = start(all).unwrap();
    assert_eq!(running(), all);
    broker.shutdown();
    assert_eq!(running(), 0);
}
