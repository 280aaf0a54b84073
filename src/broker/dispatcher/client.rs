//! A connection that can receive, and what it subscribed to.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use super::streams::{Consuming, Touched};
use crate::broker::client_id::{ClientId, Slot};
use crate::broker::delivery::{Mailbox, Outbox};
use crate::broker::peer::Peer;
use crate::broker::rare::{Empty, Rare};
use crate::broker::rights::Rights;
use crate::broker::routing::Way;
use crate::broker::small_map::SmallMap;
use crate::codec::{Account, Claim, Dialect};
use crate::protocol::{Format, Overflow, Token, TopicFilter};

/// The cost of a subscription beside its filter, in bytes: in the tables of the broker and of its
/// connection.
const SUBSCRIPTION_COST: usize = 512;

/// The same of a membership in a group, with its part of the group.
const MEMBERSHIP_COST: usize = 1_024;
/// Groups that a connection may be in. Each that a message matches is another delivery, which
/// subscriptions that overlap are not, and all of them are left at once.
const MOST_GROUPS: usize = 256;

/// Bytes of subscriptions that each connection may have whatever others have; they are a part of
/// what it takes itself.
const MODEST: usize = 8 << 10;
/// One part in so many of the memory for connections is not for subscriptions, so that somebody new
/// finds some.
const FOR_NEWCOMERS: usize = 4;

/// A connection that can receive.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: ClientId,
    pub(super) peer: Peer,
    pub(super) rights: Rights,
    /// Its writer holds the other end. Dropping it is how the dispatcher lets go of a connection.
    pub(super) outbox: Outbox,
    /// What may wait in its outbox, unless a subscription asks for less.
    queue_messages: usize,
    pub(super) filters: SmallMap<TopicFilter, Wish>,
    pub(super) more: Rare<More>,
    /// Whether its deliveries are kept for when it is back.
    pub(super) is_away: bool,
    /// With the memory for connections, for its subscriptions.
    account: Account,
    /// Bytes of subscriptions for which none is claimed.
    modest: usize,
    /// Messages that it was given, but for those of subscriptions of streams that it has.
    pub(super) delivered: u64,
    /// Those of them that were put into its outbox itself.
    pub(super) queued: u64,
    /// The format of the last subscription, and what an error that answers no request brings back.
    pub(super) format: Format,
    pub(super) token: Token,
}

/// What only few connections have.
#[derive(Debug, Default)]
pub(super) struct More {
    /// The groups that it is in, by their names.
    pub(super) memberships: SmallMap<Arc<str>, Membership>,
    /// How many subscriptions ask for an outbox of each length.
    queues: BTreeMap<usize, usize>,
    /// Where subscriptions wait that would rather lose messages.
    pub(super) mailboxes: Vec<Option<Arc<Mailbox>>>,
    /// Places in `mailboxes` that are free.
    free_mailboxes: Vec<u32>,
    /// Its subscriptions of streams.
    pub(super) consuming: Vec<Consuming>,
    /// The streams that its next pong waits for.
    pub(super) touched: Touched,
    /// Messages that made room in its mailboxes.
    pub(super) dropped: u64,
    /// How many messages were put into its outbox when it was last looked at while memory was
    /// short, and what its writer had done.
    pub(super) looked_at: Option<(u64, usize)>,
}

impl Empty for More {
    const EMPTY: &'static More = &More {
        memberships: SmallMap::NONE,
        queues: BTreeMap::new(),
        mailboxes: Vec::new(),
        free_mailboxes: Vec::new(),
        consuming: Vec::new(),
        touched: Touched::NOTHING,
        dropped: 0,
        looked_at: None,
    };

    fn is_empty(&self) -> bool {
        let More { memberships, queues, mailboxes, free_mailboxes, consuming, touched, .. } = self;
        memberships.is_empty()
            && queues.is_empty()
            && mailboxes.is_empty()
            && free_mailboxes.is_empty()
            && consuming.is_empty()
            && touched.is_empty()
            && (self.dropped, self.looked_at) == (0, None)
    }
}

/// The options that a subscription asked for beside its topic.
#[derive(Debug)]
pub(super) struct Wish {
    way: Way,
    dialect: Dialect,
    /// The longest its queue may be.
    queue: Option<usize>,
    /// The memory that it takes, or what it is counted as where none is claimed.
    claim: Claim,
    modest: usize,
}

