//! Where the messages of a subscription wait that would rather lose some than its connection.
//!
//! The dispatcher puts them in and makes room; the writer takes them out. That there is something
//! in it travels through the outbox as a [`Delivery::Mailbox`](super::Delivery::Mailbox), one at a
//! time, so that its messages keep their place among everything else that the connection gets.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::broker::delivery::Selection;
use crate::broker::delivery::level::{Charge, Level};
use crate::broker::retained::Stored;
use crate::broker::sync::Mutex;
use crate::codec::{Batch, Dialect};
use crate::protocol::{Token, Topic, TopicFilter};

/// Deliveries that a writer takes at a time, and bytes from which on it takes no more: what it has
/// in its hands when its peer takes nothing makes no room.
const TAKE: usize = 64;
const TAKE_BYTES: usize = 32 << 10;
/// Topics for which a mailbox may keep room though nothing waits.
const ROOMY: usize = 256;
/// What a waiting message of `latest` costs beside its payload, about.
const ENTRY: usize = 256;

/// The messages that wait for one subscription.
#[derive(Debug)]
pub struct Mailbox {
    topic: TopicFilter,
    dialect: Dialect,
    /// What a note that messages were dropped brings back.
    token: Token,
    is_latest: bool,
    most_messages: usize,
    most_bytes: usize,
    /// Shared with the connection's outbox and its other mailboxes: the bound on bytes is one for
    /// all.
    level: Arc<Level>,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    waiting: Waiting,
    messages: usize,
    /// Messages that made room since the writer was told.
    dropped: u64,
    /// The same since it was made.
    lost: u64,
    /// A delivery that says that there is something is on its way.
    announced: bool,
    /// The subscription is over.
    closed: bool,
}

#[derive(Debug)]
enum Waiting {
    Oldest(VecDeque<Entry>),
    Latest {
        /// By topic, in the order in which they began to wait: a topic that is busy does not
        /// overtake the others.
        order: VecDeque<Topic>,
        newest: HashMap<Topic, Stored>,
    },
}

#[derive(Debug)]
struct Entry {
    batch: Arc<Batch>,
    selection: Selection,
    messages: usize,
    /// The first messages of the selection, which made room.
    skipped: usize,
}

/// The outcome of putting something in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Put {
    /// The writer was not told yet that there is something.
    pub(crate) announce: bool,
    /// Messages that made room.
    pub(crate) dropped: u64,
}

/// The letter that a writer takes out.
#[derive(Debug)]
pub struct Taken {
    /// Messages that made room before these.
    pub dropped: u64,
    /// What is to be written.
    pub letters: Vec<Letter>,
    /// Messages that these are.
    pub messages: usize,
    /// To be given back when they are written.
    pub charge: Charge,
}

/// Something to write.
#[derive(Debug)]
pub enum Letter {
    /// Messages of a batch, without the first so many of the selection.
    Messages(Arc<Batch>, Selection, usize),
    /// The newest message of a topic.
    Newest(Stored),
}

impl Mailbox {
    fn new(
        topic: TopicFilter,
        (dialect, token): (Dialect, Token),
        most: (usize, usize),
        level: Arc<Level>,
        waiting: Waiting,
    ) -> Mailbox {
        let is_latest = matches!(waiting, Waiting::Latest { .. });
        let (announced, closed) = (false, false);
        let inner = Inner { waiting, messages: 0, dropped: 0, lost: 0, announced, closed };
        let (most_messages, most_bytes) = most;
        Mailbox {
            topic,
            dialect,
            token,
            is_latest,
            most_messages,
            most_bytes,
            level,
            inner: Mutex::new(inner),
        }
    }

    /// One in which the oldest messages make room. `most` is in messages and in bytes of the whole
    /// connection.
    pub(in crate::broker) fn drop_oldest(
        topic: TopicFilter,
        (dialect, token): (Dialect, Token),
        most: (usize, usize),
        level: Arc<Level>,
    ) -> Mailbox {
        Mailbox::new(topic, (dialect, token), most, level, Waiting::Oldest(VecDeque::new()))
    }

