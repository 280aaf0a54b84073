//! The machine's memory while it runs: its stack, its marks, its memo and the containers.
//!
//! Containers do not own their children. All children lie in one pool, in runs; a container knows
//! its first run, and the few that grow after something else was appended to the pool chain further
//! runs. So nothing is allocated per container, nothing is dropped recursively, and the memory is
//! linear in the pickle's length.

use std::collections::HashMap;

use super::globals::Global;
use crate::protocol::Refusal;
use crate::{Budget, Node, Text};

/// Elements that each vector of a machine may have room for without paying: 64 KiB in the largest.
/// So much is kept from one pickle to the next.
const KEPT: usize = 4096;

/// Appends an element; memory beyond what is kept is paid for when the vector grows.
#[inline(always)]
pub(super) fn push<T>(vector: &mut Vec<T>, element: T, work: &mut Budget) -> Result<(), Refusal> {
    if vector.len() == vector.capacity() {
        grow(vector, 1, work)?;
    }
    vector.push(element);
    Ok(())
}

/// Makes room for `more` elements, and for as many again as there are, as far as `work` can pay for
/// them.
#[cold]
fn grow<T>(vector: &mut Vec<T>, more: usize, work: &mut Budget) -> Result<(), Refusal> {
    let least = vector.len() + more;
    let paid = vector.capacity().max(KEPT);
    let affordable = paid.saturating_add(work.left() / size_of::<T>());
    let room = least.max((2 * vector.capacity()).max(16).min(affordable));
    work.bytes(room.saturating_sub(paid).saturating_mul(size_of::<T>()))?;
    vector.reserve_exact(room - vector.len());
    Ok(())
}

/// The same as [`push`] for many, of which `work` may not be able to pay all.
#[inline]
fn make_room<T>(vector: &mut Vec<T>, more: usize, work: &mut Budget) -> Result<(), Refusal> {
    if vector.capacity() - vector.len() < more { grow(vector, more, work) } else { Ok(()) }
}

/// A value on the machine's stack.
#[derive(Clone, Copy, Debug)]
pub(super) enum Item {
    /// A value without children, as it will stand in the document.
    Leaf(Node),
    /// A `bytearray`: bytes in the end, but unhashable.
    ByteArray(Text),
    /// A container, by its index in [`Store`].
    Container(u32),
    /// A name on the list; REDUCE or NEWOBJ turn it into a value, anything else is refused.
    Import(Global),
    /// A time zone: microseconds from UTC.
    Offset(i64),
    /// A time zone by its name in the database.
    NamedZone(Text),
    /// A class of somebody's own, by its name.
    Class(Text),
}

/// The kinds of containers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `list`.
    List,
    /// `tuple`.
    Tuple,
    /// `set`.
    Set,
    /// `frozenset`.
    FrozenSet,
    /// `dict`; its children are key, value, key, value …
    Dict,
    /// A UUID: it has its value for a child once its state is known.
    Uuid,
    /// A numpy dtype: its code, and once its state is known its byte order, and the unit of times.
    Dtype,
    /// A numpy array: nothing, and once its state is known its dtype, its data in C order, and its
    /// dimensions.
    Ndarray,
    /// An object of a class of somebody's own: its class, and once that is known its state, a dict.
    Object,
}

/// No segment, no node.
pub(super) const NONE: u32 = u32::MAX;

/// A list, tuple, set, frozenset or dict.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    /// What it is.
    pub(super) kind: Kind,
    /// Whether it is being flattened: to meet it again is a cycle.
    pub(super) open: bool,
    /// How deep it nests, once it was flattened; an empty one nests 1 deep.
    pub(super) height: u8,
    /// Where in the document it was flattened to, or [`NONE`].
    pub(super) flat: u32,
    /// The first run of children in the pool.
    pub(super) first: Run,
    /// The segment that continues the first run, and the last one, or [`NONE`].
    pub(super) more: u32,
    tail: u32,
}

/// Children that lie side by side in the pool.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    /// Index in the pool.
    pub(super) start: u32,
    /// How many.
    pub(super) count: u32,
}

impl Run {
    fn end(self) -> usize {
        (self.start + self.count) as usize
    }
}

/// A further run of a container.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    /// The children.
    pub(super) run: Run,
    /// The segment after this one, or [`NONE`].
    pub(super) next: u32,
}

/// Every container of a pickle and their children.
#[derive(Debug, Default)]
pub(super) struct Store {
    /// The containers; an [`Item::Container`] is an index.
    pub(super) containers: Vec<Container>,
    /// The children.
    pub(super) pool: Vec<Item>,
    /// The runs beyond a container's first.
    pub(super) segments: Vec<Segment>,
}

impl Store {
    /// A container of `items`.
    #[inline]
    pub(super) fn create(
        &mut self,
        kind: Kind,
        items: &[Item],
        work: &mut Budget,
    ) -> Result<Item, Refusal> {
        make_room(&mut self.pool, items.len(), work)?;
        let first = Run { start: self.pool.len() as u32, count: items.len() as u32 };
        self.pool.extend_from_slice(items);
        self.create_from(kind, first, work)
    }

