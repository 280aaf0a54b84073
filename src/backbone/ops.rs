//! What a broker has said of messages and is to hear of again, in the order in which it was said.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::broker::FromBackbone;
use crate::broker::sync::{Mutex, Sender};

/// The operations of a line that are not answered.
#[derive(Clone, Debug)]
pub(super) struct Ops {
    /// Whether each is done.
    open: Arc<Mutex<BTreeMap<u64, bool>>>,
    said: Sender<FromBackbone>,
}

impl Ops {
    /// None yet; `said` is told of each.
    pub(super) fn new(said: Sender<FromBackbone>) -> Ops {
        Ops { open: Arc::default(), said }
    }

    /// Begins one; numbers ascend.
    pub(super) fn begin(&self, op: u64) {
        self.open.lock().insert(op, false);
    }

    /// Some are done: it is said of the last of which those before it are too.
    pub(super) fn finish(&self, ops: impl IntoIterator<Item = u64>) {
        let mut open = self.open.lock();
        for op in ops {
            open.entry(op).and_modify(|done| *done = true);
        }
        let mut last = None;
        while let Some(first) = open.first_entry().filter(|first| *first.get()) {
            last = Some(first.remove_entry().0);
        }
        if let Some(op) = last {
            let _ = self.said.send(FromBackbone::Settled { op });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broker::sync::unbounded;

    #[test]
    fn what_is_done_is_said_in_order() {
        let (said, heard) = unbounded();
        let ops = Ops::new(said);
        let heard = || {
            heard
                .try_iter()
                .map(|said| match said {
                    FromBackbone::Settled { op } => op,
                    other => panic!("{other:?}"),
                })
                .collect::<Vec<_>>()
        };
        (1..=3).for_each(|op| ops.begin(op));
        ops.finish([2]);
        assert!(heard().is_empty());
        ops.finish([1]);
        assert_eq!(heard(), [2]);
        ops.finish([3]);
        ops.finish([3]);
        assert_eq!(heard(), [3]);
        (4..=6).for_each(|op| ops.begin(op));
        ops.finish([5, 4]);
        assert_eq!(heard(), [5]);
    }
}
