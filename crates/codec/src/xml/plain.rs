//! Elements without a `type`, as Python's `xmltodict` reads them: what repeated children become.
//!
//! That a child is repeated shows only when its parent is complete, and then its siblings lie
//! between. Moving nodes there and then would move the deepest ones once for each level around
//! them, so the parent is only marked, and one pass at the end puts everything in its place.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::fault::Fault;
use crate::protocol::{ErrorCode, MAX_DEPTH};
use crate::{Budget, Document, NamedType, Node, Size};

/// Up to this many keys are compared with each other; more are hashed.
const FEW: usize = 16;

/// Stands for the number of entries of a dict in which keys are repeated. No dict has as many.
const REPEATED: u32 = u32::MAX;

/// Completes the dict at `at`, whose keys and values are all the nodes after it. Returns whether
/// keys are repeated.
pub(super) fn close(document: &mut Document, source: &[u8], at: usize, items: u32) -> bool {
    let repeated = items > 1 && has_repeated_keys(document, source, at, items as usize);
    let nodes = (document.len() - at - 1) as u32;
    document.nodes_mut()[at] =
        Node::Dict(Size::of_fields(if repeated { REPEATED } else { items }, nodes));
    repeated
}

fn has_repeated_keys(document: &Document, source: &[u8], at: usize, items: usize) -> bool {
    let nodes = document.nodes();
    let mut keys = Entries { nodes, at: at + 1, end: nodes.len() }.filter_map(|(key, _)| {
        if let Node::Str(text) = nodes[key] { Some(document.text(source, text)) } else { None }
    });
    if items > FEW {
        let mut seen = HashSet::with_capacity(items);
        return keys.any(|key| !seen.insert(key));
    }
    let mut seen: [&[u8]; FEW] = [&[]; FEW];
    for count in 0..FEW {
        let Some(key) = keys.next() else { return false };
        if seen[..count].contains(&key) {
            return true;
        }
        seen[count] = key;
    }
    false
}

/// The entries of a dict: where each key lies and where its value does.
struct Entries<'n> {
    nodes: &'n [Node],
    at: usize,
    end: usize,
}

impl Iterator for Entries<'_> {
    type Item = (usize, usize);

    fn next(&mut self) -> Option<(usize, usize)> {
        if self.at >= self.end {
            return None;
        }
        let key = self.at;
        let value = key + self.nodes[key].nodes();
        self.at = value + self.nodes[value].nodes();
        Some((key, value))
    }
}

/// What is still to be written in [`regroup`], the next last.
enum Task {
    /// The values in this range of the old nodes. There are as many as children, so it is short.
    Values(Range<u32>),
    /// The head of a list.
    List(u32),
    /// The end of the innermost container.
    Close,
}

