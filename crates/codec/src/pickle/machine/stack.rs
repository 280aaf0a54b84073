//! The machine's work on its stack, its marks and its memo.
//!
//! As in CPython, nothing reaches below the innermost mark: a value there is not on the stack until
//! the mark is closed.

use super::Machine;
use crate::pickle::store::{Item, Kind, Scratch};
use crate::protocol::Refusal;

impl Machine<'_> {
    /// The top of the stack, above the innermost mark.
    #[inline]
    pub(super) fn top(&self) -> Result<Item, Refusal> {
        match self.scratch.stack.last() {
            Some(&item) if self.scratch.stack.len() > self.floor => Ok(item),
            _ => Err(self.underflow()),
        }
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Result<Item, Refusal> {
        let item = self.top()?;
        self.scratch.stack.pop();
        Ok(item)
    }

    /// Closes the innermost mark and returns the height of the stack where it stood.
    #[inline]
    pub(super) fn unmark(&mut self) -> Result<usize, Refusal> {
        let Some(height) = self.scratch.marks.pop() else {
            return Err(self.reader.malformed("there is no MARK before it"));
        };
        self.floor = self.scratch.marks.last().map_or(0, |&mark| mark as usize);
        Ok(height as usize)
    }

    /// Makes a container of the top `count` values.
    #[inline]
    pub(super) fn gather(&mut self, kind: Kind, count: usize) -> Result<Item, Refusal> {
        match self.scratch.stack.len().checked_sub(count) {
            Some(height) if height >= self.floor => self.gather_from(kind, height),
            _ => Err(self.underflow()),
        }
    }

    /// Makes a container of the values above the innermost mark.
    #[inline]
    pub(super) fn gather_marked(&mut self, kind: Kind) -> Result<Item, Refusal> {
        let height = self.unmark()?;
        self.gather_from(kind, height)
    }

    #[inline]
    fn gather_from(&mut self, kind: Kind, height: usize) -> Result<Item, Refusal> {
        let Scratch { stack, store, .. } = &mut *self.scratch;
        let items = stack.get(height..).unwrap_or_default();
        if kind == Kind::Dict && items.len() % 2 != 0 {
            return Err(self.odd());
        }
        let container = store.create(kind, items, &mut self.work)?;
        stack.truncate(height);
        Ok(container)
    }

    /// Adds the top `count` values to the container below them.
    #[inline]
    pub(super) fn add(&mut self, kind: Kind, count: usize) -> Result<(), Refusal> {
        match self.scratch.stack.len().checked_sub(count) {
            Some(height) if height > self.floor => self.add_from(kind, height),
            _ => Err(self.underflow()),
        }
    }

    /// Adds the values above the innermost mark to the container below it.
    #[inline]
    pub(super) fn add_marked(&mut self, kind: Kind) -> Result<(), Refusal> {
        let height = self.unmark()?;
        if height <= self.floor {
            return Err(self.underflow());
        }
        self.add_from(kind, height)
    }

    #[inline]
    fn add_from(&mut self, kind: Kind, height: usize) -> Result<(), Refusal> {
        let Scratch { stack, store, .. } = &mut *self.scratch;
        let below = height.checked_sub(1).and_then(|below| stack.get(below)).copied();
        let items = stack.get(height..).unwrap_or_default();
        match below {
            Some(Item::Container(id)) if store.kind(Item::Container(id)) == Some(kind) => {
                if kind == Kind::Dict && items.len() % 2 != 0 {
                    return Err(self.odd());
                }
                store.extend(id, items, &mut self.work)?;
                stack.truncate(height);
                Ok(())
            }
            Some(object)
                if store.kind(object) == Some(Kind::Object)
                    && self.become_container(object, kind) =>
            {
                self.add_from(kind, height)
            }
            _ => {
                let wanted = match kind {
                    Kind::Dict => "dict",
                    Kind::Set => "set",
                    _ => "list",
                };
                Err(self.reader.malformed(format_args!("there is no {wanted} to add to")))
            }
        }
    }

    #[inline]
    pub(super) fn put(&mut self, number: u64) -> Result<(), Refusal> {
        let top = self.top()?;
        self.scratch.memo.put(number, top, &mut self.work)
    }

    #[inline]
    pub(super) fn get(&mut self, number: u64) -> Result<Item, Refusal> {
        match self.scratch.memo.get(number) {
            Some(item) => Ok(self.fetched(item)),
            None => Err(self.reader.malformed(format_args!("nothing was memoised as {number}"))),
        }
    }

    /// Notes that `item` may now occur twice.
    #[inline]
    pub(super) fn fetched(&mut self, item: Item) -> Item {
        self.shared |= matches!(item, Item::Container(_));
        item
    }

    #[cold]
    fn underflow(&self) -> Refusal {
        let marked = if self.scratch.marks.is_empty() { "" } else { " above the last MARK" };
        self.reader.malformed(format_args!("there are not enough values on the stack{marked}"))
    }

    #[cold]
    fn odd(&self) -> Refusal {
        self.reader.malformed("a key is without a value")
    }
}