    /// A container whose children are in the pool already. Nothing in the pool is ever changed, so
    /// it may share them with another container.
    #[inline]
    pub(super) fn create_from(
        &mut self,
        kind: Kind,
        first: Run,
        work: &mut Budget,
    ) -> Result<Item, Refusal> {
        let id = self.containers.len() as u32;
        let container =
            Container { kind, open: false, height: 0, flat: NONE, first, more: NONE, tail: NONE };
        push(&mut self.containers, container, work)?;
        Ok(Item::Container(id))
    }

    /// What kind of container `item` is, if it is one.
    #[inline]
    pub(super) fn kind(&self, item: Item) -> Option<Kind> {
        match item {
            Item::Container(id) => self.containers.get(id as usize).map(|container| container.kind),
            _ => None,
        }
    }

    /// Appends `items` to the children of container `id`.
    pub(super) fn extend(
        &mut self,
        id: u32,
        items: &[Item],
        work: &mut Budget,
    ) -> Result<(), Refusal> {
        make_room(&mut self.pool, items.len(), work)?;
        let Some(container) = self.containers.get_mut(id as usize) else { return Ok(()) };
        let end = self.pool.len();
        let added = Run { start: end as u32, count: items.len() as u32 };
        if items.is_empty() {
            return Ok(());
        } else if container.first.count == 0 {
            container.first = added;
        } else if container.more == NONE && container.first.end() == end {
            container.first.count += added.count;
        } else if let Some(tail) = self.segments.get_mut(container.tail as usize)
            && tail.run.end() == end
        {
            tail.run.count += added.count;
        } else {
            let new = self.segments.len() as u32;
            match self.segments.get_mut(container.tail as usize) {
                Some(tail) => tail.next = new,
                None => container.more = new,
            }
            container.tail = new;
            push(&mut self.segments, Segment { run: added, next: NONE }, work)?;
        }
        self.pool.extend_from_slice(items);
        Ok(())
    }

    /// Makes a container one of another kind, without children.
    pub(super) fn clear_to(&mut self, id: u32, kind: Kind) {
        if let Some(container) = self.containers.get_mut(id as usize) {
            container.kind = kind;
            container.first.count = 0;
            (container.more, container.tail) = (NONE, NONE);
        }
    }

    /// The children of a container, where they lie in one run, as those of every tuple do.
    pub(super) fn only_run(&self, item: Item) -> Option<(Run, &[Item])> {
        let Item::Container(id) = item else { return None };
        let container =
            self.containers.get(id as usize).filter(|container| container.more == NONE)?;
        let run = container.first;
        self.pool.get(run.start as usize..run.end()).map(|items| (run, items))
    }

    /// The children of a container, one after the other.
    pub(super) fn items(&self, item: Item) -> impl Iterator<Item = Item> {
        let mut next = match item {
            Item::Container(id) => self.containers.get(id as usize),
            _ => None,
        }
        .map(|container| Segment { run: container.first, next: container.more });
        std::iter::from_fn(move || {
            let Segment { run, next: after } = next?;
            next = self.segments.get(after as usize).copied();
            self.pool.get(run.start as usize..run.end())
        })
        .flatten()
        .copied()
    }

    /// Copies the children of container `id` into one run at the end of the pool. Each is paid for
    /// as work, whether there was room or not.
    pub(super) fn gather(&mut self, id: u32, work: &mut Budget) -> Result<Run, Refusal> {
        let start = self.pool.len();
        let mut next = self
            .containers
            .get(id as usize)
            .map(|container| Segment { run: container.first, next: container.more });
        while let Some(Segment { run, next: after }) = next {
            work.bytes(run.count as usize * size_of::<Item>())?;
            make_room(&mut self.pool, run.count as usize, work)?;
            self.pool.extend_from_within(run.start as usize..run.end());
            next = self.segments.get(after as usize).copied();
        }
        Ok(Run { start: start as u32, count: (self.pool.len() - start) as u32 })
    }
}

/// Bytes of memory for each entry of a memo that is not in order, when their number doubles.
const SPARSE: usize = 64;

/// The values that PUT and MEMOIZE keep for GET.
///
/// Picklers number their entries 0, 1, 2 …, so these lie in a vector. A number out of turn goes
/// into a map: no memory is reserved for a number that was only claimed.
#[derive(Debug, Default)]
pub(super) struct Memo {
    dense: Vec<Item>,
    sparse: HashMap<u64, Item>,
}

impl Memo {
    /// Keeps `item` under the number of entries so far, as Python's MEMOIZE does.
    #[inline]
    pub(super) fn push(&mut self, item: Item, work: &mut Budget) -> Result<(), Refusal> {
        if self.sparse.is_empty() {
            push(&mut self.dense, item, work)
        } else {
            self.put((self.dense.len() + self.sparse.len()) as u64, item, work)
        }
    }

