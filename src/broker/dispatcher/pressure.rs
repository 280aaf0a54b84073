//! What happens when messages on their way take all the memory that they may: those who hold most of it let go.

use super::Dispatcher;
use crate::broker::memory::Use;
use crate::broker::outbox::Full;
use crate::broker::subscriptions::Slot;

/// Connections that let go in one step. Producers ask again while they wait.
const AT_ONCE: usize = 32;
/// A connection that holds less than this is never ended for others.
const MODEST: usize = 64 << 10;

impl Dispatcher {
    /// Makes room for producers that wait: of the connections that hold at least half as much as the one that holds most,
    /// mailboxes lose the older half of what waits in them, and whoever then still holds as much is cut off as a slow
    /// consumer.
    pub(super) fn relieve(&mut self) {
        let share = self.memory.of(Use::InFlight);
        if !share.is_wanted() {
            return;
        }
        let held = |dispatcher: &Dispatcher, slot: usize| match &dispatcher.slots[slot] {
            Some(client) => client.outbox.level().1,
            None => 0,
        };
        let most = (0..self.slots.len()).map(|slot| held(self, slot)).max().unwrap_or(0);
        let greedy = (most / 2).max(MODEST);
        let mut left = AT_ONCE;
        for slot in 0..self.slots.len() {
            if left == 0 {
                return;
            }
            if held(self, slot) < greedy {
                continue;
            }
            left -= 1;
            let Some(client) = &mut self.slots[slot] else { continue };
            let dropped: u64 = client.mailboxes.iter().flatten().map(|mailbox| mailbox.shed()).sum();
            client.dropped += dropped;
            self.counts.dropped += dropped;
            let (messages, bytes) = client.outbox.level();
            if bytes >= greedy {
                self.cut_off(slot as Slot, Full { messages, bytes });
            }
        }
    }
}
