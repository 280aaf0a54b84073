//! Which streams a connection has handed something to, so that its next `pong` waits for them.

use std::sync::Arc;

use crate::broker::streams::{Ops, Reach};
use crate::codec::{Claim, Share};

/// Streams of each connection for which no memory is claimed: they are a part of what it takes
/// itself.
const MODEST: usize = 16;

/// A stream, by its place, where what was handed to it is to be, and the numbers of that since the
/// pong before.
pub(super) type Touch = (u32, Reach, Ops);

/// The streams of one connection.
#[derive(Debug, Default)]
pub(in crate::broker::dispatcher) struct Touched {
    all: Vec<Touch>,
    /// Memory for those beyond the first.
    claim: Claim,
}

impl Touched {
    pub(in crate::broker::dispatcher) const NOTHING: Touched =
        Touched { all: Vec::new(), claim: Claim::nothing() };

    /// Whether there are none.
    pub(in crate::broker::dispatcher) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Notes what was handed to a stream last. Memory for many is taken of this share,
    /// whether there is some or not: nothing that a `pong` confirms can be left out.
    pub(super) fn note(&mut self, (place, reach, ops): Touch, share: &Arc<Share>) {
        if let Some((.., known)) =
            self.all.iter_mut().find(|touched| (touched.0, touched.1) == (place, reach))
        {
            known.add(&ops);
            return;
        }
        self.all.push((place, reach, ops));
        let bytes = self.all.capacity().saturating_sub(MODEST) * size_of::<Touch>();
        if bytes > self.claim.bytes() {
            if self.claim.account().is_none() {
                self.claim = share.account().charge(0);
            }
            self.claim.charge(bytes - self.claim.bytes());
        }
    }

    /// Forgets a stream.
    pub(super) fn forget(&mut self, place: u32) {
        self.all.retain(|(touched, ..)| *touched != place);
    }

    /// Forgets all, and says which they were.
    pub(super) fn take(&mut self) -> Vec<Touch> {
        self.claim = Claim::nothing();
        std::mem::take(&mut self.all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_streams_take_memory_until_they_are_forgotten_and_few_do_not() {
        let share = Share::new(1 << 20);
        let mut touched = Touched::default();
        for place in 0..MODEST as u32 {
            touched.note((place, Reach::Messages, (1..=1).into()), &share);
        }
        assert_eq!(share.used(), 0);
        for place in 0..256 {
            touched.note((place, Reach::Messages, (2..=2).into()), &share);
        }
        assert_eq!(share.used(), (256 - MODEST) * size_of::<Touch>());
        let all = touched.take();
        let ops = |place| if place < MODEST as u32 { 1..=2 } else { 2..=2 };
        let expected: Vec<Touch> =
            (0..256).map(|place| (place, Reach::Messages, Ops::from(ops(place)))).collect();
        assert_eq!((all, share.used()), (expected, 0));
    }

    #[test]
    fn no_stream_is_left_out_where_there_is_no_memory() {
        let share = Share::new(1);
        let mut touched = Touched::default();
        for place in 0..100 {
            touched.note((place, Reach::All, (1..=1).into()), &share);
            touched.note((place, Reach::Messages, (2..=2).into()), &share);
        }
        touched.forget(7);
        assert_eq!(touched.take().len(), 198);
        assert_eq!(share.used(), 0);
    }
}
