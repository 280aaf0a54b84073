//! A stack of open containers that allocates nothing for as many as usual messages nest.

/// Levels without an allocation.
const FEW: usize = 8;

/// The containers around the one that is being written, the outermost first.
pub(super) struct Outer<T> {
    few: [T; FEW],
    many: Vec<T>,
    len: usize,
}

impl<T: Copy> Outer<T> {
    /// No containers; `any` fills what is not used.
    #[inline]
    pub(super) fn new(any: T) -> Outer<T> {
        Outer { few: [any; FEW], many: Vec::new(), len: 0 }
    }

    #[inline]
    pub(super) fn push(&mut self, container: T) {
        match self.few.get_mut(self.len) {
            Some(place) => *place = container,
            None => self.many.push(container),
        }
        self.len += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<T> {
        self.len = self.len.checked_sub(1)?;
        match self.few.get(self.len) {
            Some(container) => Some(*container),
            None => self.many.pop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_comes_first() {
        let mut outer = Outer::new(0);
        for round in [3, 20] {
            (1..=round).for_each(|container| outer.push(container));
            for container in (1..=round).rev() {
                assert_eq!(outer.pop(), Some(container));
            }
            assert_eq!(outer.pop(), None);
        }
    }
}
