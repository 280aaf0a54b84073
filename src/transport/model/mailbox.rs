//! A dispatcher that puts messages into mailboxes, and a writer that takes them out.

use std::collections::HashMap;
use std::sync::Arc;

use super::client::Line;
use super::written::{Written, write};
use super::{batch, explore, filter, reply};
use crate::broker::sync::bounded;
use crate::broker::sync::world::{any, one_in};
use crate::broker::{Mailbox, Outbox, QueueLimits, Selection, Stored};
use crate::codec::{Dialect, Payload};
use crate::protocol::{Format, Overflow, Reply, Token, Topic};

/// Bytes that nothing here fills.
const PLENTY: usize = 1 << 20;

/// A bound that one message fills, one that a few do, and one that nothing does.
fn any_bytes() -> usize {
    [1, 600, PLENTY][any(3) as usize]
}

/// A connection with mailboxes, its writer at work.
struct Connection {
    outbox: Outbox,
    written: Written,
}

impl Connection {
    /// One whose messages may keep `bytes` alive.
    fn new(bytes: usize) -> Connection {
        let at_once = bounded(1).1;
        let (outbox, written) = write(QueueLimits { messages: 100, bytes }, at_once);
        Connection { outbox, written }
    }

    fn mailbox(&self, overflow: Overflow, topic: &str, messages: usize) -> Arc<Mailbox> {
        Arc::new(
            self.outbox
                .mailbox(overflow, filter(topic), (Dialect::Json, Token::default()), messages)
                .unwrap(),
        )
    }

    fn announce(&mut self, announce: bool, mailbox: &Arc<Mailbox>) {
        if announce {
            // One that is gone need not be told.
            let _ = self.outbox.announce(mailbox);
        }
    }

    /// Closes the outbox, and returns what was written. Nothing remains in the mailboxes, and
    /// nothing counts as waiting.
    fn end(self, mailboxes: &[Arc<Mailbox>]) -> Vec<Line> {
        drop(self.outbox);
        let (written, charged) = self.written.end();
        for mailbox in mailboxes {
            let rest = mailbox.take();
            assert!(
                rest.letters.is_empty(),
                "{rest:?} remains of {}; {written:?}",
                mailbox.topic()
            );
            assert_eq!(rest.dropped, 0, "the client does not know it");
        }
        assert_eq!(charged, [0; 5], "{written:?}");
        written
    }
}

/// For each of two mailboxes of a connection: every message is written in its order, or counted as
/// dropped at its place.
#[test]
fn drop_oldest() {
    explore("mailbox, drop-oldest", || {
        let mut connection = Connection::new(any_bytes());
        let names = ["a", "b"];
        let mailboxes = names.map(|name| connection.mailbox(Overflow::DropOldest, name, 3));
        let (mut put, mut dropped) = ([0; 2], [0; 2]);
        for _ in 0..5 {
            let which = any(2) as usize;
            let count = 1 + any(4);
            let numbers = put[which]..put[which] + count;
            let (batch, selection) = if one_in(2) {
                (batch(names[which], numbers), Selection::Whole)
            } else {
                // Every other message is somebody else's.
                let all = numbers.flat_map(|number| [1_000, number]);
                (
                    batch(names[which], all),
                    Selection::Some((0..count as u32).map(|n| 2 * n + 1).collect()),
                )
            };
            put[which] += count;
            let this = mailboxes[which].put(&Arc::new(batch), selection, count as usize);
            dropped[which] += this.dropped;
            connection.announce(this.announce, &mailboxes[which]);
        }
        let written = connection.end(&mailboxes);
        for (name, (put, dropped)) in names.into_iter().zip(put.into_iter().zip(dropped)) {
            let (next, said) = follow(&written, name);
            assert_eq!(next, put, "{name} in {written:?}");
            assert_eq!(said, dropped, "{name} in {written:?}");
        }
    });
}

/// The number behind the last that was delivered or dropped, and how many were dropped.
fn follow(written: &[Line], topic: &str) -> (u64, u64) {
    let (mut next, mut dropped) = (0, 0);
    for line in written {
        match line {
            Line::Message(of, number) if of == topic => {
                assert_eq!(*number, next, "{topic} in {written:?}");
                next += 1;
            }
            Line::Dropped(of, count) if of == topic => {
                next += count;
                dropped += count;
            }
            _ => {}
        }
    }
    (next, dropped)
}

/// Every topic's numbers rise, and the last is the newest, unless so many topics wait that some
/// must go.
#[test]
fn latest() {
    explore("mailbox, latest", || {
        let mut connection = Connection::new(any_bytes());
        let most = 1 + any(3) as usize;
        let mailbox = connection.mailbox(Overflow::Latest, "#", most);
        let (mut put, mut dropped, mut newest) = (0, 0, HashMap::new());
        for number in 0..6 {
            let topic = ["x", "y", "z"][any(3) as usize];
            let this = mailbox.put_latest(stored(topic, number));
            (put, dropped) = (put + 1, dropped + this.dropped);
            newest.insert(topic.to_owned(), number);
            connection.announce(this.announce, &mailbox);
        }
        let written = connection.end(&[mailbox]);
        let (mut delivered, mut said, mut last) = (0, 0, HashMap::new());
        for line in &written {
            match line {
                Line::Message(topic, number) => {
                    delivered += 1;
                    let before = last.insert(topic.clone(), *number);
                    assert!(before < Some(*number), "{topic} in {written:?}");
                }
                Line::Dropped(_, count) => said += count,
                _ => {}
            }
        }
        assert_eq!(said, dropped, "{written:?}");
        assert!(delivered + dropped <= put);
        let missing =
            newest.iter().filter(|(topic, number)| last.get(*topic) != Some(number)).count();
        assert!(missing as u64 <= dropped, "{newest:?}, but {written:?}");
    });
}

fn stored(topic: &str, number: u64) -> Stored {
    let batch = batch(topic, [number]);
    let payload = Payload::copy(batch.bytes(), Format::Json, &batch.messages()[0].part());
    Stored::new(Topic::parse(topic).unwrap().name(), payload.borrow(), 0)
}

/// After the answer to a cancel comes nothing of its subscription; the next one to the same topic
/// begins anew.
#[test]
fn close() {
    explore("mailbox, close", || {
        let mut connection = Connection::new(PLENTY);
        let mut mailboxes = Vec::new();
        let mut put = Vec::new();
        for _ in 0..2 {
            let mailbox = connection.mailbox(Overflow::DropOldest, "t", 3);
            let count = any(4);
            for number in 0..count {
                let this = mailbox.put(&Arc::new(batch("t", [number])), Selection::Whole, 1);
                connection.announce(this.announce, &mailbox);
            }
            mailbox.close_some(usize::MAX);
            connection.outbox.answer(reply(Reply::Cancelled { topic: filter("t") })).unwrap();
            put.push(count);
            mailboxes.push(mailbox);
        }
        let written = connection.end(&mailboxes);
        let mut of_each = written.split(|line| *line == Line::Cancelled);
        for put in put {
            let (next, _) = follow(of_each.next().unwrap(), "t");
            assert!(next <= put, "{written:?}");
        }
        assert_eq!(of_each.next(), Some(&[][..]), "{written:?}");
    });
}
