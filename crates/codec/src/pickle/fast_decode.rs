//! The usual pickle, read straight into the document.
//!
//! Picklers write a list or a dict as its head, then its children, then an opcode that adds the
//! ones to the other: the order of the document. So as long as nothing but that happens, each value
//! is appended where it belongs as it is met, and a value on the machine's stack is the index of
//! its node. Tuples come after their elements; as long as they are small, the elements are moved up
//! by one.
//!
//! Scalars of the standard library are called for, see [`scalars`]. Anything else that a pickle may
//! do (fetch a container again, pop, add to a dict twice, be malformed) is not judged here: the
//! answer is `None`, and the [machine](super::machine) reads the pickle from its beginning. Where
//! the answer is a value, it is the one that the machine would give.

mod scalars;

use std::cell::Cell;
use std::ops::Range;

use self::scalars::Special;
use super::opcode::*;
use crate::keys::{KeySet, settle_with};
use crate::node::value_depth;
use crate::protocol::{Limits, MAX_DEPTH, NODE_SIZE};
use crate::span::Span;
use crate::{Budget, Document, Node, Size, Text};

/// As many nodes may be moved to put a tuple's head before them.
const FEW: usize = 64;

/// What is kept from one pickle to the next, so that reading allocates nothing.
#[derive(Default)]
struct Scratch {
    /// The stack: where in the document each value begins. A value ends where the next one begins.
    stack: Vec<u32>,
    /// The heights of the stack at each open MARK.
    marks: Vec<u32>,
    memo: Vec<Memoised>,
    specials: Vec<Special>,
}

/// What the memo holds.
#[derive(Clone, Copy)]
enum Memoised {
    Str(Text),
    Bytes(Text),
    /// An index of the specials.
    Special(u32),
    /// Something that is not fetched here.
    Other,
}

/// Reads the pickle in `source[range]`, whose containers may nest `depth` deep, and returns the
/// index of its value's node; `None` leaves the pickle to the machine, and the document as it was.
pub(super) fn read(
    source: &[u8],
    range: Range<usize>,
    document: &mut Document,
    limits: &Limits,
    depth: usize,
) -> Option<usize> {
    let budget = Budget::new(limits, range.len());
    let outside = &Outside::default();
    let whole = Part { start: range.start, end: None, outside, depth };
    read_part(source.get(..range.end)?, whole, document, budget).map(|(root, _)| root)
}

/// Reads the value that the opcodes in `payload` leave on the stack, of a pickle that ends at `end`
/// and has memoised values before. Returns the index of its node and what it costs of
/// `budget`.
#[inline]
pub(super) fn read_inside(
    source: &[u8],
    end: usize,
    payload: Range<usize>,
    outside: &Outside<'_>,
    document: &mut Document,
    budget: Budget,
) -> Option<(usize, usize)> {
    let part = Part { start: payload.start, end: Some(payload.end), outside, depth: MAX_DEPTH };
    read_part(source.get(..end)?, part, document, budget)
}

/// What a pickle has memoised before the part of it that is read.
#[derive(Default)]
pub(super) struct Outside<'a> {
    /// Where each string lies in an envelope like this one; nowhere for what is no string.
    pub(super) memo: &'a [Range<usize>],
    /// Where this envelope begins in the source.
    pub(super) before: usize,
    /// Where the topic lies in the envelope like this one, and where it ends in the source.
    pub(super) topic: Range<usize>,
    pub(super) topic_end: usize,
}

impl Outside<'_> {
    /// A string of the envelope: keys of a payload are often the same objects as those around it.
    #[cold]
    fn text(&self, number: usize) -> Option<Text> {
        let text = self.memo.get(number).filter(|text| !text.is_empty())?;
        // The topic may be another one, and longer or shorter.
        let in_source = |at: usize| match at.checked_sub(self.topic.end) {
            Some(behind) => self.topic_end + behind,
            None => self.before + at,
        };
        Some(Text::in_source(in_source(text.start)..in_source(text.end)))
    }
}

/// The part of a pickle that is read.
struct Part<'a> {
    start: usize,
    /// Where it ends, if not with STOP.
    end: Option<usize>,
    /// What the memo holds before it.
    outside: &'a Outside<'a>,
    /// How deep containers may nest.
    depth: usize,
}