/// Puts the repeated children of the value at `root`, the last one of the document, into lists, at
/// every depth. `around` containers around the values do not count for the depth.
///
/// # Errors
/// [`ErrorCode::TooDeep`] when the lists make it so, [`ErrorCode::TooLarge`].
pub(super) fn regroup(
    document: &mut Document,
    source: &[u8],
    root: usize,
    around: usize,
    budget: &mut Budget,
) -> Result<(), Fault> {
    /// Nodes that a document may have room for without need.
    const ROOM: usize = 4096;
    if document.nodes().len() > ROOM {
        document.nodes_mut().shrink_to_fit();
    }
    let old = &document.nodes()[root..];
    let mut new: Vec<Node> = Vec::with_capacity(old.len() + old.len() / 8);
    let mut open: Vec<usize> = Vec::new();
    // Of the open ones, those that are no level of their own.
    let mut types = 0;
    let mut tasks = vec![Task::Values(0..old.len() as u32)];
    while let Some(task) = tasks.pop() {
        let node = match task {
            Task::Close => {
                if let Some(at) = open.pop() {
                    let nodes = (new.len() - at - 1) as u32;
                    match &mut new[at] {
                        Node::List(size) | Node::Tuple(size) | Node::Set(size) => {
                            size.nodes = nodes
                        }
                        Node::FrozenSet(size) | Node::Dict(size) => size.nodes = nodes,
                        Node::Named(_, size) => {
                            size.nodes = nodes;
                            types -= 1;
                        }
                        _ => {}
                    }
                }
                continue;
            }
            Task::List(items) => {
                budget.node(0)?;
                Node::List(Size::new(items, 0))
            }
            Task::Values(range) => {
                let first = old.get(range.start as usize);
                let Some(&node) = first.filter(|_| !range.is_empty()) else { continue };
                let end = range.start + node.nodes() as u32;
                tasks.push(Task::Values(end..range.end));
                let inside = range.start + 1..end;
                match node {
                    Node::Dict(Size { items: REPEATED, .. }) => {
                        tasks.push(Task::Close);
                        let items = group(document, source, old, inside, &mut tasks);
                        Node::Dict(Size::of_fields(items, 0))
                    }
                    Node::List(_)
                    | Node::Tuple(_)
                    | Node::Set(_)
                    | Node::FrozenSet(_)
                    | Node::Dict(_) => {
                        tasks.push(Task::Close);
                        tasks.push(Task::Values(inside));
                        node
                    }
                    Node::Named(NamedType::Object, _) => {
                        tasks.push(Task::Close);
                        tasks.push(Task::Values(inside));
                        types += 1;
                        open.push(new.len());
                        new.push(node);
                        continue;
                    }
                    // In the lists of an array nothing is to be regrouped.
                    Node::Named(NamedType::Ndarray, _) => {
                        new.extend_from_slice(&old[range.start as usize..end as usize]);
                        continue;
                    }
                    _ => {
                        new.push(node);
                        continue;
                    }
                }
            }
        };
        if open.len() - types == around + MAX_DEPTH {
            return Err(Fault {
                code: ErrorCode::TooDeep,
                at: None,
                what: format!(
                    "the message nests deeper than {MAX_DEPTH}, the lists that repeated elements \
                     become included"
                )
                .into(),
            });
        }
        open.push(new.len());
        new.push(node);
    }
    drop(tasks);
    let nodes = document.nodes_mut();
    nodes.truncate(root);
    if root == 0 {
        *nodes = new
    } else {
        nodes.append(&mut new)
    }
    Ok(())
}

/// Lays out the entries in `inside` as tasks, those with the same key as one entry with a list.
/// Returns how many entries there are.
fn group(
    document: &Document,
    source: &[u8],
    old: &[Node],
    inside: Range<u32>,
    tasks: &mut Vec<Task>,
) -> u32 {
    struct Group {
        key: u32,
        /// The first and the last of its values, as indexes in the chain.
        first: u32,
        last: u32,
        count: u32,
    }
    /// A value, and the next one of its group.
    struct Link {
        value: u32,
        next: u32,
    }
    let mut groups: Vec<Group> = Vec::new();
    let mut chain: Vec<Link> = Vec::new();
    let mut known: HashMap<&[u8], usize> = HashMap::new();
    for (key, value) in
        (Entries { nodes: old, at: inside.start as usize, end: inside.end as usize })
    {
        let Node::Str(text) = old[key] else { continue };
        let index = *known.entry(document.text(source, text)).or_insert(groups.len());
        chain.push(Link { value: value as u32, next: u32::MAX });
        let link = chain.len() as u32 - 1;
        if let Some(group) = groups.get_mut(index) {
            chain[group.last as usize].next = link;
            group.last = link;
            group.count += 1;
        } else {
            groups.push(Group { key: key as u32, first: link, last: link, count: 1 });
        }
    }
    // The task that is to come first is pushed last.
    let from = tasks.len();
    tasks.reserve_exact(chain.len() + 3 * groups.len());
    for group in &groups {
        tasks.push(Task::Values(group.key..group.key + 1));
        if group.count > 1 {
            tasks.push(Task::List(group.count));
        }
        let mut link = group.first;
        while let Some(Link { value, next }) = chain.get(link as usize) {
            tasks.push(Task::Values(*value..*value + old[*value as usize].nodes() as u32));
            link = *next;
        }
        if group.count > 1 {
            tasks.push(Task::Close);
        }
    }
    tasks[from..].reverse();
    groups.len() as u32
}
