//! From the machine's containers to the document: pre-order, with every shared reference copied.
//!
//! Containers refer to each other by index, so what they form may be shared many times over or
//! contain itself. Here it becomes a tree: depth and cycles are refused on the way, and every node
//! is paid for from the payload's budget before it is written.

use super::Machine;
use crate::keys::settle;
use crate::node::{NamedType, has_string_keys};
use crate::pickle::store::{Frame, Item, Kind, NONE, push};
use crate::protocol::{ErrorCode, MAX_DEPTH, Refusal, ScalarType};
use crate::{Budget, Document, Node, Size};

/// Squares of an integer's digits for a byte of its cost: what one of 4,300 digits costs is 22 KB,
/// and no more than a plain pickle may for its bytes.
const DIGITS_SQUARED: usize = 1_024;

/// A value that was written.
pub(in crate::pickle) struct Flat {
    /// Its node.
    pub(in crate::pickle) at: usize,
    /// How many children it was given; of a dict, keys and values, duplicates included.
    pub(in crate::pickle) children: u32,
}

impl Machine<'_> {
    /// Writes `root`, which may nest `depth` deep.
    pub(in crate::pickle) fn flatten(
        &mut self,
        root: Item,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<Flat, Refusal> {
        let at = self.document.len();
        let Item::Container(id) = root else {
            let node = match root {
                Item::Leaf(node) => node,
                other => bytes_of(other, self.document, self.reader.source())?,
            };
            budget.node(text_of(&node))?;
            self.document.push(node);
            return Ok(Flat { at, children: 0 });
        };
        self.open(id, false, depth, budget)?;
        let mut children = 0;
        while let Some(mut frame) = self.scratch.frames.pop() {
            let child = self.leaves(&mut frame, budget)?;
            match child {
                Some(id) => {
                    let hashed = frame.hashed || frame.next_is_hashed();
                    frame.written += 1;
                    self.scratch.frames.push(frame);
                    self.open(id, hashed, depth, budget)?;
                }
                None => {
                    children = frame.written;
                    self.close(frame, budget)?;
                }
            }
        }
        Ok(Flat { at, children })
    }

    /// Writes children up to the next container, which it returns, or to the end.
    #[inline]
    fn leaves(&mut self, frame: &mut Frame, budget: &mut Budget) -> Result<Option<u32>, Refusal> {
        loop {
            let run = self.scratch.store.pool.get(frame.next as usize..frame.end as usize);
            for item in run.unwrap_or_default() {
                frame.next += 1;
                match item {
                    Item::Container(id) => return Ok(Some(*id)),
                    Item::Leaf(node) => {
                        budget.node(text_of(node))?;
                        self.document.push_within(*node, budget);
                    }
                    Item::ByteArray(_) if frame.hashed || frame.next_is_hashed() => {
                        return Err(Refusal::new(
                            ErrorCode::Unhashable,
                            "a bytearray cannot be a dict key or a set element: it is not \
                             hashable; use bytes",
                        ));
                    }
                    other => {
                        self.bytearrays = true;
                        let node = bytes_of(*other, self.document, self.reader.source())?;
                        budget.node(text_of(&node))?;
                        self.document.push_within(node, budget);
                    }
                }
                frame.written += 1;
            }
            let Some(segment) = self.scratch.store.segments.get(frame.more as usize) else {
                return Ok(None);
            };
            frame.next = segment.run.start;
            frame.end = segment.run.start + segment.run.count;
            frame.more = segment.next;
        }
    }

    /// Begins a container, or copies it where it was written before.
    #[inline]
    fn open(
        &mut self,
        id: u32,
        hashed: bool,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<(), Refusal> {
        let container = &mut self.scratch.store.containers[id as usize];
        if container.open {
            return Err(Refusal::new(
                ErrorCode::Cycle,
                "the message contains itself; JSON and XML cannot say that, so it is not accepted",
            ));
        }
        match container.kind {
            Kind::Uuid => return self.finished(id, budget),
            Kind::Dtype => return Err(no_value("numpy.dtype")),
            Kind::Object => return self.open_object(id, hashed, depth, budget),
            Kind::Ndarray => {
                let above = self.scratch.frames.len();
                let height = self.flatten_array(id, depth - above, budget)?;
                if let (Some(parent), 1..) = (self.scratch.frames.last_mut(), height) {
                    parent.height = parent.height.max(height as u8 + 1);
                }
                return Ok(());
            }
            _ => {}
        }
        let above = self.scratch.frames.len();
        if above + usize::from(container.height.max(1)) > depth {
            return Err(too_deep());
        }
        // A copy does not look for bytearrays, so it cannot be made where they are forbidden.
        if container.flat != NONE && !(hashed && self.bytearrays) {
            let (from, height) = (container.flat as usize, container.height);
            if let Some(parent) = self.scratch.frames.last_mut() {
                parent.height = parent.height.max(height + 1);
            }
            return self.copy(from, budget);
        }
        container.open = true;
        let kind = container.kind;
        let frame = Frame {
            id,
            kind,
            hashed,
            height: 1,
            at: self.document.len() as u32,
            next: container.first.start,
            end: container.first.start + container.first.count,
            more: container.more,
            written: 0,
            is_state: false,
        };
        budget.node(0)?;
        let head = match kind {
            Kind::List => Node::List(Size::default()),
            Kind::Tuple => Node::Tuple(Size::default()),
            Kind::Set => Node::Set(Size::default()),
            Kind::FrozenSet => Node::FrozenSet(Size::default()),
            Kind::Dict => Node::Dict(Size::default()),
            Kind::Uuid | Kind::Dtype | Kind::Ndarray | Kind::Object => Node::None,
        };
        self.document.push_within(head, budget);
        self.scratch.frames.push(frame);
        Ok(())
    }

    /// Writes an object's type and begins its state, which is no level of its own.
    fn open_object(
        &mut self,
        id: u32,
        hashed: bool,
        depth: usize,
        budget: &mut Budget,
    ) -> Result<(), Refusal> {
        let (class, state) = self.state_of(id)?;
        budget.node(0)?;
        budget.node(text_of(&class))?;
        let at = self.document.len();
        self.document.push_within(Node::Named(NamedType::Object, Size::default()), budget);
        self.document.push_within(class, budget);
        let Some(state) = state else {
            if self.scratch.frames.len() + 1 > depth {
                return Err(too_deep());
            }
            if let Some(parent) = self.scratch.frames.last_mut() {
                parent.height = parent.height.max(2);
            }
            budget.node(0)?;
            self.document.push_within(Node::Dict(Size::of_fields(0, 0)), budget);
            return self.end_object(at);
        };
        let open = self.scratch.frames.len();
        self.open(state, hashed, depth, budget)?;
        match self.scratch.frames.get_mut(open) {
            Some(frame) => {
                frame.is_state = true;
                Ok(())
            }
            // It was copied, and is complete.
            None => self.end_object(at),
        }
    }

    /// Completes an object, whose state is.
    fn end_object(&mut self, at: usize) -> Result<(), Refusal> {
        let nodes = self.document.nodes_mut();
        let size = Size::new(2, (nodes.len() - at - 1) as u32);
        match nodes[at + 2] {
            Node::Dict(state) if has_string_keys(state, &nodes[at + 3..]) => {
                nodes[at] = Node::Named(NamedType::Object, size);
                Ok(())
            }
            _ => Err(Refusal::new(
                ErrorCode::ForbiddenPickle,
                "the state of an object has a key that is no string; send a dict of its fields",
            )),
        }
    }

    /// Writes the value of an object.
    fn finished(&mut self, id: u32, budget: &mut Budget) -> Result<(), Refusal> {
        match self.scratch.store.only_run(Item::Container(id)) {
            Some((_, &[Item::Leaf(node)])) => {
                budget.node(text_of(&node))?;
                self.document.push_within(node, budget);
                Ok(())
            }
            _ => Err(no_value("uuid.UUID without its state")),
        }
    }

    /// Ends a container: its size becomes known, its keys are judged.
    #[inline]
    fn close(&mut self, frame: Frame, budget: &mut Budget) -> Result<(), Refusal> {
        let at = frame.at as usize;
        let before = self.document.len();
        let size = Size::new(frame.written, (before - at - 1) as u32);
        match frame.kind {
            Kind::List => self.document.nodes_mut()[at] = Node::List(size),
            Kind::Tuple => self.document.nodes_mut()[at] = Node::Tuple(size),
            Kind::Set | Kind::FrozenSet | Kind::Dict => {
                settle(self.document, self.reader.source(), at, budget)?;
            }
            Kind::Uuid | Kind::Dtype | Kind::Ndarray | Kind::Object => {}
        }
        if frame.is_state {
            self.end_object(at - 2)?;
        }
        let Machine { scratch, document, shared, work, .. } = self;
        let containers = &mut scratch.store.containers;
        if *shared {
            // Where duplicates went, what stood behind them moved: it cannot be copied from any
            // more.
            if document.len() < before {
                while let Some(moved) =
                    scratch.closed.pop_if(|&mut id| containers[id as usize].flat > frame.at)
                {
                    containers[moved as usize].flat = NONE;
                    containers[moved as usize].height = 0;
                }
            }
            containers[frame.id as usize].flat = frame.at;
            containers[frame.id as usize].height = frame.height;
            push(&mut scratch.closed, frame.id, work)?;
        }
        containers[frame.id as usize].open = false;
        if let Some(parent) = scratch.frames.last_mut() {
            parent.height = parent.height.max(frame.height + 1);
        }
        Ok(())
    }

    /// Repeats the value at node `from`.
    fn copy(&mut self, from: usize, budget: &mut Budget) -> Result<(), Refusal> {
        let value = from..from + self.document.nodes()[from].nodes();
        for node in &self.document.nodes()[value.clone()] {
            budget.node(text_of(node))?;
        }
        self.document.copy_within(value, budget);
        Ok(())
    }
}

/// The bytes of a bytearray; everything else without children that is no leaf is refused.
#[cold]
fn bytes_of(item: Item, document: &Document, source: &[u8]) -> Result<Node, Refusal> {
    let name = match item {
        Item::ByteArray(text) => return Ok(Node::Bytes(text)),
        Item::Import(global) => global.name(),
        Item::Offset(_) => "datetime.timezone",
        Item::NamedZone(_) => "zoneinfo.ZoneInfo",
        Item::Class(class) => {
            let class = String::from_utf8_lossy(document.text(source, class));
            return Err(Refusal::new(
                ErrorCode::ForbiddenPickle,
                format!(
                    "the pickle holds {class} as a value: a class, or a member of an Enum by its \
                     name; send the member's .value"
                ),
            ));
        }
        Item::Leaf(_) | Item::Container(_) => "unknown",
    };
    Err(no_value(name))
}

#[cold]
pub(super) fn too_deep() -> Refusal {
    let reason = format!("the message nests deeper than {MAX_DEPTH} containers");
    Refusal::new(ErrorCode::TooDeep, reason)
}

#[cold]
pub(super) fn no_value(name: &str) -> Refusal {
    Refusal::new(
        ErrorCode::ForbiddenPickle,
        format!("the pickle holds {name} as a value; send plain data, as str() of it"),
    )
}

/// Bytes of text that belong to a node.
#[inline]
pub(in crate::pickle) fn text_of(node: &Node) -> usize {
    match node {
        // To convert digits takes the square of their number.
        Node::BigInt(text) => text.len() + text.len() * text.len() / DIGITS_SQUARED,
        // To reduce a fraction, and to compare it.
        Node::Typed(ScalarType::Fraction, text) => text.len() + text.len() * text.len() / 128,
        Node::Str(text) | Node::Bytes(text) | Node::Typed(_, text) => text.len(),
        _ => 0,
    }
}
