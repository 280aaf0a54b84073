//! What consumers say of messages: gathered, because each message is answered by one.

use std::ops::Range;

use super::control::judge_names;
use super::{Intake, token_of};
use crate::broker::{Rights, SETTLED, Settle, Step};
use crate::codec::quick_ack;
use crate::protocol::{Format, HEADER_LEN, Refusal, Settlement, Token};

impl Intake<'_> {
    /// Takes an `ack` that says nothing but the number of a message, as most do; returns whether it
    /// is one.
    #[inline]
    pub(super) fn quick_ack(&mut self, format: Format, at: usize, end: usize) -> bool {
        let is_stranger = matches!(self.recent.rights, Rights::Nothing);
        match quick_ack(format, &self.region[at + HEADER_LEN..end]) {
            Some(seq) if !is_stranger => {
                self.settle(at..end, (None, None), token_of(format), Settlement::Ack { seq });
                true
            }
            _ => false,
        }
    }

    /// Takes what a consumer says of a message in the frame at `frame`, together with what it said
    /// just before.
    fn settle(
        &mut self,
        frame: Range<usize>,
        (stream, consumer): (Option<Box<str>>, Option<Box<str>>),
        token: Token,
        what: Settlement,
    ) {
        if !self.messages.is_empty() {
            self.finish_batch(frame.start);
        }
        self.start = frame.end;
        match self.steps.last_mut() {
            Some(Step::Settle(last))
                if (&last.stream, &last.consumer, last.token) == (&stream, &consumer, token) =>
            {
                last.what.push(what);
                self.cost += SETTLED;
            }
            _ => {
                let what = vec![what];
                let step = Step::Settle(Box::new(Settle { stream, consumer, token, what }));
                self.cost += step.cost();
                self.steps.push(step);
            }
        }
        self.note_enough();
    }

    /// The same of a frame that was read in full and may name a stream and a consumer.
    pub(super) fn settle_named(
        &mut self,
        frame: Range<usize>,
        names: (Option<Box<str>>, Option<Box<str>>),
        token: Token,
        what: Settlement,
    ) -> Result<(), Refusal> {
        judge_names(names.0.as_deref(), names.1.as_deref())?;
        self.recent.settles = true;
        self.settle(frame, names, token, what);
        Ok(())
    }
}