/// Its part in a group.
#[derive(Debug)]
pub(super) struct Membership {
    /// The slot of the group.
    pub(super) group: Slot,
    pub(super) filter: TopicFilter,
    pub(super) dialect: Dialect,
    /// The memory that it takes, or what it is counted as where none is claimed.
    claim: Claim,
    modest: usize,
}

impl Wish {
    pub(super) fn way(&self) -> Way {
        self.way
    }

    /// How its messages are written.
    pub(super) fn dialect(&self) -> Dialect {
        self.dialect
    }
}

/// The cost of a subscription.
fn cost(filter: &TopicFilter) -> usize {
    filter.as_str().len() + SUBSCRIPTION_COST
}

fn membership_cost(group: &str, filter: &TopicFilter) -> usize {
    group.len() + filter.as_str().len() + MEMBERSHIP_COST
}

impl Client {
    pub(super) fn new(
        id: ClientId,
        peer: Peer,
        rights: Rights,
        outbox: Outbox,
        account: Account,
    ) -> Client {
        Client {
            id,
            peer,
            rights,
            queue_messages: outbox.limits().messages,
            outbox,
            filters: SmallMap::default(),
            more: Rare::NONE,
            is_away: false,
            account,
            modest: 0,
            delivered: 0,
            queued: 0,
            format: Format::Json,
            token: Token::default(),
        }
    }

    /// The subscription that another to `filter` takes the place of although it means something
    /// else, because it is spelled alike: with what is below it, or without.
    pub(super) fn respelled(&self, filter: &TopicFilter) -> Option<TopicFilter> {
        let other = filter.clone().below(!filter.reaches_below());
        let (found, _) = self.filters.get_key_value(&other).filter(|_| other != *filter)?;
        (found.as_str() == filter.as_str()).then_some(other)
    }

    /// The subscription that a client means who names only its filter. One without what is below
    /// has no other spelling, and a subtree has.
    pub(super) fn named_by(&self, filter: &TopicFilter) -> Option<TopicFilter> {
        let alone = filter.clone().below(false);
        [alone, filter.clone()].into_iter().find(|filter| self.filters.contains_key(filter))
    }

