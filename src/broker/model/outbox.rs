//! A dispatcher that fills an outbox, and a writer that drains it.

use std::sync::Arc;

use shuttle::thread;

use super::socket::Socket;
use super::writer::Writer;
use super::{Line, any, batch, error, explore, line_of, one_in, reply};
use crate::broker::delivery::outbox;
use crate::broker::sync::bounded;
use crate::broker::{Delivery, QueueLimits, Selection, Undelivered};
use crate::codec::Dialect;
use crate::protocol::{ErrorCode, Reply};

const LIMITS: QueueLimits = QueueLimits { messages: 3, bytes: 1_000 };

/// What was accepted is written once and in order. When the outbox overflows, what waits is
/// discarded and an error is the last that is written, once. In the end nothing counts as waiting.
#[test]
fn an_outbox_overflows() {
    explore("outbox", || {
        let (outbox, inbox) = outbox(LIMITS);
        let socket = Arc::new(Socket::default());
        // A writer that begins late finds what it is to discard.
        let late = one_in(4);
        let (begin, begun) = bounded(1);
        let writer = thread::spawn({
            let socket = socket.clone();
            move || {
                if late {
                    begun.recv().unwrap();
                }
                let mut writer = Writer::new(inbox, socket);
                let _ = writer.write_everything(|| false);
                writer.inbox
            }
        });
        let client = one_in(4).then(|| {
            let socket = socket.clone();
            thread::spawn(move || socket.vanish())
        });

        let mut accepted = Vec::new();
        let mut full = None;
        for number in 0..8 {
            let (line, added) = match any(4) {
                0 => (Line::Pong, outbox.answer(reply(Reply::Pong { id: None }))),
                1 => {
                    let refusal = error(ErrorCode::InvalidTopic);
                    (line_of(&refusal), outbox.answer(reply(refusal)))
                }
                _ => {
                    let batch = Arc::new(batch("t", [number]));
                    let line = Line::Message("t".into(), number);
                    (line, outbox.deliver(&batch, Dialect::Json, Selection::Whole, 1))
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
                // What waits is discarded from both ends.
                let mut discarded = outbox.overflow(last);
                while discarded.let_go(1) == 0 {}
            }
            None => drop(outbox),
        }

        let _ = begin.send(());
        let inbox = writer.join().unwrap();
        let mut written = socket.written();
        if let Some(client) = client {
            client.join().unwrap();
            return;
        }
        if full.is_some() {
            assert_eq!(
                written.pop(),
                Some(Line::Error(ErrorCode::SlowConsumer)),
                "after {written:?}"
            );
            if late {
                assert!(
                    !written.iter().any(|line| matches!(line, Line::Message(..))),
                    "{written:?}"
                );
            }
            let mut rest = accepted.iter();
            for line in &written {
                assert!(rest.any(|accepted| accepted == line), "{written:?} of {accepted:?}");
            }
        } else {
            assert_eq!(written, accepted);
        }
        assert_eq!(inbox.charged(), [0; 5], "of {accepted:?}, {written:?} was written");
    });
}
