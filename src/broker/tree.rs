//! Topics and their last values.
//!
//! Topics are found by their whole name in one map, whatever their depth, and linked to their parents so that a
//! subtree can be walked. A topic is in the tree while it, or something below it, holds a value.

mod subtree;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use hashbrown::HashTable;

use super::chain::Chain;
use super::routes::{RouteSet, RouteSets};
use super::subscriptions::{Route, Subscriptions};
use crate::codec::{Part, Payload};
use crate::protocol::{DEFAULT_STORED_BYTES, DEFAULT_STORED_VALUES, Format, TOPIC_COST, Topic};

/// How much may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Topics that hold a value. Default 10,000,000.
    pub values: usize,
    /// Bytes of their payloads and names, and [`TOPIC_COST`] for each of them and for each topic above them that holds no
    /// value itself. Default 4 GiB.
    pub bytes: usize,
}

impl Default for StoreLimits {
    fn default() -> StoreLimits {
        StoreLimits { values: DEFAULT_STORED_VALUES, bytes: DEFAULT_STORED_BYTES }
    }
}

/// The last value of a topic.
#[derive(Debug)]
pub struct Stored {
    /// The topic.
    pub topic: Topic,
    /// The payload.
    pub payload: Payload,
    /// The place in the order of all publications.
    pub published: u64,
}

/// A topic's place in the tree, valid until the topic is pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TopicId(u32);

/// A value that was put back, and has no place in the order of publication yet.
#[derive(Debug)]
pub(super) struct Restored {
    published: u64,
    id: TopicId,
}

/// A reader's place in the order of publication.
#[derive(Debug)]
pub(super) struct Marker(u32);

const ROOT: TopicId = TopicId(0);
const NOBODY: u32 = u32::MAX;

/// The topics.
#[derive(Debug)]
pub(super) struct Tree {
    /// The nodes by their names. Topics are chosen by clients, so the hash is keyed.
    names: HashTable<u32>,
    hasher: RandomState,
    nodes: Vec<Node>,
    /// The nodes that hold a value, in the order in which those were published, and markers.
    chain: Chain,
    /// Places in `nodes` that are free.
    free: Vec<u32>,
    /// Publications so far.
    published: u64,
    values: usize,
    bytes: usize,
    /// What all nodes cost, payloads apart.
    nodes_cost: usize,
    route_sets: RouteSets,
}

#[derive(Debug)]
struct Node {
    name: Arc<str>,
    parent: u32,
    first_child: u32,
    next_sibling: u32,
    previous_sibling: u32,
    stored: Option<Arc<Stored>>,
    /// Messages that were stored here since the topic is in the tree.
    messages: u64,
    /// Found when first needed, and again after the subscriptions have changed.
    routes: RouteSet,
}

impl Node {
    fn new(name: Arc<str>, parent: u32) -> Node {
        Node {
            name,
            parent,
            first_child: NOBODY,
            next_sibling: NOBODY,
            previous_sibling: NOBODY,
            stored: None,
            messages: 0,
            routes: RouteSet::default(),
        }
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            names: HashTable::new(),
            hasher: RandomState::new(),
            nodes: vec![Node::new("".into(), NOBODY)],
            chain: Chain::default(),
            free: Vec::new(),
            published: 0,
            values: 0,
            bytes: 0,
            nodes_cost: 0,
            route_sets: RouteSets::default(),
        }
    }
}

impl Tree {
    /// How many topics hold a value.
    pub(super) fn values(&self) -> usize {
        self.values
    }

    /// Bytes of all stored payloads.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// What is remembered, as it counts for [`StoreLimits::bytes`].
    pub(super) fn cost(&self) -> usize {
        self.bytes + self.nodes_cost
    }

    /// The place of a topic that is in the tree.
    pub(super) fn find(&self, topic: &Topic) -> Option<TopicId> {
        self.named(topic.as_str())
    }

    fn named(&self, name: &str) -> Option<TopicId> {
        let is_it = |id: &u32| *self.nodes[*id as usize].name == *name;
        self.names.find(self.hasher.hash_one(name), is_it).map(|id| TopicId(*id))
    }

    /// The place of a topic, which is made where it is not there yet.
    pub(super) fn place(&mut self, topic: &Topic) -> TopicId {
        self.find(topic).unwrap_or_else(|| self.insert(topic))
    }

    fn insert(&mut self, topic: &Topic) -> TopicId {
        // Every ancestor that is missing is made first, the topmost before the others.
        let mut parent = ROOT;
        let name = topic.as_str();
        for (end, _) in name.match_indices('/') {
            let ancestor = &name[..end];
            parent = self.named(ancestor).unwrap_or_else(|| self.insert_below(parent, ancestor.into()));
        }
        self.insert_below(parent, topic.shared().clone())
    }

