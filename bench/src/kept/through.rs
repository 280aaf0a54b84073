//! Clients that all publish, and all receive what all of them publish.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow, ensure};

use super::{Arriving, Keeper, Member, Reading, WINDOW, WRITE, connect};
use crate::net::PATIENCE;
use crate::payload::Payload;
use crate::systems::Running;
use crate::window::Window;

/// A client, by where it is connected.
pub(crate) type Client<'a> = (&'a Running, &'a dyn Keeper);

/// What the clients have in common.
struct Crowd<'a> {
    payload: &'a Payload,
    /// Of what is published, the part that the slowest of them has not received.
    window: Window,
    confirmed: AtomicU64,
    stop: AtomicBool,
}

/// What was measured.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// Messages a second that every client received.
    pub(crate) rate: f64,
    /// Nanoseconds of processor time for each, of the programs of each kind together.
    pub(crate) processor: Vec<f64>,
}

/// Measures for some time, behind a warm-up, and how much of the processors these programs use.
pub(crate) fn measure(
    clients: &[Client],
    payload: &Payload,
    time: Duration,
    kinds: &[Vec<&Running>],
) -> Result<Measured> {
    let count = clients.len();
    let crowd = Crowd {
        payload,
        window: Window::of(WINDOW * count as u64, count),
        confirmed: AtomicU64::new(0),
        stop: AtomicBool::new(false),
    };
    let mut ends = Vec::new();
    for (place, (running, keeper)) in clients.iter().enumerate() {
        let mut reader = connect(&running.endpoint)?;
        let member = keeper.open_member(&mut reader, Reading::Live, place)?;
        let mut publisher = connect(&running.endpoint)?;
        keeper.open_publisher(&mut publisher)?;
        ends.push((place, *keeper, reader, member, publisher.try_clone()?, publisher));
    }
    let measured = thread::scope(|scope| {
        let crowd = &crowd;
        let mut handles = Vec::new();
        for (place, keeper, mut reader, mut member, mut writing, mut confirming) in ends {
            handles.push(scope.spawn(move || {
                crowd.guarded(|| crowd.receive(place, &mut reader, member.as_mut()))
            }));
            handles.push(scope.spawn(move || crowd.guarded(|| crowd.write(keeper, &mut writing))));
            handles.push(
                scope.spawn(move || crowd.guarded(|| crowd.confirm(keeper, &mut confirming))),
            );
        }
        // The clock is what is measured with: nothing is waited for here.
        let slowest = || (0..count).map(|place| crowd.window.received_by(place)).min().unwrap_or(0);
        thread::sleep(clients.iter().map(|(running, _)| running.warm_up).max().unwrap_or_default());
        let used = || -> Result<Vec<f64>> {
            let of = |kind: &Vec<&Running>| kind.iter().map(|it| it.processor_time()).sum();
            kinds.iter().map(of).collect()
        };
        let (used_before, before, start) = (used(), slowest(), Instant::now());
        thread::sleep(time);
        let messages = (slowest() - before) as f64;
        let (rate, used_now) = (messages / start.elapsed().as_secs_f64(), used());
        crowd.stop.store(true, Ordering::SeqCst);
        for handle in handles {
            handle.join().unwrap_or_else(|_| Err(anyhow!("a client's thread panicked")))?;
        }
        let both = used_before?.into_iter().zip(used_now?);
        let processor = both.map(|(before, now)| (now - before) / messages.max(1.0)).collect();
        Ok::<_, anyhow::Error>(Measured { rate, processor })
    })?;
    let (published, confirmed) = (crowd.window.published(), crowd.confirmed.into_inner());
    ensure!(confirmed == published, "of {published} messages {confirmed} were confirmed");
    Ok(measured)
}

impl Crowd<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    fn guarded(&self, work: impl FnOnce() -> Result<()>) -> Result<()> {
        let done = work();
        if done.is_err() {
            self.stop.store(true, Ordering::SeqCst);
        }
        done
    }

    fn write(&self, keeper: &dyn Keeper, stream: &mut TcpStream) -> Result<()> {
        let mut bytes = Vec::new();
        while !self.stopped() {
            if self.window.reserve(WRITE) {
                bytes.clear();
                keeper.publish(self.payload, WRITE, &mut bytes);
                stream.write_all(&bytes)?;
            }
        }
        Ok(())
    }

    /// Reads confirmations until everybody's are there.
    fn confirm(&self, keeper: &dyn Keeper, stream: &mut TcpStream) -> Result<()> {
        let each = WRITE / keeper.publish(self.payload, WRITE, &mut Vec::new());
        let count = || self.confirmed.load(Ordering::SeqCst);
        self.until_all(stream, count, |bytes| {
            let scanned = keeper.confirmed(bytes)?;
            self.confirmed.fetch_add(scanned.messages * each, Ordering::SeqCst);
            Ok(scanned.consumed)
        })
    }

    fn receive(&self, place: usize, stream: &mut TcpStream, member: &mut dyn Member) -> Result<()> {
        let mut out = Vec::new();
        member.begin(&mut out);
        stream.write_all(&out)?;
        let mut writing = stream.try_clone()?;
        self.until_all(
            stream,
            || self.window.received_by(place),
            |bytes| {
                out.clear();
                let taken = member.take(bytes, &mut out)?;
                self.window.receive(place, taken.messages);
                writing.write_all(&out)?;
                Ok(taken.consumed)
            },
        )
    }

    /// Reads until it is stopped and there are as many as were published.
    fn until_all(
        &self,
        stream: &mut TcpStream,
        count: impl Fn() -> u64,
        mut take: impl FnMut(&[u8]) -> Result<usize>,
    ) -> Result<()> {
        let mut arriving = Arriving::new();
        let mut stopped_at = None;
        while !self.stopped() || count() < self.window.published() {
            arriving.read(stream, &mut take)?;
            if self.stopped() {
                let since = *stopped_at.get_or_insert_with(Instant::now);
                let (there, all) = (count(), self.window.published());
                ensure!(since.elapsed() < PATIENCE, "of {all} messages {there} are there");
            }
        }
        Ok(())
    }
}
