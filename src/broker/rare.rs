//! A value that most have none of: behind a pointer, and made when it is changed.

use std::ops::{Deref, DerefMut};

/// A value that can be empty, as it is with most.
pub(crate) trait Empty: Default + 'static {
    const EMPTY: &'static Self;

    fn is_empty(&self) -> bool;
}

/// A value that most have none of. Whoever looks at it finds an empty one, and whoever may change
/// it makes one.
#[derive(Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

impl<T> Rare<T> {
    pub(crate) const NONE: Rare<T> = Rare(None);

    /// The value, if there is one, for who has nothing to do otherwise.
    pub(crate) fn made(&mut self) -> Option<&mut T> {
        self.0.as_deref_mut()
    }
}

impl<T: Empty> Rare<T> {
    /// Gives its memory back if it is empty.
    pub(crate) fn shrink(&mut self) {
        self.0.take_if(|value| value.is_empty());
    }
}

impl<T> Default for Rare<T> {
    fn default() -> Rare<T> {
        Rare::NONE
    }
}

impl<T: Empty> Deref for Rare<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::EMPTY)
    }
}

impl<T: Empty> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_default()
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    impl Empty for Vec<u8> {
        const EMPTY: &'static Vec<u8> = &Vec::new();

        fn is_empty(&self) -> bool {
            Vec::is_empty(self)
        }
    }

    #[test]
    fn it_is_there_from_the_first_change_until_it_is_empty() {
        let mut rare = Rare::<Vec<u8>>::default();
        assert!(rare.is_empty() && rare.made().is_none(), "to look at it makes none");
        rare.push(7);
        rare.shrink();
        assert_eq!((rare.made().cloned(), rare.len()), (Some(vec![7]), 1));
        rare.clear();
        rare.shrink();
        assert!(rare.made().is_none() && rare.is_empty());
    }
}