    /// One in which a message takes the place of the one before of its topic. `most` as for
    /// [`drop_oldest`](Self::drop_oldest).
    pub(in crate::broker) fn latest(
        topic: TopicFilter,
        (dialect, token): (Dialect, Token),
        most: (usize, usize),
        level: Arc<Level>,
    ) -> Mailbox {
        let waiting = Waiting::Latest { order: VecDeque::new(), newest: HashMap::new() };
        Mailbox::new(topic, (dialect, token), most, level, waiting)
    }

    /// The subscription.
    pub fn topic(&self) -> &TopicFilter {
        &self.topic
    }

    /// How its messages are written.
    pub fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// What a note that messages were dropped brings back from the subscription.
    pub fn token(&self) -> Token {
        self.token
    }

    /// Whether it keeps the newest message of each topic; otherwise it drops the oldest.
    pub(in crate::broker) fn is_latest(&self) -> bool {
        self.is_latest
    }

    /// Messages that may wait.
    pub(in crate::broker) fn most_messages(&self) -> usize {
        self.most_messages
    }

    /// Messages that have made room since it was made.
    pub(in crate::broker) fn lost(&self) -> u64 {
        self.inner.lock().lost
    }

    /// Messages that wait.
    pub(in crate::broker) fn waiting(&self) -> usize {
        self.inner.lock().messages
    }

    /// Whether to write what waits means to copy more than so many messages or bytes. (Those of
    /// batches are shared.)
    pub(in crate::broker) fn is_longer_than(&self, messages: usize, bytes: usize) -> bool {
        let inner = self.inner.lock();
        inner.messages > messages
            || match &inner.waiting {
                Waiting::Oldest(_) => false,
                Waiting::Latest { newest, .. } => {
                    newest.values().map(Stored::weight).sum::<usize>() > bytes
                }
            }
    }

    /// Adds messages of a batch to one that drops the oldest.
    pub(crate) fn put(&self, batch: &Arc<Batch>, selection: Selection, messages: usize) -> Put {
        let mut inner = self.inner.lock();
        self.level.add(Charge::batch(batch.weight(), &selection));
        inner.messages += messages;
        if let Waiting::Oldest(entries) = &mut inner.waiting {
            entries.push_back(Entry { batch: batch.clone(), selection, messages, skipped: 0 });
        }
        self.make_room(&mut inner)
    }

    /// Adds the newest message of its topic to one that keeps the latest.
    pub(crate) fn put_latest(&self, stored: Stored) -> Put {
        let mut inner = self.inner.lock();
        let charge = charge_of(&stored);
        if let Waiting::Latest { order, newest } = &mut inner.waiting {
            if let Some(before) = newest.get_mut(stored.topic().as_str()) {
                self.level.add(charge);
                self.level.give_back(charge_of(before));
                *before = stored;
            } else {
                self.level.add(charge);
                let topic = stored.topic().to_topic();
                order.push_back(topic.clone());
                newest.insert(topic, stored);
                inner.messages += 1;
            }
        }
        self.make_room(&mut inner)
    }

    /// Lets some of the older half of what waits go, because memory is short: at most `most`
    /// messages. Returns how many.
    pub(in crate::broker) fn shed(&self, most: usize) -> usize {
        let mut inner = self.inner.lock();
        let keep = (inner.messages / 2).max(inner.messages.saturating_sub(most));
        let mut dropped = 0;
        while inner.messages > keep {
            let excess = inner.messages - keep;
            dropped += inner.drop_oldest(excess, &self.level);
        }
        inner.dropped += dropped as u64;
        inner.lost += dropped as u64;
        dropped
    }

