//! Consumers of what is kept, alone or several that share it, and readers from the beginning.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, bail, ensure};

use super::publish::{self, Measured};
use super::{Arriving, Keeper, Member, Reading, connect, until_none_left};
use crate::net::{PATIENCE, await_answer};
use crate::payload::Payload;
use crate::systems::Running;

/// A read looks this often whether it should go on.
const TICK: Duration = Duration::from_millis(2);

/// What all members were given.
#[derive(Debug, Default)]
struct Total {
    messages: AtomicU64,
    sum: AtomicU64,
}

/// Fills a stream, and reads it with so many members: the clock runs from the first request until
/// the last acknowledgement is taken in.
pub(crate) fn measure(
    running: &Running,
    keeper: &dyn Keeper,
    payload: &Payload,
    messages: u64,
    reading: Reading,
    members: usize,
) -> Result<Measured> {
    let published = publish::fill(running, keeper, payload, messages)?;
    let total = Total::default();
    let processor = running.used()?;
    let start = Instant::now();
    let done: Result<()> = thread::scope(|scope| {
        let handles: Vec<_> = (0..members)
            .map(|member| {
                let total = &total;
                scope.spawn(move || {
                    let mut stream = connect(&running.endpoint)?;
                    // Often enough to see that another has had the last.
                    stream.set_read_timeout(Some(TICK))?;
                    let mut of = keeper.open_member(&mut stream, reading, member)?;
                    read(&mut stream, of.as_mut(), total, published)
                })
            })
            .collect();
        let panicked = || Err(anyhow!("a consumer's thread panicked"));
        handles.into_iter().try_for_each(|handle| handle.join().unwrap_or_else(|_| panicked()))
    });
    done?;
    let seconds = start.elapsed().as_secs_f64();
    let processor = running.used()? - processor;
    let (arrived, sum) = (total.messages.into_inner(), total.sum.into_inner());
    ensure!(arrived == published, "of {published} messages {arrived} arrived");
    let wanted = published * (published + 1) / 2;
    ensure!(!keeper.has_numbers() || sum == wanted, "some came twice and others did not come");
    if reading != Reading::Replay {
        until_none_left(keeper, &running.endpoint)?;
    }
    Ok(Measured { rate: published as f64 / seconds, processor: processor / published as f64 })
}

/// Reads until all members together have all, and until what this one sent is taken in.
fn read(stream: &mut TcpStream, member: &mut dyn Member, total: &Total, all: u64) -> Result<()> {
    let mut arriving = Arriving::new();
    let mut out = Vec::new();
    member.begin(&mut out);
    stream.write_all(&out)?;
    let mut quiet_since = Instant::now();
    while total.messages.load(Ordering::SeqCst) < all || !member.is_settled() {
        out.clear();
        arriving.read(stream, |bytes| {
            let taken = member.take(bytes, &mut out)?;
            if taken.messages > 0 {
                total.sum.fetch_add(taken.sum, Ordering::SeqCst);
                total.messages.fetch_add(taken.messages, Ordering::SeqCst);
                quiet_since = Instant::now();
            }
            Ok(taken.consumed)
        })?;
        stream.write_all(&out)?;
        if quiet_since.elapsed() > PATIENCE {
            let arrived = total.messages.load(Ordering::SeqCst);
            bail!("of {all} messages {arrived} arrived, and then none");
        }
    }
    out.clear();
    member.ask(&mut out);
    if !out.is_empty() {
        stream.write_all(&out)?;
        await_answer(stream, |answer| member.is_answer(answer))?;
    }
    Ok(())
}
