//! What a broker that stops has not saved yet: how far its disks are, for the one that waits for
//! them.

use std::sync::Arc;
use std::time::Duration;

use super::persist::{Progress, Unsaved};
use super::streams::StreamsWatch;

/// How far the disks of a broker are.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Where there is a store.
    pub(in crate::broker) values: Option<Arc<Progress>>,
    pub(in crate::broker) streams: StreamsWatch,
}

impl Ending {
    /// A number that is another one whenever a disk has answered.
    pub fn steps(&self) -> u64 {
        let values = self.values.as_ref().map_or(0, |progress| progress.steps());
        self.streams.steps().wrapping_add(values)
    }

    /// What is not saved, where the broker has ended, or has waited for so long for a disk that
    /// does not answer.
    ///
    /// # Errors
    /// [`Unsaved`], where that is anything.
    pub fn saved(&self, waited: Option<Duration>) -> Result<(), Unsaved> {
        let silent = waited.map(|waited| {
            format!("the disk has not answered for {} s, and may do so later", waited.as_secs_f64())
        });
        let values = self.values.as_ref().and_then(|progress| progress.left());
        let (messages, of_streams) = self.streams.unwritten();
        if values.is_none() && messages == 0 {
            return match silent {
                // Nothing that was promised is known to be missing.
                Some(reason) => Err(Unsaved { values: 0, clears: 0, messages, reason }),
                None => Ok(()),
            };
        }
        let (values, clears, reason) = values.unwrap_or_default();
        let reasons = [Some(reason), Some(of_streams), silent].into_iter().flatten();
        let reasons: Vec<String> = reasons.filter(|reason| !reason.is_empty()).collect();
        Err(Unsaved { values, clears, messages, reason: reasons.join("; ") })
    }
}