    fn insert_below(&mut self, parent: TopicId, name: Arc<str>) -> TopicId {
        self.nodes_cost += node_cost(&name);
        let hash = self.hasher.hash_one(&*name);
        let mut node = Node::new(name, parent.0);
        let sibling = self.nodes[parent.0 as usize].first_child;
        node.next_sibling = sibling;
        let id = self.add(node);
        self.nodes[parent.0 as usize].first_child = id;
        if sibling != NOBODY {
            self.nodes[sibling as usize].previous_sibling = id;
        }
        let Tree { names, hasher, nodes, .. } = self;
        names.insert_unique(hash, id, |id| hasher.hash_one(&*nodes[*id as usize].name));
        TopicId(id)
    }

    fn add(&mut self, node: Node) -> u32 {
        match self.free.pop() {
            Some(id) => {
                self.nodes[id as usize] = node;
                id
            }
            None => {
                self.nodes.push(node);
                (self.nodes.len() - 1) as u32
            }
        }
    }

    /// Whether a value of `bytes` may become a topic's last value.
    pub(super) fn has_room(
        &self,
        id: Option<TopicId>,
        topic: &Topic,
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

    /// Whether a topic that is not in the tree costs no more than `room`, with what has to be made above it.
    fn has_room_for(&self, topic: &Topic, room: usize) -> bool {
        let name = topic.as_str();
        let ancestors = || name.rmatch_indices('/').map(|(end, _)| &name[..end]);
        let at_most = node_cost(name) + ancestors().map(node_cost).sum::<usize>();
        // Only where it matters, which of them are there already is looked up.
        at_most <= room || {
            let missing = ancestors().take_while(|ancestor| self.named(ancestor).is_none());
            node_cost(name) + missing.map(node_cost).sum::<usize>() <= room
        }
    }

    /// The value that a topic holds.
    pub(super) fn held(&self, id: Option<TopicId>) -> Option<&Arc<Stored>> {
        self.nodes[id?.0 as usize].stored.as_ref()
    }

    /// Bytes of the payload that a topic holds.
    pub(super) fn weight(&self, id: Option<TopicId>) -> Option<usize> {
        self.held(id).map(|stored| stored.payload.weight())
    }

    /// Counts a publication whose value is not stored, because the next one takes its place at once.
    pub(super) fn count(&mut self, id: TopicId) {
        self.published += 1;
        self.nodes[id.0 as usize].messages += 1;
    }

    /// Stores the last value of a topic. Returns the one before if `keep`; otherwise its memory may be used again.
    pub(super) fn store(
        &mut self,
        id: TopicId,
        topic: &Topic,
        source: &[u8],
        format: Format,
        part: &Part,
        keep: bool,
    ) -> Option<Arc<Stored>> {
        self.published += 1;
        let published = self.published;
        let node = &mut self.nodes[id.0 as usize];
        node.messages += 1;
        match &mut node.stored {
            Some(stored) => {
                self.chain.renew(id.0);
                self.bytes -= stored.payload.weight();
                // Where no writer is still sending the value before, its memory is used again.
                if !keep && let Some(stored) = Arc::get_mut(stored) {
                    stored.payload.replace(source, format, part);
                    stored.published = published;
                    self.bytes += stored.payload.weight();
                    return None;
                }
            }
            None => {
                self.chain.append(id.0);
                self.values += 1;
            }
        }
        let payload = Payload::copy(source, format, part);
        self.bytes += payload.weight();
        // The topic as the tree has it, so that its name is there once.
        let topic = topic.sharing(&node.name);
        node.stored.replace(Arc::new(Stored { topic, payload, published }))
    }

    /// Makes room for so many topics more, so that it need not be made little by little.
    pub(super) fn reserve(&mut self, topics: usize) {
        self.nodes.reserve(topics);
        let Tree { names, hasher, nodes, .. } = self;
        names.reserve(topics, |id| hasher.hash_one(&*nodes[*id as usize].name));
    }

    /// Puts a value back that was stored before the broker was started, before everything else. Its place in the order of
    /// publication is what [`put_in_order`](Self::put_in_order) makes of what is returned.
    pub(super) fn restore(&mut self, topic: &Topic, payload: Payload, published: u64) -> Restored {
        let id = self.place(topic);
        self.values += 1;
        self.bytes += payload.weight();
        let node = &mut self.nodes[id.0 as usize];
        let topic = topic.sharing(&node.name);
        node.stored = Some(Arc::new(Stored { topic, payload, published }));
        Restored { published, id }
    }

    /// Says in which order the values that were put back had been published.
    pub(super) fn put_in_order(&mut self, mut restored: Vec<Restored>) {
        restored.sort_unstable_by_key(|value| value.published);
        for value in &restored {
            self.chain.append(value.id.0);
        }
        self.published = self.published.max(restored.last().map_or(0, |newest| newest.published));
    }

    /// The topics that were published last, the newest first, with how many messages were stored there.
    pub(super) fn recent(&self) -> impl Iterator<Item = (&Stored, u64)> {
        let members = std::iter::successors(self.chain.newest(), |member| self.chain.before(*member));
        // A marker has no node, or one without a value.
        members.filter_map(|member| {
            let node = self.nodes.get(member as usize)?;
            Some((&**node.stored.as_ref()?, node.messages))
        })
    }

    /// The last value of a topic.
    pub(super) fn get(&self, topic: &Topic) -> Option<&Arc<Stored>> {
        let id = self.find(topic)?;
        self.nodes[id.0 as usize].stored.as_ref()
    }

    /// Forgets the last value of a topic, and returns it.
    pub(super) fn clear(&mut self, topic: &Topic) -> Option<Arc<Stored>> {
        let id = self.find(topic)?;
        let stored = self.nodes[id.0 as usize].stored.take()?;
        self.chain.remove(id.0);
        self.values -= 1;
        self.bytes -= stored.payload.weight();
        self.prune(id);
        Some(stored)
    }

    /// Takes a topic out of the tree if neither it nor anything below it holds a value, and then its parents.
    pub(super) fn prune(&mut self, id: TopicId) {
        let mut at = id.0;
        while at != ROOT.0 {
            let node = &self.nodes[at as usize];
            if node.stored.is_some() || node.first_child != NOBODY {
                return;
            }
            self.nodes_cost -= node_cost(&node.name);
            let (parent, previous, next) = (node.parent, node.previous_sibling, node.next_sibling);
            let hash = self.hasher.hash_one(&*node.name);
            if let Ok(entry) = self.names.find_entry(hash, |id| *id == at) {
                entry.remove();
            }
            match previous {
                NOBODY => self.nodes[parent as usize].first_child = next,
                _ => self.nodes[previous as usize].next_sibling = next,
            }
            if next != NOBODY {
                self.nodes[next as usize].previous_sibling = previous;
            }
            self.nodes[at as usize] = Node::new("".into(), NOBODY);
            self.free.push(at);
            at = parent;
        }
    }

    /// A marker before the oldest value.
    pub(super) fn mark(&mut self) -> Marker {
        let id = self.add(Node::new("".into(), NOBODY));
        self.chain.prepend(id);
        Marker(id)
    }

    /// A marker behind the newest value.
    pub(super) fn mark_newest(&mut self) -> Marker {
        let id = self.add(Node::new("".into(), NOBODY));
        self.chain.append(id);
        Marker(id)
    }

    /// Takes a marker away.
    pub(super) fn unmark(&mut self, Marker(id): Marker) {
        self.chain.remove(id);
        self.free.push(id);
    }

    /// What lies behind a marker: a value, or another marker; `None` at the end.
    pub(super) fn behind(&self, marker: &Marker) -> Option<Option<&Arc<Stored>>> {
        let next = self.chain.after(marker.0)?;
        Some(self.nodes[next as usize].stored.as_ref())
    }

    /// Moves a marker on by one.
    pub(super) fn pass(&mut self, marker: &Marker) {
        self.chain.pass(marker.0);
    }

    /// Publications so far.
    pub(super) fn published(&self) -> u64 {
        self.published
    }

    /// Says that subscriptions have changed.
    pub(super) fn forget_routes(&mut self) {
        if self.route_sets.forget() {
            for node in &mut self.nodes {
                node.routes = RouteSet::default();
            }
        }
    }

    /// Where a topic's messages go, found again only after a change of the subscriptions.
    pub(super) fn routes(
        &mut self,
        id: TopicId,
        topic: &Topic,
        subscriptions: &Subscriptions,
    ) -> Arc<[Route]> {
        let node = &mut self.nodes[id.0 as usize];
        if let Some(routes) = self.route_sets.get(node.routes) {
            return routes.clone();
        }
        let (set, routes) = self.route_sets.add(subscriptions.routes(topic));
        node.routes = set;
        routes
    }
}

/// What a node costs, its payload apart.
fn node_cost(name: &str) -> usize {
    name.len() + TOPIC_COST
}

#[cfg(test)]
mod tests;
