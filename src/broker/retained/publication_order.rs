//! The order of publication: a list through the topics that hold a value, and through markers that
//! readers leave in it.
//!
//! A topic that is published again moves to its end, in constant time. A reader who is half way
//! through keeps its place with a marker, which stays where it is whatever moves around it.

/// No topic and no marker.
const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Link {
    older: u32,
    newer: u32,
}

const OUTSIDE: Link = Link { older: NONE, newer: NONE };

/// The list. Its members are numbers that its owner gives out; a small number costs no more than
/// its place.
#[derive(Debug)]
pub(in crate::broker) struct PublicationOrder {
    links: Vec<Link>,
    oldest: u32,
    newest: u32,
}

impl Default for PublicationOrder {
    fn default() -> PublicationOrder {
        PublicationOrder { links: Vec::new(), oldest: NONE, newest: NONE }
    }
}

impl PublicationOrder {
    /// The one that comes after `member`.
    pub(in crate::broker) fn after(&self, member: u32) -> Option<u32> {
        let newer = self.links.get(member as usize)?.newer;
        (newer != NONE).then_some(newer)
    }

    /// The one at the end.
    pub(in crate::broker) fn newest(&self) -> Option<u32> {
        (self.newest != NONE).then_some(self.newest)
    }

    /// The one that comes before `member`.
    pub(in crate::broker) fn before(&self, member: u32) -> Option<u32> {
        let older = self.links.get(member as usize)?.older;
        (older != NONE).then_some(older)
    }

    /// Looks at a member, so that it is fetched.
    pub(in crate::broker) fn glance(&self, member: u32) -> u32 {
        self.links.get(member as usize).map_or(NONE, |link| link.older)
    }

    /// Looks at those beside a member.
    pub(in crate::broker) fn glance_beside(&self, member: u32) -> u32 {
        let Some(Link { older, newer }) = self.links.get(member as usize).copied() else {
            return NONE;
        };
        self.glance(older) ^ self.glance(newer)
    }

    /// Adds one at the end.
    pub(in crate::broker) fn append(&mut self, member: u32) {
        self.insert(self.newest, member, NONE);
    }

    /// Adds one at the beginning.
    pub(in crate::broker) fn prepend(&mut self, member: u32) {
        self.insert(NONE, member, self.oldest);
    }

    /// Moves one to the end.
    pub(in crate::broker) fn renew(&mut self, member: u32) {
        if self.newest != member {
            self.remove(member);
            self.append(member);
        }
    }

    /// Moves one behind the one that comes after it.
    pub(in crate::broker) fn pass(&mut self, member: u32) {
        if let Some(next) = self.after(member) {
            let behind = self.links[next as usize].newer;
            self.remove(member);
            self.insert(next, member, behind);
        }
    }

    /// Takes one out.
    pub(in crate::broker) fn remove(&mut self, member: u32) {
        let Some(Link { older, newer }) = self.links.get(member as usize).copied() else { return };
        match older {
            NONE => self.oldest = newer,
            _ => self.links[older as usize].newer = newer,
        }
        match newer {
            NONE => self.newest = older,
            _ => self.links[newer as usize].older = older,
        }
        self.links[member as usize] = OUTSIDE;
    }

    fn insert(&mut self, older: u32, member: u32, newer: u32) {
        let place = member as usize;
        if place >= self.links.len() {
            self.links.resize(place + 1, OUTSIDE);
        }
        self.links[place] = Link { older, newer };
        match older {
            NONE => self.oldest = member,
            _ => self.links[older as usize].newer = member,
        }
        match newer {
            NONE => self.newest = member,
            _ => self.links[newer as usize].older = member,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(chain: &PublicationOrder) -> Vec<u32> {
        let mut members = Vec::new();
        let mut next = (chain.oldest != NONE).then_some(chain.oldest);
        while let Some(member) = next {
            members.push(member);
            next = chain.after(member);
        }
        members
    }

    #[test]
    fn the_order_is_that_of_the_last_publication() {
        let mut chain = PublicationOrder::default();
        for member in [3, 1, 2] {
            chain.append(member);
        }
        chain.renew(3);
        assert_eq!(members(&chain), [1, 2, 3]);
        chain.renew(3);
        chain.remove(2);
        assert_eq!(members(&chain), [1, 3]);
        chain.remove(1);
        chain.remove(3);
        assert_eq!(members(&chain), [0; 0]);
        chain.append(2);
        assert_eq!(members(&chain), [2]);
    }

    #[test]
    fn a_marker_keeps_its_place_whatever_moves() {
        let mut chain = PublicationOrder::default();
        for member in [1, 2, 3] {
            chain.append(member);
        }
        chain.prepend(9);
        chain.pass(9);
        assert_eq!(members(&chain), [1, 9, 2, 3]);
        chain.renew(1);
        chain.renew(2);
        assert_eq!(members(&chain), [9, 3, 1, 2]);
        for _ in 0..5 {
            chain.pass(9);
        }
        assert_eq!((members(&chain), chain.after(9)), (vec![3, 1, 2, 9], None));
        chain.append(4);
        assert_eq!(chain.after(9), Some(4));
    }
}
