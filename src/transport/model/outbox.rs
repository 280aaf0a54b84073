//! A dispatcher that fills an outbox, and a writer that drains it.

use std::sync::Arc;

use super::client::Line;
use super::written::write;
use super::{batch, error, explore, reply};
use crate::broker::sync::bounded;
use crate::broker::sync::world::{any, one_in};
use crate::broker::{Delivery, QueueLimits, Selection, Undelivered};
use crate::codec::Dialect;
use crate::protocol::{ErrorCode, Reply};

const LIMITS: QueueLimits = QueueLimits { messages: 3, bytes: 1_000 };

/// A delivery that was accepted is written once and in order. When the outbox overflows, what waits
/// is discarded and an error is the last that is written, once. In the end nothing counts as
/// waiting.
#[test]
fn an_outbox_overflows() {
    explore("outbox", || {
        // A writer that begins late finds what it is to discard.
        let is_late = one_in(4);
        let (begin, begun) = bounded::<()>(1);
        let begin = Some(begin).filter(|_| is_late);
        let (mut outbox, written) = write(LIMITS, begun);
        let (mut written, mut client) = (Some(written), None);
        if one_in(4) {
            // The client is gone meanwhile.
            client = written.take().map(|written| {
                let (writer, client) = written.split();
                (writer, shuttle::thread::spawn(move || drop(client)))
            });
        }

        let mut accepted = Vec::new();
        let mut full = None;
        for number in 0..8 {
            let (line, added) = match any(4) {
                0 => (Line::Pong, outbox.answer(reply(Reply::Pong { id: None }))),
                1 => {
                    let refusal = error(ErrorCode::InvalidTopic);
                    (Line::Error("invalid-topic".into()), outbox.answer(reply(refusal)))
                }
                _ => {
                    let batch = Arc::new(batch("t", [number]));
                    let line = Line::Message("t".into(), number);
                    (
                        line,
                        outbox.deliver(&batch, (Dialect::Json, false, None), Selection::Whole, 1),
                    )
                }
            };
            match added {
                Ok(()) => accepted.push(line),
                Err(Undelivered::Full(waiting)) => {
                    full = Some(waiting);
                    break;
                }
                Err(Undelivered::NoMemory) => panic!("there is memory without end"),
                Err(Undelivered::Gone) => {
                    assert!(client.is_some(), "nobody has gone");
                    break;
                }
            }
            assert!(outbox.level().0 <= LIMITS.messages, "{:?} wait", outbox.level());
        }
        let last: Delivery = reply(error(ErrorCode::SlowConsumer));
        match full {
            Some(waiting) => {
                assert!(waiting.messages > 0, "{waiting:?} is not full");
                // The deliveries that wait are discarded from both ends.
                let mut discarded = outbox.overflow(last);
                while discarded.let_go(1) == 0 {}
            }
            None => drop(outbox),
        }

        drop(begin);
        if let Some((writer, client)) = client {
            writer.join().unwrap();
            client.join().unwrap();
        }
        let Some(written) = written else { return };
        let (mut written, charged) = written.end();
        if full.is_some() {
            let told = Line::Error("slow-consumer".into());
            assert_eq!(written.pop(), Some(told), "after {written:?}");
            if is_late {
                let is_message = |line: &Line| matches!(line, Line::Message(..));
                assert!(!written.iter().any(is_message), "{written:?}");
            }
            let mut rest = accepted.iter();
            for line in &written {
                assert!(rest.any(|accepted| accepted == line), "{written:?} of {accepted:?}");
            }
        } else {
            assert_eq!(written, accepted);
        }
        assert_eq!(charged, [0; 5], "of {accepted:?}, {written:?} was written");
    });
}