    fn make_room(&self, inner: &mut Inner) -> Put {
        let mut dropped = 0;
        while inner.messages > self.most_messages {
            let excess = inner.messages - self.most_messages;
            dropped += inner.drop_oldest(excess, &self.level);
        }
        // A message that is alone may be as large as it is.
        let is_much = || self.level.bytes() > self.most_bytes || self.level.is_over();
        while inner.messages > 0 && is_much() && !inner.is_all_of(&self.level) {
            dropped += inner.drop_oldest(usize::MAX, &self.level);
        }
        let put = Put { announce: !inner.announced && !inner.closed, dropped: dropped as u64 };
        inner.dropped += put.dropped;
        inner.lost += put.dropped;
        inner.announced = true;
        put
    }

    /// Says that the writer was told, and how many messages there are at this moment.
    pub fn open(&self) -> usize {
        let mut inner = self.inner.lock();
        inner.announced = false;
        inner.messages
    }

    /// Takes some of the oldest messages out, in order.
    pub fn take(&self) -> Taken {
        let mut inner = self.inner.lock();
        let dropped = std::mem::take(&mut inner.dropped);
        let mut taken =
            Taken { dropped, letters: Vec::new(), messages: 0, charge: Charge::default() };
        while taken.letters.len() < TAKE
            && taken.charge.own() < TAKE_BYTES
            && let Some((letter, messages, charge)) = inner.waiting.pop()
        {
            // One that was closed has none that count.
            inner.messages = inner.messages.saturating_sub(messages);
            taken.messages += messages;
            taken.charge = taken.charge.plus(charge);
            taken.letters.push(letter);
        }
        taken
    }

    /// Ends it: what waits is discarded, at most about `most` deliveries of it now, and nothing
    /// more is announced. Returns how many are left of `most`: some if it is empty.
    pub(crate) fn close_some(&self, mut most: usize) -> usize {
        let mut inner = self.inner.lock();
        inner.closed = true;
        inner.dropped = 0;
        inner.messages = 0;
        while most > 0
            && let Some((_, _, charge)) = inner.waiting.pop()
        {
            self.level.give_back(charge);
            most -= 1;
        }
        most
    }
}

/// A connection's outbox may be gone before its mailboxes are empty.
impl Drop for Mailbox {
    fn drop(&mut self) {
        self.close_some(usize::MAX);
    }
}

/// The payload may be held by nobody else, and the name of the topic is there twice.
fn charge_of(stored: &Stored) -> Charge {
    let weight = ENTRY + stored.weight();
    Charge::copy(weight, weight + 2 * stored.topic().as_str().len())
}

impl Inner {
    /// Whether nothing else is waiting for the connection.
    fn is_all_of(&self, level: &Level) -> bool {
        match &self.waiting {
            Waiting::Oldest(entries) => {
                entries.len() == 1 && level.bytes() == entries[0].batch.weight()
            }
            Waiting::Latest { newest, .. } => {
                newest.len() == 1
                    && newest.values().all(|stored| level.bytes() == ENTRY + stored.weight())
            }
        }
    }

    /// Lets the oldest messages go, at least one and at most `most`, and none but those of one
    /// delivery.
    fn drop_oldest(&mut self, most: usize, level: &Level) -> usize {
        if let Waiting::Oldest(entries) = &mut self.waiting
            && let Some(first) = entries.front_mut()
            && first.messages > most
        {
            first.messages -= most;
            first.skipped += most;
            self.messages -= most;
            return most;
        }
        let Some((_, messages, charge)) = self.waiting.pop() else {
            self.messages = 0;
            return 0;
        };
        level.give_back(charge);
        self.messages -= messages;
        messages
    }
}

