//! Topics and their last values.
//!
//! Topics are found by their whole name in one map, whatever their depth, and linked to their
//! parents so that a subtree can be read. A topic is in the tree while it, or something below it,
//! holds a value.

mod names;
mod nodes;
mod prefetch;
mod subtree;

use std::mem;

use crate::broker::cost::Search;
use crate::broker::retained::publication_order::PublicationOrder;
use crate::broker::retained::stored::Stored;
use crate::broker::routing::{RouteSet, RouteSets, Routes, Subscriptions};
use crate::codec::PayloadRef;
use crate::protocol::{
    DEFAULT_STORED_BYTES, DEFAULT_STORED_VALUES, MAX_TOPIC_SEGMENTS, TOPIC_COST, TopicName,
};
use names::{NameHash, Names};
use nodes::{Node, Nodes};

pub(in crate::broker) use prefetch::{AHEAD, Prefetch};

/// How much may be remembered.
///
/// ```
/// use babelmq::{Broker, Config, ErrorCode, StoreLimits};
///
/// let config = Config::listening_on(([127, 0, 0, 1], 0)).store(StoreLimits::default().values(1));
/// let broker = Broker::start(config)?;
/// broker.put_topic("/weather/oslo", &21.5.into())?;
/// let refusal = broker.put_topic("/weather/rome", &30.into()).unwrap_err();
/// assert_eq!(refusal.code, ErrorCode::StoreFull);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreLimits {
    /// Topics that hold a value. Default 10,000,000.
    pub values: usize,
    /// Bytes of their payloads and names, and [`TOPIC_COST`] for each of them and for each topic
    /// above them that holds no value itself. Default 4 GiB.
    pub bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits { values: DEFAULT_STORED_VALUES, bytes: DEFAULT_STORED_BYTES }
    }
}

impl StoreLimits {
    /// Lets so many topics hold a value.
    #[must_use]
    pub fn values(self, values: usize) -> StoreLimits {
        StoreLimits { values, ..self }
    }

    /// Lets values and their topics take so many bytes.
    #[must_use]
    pub fn bytes(self, bytes: usize) -> StoreLimits {
        StoreLimits { bytes, ..self }
    }
}

/// A topic's place in the tree, valid until the topic is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::broker) struct TopicId(u32);

/// A value that was put back, and has no place in the order of publication yet.
#[derive(Debug)]
pub(in crate::broker) struct Restored {
    published: u64,
    id: TopicId,
}

/// A reader's place in the order of publication.
#[derive(Debug)]
pub(in crate::broker) struct Marker(u32);

/// Topics above another at most.
const MOST_ABOVE: usize = MAX_TOPIC_SEGMENTS;
/// Links of the order of publication that [`Tree::recent`] follows at most: readers have their
/// places there too.
const MOST_RECENT: usize = 16_384;

/// The topics above another, the topmost first.
struct Above {
    /// How long their names are, and their hashes.
    all: [(usize, NameHash); MOST_ABOVE],
    count: usize,
    /// So many are in the tree, and this is the last of them.
    known: usize,
    lowest: TopicId,
}

impl Above {
    fn missing(&self) -> &[(usize, NameHash)] {
        &self.all[self.known..self.count]
    }
}

const ROOT: TopicId = TopicId(0);
const NOBODY: u32 = u32::MAX;

/// The topics.
#[derive(Debug)]
pub(in crate::broker) struct Tree {
    names: Names,
    nodes: Nodes,
    /// The nodes that hold a value, in the order in which those were published, and markers.
    order: PublicationOrder,
    /// Publications so far.
    published: u64,
    values: usize,
    bytes: usize,
    /// The cost of all nodes, payloads apart.
    nodes_cost: usize,
    route_sets: RouteSets,
    /// The cost of finding routes that were not known.
    search: Search,
}

impl Default for Tree {
    fn default() -> Tree {
        let mut nodes = Nodes::default();
        // The root, whose number is 0.
        nodes.add(Node::new(None, NOBODY));
        Tree {
            names: Names::default(),
            nodes,
            order: PublicationOrder::default(),
            published: 0,
            values: 0,
            bytes: 0,
            nodes_cost: 0,
            route_sets: RouteSets::default(),
            search: Search::default(),
        }
    }
}

impl Tree {
    /// How many topics hold a value.
    pub(in crate::broker) fn values(&self) -> usize {
        self.values
    }

    /// Bytes of all stored payloads.
    pub(in crate::broker) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is remembered, as it counts for [`StoreLimits::bytes`](field@StoreLimits::bytes).
    pub(in crate::broker) fn cost(&self) -> usize {
        self.bytes + self.nodes_cost
    }

