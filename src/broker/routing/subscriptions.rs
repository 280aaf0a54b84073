//! The subscriptions of all connections.

use std::collections::HashMap;
use std::sync::Arc;

use crate::access::Grant;
use crate::broker::client_id::Slot;
use crate::broker::cost::Search;
use crate::broker::routing::filter_map::FilterMap;
use crate::broker::routing::patterns::Patterns;
use crate::codec::Dialect;
use crate::protocol::{TopicFilter, TopicName};

/// One subscription.
#[derive(Clone, Debug)]
pub(in crate::broker) struct Subscription {
    pub(in crate::broker) slot: Slot,
    pub(in crate::broker) filter: TopicFilter,
    pub(in crate::broker) dialect: Dialect,
    pub(in crate::broker) way: Way,
    /// Whether it is told when a last value is cleared or expires.
    pub(in crate::broker) cleared: bool,
    /// The grant that says which of its topics the client may see, where it may not see all.
    pub(in crate::broker) limit: Option<Grant>,
}

/// How messages of a subscription wait for their writer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::broker) enum Way {
    /// In the outbox; if there is no room for them the connection ends.
    Outbox,
    /// In one of the connection's mailboxes; the oldest make room.
    DropOldest(u32),
    /// In one of the connection's mailboxes, the newest of each topic.
    Latest(u32),
    /// Into a stream, by its place among them: it is no connection.
    Stream(u32),
    /// To one of the members of a group: it is no connection either.
    Group,
}

/// One way of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(in crate::broker) struct Route {
    pub(in crate::broker) slot: Slot,
    pub(in crate::broker) dialect: Dialect,
    pub(in crate::broker) way: Way,
}

/// The ways of a topic: one for each connection, however many of its subscriptions overlap there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(in crate::broker) struct Routes {
    /// Those of its messages.
    pub(in crate::broker) messages: Arc<[Route]>,
    /// Those of the notice that its last value was cleared, or has expired.
    pub(in crate::broker) notices: Arc<[Route]>,
}

/// All subscriptions, found by the topics that they match.
#[derive(Debug, Default)]
pub(in crate::broker) struct Subscriptions {
    filters: FilterMap<Subscribers>,
    filters_so_far: u64,
    patterns: Patterns,
    count: usize,
    /// Those that are told when a last value is cleared or expires.
    want_cleared: usize,
    /// Those whose client may not see all that they match.
    limited: usize,
}

/// The filters that match a topic, the least specific first.
#[derive(Debug)]
pub(in crate::broker) struct Found<'a> {
    filters: Vec<&'a Subscribers>,
    /// Those of their subscriptions whose client may not see the topic: which filter, and whose; in
    /// the order of the filters.
    unseen: Vec<(u32, Slot)>,
    /// Grants that were asked, and subscriptions for which one was.
    judged: usize,
    limited: usize,
    compared: usize,
    shapes: usize,
    want_cleared: bool,
}

/// The subscriptions to one filter, of each connection at most one; never none.
#[derive(Debug)]
struct Subscribers {
    /// No other filter, of now or before, has it.
    number: u64,
    all: Vec<Subscription>,
    /// Those of them whose client may not see all that they match.
    limited: usize,
    /// Where the one of a connection is, if there are more than [`FEW`].
    places: Option<HashMap<Slot, usize>>,
}

/// So many subscriptions are searched through one by one.
const FEW: usize = 16;

impl Subscriptions {
    /// How many there are.
    pub(in crate::broker) fn len(&self) -> usize {
        self.count
    }

    /// Shapes of their filters: what a topic is held against.
    pub(in crate::broker) fn shapes(&self) -> usize {
        self.filters.shapes()
    }

    /// Whether a connection's `+` may be where this filter has them.
    ///
    /// # Errors
    /// Why not, and what to do.
    pub(in crate::broker) fn has_room_for(
        &self,
        slot: Slot,
        filter: &TopicFilter,
    ) -> Result<(), String> {
        self.patterns.has_room_for(slot, filter.shape())
    }