fn read_part(
    body: &[u8],
    part: Part<'_>,
    document: &mut Document,
    budget: Budget,
) -> Option<(usize, usize)> {
    thread_local! {
        /// Empty while a pickle is read, and after the thread's destructors.
        static SCRATCH: Cell<Option<Box<Scratch>>> = const { Cell::new(None) };
    }
    /// Elements that a vector may keep room for.
    const KEPT: usize = 4096;
    // A text's position is kept in 31 bits.
    if body.len() > i32::MAX as usize {
        return None;
    }
    let mark = document.mark();
    let mut scratch = SCRATCH.try_with(Cell::take).ok().flatten().unwrap_or_default();
    let mut keys = KeySet::take();
    let Scratch { stack, marks, memo, specials } = &mut *scratch;
    stack.clear();
    marks.clear();
    memo.clear();
    specials.clear();
    let root = document.len();
    let reading = Reading {
        body,
        document,
        stack,
        marks,
        memo,
        specials,
        pending: 0,
        keys: &mut keys,
        outside: part.outside,
        floor: 0,
        containers: 0,
        text: 0,
        work: Budget::of(budget.left()),
        budget,
    };
    let size = reading.run(part, root);
    keys.keep();
    if size.is_none() {
        document.truncate(mark);
    }
    let kept = [stack.capacity(), marks.capacity(), memo.capacity(), specials.capacity()];
    if kept.iter().all(|&capacity| capacity <= KEPT) {
        // Without a place to keep it, it is dropped.
        let _ = SCRATCH.try_with(|kept| kept.set(Some(scratch)));
    }
    size.map(|size| (root, size))
}

struct Reading<'a> {
    /// The source as far as the pickle's end.
    body: &'a [u8],
    document: &'a mut Document,
    stack: &'a mut Vec<u32>,
    marks: &'a mut Vec<u32>,
    memo: &'a mut Vec<Memoised>,
    /// What is no plain value, and what such things became.
    specials: &'a mut Vec<Special>,
    /// Nodes that stand for what is no value.
    pending: usize,
    keys: &'a mut KeySet,
    /// What was memoised before the values of `memo`.
    outside: &'a Outside<'a>,
    /// The height of the stack at the innermost open mark.
    floor: usize,
    /// Containers so far: a value cannot nest deeper than it has containers.
    containers: usize,
    /// Bytes of text so far.
    text: usize,
    /// What it takes to make values of arguments, as the machine pays for it.
    work: Budget,
    /// The budget for comparing keys. The nodes are paid for in the end.
    budget: Budget,
}

impl<'a> Reading<'a> {
    /// Returns what the value costs of a budget.
    fn run(mut self, part: Part<'_>, root: usize) -> Option<usize> {
        let body = self.body;
        let mut at = part.start;
        let end = part.end.unwrap_or(usize::MAX);
        loop {
            if at == end {
                return self.finish(root, part.depth);
            }
            match byte(body, &mut at)? {
                SHORT_BINUNICODE => {
                    let length = usize::from(byte(body, &mut at)?);
                    self.string(&mut at, length)?;
                }
                BINGET => {
                    let number = usize::from(byte(body, &mut at)?);
                    self.fetch(number)?;
                }
                BININT1 => self.leaf(Node::Int(i64::from(byte(body, &mut at)?))),
                BININT2 => {
                    self.leaf(Node::Int(i64::from(u16::from_le_bytes(array(body, &mut at)?))))
                }
                BININT => {
                    self.leaf(Node::Int(i64::from(i32::from_le_bytes(array(body, &mut at)?))))
                }
                BINFLOAT => self.leaf(Node::Float(f64::from_be_bytes(array(body, &mut at)?))),
                NONE => self.leaf(Node::None),
                NEWTRUE => self.leaf(Node::Bool(true)),
                NEWFALSE => self.leaf(Node::Bool(false)),
                EMPTY_DICT => self.container(&mut at, Node::Dict(Size::default())),
                EMPTY_LIST => self.container(&mut at, Node::List(Size::default())),
                MARK => {
                    self.floor = self.stack.len();
                    self.marks.push(self.floor as u32);
                }
                SETITEMS => {
                    let height = self.unmark()?;
                    self.add_entries(height)?;
                }
                APPENDS => {
                    let height = self.unmark()?;
                    self.add_items(height)?;
                }
                STOP if at == body.len() && part.end.is_none() => {
                    return self.finish(root, part.depth);
                }
                other => self.rarely(other, &mut at)?,
            }
        }
    }

