//! From notes to a consumer.

use std::time::Duration;

use super::Consumer;
use super::notes::{
    ATTEMPT_WIDTH, ATTEMPTS, BEGIN, DEAD, NOT_BELOW, RETRY, SETTINGS, SETTLED, STAGED, VERSION,
};
use super::outcome::{Dead, WhyDead};
use super::ranges::{Ranges, width};
use super::settings::{ConsumerSettings, Order};
use super::work::{Run, State};
use crate::protocol::TopicFilter;

impl Consumer {
    /// A consumer as its notes have it, in the order in which they were taken. `log_next` is the
    /// number that the next message of the log will have: what notes say of those from there on is
    /// ignored, as a cut of power lost them. An empty note stands where others could not be read.
    /// `None` where the notes end before the consumer was there. Call [`trimmed`](Self::trimmed)
    /// next, with the front of the log, and write down what [`take_notes`](Self::take_notes) gives
    /// before the log takes new messages: what was ignored must not be believed after the next
    /// restart, when others have those numbers.
    ///
    /// # Errors
    /// Words that say which note is damaged or missing, where it cannot be known what is settled.
    pub fn restore<'a>(
        notes: impl IntoIterator<Item = &'a [u8]>,
        log_next: u64,
    ) -> Result<Option<Consumer>, String> {
        let mut restored = Restored { log_next, ..Restored::default() };
        for (at, note) in notes.into_iter().enumerate() {
            if let Err(wrong) = restored.read(note) {
                let wrong = format!("note {} of those of the consumer is damaged: {wrong}", at + 1);
                // What comes behind it is worth nothing, until the consumer begins anew.
                (restored.consumer, restored.wrong) = (None, restored.wrong.or(Some(wrong)));
            }
        }
        let Some(mut consumer) = restored.consumer else {
            return restored.wrong.map_or(Ok(None), Err);
        };
        consumer.died = consumer.dead.keys().copied().collect();
        consumer.deaths = 0;
        let notes = if restored.is_cut { consumer.snapshot() } else { Vec::new() };
        consumer.notes.replace(notes);
        Ok(Some(consumer))
    }
}

/// What was read of notes.
#[derive(Default)]
struct Restored {
    log_next: u64,
    /// None where some of them are missing.
    staged: Option<Ranges>,
    consumer: Option<Consumer>,
    /// The first thing that is wrong, since the consumer began.
    wrong: Option<String>,
    /// Something was said of messages that the log has lost.
    is_cut: bool,
}

impl Restored {
    fn read(&mut self, note: &[u8]) -> Result<(), String> {
        if note.is_empty() {
            // What members have settled may be missing, and comes again. Which messages wait may
            // not: whoever does not know of them would take them for settled.
            self.staged = None;
            return Ok(());
        }
        let mut note = Reader(note);
        let version = note.byte()?;
        if version != VERSION {
            return Err(format!("it is of version {version}, and this broker reads {VERSION}"));
        }
        match (note.byte()?, &mut self.consumer) {
            (STAGED, _) => {
                if note.byte()? != 0 {
                    self.staged = Some(Ranges::default());
                }
                let mut staged = self.staged.take();
                note.ranges(|from, to| {
                    if let Some(staged) = &mut staged {
                        staged.insert(from, to);
                    }
                    Ok(())
                })?;
                self.staged = staged;
                Ok(())
            }
            (BEGIN, _) => {
                let is_staged = note.byte()? != 0;
                let next = note.number()?;
                let settings = note.settings()?;
                let staged = self.staged.take();
                let mut staged = match staged {
                    Some(staged) if is_staged => staged,
                    None if is_staged => {
                        return Err(
                            "those before it, with the messages that wait, are missing".to_owned()
                        );
                    }
                    _ => Ranges::default(),
                };
                self.is_cut = next > self.log_next;
                let next = next.min(self.log_next);
                staged.remove(next, u64::MAX);
                self.consumer = Some(Consumer::with(settings, staged, next));
                self.wrong = None;
                Ok(())
            }
            (_, None) => Err("it stands before the one with which the consumer begins".to_owned()),
            (kind, Some(consumer)) => {
                self.is_cut |= consumer.read(kind, note, self.log_next)?;
                Ok(())
            }
        }
    }
}