impl Waiting {
    /// The oldest letter, its messages and what they are charged.
    fn pop(&mut self) -> Option<(Letter, usize, Charge)> {
        match self {
            Waiting::Oldest(entries) => {
                let Entry { batch, selection, messages, skipped } = entries.pop_front()?;
                if entries.capacity() > ROOMY && entries.len() < entries.capacity() / 8 {
                    entries.shrink_to(entries.len() * 2);
                }
                let charge = Charge::batch(batch.weight(), &selection);
                Some((Letter::Messages(batch, selection, skipped), messages, charge))
            }
            Waiting::Latest { order, newest } => {
                let stored = newest.remove(order.pop_front()?.as_str())?;
                let charge = charge_of(&stored);
                // The charge is for what waits, and not for what has waited at some time.
                if order.capacity() > ROOMY && order.len() < order.capacity() / 8 {
                    order.shrink_to(order.len() * 2);
                    newest.shrink_to(order.len() * 2);
                }
                Some((Letter::Newest(stored), 1, charge))
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;
    use crate::codec::{PayloadRef, Share};
    use crate::protocol::Format;

    #[test]
    fn a_few_long_values_are_long_as_well() {
        let filter = TopicFilter::parse("#").unwrap();
        let mailbox = Mailbox::latest(
            filter,
            (Dialect::Xml, Token::default()),
            (usize::MAX, usize::MAX),
            Arc::new(Level::new(Share::unlimited().account(), Share::unlimited().account())),
        );
        let put = |topic: &str, length: usize| {
            let (topic, payload) = (Topic::parse(topic).unwrap(), vec![b'1'; length]);
            mailbox.put_latest(Stored::new(
                topic.name(),
                PayloadRef::new(&payload, Format::Json),
                0,
            ));
        };
        put("a", 600);
        put("b", 300);
        assert!(!mailbox.is_longer_than(2, 1_000));
        assert!(mailbox.is_longer_than(1, 1_000));
        put("b", 500);
        assert!(mailbox.is_longer_than(2, 1_000));
    }

    #[test]
    fn what_waits_here_alone_is_held_of_the_memory_until_it_is_gone() {
        let share = Share::unlimited();
        let level = Arc::new(Level::new(Share::unlimited().account(), share.account()));
        let most = (usize::MAX, usize::MAX);
        let mailbox = Mailbox::latest(
            TopicFilter::parse("#").unwrap(),
            (Dialect::Xml, Token::default()),
            most,
            level.clone(),
        );
        let put = |topic: &str| {
            let topic = Topic::parse(topic).unwrap();
            let _ = mailbox.put_latest(Stored::new(
                topic.name(),
                PayloadRef::new(&[b'1'; 1_000], Format::Json),
                0,
            ));
        };
        put("a");
        assert_eq!(share.used(), 0, "each may have a little");
        ["b", "c", "d", "e"].iter().for_each(|topic| put(topic));
        let five = share.used();
        put("a");
        assert_eq!(share.used(), five);
        put("f");
        let six = share.used();
        assert!(six > five + 1_000, "{five} {six}");
        let taken = mailbox.take();
        assert_eq!(share.used(), six, "what is being written is still held");
        level.give_back(taken.charge);
        assert_eq!(share.used(), 0);
        ["a", "b", "c", "d", "e"].iter().for_each(|topic| put(topic));
        assert_eq!(share.used(), five);
        drop(mailbox);
        assert_eq!(share.used(), 0);
    }

    #[test]
    fn a_mailbox_that_was_emptied_keeps_no_room() {
        let level =
            Arc::new(Level::new(Share::unlimited().account(), Share::unlimited().account()));
        let most = (usize::MAX, usize::MAX);
        let mailbox = Mailbox::latest(
            TopicFilter::parse("#").unwrap(),
            (Dialect::Xml, Token::default()),
            most,
            level.clone(),
        );
        for number in 0..5_000 {
            let topic = Topic::parse(&format!("t/{number}")).unwrap();
            mailbox.put_latest(Stored::new(topic.name(), PayloadRef::new(b"1", Format::Json), 0));
        }
        while let Taken { charge, messages: 1.., .. } = mailbox.take() {
            level.give_back(charge);
        }
        let inner = mailbox.inner.lock();
        let Waiting::Latest { order, newest } = &inner.waiting else { panic!("{inner:?}") };
        assert!(
            order.capacity() <= 512 && newest.capacity() <= 512,
            "{} {}",
            order.capacity(),
            newest.capacity()
        );
    }
}
