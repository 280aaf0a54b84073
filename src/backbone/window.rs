//! The messages of one line that are to be stored: which go next, which are on their way, and what
//! becomes of those that were not acknowledged.
//!
//! After a failure nothing more is sent until everything on its way is answered for. Then what was
//! not stored goes again, in its order, and what has waited behind it: the order of a topic is kept
//! as far as the server keeps that of what it is sent. It does not where it has too much at once,
//! for it refuses some and takes what comes after them: then it is sent less from there on.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// How much may be on its way.
const MESSAGES: usize = 1_024;
const BYTES: usize = 8 << 20;
/// How many messages may be, at least, where the server has too much at once. Each time half as
/// many are, and one more for so many that are answered for.
const FEWEST: usize = 16;
const ANSWERS_FOR_ONE: u64 = 1_000;
/// How long an acknowledgement may take, before it is taken for lost.
pub(super) const ACK_WAIT: Duration = Duration::from_secs(5);
/// How long before the server forgets a message a repeat of it is not sent any more: a repeat is
/// itself on its way for a while.
const MARGIN: Duration = Duration::from_secs(30);

/// A message with its fate.
#[derive(Debug)]
struct Entry<T> {
    message: T,
    bytes: usize,
    /// When it was last sent, if it is on its way.
    sent: Option<Instant>,
    /// How often it was sent.
    attempts: u32,
    /// The first time that it was sent and it was not said what became of it.
    in_doubt: Option<Instant>,
}

/// Messages by their numbers.
#[derive(Debug)]
pub(super) struct Window<T> {
    entries: BTreeMap<u64, Entry<T>>,
    /// The first that is to be sent.
    next: u64,
    on_their_way: usize,
    bytes: usize,
    /// How many messages may be on their way at present, and whether the server had too many.
    most: usize,
    is_too_much: bool,
    /// How many were answered for since that was changed.
    answered: u64,
    failed: bool,
}

impl<T> Default for Window<T> {
    fn default() -> Window<T> {
        Window {
            entries: BTreeMap::new(),
            next: 0,
            on_their_way: 0,
            bytes: 0,
            most: MESSAGES,
            is_too_much: false,
            answered: 0,
            failed: false,
        }
    }
}

