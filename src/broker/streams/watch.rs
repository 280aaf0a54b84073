//! How far all streams of a broker are, for the one that waits for their end.

use std::sync::Arc;

use parking_lot::Mutex;

use super::state::StreamState;

/// The streams of a broker, each from when it was opened until nothing of it is left to be written.
#[derive(Clone, Debug, Default)]
pub(in crate::broker) struct StreamsWatch(Arc<Mutex<Vec<Arc<StreamState>>>>);

impl StreamsWatch {
    /// Takes in one that was opened.
    pub(in crate::broker) fn add(&self, state: Arc<StreamState>) {
        let mut all = self.0.lock();
        all.retain(|state| !state.is_over() || state.unwritten().0 > 0);
        all.push(state);
    }

    /// A number that is another one whenever one of them has come on.
    pub(in crate::broker) fn steps(&self) -> u64 {
        self.0.lock().iter().fold(0, |steps, state| steps.wrapping_add(state.steps()))
    }

    /// How many messages wait to be written, in which streams, and why.
    pub(in crate::broker) fn unwritten(&self) -> (u64, String) {
        let (mut messages, mut reasons) = (0, Vec::new());
        for state in self.0.lock().iter() {
            let (of_one, reason) = state.unwritten();
            if of_one > 0 {
                messages += of_one;
                let reason = if reason.is_empty() { "it does not answer" } else { &reason };
                let what = if state.shared().is_some() { "the shared" } else { "the disk of the" };
                reasons.push(format!("{what} stream {}: {reason}", state.name()));
            }
        }
        (messages, reasons.join("; "))
    }
}
