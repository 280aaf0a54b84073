//! What the broker does from a read to the bytes of a write, without the dispatcher: envelopes are
//! recognised, payloads judged and translated, deliveries written in memory that is used again.

use std::hint::black_box;
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use babelmq::broker::Step;
use babelmq::codec::{BufferPool, Wanted, Workspace};
use babelmq::internals::{Recent, take_in};
use babelmq::protocol::Header;
use babelmq::{Dialect, Limits};

use crate::direction::Direction;
use crate::stream::Stream;

/// As much as a session reads at once.
const READ: usize = 128 << 10;

pub(super) fn rate(stream: &Stream, direction: Direction, time: Duration) -> Result<f64> {
    let dialect = Dialect::new(direction.to, false);
    let mut session = Session { recent: Recent::new(BufferPool::new(), Workspace::default()) };
    let reads = reads(stream, direction);
    let carried: usize =
        reads.iter().map(|read| session.carry(read, dialect)).sum::<Result<_>>()?;
    ensure!(carried == stream.messages.len(), "{carried} of {} messages", stream.messages.len());
    super::per_second(time, stream.messages.len(), || {
        for read in &reads {
            black_box(session.carry(black_box(read), dialect)?);
        }
        Ok(())
    })
}

/// The stream's frames, whole ones, in as many reads as it takes.
fn reads(stream: &Stream, direction: Direction) -> Vec<Vec<u8>> {
    let mut reads = vec![Vec::new()];
    let mut body = Vec::new();
    for message in &stream.messages {
        body.clear();
        message.write_body(direction.from, &mut body);
        if reads.last().is_none_or(|read| read.len() + body.len() > READ) {
            reads.push(Vec::new());
        }
        if let Some(read) = reads.last_mut() {
            let header = Header { format: direction.from, length: body.len() as u32 };
            read.extend_from_slice(&header.to_bytes());
            read.extend_from_slice(&body);
        }
    }
    reads
}

/// A session with one subscriber of all that it publishes.
struct Session {
    recent: Recent,
}

impl Session {
    /// Carries a read's messages to the subscriber, and says how many these were.
    fn carry(&mut self, mut read: &[u8], dialect: Dialect) -> Result<usize> {
        let mut messages = 0;
        while !read.is_empty() {
            self.recent.permit(true);
            let taken = take_in(read, Limits::default(), &mut self.recent);
            ensure!(taken.whole > 0 && taken.refused == 0, "babelmq refuses a message");
            read = &read[taken.whole..];
            for step in taken.steps {
                let Step::Publish(mut batch) = step else { bail!("no publish") };
                batch.want(dialect, Wanted::All);
                batch.settle(1, 0);
                let run = batch.run(dialect);
                ensure!(run.failed() == 0, "a message could not be translated");
                black_box(batch.run_bytes(run).len());
                messages += batch.messages().len();
            }
        }
        Ok(messages)
    }
}