    /// Keeps `item` under `number`.
    pub(super) fn put(
        &mut self,
        number: u64,
        item: Item,
        work: &mut Budget,
    ) -> Result<(), Refusal> {
        let next = self.dense.len() as u64;
        if number > next {
            let entries = self.sparse.len();
            if entries == self.sparse.capacity() && entries > 0 {
                // Twice as many places, and those that there were while they are moved.
                work.bytes(entries.saturating_mul(SPARSE))?;
            }
            self.sparse.insert(number, item);
        } else if number == next {
            if !self.sparse.is_empty() {
                self.sparse.remove(&number);
            }
            push(&mut self.dense, item, work)?;
        } else {
            self.dense[number as usize] = item;
        }
        Ok(())
    }

    /// The value that is kept under `number`.
    #[inline]
    pub(super) fn get(&self, number: u64) -> Option<Item> {
        match usize::try_from(number).ok().and_then(|index| self.dense.get(index)) {
            Some(&item) => Some(item),
            None => self.sparse.get(&number).copied(),
        }
    }
}

/// A container whose value is being written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// The container.
    pub(super) id: u32,
    pub(super) kind: Kind,
    /// Whether it is part of a dict key or a set element, where `bytearray` cannot stand.
    pub(super) hashed: bool,
    /// How deep it nests, as far as it is written.
    pub(super) height: u8,
    /// Its node.
    pub(super) at: u32,
    /// The next child and the end of its run, in the pool, and the segment after that.
    pub(super) next: u32,
    pub(super) end: u32,
    pub(super) more: u32,
    /// How many children were written; of a dict, keys and values.
    pub(super) written: u32,
    /// Whether it is the state of an object, whose node is two before its own.
    pub(super) is_state: bool,
}

impl Frame {
    /// Whether the next child is a dict key or a set element.
    #[inline]
    pub(super) fn next_is_hashed(&self) -> bool {
        match self.kind {
            Kind::Set | Kind::FrozenSet => true,
            Kind::Dict => self.written.is_multiple_of(2),
            Kind::List | Kind::Tuple | Kind::Uuid | Kind::Dtype | Kind::Ndarray | Kind::Object => {
                false
            }
        }
    }
}

/// The memory of a machine, kept from one pickle to the next so that decoding allocates nothing.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    /// The stack.
    pub(super) stack: Vec<Item>,
    /// The heights of the stack at each open MARK.
    pub(super) marks: Vec<u32>,
    /// The memo.
    pub(super) memo: Memo,
    /// The containers.
    pub(super) store: Store,
    /// The containers in flattening, outermost first; at most as many as may nest.
    pub(super) frames: Vec<Frame>,
    /// The containers that were flattened, in the order in which they closed.
    pub(super) closed: Vec<u32>,
}

impl Scratch {
    /// Forgets a pickle, and gives memory back after an unusually large one.
    pub(super) fn clear(&mut self) {
        fn clear<T>(vec: &mut Vec<T>) {
            if vec.capacity() > KEPT {
                *vec = Vec::new();
            } else {
                vec.clear();
            }
        }
        clear(&mut self.stack);
        clear(&mut self.marks);
        clear(&mut self.memo.dense);
        clear(&mut self.store.containers);
        clear(&mut self.store.pool);
        clear(&mut self.store.segments);
        clear(&mut self.frames);
        clear(&mut self.closed);
        if self.memo.sparse.capacity() > 0 {
            self.memo.sparse = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_as_small_as_a_node() {
        assert_eq!(size_of::<Item>(), size_of::<Node>());
    }

    #[test]
    fn memory_is_given_back() {
        let mut scratch = Scratch::default();
        scratch.stack.reserve(5_000);
        scratch.marks.reserve(10);
        scratch.memo.put(1 << 40, Item::Leaf(Node::None), &mut Budget::of(0)).unwrap();
        scratch.clear();
        assert_eq!(scratch.stack.capacity(), 0);
        assert!(scratch.marks.capacity() >= 10);
        assert_eq!(scratch.memo.sparse.capacity(), 0);
    }

    #[test]
    fn the_memo_counts_like_python() {
        let int = |item: Option<Item>| match item {
            Some(Item::Leaf(Node::Int(number))) => Some(number),
            _ => None,
        };
        let mut memo = Memo::default();
        let mut put = |number, value| {
            memo.put(number, Item::Leaf(Node::Int(value)), &mut Budget::of(0)).unwrap()
        };
        put(1, 10);
        put(5, 50);
        put(0, 0);
        put(1, 11);
        memo.push(Item::Leaf(Node::Int(30)), &mut Budget::of(0)).unwrap();
        memo.push(Item::Leaf(Node::Int(40)), &mut Budget::of(0)).unwrap();
        let got: Vec<_> = (0..6).map(|number| int(memo.get(number))).collect();
        assert_eq!(got, [Some(0), Some(11), None, Some(30), Some(40), Some(50)]);
    }
}
