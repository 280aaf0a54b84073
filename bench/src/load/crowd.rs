//! Many subscribers of one topic: what they cost while nothing happens, and how long one message
//! takes to all of them.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{Timespec, epoll};
use rustix::process::{Resource, getrlimit};

use crate::net::{Counting, PATIENCE, Stream, await_open, connect, open};
use crate::payload::Payload;
use crate::systems::{Memory, Running};
use crate::wire::{Role, Wire};

const TOPIC: &str = "bench/crowd";
/// Connections that are opened before their answers are awaited.
const TOGETHER: usize = 100;
/// Brokers are busy with those who have just come for a while, and end threads that turned out not
/// to be needed.
const SETTLING: Duration = Duration::from_secs(6);
/// Messages to everybody; the median of their times is taken.
const PUBLICATIONS: usize = 5;
/// File descriptors that the generator needs beside the crowd's.
const SPARE: u64 = 100;

pub(crate) struct Crowd {
    streams: Vec<Stream>,
    /// Of the broker, before and after the crowd came.
    pub(crate) before: Memory,
    pub(crate) after: Memory,
    /// How many came in a second.
    pub(crate) arrivals: f64,
}

impl Crowd {
    /// All subscribe to one topic.
    pub(crate) fn gather(running: &Running, wire: &dyn Wire, size: usize) -> Result<Crowd> {
        Crowd::gather_at(running, wire, size, |_| TOPIC.to_owned())
    }

    /// Each subscribes to a topic of its own.
    pub(crate) fn scatter(running: &Running, wire: &dyn Wire, size: usize) -> Result<Crowd> {
        Crowd::gather_at(running, wire, size, |client| format!("{TOPIC}/{client}/commands"))
    }

    fn gather_at(
        running: &Running,
        wire: &dyn Wire,
        size: usize,
        topic: impl Fn(usize) -> String,
    ) -> Result<Crowd> {
        let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        ensure!(
            allowed >= size as u64 + SPARE,
            "{size} connections need more file descriptors than the {allowed} allowed (ulimit -Hn)"
        );
        // The first connection makes a broker set up what it needs only once.
        drop(open(&running.endpoint, wire, Role::Subscriber(TOPIC))?);
        // No broker says when it has let go of a client.
        thread::sleep(Duration::from_millis(100));
        let before = running.memory()?;
        let start = Instant::now();
        let mut streams = Vec::with_capacity(size);
        while streams.len() < size {
            let group = TOGETHER.min(size - streams.len());
            let from = streams.len();
            for client in from..from + group {
                let topic = topic(client);
                let stream = connect(&running.endpoint, wire, Role::Subscriber(&topic))
                    .with_context(|| format!("after {} connections", streams.len()))?;
                // So many connections that end in order would each hold a port for a minute.
                socket2::SockRef::from(stream.socket()).set_linger(Some(Duration::ZERO))?;
                streams.push(stream);
            }
            for stream in &mut streams[from..] {
                await_open(stream, wire, Role::Subscriber(TOPIC))
                    .with_context(|| format!("after {from} connections"))?;
            }
        }
        let arrivals = size as f64 / start.elapsed().as_secs_f64();
        thread::sleep(SETTLING);
        let after = running.memory()?;
        Ok(Crowd { streams, before, after, arrivals })
    }

    /// The share of one core, in percent, that the broker takes while nothing happens.
    pub(crate) fn idle_load(&self, running: &Running, time: Duration) -> Result<f64> {
        let (before, start) = (running.processor_time()?, Instant::now());
        thread::sleep(time);
        let used = running.processor_time()? - before;
        Ok(used / start.elapsed().as_nanos() as f64 * 100.0)
    }

    /// Milliseconds from the publication of a message until everybody has it.
    pub(crate) fn publish_to_all(
        &mut self,
        running: &Running,
        wire: &dyn Wire,
        payload: &Payload,
    ) -> Result<f64> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (index, stream) in self.streams.iter().enumerate() {
            let data = epoll::EventData::new_u64(index as u64);
            epoll::add(&poll, stream, data, epoll::EventFlags::IN)?;
        }
        let mut publisher = open(&running.endpoint, wire, Role::Publisher)?;
        let mut message = Vec::new();
        wire.publish(TOPIC, payload, false, &mut message);
        let mut countings: Vec<Counting> = self.streams.iter().map(|_| Counting::small()).collect();
        let mut events = vec![
            epoll::Event {
                flags: epoll::EventFlags::empty(),
                data: epoll::EventData::new_u64(0)
            };
            1024
        ];
        let tick = Timespec { tv_sec: 1, tv_nsec: 0 };
        let mut times = Vec::new();
        for _ in 0..PUBLICATIONS {
            let start = Instant::now();
            publisher.write_all(&message)?;
            let mut missing = self.streams.len() as u64;
            while missing > 0 {
                let ready = epoll::wait(&poll, events.as_mut_slice(), Some(&tick))?;
                for event in &events[..ready] {
                    let index = event.data.u64() as usize;
                    let arrived = countings[index].read(&mut self.streams[index], wire)?;
                    missing = missing
                        .checked_sub(arrived)
                        .context("more messages than were published")?;
                }
                if start.elapsed() > PATIENCE {
                    bail!("{missing} subscribers did not get a message within {PATIENCE:?}");
                }
            }
            times.push(start.elapsed().as_secs_f64() * 1000.0);
            // Each message finds everybody asleep, as the first does.
            thread::sleep(Duration::from_millis(20));
        }
        times.sort_by(f64::total_cmp);
        Ok(times[times.len() / 2])
    }
}