    /// The memory for a subscription, if it may have another, of `most` that it may have.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn has_room_for(&self, filter: &TopicFilter, most: usize) -> Result<Claim, String> {
        if self.filters.contains_key(filter) {
            return Ok(Claim::nothing());
        }
        self.has_room(cost(filter), most)
    }

    /// The same for a membership in a group.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(super) fn has_room_to_join(
        &self,
        group: &str,
        filter: &TopicFilter,
        most: usize,
    ) -> Result<Claim, String> {
        if self.more.memberships.contains_key(group) {
            return Ok(Claim::nothing());
        }
        if self.more.memberships.len() >= MOST_GROUPS {
            return Err(format!(
                "this connection has {MOST_GROUPS} shared subscriptions, as many as it may; cancel \
                 some, share a topic above several of them, or use another connection"
            ));
        }
        self.has_room(membership_cost(group, filter), most)
    }

    /// How many subscriptions it has, those of streams aside.
    pub(super) fn subscription_count(&self) -> usize {
        self.filters.len() + self.more.memberships.len()
    }

    fn has_room(&self, cost: usize, most: usize) -> Result<Claim, String> {
        if self.subscription_count() >= most {
            return Err(format!(
                "this connection has {most} subscriptions, as many as it may; cancel some, \
                 subscribe to a topic \
                 above several of them, or use another connection"
            ));
        }
        let share = self.account.share();
        if self.modest + cost <= MODEST {
            return Ok(Claim::nothing());
        }
        let has_room = share.used() + cost <= share.limit() - share.limit() / FOR_NEWCOMERS;
        let claim = if has_room { self.account.try_claim(cost) } else { None };
        claim.ok_or_else(|| {
            format!(
                "the broker has no memory left for more subscriptions of this connection, which \
                 has {}; cancel some, \
                 subscribe to a topic above several of them, or start the broker with more memory",
                self.subscription_count()
            )
        })
    }

    /// Notes what a subscription asks for, in the place of what it asked for before. The memory is
    /// what [`has_room_for`](Self::has_room_for) has found.
    pub(super) fn wish(
        &mut self,
        filter: &TopicFilter,
        (dialect, token): (Dialect, Token),
        overflow: Overflow,
        queue: Option<usize>,
        claim: Claim,
    ) -> Way {
        let claim = self.forget_wish(filter).unwrap_or(claim);
        let modest = if claim.bytes() == 0 { cost(filter) } else { 0 };
        self.modest += modest;
        let messages = queue.map_or(self.queue_messages, |queue| queue.min(self.queue_messages));
        let mailbox = self.outbox.mailbox(overflow, filter.clone(), (dialect, token), messages);
        let way = match mailbox {
            None => Way::Outbox,
            Some(mailbox) => {
                let place = self.place_for(Arc::new(mailbox));
                if overflow == Overflow::Latest {
                    Way::Latest(place)
                } else {
                    Way::DropOldest(place)
                }
            }
        };
        // A mailbox has its own bound.
        let queue = queue.filter(|_| way == Way::Outbox);
        if let Some(queue) = queue {
            *self.more.queues.entry(queue).or_insert(0) += 1;
            self.set_queue();
        }
        self.filters.insert(filter.clone(), Wish { way, dialect, queue, claim, modest });
        way
    }

    /// Forgets what a subscription asked for. Returns the memory that it took.
    pub(super) fn forget_wish(&mut self, filter: &TopicFilter) -> Option<Claim> {
        let Wish { way, queue, claim, modest, .. } = self.filters.remove(filter)?;
        // What it was counted as: there are two ways to spell a filter.
        self.modest -= modest;
        if let Way::DropOldest(place) | Way::Latest(place) = way
            && self.more.mailboxes[place as usize].take().is_some()
        {
            // A mailbox's content was announced, so it is written before whatever follows; other
            // subscriptions may be due it.
            self.more.free_mailboxes.push(place);
        }
        if let Some(queue) = queue
            && let btree_map::Entry::Occupied(mut count) = self.more.queues.entry(queue)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
            self.set_queue();
        }
        self.give_room_back();
        Some(claim)
    }

    /// Notes that it is in a group. The memory is what
    /// [`has_room_to_join`](Self::has_room_to_join) has found. Returns whether it was not before.
    pub(super) fn join(
        &mut self,
        name: &Arc<str>,
        group: Slot,
        (filter, dialect): (&TopicFilter, Dialect),
        claim: Claim,
    ) -> bool {
        if let Some(membership) = self.more.memberships.get_mut(name) {
            membership.dialect = dialect;
            return false;
        }
        let modest = if claim.bytes() == 0 { membership_cost(name, filter) } else { 0 };
        self.modest += modest;
        let membership = Membership { group, filter: filter.clone(), dialect, claim, modest };
        self.more.memberships.insert(name.clone(), membership);
        true
    }

    /// Notes that it is not in a group any more.
    pub(super) fn quit(&mut self, name: &str) -> Option<Membership> {
        let mut membership = self.more.made()?.memberships.remove(name)?;
        self.modest -= membership.modest;
        drop(std::mem::replace(&mut membership.claim, Claim::nothing()));
        Some(membership)
    }

    /// Forgets which groups it is in, and says which they were.
    pub(super) fn take_memberships(&mut self) -> SmallMap<Arc<str>, Membership> {
        let Some(more) = self.more.made() else { return SmallMap::NONE };
        let memberships = std::mem::take(&mut more.memberships);
        self.modest -= memberships.values().map(|membership| membership.modest).sum::<usize>();
        memberships
    }

    /// The charge is for the subscriptions that there are, and not for what there were at some
    /// time.
    fn give_room_back(&mut self) {
        if self.filters.is_empty()
            && let Some(more) = self.more.made()
        {
            (more.mailboxes, more.free_mailboxes) = (Vec::new(), Vec::new());
            self.more.shrink();
        }
    }

    /// Where messages wait that go this way, if that is not the outbox.
    pub(super) fn mailbox(&self, way: Way) -> Option<&Mailbox> {
        let (Way::DropOldest(place) | Way::Latest(place)) = way else { return None };
        self.more.mailboxes.get(place as usize)?.as_deref()
    }

    fn place_for(&mut self, mailbox: Arc<Mailbox>) -> u32 {
        match self.more.free_mailboxes.pop() {
            Some(place) => {
                self.more.mailboxes[place as usize] = Some(mailbox);
                place
            }
            None => {
                self.more.mailboxes.push(Some(mailbox));
                (self.more.mailboxes.len() - 1) as u32
            }
        }
    }

    /// The outbox is as short as the shortest that a subscription asks for.
    fn set_queue(&mut self) {
        let shortest = self.more.queues.keys().next().copied().unwrap_or(usize::MAX);
        self.outbox.set_messages(shortest.min(self.queue_messages));
    }
}