    /// Notes that a connection is in a group with this filter. It is counted against the
    /// connection, and the group's own subscription against nobody.
    pub(in crate::broker) fn note_member(&mut self, slot: Slot, filter: &TopicFilter) {
        self.patterns.add(slot, filter.shape());
    }

    /// Notes that a connection is not in a group with this filter any more.
    pub(in crate::broker) fn forget_member(&mut self, slot: Slot, filter: &TopicFilter) {
        self.patterns.remove(slot, filter.shape());
    }

    /// Adds one, in the place of the one that the connection has for the same filter. Returns
    /// whether it is new.
    pub(in crate::broker) fn add(&mut self, subscription: Subscription) -> bool {
        let (slot, shape) = (subscription.slot, subscription.filter.shape());
        let is_group = subscription.way == Way::Group;
        self.want_cleared += usize::from(subscription.cleared);
        self.limited += usize::from(subscription.limit.is_some());
        let before = match self.filters.get_mut(&subscription.filter) {
            Some(subscribers) => subscribers.add(subscription),
            None => {
                let filter = subscription.filter.clone();
                self.filters_so_far += 1;
                let subscribers = Subscribers {
                    number: self.filters_so_far,
                    limited: usize::from(subscription.limit.is_some()),
                    all: vec![subscription],
                    places: None,
                };
                self.filters.insert(filter, subscribers);
                None
            }
        };
        match &before {
            Some(before) => {
                self.want_cleared -= usize::from(before.cleared);
                self.limited -= usize::from(before.limit.is_some());
            }
            None => {
                self.count += 1;
                if !is_group {
                    self.patterns.add(slot, shape);
                }
            }
        }
        before.is_none()
    }

    /// Removes the one that a connection has for a filter. Returns whether there was one.
    pub(in crate::broker) fn remove(&mut self, slot: Slot, filter: &TopicFilter) -> bool {
        let Some(subscribers) = self.filters.get_mut(filter) else { return false };
        let Some(removed) = subscribers.remove(slot) else { return false };
        self.want_cleared -= usize::from(removed.cleared);
        self.limited -= usize::from(removed.limit.is_some());
        self.count -= 1;
        if removed.way != Way::Group {
            self.patterns.remove(slot, filter.shape());
        }
        if subscribers.all.is_empty() {
            self.filters.remove(filter);
        }
        true
    }

    /// Says what of the subscription that a connection has for a filter its client may see: all, or
    /// what a grant lets it. Returns whether what it sees may be other topics than before.
    pub(in crate::broker) fn limit(
        &mut self,
        slot: Slot,
        filter: &TopicFilter,
        limit: Option<Grant>,
    ) -> bool {
        let Some(subscribers) = self.filters.get_mut(filter) else { return false };
        let Some(place) = subscribers.place_of(slot) else { return false };
        let is_limited = usize::from(limit.is_some());
        let before = std::mem::replace(&mut subscribers.all[place].limit, limit);
        let was_limited = usize::from(before.is_some());
        subscribers.limited = subscribers.limited + is_limited - was_limited;
        self.limited = self.limited + is_limited - was_limited;
        is_limited + was_limited > 0
    }

    /// The filters that match a topic.
    pub(in crate::broker) fn find<'a>(&self, topic: impl Into<TopicName<'a>>) -> Found<'_> {
        let (topic, mut filters) = (topic.into(), Vec::new());
        let compared = self.filters.each_matching(topic, |subscribers| filters.push(subscribers));
        let mut found = Found {
            filters,
            unseen: Vec::new(),
            judged: 0,
            limited: 0,
            compared,
            shapes: self.shapes(),
            want_cleared: self.want_cleared(),
        };
        if self.limited > 0 {
            found.judge(topic);
        }
        found
    }

    /// Every subscription that matches a topic, the least specific first.
    pub(in crate::broker) fn matching<'a>(
        &self,
        topic: impl Into<TopicName<'a>>,
    ) -> Vec<&Subscription> {
        self.find(topic).subscriptions()
    }

    /// Whether any is told when a last value is cleared or expires.
    pub(in crate::broker) fn want_cleared(&self) -> bool {
        self.want_cleared > 0
    }
}