impl Consumer {
    /// Does what a note says. Returns whether it says something of messages that the log has lost.
    fn read(&mut self, kind: u8, mut note: Reader<'_>, log_next: u64) -> Result<bool, String> {
        let mut is_cut = false;
        match kind {
            SETTINGS => {
                let settings = note.settings()?;
                if settings.filter != self.settings.filter {
                    return Err("it is of a consumer with another filter".to_owned());
                }
                self.set_settings(settings);
            }
            SETTLED => note.ranges(|from, to| {
                is_cut |= to >= log_next;
                if from < log_next {
                    self.settle(from, to.min(log_next - 1));
                }
                Ok(())
            })?,
            ATTEMPTS => {
                let attempts = note.short()?;
                note.ranges(|from, to| {
                    if width(from, to) > ATTEMPT_WIDTH {
                        return Err("it counts attempts of too many messages".to_owned());
                    }
                    is_cut |= to >= log_next;
                    for seq in (from..=to).take_while(|&seq| seq < log_next) {
                        self.ahead.tried(seq, attempts);
                    }
                    Ok(())
                })?;
            }
            DEAD => {
                let Dead { seq, attempts, why } = note.dead()?;
                is_cut = seq >= log_next;
                if !is_cut && self.ahead.contains(seq) {
                    self.ahead.remove(seq, seq);
                    let state = State::Dead;
                    self.die(Run { from: seq, to: seq, attempts, topic: 0, state }, &why);
                }
            }
            RETRY => {
                let seq = note.number()?;
                is_cut = seq >= log_next;
                self.retry(seq);
            }
            _ => return Err(format!("its kind is {kind}, which this broker does not know")),
        }
        Ok(is_cut)
    }
}

/// The rest of a note.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, String> {
        let (&byte, rest) = self.0.split_first().ok_or("it ends too early")?;
        self.0 = rest;
        Ok(byte)
    }

    fn number(&mut self) -> Result<u64, String> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            number |= bits << shift;
            if bits << shift >> shift != bits {
                break;
            }
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err("a number in it is too large".to_owned())
    }

    fn short(&mut self) -> Result<u32, String> {
        u32::try_from(self.number()?).map_err(|_| "a number in it is too large".to_owned())
    }

    fn text(&mut self, bytes: &'a [u8]) -> Result<&'a str, String> {
        std::str::from_utf8(bytes).map_err(|_| "a text in it is not UTF-8".to_owned())
    }

    /// All ranges up to its end.
    fn ranges(
        &mut self,
        mut each: impl FnMut(u64, u64) -> Result<(), String>,
    ) -> Result<(), String> {
        let too_large = || "a range in it is too large".to_owned();
        let mut behind: u64 = 0;
        while !self.0.is_empty() {
            let from = behind.checked_add(self.number()?).ok_or_else(too_large)?;
            let to = from.checked_add(self.number()?).ok_or_else(too_large)?;
            each(from, to)?;
            behind = to.saturating_add(1);
        }
        Ok(())
    }

    fn dead(&mut self) -> Result<Dead, String> {
        let seq = self.number()?;
        let attempts = self.short()?;
        let why = match self.byte()? {
            0 => WhyDead::Exhausted,
            1 => WhyDead::Rejected(self.text(self.0)?.to_owned()),
            why => return Err(format!("it has {why} for why a message is dead")),
        };
        Ok(Dead { seq, attempts, why })
    }

    fn time(&mut self) -> Result<Duration, String> {
        let (seconds, nanos) = (self.number()?, self.short()?);
        if nanos >= 1_000_000_000 {
            return Err("a time in it has more than a second of nanoseconds".to_owned());
        }
        Ok(Duration::new(seconds, nanos))
    }

    fn settings(&mut self) -> Result<ConsumerSettings, String> {
        let bytes = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        let (filter, rest) = self.0.split_at_checked(bytes).ok_or("it ends in its filter")?;
        self.0 = rest;
        let filter = self.text(filter)?;
        let filter = TopicFilter::parse(filter)
            .map_err(|refusal| format!("its filter is none: {}", refusal.reason))?;
        let window = self.short()?;
        let max_deliver = self.short()?;
        let byte = self.byte()?;
        let filter = filter.below(byte & NOT_BELOW == 0);
        let order = match byte & !NOT_BELOW {
            0 => Order::None,
            1 => Order::ByTopic,
            _ => return Err(format!("its order is {byte}, which this broker does not know")),
        };
        let ack_wait = self.time()?;
        let mut backoff = Vec::new();
        while !self.0.is_empty() {
            backoff.push(self.time()?);
        }
        Ok(ConsumerSettings { filter, window, ack_wait, max_deliver, backoff, order })
    }
}