    /// The opcodes that are met less often.
    #[inline(never)]
    fn rarely(&mut self, opcode: u8, at: &mut usize) -> Option<()> {
        let body = self.body;
        match opcode {
            LONG_BINGET => {
                let number = u32::from_le_bytes(array(body, at)?);
                self.fetch(number as usize)?;
            }
            EMPTY_TUPLE => self.container(at, Node::Tuple(Size::default())),
            EMPTY_SET => self.container(at, Node::Set(Size::default())),
            ADDITEMS => {
                let height = self.unmark()?;
                self.add_elements(height)?;
            }
            SETITEM => self.add_entries(self.stack.len().checked_sub(2)?)?,
            APPEND => self.add_items(self.stack.len().checked_sub(1)?)?,
            TUPLE1 => self.gather(at, self.stack.len().checked_sub(1)?)?,
            TUPLE2 => self.gather(at, self.stack.len().checked_sub(2)?)?,
            TUPLE3 => self.gather(at, self.stack.len().checked_sub(3)?)?,
            TUPLE => {
                let height = self.unmark()?;
                self.gather(at, height)?;
            }
            BINUNICODE => {
                let length = u32::from_le_bytes(array(body, at)?);
                self.string(at, length as usize)?;
            }
            SHORT_BINBYTES => {
                let length = usize::from(byte(body, at)?);
                self.bytes(at, length)?;
            }
            BINBYTES => {
                let length = u32::from_le_bytes(array(body, at)?);
                self.bytes(at, length as usize)?;
            }
            LONG1 => {
                let length = usize::from(byte(body, at)?);
                let number = long(body.get(*at..*at + length)?)?;
                *at += length;
                self.leaf(Node::Int(number));
            }
            PROTO if byte(body, at)? <= 5 => {}
            FRAME if u64::from_le_bytes(array(body, at)?) <= (body.len() - *at) as u64 => {}
            other => return self.import(other, at),
        }
        Some(())
    }

    /// One value must be left.
    fn finish(mut self, root: usize, depth: usize) -> Option<usize> {
        let is_whole = self.stack.len() == 1 && self.marks.is_empty() && self.pending == 0;
        let nodes = &self.document.nodes()[root..];
        let is_deep = self.containers > MAX_DEPTH && value_depth(nodes) > depth;
        let size = nodes.len().saturating_mul(NODE_SIZE).saturating_add(self.text);
        self.budget.bytes(size).ok()?;
        (is_whole && !is_deep).then_some(size)
    }

    /// A value without children.
    #[inline(always)]
    fn leaf(&mut self, node: Node) {
        self.stack.push(self.document.len() as u32);
        self.document.push(node);
    }

    #[inline(always)]
    fn string(&mut self, at: &mut usize, length: usize) -> Option<()> {
        let range = *at..at.checked_add(length)?;
        let text = Span::new(self.body.get(range.start..)?, length);
        if text.len() < length || !text.is_utf8() {
            return None;
        }
        *at = range.end;
        self.text += length;
        let text = Text::in_source(range);
        self.leaf(Node::Str(text));
        self.memoise(at, Memoised::Str(text));
        Some(())
    }

    fn bytes(&mut self, at: &mut usize, length: usize) -> Option<()> {
        let range = *at..at.checked_add(length)?;
        self.body.get(range.clone())?;
        *at = range.end;
        self.text += length;
        let text = Text::in_source(range);
        self.leaf(Node::Bytes(text));
        self.memoise(at, Memoised::Bytes(text));
        Some(())
    }