impl<T> Window<T> {
    /// Puts a message behind all others; numbers ascend.
    pub(super) fn push(&mut self, number: u64, message: T, bytes: usize) {
        let entry = Entry { message, bytes, sent: None, attempts: 0, in_doubt: None };
        self.entries.insert(number, entry);
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The next to be sent: its number, which attempt it is, and the message. It is on its way.
    pub(super) fn send(&mut self, now: Instant) -> Option<(u64, u32, &T)> {
        let is_full = self.on_their_way >= self.most || self.bytes >= BYTES;
        if self.failed || is_full {
            return None;
        }
        let (&number, entry) = self.entries.range_mut(self.next..).next()?;
        self.next = number + 1;
        self.on_their_way += 1;
        self.bytes += entry.bytes;
        entry.sent = Some(now);
        entry.attempts += 1;
        Some((number, entry.attempts, &entry.message))
    }

    /// A message is over: it is stored, or refused. Returns whether it was there.
    pub(super) fn finish(&mut self, number: u64) -> bool {
        let Some(entry) = self.entries.remove(&number) else { return false };
        if entry.sent.is_some() {
            self.on_their_way -= 1;
            self.bytes -= entry.bytes;
        }
        self.answered += 1;
        if self.answered.is_multiple_of(ANSWERS_FOR_ONE) {
            self.most = MESSAGES.min(self.most + 1);
        }
        true
    }

    /// The server has too much at once.
    pub(super) fn is_too_much(&mut self) {
        self.is_too_much = true;
    }

    /// An attempt was refused, and certainly not stored; one that is over already says nothing.
    pub(super) fn fail(&mut self, number: u64, attempt: u32) {
        let entry = self.entries.get(&number);
        if entry.is_some_and(|entry| entry.attempts == attempt) {
            self.came_back(number, false);
        }
    }

    /// The acknowledgements that were due until now are lost.
    pub(super) fn expire(&mut self, now: Instant) {
        let due = |sent: Instant| now.saturating_duration_since(sent) >= ACK_WAIT;
        self.lose(|entry| entry.sent.is_some_and(due));
    }

    /// The connection is lost, with all that was on its way.
    pub(super) fn disconnect(&mut self) {
        self.lose(|entry| entry.sent.is_some());
    }

    fn lose(&mut self, lost: impl Fn(&Entry<T>) -> bool) {
        let sent = self.entries.range(..self.next);
        let lost: Vec<u64> =
            sent.filter(|(_, entry)| lost(entry)).map(|(&number, _)| number).collect();
        lost.into_iter().for_each(|number| self.came_back(number, true));
    }

    fn came_back(&mut self, number: u64, in_doubt: bool) {
        let Some(entry) = self.entries.get_mut(&number) else { return };
        let Some(sent) = entry.sent.take() else { return };
        if in_doubt {
            entry.in_doubt = entry.in_doubt.or(Some(sent));
        }
        self.on_their_way -= 1;
        self.bytes -= entry.bytes;
        self.failed = true;
    }

    /// When the next acknowledgement is due; `None` where none is waited for.
    pub(super) fn due(&self) -> Option<Instant> {
        // Those on their way were sent in their order, but for a handful that were tried again.
        let sent = self.entries.range(..self.next).filter_map(|(_, entry)| entry.sent);
        sent.take(1).next().map(|sent| sent + ACK_WAIT)
    }

    /// Whether something has failed, and all else is answered for: it is time to [`retry`].
    ///
    /// [`retry`]: Window::retry
    pub(super) fn is_to_retry(&self) -> bool {
        self.failed && self.on_their_way == 0
    }

    /// Begins anew with the first message that is not stored. Returns those that are not tried
    /// again, because the server does not know any more, or not for long, whether it has stored
    /// them: their numbers, and how long ago they were sent.
    pub(super) fn retry(
        &mut self,
        now: Instant,
        duplicate_window: Duration,
    ) -> Vec<(u64, Duration)> {
        let known = duplicate_window.saturating_sub(MARGIN.min(duplicate_window / 4));
        let sent = self.entries.range(..self.next);
        let over: Vec<_> = sent
            .filter_map(|(&number, entry)| {
                let since = now.saturating_duration_since(entry.in_doubt?);
                (since > known).then_some((number, since))
            })
            .collect();
        for (number, _) in &over {
            self.entries.remove(number);
        }
        self.failed = false;
        if std::mem::take(&mut self.is_too_much) {
            (self.most, self.answered) = (FEWEST.max(self.most / 2), 0);
        }
        self.next = self.entries.keys().next().copied().unwrap_or(self.next).min(self.next);
        over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const WINDOW: Duration = Duration::from_secs(120);

    fn window(count: u64) -> Window<u64> {
        let mut window = Window::default();
        (1..=count).for_each(|number| window.push(number, number, 10));
        window
    }

    fn sent(window: &mut Window<u64>, now: Instant) -> Vec<u64> {
        std::iter::from_fn(|| window.send(now).map(|(number, ..)| number)).collect()
    }

    #[test]
    fn nothing_passes_what_failed() {
        let (mut window, now) = (window(3), Instant::now());
        assert_eq!(sent(&mut window, now), [1, 2, 3]);
        window.push(4, 4, 10);
        window.fail(2, 1);
        assert!(sent(&mut window, now).is_empty() && !window.is_to_retry());
        assert!(window.finish(1));
        window.expire(now + ACK_WAIT);
        assert!(window.is_to_retry());
        assert!(window.retry(now + ACK_WAIT, WINDOW).is_empty());
        assert_eq!(sent(&mut window, now), [2, 3, 4]);
        // An acknowledgement of the first attempt is one, and a refusal of it is none.
        assert!(window.finish(3));
        window.fail(2, 1);
        assert!(!window.failed);
    }

    #[test]
    fn there_is_never_too_much_on_its_way() {
        let (mut window, now) = (window(MESSAGES as u64 + 10), Instant::now());
        assert_eq!(sent(&mut window, now).len(), MESSAGES);
        assert!(window.finish(5) && !window.finish(5));
        assert_eq!(sent(&mut window, now), [MESSAGES as u64 + 1]);
        let mut large = Window::default();
        (1..=9).for_each(|number| large.push(number, number, 1 << 20));
        assert_eq!(sent(&mut large, now).len(), 8);
    }

    #[test]
    fn a_server_that_has_too_much_is_sent_less() {
        let (mut window, now) = (window(10 * MESSAGES as u64), Instant::now());
        let mut most = MESSAGES;
        while most > FEWEST {
            assert_eq!(sent(&mut window, now).len(), most);
            window.is_too_much();
            window.disconnect();
            window.retry(now, WINDOW);
            most /= 2;
        }
        let mut on_their_way = sent(&mut window, now);
        assert_eq!(on_their_way.len(), FEWEST);
        for _ in 0..ANSWERS_FOR_ONE {
            assert!(window.finish(on_their_way.remove(0)));
            on_their_way.extend(sent(&mut window, now));
        }
        assert_eq!(on_their_way.len(), FEWEST + 1);
        // A failure of another kind says nothing of how much there may be.
        window.disconnect();
        window.retry(now, WINDOW);
        assert_eq!(sent(&mut window, now).len(), FEWEST + 1);
    }

    #[test]
    fn what_could_be_stored_twice_is_not_sent_again() {
        let (mut window, now) = (window(3), Instant::now());
        // The first is refused, so it is not stored; of the second nothing is known.
        assert_eq!(window.send(now).map(|(number, attempt, _)| (number, attempt)), Some((1, 1)));
        assert!(window.send(now).is_some());
        window.fail(1, 1);
        window.disconnect();
        let late = now + WINDOW - MARGIN + SECOND;
        assert_eq!(window.retry(late, WINDOW), [(2, late - now)]);
        // The third was never sent.
        assert_eq!(sent(&mut window, late), [1, 3]);
        window.disconnect();
        assert!(window.retry(late + SECOND, WINDOW).is_empty());
        assert_eq!(sent(&mut window, late), [1, 3]);
        // The doubt begins with the first time.
        window.disconnect();
        assert_eq!(window.retry(late + WINDOW, WINDOW).len(), 2);
        assert!(sent(&mut window, late).is_empty());
    }

    #[test]
    fn an_acknowledgement_is_waited_for_so_long() {
        let (mut window, now) = (window(2), Instant::now());
        assert_eq!(window.due(), None);
        window.send(now);
        window.send(now + SECOND);
        assert_eq!(window.due(), Some(now + ACK_WAIT));
        window.finish(1);
        assert_eq!(window.due(), Some(now + SECOND + ACK_WAIT));
        window.expire(now + ACK_WAIT);
        assert!(!window.failed);
        window.expire(now + SECOND + ACK_WAIT);
        assert!(window.is_to_retry());
    }
}
