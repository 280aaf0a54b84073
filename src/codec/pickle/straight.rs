//! The usual pickle, read straight into the document.
//!
//! Picklers write a list or a dict as its head, then its children, then an opcode that adds the ones to the other:
//! the order of the document. So as long as nothing but that happens, each value is appended where it belongs as it
//! is met, and a value on the machine's stack is the index of its node. Tuples come after their elements; as long as
//! they are small, the elements are moved up by one.
//!
//! Whatever else a pickle may do (fetch a container again, pop, import, add to a dict twice, be malformed) is not
//! judged here: the answer is `None`, and the [machine](super::machine) reads the pickle from its beginning. Where the
//! answer is a value, it is the one that the machine would give.

use std::cell::Cell;
use std::ops::Range;

use super::opcode::*;
use crate::codec::document::value_depth;
use crate::codec::keys::settle;
use crate::codec::words::is_utf8;
use crate::codec::{Budget, Document, Node, Size, Text};
use crate::protocol::{Limits, MAX_DEPTH, NODE_SIZE};

/// As many nodes may be moved to put a tuple's head before them.
const FEW: usize = 64;

/// What is kept from one pickle to the next, so that reading allocates nothing.
#[derive(Default)]
struct Scratch {
    /// The stack: where in the document each value begins. A value ends where the next one begins.
    stack: Vec<u32>,
    /// The heights of the stack at each open MARK.
    marks: Vec<u32>,
    /// The memo. A container's node stands for a container that cannot be fetched.
    memo: Vec<Node>,
}

/// Reads the pickle in `source[range]`, whose containers may nest `depth` deep, and returns the index of its value's
/// node; `None` leaves the pickle to the machine, and the document as it was.
pub(super) fn read(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    depth: usize,
) -> Option<usize> {
    thread_local! {
        /// Empty while a pickle is read, and after the thread's destructors.
        static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    }
    /// Elements that a vector may keep room for.
    const KEPT: usize = 4096;
    // A text's position is kept in 31 bits.
    if range.end > i32::MAX as usize {
        return None;
    }
    let body = source.get(..range.end)?;
    let mark = document.mark();
    let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let Scratch { stack, marks, memo } = &mut *scratch;
    stack.clear();
    marks.clear();
    memo.clear();
    let root = document.len();
    let reading = Reading {
        body,
        at: range.start,
        document,
        stack,
        marks,
        memo,
        floor: 0,
        containers: 0,
        text: 0,
        budget: Budget::new(limits),
    };
    let read = reading.run(root, depth);
    if read.is_none() {
        document.truncate(mark);
    }
    if stack.capacity() <= KEPT && marks.capacity() <= KEPT && memo.capacity() <= KEPT {
        // Without a place to keep it, it is dropped.
        let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
    }
    read.map(|()| root)
}

struct Reading<'a> {
    /// The source as far as the pickle's end.
    body: &'a [u8],
    /// The next byte to be read.
    at: usize,
    document: &'a mut Document,
    stack: &'a mut Vec<u32>,
    marks: &'a mut Vec<u32>,
    memo: &'a mut Vec<Node>,
    /// The height of the stack at the innermost open mark.
    floor: usize,
    /// Containers so far: a value cannot nest deeper than it has containers.
    containers: usize,
    /// Bytes of text so far.
    text: usize,
    /// What comparing keys may cost. The nodes are paid for in the end.
    budget: Budget,
}