    /// The place of a topic that is in the tree.
    pub(in crate::broker) fn find<'a>(&self, topic: impl Into<TopicName<'a>>) -> Option<TopicId> {
        let name = topic.into().as_str();
        self.named(name, self.names.hash(name))
    }

    fn named(&self, name: &str, hash: NameHash) -> Option<TopicId> {
        let is_it = |node: u32| {
            self.nodes[node].stored.as_ref().is_some_and(|stored| stored.name() == name.as_bytes())
        };
        self.names.find(hash, is_it).map(TopicId)
    }

    /// Adds a topic that is not in the tree.
    fn insert(&mut self, topic: TopicName<'_>, hash: NameHash, stored: Stored) -> TopicId {
        // Most topics have a parent already.
        let name = topic.as_str();
        let above =
            name.rsplit_once('/').map(|(above, _)| self.named(above, self.names.hash(above)));
        let parent = match above {
            None => ROOT,
            Some(Some(parent)) => parent,
            Some(None) => self.place_above(name),
        };
        self.insert_below(parent, hash, stored)
    }

    /// The place of a topic's parent; every ancestor that is missing is made, the topmost before
    /// the others.
    fn place_above(&mut self, name: &str) -> TopicId {
        let above = self.above(name);
        let mut parent = above.lowest;
        for (end, hash) in above.missing() {
            parent =
                self.insert_below(parent, *hash, Stored::nothing(TopicName::judged(&name[..*end])));
        }
        parent
    }

    /// Which ancestors of a topic are there. Those are the topmost ones, for whoever is there has a
    /// parent.
    fn above(&self, name: &str) -> Above {
        let mut above =
            Above { all: [(0, NameHash::default()); MOST_ABOVE], count: 0, known: 0, lowest: ROOT };
        for (place, ancestor) in above.all.iter_mut().zip(self.names.above(name)) {
            *place = ancestor;
            above.count += 1;
        }
        // All from `missing` on are missing.
        let mut missing = above.count;
        while above.known < missing {
            let middle = above.known.midpoint(missing);
            let (end, hash) = above.all[middle];
            match self.named(&name[..end], hash) {
                Some(found) => (above.known, above.lowest) = (middle + 1, found),
                None => missing = middle,
            }
        }
        above
    }

    fn insert_below(&mut self, parent: TopicId, hash: NameHash, stored: Stored) -> TopicId {
        self.nodes_cost += node_cost(stored.name().len());
        let mut node = Node::new(Some(stored), parent.0);
        let sibling = self.nodes[parent.0].first_child;
        node.next_sibling = sibling;
        let id = self.nodes.add(node);
        self.nodes[parent.0].first_child = id;
        if sibling != NOBODY {
            self.nodes[sibling].previous_sibling = id;
        }
        self.names.insert(hash, id);
        TopicId(id)
    }

    /// Whether a value of `bytes` may become a topic's last value.
    pub(in crate::broker) fn has_room(
        &self,
        id: Option<TopicId>,
        topic: TopicName<'_>,
        bytes: usize,
        limits: &StoreLimits,
    ) -> bool {
        let before = self.weight(id);
        let smaller = before.unwrap_or(0);
        if before.is_none() && self.values >= limits.values {
            return false;
        }
        if bytes <= smaller && id.is_some() {
            return true;
        }
        let room = limits.bytes.saturating_sub(self.cost() - smaller);
        bytes <= room && (id.is_some() || self.has_room_for(topic, room - bytes))
    }

    /// Whether a topic that is not in the tree costs no more than `room`, with what has to be made
    /// above it.
    fn has_room_for(&self, topic: TopicName<'_>, room: usize) -> bool {
        let name = topic.as_str();
        let ancestors = name.match_indices('/').map(|(end, _)| node_cost(end));
        let at_most = node_cost(name.len()) + ancestors.sum::<usize>();
        // Only where it matters, which of them are there already is looked up.
        at_most <= room || {
            let above = self.above(name);
            let missing = above.missing().iter().map(|(end, _)| node_cost(*end));
            node_cost(name.len()) + missing.sum::<usize>() <= room
        }
    }

    /// The value that a topic holds.
    pub(in crate::broker) fn held(&self, id: Option<TopicId>) -> Option<&Stored> {
        self.nodes[id?.0].held()
    }

    /// Bytes of the payload that a topic holds.
    pub(in crate::broker) fn weight(&self, id: Option<TopicId>) -> Option<usize> {
        self.held(id).map(Stored::weight)
    }

    /// Stores the last value of a topic that may not be in the tree yet. Returns its place.
    pub(in crate::broker) fn store_new(
        &mut self,
        topic: TopicName<'_>,
        payload: PayloadRef<'_>,
    ) -> TopicId {
        let hash = self.names.hash(topic.as_str());
        if let Some(id) = self.named(topic.as_str(), hash) {
            self.store(id, payload, false);
            return id;
        }
        self.published += 1;
        let id = self.insert(topic, hash, Stored::new(topic, payload, self.published));
        self.begin(id, payload);
        self.nodes[id.0].messages = 1;
        id
    }

    /// Notes that a topic holds a value, which is the newest.
    fn begin(&mut self, id: TopicId, payload: PayloadRef<'_>) {
        self.order.append(id.0);
        self.values += 1;
        self.bytes += Stored::weight_of(payload);
    }

    /// Counts publications whose values are not stored, because the next one takes their place at
    /// once.
    pub(in crate::broker) fn count(&mut self, id: TopicId, publications: u64) {
        self.published += publications;
        self.nodes[id.0].messages += publications;
    }

    /// Stores the last value of a topic. Returns the one before if `keep`; otherwise its memory may
    /// be used again.
    pub(in crate::broker) fn store(
        &mut self,
        id: TopicId,
        payload: PayloadRef<'_>,
        keep: bool,
    ) -> Option<Stored> {
        self.published += 1;
        let published = self.published;
        let node = &mut self.nodes[id.0];
        node.messages += 1;
        let stored = node.stored.as_mut()?;
        if !stored.is_held() {
            *stored = Stored::new(stored.topic(), payload, published);
            self.begin(id, payload);
            return None;
        }
        self.order.renew(id.0);
        self.bytes -= stored.weight();
        self.bytes += Stored::weight_of(payload);
        // Where no writer is still sending the value before, its memory is used again.
        if !keep && stored.replace(payload, published) {
            return None;
        }
        let new = Stored::new(stored.topic(), payload, published);
        Some(std::mem::replace(stored, new))
    }

    /// Makes room for so many topics more, so that it need not be made little by little.
    pub(in crate::broker) fn reserve(&mut self, topics: usize) {
        self.names.reserve(topics);
    }

    /// Puts a value back that was stored before the broker was started, before everything else. Its
    /// place in the order of publication is what [`put_in_order`](Self::put_in_order) makes of what
    /// is returned.
    pub(in crate::broker) fn restore(
        &mut self,
        topic: TopicName<'_>,
        payload: PayloadRef<'_>,
        published: u64,
    ) -> Restored {
        let (hash, stored) =
            (self.names.hash(topic.as_str()), Stored::new(topic, payload, published));
        let id = match self.named(topic.as_str(), hash) {
            Some(id) => {
                self.nodes[id.0].stored = Some(stored);
                id
            }
            None => self.insert(topic, hash, stored),
        };
        self.values += 1;
        self.bytes += Stored::weight_of(payload);
        Restored { published, id }
    }

    /// Says in which order the values that were put back had been published.
    pub(in crate::broker) fn put_in_order(&mut self, mut restored: Vec<Restored>) {
        restored.sort_unstable_by_key(|value| value.published);
        for value in &restored {
            self.order.append(value.id.0);
        }
        self.published = self.published.max(restored.last().map_or(0, |newest| newest.published));
    }

    /// The topics that were published last, the newest first, with how many messages were stored
    /// there. Those beyond many readers are left out.
    pub(in crate::broker) fn recent(&self) -> impl Iterator<Item = (&Stored, u64)> {
        let members =
            std::iter::successors(self.order.newest(), |member| self.order.before(*member));
        // A marker has no node, or one without a value.
        members.take(MOST_RECENT).filter_map(|member| {
            let node = self.nodes.get(member)?;
            Some((node.held()?, node.messages))
        })
    }

    /// The last value of a topic.
    pub(in crate::broker) fn get<'a>(&self, topic: impl Into<TopicName<'a>>) -> Option<&Stored> {
        let id = self.find(topic)?;
        self.nodes[id.0].held()
    }

    /// Forgets the last value of a topic, and returns it.
    pub(in crate::broker) fn clear<'a>(
        &mut self,
        topic: impl Into<TopicName<'a>>,
    ) -> Option<Stored> {
        let topic = topic.into();
        let id = self.find(topic)?;
        self.nodes[id.0].held()?;
        let stored = self.nodes[id.0].stored.replace(Stored::nothing(topic))?;
        self.order.remove(id.0);
        self.values -= 1;
        self.bytes -= stored.weight();
        self.prune(id);
        Some(stored)
    }

    /// Takes a topic out of the tree if neither it nor anything below it holds a value, and then
    /// its parents.
    pub(in crate::broker) fn prune(&mut self, id: TopicId) {
        let mut at = id.0;
        // The first that was taken out, and the hashes of those above it, once they are needed.
        let mut lowest: Option<Stored> = None;
        let mut above = Vec::new();
        while at != ROOT.0 {
            let node = &self.nodes[at];
            if node.held().is_some() || node.first_child != NOBODY {
                return;
            }
            let Node { stored, parent, previous_sibling, next_sibling, .. } = self.nodes.remove(at);
            if let Some(stored) = stored {
                self.nodes_cost -= node_cost(stored.name().len());
                let hash = match &lowest {
                    None => self.names.hash(stored.topic().as_str()),
                    Some(lowest) => {
                        if above.is_empty() {
                            above.extend(self.names.above(lowest.topic().as_str()));
                        }
                        above.pop().map_or_else(NameHash::default, |(_, hash)| hash)
                    }
                };
                self.names.remove(hash, at);
                lowest = lowest.or(Some(stored));
            }
            match previous_sibling {
                NOBODY => self.nodes[parent].first_child = next_sibling,
                _ => self.nodes[previous_sibling].next_sibling = next_sibling,
            }
            if next_sibling != NOBODY {
                self.nodes[next_sibling].previous_sibling = previous_sibling;
            }
            at = parent;
        }
    }

    /// A marker before the oldest value.
    pub(in crate::broker) fn mark(&mut self) -> Marker {
        let id = self.nodes.add(Node::new(None, NOBODY));
        self.order.prepend(id);
        Marker(id)
    }

    /// A marker behind the newest value.
    pub(in crate::broker) fn mark_newest(&mut self) -> Marker {
        let id = self.nodes.add(Node::new(None, NOBODY));
        self.order.append(id);
        Marker(id)
    }

    /// Takes a marker away.
    pub(in crate::broker) fn unmark(&mut self, Marker(id): Marker) {
        self.order.remove(id);
        self.nodes.remove(id);
    }

    /// The next in order behind a marker: a value, or another marker; `None` at the end.
    pub(in crate::broker) fn behind(&self, marker: &Marker) -> Option<Option<&Stored>> {
        let next = self.order.after(marker.0)?;
        Some(self.nodes[next].held())
    }

    /// Moves a marker on by one.
    pub(in crate::broker) fn pass(&mut self, marker: &Marker) {
        self.order.pass(marker.0);
    }

    /// Publications so far.
    pub(in crate::broker) fn published(&self) -> u64 {
        self.published
    }

    /// Says that subscriptions have changed.
    pub(in crate::broker) fn forget_routes(&mut self) {
        if self.route_sets.forget() {
            for node in self.nodes.iter_mut() {
                node.routes = RouteSet::default();
            }
        }
    }

    /// Says how many bytes of routes may be remembered.
    pub(in crate::broker) fn remember_routes(&mut self, bytes: usize) {
        self.route_sets.remember(bytes);
    }

    /// Where a topic's messages and notices go, found again only after a change of the
    /// subscriptions, or when too much is remembered. A topic that holds no value has no place.
    pub(in crate::broker) fn route_set(
        &mut self,
        id: Option<TopicId>,
        topic: TopicName<'_>,
        subscriptions: &Subscriptions,
    ) -> RouteSet {
        let known = id.map_or_else(|| self.route_sets.passing(topic), |id| self.nodes[id.0].routes);
        if self.route_sets.get(known).is_some() {
            return known;
        }
        let found = subscriptions.find(topic);
        let filters = found.numbers();
        self.search += found.search();
        let set = self.route_sets.of_filters(&filters).unwrap_or_else(|| {
            let (routes, search) = found.routes();
            self.search += search;
            if !self.route_sets.has_room_for(&routes) {
                self.forget_routes();
            }
            self.route_sets.add(routes, filters)
        });
        match id {
            Some(id) => self.nodes[id.0].routes = set,
            None => self.route_sets.pass(topic, set),
        }
        set
    }

    /// The cost of finding routes since this was asked last.
    pub(in crate::broker) fn take_search(&mut self) -> Search {
        mem::take(&mut self.search)
    }

    /// Routes that are remembered.
    #[cfg(test)]
    pub(in crate::broker) fn remembered_routes(&self) -> usize {
        self.route_sets.remembered()
    }

    /// The routes of a set that was found last.
    pub(in crate::broker) fn routes(&self, set: RouteSet) -> Routes {
        self.route_sets.get(set).cloned().unwrap_or_default()
    }
}

/// The cost of a node, its payload apart.
fn node_cost(name: usize) -> usize {
    name + TOPIC_COST
}

#[cfg(test)]
mod tests;
