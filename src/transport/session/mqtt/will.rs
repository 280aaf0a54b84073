//! The message of a client that goes without a word. It is judged when the client connects.

use std::time::Duration;

use super::super::Session;
use crate::broker::Step;
use crate::codec::Claim;
use crate::protocol::{ErrorCode, Limits, Refusal};
use crate::wire::MqttFormat;
use crate::wire::mqtt::{self, NotPublished, Publish, Publishes, Reason};

/// A message that is published if the client goes without a word.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) steps: Vec<Step>,
    pub(super) cost: usize,
    /// How long it waits for the client to come back.
    pub(super) delay: Duration,
}

impl Session {
    /// Judges a will as the message that it will be.
    ///
    /// # Errors
    /// Why it could not be published.
    pub(super) fn judge_will(
        &mut self,
        will: &mqtt::Will<'_>,
        format: MqttFormat,
        limits: Limits,
    ) -> Result<Will, (Reason, Refusal)> {
        let publish = Publish {
            dup: false,
            qos: will.qos,
            retain: will.retain,
            topic: will.topic,
            id: None,
            alias: None,
            content: will.content,
            payload: will.payload,
        };
        let flight =
            self.purse.fly(self.recent.get().room(will.payload.len()), &self.events, &self.shared);
        self.recent.get().hold(flight);
        // One that decodes to far more than its length explains is none that is waited for.
        let mut publishes = Publishes::new(limits, format, self.recent.get());
        let judged = publishes.publish(&publish, will.topic);
        let published = publishes.finish();
        self.recent.get().hold(Claim::nothing());
        match judged {
            Ok(()) => {
                let delay = Duration::from_secs(will.delay.into());
                let steps = published.steps.into_iter().map(|step| self.keep_step(step));
                let steps = steps.collect::<Result<_, _>>()?;
                Ok(Will { steps, cost: published.cost, delay })
            }
            Err(NotPublished::Refused(reason, refusal)) => Err((reason, refusal)),
            Err(NotPublished::NeedsPermit) => {
                let reason = "the will decodes to far more than its length explains";
                let code = ErrorCode::TooLarge;
                Err((Reason::QUOTA, Refusal::new(code, reason)))
            }
        }
    }

    /// Pays for a step of the will from what the connection takes: it may wait for days, and memory
    /// for messages on their way is for those that move.
    fn keep_step(&self, step: Step) -> Result<Step, (Reason, Refusal)> {
        let Step::Publish(batch) = step else { return Ok(step) };
        let Some(claim) = self.purse.claim_to_keep(batch.weight()) else {
            let reason = "the broker has no memory left for wills; connect again later, or without";
            return Err((Reason::QUOTA, Refusal::new(ErrorCode::MemoryFull, reason)));
        };
        Ok(Step::Publish(Box::new(batch.holding(claim, self.purse.workspace()))))
    }
}
