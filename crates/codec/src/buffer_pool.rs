//! Memory of batches that were delivered, for those to come.
//!
//! A batch is made by a session and dropped by the thread that is done with it last. Memory that is
//! given back to the allocator there and asked for here, a quarter of a megabyte at a time, comes
//! from the kernel page by page; that took a quarter of a session's time.

use std::sync::{Arc, Mutex, TryLockError};

use super::batch_entry::BatchEntry;
use super::node::Node;

/// Smaller vectors are the allocator's matter.
const WORTH_KEEPING: usize = 4 << 10;
/// Bytes of memory that a pile keeps at most, and vectors.
const KEPT: usize = 4 << 20;
const KEPT_VECTORS: usize = 64;
const LARGEST_KEPT: usize = KEPT / 4;
/// No text has such a byte.
const UNWRITTEN: u8 = 0xff;

/// Vectors that are not in use, shared by the sessions and the batches of a broker.
#[derive(Clone, Debug, Default)]
pub struct BufferPool(Option<Arc<Piles>>);

#[derive(Debug, Default)]
struct Piles {
    bytes: Mutex<Pile<u8>>,
    messages: Mutex<Pile<BatchEntry>>,
    nodes: Mutex<Pile<Node>>,
}

/// Vectors whose contents mean nothing, those that were given back last at the end.
#[derive(Debug)]
struct Pile<T> {
    vectors: Vec<Vec<T>>,
    /// Bytes of memory of all.
    size: usize,
}

impl BufferPool {
    /// A pool that keeps up to 4 MiB of each kind, for all sessions of a broker together. That of
    /// `default` keeps nothing.
    pub fn new() -> BufferPool {
        BufferPool(Some(Arc::default()))
    }

    /// An empty vector with room for `size` bytes, and for not more than half as many again.
    pub fn bytes(&self, size: usize) -> Vec<u8> {
        let mut bytes = take(self.0.as_ref().map(|piles| &piles.bytes), size);
        bytes.clear();
        bytes
    }

    /// A vector of `size` bytes, whatever these are.
    pub(super) fn room(&self, size: usize) -> Vec<u8> {
        let mut room = take(self.0.as_ref().map(|piles| &piles.bytes), size);
        // Bytes that were written before need no zeros.
        room.resize(size, 0);
        if cfg!(debug_assertions) {
            // A byte that is taken for written and is not shows in tests.
            room.fill(UNWRITTEN);
        }
        room
    }

    /// An empty vector for about `count` messages.
    pub fn messages(&self, count: usize) -> Vec<BatchEntry> {
        take(self.0.as_ref().map(|piles| &piles.messages), count)
    }

    /// Keeps a vector that is not needed any more, if it is worth it.
    pub fn give_back_bytes(&self, bytes: Vec<u8>) {
        give_back(self.0.as_ref().map(|piles| &piles.bytes), bytes);
    }

    /// The same with messages.
    pub fn give_back_messages(&self, mut messages: Vec<BatchEntry>) {
        messages.clear();
        give_back(self.0.as_ref().map(|piles| &piles.messages), messages);
    }

    /// An empty vector for about `count` nodes of a document.
    pub(super) fn nodes(&self, count: usize) -> Vec<Node> {
        take(self.0.as_ref().map(|piles| &piles.nodes), count)
    }

    /// Keeps a vector of nodes.
    pub(super) fn give_back_nodes(&self, mut nodes: Vec<Node>) {
        nodes.clear();
        give_back(self.0.as_ref().map(|piles| &piles.nodes), nodes);
    }
}

fn take<T>(pile: Option<&Mutex<Pile<T>>>, count: usize) -> Vec<T> {
    let is_kept = (WORTH_KEEPING..=LARGEST_KEPT).contains(&(count * size_of::<T>()));
    let Some(pile) = pile.filter(|_| is_kept) else { return Vec::with_capacity(count) };
    // Memory counts where it waits for a client, so a vector that is far too large would leave less
    // for messages.
    let spare = with(pile, |pile| pile.take(count, count + count / 2)).flatten();
    // Of few sizes, so that what comes back fits what is wanted next.
    spare.unwrap_or_else(|| {
        Vec::with_capacity(count.next_multiple_of(count.next_power_of_two() / 8))
    })
}

fn give_back<T>(pile: Option<&Mutex<Pile<T>>>, vector: Vec<T>) {
    let Some(pile) = pile else { return };
    if (WORTH_KEEPING..=LARGEST_KEPT).contains(&(vector.capacity() * size_of::<T>())) {
        with(pile, |pile| pile.put(vector));
    }
}

/// A thread that finds the spares in use does without; none waits for them.
fn with<T, R>(pile: &Mutex<Pile<T>>, act: impl FnOnce(&mut Pile<T>) -> R) -> Option<R> {
    match pile.try_lock() {
        Ok(mut pile) => Some(act(&mut pile)),
        Err(TryLockError::Poisoned(mut pile)) => Some(act(pile.get_mut())),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl<T> Pile<T> {
    fn take(&mut self, least: usize, most: usize) -> Option<Vec<T>> {
        let fits = |spare: &Vec<T>| (least..=most).contains(&spare.capacity());
        // The vector that was given back last is most likely still in a cache.
        let found = self.vectors.iter().rposition(fits)?;
        let spare = self.vectors.remove(found);
        self.size -= spare.capacity() * size_of::<T>();
        Some(spare)
    }

    fn put(&mut self, vector: Vec<T>) {
        self.size += vector.capacity() * size_of::<T>();
        self.vectors.push(vector);
        // Vectors that were not asked for make room.
        while self.size > KEPT || self.vectors.len() > KEPT_VECTORS {
            self.size -= self.vectors.remove(0).capacity() * size_of::<T>();
        }
    }
}

impl<T> Default for Pile<T> {
    fn default() -> Pile<T> {
        Pile { vectors: Vec::new(), size: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(spares: &BufferPool) -> (usize, usize) {
        let pile = spares.0.as_ref().unwrap().bytes.lock().unwrap();
        (pile.size, pile.vectors.len())
    }

    #[test]
    fn what_is_given_back_is_used_again_where_it_fits() {
        let spares = BufferPool::new();
        let vector = spares.bytes(10_000);
        assert_eq!(vector.capacity(), 10_240);
        let address = vector.as_ptr();
        spares.give_back_bytes(vector);
        let others = [spares.bytes(11_000), spares.bytes(6_000)];
        assert!(
            others.iter().all(|other| other.as_ptr() != address),
            "too small, and far too large"
        );
        let mut again = spares.bytes(9_000);
        assert_eq!(again.as_ptr(), address);
        again.push(1);
        spares.give_back_bytes(again);
        assert_eq!(spares.bytes(10_000), [0; 0], "empty again");
        assert_eq!(kept(&spares), (0, 0));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_oldest_goes_first() {
        let spares = BufferPool::new();
        for _ in 0..10 {
            spares.give_back_bytes(Vec::with_capacity(1 << 20));
        }
        assert_eq!(kept(&spares), (4 << 20, 4));
        assert_eq!(spares.bytes((1 << 20) + 1).capacity(), (1 << 20) + 1);
        spares.give_back_bytes(Vec::with_capacity((1 << 20) + 1));
        spares.give_back_bytes(Vec::with_capacity(100));
        assert_eq!(kept(&spares), (4 << 20, 4), "too large and too small");
        for _ in 0..1_000 {
            spares.give_back_bytes(Vec::with_capacity(WORTH_KEEPING));
        }
        assert_eq!(kept(&spares), (64 * WORTH_KEEPING, 64));
    }
}