impl<'a> Found<'a> {
    /// Finds the subscriptions whose client may not see the topic. Clients of one user have one
    /// grant, which is asked once.
    fn judge(&mut self, topic: TopicName<'_>) {
        let mut answers: HashMap<usize, bool> = HashMap::new();
        for (place, subscribers) in self.filters.iter().enumerate() {
            if subscribers.limited == 0 {
                continue;
            }
            self.limited += subscribers.all.len();
            for subscription in &subscribers.all {
                let Some(grant) = &subscription.limit else { continue };
                let sees = answers.entry(grant.address()).or_insert_with(|| grant.may_see(topic));
                if !*sees {
                    self.unseen.push((place as u32, subscription.slot));
                }
            }
        }
        self.judged = answers.len();
    }

    /// The numbers of the filters, and who of their subscribers may not see the topic. Until a
    /// subscription changes, topics of which they are the same have the same routes.
    pub(in crate::broker) fn numbers(&self) -> Vec<u64> {
        let unseen = self.unseen.iter().map(|(place, slot)| u64::from(*place) << 32 | *slot as u64);
        let mut numbers: Vec<u64> =
            self.filters.iter().map(|subscribers| subscribers.number).collect();
        if !self.unseen.is_empty() {
            // No filter has this number.
            numbers.push(0);
            numbers.extend(unseen);
        }
        numbers
    }

    /// What it took to find the filters.
    pub(in crate::broker) fn search(&self) -> Search {
        let Found { compared, shapes, judged, limited, .. } = *self;
        Search { found: self.filters.len() + limited, compared, shapes, judged }
    }

    /// Where messages to the topic go, and where it is told that its last value is gone; and what
    /// it takes beside finding the filters. Of one connection's overlapping subscriptions the most
    /// specific decides the format.
    pub(in crate::broker) fn routes(&self) -> (Routes, Search) {
        let matching = self.subscriptions();
        let mut search = Search { found: matching.len(), ..Search::default() };
        let messages = one_for_each(&matching, |_| true).into();
        let mut notices = Arc::default();
        if self.want_cleared {
            notices = one_for_each(&matching, |subscription| subscription.cleared).into();
            search.found *= 2;
        }
        (Routes { messages, notices }, search)
    }

    /// The subscriptions to the filters whose client may see the topic.
    fn subscriptions(&self) -> Vec<&'a Subscription> {
        let all = self.filters.iter().enumerate().flat_map(|(place, subscribers)| {
            subscribers.all.iter().map(move |subscription| (place as u32, subscription))
        });
        let mut unseen = self.unseen.iter().peekable();
        all.filter(|(place, subscription)| {
            unseen.next_if(|unseen| **unseen == (*place, subscription.slot)).is_none()
        })
        .map(|(_, subscription)| subscription)
        .collect()
    }
}

/// A route for each connection: by the most specific of its subscriptions that are `wanted`.
fn one_for_each(matching: &[&Subscription], wanted: impl Fn(&Subscription) -> bool) -> Vec<Route> {
    let mut routes: Vec<Route> = matching
        .iter()
        .rev()
        .filter(|found| wanted(found))
        .map(|found| Route { slot: found.slot, dialect: found.dialect, way: found.way })
        .collect();
    routes.sort_by_key(|route| route.slot);
    routes.dedup_by_key(|route| route.slot);
    routes
}

