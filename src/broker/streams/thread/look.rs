//! How consumers look at messages that they have not delivered: at their topics, in the log.

use std::collections::HashMap;

use crate::broker::streams::consumer::{Look, Sight};
use crate::broker::streams::log::{Cursor, Damage, Found};
use crate::protocol::Topic;

/// Messages that one consumer looks at in one step.
const MOST: usize = 4_096;

/// A look into the log, for one step of one consumer.
pub(super) struct Reading<'a> {
    cursor: &'a mut dyn Cursor,
    looked_at: usize,
    /// There is more to look at.
    pub(super) is_enough: bool,
    /// The log could not be read.
    pub(super) is_unreadable: bool,
    /// The topic of the last message.
    topic: Option<Topic>,
    /// What could not be read.
    pub(super) damage: Vec<Damage>,
    topics: HashMap<Box<str>, Topic>,
}

impl<'a> Reading<'a> {
    pub(super) fn new(cursor: &'a mut dyn Cursor) -> Reading<'a> {
        Reading {
            cursor,
            looked_at: 0,
            is_enough: false,
            is_unreadable: false,
            topic: None,
            damage: Vec::new(),
            topics: HashMap::new(),
        }
    }
}

impl Look for Reading<'_> {
    fn look(&mut self, seq: u64) -> Sight<'_> {
        if self.looked_at == MOST {
            self.is_enough = true;
            return Sight::Later;
        }
        self.looked_at += 1;
        if self.cursor.seq() != seq {
            self.cursor.seek(seq);
        }
        match self.cursor.read() {
            Ok(Some(Found::Record(record))) if record.seq == seq => {
                let topic = match self.topics.get(record.topic.as_str()) {
                    Some(topic) => topic.clone(),
                    None => {
                        let topic = record.topic.to_topic();
                        self.topics.insert(record.topic.as_str().into(), topic.clone());
                        topic
                    }
                };
                Sight::Message(self.topic.insert(topic).name())
            }
            // Those before it are deleted or dropped.
            Ok(Some(Found::Record(record))) => {
                let next = record.seq;
                self.cursor.seek(next);
                Sight::Missing(next - 1)
            }
            Ok(Some(Found::Damage(damage))) => {
                let last = damage.to;
                self.damage.push(damage);
                Sight::Missing(last.max(seq))
            }
            Ok(None) => Sight::Later,
            Err(_) => {
                self.is_unreadable = true;
                Sight::Later
            }
        }
    }
}
