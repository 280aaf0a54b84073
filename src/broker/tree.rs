//! Topics and their last values.
//!
//! Topics are found by their whole name in one map, whatever their depth, and linked to their parents so that a
//! subtree can be walked. A topic is in the tree while it, or something below it, holds a value.

use std::collections::HashMap;
use std::sync::Arc;

use super::chain::Chain;
use super::subscriptions::{Route, Subscriptions};
use crate::codec::{Part, Payload};
use crate::protocol::{DEFAULT_STORED_BYTES, DEFAULT_STORED_VALUES, Format, Topic, TopicFilter};

/// How much may be remembered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreLimits {
    /// Topics that hold a value. Default 10,000,000.
    pub values: usize,
    /// Bytes of their payloads. Default 4 GiB.
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

/// A reader's place in the order of publication.
#[derive(Debug)]
pub(super) struct Marker(u32);

const ROOT: TopicId = TopicId(0);
const NOBODY: u32 = u32::MAX;

/// The topics.
#[derive(Debug)]
pub(super) struct Tree {
    names: HashMap<Arc<str>, TopicId>,
    nodes: Vec<Node>,
    /// The nodes that hold a value, in the order in which those were published, and markers.
    chain: Chain,
    /// Places in `nodes` that are free.
    free: Vec<u32>,
    /// Publications so far.
    published: u64,
    values: usize,
    bytes: usize,
    /// Counts changes of the subscriptions: routes found before the last one are stale.
    generation: u64,
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
    routes: Option<Arc<[Route]>>,
    routes_generation: u64,
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
            routes: None,
            routes_generation: 0,
        }
    }
}