impl Subscribers {
    fn place_of(&self, slot: Slot) -> Option<usize> {
        match &self.places {
            Some(places) => places.get(&slot).copied(),
            None => self.all.iter().position(|subscription| subscription.slot == slot),
        }
    }

    /// Adds one, or puts it in the place of the connection's other. Returns that.
    fn add(&mut self, subscription: Subscription) -> Option<Subscription> {
        self.limited += usize::from(subscription.limit.is_some());
        if let Some(place) = self.place_of(subscription.slot) {
            self.limited -= usize::from(self.all[place].limit.is_some());
            return Some(std::mem::replace(&mut self.all[place], subscription));
        }
        if let Some(places) = &mut self.places {
            places.insert(subscription.slot, self.all.len());
        }
        self.all.push(subscription);
        if self.places.is_none() && self.all.len() > FEW {
            let places =
                self.all.iter().enumerate().map(|(place, subscription)| (subscription.slot, place));
            self.places = Some(places.collect());
        }
        None
    }

    /// Removes a connection's, and puts the last in its place. Returns it.
    fn remove(&mut self, slot: Slot) -> Option<Subscription> {
        let place = self.place_of(slot)?;
        let removed = self.all.swap_remove(place);
        self.limited -= usize::from(removed.limit.is_some());
        if let Some(places) = &mut self.places {
            places.remove(&slot);
            if let Some(moved) = self.all.get(place) {
                places.insert(moved.slot, place);
            }
            if self.all.len() <= FEW / 2 {
                self.places = None;
            }
        }
        Some(removed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::Topic;

    fn subscribe(all: &mut Subscriptions, slot: Slot, filter: &str, dialect: Dialect) -> bool {
        let filter = TopicFilter::parse(filter).unwrap();
        all.add(Subscription {
            slot,
            filter,
            dialect,
            way: Way::Outbox,
            cleared: false,
            limit: None,
        })
    }

    fn routes(all: &Subscriptions, topic: &str) -> Vec<(Slot, Dialect)> {
        let (routes, _) = all.find(&Topic::parse(topic).unwrap()).routes();
        routes.messages.iter().map(|route| (route.slot, route.dialect)).collect()
    }

    #[test]
    fn one_route_for_each_connection_and_the_most_specific_decides() {
        let mut all = Subscriptions::default();
        assert!(subscribe(&mut all, 1, "#", Dialect::Json));
        assert!(subscribe(&mut all, 1, "a/b", Dialect::Xml));
        assert!(subscribe(&mut all, 2, "a/+/c", Dialect::Pickle));
        assert!(subscribe(&mut all, 3, "/", Dialect::Json));
        assert_eq!(routes(&all, "a/b"), [(1, Dialect::Xml)]);
        assert_eq!(routes(&all, "a/b/c"), [(1, Dialect::Xml), (2, Dialect::Pickle)]);
        assert_eq!(routes(&all, "a/c"), [(1, Dialect::Json)]);
        assert_eq!(routes(&all, "/a"), [(1, Dialect::Json), (3, Dialect::Json)]);
        assert_eq!(all.len(), 4);
        let alone = Subscription {
            slot: 1,
            filter: TopicFilter::parse("a/b").unwrap().below(false),
            dialect: Dialect::ExactJson,
            way: Way::Outbox,
            cleared: false,
            limit: None,
        };
        assert!(all.add(alone));
        assert_eq!(routes(&all, "a/b"), [(1, Dialect::ExactJson)]);
        assert_eq!(routes(&all, "a/b/x"), [(1, Dialect::Xml)]);
        assert_eq!(routes(&all, "$a"), []);
    }

    #[test]
    fn the_same_filter_again_replaces_and_a_removed_one_leaves_nothing_behind() {
        let mut all = Subscriptions::default();
        assert!(subscribe(&mut all, 1, "a/b", Dialect::Json));
        assert!(!subscribe(&mut all, 1, "a/b/#", Dialect::Xml));
        assert_eq!(routes(&all, "a/b/c"), [(1, Dialect::Xml)]);
        assert!(!all.remove(2, &TopicFilter::parse("a/b").unwrap()));
        assert!(!all.remove(1, &TopicFilter::parse("a").unwrap()));
        assert!(all.remove(1, &TopicFilter::parse("a/b").unwrap()));
        assert_eq!(all.len(), 0);
        assert_eq!(all.shapes(), 0);
    }

    /// All of them may be of one connection, to which a message goes once.
    #[test]
    fn what_a_search_takes_is_told_of_every_filter_that_matches() {
        let mut all = Subscriptions::default();
        let topic = ["a"; 16].join("/");
        for number in 1..=100 {
            let segment = |place: usize| if number >> place & 1 == 1 { "+" } else { "a" };
            let pattern: Vec<&str> = (0..16).map(segment).collect();
            subscribe(&mut all, 1, &pattern.join("/"), Dialect::Json);
            subscribe(&mut all, 1, &pattern.join("/").replace('a', "b"), Dialect::Json);
        }
        let shapes = all.shapes();
        let topic = Topic::parse(&topic).unwrap();
        let found = all.find(&topic);
        let expected = Search { found: 100, compared: 1_600, shapes, judged: 0 };
        assert_eq!((found.numbers().len(), found.search()), (100, expected));
        let (routes, search) = found.routes();
        assert_eq!((routes.messages.len(), routes.notices.len()), (1, 0));
        assert_eq!(search, Search { found: 100, ..Search::default() });
        // Who is told of what is cleared is looked for among the same.
        let (slot, filter) = (2, TopicFilter::parse("a").unwrap());
        let (dialect, way) = (Dialect::Json, Way::Outbox);
        all.add(Subscription { slot, filter, dialect, way, cleared: true, limit: None });
        let (routes, search) = all.find(&topic).routes();
        assert_eq!((routes.messages.len(), routes.notices.len()), (2, 1));
        assert_eq!(search, Search { found: 202, ..Search::default() });
    }

    /// The subscriptions as they would be kept with a node for each segment: what the map must
    /// agree with.
    #[derive(Debug, Default)]
    struct Trie {
        root: Branch,
    }

    #[derive(Debug, Default)]
    struct Branch {
        subscriptions: Vec<Subscription>,
        longer: HashMap<Box<str>, Branch>,
    }

    impl Trie {
        /// Adds one, in the place of the one that the connection has for the same filter. Returns
        /// whether it is new.
        fn add(&mut self, subscription: Subscription) -> bool {
            let mut branch = &mut self.root;
            for segment in subscription.filter.segments() {
                branch = branch.longer.entry(segment.into()).or_default();
            }
            let below = subscription.filter.reaches_below();
            match branch.subscriptions.iter_mut().find(|existing| {
                existing.slot == subscription.slot && existing.filter.reaches_below() == below
            }) {
                Some(existing) => {
                    *existing = subscription;
                    false
                }
                None => {
                    branch.subscriptions.push(subscription);
                    branch.subscriptions.sort_by_key(|one| !one.filter.reaches_below());
                    true
                }
            }
        }

        /// Removes the one that a connection has for a filter. Returns whether there was one.
        fn remove(&mut self, slot: Slot, filter: &TopicFilter) -> bool {
            let segments: Vec<&str> = filter.segments().collect();
            self.root.remove(slot, &segments, filter.reaches_below())
        }

        /// Every subscription that matches a topic, the least specific first.
        fn matching<'a>(&self, topic: impl Into<TopicName<'a>>) -> Vec<&Subscription> {
            let topic = topic.into();
            let (is_brokers, deepest) = (topic.is_brokers(), topic.segments().count());
            let mut branches = vec![&self.root];
            let mut found = Vec::new();
            if !is_brokers {
                found.extend(self.root.subscriptions.iter());
            }
            for (depth, segment) in topic.segments().enumerate() {
                if branches.iter().all(|branch| branch.longer.is_empty()) {
                    break;
                }
                let mut longer = Vec::new();
                for branch in branches {
                    longer.extend(branch.longer.get("+").filter(|_| depth > 0 || !is_brokers));
                    longer.extend(branch.longer.get(segment));
                }
                branches = longer;
                let here = branches.iter().flat_map(|branch| &branch.subscriptions);
                let is_deepest = depth + 1 == deepest;
                found.extend(here.filter(|one| is_deepest || one.filter.reaches_below()));
            }
            found
        }
    }

    impl Branch {
        /// At most 64 segments deep, so the recursion is bounded.
        fn remove(&mut self, slot: Slot, segments: &[&str], below: bool) -> bool {
            let Some((first, rest)) = segments.split_first() else {
                let before = self.subscriptions.len();
                self.subscriptions
                    .retain(|one| one.slot != slot || one.filter.reaches_below() != below);
                return self.subscriptions.len() < before;
            };
            let Some(branch) = self.longer.get_mut(*first) else { return false };
            let removed = branch.remove(slot, rest, below);
            if branch.subscriptions.is_empty() && branch.longer.is_empty() {
                self.longer.remove(*first);
            }
            removed
        }
    }

    /// What a connection does: it has a subscription or not.
    fn steps() -> impl Strategy<Value = Vec<(Slot, TopicFilter, bool)>> {
        let segment = prop_oneof!["[ab]", Just("+".to_owned()), Just("$a".to_owned())];
        let filter = prop::collection::vec(segment, 1..5).prop_map(|segments| segments.join("/"));
        let filter = (filter, prop_oneof![Just("#"), Just("/"), Just("/#"), Just("")]).prop_map(
            |(filter, end)| match end {
                "" => filter,
                "/#" => filter + "/#",
                whole => whole.to_owned(),
            },
        );
        let filter = (filter, prop::bool::weighted(0.7))
            .prop_map(|(filter, below)| TopicFilter::parse(&filter).unwrap().below(below));
        prop::collection::vec((0..30_u32, filter, prop::bool::weighted(0.8)), 0..120)
    }

    proptest! {
        /// The same subscriptions, in the same order but for those of one filter.
        #[test]
        fn subscriptions_match_as_in_a_trie(
            steps in steps(),
            topics in prop::collection::vec("(/|[$])?[ab](/[ab]){0,5}", 1..8),
        ) {
            let (mut all, mut trie) = (Subscriptions::default(), Trie::default());
            let mut count = 0;
            for (slot, filter, is_there) in steps {
                if is_there {
                    let subscription = Subscription {
                        slot,
                        filter,
                        dialect: Dialect::Json,
                        way: Way::Outbox,
                        cleared: false,
                        limit: None,
                    };
                    let is_new = trie.add(subscription.clone());
                    prop_assert_eq!(all.add(subscription), is_new);
                    count += usize::from(is_new);
                } else {
                    let was_there = trie.remove(slot, &filter);
                    prop_assert_eq!(all.remove(slot, &filter), was_there);
                    count -= usize::from(was_there);
                }
                prop_assert_eq!(all.len(), count);
            }
            for topic in topics {
                let topic = Topic::parse(&topic).unwrap();
                let (mut found, mut expected) = (all.matching(&topic), trie.matching(&topic));
                let key = |found: &&Subscription| (found.filter.shape(), found.slot);
                prop_assert!(found.is_sorted_by_key(|found| found.filter.shape()));
                prop_assert!(expected.is_sorted_by_key(|found| found.filter.shape()));
                found.sort_by_key(key);
                expected.sort_by_key(key);
                let names = |of: Vec<&Subscription>| -> Vec<(Slot, String)> {
                    of.iter().map(|found| (found.slot, format!("{:?}", found.filter))).collect()
                };
                prop_assert_eq!(names(found), names(expected));
            }
        }
    }
}