    /// What the memo holds, where that is no container: this would be a copy, or a cycle.
    #[inline(always)]
    fn fetch(&mut self, number: usize) -> Option<()> {
        let text = match number.checked_sub(self.outside.memo.len()) {
            Some(inside) => match *self.memo.get(inside)? {
                Memoised::Str(text) => text,
                other => return self.fetch_other(other),
            },
            None => self.outside.text(number)?,
        };
        self.text += text.len();
        self.leaf(Node::Str(text));
        Some(())
    }

    #[inline(always)]
    fn container(&mut self, at: &mut usize, node: Node) {
        self.containers += 1;
        self.leaf(node);
        self.memoise(at, Memoised::Other);
    }

    /// Keeps the value that was just read, if the next opcode says so. It takes the memo's next
    /// number, as it does from picklers.
    #[inline(always)]
    fn memoise(&mut self, at: &mut usize, value: Memoised) {
        match self.body.get(*at) {
            Some(&MEMOIZE) => *at += 1,
            Some(&BINPUT)
                if self.body.get(*at + 1).copied().map(usize::from)
                    == Some(self.next_memoised()) =>
            {
                *at += 2;
            }
            Some(&LONG_BINPUT) if self.is_next_long(*at + 1) => *at += 5,
            _ => return,
        }
        self.memo.push(value);
    }

    /// Whether the four bytes there are the memo's next number.
    #[inline(never)]
    fn is_next_long(&self, at: usize) -> bool {
        let number = self.body.get(at..).and_then(<[u8]>::first_chunk);
        number.is_some_and(|number| u32::from_le_bytes(*number) as usize == self.next_memoised())
    }

    fn next_memoised(&self) -> usize {
        self.outside.memo.len() + self.memo.len()
    }

    /// Closes the innermost mark and returns the height of the stack where it stood.
    #[inline]
    fn unmark(&mut self) -> Option<usize> {
        let height = self.marks.pop()? as usize;
        self.floor = self.marks.last().map_or(0, |&mark| mark as usize);
        Some(height)
    }

    /// The node of the container below the values from `height` on, and how many these are. They
    /// are off the stack afterwards.
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
        *size = Size::new(size.items + count as u32, nodes);
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

    /// Judges the keys of a dict or set; equal ones are left to the machine, which tells a field
    /// given twice.
    #[inline]
    fn settle(&mut self, at: usize) -> Option<()> {
        // A key may be one of them.
        if self.pending > 0 {
            return None;
        }
        let before = self.document.len();
        settle_with(self.keys, self.document, self.body, at, &mut self.budget).ok()?;
        (self.document.len() == before).then_some(())
    }

    /// Makes a tuple of the values from `height` on, or calls something with them.
    fn gather(&mut self, at: &mut usize, height: usize) -> Option<()> {
        if height < self.floor {
            None
        } else if self.pending > 0 {
            self.use_arguments(at, height)
        } else {
            self.tuple(at, height)
        }
    }

    fn tuple(&mut self, at: &mut usize, height: usize) -> Option<()> {
        let Some(&begins) = self.stack.get(height) else {
            self.container(at, Node::Tuple(Size::default()));
            return Some(());
        };
        let nodes = self.document.len() - begins as usize;
        if nodes > FEW {
            return None;
        }
        let size = Size::new((self.stack.len() - height) as u32, nodes as u32);
        self.containers += 1;
        self.document.nodes_mut().insert(begins as usize, Node::Tuple(size));
        self.stack.truncate(height + 1);
        self.memoise(at, Memoised::Other);
        Some(())
    }
}

#[inline(always)]
fn byte(body: &[u8], at: &mut usize) -> Option<u8> {
    let byte = *body.get(*at)?;
    *at += 1;
    Some(byte)
}

#[inline(always)]
fn array<const N: usize>(body: &[u8], at: &mut usize) -> Option<[u8; N]> {
    let array = *body.get(*at..)?.first_chunk::<N>()?;
    *at += N;
    Some(array)
}

/// An integer of at most 64 bits, in two's complement.
fn long(bytes: &[u8]) -> Option<i64> {
    let negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
    let mut number = if negative { [0xff; size_of::<i64>()] } else { [0; size_of::<i64>()] };
    number.get_mut(..bytes.len())?.copy_from_slice(bytes);
    Some(i64::from_le_bytes(number))
}
