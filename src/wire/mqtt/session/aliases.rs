//! Numbers that stand for topics, on one connection (MQTT 5, 3.3.2.3.4).

use crate::protocol::MAX_TOPIC_BYTES;
use crate::wire::mqtt::{Fault, Kind, Publish, Reason};

/// The topics for which a client uses numbers. They end with the connection.
#[derive(Debug, Default)]
pub(crate) struct Aliases {
    maximum: u16,
    /// By their numbers less one; empty where a number stands for nothing.
    pub(super) topics: Vec<Box<str>>,
    /// Bytes of the topics.
    bytes: usize,
}

impl Aliases {
    /// No topic has a number yet; numbers up to `maximum`, which CONNACK says, may be used.
    pub(crate) fn new(maximum: u16) -> Aliases {
        Aliases { maximum, ..Aliases::default() }
    }

    /// Bytes of memory that `maximum` topics may take, so that they can be claimed before.
    #[cfg(test)]
    pub(crate) fn most_bytes(maximum: u16) -> usize {
        usize::from(maximum) * (MAX_TOPIC_BYTES + size_of::<Box<str>>())
    }

    /// Bytes of memory that the topics take now.
    pub(crate) fn bytes(&self) -> usize {
        self.topics.capacity() * size_of::<Box<str>>() + self.bytes
    }

    /// The topic of a message: the one that it names, which its number stands for from here on, or
    /// the one that its number stands for.
    ///
    /// A topic that is longer than any of the broker's is not remembered. It is refused when it is
    /// published to, and its number stands for nothing.
    ///
    /// # Errors
    /// The number is larger than the broker has said, or stands for nothing.
    #[inline]
    pub(crate) fn topic<'a>(&'a mut self, publish: &Publish<'a>) -> Result<&'a str, Fault> {
        match publish.alias {
            None => Ok(publish.topic),
            Some(alias) => self.resolve(alias, publish.topic),
        }
    }

    fn resolve<'a>(&'a mut self, alias: u16, topic: &'a str) -> Result<&'a str, Fault> {
        let fault = |reason, what| Fault {
            field: "Topic Alias",
            ..Fault::of(reason, Kind::Publish.name(), what)
        };
        if alias == 0 || alias > self.maximum {
            let what = "it is larger than the Topic Alias Maximum of the broker";
            return Err(fault(Reason::TOPIC_ALIAS, what));
        }
        let index = usize::from(alias) - 1;
        if topic.is_empty() {
            let topic = self.topics.get(index).filter(|topic| !topic.is_empty());
            let what = "it stands for no topic";
            return topic.map(|topic| &**topic).ok_or_else(|| fault(Reason::PROTOCOL_ERROR, what));
        }
        if index >= self.topics.len() {
            self.topics.resize(index + 1, Box::default());
        }
        if let Some(known) = self.topics.get_mut(index) {
            let kept = if topic.len() > MAX_TOPIC_BYTES { "" } else { topic };
            if **known != *kept {
                self.bytes = self.bytes - known.len() + kept.len();
                *known = kept.into();
            }
        }
        Ok(topic)
    }
}
