//! Relief when messages that wait take all the memory that they may: the connections that hold most
//! of it let go.
//!
//! There are two uses of memory that may be short. Messages on their way are shared by those that
//! they wait for, and producers say that they wait for room. Deliveries that wait for one
//! subscriber alone are put there by the dispatcher, which sees for itself when little is left.

use std::sync::Arc;
use std::time::Duration;

use super::Dispatcher;
use super::client::Client;
use crate::broker::client_id::Slot;
use crate::broker::delivery::Mailbox;
use crate::broker::memory::Use;
use crate::broker::sync::Instant;

/// Connections and mailboxes that are looked at in one step, and messages that they lose: some
/// tenths of a millisecond.
const TOGETHER: usize = 4_096;
/// Of a use of memory, everybody's parts together are at least one in so many of what is held when
/// it is short: a connection that holds less than its part of that is never ended for others.
const PART: usize = 4;
/// Connections of this size are modest however few there are.
const MODEST: usize = 64 << 10;

/// Time between two looks, in which whoever keeps up has read what was on its way.
const BETWEEN: Duration = Duration::from_millis(200);

/// The relief of too little memory.
#[derive(Debug, Default)]
pub(super) struct Pressure {
    on_the_way: Option<Pass>,
    /// When that began for the last time.
    began: Option<Instant>,
    queues: Option<Pass>,
    /// Bytes of the queues when that was done last.
    last: usize,
}

/// One look at all connections, in steps.
#[derive(Debug)]
struct Pass {
    /// A connection that holds so many bytes lets go.
    greedy: usize,
    /// The connection that is looked at next, and its mailbox.
    slot: usize,
    mailbox: usize,
    /// Whether its mailboxes have lost something since the first of them was looked at.
    has_shed: bool,
}

impl Pressure {
    /// As if it were long ago that something was done.
    #[cfg(test)]
    pub(super) fn forget_when(&mut self) {
        self.began = None;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.on_the_way.is_none() && self.queues.is_none()
    }
}

/// The bytes that a connection holds of a use.
fn held(client: &Client, of: Use) -> usize {
    if of == Use::Queues { client.outbox.own_bytes() } else { client.outbox.shared_bytes() }
}

impl Dispatcher {
    /// Begins to make room for producers that wait: of the connections that hold at least half as
    /// much as the one that holds most, mailboxes lose what waited longest, and whoever holds as
    /// much otherwise, and does not keep up, is cut off as a slow consumer.
    pub(super) fn relieve(&mut self) {
        let is_due = self.pressure.began.is_none_or(|began| began.elapsed() >= BETWEEN);
        let share = self.memory.of(Use::InFlight);
        let is_short = share.is_wanted() || share.used() > share.limit();
        if is_due && self.pressure.on_the_way.is_none() && is_short {
            self.pressure.began = Some(Instant::now());
            self.pressure.on_the_way = self.begin_pass(Use::InFlight);
        }
    }

    /// The same for what waits for subscribers alone, when three quarters of it are taken and more
    /// than last time.
    pub(super) fn relieve_queues(&mut self) {
        let share = self.memory.of(Use::Queues);
        let (used, limit) = (share.used(), share.limit());
        if used <= limit / 4 * 3 {
            self.pressure.last = 0;
        } else if self.pressure.queues.is_none() && used > self.pressure.last + limit / 64 {
            self.pressure.last = used;
            self.pressure.queues = self.begin_pass(Use::Queues);
        } else {
            self.pressure.last = self.pressure.last.min(used);
        }
    }

    fn begin_pass(&self, of: Use) -> Option<Pass> {
        let clients = || self.slots.iter().flatten();
        let most = clients().map(|client| held(client, of)).max()?;
        let part = self.memory.of(of).limit() / PART / self.by_id.len().max(1);
        let greedy = (most / 2).max(part.min(MODEST)).max(1);
        Some(Pass { greedy, slot: 0, mailbox: 0, has_shed: false })
    }

    /// Goes on with making room.
    pub(super) fn relieve_on(&mut self) {
        if let Some(pass) = self.pressure.on_the_way.take() {
            self.pressure.on_the_way = self.go_on(pass, Use::InFlight);
        }
        if let Some(pass) = self.pressure.queues.take() {
            self.pressure.queues = self.go_on(pass, Use::Queues);
        }
    }

    /// Takes a step. Returns the pass where it has not come to the end.
    fn go_on(&mut self, mut pass: Pass, of: Use) -> Option<Pass> {
        let mut turns = TOGETHER;
        while pass.slot < self.slots.len() {
            if turns == 0 {
                return Some(pass);
            }
            turns -= 1;
            let Some(client) = &mut self.slots[pass.slot] else {
                pass.next();
                continue;
            };
            if held(client, of) < pass.greedy {
                pass.next();
                continue;
            }
            match client.more.mailboxes.get(pass.mailbox).cloned() {
                Some(mailbox) => {
                    pass.mailbox += 1;
                    let shed = |mailbox: Arc<Mailbox>| (mailbox.is_latest(), mailbox.shed(turns));
                    let (is_latest, dropped) = mailbox.map_or((false, 0), shed);
                    pass.has_shed |= dropped > 0;
                    turns = turns.saturating_sub(dropped);
                    client.more.dropped += dropped as u64;
                    self.counts.drop_messages(is_latest, dropped as u64);
                }
                None if pass.has_shed => (pass.mailbox, pass.has_shed) = (0, false),
                // A connection that has read what had been delivered when it was last looked at
                // keeps up, however much is on its way.
                None if client.keeps_up() => pass.next(),
                None => {
                    let (messages, bytes) = client.outbox.level();
                    self.cut_off_because(
                        pass.slot as Slot,
                        format!(
                            "others need the memory that messages on their way to this subscriber \
                             take, and of all \
                             subscribers that do not keep up it has most ({messages} messages wait \
                             for it, {bytes} \
                             bytes); read faster, subscribe to less, or start the broker with more \
                             memory"
                        ),
                    );
                    pass.next();
                }
            }
        }
        None
    }
}

impl Client {
    /// Whether its writer has done something since this was asked last, and all that had been put
    /// into its outbox by then; or whether it was not asked yet.
    fn keeps_up(&mut self) -> bool {
        let written = self.outbox.written();
        let read = self.queued.saturating_sub(self.outbox.level().0 as u64);
        let then = self.more.looked_at.replace((self.queued, written));
        then.is_none_or(|(queued, before)| read >= queued && written != before)
    }
}

impl Pass {
    fn next(&mut self) {
        (self.slot, self.mailbox, self.has_shed) = (self.slot + 1, 0, false);
    }
}
