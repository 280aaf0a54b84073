//! What a client of MQTT has asked for and is to be answered: its messages, and its subscriptions.

use std::collections::VecDeque;

use super::super::{PacketId, Qos, Reason, Wanted};
use super::grants::Subscribed;

/// The answer to a message.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) id: PacketId,
    pub(crate) qos: Qos,
    /// Why it was not published.
    pub(crate) refused: Option<(Reason, String)>,
}

/// A SUBSCRIBE or UNSUBSCRIBE, and what became of its filters so far.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) id: PacketId,
    pub(crate) is_subscribe: bool,
    /// For each filter its reason, or what is asked about it.
    pub(crate) filters: Vec<Result<Reason, Pending>>,
    /// What is wrong with one of them, in words.
    pub(crate) words: Option<String>,
    /// Whether it came on a connection that has ended: nobody waits for its answer.
    pub(super) is_void: bool,
}

/// A filter that the dispatcher is asked about.
#[derive(Debug)]
pub(crate) struct Pending {
    pub(crate) wanted: Wanted,
    /// The reason if it is done.
    pub(crate) reason: Reason,
    /// Whether something is said behind the answer of the stream that keeps its messages: its last
    /// values, and that it is subscribed to.
    pub(crate) goes_on: bool,
    /// What holds still if it is refused.
    pub(crate) before: Option<Subscribed>,
}

impl Question {
    /// One of no filters yet.
    pub(crate) fn new(id: PacketId, is_subscribe: bool) -> Question {
        Question { id, is_subscribe, filters: Vec::new(), words: None, is_void: false }
    }

    /// Adds a filter that the dispatcher is asked about.
    pub(crate) fn ask(&mut self, wanted: Wanted, reason: Reason, goes_on: bool) {
        self.filters.push(Err(Pending { wanted, reason, goes_on, before: None }));
    }

    /// The filters that the dispatcher is asked about, in their order.
    pub(crate) fn pending(&mut self) -> impl Iterator<Item = &mut Pending> {
        self.filters.iter_mut().filter_map(|filter| filter.as_mut().err())
    }

    /// Refuses the next filter.
    pub(crate) fn refuse(&mut self, (reason, words): (Reason, String)) {
        self.filters.push(Ok(reason));
        self.words.get_or_insert(words);
    }

    /// The filter that the dispatcher answers next.
    pub(super) fn next(&mut self) -> Option<&mut Result<Reason, Pending>> {
        self.filters.iter_mut().find(|filter| filter.is_err())
    }

    pub(super) fn is_known(&self) -> bool {
        self.filters.iter().all(Result::is_ok)
    }
}

/// Messages of a client that are answered when all before is done.
#[derive(Debug, Default)]
pub(super) struct Unanswered {
    /// A list for each time that the dispatcher was asked.
    lists: VecDeque<List>,
    count: usize,
}

/// The answers of one time.
#[derive(Debug)]
pub(super) struct List {
    pub(super) answers: Vec<Answer>,
    /// Whether they are for a connection that has ended.
    pub(super) is_void: bool,
    /// Where the next refusal of the dispatcher is looked for first: they come in order.
    refused_to: usize,
}

impl Unanswered {
    pub(super) const NONE: Unanswered = Unanswered { lists: VecDeque::new(), count: 0 };

    pub(super) fn push(&mut self, answers: Vec<Answer>) {
        self.count += answers.len();
        self.lists.push_back(List { answers, is_void: false, refused_to: 0 });
    }

    /// The answers that the dispatcher has come to.
    pub(super) fn pop(&mut self) -> Option<List> {
        let list = self.lists.pop_front()?;
        self.count -= list.answers.len();
        Some(list)
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether nothing at all is to be answered, not even to a connection that has ended.
    pub(super) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// Notes that the dispatcher has refused a message.
    pub(super) fn refuse(&mut self, id: u16, reason: (Reason, String)) {
        // Refusals come before the answer to all that was sent with them.
        if let Some(list) = self.lists.front_mut() {
            list.refuse(id, reason);
        }
    }

    /// The same of one that was sent again since.
    pub(super) fn refuse_again(&mut self, id: PacketId, reason: &(Reason, String)) {
        let mut open = self.lists.iter_mut().filter(|list| !list.is_void);
        let is_it = |answer: &&mut Answer| answer.id == id && answer.qos == Qos::ExactlyOnce;
        if let Some(answer) = open.find_map(|list| list.answers.iter_mut().find(is_it)) {
            answer.refused.get_or_insert_with(|| reason.clone());
        }
    }

    /// Nobody waits for any of them: their connection has ended.
    pub(super) fn become_void(&mut self) {
        self.lists.iter_mut().for_each(|list| list.is_void = true);
    }
}

impl List {
    fn refuse(&mut self, id: u16, reason: (Reason, String)) {
        let (before, behind) = self.answers.split_at_mut(self.refused_to);
        let mut all = behind.iter_mut().chain(before).enumerate();
        let it = all.find(|(_, answer)| answer.id.get() == id && answer.refused.is_none());
        if let Some((place, answer)) = it {
            answer.refused = Some(reason);
            self.refused_to = (self.refused_to + place + 1) % self.answers.len();
        }
    }
}

#[cfg(test)]
#[cfg(not(shuttle))]
mod tests {
    use super::*;

    fn answer(id: u16) -> Answer {
        Answer { id: PacketId::new(id).unwrap(), qos: Qos::AtLeastOnce, refused: None }
    }

    #[test]
    fn every_refusal_finds_its_message() {
        let mut unanswered = Unanswered::default();
        unanswered.push((1..=1_000).map(answer).collect());
        unanswered.push(vec![answer(3)]);
        let reason = || (Reason::QUOTA, "full".to_owned());
        for id in (1..=1_000).filter(|id| id % 3 == 0) {
            unanswered.refuse(id, reason());
        }
        // One out of turn, and one that there is not.
        unanswered.refuse(1, reason());
        unanswered.refuse(2_000, reason());
        let list = unanswered.pop().unwrap();
        for answer in list.answers {
            let id = answer.id.get();
            assert_eq!(answer.refused.is_some(), id % 3 == 0 || id == 1, "{id}");
        }
        assert_eq!(unanswered.count(), 1);
        assert!(unanswered.pop().unwrap().answers[0].refused.is_none());
    }
}