impl Reading<'_> {
    fn run(mut self, root: usize, depth: usize) -> Option<()> {
        loop {
            let node = match self.byte()? {
                SHORT_BINUNICODE => {
                    let length = usize::from(self.byte()?);
                    self.string(length)?
                }
                BINGET => {
                    let number = usize::from(self.byte()?);
                    self.fetch(number)?
                }
                LONG_BINGET => {
                    let number = u32::from_le_bytes(self.array()?);
                    self.fetch(number as usize)?
                }
                BININT1 => Node::Int(i64::from(self.byte()?)),
                BININT2 => Node::Int(i64::from(u16::from_le_bytes(self.array()?))),
                BININT => Node::Int(i64::from(i32::from_le_bytes(self.array()?))),
                BINFLOAT => Node::Float(f64::from_be_bytes(self.array()?)),
                NONE => Node::None,
                NEWTRUE => Node::Bool(true),
                NEWFALSE => Node::Bool(false),
                EMPTY_DICT => self.container(Node::Dict(Size::default())),
                EMPTY_LIST => self.container(Node::List(Size::default())),
                EMPTY_TUPLE => self.container(Node::Tuple(Size::default())),
                EMPTY_SET => self.container(Node::Set(Size::default())),
                MARK => {
                    self.floor = self.stack.len();
                    self.marks.push(self.floor as u32);
                    continue;
                }
                SETITEMS => {
                    let height = self.unmark()?;
                    self.add_entries(height)?;
                    continue;
                }
                APPENDS => {
                    let height = self.unmark()?;
                    self.add_items(height)?;
                    continue;
                }
                ADDITEMS => {
                    let height = self.unmark()?;
                    self.add_elements(height)?;
                    continue;
                }
                SETITEM => {
                    let height = self.stack.len().checked_sub(2)?;
                    self.add_entries(height)?;
                    continue;
                }
                APPEND => {
                    let height = self.stack.len().checked_sub(1)?;
                    self.add_items(height)?;
                    continue;
                }
                TUPLE1 => self.gather(self.stack.len().checked_sub(1)?)?,
                TUPLE2 => self.gather(self.stack.len().checked_sub(2)?)?,
                TUPLE3 => self.gather(self.stack.len().checked_sub(3)?)?,
                TUPLE => {
                    let height = self.unmark()?;
                    self.gather(height)?
                }
                BINUNICODE => {
                    let length = u32::from_le_bytes(self.array()?);
                    self.string(length as usize)?
                }
                SHORT_BINBYTES => {
                    let length = usize::from(self.byte()?);
                    Node::Bytes(self.take(length)?)
                }
                BINBYTES => {
                    let length = u32::from_le_bytes(self.array()?);
                    Node::Bytes(self.take(length as usize)?)
                }
                LONG1 => {
                    let length = usize::from(self.byte()?);
                    self.long(length)?
                }
                PROTO if self.byte()? <= 5 => continue,
                FRAME => {
                    let length = u64::from_le_bytes(self.array()?);
                    if length > (self.body.len() - self.at) as u64 {
                        return None;
                    }
                    continue;
                }
                STOP => return self.stop(root, depth),
                _ => return None,
            };
            if !matches!(node, Node::Tuple(size) if size.items > 0) {
                self.stack.push(self.document.len() as u32);
                self.document.push(node);
            }
            match self.body.get(self.at) {
                Some(&MEMOIZE) => {
                    self.at += 1;
                    self.memo.push(node);
                }
                Some(&BINPUT)
                    if self.body.get(self.at + 1).copied().map(usize::from) == Some(self.memo.len()) =>
                {
                    self.at += 2;
                    self.memo.push(node);
                }
                _ => {}
            }
        }
    }

    /// One value must be left, and nothing of the pickle.
    fn stop(mut self, root: usize, depth: usize) -> Option<()> {
        let is_whole = self.at == self.body.len() && self.stack.len() == 1 && self.marks.is_empty();
        let nodes = &self.document.nodes()[root..];
        // The machine takes a tuple's elements for as deep as they lie, so do we.
        let is_deep = self.containers > MAX_DEPTH && value_depth(nodes) > depth;
        self.budget.bytes(nodes.len().saturating_mul(NODE_SIZE).saturating_add(self.text)).ok()?;
        (is_whole && !is_deep).then_some(())
    }

    #[inline]
    fn byte(&mut self) -> Option<u8> {
        let byte = *self.body.get(self.at)?;
        self.at += 1;
        Some(byte)
    }

    #[inline]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let array = *self.body.get(self.at..)?.first_chunk::<N>()?;
        self.at += N;
        Some(array)
    }

    #[inline]
    fn take(&mut self, length: usize) -> Option<Text> {
        let range = self.at..self.at.checked_add(length)?;
        self.body.get(range.clone())?;
        self.at = range.end;
        self.text += length;
        Some(Text::in_source(range))
    }

    #[inline]
    fn string(&mut self, length: usize) -> Option<Node> {
        let range = self.at..self.at.checked_add(length)?;
        if !is_utf8(self.body.get(range.clone())?) {
            return None;
        }
        self.at = range.end;
        self.text += length;
        Some(Node::Str(Text::in_source(range)))
    }

    /// An integer of at most 64 bits, in two's complement.
    fn long(&mut self, length: usize) -> Option<Node> {
        let bytes = self.body.get(self.at..self.at + length)?;
        let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut number = if negative { [0xff; size_of::<i64>()] } else { [0; size_of::<i64>()] };
        number.get_mut(..length)?.copy_from_slice(bytes);
        self.at += length;
        Some(Node::Int(i64::from_le_bytes(number)))
    }

    /// What the memo holds, unless it is a container: that would be a copy, or a cycle.
    #[inline]
    fn fetch(&mut self, number: usize) -> Option<Node> {
        let node = *self.memo.get(number)?;
        match node {
            Node::Str(text) | Node::Bytes(text) => self.text += text.len(),
            _ if node.is_container() => return None,
            _ => {}
        }
        Some(node)
    }

    #[inline]
    fn container(&mut self, node: Node) -> Node {
        self.containers += 1;
        node
    }

    /// Closes the innermost mark and returns the height of the stack where it stood.
    #[inline]
    fn unmark(&mut self) -> Option<usize> {
        let height = self.marks.pop()? as usize;
        self.floor = self.marks.last().map_or(0, |&mark| mark as usize);
        Some(height)
    }

    /// The node of the container below the values from `height` on, and how many these are. They are off the stack
    /// afterwards.
    #[inline]
    fn close(&mut self, height: usize) -> Option<(usize, usize)> {
        if height <= self.floor {
            return None;
        }
        let at = *self.stack.get(height - 1)? as usize;
        let count = self.stack.len() - height;
        self.stack.truncate(height);
        Some((at, count))
    }

    #[inline]
    fn add_items(&mut self, height: usize) -> Option<()> {
        let (at, count) = self.close(height)?;
        let nodes = (self.document.len() - at - 1) as u32;
        let Node::List(size) = &mut self.document.nodes_mut()[at] else { return None };
        *size = Size { items: size.items + count as u32, nodes };
        Some(())
    }

    #[inline]
    fn add_entries(&mut self, height: usize) -> Option<()> {
        let (at, count) = self.close(height)?;
        // A dict that is added to again would be settled again.
        let Node::Dict(Size { nodes: 0, .. }) = self.document.nodes()[at] else { return None };
        if !count.is_multiple_of(2) {
            return None;
        }
        self.settle(at)
    }

    fn add_elements(&mut self, height: usize) -> Option<()> {
        let (at, _) = self.close(height)?;
        let Node::Set(Size { nodes: 0, .. }) = self.document.nodes()[at] else { return None };
        self.settle(at)
    }

    /// Judges the keys of a dict or set; equal ones are left to the machine, which tells a field given twice.
    #[inline]
    fn settle(&mut self, at: usize) -> Option<()> {
        let before = self.document.len();
        settle(self.document, self.body, at, &mut self.budget).ok()?;
        (self.document.len() == before).then_some(())
    }

    /// Makes a tuple of the values from `height` on. It is on the stack afterwards.
    fn gather(&mut self, height: usize) -> Option<Node> {
        if height < self.floor {
            return None;
        }
        let Some(&at) = self.stack.get(height) else {
            return Some(self.container(Node::Tuple(Size::default())));
        };
        let nodes = self.document.len() - at as usize;
        if nodes > FEW {
            return None;
        }
        let items = (self.stack.len() - height) as u32;
        let node = self.container(Node::Tuple(Size { items, nodes: nodes as u32 }));
        self.document.nodes_mut().insert(at as usize, node);
        self.stack.truncate(height + 1);
        Some(node)
    }
}
