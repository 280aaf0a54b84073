//! The topics of a batch, in one piece of memory: each message may name another one.

use crate::protocol::{Topic, TopicName};

/// Names of topics, one behind the other. The same one may stand there more than once.
#[derive(Clone, Debug, Default)]
pub struct Topics {
    text: String,
    /// Where each ends.
    ends: Vec<u32>,
}

impl Topics {
    /// Adds a topic, and returns its index.
    pub fn push(&mut self, topic: TopicName<'_>) -> u32 {
        let index = self.ends.len() as u32;
        self.text.push_str(topic.as_str());
        self.ends.push(self.text.len() as u32);
        index
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The topic with an index that [`push`](Self::push) returned.
    pub fn get(&self, index: usize) -> TopicName<'_> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]) as usize;
        TopicName::judged(&self.text[start..self.ends[index] as usize])
    }

    /// Bytes of memory that they take.
    pub(super) fn weight(&self) -> usize {
        self.text.len() + size_of_val(self.ends.as_slice())
    }
}

impl FromIterator<Topic> for Topics {
    fn from_iter<I: IntoIterator<Item = Topic>>(all: I) -> Topics {
        let mut topics = Topics::default();
        for topic in all {
            topics.push(topic.name());
        }
        topics
    }
}
