//! Whoever waits for a stream is woken by what ends the wait, in every order: no wait comes to an
//! end by itself here, and nothing else happens that could wake anybody.

use std::sync::Arc;
use std::time::Duration;

use shuttle::thread::{self, JoinHandle};

use super::{Condition, News, QUEUED, Reach, StreamState, StreamTicket};
use crate::broker::sync::explore::explore;
use crate::broker::sync::world::{any, never_waits_for};

/// Waits of this time, and longer, have no end.
const ALL: Duration = Duration::from_nanos(1);
/// The number of what is waited for.
const OP: u64 = 1;

/// One who waits until it is somewhere. Returns whether it is.
fn wait(state: &Arc<StreamState>, reach: Reach) -> JoinHandle<bool> {
    let ticket = StreamTicket::new(state.clone(), (OP..=OP).into(), reach);
    thread::spawn(move || ticket.wait().is_ok())
}

#[test]
fn whoever_waits_is_woken_by_what_ends_the_wait() {
    explore("streams, waits", || {
        never_waits_for(ALL);
        let state = Arc::new(StreamState::new("s".into()));
        state.queue(QUEUED + 1, 1);
        let of_room = state.clone();
        let publisher = thread::spawn(move || while !of_room.wait_for_room(ALL) {});
        let [written, messages, all] =
            [Reach::Written, Reach::Messages, Reach::All].map(|reach| wait(&state, reach));
        let is_done = match any(4) {
            // Each step alone wakes those who wait for it.
            0 => {
                state.take_off(QUEUED + 1, 1);
                publisher.join().unwrap();
                state.wrote(OP, News { messages: true, notes: true });
                assert!(written.join().unwrap());
                state.synced_messages(OP);
                assert!(messages.join().unwrap());
                state.synced(OP);
                assert!(all.join().unwrap());
                return;
            }
            1 => {
                state.take_off(QUEUED + 1, 1);
                // Nothing of it has to come to the disk.
                state.wrote(OP, News::default());
                true
            }
            2 => {
                state.set_condition(Condition::Failing);
                state.fail(OP, "on purpose");
                false
            }
            _ => {
                state.end();
                false
            }
        };
        publisher.join().unwrap();
        for waiter in [written, messages, all] {
            assert_eq!(waiter.join().unwrap(), is_done);
        }
    });
}