impl Default for Tree {
    fn default() -> Tree {
        Tree {
            names: HashMap::new(),
            nodes: vec![Node::new("".into(), NOBODY)],
            chain: Chain::default(),
            free: Vec::new(),
            published: 0,
            values: 0,
            bytes: 0,
            generation: 1,
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

    /// The place of a topic that is in the tree.
    pub(super) fn find(&self, topic: &Topic) -> Option<TopicId> {
        self.names.get(topic.as_str()).copied()
    }

    /// The place of a topic, which is made where it is not there yet.
    pub(super) fn place(&mut self, topic: &Topic) -> TopicId {
        match self.names.get(topic.as_str()) {
            Some(&id) => id,
            None => self.insert(topic.as_str()),
        }
    }

    fn insert(&mut self, name: &str) -> TopicId {
        // Every ancestor that is missing is made first, the topmost before the others.
        let mut parent = ROOT;
        let ends = name.match_indices('/').map(|(at, _)| at).chain([name.len()]);
        for end in ends {
            let ancestor = &name[..end];
            parent = match self.names.get(ancestor) {
                Some(&id) => id,
                None => self.insert_below(parent, ancestor),
            };
        }
        parent
    }

    fn insert_below(&mut self, parent: TopicId, name: &str) -> TopicId {
        let name: Arc<str> = name.into();
        let mut node = Node::new(name.clone(), parent.0);
        let sibling = self.nodes[parent.0 as usize].first_child;
        node.next_sibling = sibling;
        let id = self.add(node);
        self.nodes[parent.0 as usize].first_child = id;
        if sibling != NOBODY {
            self.nodes[sibling as usize].previous_sibling = id;
        }
        self.names.insert(name, TopicId(id));
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
    pub(super) fn has_room(&self, id: Option<TopicId>, bytes: usize, limits: &StoreLimits) -> bool {
        let before = id.and_then(|id| self.nodes[id.0 as usize].stored.as_ref());
        let smaller = before.map_or(0, |stored| stored.payload.weight());
        (before.is_some() || self.values < limits.values)
            && (bytes <= smaller || self.bytes - smaller + bytes <= limits.bytes)
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
        node.stored.replace(Arc::new(Stored { topic: topic.clone(), payload, published }))
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
        let id = self.names.get(topic.as_str())?;
        self.nodes[id.0 as usize].stored.as_ref()
    }

    /// Forgets the last value of a topic, and returns it.
    pub(super) fn clear(&mut self, topic: &Topic) -> Option<Arc<Stored>> {
        let id = *self.names.get(topic.as_str())?;
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
            let (parent, previous, next) = (node.parent, node.previous_sibling, node.next_sibling);
            self.names.remove(&node.name);
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

    /// The stored values of a subtree, in the order in which they were published; `None` if finding them means looking at
    /// more than `most` topics.
    pub(super) fn snapshot(&self, filter: &TopicFilter, most: usize) -> Option<Vec<Arc<Stored>>> {
        let mut values = Vec::new();
        self.walk(filter, most, |stored| values.push(stored.clone()))?;
        values.sort_unstable_by_key(|stored| stored.published);
        Some(values)
    }

    /// The topics of a subtree that hold a value, sorted; `None` as for [`snapshot`](Self::snapshot).
    pub(super) fn topics(&self, filter: &TopicFilter, most: usize) -> Option<Vec<Topic>> {
        let mut topics = Vec::new();
        self.walk(filter, most, |stored| topics.push(stored.topic.clone()))?;
        topics.sort_unstable();
        Some(topics)
    }

    fn walk(&self, filter: &TopicFilter, most: usize, mut visit: impl FnMut(&Arc<Stored>)) -> Option<()> {
        // The tops of the subtrees that the filter names: one, unless there is a wildcard.
        let mut tops = vec![ROOT.0];
        for segment in filter.segments() {
            let mut below = Vec::new();
            for top in tops {
                if segment == "+" {
                    below.extend(self.children(top).take(most));
                } else {
                    let name = &self.nodes[top as usize].name;
                    let name = if top == ROOT.0 { segment.to_owned() } else { format!("{name}/{segment}") };
                    below.extend(self.names.get(&*name).map(|id| id.0));
                }
                if below.len() >= most {
                    return None;
                }
            }
            tops = below;
        }
        let mut looked_at = 0;
        while let Some(top) = tops.pop() {
            looked_at += 1;
            if looked_at + tops.len() > most {
                return None;
            }
            if let Some(stored) = &self.nodes[top as usize].stored {
                visit(stored);
            }
            tops.extend(self.children(top).take(most));
        }
        Some(())
    }

    /// A marker before the oldest value.
    pub(super) fn mark(&mut self) -> Marker {
        let id = self.add(Node::new("".into(), NOBODY));
        self.chain.prepend(id);
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

    fn children(&self, of: u32) -> impl Iterator<Item = u32> {
        let mut next = self.nodes[of as usize].first_child;
        std::iter::from_fn(move || {
            let child = (next != NOBODY).then_some(next)?;
            next = self.nodes[child as usize].next_sibling;
            Some(child)
        })
    }

    /// Says that subscriptions have changed.
    pub(super) fn forget_routes(&mut self) {
        self.generation += 1;
    }

    /// Where a topic's messages go, found again only after a change of the subscriptions.
    pub(super) fn routes(
        &mut self,
        id: TopicId,
        topic: &Topic,
        subscriptions: &Subscriptions,
    ) -> Arc<[Route]> {
        let node = &mut self.nodes[id.0 as usize];
        match &node.routes {
            Some(routes) if node.routes_generation == self.generation => routes.clone(),
            _ => {
                let routes: Arc<[Route]> = subscriptions.routes(topic).into();
                node.routes = Some(routes.clone());
                node.routes_generation = self.generation;
                routes
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(tree: &mut Tree, name: &str, json: &str) {
        let topic = Topic::parse(name).unwrap();
        let id = tree.place(&topic);
        tree.store(id, &topic, json.as_bytes(), Format::Json, &Part::Value(0..json.len()), false);
    }

    const ALL: usize = 1_000;

    fn names(tree: &Tree, filter: &str) -> Vec<String> {
        let filter = TopicFilter::parse(filter).unwrap();
        tree.snapshot(&filter, ALL).unwrap().iter().map(|stored| stored.topic.to_string()).collect()
    }

    #[test]
    fn a_snapshot_is_a_subtree_in_the_order_of_publication() {
        let mut tree = Tree::default();
        for name in ["/b/c", "/a", "b", "/b", "/b/c/d", "/bc", "/a"] {
            publish(&mut tree, name, "1");
        }
        assert_eq!(names(&tree, "/b"), ["/b/c", "/b", "/b/c/d"]);
        assert_eq!(names(&tree, "#"), ["/b/c", "b", "/b", "/b/c/d", "/bc", "/a"]);
        assert_eq!(names(&tree, "/"), ["/b/c", "/b", "/b/c/d", "/bc", "/a"]);
        assert_eq!(names(&tree, "+"), ["/b/c", "b", "/b", "/b/c/d", "/bc", "/a"]);
        assert_eq!(names(&tree, "/+/c"), ["/b/c", "/b/c/d"]);
        assert_eq!(names(&tree, "/b/+/+"), ["/b/c/d"]);
        assert_eq!(names(&tree, "/nothing"), [""; 0]);
        let all = TopicFilter::parse("#").unwrap();
        let listed: Vec<String> = tree.topics(&all, ALL).unwrap().iter().map(Topic::to_string).collect();
        assert_eq!(listed, ["/a", "/b", "/b/c", "/b/c/d", "/bc", "b"]);
    }

    #[test]
    fn a_cleared_topic_leaves_nothing_behind() {
        let mut tree = Tree::default();
        for name in ["/a/b/c", "/a/b/d", "/a/x", "/a"] {
            publish(&mut tree, name, "12");
        }
        let clear = |tree: &mut Tree, name: &str| tree.clear(&Topic::parse(name).unwrap()).is_some();
        assert!(!clear(&mut tree, "/a/b"));
        assert!(clear(&mut tree, "/a/b/d"));
        assert!(!clear(&mut tree, "/a/b/d"));
        assert!(clear(&mut tree, "/a"));
        assert_eq!(names(&tree, "#"), ["/a/b/c", "/a/x"]);
        assert!(clear(&mut tree, "/a/b/c"));
        assert_eq!(names(&tree, "#"), ["/a/x"]);
        assert!(clear(&mut tree, "/a/x"));
        assert_eq!((tree.values(), tree.bytes(), tree.names.len()), (0, 0, 0));
        assert_eq!(tree.free.len(), tree.nodes.len() - 1);
        publish(&mut tree, "/a/b", "1");
        assert_eq!(names(&tree, "/a"), ["/a/b"]);
    }

    #[test]
    fn a_value_that_is_being_sent_is_not_overwritten() {
        let mut tree = Tree::default();
        publish(&mut tree, "t", "1");
        let sending = tree.snapshot(&TopicFilter::parse("t").unwrap(), ALL).unwrap();
        publish(&mut tree, "t", "22");
        assert_eq!(sending[0].payload.source(), b"1");
        assert_eq!(tree.get(&Topic::parse("t").unwrap()).unwrap().payload.source(), b"22");
        assert_eq!((tree.values(), tree.bytes()), (1, 2));
    }
}
